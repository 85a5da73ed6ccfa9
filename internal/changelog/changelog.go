// Package changelog is the log of changes of a store: which lines there are, how they are
// written as text and read back, which of several holds, and what all of a store's contents
// come to in figures.
//
// A line says what is kept now, not what was done: whoever takes it in twice, or after a
// later copy of the same thing, and then the rest of the log, ends with the same contents.
// That is what lets a copy be taken bit by bit beside writes, two stretches of the log
// become one, and a log written by one kind of database be taken in by another.
//
// Each line is one JSON object (RFC 8259) in UTF-8, so that anybody can read a log:
//
//	{"seq":12,"at":1795803600000,"sum":"…"}                          what follows was committed together, then
//	{"object":["/buckets/b/collections/c","record","r1",1795803599999],"permissions":{…},"data":{…}}
//	{"object":["/buckets/b/collections/c","record","r1",1795803599999],"gone":true}   a tombstone
//	{"list":["/buckets/b/collections/c","record",1795803599999]}     the list stands at this timestamp, or later
//	{"purge":"/buckets/b"}                                           nothing is left below it; "": of everything but accounts
//	{"meta":"name","value":"text"}
//	{"owner":"/buckets/b","value":"account:jeannine","bytes":120}
//	{"note":"key","until":1795803599999,"value":"text"}
//	{"file":"location","of":[parent, kind, id],"hash":…,"size":…,"type":…,"name":…}
//	{"floor":[parent, kind, timestamp]}                              where a list that is gone left off; parent "#": all that are older
//	{"former":[parent, kind, timestamp]}                             where a list stood before it began anew
//
// What is not kept any more has "gone":true instead of its values. Text that is no UTF-8
// stands in base64: "value64" instead of "value", and so on. What JSON is in an object is
// kept to the last digit and escape.
//
// Used by both stores, which write it, by the backup and by whoever else follows.
package changelog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Kind says what a line is about.
type Kind byte

// The kinds of lines. A store's contents consist of all of them but Commit and Purge.
const (
	Commit Kind = iota + 1
	Object
	List
	Purge
	Meta
	Owner
	Note
	File
	Floor
	Former
)

