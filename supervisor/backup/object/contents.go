package object

import (
	"bufio"
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// ContentsPart is how many bytes of contents one part of them has; the last has what is left.
// Sealed, it fits into 64 MB.
const ContentsPart = 60 << 20

// ContentsParts is how many parts contents of so many bytes have: at least one.
func ContentsParts(size int64) int { return int(max(1, (size+ContentsPart-1)/ContentsPart)) }

// partSize is how many bytes part i has, from 0.
func partSize(size int64, i int) int64 {
	return min(size-int64(i)*ContentsPart, ContentsPart)
}

// ContentsKey is by which the contents of attachments in a chain are called. Who holds the target does not
// have it, and cannot find out whether somebody keeps a file that they know.
type ContentsKey []byte

// ContentsKey is derived from the chain's identity: there is one for each chain.
func (c *Chain) ContentsKey() (ContentsKey, error) {
	return hkdf.Key(sha256.New, []byte(c.Identity.Secret()), nil, "foyer/chain/1/contents", 32)
}

// Name is what contents are called, by their SHA-256 in hexadecimal.
func (k ContentsKey) Name(sum string) string {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(sum))
	return hex.EncodeToString(mac.Sum(nil))
}

// SealContents seals one part of contents, all that src gives, as age(zstd(part)) for the
// key of the chain. It returns the size of what was written to dst, and the size
// and SHA-256 of what was read. An error of src or dst is passed on. No object may be open
// that is still to be written to.
//
// Nobody signs it. What is in it is believed by its SHA-256, which stands in a signed object.
func (s *Sealer) SealContents(dst io.Writer, src io.Reader) (sealed, plain int64, sum [32]byte, err error) {
	if s.last != nil {
		s.last.err = errClosed // its encoder is taken
	}
	count := counted{to: dst, hash: sha256.New()}
	out := bufio.NewWriter(&count)
	seal, err := age.Encrypt(out, s.to)
	if err != nil {
		return 0, 0, sum, fmt.Errorf("cannot seal contents: %w", err)
	}
	s.zstd.Reset(seal)
	digest := sha256.New()
	plain, err = io.CopyBuffer(io.MultiWriter(digest, s.zstd), struct{ io.Reader }{src}, make([]byte, 256<<10))
	for _, end := range []func() error{s.zstd.Close, seal.Close, out.Flush} {
		if err == nil {
			err = end()
		}
	}
	if err != nil {
		return 0, 0, sum, fmt.Errorf("cannot seal contents: %w", err)
	}
	digest.Sum(sum[:0])
	return count.n, plain, sum, nil
}

// ExpectContents is by which contents are opened and believed.
type ExpectContents struct {
	Name       string         // people know them by it; may be empty
	Identities []age.Identity // as in Expect
	OfChain    bool           // as in Expect
	SHA256     string         // in hexadecimal, as a signed object says
	Size       int64          // likewise
}

// Contents reads contents, part by part. What it hands out counts once Read has returned io.EOF.
type Contents struct {
	expect ExpectContents
	part   func(i int) (io.ReadCloser, error)
	next   int // part to be opened
	open   *contentsPart
	n      int64 // bytes handed out
	sum    hash.Hash
	err    error
}

// OpenContents reads contents whose parts, from 0, part opens. An error of part, or of what
// it returns, is passed on. Read returns io.EOF once all was read, is as long as it has to be and
// has the SHA-256 that is expected; any other error says that none of it counts. Close must
// be called.
func OpenContents(expect ExpectContents, part func(i int) (io.ReadCloser, error)) (*Contents, error) {
	if len(expect.Identities) == 0 || !isHex(expect.SHA256, 32) || expect.Size < 0 {
		return nil, errors.New("cannot read contents: nobody says by what to open and believe them")
	}
	return &Contents{expect: expect, part: part, sum: sha256.New()}, nil
}

// Read is io.Reader.
func (c *Contents) Read(p []byte) (int, error) {
	for c.err == nil && len(p) > 0 {
		if c.open == nil {
			if c.next == ContentsParts(c.expect.Size) {
				c.err = c.end()
				break
			}
			if c.open, c.err = openPart(&c.expect, c.part, c.next); c.err != nil {
				break
			}
			c.next++
		}
		n, err := c.open.Read(p)
		c.sum.Write(p[:n])
		c.n += int64(n)
		if err == io.EOF {
			err = c.open.Close()
			c.open = nil
		}
		if c.err = err; n > 0 {
			return n, nil
		}
	}
	return 0, c.err
}

