package certs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestMembersNamesAreOrderedWhenAskedFor(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	dir := t.TempDir()
	var asked sync.Map // each name that was looked up
	var left atomic.Bool
	members := func(c *Config) {
		c.Members = Members{Domain: "Home.test", Is: func(_ context.Context, name string) bool {
			asked.Store(name, true)
			return strings.HasPrefix(name, "jeannine") && !left.Load()
		}}
	}
	t.Run("at first", func(t *testing.T) { // its end closes these certificates
		c := l.start(t, dir, members)
		if cert := visit(t, l, "jeannine.home.test"); !pebbles(cert) || cert.VerifyHostname("jeannine.home.test") != nil {
			t.Fatalf("the first visitor of a member is shown %v by %s", cert.DNSNames, cert.Issuer)
		}
		for _, stranger := range []string{"mallory.home.test", "x.jeannine.home.test", "home.test", "-jeannine.home.test", "jeannine.elsewhere.test"} {
			if cert := visit(t, l, stranger); pebbles(cert) {
				t.Errorf("%s is shown %v by %s", stranger, cert.DNSNames, cert.Issuer)
			}
			if c.public.find(stranger) != nil || c.public.failure(stranger) != nil {
				t.Errorf("a certificate for %s was ordered", stranger)
			}
		}
		// Known members are looked up again in the background, so names count, not calls.
		var names []string
		for name := range asked.Range {
			names = append(names, name.(string))
		}
		slices.Sort(names)
		if want := []string{"jeannine", "mallory"}; !slices.Equal(names, want) {
			t.Errorf("looked up: %q, want %q: no other name could be a member's", names, want)
		}

		// No more than an authority allows.
		for i := range 8 {
			visit(t, l, "jeannine-"+itoa(i)+".home.test")
		}
		had := 0
		for i := range 8 {
			if c.public.find("jeannine-"+itoa(i)+".home.test") != nil {
				had++
			}
		}
		if had != 6 { // with the first one: seven
			t.Errorf("%d further certificates were had in one hour", had)
		}
	})

	// What is kept needs no new order; who leaves is looked after no more.
	c := l.start(t, dir, members)
	if cert := visit(t, l, "jeannine.home.test"); !pebbles(cert) {
		t.Errorf("after a restart a member's visitor is shown %s", cert.Issuer)
	}
	left.Store(true)
	until(t, "a member who left is forgotten", func() bool {
		c.members.mu.Lock()
		defer c.members.mu.Unlock()
		return len(c.members.known) == 0
	})
	t.Logf("SHOW names of members: ordered at the first handshake, which waited for it; of 5 made-up names none; of 9 members 7 in an hour")
}
