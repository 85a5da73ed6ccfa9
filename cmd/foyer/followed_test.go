//go:build !windows

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/follow"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
	"github.com/foyer-server/foyer/server/storage/storagetest"
	"github.com/foyer-server/foyer/supervisor/source"
)

// What the server has and what the supervisor gets of it over the socket of those two: here
// both houses meet, as they do on a machine.

// openStore opens a database that ends with the test.
func openStore(t testing.TB, path string) *storage.SQLite {
	t.Helper()
	db, err := storage.Open(t.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// overSocket is what is followed at the other end of a socket.
func overSocket(t testing.TB, followed changelog.Source) *source.Source {
	t.Helper()
	l, err := host.Listen(host.Local, "unix", filepath.Join(shortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: follow.New(follow.Config{
		Source: followed, Ends: t.Context(), Log: slog.New(slog.DiscardHandler), Open: func(string) (*os.File, error) { return nil, fs.ErrNotExist },
	})}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) }) //nolint:errcheck // it is closed
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return source.Dial(l.Addr().String())
}

// shortDir is a folder with a short path, as sockets want it.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// The log over the socket keeps every promise of the log itself.
func TestTheLogOverTheSocket(t *testing.T) {
	t.Attr("shows", "backups")
	type both struct {
		kinto.Store
		changelog.Source
	}
	opened := func(t *testing.T, path string) storagetest.Followed {
		db := openStore(t, path)
		return both{db, overSocket(t, db)}
	}
	storagetest.Log(t, func(t *testing.T) storagetest.Followed { return opened(t, filepath.Join(t.TempDir(), "data.db")) },
		func(t *testing.T, lines iter.Seq2[changelog.Line, error]) storagetest.Followed {
			path := filepath.Join(t.TempDir(), "data.db")
			if err := storage.Load(t.Context(), path, lines, nil); err != nil {
				t.Fatal(err)
			}
			return opened(t, path)
		})
}

