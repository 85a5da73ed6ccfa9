package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

var attachedTo = kinto.List{Parent: "/buckets/attached/collections/c", Kind: kinto.Record}

// attach attaches contents to a record; nil: none.
func (h *house) attach(t testing.TB, id string, text []byte) (hash string) {
	t.Helper()
	var f *kinto.File
	if text != nil {
		var size int64
		hash, size = h.disk.put(text)
		h.attached++
		f = &kinto.File{Location: fmt.Sprintf("attached-%d", h.attached), Hash: hash, Size: size, Type: "text/plain", Name: "a.txt"}
	}
	if err := h.db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		if _, err := tx.Touch(attachedTo); err != nil {
			return err
		}
		return tx.Attach(attachedTo, id, f)
	}); err != nil {
		t.Fatal(err)
	}
	return hash
}

// of is the object that a part of contents is at the target.
func (h *house) of(t testing.TB, hash string, part int) string {
	t.Helper()
	key, err := h.Keys.Chain.ContentsKey()
	if err != nil {
		t.Fatal(err)
	}
	return contentsName(h.Keys.Chain.ID, key.Name(hash), part)
}

// Contents that several attachments share are at the target once, until the last is gone and
// no point needs them.
func TestSharedContents(t *testing.T) {
	h := newHouse(t, 21)
	h.cycles(t, 2)
	hash := h.attach(t, "r1", []byte("the same"))
	h.attach(t, "r2", []byte("the same"))
	h.cycles(t, 1)
	h.attach(t, "r3", []byte("the same"))
	h.cycles(t, 1)
	if got := h.memory.contents(); !slices.Equal(got, []string{h.of(t, hash, 0)}) {
		t.Fatalf("three records share contents that are %q at the target", got)
	}
	h.whole(t)
	h.attach(t, "r1", nil)
	h.attach(t, "r2", []byte("others"))
	later := func(steps int, step time.Duration) {
		for range steps {
			h.now = h.now.Add(step)
			h.attach(t, "counts", fmt.Appendf(nil, "%s", h.now))
			h.cycles(t, 1)
		}
	}
	later(24, 4*time.Hour)
	if got := h.memory.contents(); !slices.Contains(got, h.of(t, hash, 0)) {
		t.Fatal("they went with the first of the three")
	}
	h.attach(t, "r3", nil)
	later(24, 4*time.Hour)
	if got := h.memory.contents(); !slices.Contains(got, h.of(t, hash, 0)) {
		t.Fatal("they went while a day needs them that is kept")
	}
	h.whole(t)
	later(80, 5*24*time.Hour)
	if got := h.memory.contents(); slices.Contains(got, h.of(t, hash, 0)) {
		t.Error("no point needs them a year later, and they are still there")
	}
	h.whole(t)
}

// Contents beyond the size of an object go in parts; after a death only those that are missing.
func TestLargeContents(t *testing.T) {
	h := newHouse(t, 22)
	h.cycles(t, 2)
	text := make([]byte, 70<<20)
	for i := 0; i < len(text); i += 1 << 16 {
		text[i] = byte(i >> 16)
	}
	hash := h.attach(t, "large", text)
	first, second := h.of(t, hash, 0), h.of(t, hash, 1)
	puts := map[string]int{}
	h.memory.deny = func(op, name string) error {
		if op == "put" && name == second {
			return fmt.Errorf("%w: unplugged", target.ErrAway)
		}
		if op == "put" {
			puts[name]++
		}
		return nil
	}
	if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
		t.Fatalf("half of it: %v", err)
	}
	if got := h.memory.contents(); !slices.Equal(got, []string{first}) {
		t.Fatalf("half of it is %q", got)
	}
	b := h.found(t)
	if err := fetch(t, b, hash, int64(len(text))); !errors.Is(err, target.ErrNotFound) || b.has(Attachment{hash, int64(len(text))}) {
		t.Errorf("half of it is fetched: %v", err)
	}
	h.restart(t)
	h.memory.deny = func(op, name string) error {
		if op == "put" {
			puts[name]++
		}
		return nil
	}
	h.cycles(t, 3)
	if puts[first] != 1 || puts[second] != 1 {
		t.Errorf("its parts were put %d and %d times", puts[first], puts[second])
	}
	b = h.found(t)
	if err := fetch(t, b, hash, int64(len(text))); err != nil {
		t.Errorf("all of it: %v", err)
	}
	// Parts that were swapped are not it.
	o := h.memory.objects
	o[first], o[second] = o[second], o[first]
	if err := fetch(t, b, hash, int64(len(text))); !errors.Is(err, object.ErrForged) {
		t.Errorf("its parts were swapped: %v", err)
	}
}

