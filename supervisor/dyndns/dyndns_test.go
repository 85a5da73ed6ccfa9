package dyndns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libdns/libdns"

	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/router"
)

// service is one zone in memory, which keeps count.
type service struct {
	zone string

	mu      sync.Mutex
	records []libdns.Record
	writes  int
	reads   int
	refuses error
}

func (s *service) GetRecords(_ context.Context, zone string) ([]libdns.Record, error) {
	if zone != s.zone {
		return nil, fmt.Errorf("no zone %s", zone)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return slices.Clone(s.records), s.refuses
}

func (s *service) SetRecords(_ context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for _, r := range records {
		s.records = slices.DeleteFunc(s.records, func(o libdns.Record) bool { return o.RR().Name == r.RR().Name && o.RR().Type == r.RR().Type })
	}
	s.records = append(s.records, records...)
	return records, s.refuses
}

func (s *service) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.records {
		out = append(out, r.RR().Name+" "+r.RR().Type+" "+r.RR().Data)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// meddle is somebody else, who changes what is there.
func (s *service) meddle(records ...libdns.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
}

func (s *service) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *service) read() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func address(name, ip string) libdns.Record {
	return libdns.Address{Name: name, IP: netip.MustParseAddr(ip)}
}

func TestKeepsOnlyItsOwnAndWritesOnlyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{zone: "example.org.", records: []libdns.Record{
			address("@", "198.51.100.1"), address("other", "198.51.100.2"), address("cloud", "198.51.100.3"), address("cloud", "2001:db8::3"),
			libdns.TXT{Name: "cloud", Text: "theirs"},
		}}
		var outside atomic.Pointer[netip.Addr]
		move := func(to string) { ip := netip.MustParseAddr(to); outside.Store(&ip) }
		move("8.8.4.4")
		k := New(Config{
			Names: []string{"cloud.example.org"}, Provider: s, Log: slog.New(slog.DiscardHandler),
			Outside: func(context.Context) ([]netip.Addr, error) { return []netip.Addr{*outside.Load()}, nil },
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		synctest.Wait()
		want := "@ A 198.51.100.1\ncloud A 8.8.4.4\ncloud AAAA 2001:db8::3\ncloud TXT theirs\nother A 198.51.100.2"
		if diff := cmp.Diff(want, s.String()); diff != "" {
			t.Error(diff)
		}
		pass := func(d time.Duration) { // inside the bubble: no time passes outside
			time.Sleep(d)
			synctest.Wait()
		}
		pass(24 * time.Hour)
		if n := s.written(); n != 1 {
			t.Errorf("%d writes in a day in which nothing changed", n)
		}
		move("8.8.8.8")
		pass(2 * time.Minute)
		if diff := cmp.Diff(strings.Replace(want, "8.8.4.4", "8.8.8.8", 1), s.String()); diff != "" || s.written() != 2 {
			t.Errorf("%d writes; %s", s.written(), diff)
		}
		s.meddle(address("cloud", "198.51.100.9"))
		pass(2 * time.Hour)
		if got := s.String(); got != "cloud A 8.8.8.8" || s.written() != 3 {
			t.Errorf("%d writes; %s", s.written(), got)
		}
		stop()
		<-ended
	})
}

// An address that is not confirmed changes nothing, however long it is said; what is
// there already needs no confirmation.
func TestWritesOnlyWhatIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{zone: "example.org.", records: []libdns.Record{address("cloud", "8.8.4.4")}}
		var outside atomic.Pointer[netip.Addr]
		say := func(a string) { ip := netip.MustParseAddr(a); outside.Store(&ip) }
		var asked atomic.Int64
		var doubt atomic.Pointer[router.Doubt]
		doubt.Store(&router.Doubt{})
		say("8.8.4.4")
		k := New(Config{
			Names: []string{"cloud.example.org", "www.example.org"}, Provider: s, Log: slog.New(slog.DiscardHandler),
			Outside: func(context.Context) ([]netip.Addr, error) { return []netip.Addr{*outside.Load()}, nil },
			Confirm: func(_ context.Context, a netip.Addr) error {
				if asked.Add(1); a != *outside.Load() {
					t.Errorf("asked for %v", a)
				}
				if d := doubt.Load(); d != nil {
					return d
				}
				return nil
			},
		})
		s.meddle(address("cloud", "8.8.4.4"), address("www", "8.8.4.4"))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		pass := func(d time.Duration) { // inside the bubble: no time passes outside
			time.Sleep(d)
			synctest.Wait()
		}
		pass(24 * time.Hour)
		if n := asked.Load(); n > 0 || s.written() > 0 {
			t.Errorf("nothing differs, and %d were asked, %d written", n, s.written())
		}
		say("6.6.6.6")
		reads := s.read()
		pass(24 * time.Hour)
		if got := s.String(); got != "cloud A 8.8.4.4\nwww A 8.8.4.4" || s.written() > 0 || asked.Load() == 0 {
			t.Errorf("asked %d times, %d writes: %s", asked.Load(), s.written(), got)
		}
		if n := s.read() - reads; n > 30 {
			t.Errorf("the service was read %d times in a day for what was not confirmed", n)
		}
		for _, c := range []struct {
			doubt *router.Doubt
			cause string
			says  string
		}{
			{&router.Doubt{}, "address-unconfirmed", "is 6.6.6.6; nothing else confirms it"},
			{&router.Doubt{Other: netip.MustParseAddr("8.8.4.4")}, "address-contradicted", "asked in another way it is 8.8.4.4"},
			{&router.Doubt{Witness: "peer.example", Other: netip.MustParseAddr("8.8.4.4")}, "address-contradicted", "peer.example sees this connection at 8.8.4.4"},
			{&router.Doubt{Witness: "peer.example", Err: errors.New("no route")}, "witness-silent", "peer.example, which has to confirm it, does not answer"},
		} {
			doubt.Store(c.doubt)
			pass(3 * time.Minute)
			got := k.Checks()[0].Run(ctx)
			if got.Severity != health.Warning || got.Cause != c.cause || !strings.Contains(got.What.EN, c.says) || got.Did.IsZero() || got.Do.IsZero() {
				t.Errorf("%+v: %+v", c.doubt, got)
			}
		}
		doubt.Store(nil)
		pass(3 * time.Minute)
		if got := s.String(); got != "cloud A 6.6.6.6\nwww A 6.6.6.6" || k.Checks()[0].Run(ctx).Severity != health.OK {
			t.Errorf("confirmed, and %s", got)
		}
		stop()
		<-ended
	})
}

