// Package recorder is the flight recorder: a file of a fixed size in which the last hours of a
// Foyer are found after a death, whether its process was killed or the power was cut, and on a
// card that is read in another computer.
//
// It holds figures, decisions and what the kernel reported: numbers, codes and the kernel's own
// names of disks. There is no way to put a text into it, so that no name, address or content of
// anybody is ever found there.
//
// What is recorded waits for no disk. Figures are gathered for some minutes and written together;
// what matters is written at once, up to some times in a row and then once a minute. Each write
// is of whole blocks that hold nothing else, so that what a power cut spoils of it is never older
// than that write. A reader believes no block that is not whole, and none that a newer round should
// have replaced, and says where something is missing.
//
// Used by the supervisor, which writes it; read by `foyer recorder` and the support bundle.
package recorder

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
)

// File is the name of the file in the folder of a Recorder.
const File = "recorder"

// When Run writes.
const (
	gather   = 5 * time.Minute // figures are written together; and
	hurried  = time.Minute     // where they may soon be the last
	again    = time.Minute     // after a write that failed
	hasty    = 16              // so often what matters is written at once, and then seldom (Config.Calm)
	recently = 10 * time.Minute
	parting  = 3 * time.Second // Run waits so long for the last write
)

// Bounds of what waits for the disk.
const (
	mostRecords = 1024
	mostFrames  = 32
)

// Config says where a Recorder writes.
type Config struct {
	Dir string // the folder; empty: nothing is recorded
	// Boot names this start of the machine: the same until it is restarted.
	Boot string
	// Clock tells the time and how long ago the machine was started; nil: the machine's.
	Clock func() (at time.Time, up time.Duration)
	Log   *slog.Logger
	// Calm is how long it takes from one write at once to the next, where there were many; zero:
	// a minute. Tests hurry.
	Calm time.Duration
}

// Recorder records. Use New, then Run once. It is safe for concurrent use; only Run touches the
// disk.
type Recorder struct {
	cfg  Config
	open func() (*ring, error)
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	records []Record   // that wait, the oldest first
	soon    bool       // they are to be written at once,
	hurry   bool       // or in a while
	dropped uint32     // since the last frame was made
}

// New returns a Recorder that has touched nothing yet.
func New(cfg Config) *Recorder {
	if cfg.Clock == nil {
		cfg.Clock = func() (time.Time, time.Duration) {
			up, _ := host.SinceBoot() // where nobody says, times are those of the clock alone
			return time.Now(), up
		}
	}
	cfg.Calm = cmp.Or(cfg.Calm, time.Minute)
	r := &Recorder{cfg: cfg, wake: make(chan struct{}, 1)}
	r.open = func() (*ring, error) { return openRing(cfg.Dir, cfg.Boot, time.Now()) }
	return r
}

// Figures records how things are.
func (r *Recorder) Figures(all ...Value) { r.add(Record{Figures: numbers(all)}, false) }

// Decide records what happened. A Warning or an Error is written at once.
func (r *Recorder) Decide(d Decision) {
	d = d.fit()
	r.add(Record{Decision: &d}, d.Severity >= report.Warning)
}

// Kernel records what the kernel reported, and is not recorded yet.
func (r *Recorder) Kernel(all ...Kernel) {
	for _, k := range all {
		k = k.fit()
		r.add(Record{Kernel: &k}, false)
	}
}

// Soon has what was recorded so far written at once: it may be the last.
func (r *Recorder) Soon() {
	r.mu.Lock()
	r.soon = r.soon || len(r.records) > 0
	r.mu.Unlock()
	r.rouse()
}

// Hurry has what was recorded so far written within a minute: how things are, they may get worse.
func (r *Recorder) Hurry() {
	r.mu.Lock()
	r.hurry = r.hurry || len(r.records) > 0
	r.mu.Unlock()
	r.rouse()
}

func (r *Recorder) rouse() {
	select {
	case r.wake <- struct{}{}:
	default: // it is to be woken already
	}
}

// add adds a record. When too many wait, the oldest figures go, since there are many of them; and
// where there are none, the newcomer does.
func (r *Recorder) add(record Record, soon bool) {
	if r.cfg.Dir == "" {
		return
	}
	record.At, record.Up = r.cfg.Clock()
	r.mu.Lock()
	r.soon = r.soon || soon
	if len(r.records) < mostRecords {
		r.records = append(r.records, record)
	} else if i := firstFigures(r.records); i >= 0 {
		copy(r.records[i:], r.records[i+1:])
		r.records[len(r.records)-1] = record
		r.dropped++
	} else {
		r.dropped++
	}
	r.mu.Unlock()
	r.rouse()
}

