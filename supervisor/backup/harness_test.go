package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/storagetest"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// memory is a target in memory, which does as it is told.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	deny    func(op, name string) error // before anything is done
	after   func(op, name string) error // after it was done
	puts    int
	bytes   int64
}

func newMemory() *memory { return &memory{objects: map[string][]byte{}} }

func (m *memory) asked(when func(op, name string) error, op, name string) error {
	if when == nil {
		return nil
	}
	return when(op, name)
}

func (m *memory) Put(_ context.Context, name string, r io.Reader, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.asked(m.deny, "put", name); err != nil {
		return err
	}
	if _, there := m.objects[name]; there {
		return target.ErrExists
	}
	text, err := io.ReadAll(r)
	if err != nil || int64(len(text)) != size {
		return fmt.Errorf("%d bytes instead of %d: %w", len(text), size, err)
	}
	m.objects[name] = text
	m.puts, m.bytes = m.puts+1, m.bytes+size
	return m.asked(m.after, "put", name)
}

func (m *memory) Get(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.asked(m.deny, "get", name); err != nil {
		return nil, err
	}
	text, there := m.objects[name]
	if !there {
		return nil, target.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(text[min(int(offset), len(text)):])), nil
}

func (m *memory) List(_ context.Context, prefix string, each func(target.Object) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.asked(m.deny, "list", prefix); err != nil {
		return err
	}
	for _, name := range m.names() {
		if strings.HasPrefix(name, prefix) {
			if err := each(target.Object{Name: name, Size: int64(len(m.objects[name]))}); err != nil {
				return err
			}
		}
	}
	return nil
}

// segments are the names of objects of the chain.
func (m *memory) segments() []string {
	return slices.DeleteFunc(m.names(), func(name string) bool { return !strings.HasSuffix(name, ".seg") })
}

// contents are the names of parts of contents.
func (m *memory) contents() []string {
	return slices.DeleteFunc(m.names(), func(name string) bool { return !strings.Contains(name, "/b/") })
}

func (m *memory) names() []string {
	var names []string
	for name := range m.objects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *memory) Sync(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.asked(m.deny, "sync", name); err != nil {
		return err
	}
	if _, there := m.objects[name]; !there {
		return target.ErrNotFound
	}
	return m.asked(m.after, "sync", name)
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.asked(m.deny, "delete", name); err != nil {
		return err
	}
	delete(m.objects, name)
	return m.asked(m.after, "delete", name)
}

func (m *memory) Room(context.Context) (free, total int64, known bool, err error) {
	return 0, 0, false, nil
}

func (m *memory) String() string { return "memory" }

// disk is the contents of attachments of a server, in memory.
type disk struct {
	mu    sync.Mutex
	files map[string][]byte
	deny  func(hash string) error
	asked int
}

// put keeps contents.
func (d *disk) put(text []byte) (hash string, size int64) {
	sum := sha256.Sum256(text)
	hash = hex.EncodeToString(sum[:])
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[hash] = text
	return hash, int64(len(text))
}

// draw makes contents: some are of several attachments.
func (d *disk) draw(r *rand.Rand) (hash string, size int64) {
	if r.IntN(4) == 0 {
		return d.put(fmt.Appendf(nil, "shared %d", r.IntN(3)))
	}
	return d.put(fmt.Appendf(nil, "%d %s", r.Uint64(), strings.Repeat("x", r.IntN(200))))
}

func (d *disk) File(_ context.Context, hash string, offset int64) (io.ReadCloser, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.deny != nil {
		if err := d.deny(hash); err != nil {
			return nil, 0, err
		}
	}
	text, there := d.files[hash]
	if !there {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(text[offset:])), int64(len(text)), nil
}

// house is a server's data, a target, and an engine between them.
type house struct {
	*Engine
	db     *storage.SQLite
	writer *storagetest.Writer
	disk   *disk
	memory *memory
	now    time.Time

	attached int       // how often something was
	copying  copySizes // of its engines
}

func newHouse(t testing.TB, seed uint64) *house {
	t.Helper()
	db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "data.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &house{db: db, writer: storagetest.NewWriter(db, seed), disk: &disk{files: map[string][]byte{}}, memory: newMemory(), now: time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC)}
	h.writer.Contents = h.disk.draw
	h.Engine = h.engine(t, newKeys(t), t.TempDir())
	return h
}

func newKeys(t testing.TB) Keys {
	t.Helper()
	machine, err := object.NewMachine()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := object.NewChain()
	if err != nil {
		t.Fatal(err)
	}
	return Keys{Machine: machine, Chain: chain, Authors: object.Authors{{From: 1, Key: machine.Signer.Public()}}}
}

// engine is a process that makes backups; several may follow one another.
func (h *house) engine(t testing.TB, keys Keys, dir string) *Engine {
	t.Helper()
	return &Engine{
		Source: h.db, Contents: h.disk, Target: h.memory, Keys: keys, Dir: dir, Version: "test", Schema: 9,
		Now: func() time.Time { return h.now }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), copies: h.copying,
	}
}

// slow has copies of everything take many cycles, beside writes.
func (h *house) slow() {
	h.copying = copySizes{part: 3000, once: 1000}
	h.copies = h.copying
}

