package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
)

// slain is a command that is killed in each of its steps. A step shows by a file that is there from it on.
type slain struct {
	*testing.T
	what  string
	ends  string   // what is so then
	steps []string // files, in the order in which they come
	start func() *exec.Cmd
	// after looks at what was left, and makes the place ready for the next.
	after func(step string)
}

// step is the last one that was reached; "": none.
func (s *slain) step() string {
	for _, glob := range slices.Backward(s.steps) {
		if found, err := filepath.Glob(glob); err == nil && len(found) > 0 {
			return glob
		}
	}
	return ""
}

// kill kills it, in each step as often as in any other if that can be, and says how often in which.
func (s *slain) kill() {
	s.Helper()
	kills := len(s.steps)
	if os.Getenv("SHOW_WHOLE") != "" {
		kills = max(25, 4*kills)
	}
	hit := map[string]int{}
	rarest := func() string { return slices.MinFunc(s.steps, func(a, b string) int { return hit[a] - hit[b] }) }
	ended := 0
	for n := 0; n < kills || hit[rarest()] == 0 && n < 40*kills; n++ {
		want := rarest()
		cmd := s.start()
		over := make(chan struct{})
		go func() { cmd.Wait(); close(over) }() //nolint:errcheck // it is killed, or has done its work
		for reached := false; !reached; {
			select {
			case <-over:
				reached = true
				continue
			case <-time.After(200 * time.Microsecond):
			}
			found, err := filepath.Glob(want)
			reached = err == nil && len(found) > 0
		}
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.Fatal(err)
		}
		<-over
		at := s.step()
		if cmd.ProcessState.Exited() {
			ended++ // before it was caught
		} else {
			hit[at]++
		}
		s.after(at)
		if s.Failed() {
			return
		}
	}
	told := []string{}
	all := 0
	for _, step := range s.steps {
		if hit[step] == 0 {
			s.Errorf("%s: nobody was killed when %s was there: %v", s.what, filepath.Base(step), hit)
		}
		all += hit[step]
		told = append(told, fmt.Sprintf("%s %d", filepath.Base(step), hit[step]))
	}
	fmt.Fprintf(os.Stderr, "SHOW %s killed %d times, by what was there last (%s): %s\n", s.what, all, strings.Join(told, ", "), s.ends)
}

// A drill that is killed in any step proves nothing, and the next one clears away and works.
func TestADrillIsKilledInEachStep(t *testing.T) {
	t.Attr("shows", "backups")
	h, _, b := family(t)
	if err := errors.Join(b.Stop(), h.Stop()); err != nil {
		t.Fatal(err)
	}
	d := b.drills(h.Data)
	d.dir = filepath.Join(shortDir(t), "d")
	in := func(name string) string { return filepath.Join(d.dir, name) }
	kills := 0
	(&slain{
		T: t, what: "a drill", ends: "it proves nothing, and the next one clears away and works", steps: []string{in("drill.lock"), in("data.restoring-*/data/data.db"), in("data/data.db"), in("serve.sock")},
		start: func() *exec.Cmd {
			if err := os.RemoveAll(d.dir); err != nil {
				t.Fatal(err)
			}
			d.ask()
			if err := os.Remove(in("drill.lock")); err != nil && !errors.Is(err, os.ErrNotExist) { // it shows that it began
				t.Fatal(err)
			}
			cmd := d.command()
			cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			return cmd
		},
		after: func(at string) {
			var out *drill.Outcome
			var err error
			waiting(t, "the end of what it had just started", func() bool {
				var running bool
				_, out, running, err = drill.Look(d.dir)
				return !running
			})
			if err != nil {
				t.Fatalf("killed at %s: %v", at, err)
			}
			if out != nil && out.Proven == nil {
				t.Errorf("killed at %s it says %+v", at, out.Problem)
			}
			if kills++; out == nil && kills%2 == 0 {
				if o := d.run(); o.Proven == nil {
					t.Errorf("after one that was killed at %s: %+v", at, o.Problem)
				}
			}
		},
	}).kill()
}

