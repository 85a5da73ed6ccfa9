//go:build !windows

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/storage"
)

// lockedBuffer is what a process has said so far.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// recordLine is a line about one record.
func recordLine(id string, ts int64) string {
	return string((&changelog.Line{Kind: changelog.Object, Parent: "/buckets/b/collections/c", Of: "record", ID: id, Time: ts, Data: []byte(`{"a":1}`)}).Append(nil))
}

// load runs the command with a standard input, and returns its exit code and what it said.
func load(t *testing.T, in io.Reader, args ...string) (code int, out, said string) {
	t.Helper()
	cmd := foyerCommand(t, append([]string{"load"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// left is what is in a folder; nil: it is not there.
func left(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names
}

// What is loaded is a database and nothing else, for its owner's eyes only; an empty folder
// will do. Programs are told how it goes, and what it came to.
func TestLoad(t *testing.T) {
	commit := string((&changelog.Line{Kind: changelog.Commit, Seq: 7, Time: 8, Sum: "ab"}).Append(nil))
	in := recordLine("a", 7) + commit + recordLine("b", 8) + recordLine("a", 9)
	there := t.TempDir()
	for _, dir := range []string{there, filepath.Join(there, "new")} {
		if dir != there {
			if err := os.Remove(filepath.Join(there, "data.db")); err != nil {
				t.Fatal(err)
			}
		}
		code, out, said := load(t, strings.NewReader(in), dir, "--json")
		var made loaded
		if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil || made.Lines != 4 || made.Summary.Of(changelog.Object).Lines != 2 || said != "{\"lines\":4}\n" {
			t.Fatalf("%d %s %s", code, out, said)
		}
		if names := left(t, dir); len(names) != 1 || names[0] != "data.db" {
			t.Errorf("there are %q", names)
		}
		if info, err := os.Stat(filepath.Join(dir, "data.db")); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	if info, err := os.Stat(filepath.Join(there, "new")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", info.Mode(), err)
	}
}

// Programs get texts as they are, also those that no terminal would be shown.
func TestLoadSaysWhatThereIs(t *testing.T) {
	l := changelog.Line{Kind: changelog.Object, Parent: "/buckets/\u202eb\u0007/é", Of: "record", ID: "a", Time: 7, Data: []byte("{}")}
	for _, how := range []string{"--plain", "--json"} {
		_, out, said := load(t, bytes.NewReader(l.Append(nil)), filepath.Join(t.TempDir(), "new"), how)
		var made loaded
		if err := json.Unmarshal([]byte(out), &made); err != nil || len(made.Summary.Lists()) != 1 || made.Summary.Lists()[0].Parent != l.Parent || strings.Contains(out, "\u202e") {
			t.Errorf("%s: %q %s", how, out, said)
		}
	}
}

// When whoever started it has gone, nothing is left: what had come may not have been all.
func TestNobodyIsLeftToUseIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	cmd := foyerCommand(t, "load", dir)
	cmd.Stdin = strings.NewReader(recordLine("a", 7))
	r, w, err := os.Pipe()
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Run()
	w.Close() //nolint:errcheck // nothing was to be written
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || left(t, dir) != nil {
		t.Errorf("%v, left %q", err, left(t, dir))
	}
}

// What cannot be loaded leaves nothing, and what is there is left as it is.
func TestLoadLeavesNothing(t *testing.T) {
	good := recordLine("a", 7)
	for _, c := range []struct {
		name, in, code string
		exit           int
	}{
		{"no line", good + "{\"a\":1}\n", "log-malformed", 1},
		{"no text", "\x00\x01\x02", "log-malformed", 1},
		{"half a line", good + good[:len(good)-5], "log-malformed", 1},
		{"an end", good + "{\"end\":{\"more\":false}}\n", "log-malformed", 1},
		{"incomplete", good + recordLine("b", 7), "log-incomplete", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, dir := range []string{dir, filepath.Join(dir, "new")} {
				before := left(t, dir)
				if code, out, said := load(t, strings.NewReader(c.in), dir); code != c.exit || !strings.Contains(said, "["+c.code+"]") || out != "" {
					t.Errorf("%d %s %s", code, out, said)
				}
				if names := left(t, dir); len(names) > 0 || (names == nil) != (before == nil) {
					t.Errorf("left: %q", names)
				}
			}
			if code, out, _ := load(t, strings.NewReader(c.in), filepath.Join(dir, "new"), "--json"); code != c.exit || !strings.Contains(out, `"error":"`+c.code+`"`) {
				t.Errorf("%d %s", code, out)
			}
		})
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "precious")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	for where, want := range map[string]string{dir: "load-occupied", path: "load-occupied", filepath.Join(dir, "none", "below"): "target-readonly"} {
		if code, _, said := load(t, strings.NewReader(good), where); code == 0 || !strings.Contains(said, "["+want+"]") {
			t.Errorf("%s: %d %s", where, code, said)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "x" || len(left(t, dir)) != 1 {
		t.Errorf("what was there: %q, %v, %q", text, err, left(t, dir))
	}
	// The folder of the server's data, by its name or by another, is nobody's place, also when
	// it is empty since a disk is missing.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{data, link, data + "/../" + filepath.Base(data)} {
		cmd := foyerCommand(t, "load", where)
		cmd.Env = append(cmd.Env, "FOYER_DATA="+data)
		cmd.Stdin = strings.NewReader(good)
		text, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(text), "[load-occupied]") || len(left(t, data)) > 0 {
			t.Errorf("%s: %v, left %q: %s", where, err, left(t, data), text)
		}
	}
	if code, _, said := load(t, strings.NewReader(good)); code != 2 || !strings.Contains(said, "[usage]") {
		t.Errorf("without a folder: %d %s", code, said)
	}
}

// Whoever stops it, while it waits for lines or takes them in, leaves nothing.
func TestLoadIsStopped(t *testing.T) {
	t.Attr("shows", "backups")
	for _, sent := range []int{0, 8000} { // of so many it has taken in some: no pipe holds them
		for _, by := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			dir := filepath.Join(t.TempDir(), "new")
			cmd := foyerCommand(t, "load", dir)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var said lockedBuffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // it is over
			lines := bufio.NewWriterSize(in, 64<<10)
			for i := range sent {
				lines.WriteString(recordLine(fmt.Sprint(i), int64(i+1))) //nolint:errcheck // Flush tells
			}
			if err := lines.Flush(); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(2 * time.Minute); len(left(t, dir)) == 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("no database is begun: %s", said.text())
				}
			}
			if err := cmd.Process.Signal(by); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-ended:
			case <-time.After(2 * time.Minute):
				t.Fatalf("it goes on after %s: %s", by, said.text())
			}
			if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.text(), "[cancelled]") || left(t, dir) != nil {
				t.Errorf("%s after %d lines: %d, left %q: %s", by, sent, code, left(t, dir), said.text())
			}
		}
	}
}

