package step

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/jsonlines"
)

var quiet = slog.New(slog.DiscardHandler)

func newJournal(t *testing.T) *Journal {
	t.Helper()
	j, err := OpenJournal(filepath.Join(t.TempDir(), "opt", "foyer", "install"), quiet, RealDisk())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestJournalRemembers(t *testing.T) {
	j := newJournal(t)
	for _, r := range []record{
		{Op: opIntent, Step: "a", Changes: []Change{{Step: "a", Op: Made, Kind: KindFile, What: "/x", SHA256: "11"}}},
		{Op: opDone, Step: "a"},
		{Op: opIntent, Step: "b", Changes: []Change{{Step: "b", Op: Changed, Kind: KindFolder, What: "/y", Before: "700 0 0"}}},
		{Op: opDone, Step: "b"},
		{Op: opFinished},
		{Op: opIntent, Step: "a", Changes: []Change{{Step: "a", Op: Changed, Kind: KindFile, What: "/x", SHA256: "22"}}},
	} {
		if err := j.write(r); err != nil {
			t.Fatal(err)
		}
	}
	live := j.History
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := Peek(filepath.Dir(j.path), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live, h, cmp.AllowUnexported(History{})); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	if len(h.made) != 2 || h.made[0].Op != Made || !slices.Equal(h.sums["/x"], []string{"11", "22"}) || !h.open["a"] || h.open["b"] || !h.finished {
		t.Errorf("remembers %+v", h)
	}
	if len(h.folders) != 3 {
		t.Errorf("made for itself: %q", h.folders)
	}
}

// However a power cut tears the end, what was whole before stays, and the journal
// goes on.
func TestTornJournal(t *testing.T) {
	t.Parallel()
	j := newJournal(t)
	for i := range 3 {
		if err := j.write(record{Op: opIntent, Step: fmt.Sprint(i), Changes: []Change{{Step: fmt.Sprint(i), Op: Made, Kind: KindFile, What: "/" + fmt.Sprint(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for n := first; n <= len(whole); n++ {
		if err := os.WriteFile(j.path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := OpenJournal(filepath.Dir(j.path), quiet, RealDisk())
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if want := bytes.Count(whole[:n], []byte("\n")) - 1; len(again.made) != want {
			t.Fatalf("%d bytes: %d of %d records", n, len(again.made), want)
		}
		if err := again.write(record{Op: opFinished}); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if h, err := Peek(filepath.Dir(j.path), quiet); err != nil || !h.finished {
			t.Fatalf("%d bytes: what came after is lost: %v", n, err)
		}
	}
	// A damaged line in the middle takes nothing else along.
	damaged := bytes.Replace(whole, []byte(`"what":"/1"`), []byte(`"what":"/9"`), 1)
	records, _, bad, err := parse(damaged)
	if err != nil || len(records) != 3 || bad != 1 {
		t.Errorf("damaged: %d records, %d damaged, %v", len(records), bad, err)
	}
}

// What could not be made durable was never said: the file is as it was, whatever is
// written to it next.
func TestAFailedWriteLeavesTheJournalAsItWas(t *testing.T) {
	j := newJournal(t)
	defer j.Close()
	long := record{Op: opIntent, Step: "long", Changes: []Change{{Step: "long", Op: Made, Kind: KindFile, What: "/" + strings.Repeat("x", 500)}}}
	read := func() string {
		t.Helper()
		data, err := os.ReadFile(j.path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before, works := read(), j.disk.File
	j.disk.File = func(*os.File) error { return errDisk }
	for range 2 {
		if err := j.write(long); !errors.Is(err, errDisk) {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff(before, read()); diff != "" {
			t.Errorf("the file: %s", diff)
		}
	}
	j.disk.File = works
	if err := j.write(record{Op: opDone, Step: "short"}); err != nil {
		t.Fatal(err)
	}
	records, whole, damaged, err := parse([]byte(read()))
	if err != nil || damaged > 0 || whole != len(read()) {
		t.Fatalf("%d of %d bytes are whole, %d lines damaged, %v", whole, len(read()), damaged, err)
	}
	var ops []string
	for _, r := range records {
		ops = append(ops, r.Op+" "+r.Step)
	}
	if diff := cmp.Diff([]string{"begin ", "done short"}, ops); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(readHistory(records), j.History, cmp.AllowUnexported(History{})); diff != "" {
		t.Errorf("remembered and read back: %s", diff)
	}
}

func TestJournalOfALaterVersionIsRefused(t *testing.T) {
	j := newJournal(t)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	later, err := jsonlines.Append(nil, record{V: journalVersion + 1, Op: opFinished})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.path, append(whole, later...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = OpenJournal(filepath.Dir(j.path), quiet, RealDisk())
	if newer, ok := errors.AsType[*NewerError](err); !ok || newer.Version != journalVersion+1 {
		t.Errorf("error %v", err)
	}
}

func TestJournalTakesItsFoldersAlongAndNoOthers(t *testing.T) {
	j := newJournal(t)
	top := filepath.Dir(filepath.Dir(filepath.Dir(j.path)))
	if err := os.WriteFile(filepath.Join(top, "theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(top)
	if err != nil || len(entries) != 1 || entries[0].Name() != "theirs" {
		t.Errorf("left: %v, %v", entries, err)
	}
	j = newJournal(t)
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	entries, err = os.ReadDir(filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(j.path)))))
	if err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func FuzzJournal(f *testing.F) {
	line, err := jsonlines.Append(nil, record{V: 1, Op: opIntent, Step: "a", Changes: []Change{{Op: Made, Kind: KindFile, What: "/x"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append(line, line[:20]...))
	f.Add([]byte("{}\n{\"record\":null,\"sum\":\"00000000\"}\n\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, whole, _, err := parse(data)
		if err != nil {
			return
		}
		readHistory(records)
		if whole > len(data) || whole > 0 && data[whole-1] != '\n' {
			t.Errorf("whole up to %d of %d bytes", whole, len(data))
		}
	})
}