// A restore that is killed in any step leaves no folder, or the whole one.
func TestARestoreIsKilledInEachStep(t *testing.T) {
	t.Attr("shows", "backups")
	h, src, b := family(t)
	want, _, err := src.Summarize(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Stop(), h.Stop()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	into := filepath.Join(dir, "back")
	var restored *changelog.Summary
	whole := func(at string) {
		path := filepath.Join(into, "data.db")
		sum, err := storage.SummarizeFile(t.Context(), path, time.Now())
		if err != nil {
			t.Fatalf("killed at %s: what is there cannot be read: %v", at, err)
		}
		if restored == nil && len(want.Lists()) > 0 {
			restored = sum
		}
		for _, k := range []changelog.Kind{changelog.Object, changelog.List, changelog.Owner, changelog.Note, changelog.File, changelog.Floor, changelog.Former} {
			if sum.Of(k) != restored.Of(k) {
				t.Fatalf("killed at %s: what is there is not whole: of %s, %v became %v", at, k, restored.Of(k), sum.Of(k))
			}
		}
		if got := sum.Of(changelog.Meta).Lines; got != restored.Of(changelog.Meta).Lines { // when it was is among them
			t.Fatalf("killed at %s: what is there is not whole: %d facts", at, got)
		}
	}
	if r := bring(t, b.words(), "--from", b.from, "--into", into, "--yes"); r.code != 0 {
		t.Fatal(r)
	}
	whole("the end")
	kills := 0
	(&slain{
		T: t, what: "a restore", ends: "there is no folder, or the whole one; the next one clears away and works", steps: []string{into + ".restoring-*", into + ".restoring-*/data/data.db", into + ".restoring-*/data/attachments"},
		start: func() *exec.Cmd {
			if err := os.RemoveAll(into); err != nil {
				t.Fatal(err)
			}
			cmd := foyerCommand(t, "restore", "--json", "--from", b.from, "--into", into, "--yes")
			cmd.Stdin = strings.NewReader(b.words() + "\n")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			return cmd
		},
		after: func(at string) {
			if left(t, into) != nil {
				whole(at)
			} else if kills++; kills%2 == 0 {
				if r := bring(t, b.words(), "--from", b.from, "--into", into, "--yes"); r.code != 0 {
					t.Fatal(r)
				}
				whole(at)
			}
			if names := left(t, dir); kills%2 == 0 && left(t, into) != nil && len(names) > 2 {
				t.Errorf("left: %q", names)
			}
		},
	}).kill()
}

// A load that is killed leaves no database that opens, or the whole one.
func TestALoadIsKilledInEachStep(t *testing.T) {
	t.Attr("shows", "backups")
	const records = 3000
	var lines strings.Builder
	for i := range records {
		lines.WriteString(recordLine(fmt.Sprint(i), int64(i+1)))
	}
	top := t.TempDir()
	dir, half, done := filepath.Join(top, "new"), filepath.Join(top, "half-sent"), filepath.Join(top, "all-sent")
	var sender sync.WaitGroup
	defer sender.Wait()
	(&slain{
		T: t, what: "a load", ends: "what opens is whole", steps: []string{filepath.Join(dir, "data.db.loading"), half, done, filepath.Join(dir, "data.db")},
		start: func() *exec.Cmd {
			if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(half), os.RemoveAll(done)); err != nil {
				t.Fatal(err)
			}
			cmd := foyerCommand(t, "load", dir)
			in, err := cmd.StdinPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			sender.Wait()
			sender.Go(func() { // in three parts, so that each step lasts
				text := lines.String()
				for range 120_000 { // until it has begun
					if _, err := os.Stat(filepath.Join(dir, "data.db.loading")); err == nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(20 * time.Millisecond)
				for part, mark := range []string{half, done, ""} {
					io.WriteString(in, text[part*len(text)/3:(part+1)*len(text)/3]) //nolint:errcheck // it is killed meanwhile
					if mark != "" {
						os.WriteFile(mark, nil, 0o600) //nolint:errcheck // waited for
					}
					time.Sleep(20 * time.Millisecond)
				}
				in.Close() //nolint:errcheck // as above
			})
			return cmd
		},
		after: func(at string) {
			sender.Wait()
			path := filepath.Join(dir, "data.db")
			if _, err := os.Stat(path); err != nil {
				return
			}
			db, err := storage.Open(t.Context(), path, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatalf("killed at %s: %v", at, err)
			}
			sum, _, err := db.Summarize(t.Context(), time.Now())
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			got := 0
			for _, l := range sum.Lists() {
				if l.Of == "record" {
					got += l.Live
				}
			}
			if got != records {
				t.Errorf("killed at %s: a database opens that has %d records of %d", at, got, records)
			}
		},
	}).kill()
}
