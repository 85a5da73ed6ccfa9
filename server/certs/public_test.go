package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/foyer-server/foyer/internal/hint"
)

// A handshake wants to know whether the clock is right while an authority that does
// not answer is being asked: it is told what is known.
func TestNoHandshakeWaitsForTheClock(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	authority := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-answer
	}))
	defer authority.Close()
	k := &clock{directory: authority.URL, now: time.Now}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(answer)
	wg.Go(func() { k.check(t.Context()) }) //nolint:errcheck // that it is still under way is the point
	<-asked
	told := make(chan bool)
	wg.Go(func() {
		select {
		case told <- k.believed():
		case <-answer:
		}
	})
	select {
	case right := <-told:
		if right {
			t.Error("a clock nobody has compared yet is believed")
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the authority")
	}
}

// What is wrong with the settings of public certificates is told of, and nothing is
// ordered; visitors are served all the same.
func TestWrongSettingsStopNoServer(t *testing.T) {
	authority := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "Go-http-client/1.1" { // which is who asks for the time; acmez says its name
			t.Errorf("%s asks the authority", r.UserAgent())
		}
		http.NotFound(w, r)
	}))
	defer authority.Close()
	wrong := hint.New("dns-provider", hint.T("It needs a token.", "Il lui faut un jeton."), hint.Text{}, hint.T("Add it.", "Ajoutez-le."))
	for name, public := range map[string]Public{
		"no such file of roots": {CA: authority.URL, Roots: "/nowhere/roots.pem"},
		"no such provider":      {CA: authority.URL, Problem: wrong},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logged{}
			c, err := open(t.Context(), Config{
				Dir: t.TempDir(), Name: "wrong", Addresses: []string{"cloud.home.test"}, Public: public, Log: slog.New(slog.NewTextHandler(log, nil)),
			}, usual)
			if err != nil {
				t.Fatal(err)
			}
			f := &fixture{c, "", log}
			t.Cleanup(c.Close)
			until(t, "a word of it", func() bool { return c.public.failure("cloud.home.test") != nil })
			if got := c.public.failure("cloud.home.test"); got.Kind != "settings" || got.What.FR == "" || got.Do.IsZero() {
				t.Errorf("it says %+v", got)
			}
			f.mustServe(t, "wrong.local", "10.0.0.1", "wrong.local")
		})
	}
}

// Why the last order failed is not forgotten because the next one has to wait.
func TestWaitingHidesNoCause(t *testing.T) {
	o := &public{log: slog.New(slog.DiscardHandler), failures: map[string]*Failure{}}
	waits := heldBackUntil("cloud.home.test", time.Now().Add(time.Hour))
	o.failed("cloud.home.test", waits)
	if got := o.failure("cloud.home.test"); got != waits {
		t.Errorf("with nothing else to tell it tells %+v", got)
	}
	cause := explain("cloud.home.test", "the authority", errors.New("no route to host"))
	o.failed("cloud.home.test", cause)
	o.failed("cloud.home.test", waits)
	if got := o.failure("cloud.home.test"); got != cause {
		t.Errorf("it tells %+v", got)
	}
	o.failed("cloud.home.test", nil)
	if got := o.failure("cloud.home.test"); got != nil {
		t.Errorf("when all is well it tells %+v", got)
	}
}

// A look at a certificate while another server writes it sees a key that is not
// that certificate's. It is not thrown away: by the time nobody writes, it is whole.
func TestHalfWrittenIsNotThrownAway(t *testing.T) {
	l := openLab(t)
	c := l.start(t, t.TempDir(), nil, "half.home.test")
	until(t, "the first one", func() bool { return pebbles(visit(t, l, "half.home.test")) })
	first := visit(t, l, "half.home.test").SerialNumber
	key := certmagic.StorageKeys.SitePrivateKey(c.public.issuer.IssuerKey(), "half.home.test")
	whole, err := c.storage.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.storage.Lock(t.Context(), "issue_cert_half.home.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.storage.Store(t.Context(), key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	if _, err := c.public.load(t.Context(), "half.home.test"); err == nil {
		t.Fatal("a key that is not the certificate's can be loaded")
	}
	looked := make(chan error, 1)
	go func() { looked <- c.public.attend(t.Context(), "half.home.test", false) }()
	select {
	case err := <-looked:
		t.Errorf("it did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := c.storage.Store(t.Context(), key, whole); err != nil {
		t.Fatal(err)
	}
	if err := c.storage.Unlock(t.Context(), "issue_cert_half.home.test"); err != nil {
		t.Fatal(err)
	}
	if err := <-looked; err != nil {
		t.Error(err)
	}
	if got := visit(t, l, "half.home.test").SerialNumber; got.Cmp(first) != 0 {
		t.Error("it was ordered anew")
	}
}
