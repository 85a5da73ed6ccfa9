package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// clock judges whether this machine knows the time. With a clock that is behind,
// no authority can be spoken to; with one that is ahead, everything looks over and
// would be ordered again and again. So nothing is ordered, and nothing that is
// over is thrown away, before the authority itself has told much the same time.
// What is served does not depend on it.
type clock struct {
	directory string // URL at the authority
	roots     *x509.CertPool
	now       func() time.Time

	asking sync.Mutex // one at a time asks; handshakes never wait for that

	mu    sync.Mutex // guards what follows
	sane  bool
	asked time.Time // monotonic: when it was sane last
}

const (
	clockHolds = time.Hour      // a clock that was right stays so this long
	clockOff   = 24 * time.Hour // what it may be off
)

// check returns nil when the clock is right, else a *Failure or why it cannot be
// told. It may ask, and take half a minute for it.
func (c *clock) check(ctx context.Context) error {
	c.asking.Lock()
	defer c.asking.Unlock()
	here := c.now()
	c.mu.Lock()
	holds := c.sane && time.Since(c.asked) < clockHolds && here.After(epoch)
	c.mu.Unlock()
	if holds {
		return nil
	}
	err := c.compare(ctx, here)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sane, c.asked = err == nil, time.Now()
	return err
}

// compare compares this machine's time with the authority's.
func (c *clock) compare(ctx context.Context, here time.Time) error {
	if here.Before(epoch) {
		return wrongClock(here, time.Time{})
	}
	there, err := c.ask(ctx)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return wrongClock(here, time.Time{})
	}
	if err != nil {
		return err
	}
	if here.Sub(there).Abs() > clockOff {
		return wrongClock(here, there)
	}
	return nil
}

// believed reports whether the clock was right when it was last looked at. It does
// not wait for a look that is under way.
func (c *clock) believed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sane
}

// ask asks the authority what time it is.
func (c *clock) ask(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.directory, nil)
	if err != nil {
		return time.Time{}, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: c.roots, Time: c.now},
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return time.Time{}, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return time.Time{}, fmt.Errorf("its directory answers %s", resp.Status)
	}
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}, errors.New("its answer has no date")
	}
	return there, nil
}