// A page without encryption is not where an encrypted one may lead.
func TestAPeerDoesNotLeadOutOfEncryption(t *testing.T) {
	asked := 0
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(w, "6.6.6.6")
	}))
	defer open.Close()
	to := open.URL
	encrypted := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/address" {
			fmt.Fprint(w, "8.8.4.4")
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	defer encrypted.Close()
	c := &http.Client{Transport: encrypted.Client().Transport, CheckRedirect: redirect}
	if resp, err := c.Get(encrypted.URL); err == nil || asked > 0 {
		t.Errorf("it led to %v", resp.Request.URL)
	}
	to = encrypted.URL + "/address"
	if resp, err := c.Get(encrypted.URL); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	to = encrypted.URL
	if _, err := c.Get(encrypted.URL); err == nil {
		t.Error("it went around in circles")
	}
}

func TestNeverWritesWhatNobodyReaches(t *testing.T) {
	for _, outside := range []string{"100.64.1.2", "192.168.1.1", "0.0.0.0"} {
		s := &service{zone: "example.org."}
		k := New(Config{
			Names: []string{"cloud.example.org"}, Provider: s, Log: slog.New(slog.DiscardHandler),
			Outside: func(context.Context) ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr(outside)}, nil },
		})
		if _, err := k.keep(t.Context()); !errors.Is(err, errNowhere) || s.written() > 0 {
			t.Errorf("%s: %v, %d writes", outside, err, s.written())
		}
	}
}

func TestFindings(t *testing.T) {
	k := New(Config{Names: []string{"cloud.example.org"}, Log: slog.New(slog.DiscardHandler)})
	addrs := []netip.Addr{netip.MustParseAddr("8.8.4.4")}
	for _, c := range []struct {
		s    state
		want health.Severity
		says string
	}{
		{state{}, health.OK, ""},
		{state{addrs: addrs, done: true}, health.OK, "cloud.example.org points at 8.8.4.4."},
		{state{err: errNowhere, done: true}, health.Warning, "not known which address"},
		{state{addrs: addrs, err: errors.New("401"), done: true}, health.Warning, "did not let cloud.example.org point at 8.8.4.4"},
	} {
		k.become(c.s)
		got := k.Checks()[0].Run(t.Context())
		if got.Severity != c.want || !strings.Contains(got.What.EN, c.says) || got.Severity == health.Warning && got.Do.IsZero() {
			t.Errorf("%+v: %+v", c.s, got)
		}
	}
}

func TestZones(t *testing.T) {
	for _, c := range []struct{ zone, name, want string }{
		{"", "cloud.example.org", "example.org."}, {"", "example.org", "example.org."}, {"example.co.uk", "example.co.uk", "example.co.uk."},
	} {
		if got := New(Config{Zone: c.zone}).zoneOf(c.name); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestPeer(t *testing.T) {
	answer := "8.8.4.4\n"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	defer srv.Close()
	got, err := Peer(srv.URL)(t.Context())
	if err != nil || len(got) != 1 || got[0] != netip.MustParseAddr("8.8.4.4") {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"<html>", "2001:4860::1", ""} {
		answer = wrong
		if got, err := Peer(srv.URL)(t.Context()); err == nil {
			t.Errorf("%q was believed: %v", wrong, got)
		}
	}
}