func firstFigures(records []Record) int {
	for i, record := range records {
		if record.Decision == nil && record.Kernel == nil {
			return i
		}
	}
	return -1
}

// Run writes what is recorded until ctx ends, and then what is left. It waits for no disk that
// hangs then.
func (r *Recorder) Run(ctx context.Context) {
	if r.cfg.Dir == "" {
		<-ctx.Done()
		return
	}
	w := &writer{Recorder: r, tokens: hasty}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx)
	}()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	late := time.NewTimer(parting)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		r.cfg.Log.Warn("the disk does not take the end of the flight recorder")
	}
}

// writer writes what a Recorder has.
type writer struct {
	*Recorder
	ring    *ring
	pending []byte // frames that are not on the disk, to be written again where they were
	first   uint64 // the sequence of the first of them
	failed  bool
	since   time.Time // what waits has waited since then; zero: nothing waits
	tokens  float64   // for writes at once
	filled  time.Time // when they were last counted
}

func (w *writer) run(ctx context.Context) {
	w.filled = time.Now()
	defer func() {
		if w.ring != nil {
			w.ring.to.Close() //nolint:errcheck // what was written is synced
		}
	}()
	w.told(w.ready())
	for w.await(ctx) {
		w.write()
	}
	w.write()
}

// await waits until something is to be written, and reports whether ctx lasts.
func (w *writer) await(ctx context.Context) bool {
	for {
		now := time.Now()
		w.tokens, w.filled = min(hasty, w.tokens+now.Sub(w.filled).Seconds()/w.cfg.Calm.Seconds()), now
		w.mu.Lock()
		some, soon, together := len(w.records) > 0 || len(w.pending) > 0, w.soon, gather
		if w.hurry {
			together = hurried
		}
		w.mu.Unlock()
		if !some {
			w.since = time.Time{}
		} else if w.since.IsZero() {
			w.since = now
		}
		wait := w.since.Add(together).Sub(now)
		switch {
		case w.failed:
			wait = again - now.Sub(w.since)
		case soon && w.tokens >= 1:
			w.tokens--
			return ctx.Err() == nil
		case soon:
			wait = min(wait, time.Duration((1-w.tokens)*float64(w.cfg.Calm)))
		}
		if some && wait <= 0 {
			return ctx.Err() == nil
		}
		var due <-chan time.Time
		if some {
			due = time.After(max(wait, time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return false
		case <-w.wake:
		case <-due:
		}
	}
}

// write writes what waits. What the disk does not take is kept, and written again at the same
// place.
func (w *writer) write() { w.told(w.tryWrite()) }

// told notes what came of a try.
func (w *writer) told(err error) {
	if err != nil && !w.failed {
		w.cfg.Log.Warn("the flight recorder is not written; it is tried again", "err", err)
	}
	w.failed, w.since = err != nil, time.Time{}
	if err != nil {
		w.since = time.Now()
	}
}

// ready opens the file. What a process before this one wrote lately counts: one that is started
// again and again writes no more than one that lives.
func (w *writer) ready() error {
	if w.ring != nil {
		return nil
	}
	ring, err := w.open()
	if err != nil {
		return err
	}
	w.ring, w.tokens = ring, max(0, w.tokens-float64(ring.recent))
	return nil
}

func (w *writer) tryWrite() error {
	if err := w.ready(); err != nil {
		return err
	}
	if len(w.pending) == 0 {
		w.first = w.ring.next
	}
	if len(w.pending)/block < mostFrames {
		w.mu.Lock()
		records, dropped := w.records, w.dropped
		w.records, w.dropped, w.soon, w.hurry = nil, 0, false, false
		w.mu.Unlock()
		frames := w.ring.frames(records, dropped)
		if len(frames) == 0 && dropped > 0 {
			w.mu.Lock()
			w.dropped += dropped
			w.mu.Unlock()
		}
		w.pending = append(w.pending, frames...)
	}
	if len(w.pending) == 0 {
		return nil
	}
	if err := w.ring.write(w.pending, w.first); err != nil {
		return err
	}
	w.pending = nil
	return nil
}
