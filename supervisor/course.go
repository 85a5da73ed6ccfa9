package supervisor

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
)

// course is how things went since the supervisor was started: what happened, and
// samples at even distances. It is for a person who looks, not for a record.
type course struct {
	events  []control.Event  // newest last
	samples []control.Sample // newest last
	counted uint64           // requests, when the last sample was taken
	by      int              // the server that had counted them
	room    room             // on the disk of the data, when it was last looked at
}

type room struct{ free, total uint64 }

// How much of the course is kept.
const (
	keptEvents  = 50
	keptSamples = 180 // half an hour
)

// told is the course as the status tells it.
func (c *course) told() ([]control.Event, []control.Sample) {
	events := slices.Clone(c.events)
	slices.Reverse(events)
	return events, slices.Clone(c.samples)
}

// happened notes something for whoever asks how things are.
func (s *Supervisor) happened(what hint.Text) {
	what = hint.Clean(what)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, control.Event{At: time.Now(), What: what})
	s.events = s.events[max(0, len(s.events)-keptEvents):]
}

// foundOut notes that a finding came or went. What the server's own process does is
// told by who keeps it.
func (s *Supervisor) foundOut(r health.Result) {
	switch {
	case r.Code == "server":
	case r.Severity >= health.Warning && !r.Did.IsZero():
		s.happened(hint.T("%s %s", "%s %s", r.What, r.Did))
	case r.Severity >= health.Warning:
		s.happened(r.What)
	default:
		s.happened(hint.T("%s: well again.", "%s : tout va bien de nouveau.", r.Title))
	}
}

// freeSpace is how much room there is on the disk of the data. It hangs when that disk does:
// only its check asks, and others take what that last found.
func (s *Supervisor) freeSpace() (free, total uint64, err error) {
	free, total, err = atomicfile.FreeSpace(s.cfg.DataDir) // both 0 with an error
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = room{free, total}
	return free, total, err
}

// sample takes samples for as long as ctx lasts.
func (s *Supervisor) sample(ctx context.Context) {
	last := time.Now()
	for pause(ctx, s.cfg.Timing.Sample) {
		s.mu.Lock()
		pid, requests, memory, free := s.child.pid, s.facts.Requests, s.facts.Memory, s.room.free
		s.mu.Unlock()
		memory += host.ProcessMemory(os.Getpid())
		now := time.Now()
		s.mu.Lock()
		since := requests - s.counted
		if pid != s.by || requests < s.counted { // another server, which began to count anew
			since = requests
		}
		s.counted, s.by = requests, pid
		s.samples = append(s.samples, control.Sample{At: now, Requests: float64(since) / now.Sub(last).Minutes(), Memory: memory, Free: free})
		s.samples = s.samples[max(0, len(s.samples)-keptSamples):]
		s.mu.Unlock()
		last = now
	}
}