// While contents wait, the log goes on, and no cycle brings more than it may.
func TestTheLogGoesOnBesideContents(t *testing.T) {
	h := newHouse(t, 23)
	h.cycles(t, 2)
	for n := range 5 {
		h.attach(t, fmt.Sprint(n), bytes.Repeat([]byte{byte(n)}, 30<<20))
	}
	for cycle, want := range []int{3, 5} {
		before := h.st.Position
		h.writes(t, 1)
		h.cycles(t, 1)
		if got := len(h.memory.contents()); got < want || got > want+40 || h.st.Position == before {
			t.Errorf("after cycle %d there are %d contents of %d", cycle, got, want)
		}
		if cycle == 0 && len(h.files.queue) < 2 {
			t.Errorf("%d contents wait", len(h.files.queue))
		}
	}
	h.memory.deny = func(op, name string) error {
		if op == "put" && strings.Contains(name, "/b/") {
			return target.ErrFull
		}
		return nil
	}
	h.attach(t, "one more", []byte("for which there is no room"))
	before := h.st.Position
	for range 2 {
		h.writes(t, 1)
		if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrFull) {
			t.Errorf("a full target: %v", err)
		}
	}
	if h.st.Position == before {
		t.Error("the log waits for contents")
	}
	h.memory.deny = nil
	h.cycles(t, 1)
	h.whole(t)
}

// Contents that are gone or damaged on this machine are named, told once, and tried again: they
// hold nothing up.
func TestContentsThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(h *house, hash string)
		again time.Duration
	}{
		"gone":          {func(h *house, hash string) { delete(h.disk.files, hash) }, 24 * time.Hour},
		"flipped":       {func(h *house, hash string) { h.disk.files[hash] = []byte("Zhe contents") }, 24 * time.Hour},
		"cut":           {func(h *house, hash string) { h.disk.files[hash] = []byte("the") }, 24 * time.Hour},
		"a disk fails":  {func(h *house, _ string) { h.disk.deny = failing }, 90 * time.Minute},
		"nothing there": {func(h *house, hash string) { h.disk.files[hash] = nil }, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 24)
			hash := h.attach(t, "r", []byte("the contents"))
			good := h.attach(t, "other", []byte("what is in order"))
			h.disk.files[hash] = slices.Clone(h.disk.files[hash])
			whole := h.disk.files[hash]
			c.spoil(h, hash)
			told := 0
			for range 30 {
				h.now = h.now.Add(10 * time.Minute)
				h.writes(t, 1)
				switch err := h.Cycle(t.Context()); {
				case errors.Is(err, ErrAttachment) && strings.Contains(err.Error(), hash):
					told++
				case err != nil && !(h.disk.deny != nil && errors.Is(err, ErrAttachment)):
					t.Fatal(err)
				}
			}
			if told != 1 {
				t.Errorf("it was told %d times", told)
			}
			if asked := h.disk.asked; h.disk.deny == nil && asked > 2*len(h.disk.files) {
				t.Errorf("%d times in five hours contents were asked for", asked)
			}
			b := h.found(t)
			at := Attachment{hash, int64(len(whole))}
			if !slices.Contains(b.Manifest.Missing, at) || !slices.ContainsFunc(b.Problems, func(p Problem) bool { return p.Attachment == hash && errors.Is(p.Err, target.ErrNotFound) }) {
				t.Errorf("missing are %v, problems %v", b.Manifest.Missing, b.Problems)
			}
			if missing, err := b.Missing(t.Context(), h.db.Files); err != nil || !slices.Contains(missing, at) || h.disk.deny == nil && len(missing) != 1 {
				t.Errorf("missing are %v: %v", missing, err)
			}
			if h.disk.deny == nil {
				if err := fetch(t, b, good, int64(len("what is in order"))); err != nil {
					t.Error(err)
				}
			}
			h.disk.files[hash], h.disk.deny = whole, nil
			for range 30 {
				h.now = h.now.Add(c.again / 20)
				h.cycles(t, 1)
			}
			h.whole(t)
			h.now = h.now.Add(25 * time.Hour)
			h.cycles(t, 1)
			if b := h.found(t); len(b.Manifest.Missing) > 0 {
				t.Errorf("still missing are %v", b.Manifest.Missing)
			}
		})
	}
}

