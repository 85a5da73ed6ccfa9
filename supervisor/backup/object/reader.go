package object

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// Expect is by what an object is opened and believed, and which one it is to be.
type Expect struct {
	// Name is what people know it by, as a file's. It may be empty.
	Name string
	// Identities open it: the chain's. At least one.
	Identities []age.Identity
	// OfChain: one of Identities is for certain one of those that the chain is sealed for, as
	// FindKeys shows: an object that none of them opens is damaged, then, and not of other
	// keys.
	OfChain bool
	// Authors are whose signatures count. At least one.
	Authors Authors

	Chain  string // its chain; "": any
	N      uint64 // its number; 0: any
	Prev   string // SHA-256 of the one before; "": any. Number 1 has none before it
	SHA256 string // of its sealed bytes; "": any
	Size   int64  // of its sealed bytes, by which what is cut short is told from damage; 0: unknown

	// MaxLine is how long a line may be; 0 stands for MaxLine. Of an object that was verified
	// it may be as long as Info.Longest.
	MaxLine int64

	maxPlain int64 // 0 stands for MaxPlain
}

// Reader reads one object. What it hands out counts once Next has returned io.EOF, and not
// before.
type Reader struct {
	expect Expect
	head   Header

	sealed  source
	payload *noted // of age
	zstd    *zstd.Decoder
	in      *bufio.Reader

	buf  []byte
	sum  hash.Hash // of the lines before
	info Info
	err  error // io.EOF: it was read to its end, and holds
}

// source is the sealed bytes as they come, and what became of them.
type source struct {
	from  io.Reader
	hash  hash.Hash
	n     int64
	ended bool
	err   error // of whoever gives them
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	switch {
	case err == io.EOF:
		s.ended = true
	case err != nil && s.err == nil:
		s.err = err // io.ErrUnexpectedEOF of a connection, too, which age takes for an end
	}
	return n, err
}

// noted remembers with which error reading ended.
type noted struct {
	from io.Reader
	err  error
}

func (n *noted) Read(p []byte) (int, error) {
	k, err := n.from.Read(p)
	if err != nil {
		n.err = err
	}
	return k, err
}

// bounded ends with ErrTooLarge beyond so many bytes.
type bounded struct {
	from    io.Reader
	n, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.n += int64(n); b.n > b.most {
		return 0, ErrTooLarge
	}
	return n, err
}

// shortest is what the seal of an object takes up before anything is in it: no object of
// Foyer is shorter.
const shortest = len(intro) + len("-> X25519 \n\n") + 2*43 + len("--- \n") + 43 + 16 + 16

const intro = "age-encryption.org/v1\n"

// NewReader opens an object and reads its first line. It takes from src to the end, and not
// beyond; an error of src is passed on. Close must be called.
func NewReader(src io.Reader, expect Expect) (*Reader, error) {
	if len(expect.Identities) == 0 || len(expect.Authors) == 0 {
		return nil, errors.New("cannot read an object: nobody says by what to open and believe it")
	}
	expect.MaxLine = cmp.Or(expect.MaxLine, MaxLine)
	expect.maxPlain = cmp.Or(expect.maxPlain, MaxPlain)
	r := &Reader{expect: expect, sum: sha256.New(), sealed: source{from: src, hash: sha256.New()}}
	if err := r.open(); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// open takes the seal off.
func (r *Reader) open() error {
	in := bufio.NewReader(&r.sealed) // age takes it as its own
	begin, err := in.Peek(shortest)
	switch {
	case r.sealed.err != nil:
		return r.unread()
	case !bytes.HasPrefix([]byte(intro), begin[:min(len(begin), len(intro))]):
		return fail(r.expect.Name, ErrDamaged, "it does not begin as an object does")
	case err != nil:
		return fail(r.expect.Name, ErrCutShort, "of the seal there are %d bytes", len(begin))
	}
	plain, err := age.Decrypt(in, r.expect.Identities...)
	_, other := errors.AsType[*age.NoIdentityMatchError](err)
	switch {
	case err == nil:
	case r.sealed.err != nil:
		return r.unread()
	case r.short():
		return r.cut()
	case other && !r.expect.OfChain:
		return fail(r.expect.Name, ErrWrongKey, "%v", err)
	default:
		return fail(r.expect.Name, ErrDamaged, "%v", err)
	}
	r.payload = &noted{from: plain}
	if r.zstd, err = zstd.NewReader(r.payload, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window), zstd.WithDecodeBuffersBelow(0)); err != nil {
		return r.why(err)
	}
	return r.begin(r.zstd)
}

