package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
)

// How long the storage has to answer, and the whole look: the supervisor waits
// three seconds.
const (
	storageTime = 2 * time.Second
	lookTime    = 2500 * time.Millisecond
)

// health answers how the server is.
func (s private) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	h := report.Health{Version: s.Version, Words: map[hint.Lang][]string{}, Names: []string{}}
	trouble := s.trouble()
	var err error
	if s.down != nil {
		h.Failed, h.Storage = true, s.down.Error()
	} else {
		h.Claimed, err = s.probe.look(ctx)
		trouble = s.trouble() // the look may have met it
		h.Busy = errors.Is(err, errBusy)
		h.OK = err == nil || h.Busy || s.apart || damaged(trouble)
	}
	h.Data, h.Shared = s.data.get(), s.apart
	if trouble == nil { // what keeps no request from being answered, but for its own
		trouble = s.met()
	}
	if trouble != nil {
		h.Trouble = report.ProblemOf(trouble)
	}
	if s.door != nil {
		h.Accepted = s.door.Accepted()
	}
	h.Requests, h.Memory = s.requests.Load(), host.ProcessMemory(os.Getpid())
	h.People = int(s.count.people.Load())
	if s.store != nil {
		h.Progress = s.store.Progress()
	}
	switch {
	case err != nil && !h.Busy:
		h.Storage = err.Error()
	case trouble != nil && h.Storage == "":
		h.Storage = trouble.Error()
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

// errBusy: the storage has not answered the probe in its time, and others meanwhile.
var errBusy = errors.New("the storage is busy")

// probe looks whether the storage answers. A disk that hangs cannot be
// interrupted: its look goes on by itself, one at a time, and who asks meanwhile
// is told how long it has been going on. That goroutine alone is not waited for.
type probe struct {
	check    func(context.Context) (claimed bool, err error)
	progress func() uint64 // of the storage; nil: not known

	mu      sync.Mutex
	current *look
	claimed bool   // as last seen
	seen    uint64 // the progress when somebody was last told that it is late
}

type look struct {
	since   time.Time
	done    chan struct{}
	claimed bool
	err     error
}

// look returns whether there is an owner, as last seen, and what is wrong with the
// storage: errBusy when it is late and others are answered. It waits for storageTime at
// most.
func (p *probe) look(ctx context.Context) (claimed bool, err error) {
	p.mu.Lock()
	l := p.current
	if l == nil {
		l = &look{since: time.Now(), done: make(chan struct{})}
		p.current, p.seen = l, p.made()
		go p.run(l)
	}
	last := p.claimed
	p.mu.Unlock()
	timer := time.NewTimer(time.Until(l.since.Add(storageTime)))
	defer timer.Stop()
	select {
	case <-l.done:
		if !errors.Is(l.err, context.DeadlineExceeded) {
			return l.claimed, l.err
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	before := p.seen
	p.seen = p.made()
	moved := p.seen != before
	p.mu.Unlock()
	if moved {
		return last, errBusy
	}
	return last, fmt.Errorf("the storage has not answered for %s", time.Since(l.since).Round(100*time.Millisecond))
}

// made is the progress of the storage.
func (p *probe) made() uint64 {
	if p.progress == nil {
		return 0
	}
	return p.progress()
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
