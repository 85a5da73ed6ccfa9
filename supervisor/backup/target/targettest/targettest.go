// Package targettest says as tests what every kind of target promises (target.Target). A kind
// adds its own on what is peculiar to it: who is at its place, what its disk or network does.
//
// Whoever makes a kind of target calls Run with a way to make a new one; the tests hold for
// real servers and disks alike, and judge no speed.
package targettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Largest is the size of the largest objects that backups are made of.
const Largest = 64 << 20

// Run runs the tests. open makes a new, empty target, and returns two doors to it, as two
// machines or processes would have.
func Run(t *testing.T, open func(t *testing.T) (one, other target.Target)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, one, other target.Target)
	}{
		{"names", names},
		{"sizes", sizes},
		{"offsets", offsets},
		{"what is not there", notThere},
		{"never over another", neverOver},
		{"one of many wins", oneWins},
		{"many at once", manyAtOnce},
		{"list", list},
		{"delete", deleted},
		{"readers that fail", failingReaders},
		{"calls that are cancelled", cancelled},
		{"room", room},
	} {
		t.Run(test.name, func(t *testing.T) {
			one, other := open(t)
			test.run(t, one, other)
		})
	}
}

// Content has size bytes that are others for each seed, and never in memory at once.
func Content(seed uint64, size int64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), size)
}

// Same reads got to its end, and tells whether it is Content from an offset on.
func Same(got io.Reader, seed uint64, size, offset int64) error {
	want := Content(seed, size)
	if _, err := io.CopyN(io.Discard, want, min(offset, size)); err != nil {
		return err
	}
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := offset; ; {
		n, err1 := io.ReadFull(got, a)
		m, err2 := io.ReadFull(want, b)
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			return fmt.Errorf("other content at %d: %d bytes, not %d (%v)", at, n, m, err1)
		}
		at += int64(n)
		if err1 != nil || err2 != nil {
			if err1 == io.ErrUnexpectedEOF || err1 == io.EOF {
				return nil
			}
			return err1
		}
	}
}

// check fails the test unless the object is Content.
func check(t *testing.T, at target.Target, name string, seed uint64, size, offset int64) {
	t.Helper()
	r, err := at.Get(t.Context(), name, offset)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer r.Close()
	if err := Same(r, seed, size, offset); err != nil {
		t.Errorf("%s from %d: %v", name, offset, err)
	}
}

func put(t *testing.T, at target.Target, name string, seed uint64, size int64) {
	t.Helper()
	if err := at.Put(t.Context(), name, Content(seed, size), size); err != nil {
		t.Fatal(err)
	}
}

// listed is what List says, in one string.
func listed(t *testing.T, at target.Target, under string) string {
	t.Helper()
	var all []string
	if err := at.List(t.Context(), under, func(o target.Object) error {
		all = append(all, fmt.Sprintf("%s:%d", o.Name, o.Size))
		return nil
	}); err != nil {
		t.Errorf("list %q: %v", under, err)
	}
	return strings.Join(all, " ")
}

// gone fails the test if there is an object of that name, and if none can be put there.
func gone(t *testing.T, at target.Target, name string) {
	t.Helper()
	if r, err := at.Get(t.Context(), name, 0); err == nil {
		n, rerr := io.Copy(io.Discard, r)
		r.Close()
		if !errors.Is(rerr, target.ErrNotFound) {
			t.Errorf("%s is there, with %d bytes (%v)", name, n, rerr)
		}
	} else if !errors.Is(err, target.ErrNotFound) {
		t.Errorf("%s: %v", name, err)
	}
	if all := listed(t, at, ""); strings.Contains(" "+all, " "+name+":") {
		t.Errorf("%s is listed: %s", name, all)
	}
	put(t, at, name, 99, 5)
	check(t, at, name, 99, 5, 0)
	if err := at.Delete(t.Context(), name); err != nil {
		t.Error(err)
	}
}

