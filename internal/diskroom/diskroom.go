// Package diskroom says how full a disk is, in four steps that are the same for whoever writes
// to it, looks at it or tells people of it. Foyer holds back before a disk is full: the rest of
// the machine needs room, too, and so do deletions.
//
// Used by the stores of data and attachments, which refuse by it, and by the supervisor, which
// tells by it.
package diskroom

import "github.com/foyer-server/foyer/internal/atomicfile"

// Level is how full a disk is.
type Level int

// The levels, from an empty disk to a full one. What is refused at one is refused at all after it.
const (
	Plenty Level = iota
	Low          // people are told
	Short        // attachments are refused
	Full         // all that grows is refused; reads, deletions, changes and sign-ins go on
)

// Room is what there is on a disk.
type Room struct {
	Free, Total     uint64 // bytes; Free is what a process without privileges can still write
	FreeFiles, Most uint64 // files that can still be made, and in all; Most is 0 where nothing bounds them
}

// Bytes at which the levels begin on disks that are large; on small ones it is a part of all.
const (
	lowBytes   = 512 << 20
	mostLow    = 5 << 30
	shortBytes = 128 << 20
	leastShort = 64 << 20 // what the database holds in reserve, and what grows beside an upload
	fullBytes  = 64 << 20
	leastFull  = 24 << 20 // what is written to the database's log first, and then to the database
)

// Begins is below how many free bytes a level begins on a disk of this size; of Plenty it is all.
func Begins(l Level, total uint64) uint64 {
	switch l {
	case Low:
		return max(min(max(lowBytes, total/50), mostLow, total/4), Begins(Short, total))
	case Short:
		return max(min(shortBytes, total/8), leastShort)
	case Full:
		return max(min(fullBytes, total/16), leastFull)
	}
	return total
}

// Files that can still be made when a level begins; of all there can be, at most the tenth part.
const (
	lowFiles   = 20_000
	shortFiles = 2_000
)

// Level is how full the disk is. Files that run out count as Short at most: the data are few
// files, and attachments many.
func (r Room) Level() Level {
	level := Plenty
	for l := Low; l <= Full; l++ {
		if r.Free < Begins(l, r.Total) {
			level = l
		}
	}
	if r.Most > 0 {
		switch {
		case r.FreeFiles < min(shortFiles, r.Most/100):
			level = max(level, Short)
		case r.FreeFiles < min(lowFiles, r.Most/10):
			level = max(level, Low)
		}
	}
	return level
}

// FewFiles reports whether it is files that run out, and not bytes.
func (r Room) FewFiles() bool {
	bytes := Room{Free: r.Free, Total: r.Total}
	return r.Level() > bytes.Level()
}

// Look is what there is on the disk that holds path. It waits for that disk (statfs(2)).
func Look(path string) (Room, error) {
	free, total, err := atomicfile.FreeSpace(path)
	if err != nil {
		return Room{}, err
	}
	r := Room{Free: free, Total: total}
	r.FreeFiles, r.Most = files(path)
	return r, nil
}
