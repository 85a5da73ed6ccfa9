package router

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/health"
)

func TestReach(t *testing.T) {
	for addr, want := range map[string]kind{
		"8.8.4.4": public, "2001:4860:4860::8844": public, "100.64.1.2": carrier, "100.127.255.255": carrier, "::ffff:100.64.1.2": carrier,
		"100.128.0.1": public, "192.168.0.1": private, "10.1.2.3": private, "172.16.0.1": private, "fd00::1": private, "fe80::1": private,
		"192.0.0.2": carrier, "203.0.113.9": private, "2001:db8::9": private, "198.18.0.1": private, "240.0.0.1": private, "127.0.0.1": private, "192.0.0.170": private,
		"0.0.0.0": none, "::": none, "::ffff:0.0.0.0": none,
	} {
		if got := reach(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
	if reach(netip.Addr{}) != none {
		t.Error("no address is not none")
	}
}

func testRouter() *Router {
	return New(Config{Ports: []Port{{443, 8443}, {80, 8080}}, Log: slog.New(slog.DiscardHandler)})
}

func TestFindings(t *testing.T) {
	shared, good := netip.MustParseAddr("100.64.1.2"), netip.MustParseAddr("8.8.4.4")
	for _, c := range []struct {
		name string
		s    State
		want health.Severity
		says string
	}{
		{"not asked yet", State{}, health.OK, "is being asked"},
		{"yes, nobody tried", State{Asked: true, Outside: good}, health.Info, "nobody has tried it"},
		{"yes, and it works", State{Asked: true, Outside: good, Proof: GetsIn}, health.OK, "it was tried"},
		{"yes, and it does not work", State{Asked: true, Outside: good, Proof: StaysOut}, health.Warning, "from outside they do not"},
		{"yes, but that is a lie", State{Asked: true, Outside: shared}, health.Warning, "(the router has 100.64.1.2)"},
		{"no, behind carrier NAT", State{Outside: shared, Err: errRefused}, health.Warning, "(the router has 100.64.1.2)"},
		{"yes, behind another router", State{Asked: true, Outside: netip.MustParseAddr("192.168.0.7")}, health.Warning, "outside it is 192.168.0.7"},
		{"yes, with no address", State{Asked: true}, health.Warning, "no Internet address of its own"},
		{"no address", State{Err: errNoWay}, health.Warning, "no Internet address of its own"},
		{"port of another machine", State{Outside: good, Err: errOccupied}, health.Warning, "to another machine"},
		{"refused", State{Outside: good, Err: errRefused}, health.Warning, "refuses"},
		{"nobody", State{Err: errNobody}, health.Warning, "No router answers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := testRouter().finding(c.s)
			if got.Severity != c.want || !strings.Contains(got.What.EN, c.says) || got.Severity == health.Warning && got.Do.IsZero() {
				t.Errorf("%+v", got)
			}
		})
	}
}

// fakeDoor says yes to the ports in open, no to others.
type fakeDoor struct {
	open   map[uint16]time.Duration
	forgot []uint16
}

func (d *fakeDoor) ask(_ context.Context, p Port, _ time.Duration) (time.Duration, error) {
	if granted, ok := d.open[p.Outside]; ok {
		return granted, nil
	}
	return 0, errRefused
}

func (d *fakeDoor) outside(context.Context) (netip.Addr, error) { return netip.Addr{}, errNoWay }

func (d *fakeDoor) forget(_ context.Context, p Port) error {
	d.forgot = append(d.forgot, p.Outside)
	return nil
}

func TestAllPortsOrNone(t *testing.T) {
	d := &fakeDoor{open: map[uint16]time.Duration{443: time.Hour}}
	if _, err := testRouter().askAll(t.Context(), d); !errors.Is(err, errRefused) || len(d.forgot) != 1 || d.forgot[0] != 443 {
		t.Errorf("%v; taken back: %v", err, d.forgot)
	}
	d = &fakeDoor{open: map[uint16]time.Duration{443: time.Hour, 80: 20 * time.Second}}
	if granted, err := testRouter().askAll(t.Context(), d); err != nil || granted != 20*time.Second || d.forgot != nil {
		t.Errorf("granted %v, %v; taken back: %v", granted, err, d.forgot)
	}
}

func TestReadPCP(t *testing.T) {
	d := &pcp{own: netip.MustParseAddr("192.168.1.20"), secret: []byte("secret")}
	request := d.request(Port{443, 8443}, time.Hour)
	answer := func(change func([]byte)) []byte {
		b := make([]byte, pcpLen)
		copy(b, request)
		b[1] |= pcpAnswer
		b[3] = 0
		binary.BigEndian.PutUint32(b[4:], 1800)
		outside := netip.MustParseAddr("8.8.4.4").As16()
		copy(b[44:], outside[:])
		change(b)
		return b
	}
	got, err := readPCP(answer(func([]byte) {}), request)
	if want := (pcpGranted{30 * time.Minute, 443, netip.MustParseAddr("8.8.4.4")}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, c := range []struct {
		name   string
		change func([]byte)
		want   error
	}{
		{"another nonce", func(b []byte) { b[24]++ }, errNotOurs},
		{"another port", func(b []byte) { b[41]++ }, errNotOurs},
		{"a request", func(b []byte) { b[1] = pcpMap }, errNotOurs},
		{"a NAT-PMP router", func(b []byte) { b[0] = 0 }, errNobody},
		{"no line", func(b []byte) { b[3] = pcpNetworkFailure }, errNoWay},
		{"taken", func(b []byte) { b[3] = pcpCannotProvide }, errOccupied},
		{"not authorized", func(b []byte) { b[3] = 2 }, errRefused},
	} {
		if _, err := readPCP(answer(c.change), request); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	got, err = readPCP(answer(func(b []byte) {
		outside := netip.MustParseAddr("2001:4860:4860::8844").As16()
		copy(b[44:], outside[:])
	}), request)
	if err != nil || got.outside.IsValid() {
		t.Errorf("IPv4 was asked for: %+v, %v", got, err)
	}
	for n := range pcpLen {
		if _, err := readPCP(answer(func([]byte) {})[:n], request); err == nil {
			t.Errorf("an answer of %d bytes was believed", n)
		}
	}
	if other := (&pcp{own: d.own, secret: []byte("other")}).request(Port{443, 8443}, time.Hour); string(other[24:36]) == string(request[24:36]) {
		t.Error("two Foyers have the same nonce")
	}
}
