package routine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// attacked is a home whose backup has all kinds of objects, and what of them is where.
type attacked struct {
	*home
	chain  string
	keys   backup.Keys
	pick   map[string]string // a file for each kind, by what people would call it
	before string            // a copy of the folder, of an hour ago
	was    map[int64]moment  // what there was, by the position of the log
}

// moment is what there was at one.
type moment struct {
	sum   *changelog.Summary
	notes time.Time
}

// lets goes on for some rounds, and keeps what there was.
func (a *attacked) lets(rounds int) {
	a.Helper()
	a.rounds(rounds)
	now := time.Now()
	sum, at, err := a.server.Summarize(a.Context(), now)
	if err != nil {
		a.Fatal(err)
	}
	a.was[at.Seq] = moment{sum, now}
}

// newest is the newest object, and its number.
func (a *attacked) newest() (path string, n uint64) {
	a.Helper()
	all, err := filepath.Glob(filepath.Join(a.cfg.To, a.chain, "*.seg"))
	if err == nil {
		path = slices.Max(all)
		_, err = fmt.Sscanf(filepath.Base(path), "%d.seg", &n)
	}
	if err != nil {
		a.Fatal(err)
	}
	return path, n
}

// inBubble is a clock for tests in which time is made up.
func inBubble() *backup.Clock {
	began := time.Now()
	return backup.NewClock(time.Now, func() time.Duration { return time.Since(began) })
}

