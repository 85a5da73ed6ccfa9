package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/huin/goupnp"
	igd "github.com/huin/goupnp/dcps/internetgateway2"
	"github.com/huin/goupnp/soap"

	"github.com/foyer-server/foyer/internal/netname"
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

// kinds are the services that are looked for, the best first, and what speaks to them.
func kinds() []kindOfService {
	return []kindOfService{
		{igd.URN_WANIPConnection_2, func(c goupnp.ServiceClient) connection { return &igd.WANIPConnection2{ServiceClient: c} }},
		{igd.URN_WANIPConnection_1, func(c goupnp.ServiceClient) connection { return &igd.WANIPConnection1{ServiceClient: c} }},
		{igd.URN_WANPPPConnection_1, func(c goupnp.ServiceClient) connection { return &igd.WANPPPConnection1{ServiceClient: c} }},
	}
}

type kindOfService struct {
	urn   string
	speak func(goupnp.ServiceClient) connection
}

// upnp is one service of the gateway.
type upnp struct {
	c   connection
	own netip.Addr // this machine's address on the way to it
}

// Errors of WANIPConnection:2 §2.5.
const (
	upnpConflict       = 718 // the port leads to another machine
	upnpOnlyPermanent  = 725
	upnpOtherMechanism = 729
)

// discover looks for the gateway's services for about 2 s. A gateway that is not a
// home's is not asked.
func discover(ctx context.Context, gateway, own netip.Addr) ([]door, error) {
	if netname.Of(gateway) != netname.Home {
		return nil, errNobody
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := search{gateway: gateway, own: own, ask: []netip.AddrPort{ssdpGroup(), netip.AddrPortFrom(gateway, ssdpGroup().Port())}, lasts: 2 * time.Second}
	var out []door
	for _, c := range s.services(ctx) {
		out = append(out, &upnp{c, own})
	}
	if len(out) == 0 {
		return nil, errNobody
	}
	return out, nil
}

func (d *upnp) outside(ctx context.Context) (netip.Addr, error) {
	text, err := d.c.GetExternalIPAddressCtx(ctx)
	if err != nil {
		return netip.Addr{}, upnpError(err)
	}
	a, err := netip.ParseAddr(text)
	if a = a.Unmap(); err != nil || !a.Is4() || a.IsUnspecified() { // empty, when there is none
		return netip.Addr{}, errNoWay
	}
	return a, nil
}

func (d *upnp) ask(ctx context.Context, p Port, lease time.Duration) (time.Duration, error) {
	err := d.c.AddPortMappingCtx(ctx, "", p.Outside, "TCP", p.Inside, d.own.String(), true, "Foyer", uint32(lease/time.Second))
	if upnpCode(err) == upnpOnlyPermanent { // then it is taken back at the end, or never
		err = d.c.AddPortMappingCtx(ctx, "", p.Outside, "TCP", p.Inside, d.own.String(), true, "Foyer", 0)
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

// upnpError is what an error of the library means. The library's words hold what the
// other side wrote, whatever its length.
func upnpError(err error) error {
	switch code := upnpCode(err); code {
	case 0:
		return fmt.Errorf("%w: UPnP: %.200q", errNobody, err.Error())
	case upnpConflict, upnpOtherMechanism:
		return errOccupied
	default:
		return fmt.Errorf("%w: UPnP error %d", errRefused, code)
	}
}
