package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// own begins a chain in a folder that holds its keys and what is known of it, and makes some backups.
func own(t *testing.T, m *memory, dir string, words *kit.Kit, seed uint64) *house {
	t.Helper()
	keys, err := Begin(t.Context(), m, dir, words)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, seed)
	h.memory = m
	h.Engine = h.engine(t, keys, dir)
	h.writes(t, 5)
	h.cycles(t, 1)
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	return h
}

// in are the names in a folder, but for the lock.
func in(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != keysLock {
			out = append(out, e.Name())
		}
	}
	return out
}

// A chain that was ended leaves its folder to the next; its keys are kept, of the last three, and open what is at
// the target, which nobody touches.
func TestEnd(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	m, words, dir := newMemory(), newKit(t), filepath.Join(t.TempDir(), "keys")
	if err := End(dir); err != nil {
		t.Errorf("where there is none: %v", err)
	}
	var chains []string
	for n := range 5 {
		h := own(t, m, dir, words, uint64(n)+1)
		chains = append(chains, h.Keys.Chain.ID)
		before := m.names()
		if err := End(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKeys(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("keys of a chain that was ended: %v", err)
		}
		if !slices.Equal(before, m.names()) {
			t.Error("the target was changed")
		}
		var want []string
		for _, chain := range chains[max(0, n-2):] {
			want = append(want, "ended-"+chain[:8])
		}
		slices.Sort(want)
		if got := in(t, dir); !slices.Equal(got, want) {
			t.Errorf("after chain %d: %q, not %q", n+1, got, want)
		}
		keys, err := LoadKeys(filepath.Join(dir, "ended-"+chains[n][:8]))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := Verify(t.Context(), m, keys, nil); err != nil || len(v.Problems) > 0 || v.Objects == 0 {
			t.Errorf("by the keys of a chain that was ended: %+v %v", v, err)
		}
	}
	if err := End(dir); err != nil {
		t.Errorf("a second time: %v", err)
	}
	lock, err := atomicfile.TryLock(filepath.Join(dir, keysLock))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if err := End(dir); code(err) != "backup-keys-busy" {
		t.Errorf("two at once: %v", err)
	}
}

// Wherever a death breaks an end off, keys and what is known of a chain stay together: in the folder, where no
// end was begun, or where the next End or Begin puts them; what is there then is of one chain.
func TestEndBreaksOff(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	files := chainFiles()
	begin := func(m *memory, dir string, words *kit.Kit) Keys {
		keys, err := Begin(t.Context(), m, dir, words)
		if err == nil {
			st := state{Chain: keys.Chain.ID, Head: head{N: 5}}
			err = errors.Join(saveSummed(statePath(dir), &st), saveSummed(contentsPath(dir), &references{Chain: keys.Chain.ID}))
		}
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	for moved := -1; moved <= len(files); moved++ {
		for _, next := range []string{"end", "begin"} {
			m, words, dir := newMemory(), newKit(t), t.TempDir()
			was := begin(m, dir, words)
			if moved >= 0 {
				if err := os.Mkdir(filepath.Join(dir, endingDir), 0o700); err != nil {
					t.Fatal(err)
				}
				for _, name := range files[:moved] {
					if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, endingDir, name)); err != nil {
						t.Fatal(err)
					}
				}
			}
			// Before it goes on there is the chain, or none.
			if keys, err := LoadKeys(dir); (err == nil) != (moved < 1) || err == nil && keys.Chain.ID != was.Chain.ID {
				t.Errorf("%d moved: %v", moved, err)
			}
			if moved < 1 && next == "begin" { // nothing was ended
				if keys := begin(m, dir, words); keys.Chain.ID != was.Chain.ID || slices.Contains(in(t, dir), endingDir) {
					t.Errorf("%d moved: a chain that nobody ended was ended", moved)
				}
				continue
			}
			if next == "end" {
				if err := End(dir); err != nil {
					t.Errorf("%d moved: %v", moved, err)
				}
			}
			ended := filepath.Join(dir, "ended-"+was.Chain.ID[:8])
			other := begin(m, dir, words)
			if other.Chain.ID == was.Chain.ID {
				t.Fatalf("%d moved: the chain was not ended", moved)
			}
			if got, want := in(t, ended), append(slices.Clone(files), endedOrder); len(got) != len(want) || slices.ContainsFunc(want, func(f string) bool { return !slices.Contains(got, f) }) {
				t.Errorf("%d moved, then %s: of the chain there are %q, not %q", moved, next, got, want)
			}
			if st, err := loadState(ended, was.Chain.ID); err != nil || st.Head.N == 0 {
				t.Errorf("%d moved: what was known of the chain: %v", moved, err)
			}
			if st, err := loadState(dir, other.Chain.ID); err != nil || st.Head.N == 0 || slices.Contains(in(t, dir), endingDir) {
				t.Errorf("%d moved: what is known of the next: %v, %q", moved, err, in(t, dir))
			}
		}
	}
}

// Damaged keys are moved aside, too: what is known can be begun anew.
func TestEndOfDamagedKeys(t *testing.T) {
	t.Parallel()
	m, words, dir := newMemory(), newKit(t), t.TempDir()
	own(t, m, dir, words, 9)
	if err := os.WriteFile(filepath.Join(dir, "chain.key"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(t.Context(), m, dir, words); code(err) != "backup-keys-damaged" {
		t.Errorf("%v", err)
	}
	if err := End(dir); err != nil {
		t.Fatal(err)
	}
	own(t, m, dir, words, 10)
}