// end is io.EOF if what was read is what was expected.
func (c *Contents) end() error {
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != c.expect.SHA256 {
		return fail(c.expect.Name, ErrForged, "the contents come to %s, not %s", got, c.expect.SHA256)
	}
	return io.EOF
}

// Close lets go of what reading takes. It returns an error unless all was read and holds.
func (c *Contents) Close() error {
	var err error
	if c.open != nil {
		err = c.open.Close()
		c.open = nil
	}
	switch {
	case c.err == io.EOF:
		return err
	case c.err == nil:
		c.err = errors.New("the contents were not read to their end")
	}
	return c.err
}

// contentsPart reads one part.
type contentsPart struct {
	expect  *ExpectContents
	from    io.Closer
	given   given
	payload noted
	zstd    *zstd.Decoder
	left    int64 // bytes that are still to come
}

// given is the sealed bytes as they come, and the error of whoever gives them.
type given struct {
	from io.Reader
	err  error
}

// errSource stands for the error of whoever gives the bytes: io.ErrUnexpectedEOF of a
// connection is no end.
var errSource = errors.New("the source failed")

func (g *given) Read(p []byte) (int, error) {
	n, err := g.from.Read(p)
	if err != nil && err != io.EOF {
		g.err = err
		err = errSource
	}
	return n, err
}

func openPart(expect *ExpectContents, part func(i int) (io.ReadCloser, error), i int) (*contentsPart, error) {
	from, err := part(i)
	if err != nil {
		return nil, fmt.Errorf("cannot read contents: %w", err)
	}
	p := &contentsPart{expect: expect, from: from, given: given{from: from}, left: partSize(expect.Size, i)}
	if err := p.begin(); err != nil {
		return nil, errors.Join(err, from.Close())
	}
	return p, nil
}

// begin opens the seal.
func (p *contentsPart) begin() error {
	in := bufio.NewReader(&p.given) // age takes it as its own
	begin, err := in.Peek(shortest)
	switch {
	case p.given.err != nil:
		return p.why(err)
	case !bytes.HasPrefix([]byte(intro), begin[:min(len(begin), len(intro))]):
		return fail(p.expect.Name, ErrDamaged, "it does not begin as contents do")
	case err != nil:
		return fail(p.expect.Name, ErrCutShort, "of the seal there are %d bytes", len(begin))
	}
	plain, err := age.Decrypt(in, p.expect.Identities...)
	_, other := errors.AsType[*age.NoIdentityMatchError](err)
	switch {
	case err != nil && p.given.err == nil && other && !p.expect.OfChain:
		return fail(p.expect.Name, ErrWrongKey, "%v", err)
	case err != nil:
		return p.why(err)
	}
	p.payload.from = plain
	p.zstd, err = zstd.NewReader(&p.payload, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window), zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		return p.why(err)
	}
	return nil
}

// Read returns io.EOF at the end of a part that is as long as it has to be.
func (p *contentsPart) Read(b []byte) (int, error) {
	n, err := p.zstd.Read(b)
	if p.left -= int64(n); p.left < 0 {
		return 0, fail(p.expect.Name, ErrForged, "a part is longer than it was")
	}
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, p.why(err)
	case p.left > 0:
		return n, fail(p.expect.Name, ErrForged, "a part is %d bytes shorter than it was", p.left)
	}
	return n, io.EOF
}

// why is what an error of reading means.
func (p *contentsPart) why(err error) error {
	switch {
	case p.given.err != nil:
		return fmt.Errorf("cannot read contents: %w", p.given.err)
	case errors.Is(p.payload.err, io.ErrUnexpectedEOF), p.payload.err == io.EOF && errors.Is(err, io.ErrUnexpectedEOF):
		return fail(p.expect.Name, ErrCutShort, "%v", err)
	}
	return fail(p.expect.Name, ErrDamaged, "%v", err)
}

// Close lets go of it.
func (p *contentsPart) Close() error {
	if p.zstd != nil {
		p.zstd.Close()
	}
	return p.from.Close()
}
