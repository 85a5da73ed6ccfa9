// Package object is what a backup consists of: sealed, signed, chained objects, and the keys
// of a chain of them.
//
// An object is age(zstd(lines of JSON)): `age -d -i KEY | zstd -d | jq` reads it. Its first
// line says which it is (Header), its last one how many lines there are, what they come to,
// and who says so:
//
//	{"foyer":1,"chain":"…","n":12,"prev":"…","kind":"log","from":{…},"to":{…},"at":"…","version":"…","schema":3}
//	…                                                       whatever lines the caller has
//	{"lines":40,"sum":"SHA-256 of all before","signature":"…"}
//
// A chain is objects that are counted from 1, each of which names the SHA-256 of the one
// before. Objects are sealed for the key of the chain, which the machine has, and which is
// sealed for the words of a kit, in an object of its own (Keys). That one says, signed by
// the kit, which machines write the chain from which number on: so the words alone open and verify everything, and other words take their place
// by a new key object and nothing else.
//
// Contents of attachments are not lines, and may be gigabytes: they are sealed apart, in parts,
// as age(zstd(bytes)). They are called by an HMAC of their SHA-256 (ContentsKey) and believed by
// that SHA-256, which stands in the lines of an object.
//
// # Threat model
//
// Whoever holds the target reads, changes, cuts, swaps, replays, withholds and adds objects as
// they like, and knows whom they are sealed for. They know this code, may have objects sealed
// whose contents they choose in part, and have none of the secret keys.
//
//   - They learn how large objects are, when they came, that they are of one chain, and which
//     key objects are for the same words. Nothing of what is in them, nor the words.
//   - age hides; it does not say who sealed. So nothing is believed before the signature at the
//     end was verified with a key that the kit, or this machine, vouches for: Reader.Next returns
//     io.EOF then and not before, and whoever acts on lines acts on rumours until then. Verify
//     believes without holding a line.
//   - What is signed is the format, the chain, the number, the one before, and every byte before
//     the last line: no header goes with other lines, nothing is left out or put in, and no
//     object stands in another's place, which the reader compares with what it expects. Signatures
//     of objects are good for nothing else, nor others for objects.
//   - Who knows the contents may seal them again, differently: the contents are genuine, the
//     sealed bytes are not those that the next object names (Expect.SHA256).
//   - A target that withholds the newest objects shows a chain that is whole and old. The chain
//     cannot tell that by itself: the machine remembers its head, and beats say how old the newest is.
//     With key objects it is the same (see FindKeys).
//   - Nothing makes a reader hold more than a few megabytes and a line of MaxLine, nor go on
//     beyond MaxPlain; a zstd window is a megabyte at most. How many times larger than its sealed bytes an
//     object may be is not bounded beyond what the format allows (32,768 to 1: a block of
//     128 KiB in four bytes): members may store megabytes of one letter, which are packed
//     3,000 to 1, and no member may make a backup unreadable. The absolute bound is four times
//     the most that a store gives out at once (the log is cut at 256 MB, a row has a
//     gigabyte at most); the writer keeps to it, so that no honest object meets it; to
//     read so much for nothing takes seconds, and no room. A line longer than MaxLine is
//     read once Verify, which holds no line, has shown that the author wrote it.
//   - A machine that is taken over reads its chain and can write to it, as long as its key
//     holds. It does not have the words, and cannot say that other machines write the chain.
//   - Somebody who has seen words that were replaced since may still read by them what the
//     target kept: the chain has the same key. Only a new chain shuts them out.
//
// Used by the backup, which writes objects, and by whoever restores or tries them. It has no
// clock, no network and no target: times and bytes come and go by its arguments.
package object

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// Format is the version of all that this package writes.
const Format = 1

// What an object, or a line of it, has at most.
const (
	MaxPlain  = 4 << 30  // bytes of lines: of an object
	MaxLine   = 64 << 20 // of a line that is read before the signature was verified
	maxHeader = 64 << 10 // of the first line
	maxEnd    = 1 << 10  // of the last line
	window    = 1 << 20  // of zstd
)

// Kind says what an object holds.
type Kind string

// The kinds of objects.
const (
	Log      Kind = "log"      // the commits after From, up to To
	Base     Kind = "base"     // a part of a copy of everything
	Merge    Kind = "merge"    // what several log objects come to
	Beat     Kind = "beat"     // nothing: that there was nothing newer at the time
	Manifest Kind = "manifest" // what there is
)

var kinds = map[Kind]bool{Log: true, Base: true, Merge: true, Beat: true, Manifest: true}

// Header is the first line of an object: which one it is.
type Header struct {
	Chain string // 32 hexadecimal digits; a Sealer fills it in
	N     uint64 // counts the objects of the chain, from 1
	Prev  string // SHA-256 of the sealed bytes of the one before, in hexadecimal; "" for the first
	Kind  Kind
	From  changelog.Position // Log, Merge: the commits after it
	To    changelog.Position // Log, Merge: up to it
	// At is when it was made, to the second.
	At      time.Time
	Version string // of the Foyer that made it
	Schema  int    // of the data
	// Manifest is the number of the newest manifest before it; 0: there is none.
	Manifest uint64
}

