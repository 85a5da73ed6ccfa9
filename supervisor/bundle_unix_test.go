//go:build unix

package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// bundleIn is a supervisor that makes a bundle in dir, or goes on making one, and dies where
// it is told to.
func bundleIn(dir, dies string) int {
	die := func(at string) Part {
		return Part{at + ".txt", hint.T("Something", "Quelque chose"), func(_ context.Context, w io.Writer) error {
			if at == dies {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until it is
			}
			_, err := io.WriteString(w, at)
			return err
		}}
	}
	s := New(Config{
		StateDir: dir, DataDir: dir, RunDir: dir, Version: "1", Addresses: func() []string { return nil }, Log: slog.New(slog.DiscardHandler), Journal: NewJournal(io.Discard),
		Parts: []Part{die("before the first write"), die("under way")},
	})
	if s.wrong != nil {
		fmt.Fprintln(os.Stderr, s.wrong)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	all := s.jobs.List()
	if len(all) == 0 {
		if _, err := s.jobs.Start(JobBundle, nil, "root"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		all = s.jobs.List()
	}
	if dies == "between result and record" { // as soon as the file has its name
		go func() {
			for {
				if found, _ := filepath.Glob(filepath.Join(dir, "bundles", "support-*")); len(found) > 0 {
					syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			}
		}()
	}
	var run sync.WaitGroup
	run.Go(func() { s.jobs.Run(ctx) })
	err := s.jobs.Follow(ctx, all[0].ID, func(job.Record) error { return nil })
	cancel()
	run.Wait() // until the record is on the disk, too
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Killed before it has written anything, under way, or when the file is there and its job's
// record does not say so: there is the whole bundle in the end, once, and no half of it.
func TestABundleSurvivesItsProcess(t *testing.T) {
	t.Attr("shows", "ground")
	times := 1
	if os.Getenv("SHOW_WHOLE") != "" {
		times = 20
	}
	deaths := 0
	for _, dies := range []string{"before the first write", "under way", "between result and record"} {
		for range times {
			dir := t.TempDir()
			process := func(dies string) (died bool) {
				t.Helper()
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "FOYER_TEST_BUNDLE="+dir, "FOYER_TEST_DIES="+dies, "GORACE=atexit_sleep_ms=0")
				out, err := cmd.CombinedOutput()
				status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
				if died = status.Signaled(); err != nil && !died {
					t.Fatalf("%v: %s", err, out)
				}
				return died
			}
			if process(dies) {
				deaths++
			} else if dies != "between result and record" { // which is a short moment
				t.Fatalf("it did not die %s", dies)
			}
			process("never")
			records, err := filepath.Glob(filepath.Join(dir, "jobs", "*.json"))
			if err != nil || len(records) != 1 {
				t.Fatalf("%s: records %v, %v", dies, records, err)
			}
			text, err := os.ReadFile(records[0])
			if err != nil {
				t.Fatal(err)
			}
			var r job.Record
			var made report.Bundle
			if err := json.Unmarshal(text, &r); err != nil || r.State != job.Done {
				t.Fatalf("%s: %s, %v", dies, text, err)
			}
			if err := json.Unmarshal(r.Result, &made); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadDir(filepath.Join(dir, "bundles"))
			if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(made.Path) {
				t.Fatalf("%s: %v, %v; the record has %s", dies, left, err, made.Path)
			}
			bundle, err := os.ReadFile(made.Path)
			if err != nil {
				t.Fatal(err)
			}
			if files := unpacked(t, bundle); files["under way.txt"] != "under way" || !strings.Contains(files["contents.txt"], "version.json") {
				t.Errorf("%s: it holds %v", dies, files)
			}
		}
	}
	if deaths < 2*times {
		t.Errorf("%d deaths", deaths)
	}
	t.Logf("SHOW a support bundle whose process is killed %d times: whole each time, one file, one record", deaths)
}
