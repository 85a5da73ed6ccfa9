package certs

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
)

func TestMembersNamesAreOrderedWhenAskedFor(t *testing.T) {
	l := openLab(t)
	dir := t.TempDir()
	var asked, left atomic.Int32
	members := func(c *Config) {
		c.Members = Members{Domain: "Home.test", Is: func(_ context.Context, name string) bool {
			asked.Add(1)
			return strings.HasPrefix(name, "jeannine") && left.Load() == 0
		}}
	}
	t.Run("at first", func(t *testing.T) { // its end closes these certificates
		c := l.start(t, dir, members)
		if cert := visit(t, l, "jeannine.home.test"); !pebbles(cert) || cert.VerifyHostname("jeannine.home.test") != nil {
			t.Fatalf("the first visitor of a member is shown %v by %s", cert.DNSNames, cert.Issuer)
		}
		before := asked.Load()
		for _, stranger := range []string{"mallory.home.test", "x.jeannine.home.test", "home.test", "-jeannine.home.test", "jeannine.elsewhere.test"} {
			if cert := visit(t, l, stranger); pebbles(cert) {
				t.Errorf("%s is shown %v by %s", stranger, cert.DNSNames, cert.Issuer)
			}
			if c.public.find(stranger) != nil || c.public.failure(stranger) != nil {
				t.Errorf("a certificate for %s was ordered", stranger)
			}
		}
		if n := asked.Load() - before; n != 1 {
			t.Errorf("%d names of strangers were looked up; only mallory could be a member", n)
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
	left.Store(1)
	until(t, "a member who left is forgotten", func() bool {
		c.members.mu.Lock()
		defer c.members.mu.Unlock()
		return len(c.members.known) == 0
	})
	t.Logf("SHOW names of members: ordered at the first handshake, which waited for it; of 5 made-up names none; of 9 members 7 in an hour")
}
