package supervisor

import (
	"context"
	"os"
	"time"

	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
)

// course is how things went since the supervisor was started: samples at even distances.
// It is for a person who looks, not for a record; that is package event.
type course struct {
	samples []report.Sample // newest last
	counted uint64          // requests, when the last sample was taken
	by      int             // the server that had counted them
	room    diskroom.Room   // on the disk of the data, when it was last looked at
}

// How much of the course is kept.
const (
	toldEvents  = 50  // of those that are known
	keptSamples = 180 // half an hour
)

// foundOut notes that a finding came or went. What the server's own process does is
// told by who keeps it.
func (s *Supervisor) foundOut(r health.Result) {
	e := event.Event{Code: r.Code, Severity: r.Severity, Subject: r.Cause, What: r.What, Did: r.Did, Do: r.Do}
	if r.Severity < health.Warning {
		e = event.Event{Code: r.Code, What: hint.T("%s: well again.", "%s : tout va bien de nouveau.", r.Title)}
	}
	if r.Code != "server" {
		s.events.Add(e)
	}
	s.flight.found(r)
}

// lookAtDisk is how much room there is on the disk of the data. It hangs when that disk does:
// only its check asks, and others take what that last found.
func (s *Supervisor) lookAtDisk() (diskroom.Room, error) {
	r, err := diskroom.Look(s.cfg.DataDir) // all of it 0 with an error
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = r
	return r, err
}

// sample takes samples for as long as ctx lasts.
func (s *Supervisor) sample(ctx context.Context) {
	last := time.Now()
	for pause.For(ctx, s.cfg.Timing.Sample) {
		s.mu.Lock()
		pid, requests, memory, free := s.child.pid, s.facts.Requests, s.facts.Memory, s.room.Free
		s.mu.Unlock()
		own := host.ProcessMemory(os.Getpid())
		now := time.Now()
		s.mu.Lock()
		since := requests - s.counted
		if pid != s.by || requests < s.counted { // another server, which began to count anew
			since = requests
		}
		s.counted, s.by = requests, pid
		taken := report.Sample{At: now, Requests: float64(since) / now.Sub(last).Minutes(), Memory: memory + own, Free: free}
		s.samples = append(s.samples, taken)
		s.samples = s.samples[max(0, len(s.samples)-keptSamples):]
		s.mu.Unlock()
		s.flight.sample(taken, pid, own)
		last = now
	}
}