// What was removed while the target was away, and cleared away by the server, is not told of as
// if it were missing.
func TestContentsThatWereRemovedMeanwhile(t *testing.T) {
	h := newHouse(t, 28)
	h.cycles(t, 2)
	h.memory.deny = func(string, string) error { return fmt.Errorf("%w: unplugged", target.ErrAway) }
	first := h.attach(t, "r", []byte("the first"))
	if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
		t.Fatal(err)
	}
	h.attach(t, "r", []byte("the second"))
	delete(h.disk.files, first)
	h.memory.deny = nil
	h.cycles(t, 2)
	h.now = h.now.Add(25 * time.Hour)
	h.cycles(t, 2)
	if missing := h.found(t).Manifest.Missing; len(missing) > 0 {
		t.Errorf("missing are %v", missing)
	}
	h.whole(t)
}

func failing(string) error { return errors.New("input/output error") }

// What waits to be brought when the engine ends is brought by the next one, though nothing refers to
// it any more: points between need it.
func TestContentsThatWaitOutlastADeath(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHouse(t, 29)
	h.cycles(t, 2)
	h.memory.deny = func(op, name string) error {
		if op == "put" && strings.Contains(name, "/"+contentsFolder+"/") {
			return fmt.Errorf("%w: unplugged", target.ErrAway)
		}
		return nil
	}
	goesOn := func() {
		t.Helper()
		h.now = h.now.Add(time.Hour)
		if err := h.Cycle(t.Context()); err != nil && !errors.Is(err, target.ErrAway) {
			t.Fatal(err)
		}
	}
	hash := h.attach(t, "r1", []byte("a film of the garden"))
	goesOn()
	needs := h.st.Position
	h.writes(t, 3)
	for range 30 { // a manifest says all of that
		goesOn()
	}
	h.attach(t, "r1", nil)
	for range 30 {
		goesOn()
	}
	h.restart(t)
	h.memory.deny = nil
	for range 3 {
		goesOn()
	}
	b := h.found(t)
	if !slices.ContainsFunc(b.Points(), func(p Point) bool { return p.Position == needs }) {
		t.Fatal("the moment at which it was attached is none that can be restored")
	}
	if err := fetch(t, b, hash, int64(len("a film of the garden"))); err != nil {
		t.Errorf("the moment at which it was attached lacks it: %v", err)
	}
}

// Whatever is wrong with contents at the target is noticed when they are fetched, by name.
func TestContentsDamagedAtTheTarget(t *testing.T) {
	h := newHouse(t, 25)
	text := bytes.Repeat([]byte("contents "), 5000)
	hash := h.attach(t, "r", text)
	other := h.attach(t, "other", []byte("others"))
	h.cycles(t, 2)
	name := h.of(t, hash, 0)
	whole := h.memory.objects[name]
	b := h.found(t)
	for what, c := range map[string]struct {
		bad  []byte
		want error
	}{
		"flipped": {slices.Concat(whole[:len(whole)/2], []byte{whole[len(whole)/2] ^ 1}, whole[len(whole)/2+1:]), object.ErrDamaged},
		"cut":     {whole[:len(whole)-1], object.ErrDamaged},
		"empty":   {[]byte{}, object.ErrCutShort},
		"swapped": {h.memory.objects[h.of(t, other, 0)], object.ErrForged},
		"missing": {nil, target.ErrNotFound},
	} {
		h.memory.objects[name] = c.bad
		if c.bad == nil {
			delete(h.memory.objects, name)
		}
		if err := fetch(t, b, hash, int64(len(text))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v instead of %v", what, err, c.want)
		}
	}
	// What is gone is told once, within the hour, and brought again.
	delete(h.memory.objects, name)
	h.now = h.now.Add(time.Hour)
	if err := h.Cycle(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Errorf("contents are gone: %v", err)
	}
	h.cycles(t, 1)
	h.whole(t)
	// And when what went is noticed after a start.
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	delete(h.memory.objects, name)
	h.restart(t)
	if err := h.Cycle(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Errorf("contents are gone: %v", err)
	}
	h.cycles(t, 1)
	h.whole(t)
}