// begin goes to the end of the first line of what was sealed.
func (r *Reader) begin(plain io.Reader) error {
	r.in = bufio.NewReader(&bounded{from: plain, most: r.expect.maxPlain})
	n, err := r.line(maxHeader, true)
	if err != nil {
		return err
	}
	if r.head, err = parseHeader(r.buf); errors.Is(err, ErrNewer) {
		return fail(r.expect.Name, ErrNewer, "%.200q", r.buf)
	} else if err != nil {
		return fail(r.expect.Name, ErrDamaged, "%v", err)
	}
	r.take(n)
	return r.inPlace()
}

// Header is which object it is: as it says, until Next has returned io.EOF.
func (r *Reader) Header() Header { return r.head }

// inPlace compares the header with what was expected.
func (r *Reader) inPlace() error {
	h, e := &r.head, &r.expect
	switch {
	case e.Chain != "" && h.Chain != e.Chain:
		return fail(e.Name, ErrOutOfPlace, "it is of chain %s, not %s", h.Chain, e.Chain)
	case e.N != 0 && h.N != e.N:
		return fail(e.Name, ErrOutOfPlace, "it is number %d, not %d", h.N, e.N)
	case e.Prev != "" && h.Prev != e.Prev:
		return fail(e.Name, ErrOutOfPlace, "it comes after %q, not %s", h.Prev, e.Prev)
	}
	return nil
}

// Next returns the next line, with its line feed, good until the call after. It returns io.EOF
// once all has been read and is what the author wrote there; any
// other error says that none of it counts.
func (r *Reader) Next() ([]byte, error) {
	if err := r.next(r.expect.MaxLine, true); err != nil {
		return nil, err
	}
	return r.buf, nil
}

// next goes to the end of the next line, which may be so long, and holds it or not.
func (r *Reader) next(most int64, hold bool) error {
	if r.err != nil {
		return r.err
	}
	var n int64
	if n, r.err = r.line(most, hold); r.err != nil {
		return r.err
	}
	switch _, err := r.in.Peek(1); err {
	case nil:
		if bytes.HasPrefix(r.buf, []byte(`{"lines":`)) && r.holds(n) == nil {
			r.err = fail(r.expect.Name, ErrForged, "there is more after its end")
			return r.err
		}
		r.take(n)
		r.info.Lines++
		r.info.Longest = max(r.info.Longest, n)
	case io.EOF:
		r.err = r.end(n)
	default:
		r.err = r.why(err)
	}
	return r.err
}

// line reads a line into the buffer, and returns how long it is. Where it is not to be held
// the beginning of a long one is counted in at once.
func (r *Reader) line(most int64, hold bool) (n int64, err error) {
	if cap(r.buf) > 1<<20 && len(r.buf) < 1<<20 { // one long line is not paid for ever
		r.buf = nil
	}
	r.buf = r.buf[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if n += int64(len(part)); n > most {
			return n, fail(r.expect.Name, ErrTooLarge, "a line has more than %d bytes", most)
		}
		if !hold && n > maxEnd { // it is not the last
			r.sum.Write(r.buf)
			r.buf = r.buf[:0]
		}
		r.buf = append(r.buf, part...)
		switch err {
		case nil:
			return n, nil
		case bufio.ErrBufferFull:
		case io.EOF:
			return n, fail(r.expect.Name, ErrCutShort, "the last line has no end")
		default:
			return n, r.why(err)
		}
	}
}