// wireHeader is a Header as its text says it.
type wireHeader struct {
	Foyer   int                `json:"foyer"`
	Chain   string             `json:"chain"`
	N       uint64             `json:"n"`
	Prev    string             `json:"prev"`
	Kind    Kind               `json:"kind"`
	From    changelog.Position `json:"from,omitzero"`
	To      changelog.Position `json:"to,omitzero"`
	At      time.Time          `json:"at"`
	Version string             `json:"version"`
	Schema  int                `json:"schema"`
	Newest  uint64             `json:"manifest,omitempty"`
}

var errHeader = errors.New("the first line says of no object which it is")

// check says whether there can be such an object.
func (h *Header) check() error {
	switch {
	case !isHex(h.Chain, 16), !kinds[h.Kind], h.N == 0, h.Manifest >= h.N, h.N == 1 && h.Prev != "", h.N > 1 && !isHex(h.Prev, 32):
		return errHeader
	}
	return nil
}

// line is the header's text. There is one for each, so that two that are read as the same
// are.
func (h *Header) line() ([]byte, error) {
	text, err := json.Marshal(wireHeader{Format, h.Chain, h.N, h.Prev, h.Kind, h.From, h.To, h.At, h.Version, h.Schema, h.Manifest})
	return append(text, '\n'), err
}

// parseHeader reads a first line with its line feed. The error is errNewer where a newer Foyer
// may know what it says.
func parseHeader(line []byte) (Header, error) {
	var version struct {
		Foyer int  `json:"foyer"`
		Kind  Kind `json:"kind"`
	}
	if err := json.Unmarshal(line, &version); err != nil || version.Foyer < Format {
		return Header{}, errHeader
	}
	if version.Foyer > Format || version.Kind != "" && !kinds[version.Kind] {
		return Header{}, ErrNewer
	}
	var w wireHeader
	if err := json.Unmarshal(line, &w); err != nil {
		return Header{}, errHeader
	}
	h := Header{w.Chain, w.N, w.Prev, w.Kind, w.From, w.To, w.At, w.Version, w.Schema, w.Newest}
	if text, err := h.line(); err != nil || !bytes.Equal(text, line) {
		return Header{}, errHeader
	}
	return h, h.check()
}

// isHex reports whether text is so many bytes in small hexadecimal digits.
func isHex(text string, n int) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == n && hex.EncodeToString(raw) == text
}

// ending is the last line.
type ending struct {
	Lines     int64  `json:"lines"` // between the first and the last
	Sum       string `json:"sum"`   // SHA-256 of all before
	Signature []byte `json:"signature"`
}

func (e *ending) line() ([]byte, error) {
	text, err := json.Marshal(e)
	return append(text, '\n'), err
}

// parseEnding reads a last line with its line feed.
func parseEnding(line []byte) (e ending, ok bool) {
	if json.Unmarshal(line, &e) != nil {
		return e, false
	}
	text, err := e.line()
	return e, err == nil && bytes.Equal(text, line)
}

// toSign is what an object's signature is for, and of: the fields have fixed lengths.
const toSign = "object/1"

func signedPart(h *Header, lines int64, sum [32]byte) []byte {
	out := make([]byte, 0, 96)
	out = binary.BigEndian.AppendUint32(out, Format)
	chain, _ := hex.DecodeString(h.Chain) //nolint:errcheck // it was checked
	prev, _ := hex.DecodeString(h.Prev)   //nolint:errcheck // it was checked
	out = append(out, chain...)
	out = binary.BigEndian.AppendUint64(out, h.N)
	out = append(out, append(prev, make([]byte, 32-len(prev))...)...)
	out = binary.BigEndian.AppendUint64(out, uint64(lines))
	return append(out, sum[:]...)
}

// Info is what an object came to.
type Info struct {
	Size    int64  // of the sealed bytes
	SHA256  string // of the sealed bytes, in hexadecimal: what the next one names
	Lines   int64
	Plain   int64 // bytes of all lines, the first and the last included
	Longest int64 // bytes of the longest of the caller's lines
}

// Author is a machine that writes a chain, from an object on until the next author does.
type Author struct {
	From uint64            `json:"from"` // the number of the first object that is its
	Key  ed25519.PublicKey `json:"key"`  // what it signs is verified by
}

// Authors are the authors of a chain: whose signatures count.
type Authors []Author

// of is who wrote object n; nil: nobody who is known.
func (a Authors) of(n uint64) (key ed25519.PublicKey) {
	var from uint64
	for _, one := range a {
		if one.From <= n && one.From >= from {
			from, key = one.From, one.Key
		}
	}
	return key
}

// verify says whether the signature of an object is of who wrote it.
func (a Authors) verify(h *Header, lines int64, sum [32]byte, signature []byte) bool {
	return kit.Verify(a.of(h.N), toSign, signedPart(h, lines, sum), signature)
}
