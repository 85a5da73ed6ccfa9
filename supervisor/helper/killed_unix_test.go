//go:build unix

package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// TestMain lets the test binary be root's end, which dies where it is told to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FOYER_TEST_TRIAL"); dir != "" {
		os.Exit(helperIn(dir, os.Getenv("FOYER_TEST_DIES")))
	}
	os.Exit(m.Run())
}

// helperIn does what is asked for in dir until nothing is left to do. It kills itself where
// dies says; what waits has its time over at once.
func helperIn(dir, dies string) int {
	die := func(at string) {
		if at == dies {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it is
		}
	}
	var over atomic.Int64
	h := house{dir: filepath.Join(dir, "files"), at: die}
	err := Serve(context.Background(), Config{
		Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state"), GID: os.Getegid(), Boot: "x",
		Do:    map[string]func(context.Context, *Task) error{VerbChangeSettings: h.change},
		Back:  map[string]func(context.Context, *Task) error{VerbChangeSettings: h.back},
		Check: map[string]func(context.Context, map[string]string) error{VerbChangeSettings: func(context.Context, map[string]string) error { die("checked"); return nil }},
		// A request that lies there is seen to first.
		Uptime: func() time.Duration { return time.Hour + time.Duration(over.Load()) },
		Log: slog.New(logged(func(r slog.Record) {
			said := r.Message
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == "how" || a.Key == "verb" {
					said += " " + a.Value.String()
				}
				return true
			})
			die(said)
			if said == "on trial change-settings waiting" && os.Getenv("FOYER_TEST_KEEPS") == "" {
				over.Store(int64(longestTrial))
			}
		})),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// logged is a log that tells a function.
type logged func(slog.Record)

func (logged) Enabled(context.Context, slog.Level) bool        { return true }
func (l logged) Handle(_ context.Context, r slog.Record) error { l(r); return nil }
func (l logged) WithAttrs([]slog.Attr) slog.Handler            { return l }
func (l logged) WithGroup(string) slog.Handler                 { return l }

// Killed anywhere, the next process brings it to its end: all as it was, or, once it was
// decided that it stays, all as it is to be. The record says so, and nothing is left over.
func TestAChangeSurvivesItsProcess(t *testing.T) {
	t.Attr("shows", "ground2")
	const (
		begun, waits, ended = "begun change-settings", "on trial change-settings waiting", "ended change-settings"
		back                = "on trial change-settings going back: Nobody confirmed it in time."
		kept                = "on trial change-settings kept"
	)
	var deaths, whole atomic.Int64
	t.Run("all", func(t *testing.T) {
		for _, c := range []struct {
			dies  string
			keeps bool // somebody confirms it
			is    string
			want  []string
		}{
			{"never", false, "old", []string{"failed change-back"}},
			{"never", true, "new", []string{"done"}},
			{"checked", false, "old", nil}, // the request went with the process
			{begun, false, "old", []string{"cut-off"}},
			{"before it was saved", false, "old", []string{"failed change-back"}},
			{"saved", false, "old", []string{"failed change-back"}},
			{"written", false, "old", []string{"failed change-back"}},
			{"applied", false, "old", []string{"failed change-back"}},
			{waits, false, "old", []string{"failed change-back"}},
			{back, false, "old", []string{"failed change-back"}},
			{"back begins", false, "old", []string{"failed change-back"}},
			{"back is written", false, "old", []string{"failed change-back"}},
			{"back is done", false, "old", []string{"failed change-back"}},
			{ended, false, "old", []string{"failed change-back"}},
			{waits, true, "new", []string{"done"}},
			{kept, true, "new", []string{"done"}},
			{ended, true, "new", []string{"done"}},
		} {
			t.Run(fmt.Sprintf("%s, kept %v", c.dies, c.keeps), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				p := &place{t: t, cfg: Config{Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state"), GID: os.Getegid()}, files: filepath.Join(dir, "files")}
				h := house{dir: p.files}
				if err := errors.Join(os.MkdirAll(p.requests(), 0o755), os.Mkdir(p.cfg.State, 0o755), h.build()); err != nil {
					t.Fatal(err)
				}
				ask := p.askChange(1, toNew)
				if c.keeps {
					p.askEnd(2, ask, DoKeep, WhyAsked)
				}
				run := func(dies string) (died bool) {
					t.Helper()
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
					defer cancel()
					cmd := exec.CommandContext(ctx, os.Args[0])
					cmd.Env = append(os.Environ(), "FOYER_TEST_TRIAL="+dir, "FOYER_TEST_DIES="+dies, "GORACE=atexit_sleep_ms=0")
					if c.keeps {
						cmd.Env = append(cmd.Env, "FOYER_TEST_KEEPS=1")
					}
					out, err := cmd.CombinedOutput()
					status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
					if died = status.Signaled(); err != nil && (!died || ctx.Err() != nil) {
						t.Fatalf("%v: %s", err, out)
					}
					return died
				}
				if died := run(c.dies); died != (c.dies != "never") {
					t.Fatalf("it died: %v", died)
				} else if died {
					deaths.Add(1)
					if c.want != nil && slices.Contains([]string{"before it was saved", "saved", "written", "applied", waits}, c.dies) {
						if _, err := os.Stat(filepath.Join(p.cfg.State, trialFile)); err != nil {
							t.Errorf("nothing would start it again: %v", err)
						}
					}
					if !c.keeps { // as the clock of the kernel goes on
						p.jump(ask)
					}
					run("never")
				}
				var got []string
				if r, err := (&records{p.cfg.State + "/jobs", p.cfg.GID}).load(ask); err == nil {
					got = []string{outcome(r)}
					if c := changeOf(r); r.State.Ended() && r.State != "cut-off" && (c.State == report.ChangeKept) != (h.is() == "new") {
						t.Errorf("it is %s, and its record says %s", h.is(), c.State)
					}
				}
				if h.is() != c.is || !slices.Equal(got, c.want) {
					t.Errorf("it is %s, and the record says %q, not %q", h.is(), got, c.want)
				}
				p.overAndTidy()
				if c.dies != "never" && !t.Failed() {
					whole.Add(1)
				}
			})
		}
	})
	fmt.Printf("SHOW a change of settings: its process killed at %d points, %d times all as it was or as it was confirmed\n", deaths.Load(), whole.Load())
}

// jump has the time of what waits be over.
func (p *place) jump(ask string) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.cfg.State, trialFile))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	tr, err := parseTrial(text)
	if err != nil || tr.ID != ask {
		p.t.Fatalf("%+v, %v", tr, err)
	}
	s := &server{Config: p.cfg, trial: &onTrial{trial: tr}}
	s.trial.Until = 0
	if err := s.writeTrial(); err != nil {
		p.t.Fatal(err)
	}
}
