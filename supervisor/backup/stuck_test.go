package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// hours are some with a write each, and a cycle.
func (h *house) hours(t *testing.T, n int) {
	t.Helper()
	for range n {
		for range 4 {
			h.writes(t, 1)
			h.now = h.now.Add(15 * time.Minute)
			h.cycles(t, 1)
		}
	}
}

// days are some of which nothing is said but their first minute.
func (h *house) days(t *testing.T, n int) {
	t.Helper()
	for range n {
		h.writes(t, 1)
		h.now = h.now.Add(26 * time.Hour)
		h.cycles(t, 1)
	}
}

// spoil changes one byte in the middle of an object.
func (m *memory) spoil(name string) {
	text := slices.Clone(m.objects[name])
	text[len(text)/2] ^= 1
	m.objects[name] = text
}

// What was known here and is damaged, is of another chain, or has no sum is found out again.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(text []byte) []byte{
		"cut short":     func(text []byte) []byte { return text[:len(text)/2] },
		"empty":         func([]byte) []byte { return nil },
		"one digit":     func(text []byte) []byte { return []byte(strings.Replace(string(text), `"seq":`, `"seq":1`, 1)) },
		"of another":    func([]byte) []byte { return []byte(`{"chain":"00"}`) },
		"without a sum": func(text []byte) []byte { return text[:strings.IndexByte(string(text), '\n')+1] },
	} {
		for _, file := range []string{"chain.json", "contents.json"} {
			if file == "contents.json" && name != "cut short" && name != "of another" || watched && name != "one digit" {
				continue
			}
			h := newHouse(t, 41)
			h.writes(t, 30)
			h.hours(t, 1)
			if err := h.Stop(); err != nil {
				t.Fatal(err)
			}
			first, path := h.Overview().First, filepath.Join(h.Dir, file)
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, change(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			h.restart(t)
			if o := h.Overview(); file == "chain.json" && len(o.Points) > 0 {
				t.Errorf("%s: it is believed", name)
			}
			h.hours(t, 1)
			h.cycles(t, 1)
			h.whole(t)
			if o := h.Overview(); !o.First.Equal(first) {
				t.Errorf("%s, %s: the first copy was of %s, not %s", file, name, o.First, first)
			}
			h.days(t, 2)
			h.whole(t)
		}
	}
}

// An object that is damaged at the target when it is to be merged is told once, by its number,
// and left out; all is copied anew, and the backup goes on.
func TestDamagedBeforeAMerge(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	h := newHouse(t, 42)
	h.writes(t, 30)
	h.cycles(t, 1)
	for range 6 {
		h.writes(t, 2)
		h.now = h.now.Add(5 * time.Minute)
		h.cycles(t, 1)
	}
	stretches := h.st.stretches()
	bad := stretches[len(stretches)-3]
	good := stretches[len(stretches)-4].To
	h.memory.spoil(h.name(bad.N))
	h.now = h.now.Add(time.Hour)
	h.writes(t, 1)
	err := h.Cycle(t.Context())
	if code(err) != "backup-part-lost" || !errors.Is(err, object.ErrDamaged) || !strings.Contains(hint.Describe(err, hint.EN), fmt.Sprintf("Part %d ", bad.N)) {
		t.Fatalf("%v", err)
	}
	h.cycles(t, 2)
	h.whole(t)
	found := h.found(t).Points()
	if !slices.ContainsFunc(found, func(p Point) bool { return p.Position.Seq >= good.Seq && p.Position.Seq < bad.To.Seq }) {
		t.Error("what was before the damage is not restored any more")
	}
	if slices.ContainsFunc(found, func(p Point) bool { return p.Position == bad.To }) {
		t.Error("what needs the damaged object is offered")
	}
	h.days(t, dose(3, 1))
	h.whole(t)
	t.Logf("SHOW a part that is damaged at the target: %s", hint.Describe(err, hint.EN))
}

