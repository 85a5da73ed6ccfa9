// Package refusal is what becomes of an error at every door of the server: its status and
// errno, and what clients and people are told of it (docs/kinto-protocol.md §2).
//
// Of is the one table that knows them: it maps the errors of package kinto, however they
// are wrapped, and those that a door makes itself, which are a *Refusal already. Writing
// the body that clients of Kinto know is here too; a door with another protocol makes a
// body of its own of the same Refusal.
//
// Promises: an error means the same at every door, bare, wrapped or joined with others;
// nothing of an error that is not in the table reaches a client.
//
// Used by server, api.
package refusal

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// Refusal is the answer to a request that is not done. As an error it is what a door
// refuses itself. It is not changed once it is made.
type Refusal struct {
	Status, Errno int
	Title         string // empty: the text of the status
	Message       string // as clients of Kinto know it; may be empty
	// Text is for a person and stands for Message, in their language.
	Text    hint.Text
	Info    string        // where to go with it; may be empty
	Details any           // as JSON; nil: none
	Wait    time.Duration // before trying again helps; 0: not known
	// Stamped: Timestamp is that of what there is, for ETag and Last-Modified.
	Stamped   bool
	Timestamp int64
	// Notice is what the log is to be told: the trouble is the server's. Empty: nothing.
	Notice string
}

// New is a refusal with a message that clients know.
func New(status, errno int, message string) *Refusal {
	return &Refusal{Status: status, Errno: errno, Message: message}
}

// Tell is a refusal that a person reads.
func Tell(status, errno int, text hint.Text) *Refusal {
	return &Refusal{Status: status, Errno: errno, Text: text}
}

// After is the same refusal, and when trying again helps.
func (r *Refusal) After(wait time.Duration) *Refusal {
	later := *r
	later.Wait = wait
	return &later
}

func (r *Refusal) Error() string {
	if !r.Text.IsZero() {
		return r.Text.In(hint.EN)
	}
	return r.Message
}

// Passes reports whether trying the same again later can help: Retry-After is told then,
// Wait or what the server says otherwise.
func (r *Refusal) Passes() bool {
	switch r.Status {
	case http.StatusConflict, http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		return r.Wait > 0 || r.Errno != errnoForbidden // waiting makes no room in a quota
	}
	return r.Wait > 0
}

// RetryAfter is Wait as the header has it: whole seconds, at least one.
func (r *Refusal) RetryAfter() string {
	return strconv.Itoa(max(1, int((r.Wait+time.Second-1)/time.Second)))
}

// FormError is a validation error with a status and an errno of its own.
type FormError struct {
	Status, Errno int
	*kinto.InvalidError
}

func (e *FormError) Unwrap() error { return e.InvalidError }

// Lang is the language a client asks for first, else the server's, of the settings.
func Lang(r *http.Request, settings string) hint.Lang {
	if l, ok := hint.Accepted(strings.Join(r.Header["Accept-Language"], ",")); ok {
		return l
	}
	l, _ := hint.ParseLang(settings)
	return l
}

// body is the error body of §2.
type body struct {
	Code    int    `json:"code"`
	Errno   int    `json:"errno"`
	Error   string `json:"error"`
	Message string `json:"message,omitempty"`
	Info    string `json:"info,omitempty"`
	Details any    `json:"details,omitempty"`
}

// JSON is the body clients of Kinto know; l is the language of a person who reads it.
func (r *Refusal) JSON(l hint.Lang) []byte {
	b := body{r.Status, r.Errno, r.Title, r.Message, r.Info, r.Details}
	if b.Error == "" {
		b.Error = http.StatusText(r.Status)
	}
	if !r.Text.IsZero() {
		b.Message = r.Text.In(l)
	}
	return encode(b)
}

// Brief is an error body without its details; nil: text is none.
func Brief(text []byte) []byte {
	b := body{}
	if json.Unmarshal(text, &b) != nil {
		return nil
	}
	b.Details = nil
	return encode(b)
}

func encode(b body) []byte {
	text, err := json.Marshal(b)
	if err != nil {
		panic("refusal: an error body cannot be encoded: " + err.Error())
	}
	return text
}
