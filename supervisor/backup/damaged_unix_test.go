//go:build unix

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/follow"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	remote "github.com/foyer-server/foyer/supervisor/source"
)

// marked are records by whose data their pages are found in the file.
var marked = kinto.List{Parent: "/buckets/marked/collections/c", Kind: kinto.Record}

const markText = "by this the page is found"

// mark writes some of them.
func (h *house) mark(t *testing.T, n int) {
	t.Helper()
	err := h.db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for i := range n {
			ts, err := tx.Tick(marked, -1)
			if err == nil {
				err = tx.Put(marked, &kinto.Object{ID: fmt.Sprint("r", i), Timestamp: ts, Data: fmt.Appendf(nil, `{"x":%q}`, markText+strings.Repeat("x", 500))}, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// socketed is a house whose supervisor gets the data over the socket of the two, and whose server can end.
type socketed struct {
	*house
	path  string
	stop  func()
	kinds map[string]object.Kind // of objects that were looked at, by name
}

// serve opens the database and serves it, as the next server process does.
func (s *socketed) serve(t *testing.T) {
	t.Helper()
	db, err := storage.Open(t.Context(), s.path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "foyer") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	l, err := host.Listen(host.Local, "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ends, end := context.WithCancel(context.Background())
	srv := &http.Server{Handler: follow.New(follow.Config{Source: db, Ends: ends, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Open: func(string) (*os.File, error) { return nil, os.ErrNotExist }})}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) }) //nolint:errcheck // it is closed
	s.stop = sync.OnceFunc(func() {
		end()
		srv.Close() //nolint:errcheck // nobody asks any more
		wg.Wait()
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	s.db, s.Source = db, remote.Dial(l.Addr().String())
	s.writer.Store = db
}

// damage overwrites pages of the table of objects, while the server is off, and returns what was there.
func (s *socketed) damage(t *testing.T) (whole []byte) {
	t.Helper()
	s.stop()
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	text := slices.Clone(whole)
	size, found := int(text[16])<<8|int(text[17]), 0
	for at := size; at < len(text); at += size {
		if page := text[at:min(at+size, len(text))]; page[0] == 0x0d && bytes.Contains(page, []byte(markText)) {
			for i := range page {
				page[i] = 0xa5
			}
			found++
		}
	}
	if found == 0 {
		t.Fatal("no page of the table was found")
	}
	if err := os.WriteFile(s.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return whole
}

// kindsAt counts the objects of the chain by kind, as their own headers say.
func (s *socketed) kindsAt(t *testing.T) map[object.Kind]int {
	t.Helper()
	out := map[object.Kind]int{}
	for _, name := range s.memory.segments() {
		if s.kinds[name] == "" {
			n, _ := number(name)
			ent, err := s.reader().read(t.Context(), n, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			s.kinds[name] = ent.Kind
		}
		out[s.kinds[name]]++
	}
	return out
}

// A database that is really damaged does no harm to the backup: the cycle that meets it says so, and so
// does every one after it; nothing is copied, said, deleted or merged from then on, and every point of
// before comes back. When the database is sound again, the backup goes on.
func TestADamagedDatabase(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	s := &socketed{house: newHouse(t, 61), path: filepath.Join(t.TempDir(), "data.db"), kinds: map[string]object.Kind{}}
	s.serve(t)
	s.mark(t, 200)
	s.writes(t, 30)
	s.cycles(t, 1)
	s.hours(t, dose(4, 1))
	s.writes(t, 3) // and what no cycle has shipped when the damage comes
	tail, _, err := s.db.Summarize(t.Context(), s.now)
	if err != nil {
		t.Fatal(err)
	}
	before := s.found(t).Points()
	var names []string
	var kinds map[object.Kind]int
	whole := s.damage(t)
	s.serve(t)
	complete := s.Overview().Complete
	s.now = s.now.Add(2 * time.Minute)
	var met error
	cycles := 0
	for ; met == nil && cycles < 100; cycles++ {
		names, kinds = s.memory.segments(), s.kindsAt(t)
		met = s.Cycle(t.Context())
		s.now = s.now.Add(30 * time.Minute)
	}
	if code(met) != "database-damaged" || !errors.Is(met, changelog.ErrDamaged) {
		t.Fatalf("after %d cycles: %v", cycles, met)
	}
	if e := s.db.Trouble(); e == nil || e.Code != "database-damaged" {
		t.Errorf("the server does not know: %v", e)
	}
	at := s.memory.segments()
	hours := dose(30, 3)
	for range hours {
		s.now = s.now.Add(time.Hour)
		if err := s.Cycle(t.Context()); code(err) != "database-damaged" {
			t.Fatalf("a later cycle: %v", err)
		}
	}
	if got := s.memory.segments(); !slices.Equal(got, at) {
		t.Errorf("objects came or went while the database was damaged: %d, then %d", len(at), len(got))
	}
	if missing := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(at, name) }); len(missing) > 0 {
		t.Errorf("objects went in the cycle that met the damage: %v", missing)
	}
	if got := s.kindsAt(t); got[object.Base] != kinds[object.Base] || got[object.Manifest] != kinds[object.Manifest] {
		t.Errorf("a base or a manifest was put: %v, then %v", kinds, got)
	}
	b := s.found(t)
	if len(b.Problems) > 0 {
		t.Error(b.Problems)
	}
	after := b.Points()
	for i, p := range before {
		if !slices.Contains(after, p) {
			t.Errorf("what was there at %s cannot be restored any more", p.At)
		} else if i%dose(5, len(before)) == 0 {
			restored(t, b, p, s.now)
		}
	}
	// What was committed before, and could still be read in the log, is in the backup.
	if d := tail.Differences(restored(t, b, newest(t, b), s.now), 5); len(d) > 0 {
		t.Errorf("the last writes before the damage are not in the backup: %v", d)
	}
	told := met
	// The next process begins with it, too.
	s.Engine = s.engine(t, s.Keys, s.Dir)
	s.Source = remote.Dial(filepath.Join(t.TempDir(), "nobody"))
	s.stop()
	s.serve(t)
	if err := s.Cycle(t.Context()); code(err) != "database-damaged" {
		t.Errorf("the next process: %v", err)
	}
	s.stop()
	if err := os.WriteFile(s.path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(t)
	for late := time.Now().Add(2 * time.Minute); s.db.Trouble() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the server does not find out that its database is sound")
		}
	}
	s.now = s.now.Add(time.Hour)
	s.writes(t, 1)
	s.cycles(t, 2)
	s.hours(t, dose(2, 1))
	s.whole(t)
	if o := s.Overview(); !o.Complete.After(complete) {
		t.Errorf("it is complete of %s", o.Complete)
	}
	t.Logf("SHOW a damaged database: cycle %d met it (%s); %d hours later no object has come or gone, and all %d points come back", cycles, code(told), hours, len(before))
}

// A copy that is being made when the damage is met is never finished: what there is of it is given up.
func TestADamagedDatabaseIsNotCopied(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	s := &socketed{house: newHouse(t, 62), path: filepath.Join(t.TempDir(), "data.db"), kinds: map[string]object.Kind{}}
	s.serve(t)
	s.mark(t, 200)
	s.writes(t, 30)
	s.damage(t)
	s.serve(t)
	for range 5 {
		if err := s.Cycle(t.Context()); code(err) != "database-damaged" {
			t.Fatalf("the first copy: %v", err)
		}
		s.now = s.now.Add(time.Hour)
	}
	if names := s.memory.names(); len(names) > 0 {
		t.Errorf("of a damaged database %q were put", names)
	}
	if _, err := Find(t.Context(), s.memory, s.Keys.expect()); !errors.Is(err, ErrNothing) {
		t.Errorf("there is something to restore: %v", err)
	}
	// One of which parts are there begins anew.
	h := newHouse(t, 63)
	h.writes(t, 30)
	h.cycles(t, 1)
	first := len(h.st.Bases)
	h.st.Copying = &base{From: h.st.Position, Parts: []uint64{99}, After: "objects:1", Bytes: 100}
	h.Source = harmedOnce{h.db, new(int)}
	if err := h.Cycle(t.Context()); !errors.Is(err, changelog.ErrDamaged) {
		t.Fatal(err)
	}
	if c := h.st.Copying; len(h.st.Bases) != first || c == nil || len(c.Parts) > 0 || c.After != "" {
		t.Errorf("of a copy in which damage was met, %+v is left", c)
	}
	h.cycles(t, 1)
	h.whole(t)
}

// harmedOnce is a store that meets damage once when it is copied.
type harmedOnce struct {
	changelog.Source
	asked *int
}

func (s harmedOnce) Copy(ctx context.Context, after string, bytes int, each func([]byte) error) (string, changelog.Position, error) {
	if *s.asked++; *s.asked == 1 {
		return "", changelog.Position{}, fmt.Errorf("%w: %w", changelog.ErrDamaged, hint.New("database-damaged", hint.T("d", "e"), hint.Text{}, hint.Text{}))
	}
	return s.Source.Copy(ctx, after, bytes, each)
}

// Damage that the server has met, and no cycle has: nothing is merged or deleted all the same.
func TestKnownDamageKeepsEverything(t *testing.T) {
	t.Parallel()
	for name, due := range map[string]func(h *house){
		"merge": func(h *house) { h.now = h.now.Add(time.Hour) },
		"delete": func(h *house) {
			for i := range h.st.Objects {
				if ent := &h.st.Objects[i]; ent.N == 1 { // whatever it is
					ent.Left, ent.Behind = h.now.Add(-48*time.Hour), 1
				}
			}
		},
	} {
		s := &socketed{house: newHouse(t, 64), path: filepath.Join(t.TempDir(), "data.db"), kinds: map[string]object.Kind{}}
		s.serve(t)
		s.mark(t, 200)
		s.writes(t, 30)
		s.cycles(t, 1)
		for range 4 {
			s.writes(t, 2)
			s.now = s.now.Add(10 * time.Minute)
			s.cycles(t, 1)
		}
		s.damage(t)
		s.serve(t)
		s.cycles(t, 1)
		if err := s.db.Examine(t.Context(), false); code(err) != "database-damaged" {
			t.Fatalf("%v", err)
		}
		names := s.memory.segments()
		due(s.house)
		if err := s.Cycle(t.Context()); code(err) != "database-damaged" {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.memory.segments(); slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(got, n) }) || s.kindsAt(t)[object.Merge] > 0 {
			t.Errorf("%s: it was done, of a server that is known to be damaged", name)
		}
	}
}
