package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	natpmp "github.com/jackpal/go-nat-pmp"
)

// pmp speaks NAT-PMP (RFC 6886). The library has no ctx; it gives up by itself. It
// hears the gateway's address and port alone; but an answer holds nothing that only
// whom was asked can know, so a forged packet that meets our port is an answer.
type pmp struct{ client *natpmp.Client }

func newPMP(gateway netip.Addr) *pmp {
	return &pmp{natpmp.NewClientWithTimeout(net.IP(gateway.AsSlice()), 2*time.Second)}
}

func (d *pmp) outside(context.Context) (netip.Addr, error) {
	got, err := d.client.GetExternalAddress()
	if err != nil {
		return netip.Addr{}, pmpError(err)
	}
	return netip.AddrFrom4(got.ExternalIPAddress), nil
}

func (d *pmp) ask(ctx context.Context, p Port, lease time.Duration) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	got, err := d.client.AddPortMapping("tcp", int(p.Inside), int(p.Outside), int(lease/time.Second))
	if err != nil {
		return 0, pmpError(err)
	}
	if got.InternalPort != p.Inside {
		return 0, fmt.Errorf("%w: NAT-PMP answers for another port", errNobody)
	}
	if got.MappedExternalPort != p.Outside {
		return 0, errors.Join(errOccupied, d.forget(ctx, p))
	}
	return time.Duration(got.PortMappingLifetimeInSeconds) * time.Second, nil
}

func (d *pmp) forget(ctx context.Context, p Port) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := d.client.AddPortMapping("tcp", int(p.Inside), 0, 0); err != nil { // §3.4
		return pmpError(err)
	}
	return nil
}

// pmpError tells a router without an address outside (result 3), one that refuses
// and one that does not answer apart; the library says so in words alone.
func pmpError(err error) error {
	code, answered := strings.CutPrefix(err.Error(), "Non-zero result code ")
	switch {
	case answered && strings.HasPrefix(code, "3 "):
		return errNoWay
	case answered:
		return fmt.Errorf("%w: NAT-PMP result %s", errRefused, code)
	}
	return fmt.Errorf("%w: %w", errNobody, err)
}