var kindNames = [...]string{Commit: "seq", Object: "object", List: "list", Purge: "purge", Meta: "meta", Owner: "owner", Note: "note", File: "file", Floor: "floor", Former: "former"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Line is one line. Which fields count depends on its kind; the others are zero.
type Line struct {
	Kind Kind
	// Gone: of an Object, it is a tombstone; of a Meta, Owner, Note, File or Floor, there is
	// none any more.
	Gone bool

	Seq int64  // Commit: counts up, with holes
	Sum string // Commit: that of its Position; empty where what was committed is no stretch of one log any more
	// Time is in milliseconds since 1970: of a Commit, when it was; of an Object, List, Floor
	// and Former, its timestamp; of a Note, when it ends.
	Time int64

	Parent string // Object, List, File, Floor, Former: URI of the parent of the list
	Of     string // likewise: the kind of object in the list, "record"…
	ID     string // Object, File: the object's id; Purge, Owner: a URI; Meta: its name; Note: its key

	Data        []byte // Object: JSON without id and last_modified
	Permissions []byte // Object: JSON, permission → principals; empty for none
	Value       []byte // Meta, Note; Owner: who it is

	Location, Hash, Type, Name string // File: as kinto.File
	Size                       int64  // File: of its contents; Owner: what the bucket weighs
}

// Append appends the line and a line feed to b. Data and Permissions are taken as they are:
// JSON without line feeds.
func (l *Line) Append(b []byte) []byte {
	b = append(b, `{"`...)
	b = append(b, l.Kind.String()...)
	b = append(b, `":`...)
	switch l.Kind {
	case Commit:
		b = strconv.AppendInt(b, l.Seq, 10)
		b = append(b, `,"at":`...)
		b = strconv.AppendInt(b, l.Time, 10)
		if l.Sum != "" {
			b = append(b, `,"sum":`...)
			b = appendString(b, l.Sum)
		}
	case Object:
		b = append(appendList(b, l.Parent, l.Of), ',')
		b = append(appendString(b, l.ID), ',')
		b = append(strconv.AppendInt(b, l.Time, 10), ']')
		if l.Gone {
			break
		}
		if len(l.Permissions) > 0 {
			b = append(b, `,"permissions":`...)
			b = append(b, l.Permissions...)
		}
		b = append(b, `,"data":`...)
		b = append(b, l.Data...)
	case List, Floor, Former:
		b = append(appendList(b, l.Parent, l.Of), ',')
		b = append(strconv.AppendInt(b, l.Time, 10), ']')
	case Purge, Meta, Owner, Note:
		b = appendString(b, l.ID)
		if l.Gone || l.Kind == Purge {
			break
		}
		if l.Kind == Note {
			b = append(b, `,"until":`...)
			b = strconv.AppendInt(b, l.Time, 10)
		}
		b = appendText(b, "value", l.Value)
		if l.Kind == Owner {
			b = append(b, `,"bytes":`...)
			b = strconv.AppendInt(b, l.Size, 10)
		}
	case File:
		b = appendString(b, l.Location)
		if l.Gone {
			break
		}
		b = append(b, `,"of":`...)
		b = append(appendList(b, l.Parent, l.Of), ',')
		b = append(appendString(b, l.ID), ']')
		b = append(b, `,"hash":`...)
		b = appendString(b, l.Hash)
		b = append(b, `,"size":`...)
		b = strconv.AppendInt(b, l.Size, 10)
		b = appendText(b, "type", []byte(l.Type))
		b = appendText(b, "name", []byte(l.Name))
	}
	if l.Gone {
		b = append(b, `,"gone":true`...)
	}
	return append(b, "}\n"...)
}

func appendList(b []byte, parent, of string) []byte {
	b = append(b, '[')
	b = append(appendString(b, parent), ',')
	return appendString(b, of)
}

// appendText appends a member with a text, in base64 if it is no UTF-8.
func appendText(b []byte, name string, text []byte) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	if utf8.Valid(text) {
		b = append(b, `":`...)
		return appendString(b, string(text))
	}
	b = append(b, `64":"`...)
	b = base64.StdEncoding.AppendEncode(b, text)
	return append(b, '"')
}

// appendString appends s, which is UTF-8, as a JSON string.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// wire is a line as its text says it.
type wire struct {
	Seq    *int64  `json:"seq"`
	At     int64   `json:"at"`
	Sum    string  `json:"sum"`
	Object *row    `json:"object"`
	List   *row    `json:"list"`
	Floor  *row    `json:"floor"`
	Former *row    `json:"former"`
	Purge  *string `json:"purge"`
	Meta   *string `json:"meta"`
	Owner  *string `json:"owner"`
	Note   *string `json:"note"`
	File   *string `json:"file"`

	Gone        bool            `json:"gone"`
	Permissions json.RawMessage `json:"permissions"`
	Data        json.RawMessage `json:"data"`
	Value       *string         `json:"value"`
	Value64     []byte          `json:"value64"`
	Until       int64           `json:"until"`
	Bytes       int64           `json:"bytes"`
	Of          *row            `json:"of"`
	Hash        string          `json:"hash"`
	Size        int64           `json:"size"`
	Type        string          `json:"type"`
	Type64      []byte          `json:"type64"`
	Name        string          `json:"name"`
	Name64      []byte          `json:"name64"`
}

// row is an array of texts, the last of which may be a number.
type row struct {
	texts  []string
	number int64
	hasNum bool
}

