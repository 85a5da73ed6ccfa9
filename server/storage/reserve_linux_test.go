package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/server/kinto"
)

// small mounts a file system of so many bytes.
func small(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") != "" {
			t.Fatalf("cannot mount a small disk: %v", err)
		}
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk: on a disk that is full, by us or by others, what grows is refused by
// name; reads, logins, changes of a password and deletions go on, until there is
// room again.
func TestFullDisk(t *testing.T) {
	t.Attr("shows", "health")
	for _, others := range []bool{false, true} {
		t.Run(fmt.Sprintf("others=%v", others), func(t *testing.T) { fullDisk(t, others) })
	}
}

func fullDisk(t *testing.T, others bool) {
	dir := small(t, 64<<20)
	path := filepath.Join(dir, "data.db")
	db := open(t, path)
	account := kinto.List{Parent: "ann", Kind: kinto.Account}
	if err := replace(db, account, "ann", `{"password":"hash-one"}`); err != nil {
		t.Fatal(err)
	}
	const size = 100 << 10
	record := func(i int) string { return fmt.Sprintf(`{"i":%d,"x":%q}`, i, strings.Repeat("x", size)) }
	n := 0
	ballast := filepath.Join(dir, "ballast")
	fill := func() error {
		for ; n < 1000; n++ {
			if others && n == 100 {
				// Somebody else takes all there is.
				if err := os.WriteFile(ballast, make([]byte, 64<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("the disk is not full: %v", err)
				}
			}
			if err := replace(db, records, fmt.Sprintf("r%d", n), record(n)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := fill(); !errors.Is(err, kinto.ErrFull) {
		t.Fatalf("after %d: %v", n, err)
	}
	check := func(what string) {
		t.Helper()
		for i := range 3 {
			if err := replace(db, records, fmt.Sprintf("more%d", i), record(0)); !errors.Is(err, kinto.ErrFull) {
				t.Errorf("%s: a new record: %v", what, err)
			}
			err := db.Read(t.Context(), func(tx kinto.Reader) error {
				o, err := tx.Get(records, fmt.Sprintf("r%d", n-1-i))
				if o == nil || string(o.Data) != record(n-1-i) {
					t.Errorf("%s: what was kept is not read", what)
				}
				a, err2 := tx.Get(account, "ann")
				if a == nil {
					t.Errorf("%s: nobody can log in", what)
				}
				return errors.Join(err, err2)
			})
			if err := errors.Join(err, db.Health(t.Context())); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if err := replace(db, account, "ann", fmt.Sprintf(`{"password":"hash-%3d"}`, i)); err != nil {
				t.Errorf("%s: a new password: %v", what, err)
			}
			note := func(tx kinto.Tx) error {
				return tx.SetNote(fmt.Sprint("login", i), []byte("who"), time.Now().Add(time.Hour))
			}
			if err := db.Write(t.Context(), nil, note); err != nil {
				t.Errorf("%s: a login: %v", what, err)
			}
		}
		if _, err := os.Stat(path + "-reserve"); errors.Is(err, os.ErrNotExist) != others {
			t.Errorf("%s: the reserve: %v", what, err)
		}
	}
	check("full")
	if r, err := diskroom.Look(dir); err != nil || !others && r.Free < diskroom.Begins(diskroom.Full, r.Total)/2 {
		t.Errorf("what Foyer wrote itself leaves %d bytes to the others: %v", r.Free, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	if !others { // the end of it gave back the room of the write-ahead log
		if err := fill(); !errors.Is(err, kinto.ErrFull) {
			t.Fatalf("after %d, and a restart: %v", n, err)
		}
	}
	check("full, after a restart")
	for i := range 20 { // 2 MB: not yet enough to let anything in
		if err := replace(db, records, fmt.Sprintf("r%d", i), ""); err != nil {
			t.Fatalf("deletion %d: %v", i, err)
		}
	}
	check("full, some deleted")
	for i := 20; i < n-10; i++ {
		if err := replace(db, records, fmt.Sprintf("r%d", i), ""); err != nil {
			t.Fatalf("deletion %d: %v", i, err)
		}
	}
	// There is room in the file itself now.
	for i := range 5 {
		if err := replace(db, records, fmt.Sprintf("new%d", i), record(i)); err != nil {
			t.Errorf("after deletions: %v", err)
		}
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if !others {
		return
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	db.writer.reserve.pause = 0 // nothing is written meanwhile
	if err := replace(db, records, "last", record(1)); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	if fi, err := os.Stat(path + "-reserve"); err != nil || fi.Size() != reserveBytes {
		t.Errorf("the reserve is not made again: %v", err)
	}
}

// TestTheLogYields: what nobody has fetched from the log is given up before a write is
// refused: nearly as much fits on the disk as without it, and deletions go on.
func TestTheLogYields(t *testing.T) {
	fits := func(follow bool) int {
		db := open(t, filepath.Join(small(t, 256<<20), "data.db")) // what is in the write-ahead log when it becomes full, up to 16 MB, is noise
		var at changelog.Position
		if follow {
			if err := db.Write(t.Context(), nil, func(t kinto.Tx) error { t.(*tx).capture.bound = 1 << 40; return nil }); err != nil {
				t.Fatal(err)
			}
			var err error
			if at, err = db.Follow(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
		}
		n, refused := 0, 0
		for ; refused < 20; n++ {
			err := replace(db, records, fmt.Sprintf("r%d", n), fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 400<<10)))
			if err != nil {
				if !errors.Is(err, kinto.ErrFull) {
					t.Fatalf("after %d: %v", n, err)
				}
				refused++
				n--
				time.Sleep(10 * time.Millisecond) // what the log held is swept when nobody writes
			}
			if n > 2000 {
				t.Fatal("the disk is never full")
			}
		}
		if follow {
			if kept, err := changesAfter(t, db, at); !errors.Is(err, changelog.ErrCut) {
				t.Errorf("the log still holds %d changes, error %v", kept, err)
			}
			if _, err := db.Follow(t.Context(), "again"); err != nil {
				t.Errorf("nobody can follow on a full disk: %v", err)
			}
		}
		for i := range n {
			if err := replace(db, records, fmt.Sprintf("r%d", i), ""); err != nil {
				t.Fatalf("deletion %d of %d: %v", i, n, err)
			}
		}
		return n
	}
	without, with := fits(false), fits(true)
	t.Logf("%d records fit, and %d beside a log that nobody fetches", without, with)
	if with < without*8/10 {
		t.Errorf("%d records fit, but only %d beside a log that nobody fetches", without, with)
	}
}

// A disk that does not say how full it is holds up no write.
func TestNobodyWaitsForHowFullTheDiskIs(t *testing.T) {
	t.Attr("shows", "health")
	db := open(t, filepath.Join(t.TempDir(), "data.db"))
	if err := replace(db, records, "first", `{}`); err != nil {
		t.Fatal(err)
	}
	hangs := make(chan struct{})
	defer close(hangs)
	asked := make(chan struct{}, 100)
	db.writer.reserve.look = func() (diskroom.Room, error) { // nothing is written meanwhile
		asked <- struct{}{}
		<-hangs
		return diskroom.Room{}, errors.New("it was away")
	}
	for i := range 50 {
		if err := replace(db, records, fmt.Sprint(i), `{}`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery / 50)
	}
	select {
	case <-asked:
	default:
		t.Error("nobody looked how full the disk is")
	}
}
