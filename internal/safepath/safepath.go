// Package safepath is how root works in folders that others can write to: the data
// folder, which is user foyer's, and whatever lies below somebody's home or disk.
//
// A name there means nothing. Between two looks it can become a link to /etc/shadow,
// a second name (hard link) of it, a pipe that nobody writes to, or another folder. So a
// path is walked once, from the root of the file system, each folder is held open, and
// everything is done by the folder that is held: names are looked up in it and nowhere
// else, owners and modes are set on what is open.
//
//   - A link on the way is followed only where root made it, in folders that nobody else
//     can write to: /var/lib/foyer may lead to another disk. From the first folder on
//     that somebody else can write to, no link is.
//   - A file is read when it is an ordinary one of bounded size, with one name only, and
//     its folder's owner could read it, too.
//   - A folder is emptied, or given to another account, as far as its own file system
//     reaches: what is mounted in it is left.
//   - What was taken from an account in its own folder is given back to it as far as root
//     alone can have taken it (GiveBack).
//
// On Linux folders are opened by openat2(2) without links and beneath the one that is
// held; on kernels before 5.6, and elsewhere, name by name with O_NOFOLLOW, which comes
// to the same. A process that is not root has no more rights than whoever planted the
// link, and follows links as every program does.
//
// Threat model: whoever can write to a folder changes names and links in it at any
// moment, as fast as they can, and knows this code. They must not have anything read,
// changed or removed that they could not read, change or remove themselves. They can
// make root's work fail, and have a folder of their own emptied in the place of Foyer's.
//
// Used by the installer, supervisor/helper, supervisor/recorder, supervisor/backup/object, cmd/foyer and internal/claim. It knows nobody above it.
package safepath

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

// Why says what makes a name unfit for root.
type Why int

// What may be wrong with a name.
const (
	Link       Why = iota + 1 // a symbolic link that somebody other than root could have made
	SecondName                // a hard link: what is done to it is done elsewhere, too
	NotRegular                // a pipe, a device, a socket or a folder, where a file should be
	NotFolder                 // something else where a folder should be
	Foreign                   // it belongs to somebody it should not belong to
	TooLarge                  // more bytes than it may have
	Exchanged                 // it became something else while it was looked at
	TooDeep                   // folders within folders, without end
	Exposed                   // others may read or change what is a secret
)

// Error is a name that root does not touch.
type Error struct {
	Path string
	Why  Why
}

func (e *Error) Error() string {
	return e.Path + map[Why]string{
		Link:       " is a link that somebody else could have made",
		SecondName: " has a second name elsewhere (a hard link)",
		NotRegular: " is no ordinary file",
		NotFolder:  " is no folder",
		Foreign:    " belongs to somebody else",
		TooLarge:   " is too large",
		Exchanged:  " was exchanged for something else at this moment",
		TooDeep:    " is too deep",
		Exposed:    " can be read or changed by others",
	}[e.Why]
}

// Info is what a folder is like.
type Info struct {
	UID, GID int         // -1 where folders have no such owners
	Mode     fs.FileMode // permissions
}

// Hazard is a folder whose writers can put something else in the place of what is
// below it. The zero value: there is none.
type Hazard struct {
	Folder    string
	Everybody bool // may write to it, not one owner or group only
}

// Stray is a file or a folder that its account cannot use as its own.
type Stray struct {
	Path string
	Why  Why // it is not given back; zero: it is
}

// mostStrays is how many strays are told of.
const mostStrays = 20

// ReadFile reads the file at path, which has at most so many bytes. The way to it is
// gone as by Open, the file is read as by Dir.ReadFile, with the same errors. It does not
// block, whatever stands under the name.
func ReadFile(path string, most int64) ([]byte, error) {
	d, name, err := openFor(path)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked into
	return d.ReadFile(name, most)
}

// ReadSecret reads a file as ReadFile does, that nobody but its owner may read or change: the
// error is an *Error with Exposed where others may, with Foreign where its owner is neither
// this process's account nor root, nor, where root reads, the owner of its folder, and with
// SecondName where it has another name.
func ReadSecret(path string, most int64) ([]byte, error) {
	d, name, err := openFor(path)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked into
	return readSecret(d, name, most)
}

// OwnFile gives the ordinary file at path an owner and a mode, durably: those that want
// says, told how it is; -1 leaves a number. The error is an *Error where it has a second
// name, or the way leads through a link that root did not make.
func OwnFile(path string, want func(Info) Info) error {
	d, name, err := openFor(path)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked into
	return d.ownFile(name, want)
}

// Path is the folder's path, as it was given.
func (d *Dir) Path() string { return d.path }

func (d *Dir) in(name string) string { return filepath.Join(d.path, name) }

// fail is the error of an operation on name in the folder.
func (d *Dir) fail(op, name string, err error) error {
	return fmt.Errorf("cannot %s: %w", op, &fs.PathError{Op: op, Path: d.in(name), Err: err})
}
