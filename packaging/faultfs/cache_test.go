package faultfs

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// newCache has a cache before a file of so many sectors.
func newCache(t *testing.T, sectors int) (*writeCache, *os.File) {
	t.Helper()
	image, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	if err := image.Truncate(int64(sectors) * sectorSize); err != nil {
		t.Fatal(err)
	}
	return &writeCache{store: image, sectors: map[int64][][]byte{}}, image
}

func contents(t *testing.T, image *os.File) []byte {
	t.Helper()
	b, err := os.ReadFile(image.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func random(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// The cache against a model: one array for what is seen, one for what is synced, and
// for each sector all it has been since the last sync.
func TestCacheBehavesLikeItsModel(t *testing.T) {
	const sectors, size = 12, 12 * sectorSize
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c, image := newCache(t, sectors)
		seen, synced := make([]byte, size), make([]byte, size)
		history := make([][][]byte, sectors)
		sector := func(b []byte, n int) []byte { return b[n*sectorSize:][:sectorSize] }
		settle := func() {
			for n := range history {
				history[n] = [][]byte{slices.Clone(sector(synced, n))}
			}
		}
		settle()
		for step := range 200 {
			off := rng.IntN(size)
			length := 1 + rng.IntN(min(size-off, 3*sectorSize))
			var err error
			switch what := rng.IntN(20); {
			case what < 10:
				p := random(rng, length)
				err = c.writeAt(p, int64(off))
				copy(seen[off:], p)
				for n := off / sectorSize; n <= (off+length-1)/sectorSize; n++ {
					history[n] = append(history[n], slices.Clone(sector(seen, n)))
				}
			case what < 17:
				p := make([]byte, length)
				err = c.readAt(p, int64(off))
				if !bytes.Equal(p, seen[off:off+length]) {
					t.Fatalf("seed %d, step %d: %d bytes at %d are not what was written last", seed, step, length, off)
				}
			case what < 18:
				err = c.sync()
				copy(synced, seen)
				settle()
			case what < 19:
				err = c.powerCut(nil)
				copy(seen, synced)
				settle()
			default:
				err = c.powerCut(rng)
				copy(synced, contents(t, image))
				for n, versions := range history {
					if !slices.ContainsFunc(versions, func(v []byte) bool { return bytes.Equal(v, sector(synced, n)) }) {
						t.Fatalf("seed %d, step %d: sector %d survived as something it has never been", seed, step, n)
					}
				}
				copy(seen, synced)
				settle()
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(contents(t, image), synced) {
				t.Fatalf("seed %d, step %d: the store is not what was synced", seed, step)
			}
		}
	}
}

func TestCacheKeepsSomeBySeed(t *testing.T) {
	after := func(seed uint64) (kept int, image string) {
		c, f := newCache(t, 100)
		for n := range int64(100) {
			if err := c.writeAt(bytes.Repeat([]byte{1}, sectorSize), n*sectorSize); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.powerCut(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		b := contents(t, f)
		return bytes.Count(b, []byte{1}) / sectorSize, string(b)
	}
	var few, many bool
	for seed := range uint64(20) {
		kept, image := after(seed)
		if _, again := after(seed); again != image {
			t.Errorf("seed %d left something else the second time", seed)
		}
		few, many = few || kept < 25, many || kept > 75
	}
	if !few || !many {
		t.Errorf("of 20 seeds some should keep few sectors (%t) and some many (%t)", few, many)
	}
}
