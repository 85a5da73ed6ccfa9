package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/huin/goupnp"
	igd "github.com/huin/goupnp/dcps/internetgateway2"
	"github.com/huin/goupnp/soap"
)

// connection is the service of an Internet Gateway Device that has the mappings,
// the same in both versions.
type connection interface {
	AddPortMappingCtx(ctx context.Context, remote string, outside uint16, protocol string, inside uint16, client string, enabled bool, what string, seconds uint32) error
	DeletePortMappingCtx(ctx context.Context, remote string, outside uint16, protocol string) error
	GetExternalIPAddressCtx(ctx context.Context) (string, error)
	GetServiceClient() *goupnp.ServiceClient
}

var (
	_ connection = (*igd.WANIPConnection2)(nil)
	_ connection = (*igd.WANIPConnection1)(nil)
	_ connection = (*igd.WANPPPConnection1)(nil)
)

// upnp is one router that speaks UPnP.
type upnp struct{ c connection }

// Errors of WANIPConnection:2 §2.5.
const (
	upnpConflict       = 718 // the port leads to another machine
	upnpOnlyPermanent  = 725
	upnpOtherMechanism = 729
)

// discover looks for routers for about 2 s: version 2 and version 1 are looked for
// apart, since one does not answer for the other. The gateway's come first.
func discover(ctx context.Context, gateway netip.Addr) ([]door, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	found := make([][]connection, 3)
	wg.Go(func() { found[0] = search(ctx, igd.NewWANIPConnection2ClientsCtx) })
	wg.Go(func() { found[1] = search(ctx, igd.NewWANIPConnection1ClientsCtx) })
	wg.Go(func() { found[2] = search(ctx, igd.NewWANPPPConnection1ClientsCtx) })
	wg.Wait()
	all := slices.Concat(found...)
	slices.SortStableFunc(all, func(a, b connection) int { return far(a, gateway) - far(b, gateway) })
	var out []door
	for _, c := range all {
		out = append(out, &upnp{c})
	}
	if len(out) == 0 {
		return nil, errNobody
	}
	return out, nil
}

func search[C connection](ctx context.Context, clients func(context.Context) ([]C, []error, error)) []connection {
	cs, _, err := clients(ctx)
	if err != nil {
		return nil
	}
	var out []connection
	for _, c := range cs {
		if s := c.GetServiceClient(); s.LocalAddr() != nil && atHome(s.Location) && s.Service.ControlURL.URL.Host == s.Location.Host {
			out = append(out, c)
		}
	}
	return out
}

// atHome reports whether a URL leads into the home network and not, by a
// stranger's wish, elsewhere.
func atHome(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && (a.IsPrivate() || a.IsLinkLocalUnicast())
}

func far(c connection, gateway netip.Addr) int {
	if a, err := netip.ParseAddr(c.GetServiceClient().Location.Hostname()); err == nil && a == gateway {
		return 0
	}
	return 1
}

func (d *upnp) outside(ctx context.Context) (netip.Addr, error) {
	text, err := d.c.GetExternalIPAddressCtx(ctx)
	if err != nil {
		return netip.Addr{}, upnpError(err)
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsUnspecified() { // empty, when there is none
		return netip.Addr{}, errNoWay
	}
	return a, nil
}

func (d *upnp) ask(ctx context.Context, p Port, lease time.Duration) (time.Duration, error) {
	client := d.c.GetServiceClient().LocalAddr().String()
	err := d.c.AddPortMappingCtx(ctx, "", p.Outside, "TCP", p.Inside, client, true, "Foyer", uint32(lease/time.Second))
	if upnpCode(err) == upnpOnlyPermanent { // then it is taken back at the end, or never
		err = d.c.AddPortMappingCtx(ctx, "", p.Outside, "TCP", p.Inside, client, true, "Foyer", 0)
	}
	if err != nil {
		return 0, upnpError(err)
	}
	return lease, nil
}

func (d *upnp) forget(ctx context.Context, p Port) error {
	if err := d.c.DeletePortMappingCtx(ctx, "", p.Outside, "TCP"); err != nil {
		return upnpError(err)
	}
	return nil
}

func upnpCode(err error) int {
	if fault, ok := errors.AsType[*soap.SOAPFaultError](err); ok {
		return fault.Detail.UPnPError.Errorcode
	}
	return 0
}

func upnpError(err error) error {
	switch code := upnpCode(err); code {
	case 0:
		return fmt.Errorf("%w: %w", errNobody, err)
	case upnpConflict, upnpOtherMechanism:
		return errOccupied
	default:
		return fmt.Errorf("%w: UPnP error %d", errRefused, code)
	}
}
