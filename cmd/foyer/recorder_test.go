package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/recorder"
)

// `foyer recorder FILE` prints a recording, the newest last, and says in short how it ends: in both
// languages, and as a line of JSON for each entry.
func TestRecorderShowsAFile(t *testing.T) {
	t.Attr("shows", "health")
	dir := t.TempDir()
	at := time.Date(2026, 11, 28, 3, 10, 0, 0, time.Local)
	r := recorder.New(recorder.Config{Dir: dir, Log: slog.New(slog.DiscardHandler), Clock: func() (time.Time, time.Duration) {
		at = at.Add(200 * time.Millisecond)
		return at, time.Hour + time.Duration(at.UnixNano())%time.Hour
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { r.Run(ctx) })
	r.Decide(recorder.Started())
	r.Figures(recorder.Value{Of: recorder.Load, N: 52})
	r.Decide(recorder.ServerEnded(recorder.Killed, recorder.Value{Of: recorder.Signal, N: 9}))
	r.Decide(recorder.ServerStarted(4711))
	k, _ := recorder.ReadKernel(at, "EXT4-fs (mmcblk0p2): Remounting filesystem read-only")
	r.Kernel(k)
	cancel()
	all.Wait()
	path := filepath.Join(dir, recorder.File)
	show := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if status := newApp(strings.NewReader(""), &out, &errs, []string{"LANG=en_GB.UTF-8"}).run(t.Context(), append([]string{"recorder"}, args...)); status != 0 {
			t.Fatalf("exit status %d: %s", status, errs.String())
		}
		return out.String()
	}
	want := `2026-11-28 03:10:00  Foyer was started.
2026-11-28 03:10:00  load 0.52
2026-11-28 03:10:00  The server was killed by signal 9.
2026-11-28 03:10:00  The server was started: process 4711
2026-11-28 03:10:00  Kernel: a file system became read-only (mmcblk0p2)

The recording goes from 2026-11-28 03:10:00 to 2026-11-28 03:10:01: 5 entries.
2026-11-28 03:10:00  The server was killed by signal 9. It was restarted 0.2 s later.
2026-11-28 03:10:00  Kernel: a file system became read-only (mmcblk0p2)
The recording ends at 03:10:01; nothing says that Foyer was stopped: power cut, reset, or killed.
`
	card := t.TempDir()
	if err := os.CopyFS(filepath.Join(card, systemState), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for name, arg := range map[string]string{"the file": path, "its folder": dir, "the card of a machine": card} {
		if got := show(arg); got != want {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	if got := show("--lang", "fr", path); !strings.Contains(got, "Le serveur a été tué par le signal 9. Il a été relancé 0.2 s plus tard.") || !strings.Contains(got, "Noyau : un système de fichiers est passé en lecture seule (mmcblk0p2)") {
		t.Errorf("in French: %s", got)
	}
	lines := json.NewDecoder(strings.NewReader(show("--json", path)))
	kinds := map[any]int{}
	for {
		var l map[string]any
		if err := lines.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds[l["kind"]]++
	}
	if kinds["decision"] != 3 || kinds["figures"] != 1 || kinds["kernel"] != 1 || kinds["summary"] != 1 || len(kinds) != 4 {
		t.Errorf("as JSON: %v", kinds)
	}
}

// One in which nothing is recorded yet says so.
func TestRecorderShowsAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zeros")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if status := newApp(strings.NewReader(""), &out, &errs, nil).run(t.Context(), []string{"recorder", path}); status != 0 || !strings.Contains(out.String(), "Nothing is recorded yet.") {
		t.Errorf("exit status %d: %s%s", status, out.String(), errs.String())
	}
}
