// Package target is where backups go: a place that keeps objects by name.
//
// What is in the objects, which there are and when they may go is the backup's business; it
// seals them before they come here. A target promises three things: an object is never put
// over another; one that Put took is there, whole, after a power cut; and nothing is
// written anywhere but at the place that was meant, so that a stick that is missing is not
// the memory card below its mount point. Package targettest says it as tests, which
// every kind of target passes.
//
// A Folder is the first kind: on a second disk, a USB stick, a network share that is mounted.
//
// Threat model: whoever can write to a target can remove objects, put others in their place
// or fill it up. The backup notices the first two by its signatures. They must not be able to
// have anything read or written outside the target.
//
// Used by supervisor/backup.
package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Reader is a target that is only read: to bring back what is there. Its methods and errors
// are as those of Target.
type Reader interface {
	// Get reads an object from an offset on; at the end of it or beyond there is nothing to
	// read. The error is ErrNotFound, here or from the reader's first Read. ctx is for the
	// reader, too, which must be closed.
	Get(ctx context.Context, name string, offset int64) (io.ReadCloser, error)
	// List calls each for every object whose name begins with under and a slash, or for all of
	// them where under is "", in the order of the bytes of their names. What is put or deleted
	// meanwhile may be among them or not. It ends with the first error of each, and returns that.
	List(ctx context.Context, under string, each func(Object) error) error
	// String is where it is, for people and logs, without secrets.
	String() string
}

// Target keeps objects by name. Its methods are safe for concurrent use, and end soon after
// ctx does, as long as what they are given does.
//
// Errors match one of the Err variables below, or that of ctx, where the caller can do
// something about it; those that a person has to know of have a *hint.Error in their chain.
type Target interface {
	Reader
	// Put makes an object of so many bytes of r, never over another: the error is ErrExists
	// where the name is taken, by whatever. Once it returns nil the object is whole, and
	// stays so after a power cut. After an error there is no such object; or, if the answer was lost
	// or came too late, it is there, or comes to be there, whole. Who tries again and gets
	// ErrExists reads what is there. r giving more or fewer bytes is an error.
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	// Sync has an object that is there stay there after a power cut, whoever put it and whatever they
	// were told. The error is ErrNotFound where there is none.
	Sync(ctx context.Context, name string) error
	// Delete removes an object; it is no error when there is none. What it removed does not come back.
	Delete(ctx context.Context, name string) error
	// Room is how many bytes can still be put, and how many there are in all; known is
	// false where the target does not say.
	Room(ctx context.Context) (free, total int64, known bool, err error)
}

// Object is what a target keeps.
type Object struct {
	Name string
	Size int64
}

// What a caller can tell apart.
var (
	ErrExists   = errors.New("there is an object of that name")
	ErrNotFound = errors.New("there is no such object")
	ErrName     = errors.New("that is no name of an object")
	ErrAway     = errors.New("the target is not there")
	ErrOther    = errors.New("another target is in its place")
	ErrFull     = errors.New("there is no room at the target")
	ErrReadOnly = errors.New("the target takes nothing")
	ErrDenied   = errors.New("the target may not be used")
	ErrSlow     = errors.New("the target does not answer")
	ErrFailing  = errors.New("the target fails")
)

const (
	mostSegments = 3
	mostBytes    = 100 // of a segment
)

// IdentityFile is what the identity of a target is kept as, in it. It is no object's name.
const IdentityFile = "foyer-target.json"

// CheckName returns nil or ErrName. A name has one to three segments, with a slash between them, each
// of at most 100 bytes: small letters of ASCII, digits, and within it hyphens and dots.
// That is a name everywhere: in URLs, on FAT, on Windows. No name is also that of a folder: where there is
// "a/b" there is no "a".
func CheckName(name string) error {
	segments := 0
	for segment := range strings.SplitSeq(name, "/") {
		if segments++; segments > mostSegments || !fits(segment) {
			return fmt.Errorf("%w: %.200q", ErrName, name)
		}
	}
	if name == IdentityFile {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// checkUnder is CheckName for what List may be asked for.
func checkUnder(under string) error {
	if under == "" {
		return nil
	}
	if strings.Count(under, "/") > mostSegments-2 {
		return fmt.Errorf("%w: nothing is below %.200q", ErrName, under)
	}
	return CheckName(under)
}

// fits reports whether s can be a segment.
func fits(s string) bool {
	if s == "" || len(s) > mostBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		inner := c == '-' || c == '.'
		if inner && (i == 0 || i == len(s)-1) || !inner && !('a' <= c && c <= 'z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return true
}
