package changelog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// Sum is what some lines come to, whatever their order.
type Sum struct {
	Lines  int    `json:"lines"`
	Digest Digest `json:"digest"` // the sum, modulo 2²⁵⁶, of the SHA-256 of each line with its line feed
}

// Digest is a number of 256 bits, its least significant word first.
type Digest [4]uint64

// add counts a line in.
func (s *Sum) add(text []byte) {
	s.Lines++
	hash := sha256.Sum256(text)
	var carry uint64
	for i := range s.Digest {
		var word uint64
		for j := range 8 {
			word |= uint64(hash[8*i+j]) << (8 * j)
		}
		s.Digest[i], carry = bits.Add64(s.Digest[i], word, carry)
	}
}

// String is the digest in hexadecimal.
func (d Digest) String() string {
	var raw [32]byte
	for i, word := range d {
		for j := range 8 {
			raw[8*i+j] = byte(word >> (8 * j))
		}
	}
	return hex.EncodeToString(raw[:])
}

// MarshalText is String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != 32 {
		return fmt.Errorf("%.80q is no digest", text)
	}
	*d = Digest{}
	for i, b := range raw {
		d[i/8] |= uint64(b) << (8 * (i % 8))
	}
	return nil
}

// Summary is what the whole contents of a store come to. Two stores with equal summaries
// keep the same.
type Summary struct {
	lists  map[listName]*ListSum
	others map[Kind]*Sum
}

type listName struct{ parent, of string }

// ListSum is what one list holds.
type ListSum struct {
	Parent     string `json:"parent"`
	Of         string `json:"of"`
	Time       int64  `json:"time"` // the list's timestamp
	Live       int    `json:"live"`
	Tombstones int    `json:"tombstones,omitempty"`
	Bytes      int64  `json:"bytes"` // of the data of live objects
	Sum
}

// Add counts in one line of a copy of everything, which each line is in once; text is what
// Append made of it. A Commit and a Purge are in no copy, and count for nothing.
func (s *Summary) Add(l *Line, text []byte) {
	if s.lists == nil {
		s.lists, s.others = map[listName]*ListSum{}, map[Kind]*Sum{}
	}
	switch l.Kind {
	case Commit, Purge:
	case List, Object:
		name := listName{l.Parent, l.Of}
		in := s.lists[name]
		if in == nil {
			in = &ListSum{Parent: strings.Clone(l.Parent), Of: strings.Clone(l.Of)}
			s.lists[listName{in.Parent, in.Of}] = in
		}
		in.Time = max(in.Time, l.Time)
		switch {
		case l.Kind == List:
			return
		case l.Gone:
			in.Tombstones++
		default:
			in.Live++
			in.Bytes += int64(len(l.Data))
		}
		in.add(text)
	default:
		if s.others[l.Kind] == nil {
			s.others[l.Kind] = &Sum{}
		}
		s.others[l.Kind].add(text)
	}
}

// Lists returns what each list holds, by parent and kind.
func (s *Summary) Lists() []ListSum {
	out := make([]ListSum, 0, len(s.lists))
	for _, l := range s.lists {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b ListSum) int {
		if c := strings.Compare(a.Parent, b.Parent); c != 0 {
			return c
		}
		return strings.Compare(a.Of, b.Of)
	})
	return out
}

// Of returns what the lines of one kind come to; of lists and objects, of all of them.
func (s *Summary) Of(k Kind) Sum {
	if sum := s.others[k]; sum != nil {
		return *sum
	}
	var out Sum
	for _, l := range s.lists {
		switch k {
		case List:
			out.Lines++
		case Object:
			out.Lines += l.Lines
			var carry uint64
			for i := range out.Digest {
				out.Digest[i], carry = bits.Add64(out.Digest[i], l.Digest[i], carry)
			}
		}
	}
	return out
}

// Split returns summaries of at most so many lists each which Join makes this one again.
func (s *Summary) Split(lists int) []*Summary {
	first := &Summary{lists: map[listName]*ListSum{}, others: s.others}
	out := []*Summary{first}
	for _, l := range s.Lists() {
		last := out[len(out)-1]
		if len(last.lists) >= lists {
			last = &Summary{lists: map[listName]*ListSum{}}
			out = append(out, last)
		}
		last.lists[listName{l.Parent, l.Of}] = &l
	}
	return out
}

// Join takes in a summary of other lists, or of other kinds.
func (s *Summary) Join(with *Summary) {
	if s.lists == nil {
		s.lists, s.others = map[listName]*ListSum{}, map[Kind]*Sum{}
	}
	maps.Copy(s.lists, with.lists)
	maps.Copy(s.others, with.others)
}

// Differences names what is not the same in two summaries, as many of them as most; none
// means that they are equal.
func (s *Summary) Differences(with *Summary, most int) []string {
	var out []string
	names := map[listName]bool{}
	for name := range s.lists {
		names[name] = true
	}
	for name := range with.lists {
		names[name] = true
	}
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b listName) int {
		return strings.Compare(a.parent+"\x00"+a.of, b.parent+"\x00"+b.of)
	}) {
		var a, b ListSum
		if l := s.lists[name]; l != nil {
			a = *l
		}
		if l := with.lists[name]; l != nil {
			b = *l
		}
		if a != b {
			out = append(out, fmt.Sprintf("%ss of %q: timestamp %d, %d live, %d tombstones, digest %.8s; timestamp %d, %d live, %d tombstones, digest %.8s",
				name.of, name.parent, a.Time, a.Live, a.Tombstones, a.Digest.String(), b.Time, b.Live, b.Tombstones, b.Digest.String()))
		}
	}
	for _, k := range []Kind{Meta, Owner, Note, File, Floor, Former} {
		if a, b := s.Of(k), with.Of(k); a != b {
			out = append(out, fmt.Sprintf("%s: %d lines, digest %.8s; %d lines, digest %.8s", k, a.Lines, a.Digest.String(), b.Lines, b.Digest.String()))
		}
	}
	return out[:min(len(out), most)]
}

// summaryJSON is a summary as JSON.
type summaryJSON struct {
	Lists  []ListSum      `json:"lists"`
	Others map[string]Sum `json:"others"`
}

// MarshalJSON writes lists in the order of Lists.
func (s *Summary) MarshalJSON() ([]byte, error) {
	out := summaryJSON{Lists: s.Lists(), Others: map[string]Sum{}}
	for k, sum := range s.others {
		out.Others[k.String()] = *sum
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Summary) UnmarshalJSON(text []byte) error {
	var in summaryJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	s.lists, s.others = map[listName]*ListSum{}, map[Kind]*Sum{}
	for _, l := range in.Lists {
		s.lists[listName{l.Parent, l.Of}] = &l
	}
	for name, sum := range in.Others {
		k := Kind(max(0, slices.Index(kindNames[:], name)))
		if k == 0 {
			return fmt.Errorf("%.80q is no kind of line", name)
		}
		s.others[k] = &sum
	}
	return nil
}