func newAttacked(t *testing.T) *attacked {
	h := newHome(t)
	h.cfg.Interval, h.cfg.Timing.Again, h.cfg.Clock = 10*time.Minute, 10*time.Minute, inBubble()
	h.start()
	a := &attacked{home: h, chain: h.begin(report.BeginBackup{}).Chain, pick: map[string]string{}, before: filepath.Join(t.TempDir(), "before"), was: map[int64]moment{}}
	a.lets(3)
	for hour := range 5 {
		for range 2 {
			h.writes(1)
			a.lets(3)
		}
		switch hour {
		case 1: // and a second copy of everything
			if err := h.server.Unfollow(t.Context(), backup.Follower(a.chain)); err != nil {
				t.Fatal(err)
			}
		case 3:
			if err := os.CopyFS(a.before, os.DirFS(h.cfg.To)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var err error
	if a.keys, err = backup.LoadKeys(keysDir(h.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	h.writes(1)
	a.lets(1)
	var known struct {
		Objects []struct {
			N    uint64
			Kind object.Kind
			Left time.Time
		}
	}
	text, err := os.ReadFile(filepath.Join(keysDir(h.cfg.Dir), "chain.json"))
	if err == nil {
		err = json.NewDecoder(strings.NewReader(string(text))).Decode(&known)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := func(n uint64) string { return filepath.Join(h.cfg.To, a.chain, fmt.Sprintf("%010d.seg", n)) }
	for _, o := range known.Objects {
		switch what := map[object.Kind]string{object.Base: "a part of the base", object.Merge: "one in the middle", object.Manifest: "the manifest"}[o.Kind]; {
		case o.Kind == object.Merge && a.pick[what] != "": // the first, which is merged with no other for long
		case what != "" && o.Left.IsZero():
			a.pick[what] = file(o.N)
		}
	}
	a.pick["the newest object"], _ = a.newest()
	a.pick["the key object"] = filepath.Join(h.cfg.To, a.chain, object.KeyName(1))
	contents, err := filepath.Glob(filepath.Join(h.cfg.To, a.chain, "b", "*"))
	if err != nil || len(contents) == 0 {
		t.Fatal("there are no attachments", err)
	}
	for _, path := range contents { // one that attachments refer to now
		a.pick["an attachment"] = cmp.Or(a.pick["an attachment"], path)
	}
	return a
}

// expect is by what the chain is read, with its own key alone.
func (a *attacked) expect() object.Expect {
	return object.Expect{Identities: []age.Identity{a.keys.Chain.Identity}, OfChain: true, Authors: a.keys.Authors, Chain: a.chain}
}

// restores has the newest point that can be restored come back as it was, and returns how old it is.
func (a *attacked) restores() time.Duration {
	a.Helper()
	at, err := target.ReadFolder(a.Context(), a.cfg.To)
	if err != nil {
		a.Fatal(err)
	}
	b, err := backup.Find(a.Context(), at, a.expect())
	if err != nil {
		a.Fatal(err)
	}
	points := b.Points()
	if len(points) == 0 {
		a.Fatalf("nothing can be restored any more: %v", b.Problems)
	}
	p := points[len(points)-1]
	was, known := a.was[p.Position.Seq]
	if p.Position == b.Manifest.Point {
		was, known = moment{b.Manifest.Summary, b.Manifest.Notes}, true
	}
	if !known {
		a.Fatalf("nobody knows what there was at %d, %v", p.Position.Seq, p.At)
	}
	lines, err := b.Lines(a.Context(), p)
	if err != nil {
		a.Fatal(err)
	}
	path := filepath.Join(a.TempDir(), "restored.db")
	if err := storage.Load(a.Context(), path, lines, nil); err != nil {
		a.Fatal(err)
	}
	db, err := storage.Open(a.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		a.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // a temporary one
	sum, _, err := db.Summarize(a.Context(), was.notes)
	if err != nil {
		a.Fatal(err)
	}
	if d := was.sum.Differences(sum, 5); len(d) > 0 {
		a.Errorf("the last good point is not what there was: %v", d)
	}
	return time.Since(p.At)
}

// seal makes an object as somebody does who knows for whom objects are sealed, and not by whom they are signed.
func (a *attacked) seal(path string, n uint64, prev string) {
	a.Helper()
	other, err := object.NewMachine()
	if err != nil {
		a.Fatal(err)
	}
	s, err := object.NewSealer(other, a.keys.Chain)
	if err != nil {
		a.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		a.Fatal(err)
	}
	w, err := s.New(f, object.Header{N: n, Prev: prev, Kind: object.Beat, At: time.Now(), Version: "1.0.0", Schema: a.cfg.Schema})
	if err == nil {
		_, err = w.Close()
	}
	if err != nil {
		a.Fatal(err)
	}
	f.Close() //nolint:errcheck // it is looked at by others
}

// awkward is a target that takes nothing, or does not answer.
type awkward struct {
	target.Target
	put   error
	hang  chan struct{}
	since atomic.Int64 // when it was asked for its room, and did not answer; 0: it does
}

// Silent is as of a Folder.
func (w *awkward) Silent() time.Duration {
	if at := w.since.Load(); at != 0 {
		return time.Since(time.Unix(0, at))
	}
	return 0
}

func (w *awkward) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if w.put != nil {
		return w.put
	}
	return w.Target.Put(ctx, name, r, size)
}

func (w *awkward) Room(ctx context.Context) (free, total int64, known bool, err error) {
	if w.hang != nil {
		w.since.Store(time.Now().UnixNano())
		defer w.since.Store(0)
		select {
		case <-w.hang:
		case <-ctx.Done():
			return 0, 0, false, ctx.Err()
		}
	}
	return w.Target.Room(ctx)
}

// attack is something that is done to a backup, and by what it is noticed.
type attack struct {
	what string
	do   func(a *attacked)
	look string // cycle: by what goes on by itself, within the hour; check: by who reads everything
	code string
}

// attacks are all of them.
func attacks() []attack {
	all := []attack{
		{"the folder is put back to what it was an hour ago", func(a *attacked) {
			if err := os.RemoveAll(filepath.Join(a.cfg.To, a.chain)); err != nil {
				a.Fatal(err)
			}
			if err := os.CopyFS(a.cfg.To+".back", os.DirFS(a.before)); err != nil {
				a.Fatal(err)
			}
			if err := os.Rename(filepath.Join(a.cfg.To+".back", a.chain), filepath.Join(a.cfg.To, a.chain)); err != nil {
				a.Fatal(err)
			}
		}, "cycle", "backup-rolled-back"},
		{"somebody who knows the public recipients adds an object", func(a *attacked) {
			newest, n := a.newest()
			text, err := os.ReadFile(newest)
			if err != nil {
				a.Fatal(err)
			}
			a.seal(filepath.Join(filepath.Dir(newest), fmt.Sprintf("%010d.seg", n+1)), n+1, fmt.Sprintf("%x", sha256.Sum256(text)))
		}, "cycle", "backup-two-machines"},
		{"the same, in the place of one", func(a *attacked) {
			at := a.pick["one in the middle"]
			var n uint64
			if _, err := fmt.Sscanf(filepath.Base(at), "%d.seg", &n); err != nil {
				a.Fatal(err)
			}
			a.seal(at, n, strings.Repeat("0", 64))
		}, "cycle", "backup-part-lost"},
		{"the machine has the key of another chain", func(a *attacked) {
			a.close()
			c, err := object.NewChain()
			if err != nil {
				a.Fatal(err)
			}
			if err := os.Remove(filepath.Join(keysDir(a.cfg.Dir), object.ChainFile)); err != nil {
				a.Fatal(err)
			}
			if err := c.Save(keysDir(a.cfg.Dir)); err != nil {
				a.Fatal(err)
			}
			a.start()
		}, "cycle", "backup-keys-gone"},
		{"its keys are copied to another machine, which goes on", func(a *attacked) {
			other := newHome(a.T)
			other.cfg.Interval, other.cfg.Clock, other.cfg.To = time.Minute, inBubble(), a.cfg.To
			if err := os.CopyFS(other.cfg.Dir, os.DirFS(a.cfg.Dir)); err != nil {
				a.Fatal(err)
			}
			for _, path := range []string{object.ChainFile, object.MachineFile, "key-object.json"} {
				os.Chmod(filepath.Join(keysDir(other.cfg.Dir), path), 0o600) //nolint:errcheck // LoadKeys says so
			}
			other.start()
			other.rounds(3)
			if p := other.Report().Problem; p != nil {
				a.Fatalf("the other machine does not go on: %+v", p)
			}
		}, "cycle", "backup-two-machines"},
		{"the disk can only be read", func(a *attacked) {
			a.engine.Target = &awkward{Target: a.engine.Target, put: hint.New("target-readonly", hint.T("r", "r"), hint.Text{}, hint.Text{}).Because(target.ErrReadOnly)}
		}, "cycle", "target-readonly"},
		{"the disk does not answer", func(a *attacked) {
			hang := make(chan struct{})
			a.engine.Target = &awkward{Target: a.engine.Target, hang: hang}
			time.AfterFunc(3*time.Hour, func() { close(hang) })
		}, "cycle", "target-slow"},
	}
	type kind struct{ what, flipped, cut, gone string }
	for _, k := range []kind{
		{"the newest object", "cycle backup-part-lost", "cycle backup-part-lost", "cycle backup-rolled-back"},
		{"one in the middle", "check backup-damaged", "cycle backup-part-lost", "cycle backup-rolled-back"},
		{"a part of the base", "check backup-damaged", "cycle backup-part-lost", "cycle backup-rolled-back"},
		{"the manifest", "check backup-damaged", "cycle backup-part-lost", "cycle backup-rolled-back"},
		{"the key object", "cycle backup-keys-older", "cycle backup-keys-older", "cycle backup-keys-older"},
		{"an attachment", "check backup-damaged", "cycle backup-attachments-lost", "cycle backup-attachments-lost"},
	} {
		for how, want := range map[string]string{"flipped": k.flipped, "cut": k.cut, "gone": k.gone} {
			look, code, _ := strings.Cut(want, " ")
			all = append(all, attack{k.what + ": " + how, func(a *attacked) {
				path := a.pick[k.what]
				text, err := os.ReadFile(path)
				if err != nil {
					a.Fatalf("%s: %v", k.what, err)
				}
				switch how {
				case "flipped":
					text[len(text)/2] ^= 1
				case "cut":
					text = text[:len(text)-1]
				case "gone":
					if err := os.Remove(path); err != nil {
						a.Fatal(err)
					}
					return
				}
				if err := os.WriteFile(path, text, 0o600); err != nil {
					a.Fatal(err)
				}
			}, look, code})
		}
	}
	slices.SortStableFunc(all, func(a, b attack) int { return strings.Compare(a.what, b.what) })
	return all
}

// Whatever is done to a backup is noticed by name: by the next cycles, within the hour, if a list can
// show it; else by who reads all of it. Then the light is not green, and the last good point comes back as
// it was.
func TestAttacks(t *testing.T) {
	t.Attr("shows", "backups")
	for i, one := range attacks() {
		if watched && i%5 > 0 {
			continue
		}
		t.Run(one.what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { one.isNoticed(t) })
		})
	}
}

func (one attack) isNoticed(t *testing.T) {
	a := newAttacked(t)
	if f := a.finding(time.Now()); f.Severity != health.OK {
		t.Fatalf("before: %+v", f)
	}
	one.do(a)
	var f health.Finding
	began := time.Now()
	stop, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // Run, which a disk that hangs holds up
		defer close(done)
		for a.round(stop) {
		}
	}()
	look := "nobody"
	for time.Since(began) < 80*time.Minute {
		time.Sleep(time.Minute)
		if f = a.finding(time.Now()); f.Severity > health.Info {
			look = "cycle"
			break
		}
	}
	after := time.Since(began)
	end()
	<-done
	if look == "nobody" {
		if r := a.do(JobCheck); r.State == job.Failed {
			var got checked
			if err := json.Unmarshal(r.Result, &got); err != nil {
				t.Fatal(err)
			}
			look, f = "check", health.Finding{Severity: health.Error, Cause: got.Problems[0].Code}
		}
	}
	if look != one.look || f.Cause != one.code {
		t.Errorf("noticed by %s as %s: %s", look, f.Cause, f.What.In(hint.EN))
	}
	if f.Severity < health.Warning {
		t.Errorf("it is noticed, and the light is green: %+v", f)
	}
	if one.code != "target-slow" {
		a.rounds(3)
	}
	age := a.restores()
	when := fmt.Sprintf("after %d minutes", int(after.Minutes()))
	if look == "check" {
		when = "when all of it is read"
	}
	t.Logf("SHOW attack: %s: noticed by the %s %s, %s, %s; the last good point, of %d minutes before, comes back", one.what, look, when, f.Cause, f.Severity, int(age.Minutes()))
}