// What stands at the target where contents are to go is read: if it is them, they stay;
// if it is not, whoever put it there wins nothing.
func TestContentsThatAreThereAlready(t *testing.T) {
	h := newHouse(t, 26)
	h.cycles(t, 2)
	lost := true
	h.memory.after = func(op, name string) error {
		if op == "put" && lost && strings.Contains(name, "/b/") {
			return fmt.Errorf("%w: no answer", target.ErrAway)
		}
		return nil
	}
	hash := h.attach(t, "r", []byte("the contents"))
	if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
		t.Fatal(err)
	}
	lost = false
	before := h.memory.objects[h.of(t, hash, 0)]
	h.cycles(t, 1)
	if got := h.memory.objects[h.of(t, hash, 0)]; len(before) == 0 || !bytes.Equal(got, before) {
		t.Error("contents whose answer was lost were put again")
	}
	h.whole(t)
	hash, _ = h.disk.put([]byte("to come"))
	for _, planted := range [][]byte{{}, []byte("something else"), before} {
		h.memory.objects[h.of(t, hash, 0)] = planted
		h.attach(t, "next", []byte("to come"))
		h.cycles(t, 1)
		h.whole(t)
		h.attach(t, "next", nil)
		h.cycles(t, 1)
		for name := range h.files.there {
			if h.of(t, hash, 0) == contentsName(h.Keys.Chain.ID, name, 0) { // as if it had never been
				delete(h.files.there, name)
				delete(h.files.known, name)
			}
		}
		h.files.sealed = h.files.there.size()
	}
}

// Names of parts are read as they are made, and others are nobody's.
func TestNamesOfContents(t *testing.T) {
	chain, name := strings.Repeat("a", 32), strings.Repeat("0f", 32)
	got := listed{}
	for _, part := range []int{0, 1, 9, 16777} {
		made := contentsName(chain, name, part)
		if err := target.CheckName(made); err != nil {
			t.Error(err)
		}
		got.add(target.Object{Name: made, Size: int64(part)})
	}
	if want := map[int]int64{0: 0, 1: 1, 9: 9, 16777: 16777}; !maps.Equal(got[name], want) {
		t.Errorf("%v instead of %v", got[name], want)
	}
	for _, other := range []string{
		chain + "/b/" + name + "-1", chain + "/b/" + name + "-0", chain + "/b/" + name + "-02", chain + "/b/" + name + "-+2", chain + "/b/" + name + "-2-2", chain + "/b/" + name + "-",
		chain + "/b/" + name[:62], chain + "/b/" + strings.ToUpper(name), chain + "/c/" + name, chain + "/" + name, name, chain + "/b/b/" + name, chain + "/key.1", chain + "/b/" + name + ".seg",
	} {
		got := listed{}
		if got.add(target.Object{Name: other}); len(got) > 0 {
			t.Errorf("%s is taken for contents", other)
		}
	}
	l := listed{name: {1: 5}}
	if l.whole(name, 1) || l.whole(name, 2*object.ContentsPart) {
		t.Error("the second part alone is the whole")
	}
	if l.put(name, 0, 5); !l.whole(name, 1) || !l.whole(name, object.ContentsPart+1) || l.whole(name, 2*object.ContentsPart+1) {
		t.Error("two parts are not two")
	}
}

// A server that has no way to the contents of attachments makes no backup that looks whole.
func TestNobodyGivesContents(t *testing.T) {
	h := newHouse(t, 27)
	h.Contents = nil
	if err := h.Cycle(t.Context()); err == nil || len(h.memory.objects) > 0 {
		t.Errorf("%d objects were made: %v", len(h.memory.objects), err)
	}
	if _, err := os.Stat(filepath.Join(h.Dir, "contents.part")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}