func names(t *testing.T, one, _ target.Target) {
	long := strings.Repeat("x", 100)
	good := []string{"a", "0", "chain/0000000123.seg", "4f2a/b/" + strings.Repeat("0f", 32), "a.b-c", "x--y..z", long, long[1:] + "/" + long + "/" + long}
	for i, name := range good {
		put(t, one, name, uint64(i), int64(i))
		check(t, one, name, uint64(i), int64(i), 0)
	}
	before := listed(t, one, "")
	if n := len(strings.Fields(before)); n != len(good) {
		t.Errorf("%d objects are listed, of %d: %s", n, len(good), before)
	}
	for _, name := range []string{
		"", ".", "..", "/", "/a", "a/", "a//b", "a/../b", "../a", "a/..", "./a", "a/./b", ".hidden", "a/.hidden", "hidden.", "-a", "a-",
		"A", "aB", "é", "a b", "a_b", "a\\b", "a:b", "a\x00b", "a\nb", "%2e%2e", "a?b", "a#b", "~a", "c:/a", "a/b/c/d", long + "x", "\xff", "foyer-target.json",
	} {
		if err := one.Put(t.Context(), name, strings.NewReader("x"), 1); !errors.Is(err, target.ErrName) {
			t.Errorf("put %q: %v", name, err)
		}
		if r, err := one.Get(t.Context(), name, 0); !errors.Is(err, target.ErrName) {
			t.Errorf("get %q: %v, %v", name, r, err)
		}
		if err := one.Sync(t.Context(), name); !errors.Is(err, target.ErrName) {
			t.Errorf("sync %q: %v", name, err)
		}
		if err := one.Delete(t.Context(), name); !errors.Is(err, target.ErrName) {
			t.Errorf("delete %q: %v", name, err)
		}
		if err := one.List(t.Context(), name, func(target.Object) error { return nil }); name != "" && !errors.Is(err, target.ErrName) {
			t.Errorf("list %q: %v", name, err)
		}
	}
	if err := one.List(t.Context(), "a/b/c", func(target.Object) error { return nil }); !errors.Is(err, target.ErrName) {
		t.Errorf("list below three segments: %v", err)
	}
	if after := listed(t, one, ""); after != before {
		t.Errorf("there were %s, there are %s", before, after)
	}
}

