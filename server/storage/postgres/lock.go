package postgres

import (
	"errors"
	"hash/fnv"

	"github.com/foyer-server/foyer/server/kinto"
)

// Advisory locks of the database, by number. A transaction that writes waits only
// for locks whose numbers are above all it has, so that none waits for another in
// a circle: one that it needs late and that is below is tried, and if somebody else
// has it everything is rolled back and done again with the lock taken in its place.
// They are on names rather than rows, so that what is not there yet has a lock, too.
const (
	// lockStructure is shared by every writer, and had alone by writers of what
	// decides about others. Whoever has it alone needs no other lock.
	lockStructure int64 = iota
	lockSchema
	lockSweep
)

// Classes of locks on names, in the order in which they are mostly needed.
const (
	lockList int64 = iota + 1
	lockNote
	lockFile
	lockOwner
	lockProbe // of examine
)

// lockOf is the number of a lock on names. Two names with the same number share a
// lock, which costs time and is not wrong.
func lockOf(class int64, names ...string) int64 {
	h := fnv.New64a()
	for _, name := range names {
		h.Write([]byte(name)) // never fails
		h.Write([]byte{0})
	}
	return class<<56 | int64(h.Sum64()&(1<<56-1))
}

func lockOfList(l kinto.List) int64 { return lockOf(lockList, string(l.Kind), l.Parent) }

// errAgain: what a job does cannot go on in this transaction, and can in another:
// the lane knows how (job.locks, job.alone), whatever the job makes of the error.
var errAgain = errors.New("to be done again in another transaction")
