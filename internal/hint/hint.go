// Package hint holds what Foyer says to a person: sentences in every language
// Foyer speaks, and errors a person can act on.
//
// A sentence is a Text, written in all its languages side by side where it
// belongs, so that none can be forgotten. An Error carries a documented code
// (docs/codes.md), says what it means, what Foyer did, and the one thing to do;
// the cause stays wrapped for the log and is not shown.
//
// Sentences hold words of others: names of devices and programs, what a router, a
// certificate authority or the system answered. Whatever is put into one by T is
// cleaned there (Printable), as is what comes from another process where it comes in
// (Clean): nothing a person reads can command their terminal or pretend to be a line
// of ours.
//
// The package knows nobody above it and everybody may use it.
package hint

import (
	"errors"
	"strings"
)

// Lang is a language Foyer speaks.
type Lang string

// The languages Foyer speaks. English is used when none is known.
const (
	EN Lang = "en"
	FR Lang = "fr"
)

// Langs lists every language Foyer speaks.
var Langs = []Lang{EN, FR}

// Text is one thing said to a person, in each language. The zero Text says nothing.
type Text struct {
	EN string `json:"en"`
	FR string `json:"fr"`
}

// T makes a Text. When args are given, each language is a format of Sprintf over
// the same args: they may be of others.
func T(en, fr string, args ...any) Text {
	if len(args) == 0 {
		return Text{en, fr}
	}
	return Text{Sprintf(EN, en, args...), Sprintf(FR, fr, args...)}
}

// In returns the sentence in l, or in English when l is unknown.
func (t Text) In(l Lang) string {
	if l == FR {
		return t.FR
	}
	return t.EN
}

// IsZero reports whether t says nothing.
func (t Text) IsZero() bool { return t == Text{} }

// Exit codes of the foyer command, the same for every subcommand (docs/codes.md).
const (
	ExitOK       = 0 // done, or nothing to do
	ExitFailed   = 1 // it failed
	ExitUsage    = 2 // wrong use, malformed or missing settings or answers
	ExitProblems = 3 // doctor found problems
	ExitNeedRoot = 4 // root is needed
)

// Error is an error a person can act on.
type Error struct {
	Code string // stable and documented in docs/codes.md, e.g. "port-taken"
	Exit int    // exit code of the command; 0 stands for ExitFailed
	What Text   // what it means
	Did  Text   // what Foyer did about it; may be zero
	Do   Text   // the one thing to do; may be zero
	Err  error  // the cause, for the log; may be nil
}

// New returns an Error; did and do may be zero.
func New(code string, what, did, do Text) *Error {
	return &Error{Code: code, What: what, Did: did, Do: do}
}

// Because returns a copy of e with err as its cause.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Exits returns a copy of e with the given exit code.
func (e *Error) Exits(code int) *Error {
	c := *e
	c.Exit = code
	return &c
}

// Error is the English sentence with the cause, for logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.What.EN + " (" + e.Err.Error() + ")"
	}
	return e.Code + ": " + e.What.EN
}

func (e *Error) Unwrap() error { return e.Err }

// Lines returns what a person reads, one sentence a line, without the cause.
func (e *Error) Lines(l Lang) []string {
	var out []string
	for _, t := range []Text{e.What, e.Did, e.Do} {
		if !t.IsZero() {
			out = append(out, PrintableLines(t.In(l)))
		}
	}
	return out
}

// Find returns the outermost Error in err's chain, or nil.
func Find(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}

// Describe returns what a person reads about any error, in l, one sentence a line.
// An error without a hint is shown as it is, on one line: it may quote anybody.
func Describe(err error, l Lang) string {
	if e := Find(err); e != nil {
		return strings.Join(e.Lines(l), "\n")
	}
	return Short(err.Error(), longestWhole)
}

// Says is Describe in every language.
func Says(err error) Text { return Text{Describe(err, EN), Describe(err, FR)} }

// Verbatim is the same words in every language: those of a program or a person. They
// are Short.
func Verbatim(words string) Text {
	words = Short(words, longestWhole)
	return Text{words, words}
}

// Label is a title before what it is about: with a colon, unless it is a question.
func Label(title Text) Text {
	if strings.HasSuffix(title.EN, "?") {
		return title
	}
	return Text{title.EN + ":", title.FR + " :"}
}

// ExitCode is the exit code of a command that ended with err.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if e := Find(err); e != nil && e.Exit != 0 {
		return e.Exit
	}
	return ExitFailed
}