func sizes(t *testing.T, one, other target.Target) {
	for i, size := range []int64{0, 1, 4095, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 77, Largest} {
		name, seed := fmt.Sprintf("chain/%d", size), uint64(i)
		put(t, one, name, seed, size)
		check(t, other, name, seed, size, 0)
		if all := listed(t, other, "chain"); !strings.Contains(" "+all+" ", fmt.Sprintf(" %s:%d ", name, size)) {
			t.Errorf("%s is not listed: %s", name, all)
		}
		if err := one.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

func offsets(t *testing.T, one, _ target.Target) {
	const size = 3<<20 + 5
	put(t, one, "a/b", 7, size)
	put(t, one, "a/empty", 7, 0)
	for _, offset := range []int64{0, 1, 4096, 1 << 20, size / 2, size - 1, size, size + 1, size * 1000} {
		check(t, one, "a/b", 7, size, offset)
		check(t, one, "a/empty", 7, 0, offset)
	}
	if r, err := one.Get(t.Context(), "a/b", -1); err == nil {
		if _, err = r.Read(make([]byte, 1)); err == nil {
			t.Error("a negative offset is read from")
		}
		r.Close()
	}
	// A reader that is not read to its end, and one that is read in small pieces.
	r, err := one.Get(t.Context(), "a/b", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if r, err = one.Get(t.Context(), "a/b", size-1000); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r}, make([]byte, 7)); err != nil {
		t.Error(err)
	}
	if err := Same(&got, 7, size, size-1000); err != nil {
		t.Error(err)
	}
}

func notThere(t *testing.T, one, _ target.Target) {
	put(t, one, "a/b", 1, 10)
	for _, name := range []string{"x", "a", "a/x", "a/b/c", "x/y/z"} {
		r, err := one.Get(t.Context(), name, 0)
		if err == nil {
			_, err = r.Read(make([]byte, 1))
			r.Close()
		}
		if !errors.Is(err, target.ErrNotFound) {
			t.Errorf("get %s: %v", name, err)
		}
		if err := one.Delete(t.Context(), name); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	check(t, one, "a/b", 1, 10, 0)
}

func neverOver(t *testing.T, one, other target.Target) {
	put(t, one, "a/b", 1, 1000)
	put(t, one, "a/empty", 1, 0)
	for _, at := range []target.Target{one, other} {
		for _, name := range []string{"a/b", "a/empty"} {
			for _, size := range []int64{0, 10, 1000, 2 << 20} {
				for _, seed := range []uint64{1, 2} {
					if err := at.Put(t.Context(), name, Content(seed, size), size); !errors.Is(err, target.ErrExists) {
						t.Errorf("%s again, with %d bytes: %v", name, size, err)
					}
				}
			}
		}
	}
	check(t, other, "a/b", 1, 1000, 0)
	if all := listed(t, one, ""); all != "a/b:1000 a/empty:0" {
		t.Errorf("there are %s", all)
	}
}

func oneWins(t *testing.T, one, other target.Target) {
	for round := range 10 {
		name := fmt.Sprintf("chain/%d", round)
		size := func(seed uint64) int64 { return int64(seed) * 100_000 }
		won := make(chan uint64, 8)
		var all sync.WaitGroup
		for seed := range uint64(8) {
			at := one
			if seed%2 == 1 {
				at = other
			}
			all.Go(func() {
				switch err := at.Put(t.Context(), name, Content(seed, size(seed)), size(seed)); {
				case err == nil:
					won <- seed
				case !errors.Is(err, target.ErrExists):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d won", len(won))
		}
		seed := <-won
		check(t, one, name, seed, size(seed), 0)
	}
}

func manyAtOnce(t *testing.T, one, other target.Target) {
	var all sync.WaitGroup
	for i := range 8 {
		at, seed := one, uint64(i)
		if i%2 == 1 {
			at = other
		}
		all.Go(func() {
			for n := range 5 {
				name, size := fmt.Sprintf("chain/b/%d-%d", i, n), int64(i*50_000+n)
				if err := at.Put(t.Context(), name, Content(seed, size), size); err != nil {
					t.Error(err)
					return
				}
				check(t, at, name, seed, size, 0)
				if all := listed(t, at, "chain/b"); !strings.Contains(" "+all+" ", fmt.Sprintf(" %s:%d ", name, size)) {
					t.Errorf("%s is not listed: %s", name, all)
				}
				if n%2 == 1 {
					if err := at.Delete(t.Context(), name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if n := len(strings.Fields(listed(t, one, "chain"))); n != 8*3 {
		t.Errorf("%d objects are left, of %d", n, 8*3)
	}
}

func list(t *testing.T, one, _ target.Target) {
	for _, under := range []string{"", "a", "a/b"} {
		if all := listed(t, one, under); all != "" {
			t.Errorf("in a new target there are %s", all)
		}
	}
	// A hyphen and a dot sort before the slash, digits and letters after it.
	want := []string{"a", "a-b", "a.b", "b/1", "b/c-1", "b/c.1", "b/c/1", "b/c/2", "b/c0", "b/cc", "bb", "c/1/2", "c/10", "d"}
	for i, name := range rand.New(rand.NewPCG(1, 2)).Perm(len(want)) {
		put(t, one, want[name], uint64(i), int64(len(want[name])))
	}
	in := func(under string) string {
		var out []string
		for _, name := range want {
			if under == "" || strings.HasPrefix(name, under+"/") {
				out = append(out, fmt.Sprintf("%s:%d", name, len(name)))
			}
		}
		return strings.Join(out, " ")
	}
	if !slices.IsSorted(want) {
		t.Fatal("this test does not know the order")
	}
	for _, under := range []string{"", "a", "b", "b/c", "c", "c/1", "x", "b/x", "d"} {
		if got := listed(t, one, under); got != in(under) {
			t.Errorf("below %q there are\n%s\nand not\n%s", under, got, in(under))
		}
	}
	enough, n := errors.New("enough"), 0
	if err := one.List(t.Context(), "", func(target.Object) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	}); !errors.Is(err, enough) || n != 3 {
		t.Errorf("ended after %d with %v", n, err)
	}
	// Who lists may do other things with the target meanwhile.
	if err := one.List(t.Context(), "b", func(o target.Object) error { return one.Delete(t.Context(), o.Name) }); err != nil {
		t.Error(err)
	}
	if got := listed(t, one, "b"); got != "" {
		t.Errorf("left are %s", got)
	}
}

func deleted(t *testing.T, one, other target.Target) {
	put(t, one, "a/b", 1, 1000)
	put(t, one, "a/c", 2, 1000)
	for range 2 {
		if err := other.Delete(t.Context(), "a/b"); err != nil {
			t.Error(err)
		}
	}
	gone(t, one, "a/b")
	for _, name := range []string{"a/b", "x/y", "a"} {
		if err := one.Sync(t.Context(), name); !errors.Is(err, target.ErrNotFound) {
			t.Errorf("%s is not there, and synced: %v", name, err)
		}
	}
	gone(t, one, "a/b")
	if err := errors.Join(one.Sync(t.Context(), "a/c"), other.Sync(t.Context(), "a/c")); err != nil {
		t.Error(err)
	}
	put(t, other, "a/b", 3, 10)
	check(t, one, "a/b", 3, 10, 0)
	check(t, one, "a/c", 2, 1000, 0)
}

var errReader = errors.New("the reader fails")

func failingReaders(t *testing.T, one, _ target.Target) {
	const size = 2<<20 + 100
	for _, c := range []struct {
		name   string
		reader func() io.Reader
		size   int64
		cause  error
	}{
		{"at once", func() io.Reader { return failsAfter(0) }, size, errReader},
		{"in the middle", func() io.Reader { return failsAfter(size / 2) }, size, errReader},
		{"at the end", func() io.Reader { return failsAfter(size) }, size, errReader},
		{"too short", func() io.Reader { return Content(1, size-1) }, size, io.ErrUnexpectedEOF},
		{"empty", func() io.Reader { return Content(1, 0) }, size, io.ErrUnexpectedEOF},
		{"too long", func() io.Reader { return Content(1, size+1) }, size, nil},
		{"longer than nothing", func() io.Reader { return Content(1, 1) }, 0, nil},
		{"a negative size", func() io.Reader { return Content(1, 1) }, -1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := one.Put(t.Context(), "a/b", c.reader(), c.size)
			if err == nil || c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("error %v", err)
			}
			gone(t, one, "a/b")
		})
	}
}

func failsAfter(n int64) io.Reader { return io.MultiReader(Content(1, n), alwaysFails{}) }

type alwaysFails struct{}

func (alwaysFails) Read([]byte) (int, error) { return 0, errReader }

func cancelled(t *testing.T, one, _ target.Target) {
	put(t, one, "a/there", 1, 3<<20)
	before, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range map[string]func() error{
		"put": func() error { return one.Put(before, "a/b", Content(1, 10), 10) },
		"get": func() error {
			r, err := one.Get(before, "a/there", 0)
			if err == nil {
				_, err = r.Read(make([]byte, 1))
				r.Close()
			}
			return err
		},
		"list":   func() error { return one.List(before, "", func(target.Object) error { return nil }) },
		"delete": func() error { return one.Delete(before, "a/there") },
		"sync":   func() error { return one.Sync(before, "a/there") },
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone(t, one, "a/b")
	check(t, one, "a/there", 1, 3<<20, 0)

	middle, cancel := context.WithCancel(t.Context())
	const size = 3 << 20
	r := io.MultiReader(Content(1, size/2), calls(cancel), Content(2, size-size/2))
	if err := one.Put(middle, "a/b", r, size); !errors.Is(err, context.Canceled) {
		t.Errorf("put, in the middle: %v", err)
	}
	gone(t, one, "a/b")

	reading, cancel := context.WithCancel(t.Context())
	got, err := one.Get(reading, "a/there", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(got, make([]byte, 100)); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, got); !errors.Is(err, context.Canceled) {
		t.Errorf("get, in the middle: %v", err)
	}
	got.Close()

	looking, cancel := context.WithCancel(t.Context())
	put(t, one, "b/1", 1, 1)
	if err := one.List(looking, "", func(target.Object) error { cancel(); return looking.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("list, in the middle: %v", err)
	}
	check(t, one, "a/there", 1, 3<<20, 0)
}

// calls is a reader that has nothing, and calls do.
type calls func()

func (do calls) Read([]byte) (int, error) {
	do()
	return 0, io.EOF
}

func room(t *testing.T, one, _ target.Target) {
	free, total, known, err := one.Room(t.Context())
	if err != nil || known && (free < 0 || total <= 0 || free > total) {
		t.Errorf("free %d of %d, known %v, %v", free, total, known, err)
	}
	if one.String() == "" {
		t.Error("it is nowhere")
	}
}
