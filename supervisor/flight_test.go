package supervisor

import (
	"context"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/recorder"
)

// recorded are all records in a supervisor's own folder, the oldest first, and how many frames
// were written.
func recorded(t *testing.T, state string) (records []recorder.Record, frames uint64) {
	t.Helper()
	r, err := recorder.Read(RecordingIn(state))
	if err != nil {
		t.Fatal(err)
	}
	for f := range r.Frames() {
		records = append(records, f.Records...)
		frames = f.Sequence + 1
	}
	return records, frames
}

// value is one of the figures of a record.
func value(all []recorder.Value, of recorder.Figure) int64 {
	for _, v := range all {
		if v.Of == of {
			return v.N
		}
	}
	return math.MinInt64
}

// A clock that is set, and a machine that sleeps, are told apart, and are noted once.
func TestClocksInTheFlightRecorder(t *testing.T) {
	t.Attr("shows", "health")
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newFlight(dir, slog.New(slog.DiscardHandler))
		c := clocks{time.Now().Round(0), time.Hour, time.Minute, true}
		f.clocks = func() clocks { return c }
		f.vitals = func() host.Vitals { return host.Vitals{} }
		ended := f.begin()
		const s = 10 * time.Second
		for _, passes := range []struct{ at, up, awake time.Duration }{
			{s, s, s},
			{s, s, s},
			{time.Hour, s, s}, // set forwards
			{s, s, s},
			{s + time.Second, s, s},
			{-time.Hour, s, s}, // and back
			{s, s, s},
			{time.Hour, time.Hour, s}, // it slept
			{s, s, s},
			{2 * time.Hour, time.Hour, s}, // and was set when it woke
			{s, s, s},
		} {
			c = clocks{c.at.Add(passes.at), c.up + passes.up, c.awake + passes.awake, true}
			f.sample(report.Sample{}, 0, 0)
		}
		ended(nil)
		got := map[string][]int64{}
		all, _ := recorded(t, dir)
		for _, r := range all {
			if r.Decision != nil {
				got[r.Decision.Code] = append(got[r.Decision.Code], max(value(r.Decision.Numbers, recorder.Jump), value(r.Decision.Numbers, recorder.Lasted))/1000)
			}
		}
		delete(got, "foyer-started")
		delete(got, "foyer-stopped")
		if diff := cmp.Diff(map[string][]int64{"clock-set": {3590, -3610, 3600}, "machine-slept": {3590, 3590}}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// What a day costs the card, by the supervisor's own samples.
func TestADayOfTheFlightRecorder(t *testing.T) {
	t.Attr("shows", "health")
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{StateDir: state, DataDir: state, Log: slog.New(slog.DiscardHandler), Journal: NewJournal(io.Discard)})
		began := time.Now()
		s.flight.clocks = func() clocks { return clocks{time.Now(), time.Since(began), time.Since(began), true} }
		s.flight.vitals = func() host.Vitals { return host.Vitals{Load: 0.1, Celsius: 48, WaitsCPU: 1, WaitsIO: 2} }
		ctx, cancel := context.WithCancel(t.Context())
		ended := s.flight.begin()
		var all sync.WaitGroup
		all.Go(func() { s.sample(ctx) })
		time.Sleep(24 * time.Hour)
		cancel()
		all.Wait()
		ended(nil)
	})
	records, frames := recorded(t, state)
	const page = 4096
	if written := frames * page; written > 5_000_000 || len(records) < 24*60*6 {
		t.Errorf("%d bytes, %d records", written, len(records))
	}
	if r, err := recorder.Read(filepath.Join(state, recorder.File)); err != nil || r.Damaged != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, r := range records {
		if r.Decision != nil && !slices.Contains([]string{"foyer-started", "foyer-stopped"}, r.Decision.Code) {
			t.Errorf("%+v", r.Decision)
		}
	}
	t.Logf("SHOW the flight recorder on an idle day, by the supervisor's samples: %d entries, %d syncs of whole blocks, %.1f MB to the card", len(records), frames, float64(frames*page)/1e6)
}