// A read that went wrong once is no damage.
func TestReadWrongOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 43)
	h.writes(t, 30)
	h.cycles(t, 1)
	for range 6 {
		h.writes(t, 2)
		h.now = h.now.Add(5 * time.Minute)
		h.cycles(t, 1)
	}
	stretches := h.st.stretches()
	name := h.name(stretches[len(stretches)-3].N)
	whole := h.memory.objects[name]
	h.memory.spoil(name)
	reads := 0
	h.memory.deny = func(op, what string) error {
		if op == "get" && what == name {
			if reads++; reads == 2 {
				h.memory.objects[name] = whole
			}
		}
		return nil
	}
	h.now = h.now.Add(time.Hour)
	h.writes(t, 1)
	bases := len(h.st.Bases)
	if err := h.Cycle(t.Context()); err == nil || code(err) == "backup-part-lost" {
		t.Errorf("read wrong once: %v", err)
	}
	h.cycles(t, 2)
	h.whole(t)
	if len(h.st.Bases) != bases || h.st.Copying != nil {
		t.Error("everything was copied anew")
	}
}

// Objects behind what is known here that are damaged are nobody's: the chain goes on behind them,
// and what they held is brought again, or copied anew where the store does not have it any more.
func TestDamagedBehindWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, which := range []int{1, 3} {
		for how, cut := range []bool{false, true, false} {
			if watched && (cut || which > 1) {
				continue
			}
			h := newHouse(t, 44)
			h.writes(t, 30)
			h.cycles(t, 1)
			if err := h.Stop(); err != nil {
				t.Fatal(err)
			}
			known := h.st.Head.N
			kept, err := os.ReadFile(statePath(h.Dir))
			if err != nil {
				t.Fatal(err)
			}
			if how == 2 {
				h.Source = mute{h.db} // so that the store still has it
			}
			for range 3 {
				h.writes(t, 2)
				if err := h.Cycle(t.Context()); (err != nil) != (how == 2) {
					t.Fatal(err)
				}
			}
			name := h.name(known + uint64(which))
			h.memory.spoil(name)
			if cut {
				h.memory.objects[name] = h.memory.objects[name][:20]
			}
			if err := os.WriteFile(statePath(h.Dir), kept, 0o600); err != nil {
				t.Fatal(err)
			}
			h.restart(t)
			h.cycles(t, 3)
			h.whole(t)
			h.days(t, 3)
			h.whole(t)
			if slices.Contains(h.memory.names(), name) {
				t.Errorf("object %d of 3: what is damaged stays for ever", which)
			}
		}
	}
}

// An object whose answer was lost, and that is damaged, is passed over too.
func TestDamagedWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 45)
	h.writes(t, 30)
	h.cycles(t, 1)
	lost := ""
	h.memory.after = func(op, name string) error {
		if op == "put" && lost == "" && strings.HasSuffix(name, ".seg") {
			lost = name
			h.memory.spoil(name)
			return fmt.Errorf("%w: no answer", target.ErrAway)
		}
		return nil
	}
	h.writes(t, 2)
	if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
		t.Fatal(err)
	}
	h.cycles(t, 1)
	h.hours(t, 2)
	h.whole(t)
}

// With what was known lost, and the newest manifest damaged, an older one is gone on from: what was
// deleted since is not missed.
func TestAnOlderManifest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 46)
	h.writes(t, 30)
	h.cycles(t, 1)
	h.hours(t, 6)
	var manifests []entry
	for _, ent := range h.st.Objects {
		if ent.Kind == object.Manifest {
			manifests = append(manifests, ent)
		}
	}
	if len(manifests) < 3 {
		t.Fatalf("%d manifests are there", len(manifests))
	}
	older := manifests[len(manifests)-2]
	h.memory.spoil(h.name(manifests[len(manifests)-1].N))
	// A death came before it was deleted itself, and after what it names was.
	named, _, err := h.reader().readManifest(t.Context(), older.N)
	if err != nil {
		t.Fatal(err)
	}
	gone := 0
	for _, ent := range named.objects {
		if now, _ := h.st.object(ent.N); !now.live() {
			delete(h.memory.objects, h.name(ent.N))
			gone++
		}
	}
	if gone == 0 {
		t.Fatal("the older manifest names nothing that was left since")
	}
	h.Engine = h.engine(t, h.Keys, t.TempDir())
	h.cycles(t, 3)
	h.whole(t)
}

// noPlace is a store that forgets once where a copy was.
type noPlace struct {
	changelog.Source
	asked *int
}

func (s noPlace) Copy(ctx context.Context, after string, bytes int, each func([]byte) error) (string, changelog.Position, error) {
	if *s.asked++; *s.asked == 1 {
		return "", changelog.Position{}, fmt.Errorf("%w: %q", changelog.ErrNoPlace, after)
	}
	return s.Source.Copy(ctx, after, bytes, each)
}