// How fast a copy comes over the socket, and a database is made of it: 200,000 records, only
// where all is shown.
func TestHowFastAMoveIs(t *testing.T) {
	t.Attr("shows", "backups")
	if os.Getenv("SHOW_WHOLE") == "" {
		t.Skip("a figure, and nothing that can be wrong: make show-backups")
	}
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	const records = 200_000
	fill(t, db, records, 190)
	src := overSocket(t, db)
	copied := filepath.Join(t.TempDir(), "copy")
	f, err := os.Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	began, copiedBytes := time.Now(), 0
	if _, _, err := src.Copy(t.Context(), "", math.MaxInt, func(line []byte) error {
		copiedBytes += len(line)
		_, err := f.Write(line)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	fmt.Fprintf(os.Stderr, "SHOW a copy of %d records of 190 bytes (%d MB of lines) over the socket: %.0f records a second\n", records, copiedBytes>>20, records/took.Seconds())
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	cmd := foyerCommand(t, "load", filepath.Join(t.TempDir(), "new"))
	cmd.Stdin = f
	var out bytes.Buffer
	cmd.Stdout = &out
	began = time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	most := 0
	for running := true; running; {
		select {
		case err := <-ended:
			if running = false; err != nil {
				t.Fatal(err)
			}
		case <-time.After(5 * time.Millisecond):
			most = max(most, peak(cmd.Process.Pid))
		}
	}
	took = time.Since(began)
	var made loaded
	if err := json.Unmarshal(out.Bytes(), &made); err != nil || made.Summary.Of(changelog.Object).Lines != records {
		t.Fatalf("%s: %v", out.String(), err)
	}
	fmt.Fprintf(os.Stderr, "SHOW foyer load of them: %.0f records a second, with its start and the summary, %d MB resident at most (aim: 50,000; 60 MB)\n", records/took.Seconds(), most>>10)
}

// peak is how many kB a process has had in memory at most, where that can be asked; what it
// was before it became this program does not count.
func peak(pid int) (kb int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // it may be over
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	fmt.Sscanf(after, "%d", &kb) //nolint:errcheck // then it is 0
	return kb
}

// What is brought back from a backup is left as a server that ended well leaves it; and
// nothing where it fails.
func TestLoadOfABackup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	code, out, said := load(t, strings.NewReader(recordLine("a", 7)), dir, "--json", "--restored")
	if names := left(t, dir); code != 0 || !slices.Equal(names, []string{"data.db", "data.db-reserve"}) {
		t.Errorf("%d %s %s: there are %q", code, out, said, names)
	}
	if code, _, said := load(t, strings.NewReader(recordLine("a", 7)+recordLine("b", 7)), dir+"2", "--restored"); code != 1 || !strings.Contains(said, "[log-incomplete]") || left(t, dir+"2") != nil {
		t.Errorf("%d %s: there are %q", code, said, left(t, dir+"2"))
	}
	db := string((&changelog.Line{Kind: changelog.Meta, ID: "auth.invitations", Value: []byte("[]")}).Append(nil)) + string((&changelog.Line{Kind: changelog.Meta, ID: "auth.owner", Value: []byte("ann")}).Append(nil))
	code, out, said = load(t, strings.NewReader(db), dir+"3", "--json", "--restored")
	var made loaded
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil || made.Summary.Of(changelog.Meta).Lines != 2 {
		t.Errorf("the summary is of what was loaded, before anything ends: %d %s %s %v", code, out, said, err)
	}
	for name, want := range map[string]string{"auth.invitations": "", "auth.owner": "ann"} {
		if got, err := storage.Meta(t.Context(), filepath.Join(dir+"3", "data.db"), name); err != nil || got != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}
