package backup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

func newKit(t testing.TB) *kit.Kit {
	t.Helper()
	k, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// code is that of an error for people.
func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return ""
}

// Keys that were begun are those that are loaded, and those that the words open; begun again
// they are the same. Other words, and another target, are refused.
func TestBegin(t *testing.T) {
	m, dir, words := newMemory(), filepath.Join(t.TempDir(), "keys"), newKit(t)
	if _, err := LoadKeys(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keys before there are any: %v", err)
	}
	keys, err := Begin(t.Context(), m, dir, words)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, 1)
	h.memory = m
	h.Engine = h.engine(t, keys, t.TempDir())
	h.writes(t, 20)
	h.cycles(t, 2)
	for name, get := range map[string]func() (Keys, error){
		"loaded": func() (Keys, error) { return LoadKeys(dir) },
		"again":  func() (Keys, error) { return Begin(t.Context(), m, dir, words) },
	} {
		same, err := get()
		if err != nil || same.Chain.ID != keys.Chain.ID || same.Chain.Identity.Secret() != keys.Chain.Identity.Secret() || !bytes.Equal(same.Machine.Signer.Secret(), keys.Machine.Signer.Secret()) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Find(t.Context(), m, same.expect()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	before := m.names()
	if _, err := Begin(t.Context(), m, dir, newKit(t)); code(err) != "backup-begun" {
		t.Errorf("other words: %v", err)
	}
	if _, err := Begin(t.Context(), newMemory(), dir, words); code(err) != "backup-begun" {
		t.Errorf("another target: %v", err)
	}
	if !slices.Equal(before, m.names()) {
		t.Error("something was changed at the target")
	}
	lock, err := atomicfile.TryLock(filepath.Join(dir, keysLock))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if _, err := Begin(t.Context(), m, dir, words); code(err) != "backup-keys-busy" {
		t.Errorf("two at once: %v", err)
	}
}

// Wherever it breaks off, no keys are known before the words are shown to open them; the
// next try goes on, or begins again with other words.
func TestBeginBreaksOff(t *testing.T) {
	gone := errors.New("the cable")
	for _, other := range []bool{false, true} {
		for name, fail := range map[string]func(m *memory, broken *bool){
			"before the put": func(m *memory, broken *bool) {
				m.deny = func(op, _ string) error {
					if *broken && op == "put" {
						return gone
					}
					return nil
				}
			},
			"after the put": func(m *memory, broken *bool) {
				m.after = func(op, _ string) error {
					if *broken && op == "put" {
						return gone
					}
					return nil
				}
			},
			"when it is read back": func(m *memory, broken *bool) {
				puts := 0
				m.deny = func(op, _ string) error {
					if op == "put" {
						puts++
					}
					if *broken && puts > 0 && op == "get" {
						return gone
					}
					return nil
				}
			},
		} {
			m, dir, words, broken := newMemory(), t.TempDir(), newKit(t), true
			fail(m, &broken)
			if _, err := Begin(t.Context(), m, dir, words); !errors.Is(err, gone) {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := LoadKeys(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: keys that nobody has proven: %v", name, err)
			}
			broken = false
			if other {
				words = newKit(t)
			}
			keys, err := Begin(t.Context(), m, dir, words)
			if err != nil {
				t.Fatalf("%s, then with other words %v: %v", name, other, err)
			}
			if names := m.names(); len(names) != 1 || names[0] != keys.Chain.ID+"/key.1" {
				t.Errorf("%s: at the target are %q", name, names)
			}
			if _, err := Begin(t.Context(), m, dir, words); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What the target says is proven, not what was sent to it.
func TestBeginAtALyingTarget(t *testing.T) {
	m, dir, words := newMemory(), t.TempDir(), newKit(t)
	m.after = func(op, name string) error {
		if op == "put" {
			text := m.objects[name]
			text[len(text)/2] ^= 1
		}
		return nil
	}
	if _, err := Begin(t.Context(), m, dir, words); !errors.Is(err, object.ErrDamaged) {
		t.Errorf("a target that changes what it is given: %v", err)
	}
	if _, err := LoadKeys(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keys that nobody has proven: %v", err)
	}
}

// server is one whose chain the words open, at a target where there may be others.
func (m *memory) server(t *testing.T, words *kit.Kit, seed uint64, now time.Time) (*house, string) {
	t.Helper()
	keys, err := Begin(t.Context(), m, t.TempDir(), words)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, seed)
	h.memory, h.now = m, now
	h.Engine = h.engine(t, keys, t.TempDir())
	h.writes(t, 30)
	h.cycles(t, 2)
	return h, keys.Chain.ID
}

// Among chains of several machines the words find their own, the newest first.
func TestOpenByWords(t *testing.T) {
	t.Attr("shows", "backups")
	m, words := newMemory(), newKit(t)
	if _, err := Open(t.Context(), m, words); code(err) != "backup-none" || !errors.Is(err, ErrNothing) {
		t.Errorf("an empty place: %v", err)
	}
	m.objects["lost/and/found"] = []byte("x")
	if _, err := Open(t.Context(), m, words); code(err) != "backup-none" {
		t.Errorf("a place with something else: %v", err)
	}
	march := time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC)
	old, first := m.server(t, words, 1, march)
	_, strange := m.server(t, newKit(t), 2, march.AddDate(1, 0, 0))
	_, second := m.server(t, words, 3, march.AddDate(0, 1, 0))
	found, err := Open(t.Context(), m, words)
	if err != nil || len(found) != 2 || found[0].ID != second || found[1].ID != first || !found[1].At.Equal(march) {
		t.Fatalf("%+v %v", found, err)
	}
	b, err := found[1].Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old.same(t, restored(t, b, newest(t, b), march), march)
	if _, err := Open(t.Context(), m, newKit(t)); code(err) != "backup-wrong-key" {
		t.Errorf("words of nobody: %v", err)
	}
	// Damage is told from wrong words, and does not hide what is whole.
	spoil := func(chain string) func() {
		key := chain + "/key.1"
		was := bytes.Clone(m.objects[key])
		m.objects[key][len(was)-3] ^= 1
		return func() { m.objects[key] = was }
	}
	heal := spoil(second)
	if found, err := Open(t.Context(), m, words); err != nil || len(found) != 1 || found[0].ID != first {
		t.Errorf("with one key object damaged: %+v %v", found, err)
	}
	healFirst := spoil(first)
	if _, err := Open(t.Context(), m, words); code(err) != "backup-damaged" {
		t.Errorf("with both damaged: %v", err)
	}
	healFirst()
	heal()
	for name := range m.objects {
		if strings.HasPrefix(name, second) && strings.HasSuffix(name, ".seg") {
			m.objects[name] = []byte("nothing like it")
		}
	}
	if found, err = Open(t.Context(), m, words); err != nil || len(found) != 2 || found[0].ID != first || !found[1].At.IsZero() {
		t.Errorf("with all objects of the newest damaged: %+v %v", found, err)
	} else if _, err := found[1].Find(t.Context()); code(err) != "backup-damaged" {
		t.Errorf("%v", err)
	}
	delete(m.objects, first+"/key.1")
	delete(m.objects, second+"/key.1")
	delete(m.objects, strange+"/key.1")
	if _, err := Open(t.Context(), m, words); code(err) != "backup-keys-missing" {
		t.Errorf("without key objects: %v", err)
	}
	m.deny = func(string, string) error { return target.ErrAway }
	if _, err := Open(t.Context(), m, words); !errors.Is(err, target.ErrAway) {
		t.Errorf("a target that is away: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.deny = func(string, string) error { return ctx.Err() }
	if _, err := Open(ctx, m, words); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

// A chain of which no base was finished has nothing to bring back, and says so.
func TestOpenBeforeTheFirstBackup(t *testing.T) {
	m, words := newMemory(), newKit(t)
	if _, err := Begin(t.Context(), m, t.TempDir(), words); err != nil {
		t.Fatal(err)
	}
	found, err := Open(t.Context(), m, words)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if _, err := found[0].Find(t.Context()); code(err) != "backup-none" {
		t.Errorf("%v", err)
	}
}

// Each manifest names the newest key object; a target that has another, or none, in its place shows it
// to whoever looks for something to restore. Without the file that says which it is, Begin asks the target.
func TestKeysAtTheTargetAreTheNewest(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	m, words, dir := newMemory(), newKit(t), t.TempDir()
	keys, err := Begin(t.Context(), m, dir, words)
	if err != nil {
		t.Fatal(err)
	}
	name := keyName(keys.Chain.ID)
	want := KeyObject{1, sumOf(m.objects[name])}
	if keys.Newest != want {
		t.Errorf("begun with %+v, not %+v", keys.Newest, want)
	}
	for what, change := range map[string]func(path string) error{
		"there":   func(string) error { return nil },
		"gone":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
	} {
		if err := change(filepath.Join(dir, keyFile)); err != nil {
			t.Fatal(err)
		}
		loaded, err := LoadKeys(dir)
		if err != nil || loaded.Newest != want && what == "there" || loaded.Newest != (KeyObject{}) && what != "there" {
			t.Errorf("%s: %+v %v", what, loaded.Newest, err)
		}
		if again, err := Begin(t.Context(), m, dir, words); err != nil || again.Newest != want {
			t.Errorf("%s: %+v %v", what, again.Newest, err)
		}
		if loaded, err := LoadKeys(dir); err != nil || loaded.Newest != want {
			t.Errorf("%s, and asked for: %+v %v", what, loaded.Newest, err)
		}
	}
	h := newHouse(t, 81)
	h.memory = m
	unknown := keys
	unknown.Newest = KeyObject{}
	h.Engine = h.engine(t, unknown, t.TempDir())
	h.writes(t, 20)
	h.cycles(t, 1)
	whole := m.objects[name]
	delete(m.objects, name)
	if b := h.found(t); b.Manifest.Newest != (KeyObject{}) || len(b.Problems) > 0 {
		t.Errorf("a manifest that does not say which: %+v %v", b.Manifest.Newest, b.Problems)
	}
	m.objects[name] = whole
	h.Engine = h.engine(t, keys, h.Dir)
	if _, err := h.Say(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := h.found(t); b.Manifest.Newest != want || len(b.Problems) > 0 {
		t.Errorf("%+v %v", b.Manifest.Newest, b.Problems)
	}
	sealed, err := object.SealKeys(words, &object.Keys{Number: 1, Chain: keys.Chain, Authors: keys.Authors, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][]byte{"none": nil, "another": sealed, "half of it": whole[:len(whole)/2]} {
		if m.objects[name] = text; text == nil {
			delete(m.objects, name)
		}
		b := h.found(t)
		if len(b.Problems) != 1 || code(b.Problems[0].Err) != "backup-keys-older" || len(b.Points()) == 0 {
			t.Errorf("%s: %+v, and %d points", what, b.Problems, len(b.Points()))
		}
		// The machine goes on: it needs none to make backups.
		h.writes(t, 1)
		h.cycles(t, 1)
	}
	m.objects[name] = whole
	m.deny = func(op, what string) error {
		if op == "get" && what == name {
			return target.ErrAway
		}
		return nil
	}
	if _, err := Find(t.Context(), m, keys.expect()); !errors.Is(err, target.ErrAway) {
		t.Errorf("a target that goes away: %v", err)
	}
}

// What another machine sealed opens by the key of the chain.
func TestObjectsOfTheMachineBefore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 82)
	h.writes(t, 20)
	h.cycles(t, 2)
	next, err := object.NewMachine()
	if err != nil {
		t.Fatal(err)
	}
	keys := Keys{Machine: next, Chain: h.Keys.Chain, Authors: append(slices.Clone(h.Keys.Authors), next.Author(h.st.Head.N+1))}
	h.Engine = h.engine(t, keys, t.TempDir())
	h.writes(t, 3)
	h.cycles(t, 2)
	h.whole(t)
}
