package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/restore"
)

func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return fmt.Sprint(err)
}

// names are what is in a folder.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		out = append(out, f.Name())
	}
	return out
}

// Who asks gives everything to who works, in a folder that nobody else sees, and forgets what came
// of the one before; who looks is told how it is.
func TestAskAndLook(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "drill")
	if p, out, running, err := Look(dir); p != (Progress{}) || out != nil || running || err != nil {
		t.Errorf("before anything: %v %v %v %v", p, out, running, err)
	}
	r := Request{Target: target.FolderIdentity{Path: "/media/stick", ID: "0123", Mount: "/media", Filesystem: "u", SameDisk: true}, Keys: "/keys", Data: "/data"}
	if err := Ask(dir, r); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, requestFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	d := &Drill{Dir: dir}
	if got, err := d.request(dir); err != nil || got != r {
		t.Errorf("%+v, %v", got, err)
	}
	want := Outcome{Proven: &report.Proven{At: time.Now().UTC(), Records: 7}}
	p := Progress{Step: Reading, Done: 3, Of: 7}
	for name, v := range map[string]any{resultFile: want, progressFile: p} {
		text, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	lock, err := atomicfile.TryLock(filepath.Join(dir, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, out, running, err := Look(dir); got != p || !reflect.DeepEqual(out, &want) || !running || err != nil {
		t.Errorf("at work: %v %v %v %v", got, out, running, err)
	}
	if err := Ask(dir, r); code(err) != "drill-busy" {
		t.Errorf("while one works: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := Ask(dir, r); err != nil {
		t.Fatal(err)
	}
	if got, out, running, err := Look(dir); got != (Progress{}) || out != nil || running || err != nil {
		t.Errorf("asked anew: %v %v %v %v", got, out, running, err)
	}
	if err := os.WriteFile(filepath.Join(dir, resultFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := Look(dir); err == nil {
		t.Error("a result that is damaged is none")
	}
}

// What a killed drill left is removed, and nothing else.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"data/attachments/aa", "data.restoring-XYZ/data"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"data/data.db", "data.restoring-XYZ/restoring.lock", "serve.sock", "progress.json", "progress.json.new", ".result.json.tmp-1", ".drill.json.tmp-2", "drill.json", "drill.lock", "result.json", "data.txt", "photos"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	precious := t.TempDir()
	if err := os.Symlink(precious, filepath.Join(dir, "data", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(precious, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sweep(dir); err != nil {
			t.Fatal(err)
		}
		if got, want := names(t, dir), []string{"data.txt", "drill.json", "drill.lock", "photos", "result.json"}; !reflect.DeepEqual(got, want) {
			t.Errorf("left: %q", got)
		}
	}
	if got := names(t, precious); len(got) != 1 {
		t.Errorf("what a link leads to: %q", got)
	}
}

// The data are never in the folder of a drill, by whatever name.
func TestTheDataAreElsewhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "drill", "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "drill"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]string{
		"": "<nil>", "data": "<nil>", "drill.data": "<nil>", ".": "<nil>", "drill-2/data": "<nil>",
		"drill": "drill-place", "drill/data": "drill-place", "link": "drill-place", "link/data": "drill-place", "drill/data/not/there": "drill-place",
	} {
		path := data
		if data != "" {
			path = filepath.Join(dir, data)
		}
		for _, drill := range []string{"drill", "link"} {
			if err := separate(filepath.Join(dir, drill), path); code(err) != want {
				t.Errorf("%s in %s: %v", data, drill, err)
			}
		}
	}
}

// Confined is who is kept out of the data, and nobody else.
func TestConfined(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"open", "shut", "half"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "data.db"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("loop", filepath.Join(dir, "loop")), os.Chmod(filepath.Join(dir, "shut"), 0), os.Chmod(filepath.Join(dir, "half", "data.db"), 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "shut"), 0o700) }) //nolint:errcheck // to be removed
	for name, want := range map[string]bool{"open": false, "half": false, "loop": false, "none": true, "shut": os.Geteuid() != 0} {
		if got := isConfined(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isConfined("") {
		t.Error("nobody said from what")
	}
}

// How far it is stands in a file once a second, if it has changed.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, progressFile)
	synctest.Test(t, func(t *testing.T) {
		var p progress
		looks := 0
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			p.run(ctx, path, func() { looks++ })
			close(done)
		}()
		written := func() Progress {
			var got Progress
			if _, err := read(dir, progressFile, &got); err != nil {
				t.Fatal(err)
			}
			return got
		}
		p.say(Progress{Step: Finding})
		synctest.Wait()
		if got := written(); got != (Progress{}) {
			t.Errorf("at once: %v", got)
		}
		for i := range int64(3) {
			p.say(Progress{Step: restore.Loading, Done: i, Of: 9})
			want := Progress{Step: restore.Loading, Done: i + 1, Of: 9}
			p.say(want)
			time.Sleep(time.Second)
			synctest.Wait()
			if got := written(); got != want {
				t.Errorf("after a second: %v", got)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := written(); got != (Progress{}) {
			t.Errorf("nothing is new, and it is written: %v", got)
		}
		stop()
		<-done
		if looks != 13 {
			t.Errorf("in 13 s it was looked %d times", looks)
		}
	})
}

// What goes wrong is told as what it means for who has their data.
func TestWhatADrillSays(t *testing.T) {
	w := &work{Drill: &Drill{Log: slog.New(slog.DiscardHandler)}, dir: t.TempDir()}
	text := hint.T("a", "b")
	for want, err := range map[string]error{
		"drill-room":       fmt.Errorf("cannot load: %w", syscall.ENOSPC),
		"backup-missing":   fmt.Errorf("cannot bring attachments back: %w", target.ErrNotFound),
		"backup-none":      backup.ErrNothing,
		"restore-differs":  hint.New("restore-differs", text, text, text),
		"backup-damaged":   fmt.Errorf("%w: %w", backup.ErrNothing, hint.New("backup-damaged", text, text, text)),
		"log-malformed":    hint.New("log-malformed", text, text, text),
		"target-away":      hint.New("target-away", text, text, text).Because(target.ErrAway),
		"failed elsewhere": errors.New("failed elsewhere"),
	} {
		got := w.explain(err)
		if code(got) != want || !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
		if e := hint.Find(got); e != nil && e.Code != "target-away" && (e.Did != untouched() || e.Do == text) {
			t.Errorf("%v: %+v", err, e)
		}
	}
	if err := w.explain(hint.New("disk-full", text, text, text)); code(err) != "drill-room" {
		t.Errorf("a full disk: %v", err)
	}
	for want, p := range map[string]backup.Problem{
		"backup-missing": {N: 7, Err: target.ErrNotFound},
		"backup-damaged": {N: 7, Err: errors.New("x")},
		"backup-forged":  {N: 7, Err: hint.New("backup-forged", text, text, text)},
	} {
		if err := problemWith(p); code(err) != want || !errors.Is(err, p.Err) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := problemWith(backup.Problem{Attachment: "0123", Err: target.ErrNotFound}); code(err) != "backup-missing" || hint.Find(err).What == hint.Find(problemWith(backup.Problem{Err: target.ErrNotFound})).What {
		t.Errorf("an attachment: %v", err)
	}
}

// Attachments for which there is no room are not begun with.
func TestNoRoomForAttachments(t *testing.T) {
	w := &work{dir: t.TempDir(), Drill: &Drill{
		Held: func(_ context.Context, _ string, told []backup.Attachment) ([]backup.Attachment, error) {
			return told[1:], nil
		},
		Bring: func(_ context.Context, _ Contents, _ string, held []backup.Attachment) (int, error) {
			return len(held), nil
		},
	}}
	// What no record refers to any more takes no room.
	if n, err := w.bring(nil)(t.Context(), "", []backup.Attachment{{Size: 1 << 60}, {Size: 7}}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := w.bring(nil)(t.Context(), "", []backup.Attachment{{}, {Size: 1 << 60}}); n != 0 || code(err) != "drill-room" {
		t.Errorf("%d, %v", n, err)
	}
}
