package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/tui"
)

// steps are the events of an install that has got to step n of three.
func installedTo(t *testing.T, rec *installRecord, n int, done bool) {
	t.Helper()
	if err := rec.begin(); err != nil {
		t.Fatal(err)
	}
	titles := []hint.Text{hint.T("Account", "Compte"), hint.T("Folders", "Dossiers"), hint.T("Program", "Programme")}
	for i := range n {
		rec.step(step.Event{Kind: step.Started, N: i + 1, Of: 3, Title: titles[i]})
		if i+1 < n || done {
			rec.step(step.Event{Kind: step.Done, N: i + 1, Of: 3, Title: titles[i]})
		}
	}
}

// The process that installs writes a record as every job has one; who looks on shows that,
// from the beginning, whenever they come.
func TestAnInstallKeepsARecord(t *testing.T) {
	t.Attr("shows", "ground")
	dir := filepath.Join(t.TempDir(), "record")
	first, err := newInstallRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.r.State != job.Waiting {
		t.Errorf("before it begins: %s", first.r.State)
	}
	rec, err := readInstallRecord(dir) // as the process that installs does
	if err != nil {
		t.Fatal(err)
	}
	installedTo(t, rec, 2, false)
	look := func() (job.Record, []tui.Progress) {
		t.Helper()
		rec, err := readInstallRecord(dir)
		if err != nil {
			t.Fatal(err)
		}
		var seen []tui.Progress
		show(rec.r, tui.Progress{}, func(p tui.Progress) { seen = append(seen, p) })
		return rec.r, seen
	}
	account, folders := tui.Progress{N: 1, Of: 3, Title: hint.T("Account", "Compte"), Done: true}, tui.Progress{N: 2, Of: 3, Title: hint.T("Folders", "Dossiers")}
	r, seen := look()
	if diff := cmp.Diff([]tui.Progress{account, folders}, seen); diff != "" || r.State != job.Running || r.Share() < 0.3 || !strings.HasPrefix(r.HowFar().EN, "33% (1 of 3 steps)") {
		t.Errorf("%s, %s: %s", r.State, r.HowFar().EN, diff)
	}
	// Who follows it sees each step begin and end, once.
	var followed []tui.Progress
	shown := show(r, tui.Progress{}, func(tui.Progress) {})
	rec.step(step.Event{Kind: step.Done, N: 2, Of: 3})
	r, _ = look()
	show(r, shown, func(p tui.Progress) { followed = append(followed, p) })
	folders.Done = true
	if diff := cmp.Diff([]tui.Progress{folders}, followed); diff != "" {
		t.Error(diff)
	}
	res := installer.Result{Changed: true, Addresses: []string{"https://foyer.local/"}, ClaimCode: "AAAA-BBBB"}
	if err := rec.end(installResult{Result: res}, nil); err != nil {
		t.Fatal(err)
	}
	w := &worker{app: newApp(nil, nil, nil, nil), dir: dir}
	ended := make(chan struct{})
	close(ended)
	last, err := w.follow(t.Context(), ended, func(tui.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.read(last); err != nil || w.result.ClaimCode != "AAAA-BBBB" || last.r.State != job.Done {
		t.Errorf("%+v, %v", w.result, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a record with a claim code was left after it was seen")
	}
}

func TestAnInstallThatFailsSaysWhyInItsRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	rec, err := newInstallRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	installedTo(t, rec, 1, true)
	why := hint.New("port-taken", hint.T("What.", "Quoi."), hint.T("Did.", "Fait."), hint.T("Do.", "Faire.")).Exits(hint.ExitUsage)
	if err := rec.end(installResult{}, why); err != nil {
		t.Fatal(err)
	}
	if rec, err = readInstallRecord(dir); err != nil {
		t.Fatal(err)
	}
	got := hint.Find((&worker{app: newApp(nil, nil, nil, nil), dir: dir}).read(rec))
	if got == nil || got.Code != "port-taken" || got.Do.FR != "Faire." || hint.ExitCode(got) != hint.ExitUsage {
		t.Errorf("%+v", got)
	}
}

// The process that installs is killed: whoever looks on hears that, and where; whoever comes
// later, too, until it is begun again.
func TestAnInstallThatDiedIsToldAndBegunAgain(t *testing.T) {
	t.Attr("shows", "ground")
	dir := filepath.Join(t.TempDir(), "record")
	rec, err := newInstallRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	installedTo(t, rec, 2, false)
	if cutOffInstall(dir, true) != nil {
		t.Error("one that is at work was taken for dead")
	}
	died := make(chan struct{})
	close(died)
	w := &worker{app: newApp(nil, nil, nil, nil), dir: dir}
	last, err := w.follow(t.Context(), died, func(tui.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	got := hint.Find(w.read(last))
	if got == nil || got.Code != "install-cut-off" || !strings.Contains(got.What.EN, "at step 2 of 3 (Folders)") || !strings.Contains(got.What.FR, "Dossiers") {
		t.Errorf("%+v", got)
	}
	again := cutOffInstall(dir, false)
	if again == nil || again.r.State != job.CutOff || !strings.Contains(again.where().EN, "step 2 of 3") {
		t.Errorf("coming back: %+v", again)
	}
	if rec, err = newInstallRecord(dir); err != nil {
		t.Fatal(err)
	}
	installedTo(t, rec, 3, true)
	if err := rec.end(installResult{}, nil); err != nil {
		t.Fatal(err)
	}
	if cutOffInstall(dir, false) != nil {
		t.Error("one that was begun again, and done, is told as cut off")
	}
	// Who leaves while it is at work leaves it at that.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.follow(ctx, make(chan struct{}), func(tui.Progress) {}); !errors.Is(err, tui.ErrLeft) {
		t.Errorf("left: %v", err)
	}
}
