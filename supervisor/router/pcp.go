package router

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// pcp speaks the Port Control Protocol (RFC 6887), its MAP request alone.
type pcp struct {
	gateway, own netip.Addr
	secret       []byte
	assigned     netip.Addr // outside, as the last answer said
}

// Sizes and numbers of RFC 6887 §7.1, §7.2, §7.4 and §11.1.
const (
	pcpPort    = 5351
	pcpVersion = 2
	pcpMap     = 1
	pcpAnswer  = 0x80
	pcpLen     = 60
	pcpTCP     = 6

	pcpNetworkFailure = 7
	pcpCannotProvide  = 11
	pcpUnsupported    = 1 // this version; NAT-PMP is tried next
)

func (d *pcp) outside(context.Context) (netip.Addr, error) { return d.assigned, nil }

func (d *pcp) ask(ctx context.Context, p Port, lease time.Duration) (time.Duration, error) {
	granted, err := d.mapping(ctx, p, lease)
	if err != nil {
		return 0, err
	}
	if granted.port != p.Outside {
		return 0, errors.Join(errOccupied, d.forget(ctx, p)) // it offers another port, which nobody would knock at
	}
	d.assigned = granted.outside
	return granted.lease, nil
}

func (d *pcp) forget(ctx context.Context, p Port) error {
	_, err := d.mapping(ctx, p, 0)
	return err
}

// mapping sends one request until it is answered: after 0.5 s, 1 s and 2 s.
func (d *pcp) mapping(ctx context.Context, p Port, lease time.Duration) (pcpGranted, error) {
	conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(d.own, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(d.gateway, pcpPort)))
	if err != nil {
		return pcpGranted{}, fmt.Errorf("%w: %w", errNobody, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	request := d.request(p, lease)
	buf := make([]byte, 1100) // the longest message there may be
	for wait := 500 * time.Millisecond; wait <= 2*time.Second; wait *= 2 {
		if _, err = conn.Write(request); err != nil {
			break
		}
		if err = conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			break
		}
		for {
			n, readErr := conn.Read(buf)
			if err = readErr; err != nil {
				break
			}
			if got, err := readPCP(buf[:n], request); !errors.Is(err, errNotOurs) {
				return got, err
			}
		}
	}
	return pcpGranted{}, fmt.Errorf("%w: %w", errNobody, err)
}

func (d *pcp) request(p Port, lease time.Duration) []byte {
	b := make([]byte, 0, pcpLen)
	b = append(b, pcpVersion, pcpMap, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(lease/time.Second))
	own := d.own.As16() // an IPv4 address mapped into IPv6, as §5 wants it
	b = append(b, own[:]...)
	b = append(b, d.nonce(p)...)
	b = append(b, pcpTCP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, p.Inside)
	outside := netip.IPv6Unspecified()
	if d.own.Is4() {
		outside = netip.AddrFrom16(netip.IPv4Unspecified().As16())
	}
	suggested := outside.As16()
	port := p.Outside
	if lease == 0 {
		port = 0 // §15: taken back whatever it was
	}
	b = binary.BigEndian.AppendUint16(b, port)
	return append(b, suggested[:]...)
}

// nonce is what the router knows this mapping by; nobody else can guess it.
func (d *pcp) nonce(p Port) []byte {
	h := hmac.New(sha256.New, d.secret)
	fmt.Fprintf(h, "pcp map tcp %d", p.Inside)
	return h.Sum(nil)[:12]
}

// pcpGranted is what the router granted.
type pcpGranted struct {
	lease   time.Duration
	port    uint16
	outside netip.Addr
}

// errNotOurs: the packet does not answer the request.
var errNotOurs = errors.New("not an answer to this")

// readPCP reads the answer to a MAP request.
func readPCP(b, request []byte) (pcpGranted, error) {
	if len(b) < 4 || b[1]&pcpAnswer == 0 {
		return pcpGranted{}, errNotOurs
	}
	if b[0] != pcpVersion { // a NAT-PMP router (RFC 6887 §9)
		return pcpGranted{}, fmt.Errorf("%w: it does not speak PCP", errNobody)
	}
	if b[1] != pcpAnswer|pcpMap || len(b) < pcpLen || !bytes.Equal(b[24:42], request[24:42]) { // nonce, protocol, inner port
		return pcpGranted{}, errNotOurs
	}
	switch code := b[3]; code {
	case 0:
	case pcpNetworkFailure:
		return pcpGranted{}, errNoWay
	case pcpCannotProvide:
		return pcpGranted{}, errOccupied
	case pcpUnsupported:
		return pcpGranted{}, fmt.Errorf("%w: it does not speak this PCP", errNobody)
	default:
		return pcpGranted{}, fmt.Errorf("%w: PCP result %d", errRefused, code)
	}
	outside, _ := netip.AddrFromSlice(b[44:60])
	if outside = outside.Unmap(); !outside.Is4() { // it was asked for one of IPv4
		outside = netip.Addr{}
	}
	return pcpGranted{
		lease: time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second,
		port:  binary.BigEndian.Uint16(b[42:]), outside: outside,
	}, nil
}