func (r *row) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	for i, part := range parts {
		if i == len(parts)-1 && len(part) > 0 && part[0] != '"' {
			r.hasNum = true
			return json.Unmarshal(part, &r.number)
		}
		var text string
		if err := json.Unmarshal(part, &text); err != nil {
			return err
		}
		r.texts = append(r.texts, text)
	}
	return nil
}

// fits reports that there are so many texts, and a number after them or not.
func (r *row) fits(texts int, number bool) bool { return len(r.texts) == texts && r.hasNum == number }

// ErrNoLine: a text is none of the lines of this package, or not all of one.
var ErrNoLine = errors.New("that is no line of a log of changes")

// Parse reads one line, with or without its line feed. What it returns does not share
// memory with text.
func Parse(text []byte) (Line, error) {
	if l, ok := canonical(text); ok {
		return l, nil
	}
	return parse(text)
}

func parse(text []byte) (l Line, err error) {
	var w wire
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return Line{}, fmt.Errorf("%w: %w", ErrNoLine, err)
	}
	if len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		return Line{}, fmt.Errorf("%w: there is more after it", ErrNoLine)
	}
	kinds := 0
	is := func(there bool, k Kind) bool {
		if there {
			kinds++
			l.Kind = k
		}
		return there
	}
	ok := true
	l.Gone = w.Gone
	value := func() []byte {
		if w.Value != nil {
			return []byte(*w.Value)
		}
		if w.Value64 == nil && !w.Gone {
			ok = false
		}
		return w.Value64
	}
	if is(w.Seq != nil, Commit) {
		l.Seq, l.Time, l.Sum = *w.Seq, w.At, w.Sum
	}
	if is(w.Object != nil, Object) {
		if ok = w.Object.fits(3, true) && (w.Gone || len(w.Data) > 0 && w.Data[0] == '{'); ok {
			l.Parent, l.Of, l.ID, l.Time = w.Object.texts[0], w.Object.texts[1], w.Object.texts[2], w.Object.number
			l.Data, l.Permissions = w.Data, w.Permissions
		}
	}
	for _, in := range []struct {
		row  *row
		kind Kind
	}{{w.List, List}, {w.Floor, Floor}, {w.Former, Former}} {
		if is(in.row != nil, in.kind) {
			if ok = in.row.fits(2, true); ok {
				l.Parent, l.Of, l.Time = in.row.texts[0], in.row.texts[1], in.row.number
			}
		}
	}
	if is(w.Purge != nil, Purge) {
		l.ID = *w.Purge
	}
	if is(w.Meta != nil, Meta) {
		l.ID, l.Value = *w.Meta, value()
	}
	if is(w.Owner != nil, Owner) {
		l.ID, l.Value, l.Size = *w.Owner, value(), w.Bytes
	}
	if is(w.Note != nil, Note) {
		l.ID, l.Value, l.Time = *w.Note, value(), w.Until
	}
	if is(w.File != nil, File) {
		l.Location = *w.File
		if ok = w.Gone || w.Of != nil && w.Of.fits(3, false); ok && !w.Gone {
			l.Parent, l.Of, l.ID = w.Of.texts[0], w.Of.texts[1], w.Of.texts[2]
			l.Hash, l.Size = w.Hash, w.Size
			l.Type, l.Name = w.Type+string(w.Type64), w.Name+string(w.Name64)
		}
	}
	if !ok || kinds != 1 {
		return Line{}, fmt.Errorf("%w: %.80q", ErrNoLine, text)
	}
	return l, nil
}

// Key is what the line says something of: of two lines with one key the later holds. A
// Commit and a Purge have none.
func (l *Line) Key() string {
	switch l.Kind {
	case Object:
		return "object\x00" + l.Parent + "\x00" + l.Of + "\x00" + l.ID
	case List, Floor, Former:
		return l.Kind.String() + "\x00" + l.Parent + "\x00" + l.Of
	case Meta, Owner, Note:
		return l.Kind.String() + "\x00" + l.ID
	case File:
		return "file\x00" + l.Location
	}
	return ""
}
