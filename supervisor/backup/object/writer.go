package object

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// Sealer makes the objects of a chain, one after the other: it is not for concurrent use.
type Sealer struct {
	chain string
	to    age.Recipient
	sign  kit.Signer
	zstd  *zstd.Encoder
	last  *Writer
	most  int64 // bytes of lines: MaxPlain
}

// NewSealer seals objects for the key of their chain, and signs them as the machine.
func NewSealer(machine *Machine, chain *Chain) (*Sealer, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), // age authenticates every byte
		zstd.WithAllLitEntropyCompression(true)) // a fifth less of a small object
	if err != nil {
		return nil, err
	}
	return &Sealer{chain.ID, chain.Identity.Recipient(), machine.Signer, z, nil, MaxPlain}, nil
}

// Writer writes one object.
type Writer struct {
	h    Header
	sign kit.Signer

	out  *bufio.Writer
	seal io.WriteCloser // into out
	zstd *zstd.Encoder  // into seal

	sealed counted
	plain  hash.Hash
	info   Info
	most   int64
	err    error // the first; nothing is written after it
}

// counted is what was written.
type counted struct {
	to   io.Writer
	hash hash.Hash
	n    int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.hash.Write(p[:n])
	c.n += int64(n)
	return n, err
}

var errClosed = errors.New("the object has its end already")

// New begins an object, which goes to dst; the chain is filled in. It holds a few megabytes,
// whatever is written. The writer before it must be closed, or is given up. dst holds an
// object once Close has returned no error.
func (s *Sealer) New(dst io.Writer, h Header) (*Writer, error) {
	h.Chain, h.At = s.chain, h.At.UTC().Truncate(time.Second)
	first, err := h.line()
	if err != nil {
		return nil, fmt.Errorf("cannot begin an object: %w", err)
	}
	if _, err := parseHeader(first); err != nil || len(first) > maxHeader {
		return nil, fmt.Errorf("cannot begin an object: %w: %+v", errHeader, h)
	}
	w := &Writer{h: h, sign: s.sign, zstd: s.zstd, plain: sha256.New(), most: s.most}
	w.sealed = counted{to: dst, hash: sha256.New()}
	w.out = bufio.NewWriter(&w.sealed)
	if w.seal, err = age.Encrypt(w.out, s.to); err != nil {
		return nil, fmt.Errorf("cannot begin an object: %w", err)
	}
	if s.last != nil {
		s.last.err = errClosed
	}
	s.last = w
	s.zstd.Reset(w.seal)
	return w, w.write(first)
}

// Lines appends lines, each of which ends with a line feed. The error of dst is passed on;
// it is ErrTooLarge when the object has no room for them.
func (w *Writer) Lines(lines []byte) error {
	if w.err != nil {
		return w.err
	}
	if len(lines) == 0 {
		return nil
	}
	if lines[len(lines)-1] != '\n' {
		w.err = errors.New("cannot write to an object: a line has no end")
		return w.err
	}
	if w.info.Plain+int64(len(lines)) > w.most-maxEnd {
		w.err = fmt.Errorf("cannot write to an object: %w", ErrTooLarge)
		return w.err
	}
	for rest := lines; len(rest) > 0; w.info.Lines++ {
		n := bytes.IndexByte(rest, '\n') + 1
		w.info.Longest = max(w.info.Longest, int64(n))
		rest = rest[n:]
	}
	return w.write(lines)
}

// Plain is how many bytes of lines there are so far.
func (w *Writer) Plain() int64 { return w.info.Plain }

// Size is about how many sealed bytes there are so far: up to 200 kB less than there will be.
func (w *Writer) Size() int64 { return w.sealed.n }

// write writes plain bytes.
func (w *Writer) write(p []byte) error {
	if w.err == nil {
		w.plain.Write(p)
		w.info.Plain += int64(len(p))
		if _, err := w.zstd.Write(p); err != nil {
			w.err = fmt.Errorf("cannot write to an object: %w", err)
		}
	}
	return w.err
}

// Close writes the end, signed. Without it there is no object.
func (w *Writer) Close() (Info, error) {
	if w.err != nil {
		return Info{}, w.err
	}
	var sum [32]byte
	w.plain.Sum(sum[:0])
	last, err := (&ending{w.info.Lines, hex.EncodeToString(sum[:]), w.sign.Sign(toSign, signedPart(&w.h, w.info.Lines, sum))}).line()
	if err != nil {
		return Info{}, err
	}
	if err := w.write(last); err != nil {
		return Info{}, err
	}
	w.err = errClosed
	for _, end := range []func() error{w.zstd.Close, w.seal.Close, w.out.Flush} {
		if err := end(); err != nil {
			w.err = fmt.Errorf("cannot end an object: %w", err)
			return Info{}, w.err
		}
	}
	w.info.Size, w.info.SHA256 = w.sealed.n, hex.EncodeToString(w.sealed.hash.Sum(nil))
	return w.info, nil
}
