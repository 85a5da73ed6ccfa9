package faultfs

import (
	"io"
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorSize is what the device writes whole or not at all.
const sectorSize = 4096

// writeCache is the volatile write cache of a disk: writes stay here, and reads see
// them, until a sync moves them to the store. It is not safe for concurrent use, and
// no access may reach beyond the end of the store, whose size is a whole number of
// sectors.
type writeCache struct {
	store interface {
		io.ReaderAt
		io.WriterAt
	}
	// sectors has, by its number, everything each sector has been since the last
	// sync, the newest last.
	sectors map[int64][][]byte
}

func (c *writeCache) readAt(p []byte, off int64) error {
	if _, err := c.store.ReadAt(p, off); err != nil {
		return err
	}
	eachSector(p, off, func(n int64, from int, part []byte) {
		if versions := c.sectors[n]; len(versions) > 0 {
			copy(part, versions[len(versions)-1][from:])
		}
	})
	return nil
}

func (c *writeCache) writeAt(p []byte, off int64) error {
	var failed error
	eachSector(p, off, func(n int64, from int, part []byte) {
		sector := make([]byte, sectorSize)
		if len(part) < sectorSize {
			if err := c.readAt(sector, n*sectorSize); err != nil {
				failed = err
				return
			}
		}
		copy(sector[from:], part)
		c.sectors[n] = append(c.sectors[n], sector)
	})
	return failed
}

// eachSector cuts p, which lies at off, into sectors; from is where in its sector a
// part begins.
func eachSector(p []byte, off int64, do func(n int64, from int, part []byte)) {
	for len(p) > 0 {
		n, from := off/sectorSize, int(off%sectorSize)
		part := p[:min(len(p), sectorSize-from)]
		do(n, from, part)
		p, off = p[len(part):], off+int64(len(part))
	}
}

// sync moves everything to the store.
func (c *writeCache) sync() error {
	return c.moveSome(func(versions int) int { return versions - 1 })
}

// powerCut loses what was not synced: all of it without a rng; with one, each sector
// that was written since the last sync becomes, by chance, any of the contents it
// has had since then. How much is kept on the whole is chance too.
func (c *writeCache) powerCut(rng *rand.Rand) error {
	if rng == nil {
		clear(c.sectors)
		return nil
	}
	share := rng.Float64()
	return c.moveSome(func(versions int) int {
		if rng.Float64() >= share {
			return -1
		}
		return rng.IntN(versions)
	})
}

// moveSome writes of each sector the version that pick names, or none if that is
// negative, to the store, and forgets the others.
func (c *writeCache) moveSome(pick func(versions int) int) error {
	for _, n := range slices.Sorted(maps.Keys(c.sectors)) {
		if v := pick(len(c.sectors[n])); v >= 0 {
			if _, err := c.store.WriteAt(c.sectors[n][v], n*sectorSize); err != nil {
				return err
			}
		}
		delete(c.sectors, n)
	}
	return nil
}
