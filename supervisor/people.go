package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
)

// What happens to people happens in the server's data, in the same transaction as the
// change it tells of, where the newest few are kept. The one memory of the machine takes them
// over from there: however long the supervisor was away, nothing is told twice, and at most
// what is older than those few is missed.

// gatherEvery is how often the supervisor looks, besides when somebody asks how things are.
const gatherEvery = 10 * time.Second

// taken is up to where what happened to people was taken over.
type taken struct {
	number uint64
	at     time.Time
}

// takenBefore is up to where it was by what is remembered.
func takenBefore(events []report.Event) (t taken) {
	for _, e := range events {
		if e.Number > 0 && e.When().After(t.at) {
			t = taken{e.Number, e.When()}
		}
	}
	return t
}

// news are those of the server's events, oldest first, that were not taken over yet. Where its
// numbers have gone back, other data were put in place of these: then time tells.
func (t *taken) news(all []report.Event) (out []report.Event) {
	if len(all) == 0 {
		return nil
	}
	before := *t
	newest := all[len(all)-1]
	back := newest.Number < before.number
	for _, e := range all {
		if back && e.At.After(before.at) || !back && e.Number > before.number {
			out = append(out, e)
		}
	}
	*t = taken{newest.Number, newest.At}
	return out
}

// gather takes over what happened to people since the last time. It is done by one at a time;
// another one does nothing.
func (s *Supervisor) gather(ctx context.Context) {
	if !s.gathering.TryLock() {
		return
	}
	defer s.gathering.Unlock()
	all, err := s.askHappened(ctx)
	if err != nil { // the next look asks again; what is wrong with the server is told elsewhere
		return
	}
	for _, e := range s.taken.news(all) {
		s.events.Add(e)
	}
}

// gatherPeople gathers for as long as ctx lasts.
func (s *Supervisor) gatherPeople(ctx context.Context) {
	for pause.For(ctx, gatherEvery) {
		within, cancel := context.WithTimeout(ctx, s.cfg.Timing.ProbeTimeout)
		s.gather(within)
		cancel()
	}
}

// mostHappened is how many of the server's events are listened to at a time, and
// happenedBytes how many bytes.
const (
	mostHappened  = 200
	happenedBytes = 256 << 10
)

// askHappened asks the server what happened to people, oldest first.
func (s *Supervisor) askHappened(ctx context.Context) ([]report.Event, error) {
	resp, err := s.ask(ctx, http.MethodGet, "/events")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all []report.Event
	if err := json.NewDecoder(io.LimitReader(resp.Body, happenedBytes)).Decode(&all); err != nil {
		return nil, fmt.Errorf("cannot read what happened to people: %w", err)
	}
	return hint.Clean(all[max(0, len(all)-mostHappened):]), nil
}
