package host

import (
	"errors"
	"net"
	"net/netip"
)

// ErrNoGateway: this machine has no IPv4 default route, or it is not known how to
// ask for it on this system.
var ErrNoGateway = errors.New("no default gateway is known")

// Gateway returns the IPv4 address of the default gateway, at most homes the
// router's, and this machine's own address on the way to it.
func Gateway() (gateway, own netip.Addr, err error) {
	gateway, err = defaultGateway()
	if err != nil {
		return netip.Addr{}, netip.Addr{}, err
	}
	conn, err := net.Dial("udp4", netip.AddrPortFrom(gateway, 9).String()) // chooses an address; sends nothing
	if err != nil {
		return netip.Addr{}, netip.Addr{}, ErrNoGateway
	}
	defer conn.Close()
	return gateway, conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
