//go:build unix

package job

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// TestMain lets the test binary be a process with jobs, which dies where it is told to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FOYER_TEST_JOBS"); dir != "" {
		os.Exit(jobsIn(dir, os.Getenv("FOYER_TEST_DIES")))
	}
	os.Exit(m.Run())
}

// mortal are two kinds, of which one resumes. They lock a file while they run, so that it
// is seen when two run at once.
func mortal(dir, dies string) []Kind {
	die := func(at string) {
		if at == dies {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it is
		}
	}
	var kinds []Kind
	for _, resume := range []bool{true, false} {
		name := map[bool]string{true: "resumes", false: "does-not"}[resume]
		k := kind(name, Writes, func(_ context.Context, t *Task) error {
			die("before the first write")
			busy, err := os.Create(filepath.Join(dir, "busy")) // the lock goes with the process
			if err != nil {
				return err
			}
			defer busy.Close()
			if err := syscall.Flock(int(busy.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				return fmt.Errorf("two at once: %w", err)
			}
			for n := range int64(5) {
				t.Progress(n, 5, hint.T("steps", "étapes"))
				t.m.keep()
				if n == 2 {
					die("under way")
				}
			}
			f, err := os.OpenFile(filepath.Join(dir, "done"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			fmt.Fprintln(f, name)
			if err := f.Close(); err != nil {
				return err
			}
			die("between result and record")
			return t.Result("all of it")
		})
		k.Resume = resume
		kinds = append(kinds, k)
	}
	return kinds
}

func jobsIn(dir, dies string) int {
	m, err := Open(filepath.Join(dir, "jobs"), quiet, mortal(dir, dies)...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if os.Getenv("FOYER_TEST_ASKS") != "" {
		for _, kind := range []string{"resumes", "does-not"} {
			r, err := m.Start(kind, nil, "root")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Println(r.ID)
		}
	}
	go m.Run(ctx)
	for _, r := range m.List() {
		if err := m.Follow(ctx, r.ID, func(Record) error { return nil }); err != nil {
			fmt.Fprintln(os.Stderr, r.ID, err)
			return 1
		}
	}
	return 0
}

// Killed before its first write, under way, or between its result and its record: a record
// is whole, a job goes on or is marked as cut off, none is lost, none runs twice at once.
func TestJobsSurviveTheirProcess(t *testing.T) {
	t.Attr("shows", "ground")
	times := 3
	if os.Getenv("SHOW_WHOLE") != "" {
		times = 20
	}
	deaths := 0
	for _, dies := range []string{"before the first write", "under way", "between result and record"} {
		for range times {
			dir := t.TempDir()
			process := func(dies string, asks bool) (ids []string, died bool) {
				t.Helper()
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "FOYER_TEST_JOBS="+dir, "FOYER_TEST_DIES="+dies, "GORACE=atexit_sleep_ms=0")
				if asks {
					cmd.Env = append(cmd.Env, "FOYER_TEST_ASKS=1", "GORACE=atexit_sleep_ms=0")
				}
				var errs strings.Builder
				cmd.Stderr = &errs
				out, err := cmd.Output()
				status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
				if died = status.Signaled(); err != nil && !died {
					t.Fatalf("%v: %s", err, errs.String())
				}
				return strings.Fields(string(out)), died
			}
			ids, died := process(dies, true)
			if !died || len(ids) == 0 {
				t.Fatalf("it did not die %s: %q", dies, ids)
			}
			deaths++
			// The first one was cut off. Those after it die as well, up to the bound.
			for n := 0; died; n++ {
				if n > 2*mostStarts {
					t.Fatal("it dies for ever")
				}
				if _, died = process(dies, false); died {
					deaths++
				}
			}
			process("never", true) // and what was asked for is done in the end
			m, err := Open(filepath.Join(dir, "jobs"), quiet, mortal(dir, "never")...)
			if err != nil {
				t.Fatal(err)
			}
			states := map[string]State{}
			for _, r := range m.List() {
				states[r.ID] = r.State
				if !r.State.Ended() || r.Error != nil {
					t.Errorf("%s: %+v", dies, r)
				}
			}
			for _, id := range ids {
				if states[id] == "" {
					t.Errorf("%s: the job %s is lost", dies, id)
				}
			}
			if first := states[ids[0]]; first != CutOff {
				t.Errorf("%s: begun %d times and killed each time, it is %s", dies, mostStarts, first)
			}
		}
	}
	t.Logf("SHOW jobs: %d deaths, 0 records lost, none ran twice at once", deaths)
}

// One that goes on after a death comes to its end.
func TestAJobGoesOn(t *testing.T) {
	t.Attr("shows", "ground")
	for _, dies := range []string{"before the first write", "under way", "between result and record"} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FOYER_TEST_JOBS="+dir, "FOYER_TEST_DIES="+dies, "FOYER_TEST_ASKS=1", "GORACE=atexit_sleep_ms=0")
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Fatalf("it did not die: %s", out)
		}
		m, err := Open(filepath.Join(dir, "jobs"), quiet, mortal(dir, "never")...)
		if err != nil {
			t.Fatal(err)
		}
		first := m.List()[len(m.List())-1]
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go m.Run(ctx)
		if r := until(t, m, first.ID, Done); r.Starts != 2 || string(r.Result) != `"all of it"` {
			t.Errorf("%s: %+v", dies, r)
		}
	}
}
