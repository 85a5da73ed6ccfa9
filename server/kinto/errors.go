package kinto

import (
	"errors"
	"strings"
	"time"
)

// Errors of the rules and of the store. The types below carry more.
var (
	// ErrForbidden: the caller lacks the permission, or is nobody and should say who they are.
	ErrForbidden = errors.New("the caller may not do this")
	// ErrConflict: a timestamp given by the client belongs to another object of
	// the list (protocol §6); or writes collided. Trying again can help.
	ErrConflict = errors.New("the timestamp belongs to another object")
	// ErrReadOnly: the server takes no writes.
	ErrReadOnly = errors.New("the server is read-only")
	// ErrFull: the disk is full; nothing was kept, reads go on.
	ErrFull = errors.New("the disk is full")
	// ErrAttached: what a record says of its attachment is the server's to change.
	ErrAttached = errors.New("attachment metadata cannot be modified")
	// ErrUnavailable: the database cannot be reached or written now, or another machine
	// that is needed.
	ErrUnavailable = errors.New("the database is not available")
)

// BusyError: this server has enough to do of a kind, and turns away what is too much.
// Trying again later helps; nothing is wrong with it.
type BusyError struct {
	What string        // "passwords"
	Wait time.Duration // before trying again helps; 0: not known
}

func (e *BusyError) Error() string { return "too many " + e.What + " are being checked" }

// NotFoundError: there is no such object, or no such parent.
type NotFoundError struct {
	Kind   Kind
	ID     string
	Parent bool // it is the parent of what was asked for
}

func (e *NotFoundError) Error() string { return "there is no " + string(e.Kind) + " " + e.ID }

// NotModifiedError: the caller already has this timestamp.
type NotModifiedError struct{ Timestamp int64 }

func (*NotModifiedError) Error() string { return "not modified" }

// ModifiedError: a precondition does not hold.
type ModifiedError struct {
	Existing  *Object // the object as it is; nil for a list or a missing object
	Timestamp int64   // of the object or the list; negative when there is none
}

func (*ModifiedError) Error() string { return "modified meanwhile" }

// InvalidError: the request does not make sense, for these reasons.
type InvalidError struct{ Problems []Problem }

// Problem is one thing wrong with a request.
type Problem struct {
	Location    string // body, querystring, header or path
	Name        string // dotted; may be empty
	NoName      bool   // the name is null rather than empty
	Description string
}

// Invalid makes an InvalidError of one problem.
func Invalid(location, name, description string) *InvalidError {
	return &InvalidError{[]Problem{{Location: location, Name: name, Description: description}}}
}

// InvalidID is the error for an id that cannot be one.
func InvalidID() *InvalidError {
	return &InvalidError{[]Problem{{Location: "path", NoName: true, Description: "Invalid object id"}}}
}

// UsedToken is the error for the token of a deletion that was sent before.
func UsedToken() *InvalidError {
	return Invalid("querystring", "_token", "_token was already used or has expired.")
}

func (e *InvalidError) Error() string {
	var out []string
	for _, p := range e.Problems {
		out = append(out, p.Text())
	}
	return strings.Join(out, "; ")
}

// Text is the sentence of one problem, as the reference builds it (protocol §2).
func (p Problem) Text() string {
	switch {
	case p.NoName:
		return p.Location + ": " + p.Description
	case strings.Contains(p.Description, p.Name):
		return p.Description
	}
	return p.Name + " in " + p.Location + ": " + p.Description
}