// take counts a line of so many bytes in, whose end is in the buffer.
func (r *Reader) take(n int64) {
	r.sum.Write(r.buf)
	r.info.Plain += n
}

// end is io.EOF if the line in the buffer, of so many bytes, is the last one, and all holds.
func (r *Reader) end(n int64) error {
	if err := r.holds(n); err != nil {
		return err
	}
	r.info.Plain += n
	r.info.Size, r.info.SHA256 = r.sealed.n, hex.EncodeToString(r.sealed.hash.Sum(nil))
	if r.expect.SHA256 != "" && r.info.SHA256 != r.expect.SHA256 {
		return fail(r.expect.Name, ErrOutOfPlace, "its sealed bytes come to %s, not %s", r.info.SHA256, r.expect.SHA256)
	}
	return io.EOF
}

// holds verifies the line in the buffer as the last one of what was read.
func (r *Reader) holds(n int64) error {
	e, ok := parseEnding(r.buf)
	if !ok || n > maxEnd {
		return fail(r.expect.Name, ErrCutShort, "the last line is not there")
	}
	var sum [32]byte
	r.sum.Sum(sum[:0])
	switch {
	case e.Lines != r.info.Lines:
		return fail(r.expect.Name, ErrForged, "it has %d lines, and says %d", r.info.Lines, e.Lines)
	case e.Sum != hex.EncodeToString(sum[:]):
		return fail(r.expect.Name, ErrForged, "its lines come to %x, and it says %q", sum, e.Sum)
	case !r.expect.Authors.verify(&r.head, e.Lines, sum, e.Signature):
		return fail(r.expect.Name, ErrForged, "the signature is not of who writes the chain")
	}
	return nil
}

// why is what an error of reading means.
func (r *Reader) why(err error) error {
	switch {
	case r.sealed.err != nil:
		return r.unread()
	case errors.Is(err, ErrTooLarge):
		return fail(r.expect.Name, ErrTooLarge, "it has more than %d bytes", r.expect.maxPlain)
	case r.short():
		return r.cut()
	case errors.Is(r.payload.err, io.ErrUnexpectedEOF), r.payload.err == io.EOF && errors.Is(err, io.ErrUnexpectedEOF):
		return fail(r.expect.Name, ErrCutShort, "%v", err)
	}
	return fail(r.expect.Name, ErrDamaged, "%v", err)
}

// short reports that there are fewer sealed bytes than there were.
func (r *Reader) short() bool { return r.sealed.ended && r.sealed.n < r.expect.Size }

func (r *Reader) cut() error {
	return fail(r.expect.Name, ErrCutShort, "there are %d bytes of %d", r.sealed.n, r.expect.Size)
}

// unread is the error of whoever gives the bytes.
func (r *Reader) unread() error { return fmt.Errorf("cannot read an object: %w", r.sealed.err) }

// Info is what it came to, once Next has returned io.EOF.
func (r *Reader) Info() Info {
	if r.err != io.EOF {
		return Info{}
	}
	return r.info
}

var errUnread = errors.New("the object was not read to its end")

// Close lets go of what reading takes. It returns an error unless all was read and holds.
func (r *Reader) Close() error {
	r.free()
	switch r.err {
	case io.EOF:
		return nil
	case nil:
		r.err = errUnread
	}
	return r.err
}

func (r *Reader) free() {
	if r.zstd != nil {
		r.zstd.Close()
		r.zstd = nil
	}
}

// Verify reads an object to its end, and holds none of its lines, however long they are.
func Verify(src io.Reader, expect Expect) (Header, Info, error) {
	r, err := NewReader(src, expect)
	if err != nil {
		return Header{}, Info{}, err
	}
	defer r.free()
	for err == nil {
		err = r.next(r.expect.maxPlain, false)
	}
	if err != io.EOF {
		return Header{}, Info{}, err
	}
	return r.head, r.Info(), nil
}
