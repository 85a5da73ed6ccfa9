package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/certs"
	"github.com/foyer-server/foyer/server/people"
)

// How long the storage has to answer, and the whole look: the supervisor waits
// three seconds.
const (
	storageTime = 2 * time.Second
	lookTime    = 2500 * time.Millisecond
)

// Health is what the server says of itself on the Local listener, GET /health:
// with status 200 when it is well, else 503. The supervisor believes it, and starts
// a server that is not well anew; one whose database is another machine's is well
// without it, and goes on by itself when it is back.
type Health struct {
	OK                 bool                   `json:"ok"`
	Version            string                 `json:"version"`
	Claimed            bool                   `json:"claimed"`
	People             int                    `json:"people"`   // who have an account, as counted within the last minute; at most countMost
	Requests           uint64                 `json:"requests"` // begun since this process was started
	Memory             int64                  `json:"memory"`   // of this process, in bytes: nobody else may look (host.NoCoreFiles)
	Storage            string                 `json:"storage"`  // what is wrong with it; empty: nothing
	Fingerprint        string                 `json:"fingerprint"`
	Words              map[hint.Lang][]string `json:"words"`
	Names              []string               `json:"names"`
	CertificateExpires time.Time              `json:"certificate_expires,omitzero"`
	Certificates       []certs.Served         `json:"certificates,omitempty"` // of the names that should not be the home CA's alone
}

// health answers how the server is.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	h := Health{Version: s.Version, Words: map[hint.Lang][]string{}, Names: []string{}}
	claimed, err := s.probe.look(ctx)
	h.Requests, h.Memory = s.requests.Load(), host.ProcessMemory(os.Getpid())
	h.People = int(s.count.people.Load())
	h.OK, h.Claimed = err == nil || s.apart, claimed
	if err != nil {
		h.Storage = err.Error()
	}
	if s.certs != nil {
		h.Fingerprint, h.Names = s.certs.Fingerprint(), s.certs.Names()
		for _, l := range hint.Langs {
			h.Words[l] = s.certs.Words(l)
		}
		// A certificate that cannot be had is no reason to start the server again:
		// the supervisor notices that there is none, and looks at the door itself.
		if h.CertificateExpires, err = s.certs.Expiry(ctx); err != nil {
			s.Log.Error("our own certificate does not hold", "err", err)
		}
		h.Certificates = s.certs.Served(ctx)
	}
	status := http.StatusOK
	if !h.OK {
		status = http.StatusServiceUnavailable
	}
	send(w, status, h)
}

// countMost is where counting people ends, and countEvery how often they are counted.
const (
	countMost  = 1000
	countEvery = time.Minute
)

// count counts people, now and then. It is brought up to date by one look of the
// probe at a time.
type count struct {
	people atomic.Int64
	at     time.Time
}

// look counts who has an account, if it is time.
func (c *count) look(ctx context.Context, a *people.People) {
	if !c.at.IsZero() && time.Since(c.at) < countEvery {
		return
	}
	if all, _, err := a.People(ctx, "", countMost); err == nil { // else: as it was
		c.people.Store(int64(len(all)))
		c.at = time.Now()
	}
}

// probe looks whether the storage answers. A disk that hangs cannot be
// interrupted: its look goes on by itself, one at a time, and who asks meanwhile
// is told how long it has been going on. That goroutine alone is not waited for.
type probe struct {
	check func(context.Context) (claimed bool, err error)

	mu      sync.Mutex
	current *look
	claimed bool // as last seen
}

type look struct {
	since   time.Time
	done    chan struct{}
	claimed bool
	err     error
}

func (p *probe) look(ctx context.Context) (claimed bool, err error) {
	p.mu.Lock()
	l := p.current
	if l == nil {
		l = &look{since: time.Now(), done: make(chan struct{})}
		p.current = l
		go p.run(l)
	}
	last := p.claimed
	p.mu.Unlock()
	timer := time.NewTimer(time.Until(l.since.Add(storageTime)))
	defer timer.Stop()
	select {
	case <-l.done:
		return l.claimed, l.err
	case <-timer.C:
	case <-ctx.Done():
	}
	return last, fmt.Errorf("the storage has not answered for %s", time.Since(l.since).Round(100*time.Millisecond))
}

func (p *probe) run(l *look) {
	ctx, cancel := context.WithTimeout(context.Background(), storageTime)
	defer cancel()
	l.claimed, l.err = p.check(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.err == nil {
		p.claimed = l.claimed
	} else {
		l.claimed = p.claimed
	}
	p.current = nil
	close(l.done)
}