// A copy that cannot go on from where it was begins anew.
func TestACopyBeginsAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 47)
	h.writes(t, 30)
	h.Source = noPlace{h.db, new(int)}
	h.cycles(t, 2)
	h.whole(t)
}

// What a person is to act on says so, in every language, and does not go away by itself; nothing is
// put or deleted meanwhile.
func TestWhatPeopleAreTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 48)
	h.writes(t, 30)
	h.cycles(t, 1)
	h.writes(t, 3)
	h.cycles(t, 1)
	check := func(what, want string, is error) {
		t.Helper()
		before := h.memory.segments()
		for range 3 {
			h.now = h.now.Add(time.Hour)
			h.writes(t, 1)
			err := h.Cycle(t.Context())
			if code(err) != want || !errors.Is(err, is) {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if e := hint.Find(err); e.What.FR == "" || e.Did.FR == "" || !strings.Contains(e.Do.EN, "foyer backup to memory --new") {
				t.Errorf("%s: %+v", what, e)
			}
		}
		if !slices.Equal(h.memory.segments(), before) {
			t.Errorf("%s: the target was changed", what)
		}
	}
	restart := func() {
		t.Helper()
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		h.restart(t)
	}
	gone := h.name(h.st.stretches()[0].N)
	was := h.memory.objects[gone]
	delete(h.memory.objects, gone)
	restart()
	check("an object is gone", "backup-rolled-back", ErrRolledBack)
	h.memory.objects[gone] = was
	restart()
	h.cycles(t, 1)
	next := h.name(h.st.Head.N + 1)
	h.memory.objects[next] = was
	check("somebody else puts an object", "backup-two-machines", ErrTwoMachines)
	restart()
	check("somebody else did", "backup-two-machines", ErrTwoMachines)
	delete(h.memory.objects, next)
	restart()
	h.cycles(t, 1)
	h.whole(t)
}

// Trouble with this machine's own folder is told as such; what fails to be read of the server is not.
func TestOwnFolder(t *testing.T) {
	t.Parallel()
	for errno, want := range map[error]string{syscall.ENOSPC: "backup-no-room", syscall.EROFS: "backup-folder", syscall.EACCES: "backup-folder", syscall.EIO: "backup-folder", errors.New("a bug"): ""} {
		err := here("/var/lib/foyer/backup", &os.PathError{Op: "write", Path: "x", Err: errno})
		if code(err) != want || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	h := newHouse(t, 49)
	h.writes(t, 30)
	if err := os.Mkdir(filepath.Join(h.Dir, "next.part"), 0o700); err == nil {
		err = os.WriteFile(filepath.Join(h.Dir, "next.part", "x"), nil, 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Cycle(t.Context()); err == nil {
		t.Error("nothing can be sealed, and nobody says so")
	}
	if err := os.RemoveAll(filepath.Join(h.Dir, "next.part")); err != nil {
		t.Fatal(err)
	}
	h.cycles(t, 1)
	h.whole(t)
	refused := fmt.Errorf("asking the server: %w", syscall.ECONNREFUSED)
	h.disk.deny = func(string) error { return refused }
	h.Source = refusing{h.db, refused}
	if err := h.Cycle(t.Context()); code(err) != "" || !errors.Is(err, refused) {
		t.Errorf("the server's trouble: %v", err)
	}
}

// refusing is a store that gives nothing.
type refusing struct {
	changelog.Source
	err error
}

func (r refusing) Changes(context.Context, changelog.Position, int, func(changelog.Entry) error) error {
	return r.err
}

// What was left at a time that is to come, by a clock that was wrong, does not stay until then.
func TestLeftInTheFuture(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	h.writes(t, 30)
	h.cycles(t, 1)
	h.hours(t, 2)
	n := 0
	for i := range h.st.Objects {
		if ent := &h.st.Objects[i]; !ent.live() {
			ent.Left = h.now.AddDate(10, 0, 0)
			n++
		}
	}
	before := h.memory.segments()
	h.now = h.now.Add(23 * time.Hour)
	h.cycles(t, 1)
	if now := h.memory.segments(); slices.ContainsFunc(before, func(name string) bool { return !slices.Contains(now, name) }) {
		t.Error("something went before its day was over")
	}
	h.days(t, 3)
	for _, ent := range h.st.Objects {
		if ent.Left.After(h.now) {
			t.Errorf("of %d, object %d stays until %s", n, ent.N, ent.Left)
		}
	}
	if n == 0 {
		t.Error("nothing was left")
	}
	h.whole(t)
}
