package neighbourhood

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sync/errgroup"
)

// Names and numbers of Avahi's D-Bus interface (avahi-common/defs.h).
const (
	avahiName  = "org.freedesktop.Avahi"
	avahiGroup = avahiName + ".EntryGroup"

	anyProtocol    = int32(-1)
	noReverse      = uint32(16) // the reverse record is the host's own
	groupMade      = int32(2)   // AVAHI_ENTRY_GROUP_ESTABLISHED
	groupCollision = int32(3)
	groupFailure   = int32(4)

	collision = avahiName + ".CollisionError"
)

// errNoAvahi: Avahi does not run on this machine, or not for us.
var errNoAvahi = errors.New("no Avahi on this machine")

// avahi connects to the bus if Avahi is on it; it is not started for our sake.
func (a *Announcer) avahi(ctx context.Context) (*dbus.Conn, error) {
	var conn *dbus.Conn
	var err error
	if a.cfg.Bus != "" {
		conn, err = dbus.Connect(a.cfg.Bus, dbus.WithContext(ctx))
	} else {
		conn, err = dbus.ConnectSystemBus(dbus.WithContext(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoAvahi, err)
	}
	if !onBus(ctx, conn) {
		conn.Close()
		return nil, errNoAvahi
	}
	return conn, nil
}

func onBus(ctx context.Context, conn *dbus.Conn) bool {
	var runs bool
	err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, avahiName).Store(&runs)
	return err == nil && runs
}

// throughAvahi lets Avahi announce until ctx ends or something changes. Avahi
// itself asks for the name once more, as RFC 6762 §8.1 wants it.
func (a *Announcer) throughAvahi(ctx context.Context, bus *dbus.Conn, links []link) error {
	server := bus.Object(avahiName, "/")
	host, err := hostName(ctx, server)
	if err != nil {
		return err
	}
	states := make(chan *dbus.Signal, 64)
	bus.Signal(states)
	if err := bus.AddMatchSignalContext(ctx, dbus.WithMatchSender(avahiName), dbus.WithMatchInterface(avahiGroup), dbus.WithMatchMember("StateChanged")); err != nil {
		return fmt.Errorf("cannot listen to Avahi: %w", err)
	}
	var path dbus.ObjectPath
	if err := server.CallWithContext(ctx, avahiName+".Server.EntryGroupNew", 0).Store(&path); err != nil {
		return fmt.Errorf("cannot ask Avahi: %w", err)
	}
	group := bus.Object(avahiName, path) // Avahi frees it when the connection ends
	if err := a.fill(ctx, group, links, host); err != nil {
		if e, ok := errors.AsType[dbus.Error](err); ok && e.Name == collision { // somebody else on this machine
			return takenError{}
		}
		return fmt.Errorf("cannot announce through Avahi: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.follow(ctx, states, path) })
	g.Go(func() error {
		return a.watch(ctx, links, func(ctx context.Context) bool {
			now, err := hostName(ctx, server)
			return err != nil || now != host // gone, begun anew, or called otherwise
		})
	})
	return g.Wait()
}

// fill puts the name's addresses, if the host is called otherwise, and the
// service into the group, link by link.
func (a *Announcer) fill(ctx context.Context, group dbus.BusObject, links []link, host string) error {
	name := a.local()
	for _, l := range links {
		on := int32(l.ifi.Index)
		if !strings.EqualFold(host, name) {
			for _, p := range l.nets {
				if err := group.CallWithContext(ctx, avahiGroup+".AddAddress", 0, on, anyProtocol, noReverse, name, p.Addr().String()).Err; err != nil {
					return err
				}
			}
		}
		if err := group.CallWithContext(ctx, avahiGroup+".AddService", 0, on, anyProtocol, uint32(0),
			a.cfg.Name, "_https._tcp", "local", name, uint16(a.cfg.Port), [][]byte{[]byte("path=/")}).Err; err != nil {
			return err
		}
	}
	return group.CallWithContext(ctx, avahiGroup+".Commit", 0).Err
}

// follow tells what becomes of the group until ctx ends or it comes to nothing.
func (a *Announcer) follow(ctx context.Context, states <-chan *dbus.Signal, path dbus.ObjectPath) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s, ok := <-states:
			if !ok {
				return errChanged // the bus is gone
			}
			if s.Path != path || len(s.Body) != 2 {
				continue
			}
			now, _ := s.Body[0].(int32)
			why, _ := s.Body[1].(string)
			switch now {
			case groupMade:
				a.become(state{kind: byAvahi})
			case groupCollision:
				return takenError{who: netip.Addr{}}
			case groupFailure:
				return fmt.Errorf("avahi cannot announce it: %s", why)
			}
		}
	}
}

func hostName(ctx context.Context, server dbus.BusObject) (name string, err error) {
	if err := server.CallWithContext(ctx, avahiName+".Server.GetHostNameFqdn", dbus.FlagNoAutoStart).Store(&name); err != nil {
		return "", fmt.Errorf("cannot ask Avahi for the host's name: %w", err)
	}
	return name, nil
}
