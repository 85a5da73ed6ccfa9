package changelog

import (
	"context"
	"errors"
	"time"
)

// Position is a place in the log of a store: behind a commit.
type Position struct {
	Seq int64 `json:"seq"` // of the commit
	// Sum is of everything in the log up to there, since it began: two logs that were not
	// the same at some time have not the same sum anywhere behind that.
	Sum string `json:"sum"`
}

// Entry is what one commit changed.
type Entry struct {
	Position
	Time  int64  // when it was, milliseconds
	Lines []byte // as Append makes them, one after the other, without that of the commit
}

// Append appends the commit and its lines to b.
func (e *Entry) Append(b []byte) []byte {
	b = (&Line{Kind: Commit, Seq: e.Seq, Sum: e.Sum, Time: e.Time}).Append(b)
	return append(b, e.Lines...)
}

// ErrCut: the log does not go back to a position, or is not the one that the position was
// in. Whoever follows takes a copy of everything again.
var ErrCut = errors.New("the log of changes does not go back that far")

// ErrNoPlace: a copy was to go on from a place that is none.
var ErrNoPlace = errors.New("that is no place in a copy")

// ErrDamaged: the store is damaged. Its Changes are what was committed, and may still be had;
// nothing else is copied from it, and what a follower has of before is the best there is.
var ErrDamaged = errors.New("the store is damaged")

// Source is a store whose contents can be copied while they are written, and whose changes
// can be followed from there. storagetest says what it promises.
//
// A follower begins with Follow, takes copies with Copy until there is no more, and then
// what Changes has after the position that Follow returned. What it has is complete once it
// has all changes up to the last position that a Copy was taken at.
type Source interface {
	// Follow has the store keep what is changed from now on, until Acknowledge, for a
	// follower of that name; it returns where the log stands. One that follows already
	// begins anew. The store may give all followers up when too much waits for them.
	Follow(ctx context.Context, name string) (Position, error)
	// Unfollow forgets a follower.
	Unfollow(ctx context.Context, name string) error
	// Changes calls each for the commits after a position, the oldest first, until it has
	// passed on about so many bytes of lines, or there are no more, or each returns an
	// error, which it returns. The lines are good until each returns. What a commit
	// changed that was answered before the call is among them. The error is ErrCut when
	// not all of it is there any more.
	Changes(ctx context.Context, after Position, bytes int, each func(Entry) error) error
	// Acknowledge tells that a follower has everything up to a position for good: the
	// store need not keep it for this one. The error is ErrCut when the position is not in the log,
	// and ErrDamaged as long as the store is known to be damaged.
	Acknowledge(ctx context.Context, name string, upTo Position) error
	// Copy calls each for lines of what the store holds during the call, about so many bytes
	// of them, in an order of its own, beginning after the place that an earlier call
	// returned ("" is the beginning). It returns the place behind them, "" when that is the
	// end, and where the log stood when the last of them was read. Each line ends with a
	// line feed and is good until each returns. The error is ErrNoPlace when no call can
	// have returned that place.
	Copy(ctx context.Context, after string, bytes int, each func(line []byte) error) (next string, at Position, err error)
	// Summarize looks at everything the store holds at one moment, but for notes that end
	// before a time: those may have been swept, or not.
	Summarize(ctx context.Context, notes time.Time) (*Summary, Position, error)
	// Files calls each for the contents that attachments refer to, once for each, in the
	// order of their hashes. What is attached or removed meanwhile may be among them or not.
	// It ends with the first error of each, and returns that.
	Files(ctx context.Context, each func(hash string, size int64) error) error
}
