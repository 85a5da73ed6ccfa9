package reach

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

// WatchConfig says what to repeat. All fields are needed unless said otherwise.
type WatchConfig struct {
	Examine func(context.Context) Diagnosis
	// Signs tell that something changed that makes the last diagnosis old: when they
	// are others than they were, it is examined again.
	Signs func() string
	// Seen is another sign, for which somebody else has to be asked: the addresses
	// others see. Nil: nobody is asked.
	Seen   func(context.Context) []netip.Addr
	Log    *slog.Logger
	Timing Timing // zero fields have defaults
}

// Timing sets how often to examine.
type Timing struct {
	First    time.Duration // before the first one: the server and the router get ready; 5 s
	Well     time.Duration // after one that found nothing; 1 h
	Troubled time.Duration // after one that found a cause; 10 min
	Untried  time.Duration // after one in which nobody tried from outside who should; 1 min
	Look     time.Duration // between two looks at the signs; 10 s
	Ask      time.Duration // between two times that somebody is asked for one; 5 min
}

// Watch repeats the examination. Use NewWatch, then Run once.
type Watch struct {
	cfg WatchConfig

	mu   sync.Mutex // guards what follows
	now  Diagnosis
	done bool // examined at least once
}

// NewWatch returns a Watch that has examined nothing yet.
func NewWatch(cfg WatchConfig) *Watch {
	cfg.Timing.First = cmp.Or(cfg.Timing.First, 5*time.Second)
	cfg.Timing.Well = cmp.Or(cfg.Timing.Well, time.Hour)
	cfg.Timing.Troubled = cmp.Or(cfg.Timing.Troubled, 10*time.Minute)
	cfg.Timing.Untried = cmp.Or(cfg.Timing.Untried, time.Minute)
	cfg.Timing.Look = cmp.Or(cfg.Timing.Look, 10*time.Second)
	cfg.Timing.Ask = cmp.Or(cfg.Timing.Ask, 5*time.Minute)
	return &Watch{cfg: cfg}
}

// Run examines, and examines again, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	for wait := w.cfg.Timing.First; w.waitOrChange(ctx, wait); {
		d := w.cfg.Examine(ctx)
		if ctx.Err() != nil {
			return
		}
		w.become(d)
		switch {
		case d.Facts.Peer != "" && !d.Facts.tried():
			wait = w.cfg.Timing.Untried
		case d.Severity >= health.Warning:
			wait = w.cfg.Timing.Troubled
		default:
			wait = w.cfg.Timing.Well
		}
	}
}

// waitOrChange waits for d or until the signs are others, and reports whether ctx
// still lasts.
func (w *Watch) waitOrChange(ctx context.Context, d time.Duration) bool {
	before, end := w.cfg.Signs(), time.Now().Add(d)
	seen, asked := w.seen(), time.Now()
	for left := d; left > 0; left = time.Until(end) {
		t := time.NewTimer(min(left, w.cfg.Timing.Look))
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
		if w.cfg.Signs() != before {
			return true
		}
		if w.cfg.Seen == nil || time.Since(asked) < w.cfg.Timing.Ask {
			continue
		}
		asked = time.Now()
		fresh := func(a netip.Addr) bool { return !slices.Contains(seen, a) }
		if len(seen) > 0 && slices.ContainsFunc(w.cfg.Seen(ctx), fresh) {
			return true
		}
	}
	return ctx.Err() == nil
}

// seen are the addresses that the last diagnosis knows of.
func (w *Watch) seen() (out []netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range []Outside{w.now.Facts.V4, w.now.Facts.V6} {
		if o.Seen.IsValid() {
			out = append(out, o.Seen)
		}
	}
	return out
}

func (w *Watch) become(d Diagnosis) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done || d.Cause != w.now.Cause {
		w.cfg.Log.Info("reachability", "cause", d.Cause, "severity", d.Severity.String(), "what", d.What.EN)
	}
	w.now, w.done = d, true
}

// Code is the code of the check, and of what `foyer doctor` finds by hand.
const Code = "reachability"

// Title is what it is called.
func Title() hint.Text { return hint.T("Visitors from outside", "Visiteurs de l'extérieur") }

// Checks tells the last diagnosis.
func (w *Watch) Checks() []health.Check {
	return []health.Check{{
		Code: "reachability", Title: Title(), DependsOn: []string{"server"},
		Run: func(context.Context) health.Finding {
			w.mu.Lock()
			defer w.mu.Unlock()
			if !w.done {
				return health.Finding{What: hint.T("It is being examined.", "C'est en cours d'examen.")}
			}
			return w.now.Finding
		},
	}}
}
