package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
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

// At every point that is kept, every attachment that the data of it refer to comes back:
// whatever was replaced and removed since, with a server that clears away what nobody refers
// to, a target that is away or whose answers are lost, processes that die, and with what is
// known of attachments, or of everything, lost. What no point needs goes.
func TestAttachmentsOfEveryPoint(t *testing.T) {
	t.Attr("shows", "backups")
	seeds, steps := uint64(3), 400
	switch {
	case watched:
		seeds, steps = 1, 200
	case os.Getenv("SHOW_WHOLE") != "":
		seeds, steps = 100, 1500
	}
	points, checked, most, left := 0, 0, 0, 0
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 9))
		h := newHouse(t, 1000+seed)
		model := map[int64][]Attachment{} // by the sequence of a point
		last := map[string]time.Time{}    // when something was last attached, and is on the disk
		lives := map[string][2]time.Time{}
		away, forgetful := time.Time{}, false
		h.memory.deny = func(string, string) error {
			if h.now.Before(away) || forgetful && r.IntN(9) == 0 {
				return fmt.Errorf("%w: unplugged", target.ErrAway)
			}
			return nil
		}
		h.memory.after = func(string, string) error {
			if forgetful && r.IntN(9) == 0 {
				return fmt.Errorf("%w: no answer", target.ErrAway)
			}
			return nil
		}
		check := func() {
			b, err := Find(t.Context(), h.memory, h.Keys.expect())
			if err != nil {
				for _, ent := range h.st.Objects {
					t.Logf("%d %s %s left %s", ent.N, ent.Kind, ent.At, ent.Left)
				}
				t.Fatalf("seed %d: %v; newest manifest %d; bases %+v", seed, err, h.st.manifest(), h.st.Bases)
			}
			for _, p := range b.Problems {
				t.Errorf("seed %d: object %d, attachment %q: %v", seed, p.N, p.Attachment, p.Err)
			}
			for _, p := range b.Points() {
				files, known := model[p.Position.Seq]
				if points++; !known {
					continue
				}
				for _, at := range files {
					if checked++; !b.has(at) {
						t.Fatalf("seed %d: at %s the data refer to %.8s, which is not at the target", seed, p.At, at.Hash)
					}
					if r.IntN(20) == 0 {
						if err := fetch(t, b, at.Hash, at.Size); err != nil {
							t.Fatalf("seed %d: %.8s: %v", seed, at.Hash, err)
						}
					}
				}
			}
		}
		for step := range steps {
			for range r.IntN(3) {
				var text []byte
				switch r.IntN(5) {
				case 0: // removed
				case 1:
					text = fmt.Appendf(nil, "shared %d", r.IntN(4))
				default:
					text = fmt.Appendf(nil, "%d", r.Uint64())
				}
				h.attach(t, fmt.Sprint(r.IntN(8)), text)
			}
			switch r.IntN(60) {
			case 0:
				away = h.now.Add(time.Duration(r.IntN(20)) * time.Hour)
			case 1:
				forgetful = !forgetful
			case 2, 3:
				h.restart(t)
			case 4:
				if err := h.Stop(); err != nil {
					t.Fatal(err)
				}
				h.restart(t)
			case 5:
				if seed%3 == 1 {
					if err := removed(filepath.Join(h.Dir, "contents.json")); err != nil {
						t.Fatal(err)
					}
					h.restart(t)
				}
			case 6:
				if seed%3 == 2 && step%10 == 0 && !h.now.Before(away) && !forgetful && h.st.manifest() > 0 {
					h.Engine = h.engine(t, h.Keys, t.TempDir())
				}
			}
			var now []Attachment
			if err := h.db.Files(t.Context(), func(hash string, size int64) error {
				now = append(now, Attachment{hash, size})
				last[hash] = h.now
				if _, known := lives[hash]; !known {
					lives[hash] = [2]time.Time{h.now, h.now}
				}
				lives[hash] = [2]time.Time{lives[hash][0], h.now}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			err := h.Cycle(t.Context())
			if err != nil && !errors.Is(err, target.ErrAway) {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if _, at, err := h.db.Summarize(t.Context(), h.now); err != nil {
				t.Fatal(err)
			} else if h.opened && h.st.Position == at {
				model[at.Seq] = now
			}
			for hash, at := range last { // as the server does with what nobody refers to
				if h.now.Sub(at) > 48*time.Hour {
					delete(h.disk.files, hash)
					delete(last, hash)
				}
			}
			h.now = h.now.Add(time.Duration(r.IntN(6*60)) * time.Minute)
			if step%100 == 99 && !h.now.Before(away) && !forgetful {
				h.cycles(t, 1)
				check()
			}
			most = max(most, len(h.memory.contents()))
		}
		away, forgetful = time.Time{}, false
		for range 80 { // what is left longest is a day
			h.now = h.now.Add(time.Hour)
			h.cycles(t, 1)
		}
		check()
		h.tidied(t)
		if seed%3 != 0 {
			continue // what was lost counts as needed for longer
		}
		// What is attached is compared once a day, and later where the target is away.
		const slack = 48 * time.Hour
		needed, almost := map[string]bool{}, map[string]bool{}
		for _, p := range h.found(t).Points() {
			for _, at := range model[p.Position.Seq] {
				needed[h.of(t, at.Hash, 0)] = true
			}
			for hash, life := range lives {
				if !p.At.Before(life[0].Add(-slack)) && !p.At.After(life[1].Add(slack)) {
					almost[h.of(t, hash, 0)] = true
				}
			}
		}
		for hash, life := range lives {
			name := h.of(t, hash, 0)
			if _, there := h.memory.objects[name]; there && !almost[name] {
				t.Errorf("seed %d: no point needs what was attached from %s to %s, nor did one nearly: %+v", seed, life[0], life[1], h.files.known[h.files.key.Name(hash)])
			}
		}
		for _, name := range h.memory.contents() {
			if !needed[name] {
				left++
			}
		}
		if kept := len(h.memory.contents()); kept > len(lives)*2/3 && steps >= 400 { // weeks, of which not all is kept
			t.Errorf("seed %d: of %d contents %d are still there", seed, len(lives), kept)
		}
	}
	t.Logf("SHOW attachments: at %d points of %d seeds %d references, each of whose contents is at the target (at most %d at once, %d of them longer than need be)", points, seeds, checked, most, left)
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