// fill keeps so many records of so many bytes, and returns how large all of them are.
func fill(t testing.TB, db kinto.Store, records, size int) (bytes int) {
	t.Helper()
	l := kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	const atOnce = 1000
	for from := 0; from < records; from += atOnce {
		err := db.Write(t.Context(), []kinto.List{l}, func(tx kinto.Tx) error {
			for i := from; i < min(records, from+atOnce); i++ {
				ts, err := tx.Tick(l, -1)
				if err != nil {
					return err
				}
				sum := sha256.Sum256(fmt.Append(nil, i))
				noise := strings.Repeat(hex.EncodeToString(sum[:]), 1+size/64)
				data := fmt.Appendf(nil, `{"n":%d,"title":"A note about the garden","text":"`, i)
				data = append(data, noise[:max(0, size-2-len(data))]...)
				o := &kinto.Object{ID: fmt.Sprintf("%x-%d", sum[:8], i), Timestamp: ts, Data: append(data, `"}`...)}
				if err := tx.Put(l, o, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return records * size
}

// However much is asked for at once, and however large what is kept: neither end holds more
// than a small part of it, and a commit is not cut in two.
func TestLargePartsTakeLittleMemory(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	src := overSocket(t, db)
	at, err := src.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	const records, size, part = 800, 32 << 10, 16 << 20
	all := fill(t, db, records, size)
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, got, lines := live(), uint64(0), 0, 0
	next, stands, err := src.Copy(t.Context(), "", part, func(line []byte) error {
		if got += len(line); lines%100 == 0 {
			most = max(most, live())
		}
		lines++
		return nil
	})
	if err != nil || next == "" || got < part || got > part+2*size {
		t.Fatalf("a part of %d bytes, then %q, %v", got, next, err)
	}
	if next, _, err = src.Copy(t.Context(), next, math.MaxInt, func(line []byte) error { got += len(line); lines++; return nil }); err != nil || next != "" {
		t.Fatal(next, err)
	}
	if lines < records || got < all {
		t.Errorf("%d lines, %d bytes of %d", lines, got, all)
	}
	longest := 0
	last := at
	if err := src.Changes(t.Context(), at, math.MaxInt, func(e changelog.Entry) error {
		longest = max(longest, len(e.Lines))
		if e.Seq != last.Seq+1 {
			t.Errorf("commit %d follows %d", e.Seq, last.Seq)
		}
		last = e.Position
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if longest < all || last != stands { // all were written at once
		t.Errorf("a commit of %d bytes, up to %+v; the copy was made at %+v", longest, last, stands)
	}
	grown := int64(most) - int64(before)
	if grown > part/2 {
		t.Errorf("for a part of %d bytes both ends took %d bytes of memory", part, grown)
	}
	fmt.Fprintf(os.Stderr, "SHOW a copy of %d MB over the socket: both ends keep %d MB of it at most\n", got>>20, max(0, grown)>>20)
}

// A server that dies in the middle of an answer leaves an error that passes; the next server
// goes on.
func TestTheServerDiesInTheMiddleOfACopy(t *testing.T) {
	t.Attr("shows", "backups")
	data := t.TempDir()
	db, err := storage.Open(t.Context(), filepath.Join(data, "data.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 600, 10_000)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(shortDir(t), "s")
	src := source.Dial(socket)
	start := func() *exec.Cmd {
		t.Helper()
		os.Remove(socket) //nolint:errcheck // the first time there is none
		local, err := host.Listen(host.Local, "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		public, err := host.Listen(host.HTTP, "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cmd := foyerCommand(t, "serve", "--plain-http", "--settings", filepath.Join(data, "none.toml"))
		cmd.Env = append(cmd.Env, "FOYER_DATA="+data)
		hand, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		passed, err := host.Pass(cmd, []host.Listener{local, public})
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		passed()
		local.Listener.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
		host.Close([]host.Listener{local, public})
		t.Cleanup(func() { hand.Close(); cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // it is over
		for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
			_, _, err := src.Copy(t.Context(), "", 0, func([]byte) error { return nil })
			if err == nil {
				return cmd
			}
			if !errors.Is(err, source.ErrAway) || time.Now().After(end) {
				t.Fatalf("the server does not begin: %v", err)
			}
		}
	}
	cmd := start()
	at, err := src.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	_, _, err = src.Copy(t.Context(), "", math.MaxInt, func([]byte) error {
		if lines++; lines == 10 {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			cmd.Wait() //nolint:errcheck // it was killed
		}
		return nil
	})
	if !errors.Is(err, source.ErrAway) || lines < 10 || lines >= 600 {
		t.Fatalf("killed after 10 lines: %d lines, %v", lines, err)
	}
	if _, err := src.Follow(t.Context(), "other"); !errors.Is(err, source.ErrAway) {
		t.Errorf("while there is no server: %v", err)
	}
	start()
	whole := 0
	if next, _, err := src.Copy(t.Context(), "", math.MaxInt, func([]byte) error { whole++; return nil }); err != nil || next != "" || whole < 600 {
		t.Errorf("by the next server: %d lines, %q, %v", whole, next, err)
	}
	if err := src.Changes(t.Context(), at, math.MaxInt, func(changelog.Entry) error { return nil }); err != nil {
		t.Errorf("whoever followed goes on: %v", err)
	}
	fmt.Fprintf(os.Stderr, "SHOW a server killed in the middle of a copy: an error that passes after %d of %d lines, and the next one goes on\n", lines, whole)
}

// foyerCommand is the command, with an environment of its own.
func foyerCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	foyer, err := exec.LookPath("foyer")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(foyer, args...)
	cmd.Env = []string{"LANG=C.UTF-8", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, endsAtOnce}
	return cmd
}

// A server that keeps its data in PostgreSQL says that it cannot be followed yet; the
// contents of its attachments are there all the same.
func TestPostgreSQLCannotBeFollowedYet(t *testing.T) {
	s := servertest.Start(t, servertest.Config{PlainHTTP: true, Settings: func(set *config.Settings) { set.Database = pgtest.Start(t).DSN(t) }})
	src := source.Dial(s.Addr(host.Local))
	_, followErr := src.Follow(t.Context(), "test")
	_, _, copyErr := src.Copy(t.Context(), "", 1, func([]byte) error { return nil })
	_, _, sumErr := src.Summarize(t.Context(), time.Now())
	for i, err := range []error{followErr, copyErr, sumErr, src.Changes(t.Context(), changelog.Position{}, 1, nil), src.Unfollow(t.Context(), "test")} {
		if !errors.Is(err, source.ErrUnsupported) {
			t.Errorf("question %d: %v", i, err)
		}
	}
	if _, _, err := src.File(t.Context(), strings.Repeat("a", 64), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an attachment nobody has: %v", err)
	}
}