// restart is another process, with what the one before it kept.
func (h *house) restart(t testing.TB) { h.Engine = h.engine(t, h.Keys, h.Dir) }

func (h *house) writes(t testing.TB, n int) {
	t.Helper()
	for range n {
		if err := h.writer.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *house) cycles(t testing.TB, n int) {
	t.Helper()
	for range n {
		if err := h.Cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// found is what there is to restore.
func (h *house) found(t testing.TB) *Backup {
	t.Helper()
	b, err := Find(t.Context(), h.memory, h.Keys.expect())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restored makes a database of a point, and returns what it comes to.
func restored(t testing.TB, b *Backup, p Point, notes time.Time) *changelog.Summary {
	t.Helper()
	lines, err := b.Lines(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "restored.db")
	if err := storage.Load(t.Context(), path, lines, nil); err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(t.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	sum, _, err := db.Summarize(t.Context(), notes)
	if err == nil {
		fetched(t, b, p, db)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return sum
}

// fetched has the contents of all attachments of restored data come back.
func fetched(t testing.TB, b *Backup, p Point, db *storage.SQLite) (attachments int) {
	t.Helper()
	missing, err := b.Missing(t.Context(), db.Files)
	if err != nil || len(missing) > 0 {
		t.Errorf("of %s (%d), %d attachments have no contents at the target: %v", p.At, p.Position.Seq, len(missing), err)
	}
	err = db.Files(t.Context(), func(hash string, size int64) error {
		attachments++
		if err := fetch(t, b, hash, size); err != nil {
			t.Errorf("of %s (%d), attachment %s: %v", p.At, p.Position.Seq, hash, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return attachments
}

// fetch reads contents to their end.
func fetch(t testing.TB, b *Backup, hash string, size int64) error {
	t.Helper()
	c, err := b.Attachment(t.Context(), hash, size)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, c)
	closed := c.Close()
	if got := hex.EncodeToString(sum.Sum(nil)); (got != hash || n != size || closed != nil) && err == nil {
		t.Errorf("%d bytes that come to %s end as if they were %s, of %d bytes; closing says %v", n, got, hash, size, closed)
	}
	return err
}

// same has a summary be that of what the house holds now.
func (h *house) same(t testing.TB, got *changelog.Summary, notes time.Time) {
	t.Helper()
	want, _, err := h.db.Summarize(t.Context(), notes)
	if err != nil {
		t.Fatal(err)
	}
	if d := want.Differences(got, 10); len(d) > 0 {
		t.Fatalf("what was restored differs from what there is:\n%s", strings.Join(d, "\n"))
	}
}

// newest is the last point there is.
func newest(t testing.TB, b *Backup) Point {
	t.Helper()
	points := b.Points()
	if len(points) == 0 {
		t.Fatal("nothing can be restored")
	}
	return points[len(points)-1]
}

// whole has everything that was written be restored: the newest point is what there is now,
// and that of the manifest is what the manifest says.
func (h *house) whole(t testing.TB) {
	t.Helper()
	b := h.found(t)
	for _, p := range b.Problems {
		t.Errorf("object %d: %v", p.N, p.Err)
	}
	h.tidied(t)
	h.same(t, restored(t, b, newest(t, b), time.Now()), time.Now())
	m := b.Manifest
	if d := m.Summary.Differences(restored(t, b, Point{m.At, m.Point}, m.Notes), 10); len(d) > 0 {
		t.Fatalf("what was restored differs from the manifest:\n%s", strings.Join(d, "\n"))
	}
}

// tidied has nothing be at the target that is not known: and all contents that are known of
// be there.
func (h *house) tidied(t testing.TB) {
	t.Helper()
	known := len(h.st.Objects)
	if _, put := h.memory.objects[h.name(h.unsure)]; put && h.unsure > h.st.Head.N {
		known++ // by the next object that is to be put
	}
	if got := len(h.memory.segments()); got != known {
		t.Errorf("%d objects are at the target, %d are known", got, known)
	}
	if h.files.sealed != h.files.there.size() {
		t.Errorf("contents of %d bytes are counted as %d", h.files.there.size(), h.files.sealed)
	}
	b := h.found(t)
	found := b.Points()
	good := b.good()
	leads := good.leads(b.Manifest.bases)
	for _, ent := range b.objects {
		for _, at := range []changelog.Position{ent.From, ent.To, {Seq: ent.To.Seq + 1}} {
			if _, _, err := b.way(Point{ent.At, at}); (err == nil) != leads(at) {
				t.Errorf("that there is a way to %d is %t, by the way itself %v", at.Seq, leads(at), err)
			}
		}
	}
	for i, ent := range h.st.stretches() {
		if restorable(h.st.stretches(), h.st.Bases)[i] >= 0 != slices.ContainsFunc(found, func(p Point) bool { return p.Position == ent.To }) {
			t.Errorf("object %d ends at %d, which is known to be restored, and is not, or the other way round", ent.N, ent.To.Seq)
		}
	}
	for _, name := range h.memory.contents() {
		if base := name[strings.LastIndexByte(name, '/')+1:][:64]; h.files.known[base] == nil {
			t.Errorf("nobody knows what %s is for", name)
		}
	}
}
