package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"filippo.io/age"
)

// contentsOf seals contents, part by part.
func (w *world) contentsOf(t testing.TB, text []byte) (parts [][]byte, sum string) {
	t.Helper()
	for i := range ContentsParts(int64(len(text))) {
		var out bytes.Buffer
		part := text[i*ContentsPart:][:partSize(int64(len(text)), i)]
		sealed, plain, partSum, err := w.sealer.SealContents(&out, iotest.HalfReader(bytes.NewReader(part)))
		if err != nil || sealed != int64(out.Len()) || plain != int64(len(part)) || partSum != sha256.Sum256(part) {
			t.Fatalf("%d bytes of %d were sealed, %d of %d: %v", plain, len(part), sealed, out.Len(), err)
		}
		parts = append(parts, out.Bytes())
	}
	whole := sha256.Sum256(text)
	return parts, hex.EncodeToString(whole[:])
}

// opened reads contents of some parts.
func (w *world) opened(parts [][]byte, expect ExpectContents) ([]byte, error) {
	if expect.Identities == nil {
		expect.Identities = []age.Identity{w.chain.Identity}
	}
	c, err := OpenContents(expect, func(i int) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(parts[i])), nil
	})
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(c)
	if closed := c.Close(); (closed == nil) != (err == nil) {
		err = fmt.Errorf("reading ended with %w, closing with %w", err, closed)
	}
	return text, err
}

// Contents come out as they went in, beside objects.
func TestContents(t *testing.T) {
	w := newWorld(t)
	for _, text := range [][]byte{nil, []byte("a"), randomBytes(300 << 10), bytes.Repeat([]byte("long and dull "), 100_000)} {
		parts, sum := w.contentsOf(t, text)
		w.seal(t, header(1, ""), record(1))
		got, err := w.opened(parts, ExpectContents{SHA256: sum, Size: int64(len(text)), Identities: []age.Identity{w.chain.Identity}})
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("of %d bytes %d came back: %v", len(text), len(got), err)
		}
	}
	// In parts, as many of them as the size says.
	text := append(bytes.Repeat([]byte("0123456789abcdef"), ContentsPart/16), "and the rest"...)
	parts, sum := w.contentsOf(t, text)
	got, err := w.opened(parts, ExpectContents{SHA256: sum, Size: int64(len(text))})
	if err != nil || len(parts) != 2 || !bytes.Equal(got, text) {
		t.Errorf("of %d bytes in %d parts %d came back: %v", len(text), len(parts), len(got), err)
	}
	for size, want := range map[int64]int{0: 1, 1: 1, ContentsPart: 1, ContentsPart + 1: 2, 2 * ContentsPart: 2, 1 << 40: 17477} {
		if got := ContentsParts(size); got != want {
			t.Errorf("%d bytes have %d parts, not %d", size, got, want)
		}
	}
	// What is in several sealed parts that were swapped has the right length, and is not it.
	text = append(bytes.Repeat([]byte{1}, ContentsPart), bytes.Repeat([]byte{2}, ContentsPart)...)
	parts, sum = w.contentsOf(t, text)
	slices.Reverse(parts)
	if _, err := w.opened(parts, ExpectContents{SHA256: sum, Size: int64(len(text))}); is(err, ErrForged) != "" {
		t.Errorf("parts were swapped: %s", is(err, ErrForged))
	}
}

// A part of the worst contents fits into an object that every target takes.
func TestAPartFits(t *testing.T) {
	block := randomBytes(1 << 20)
	w := newWorld(t)
	sealed, plain, _, err := w.sealer.SealContents(io.Discard, io.LimitReader(repeated(block), ContentsPart))
	if err != nil || plain != ContentsPart || sealed > 64_000_000 {
		t.Errorf("%d bytes are sealed to %d: %v", plain, sealed, err)
	}
}

// repeated is bytes again and again, too far apart to be packed.
func repeated(block []byte) io.Reader {
	readers := make([]io.Reader, 64)
	for i := range readers {
		readers[i] = bytes.NewReader(append(slices.Clone(block[i*1000:]), block[:i*1000]...))
	}
	return io.MultiReader(readers...)
}

// Whatever becomes of contents is noticed before they end, by its name.
func TestAttacksOnContents(t *testing.T) {
	t.Attr("shows", "backups")
	w, stranger := newWorld(t), newWorld(t)
	text := randomBytes(200 << 10)
	parts, sum := w.contentsOf(t, text)
	good := parts[0]
	other, _ := w.contentsOf(t, randomBytes(200<<10))
	longer, _ := w.contentsOf(t, append(slices.Clone(text), 'x'))
	theirs, _ := stranger.contentsOf(t, text)
	to := w.sealer.to
	head := len(good) - len(text)
	attacks := 0
	for _, c := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"nothing is left", nil, ErrCutShort},
		{"half of the seal is left", good[:100], ErrCutShort},
		{"the last byte is missing", good[:len(good)-1], ErrDamaged},
		{"cut in the middle", good[:len(good)/2], ErrDamaged},
		{"something is behind it", append(slices.Clone(good), 'x'), ErrDamaged},
		{"another file", []byte("GIF89a" + string(text)), ErrDamaged},
		{"other contents of the same length", other[0], ErrForged},
		{"contents that begin the same", longer[0], ErrForged},
		{"sealed by who knows for whom: other bytes", pack(t, randomBytes(200<<10), to), ErrForged},
		{"sealed by who knows for whom: nothing", pack(t, nil, to), ErrForged},
		{"sealed by who knows for whom: 64 MB of zeros", pack(t, make([]byte, 64<<20), to), ErrForged},
		{"sealed by who knows for whom: no zstd", seal(t, text, to), ErrDamaged},
		{"for other keys", theirs[0], ErrWrongKey},
	} {
		got, err := w.opened([][]byte{c.bytes}, ExpectContents{SHA256: sum, Size: int64(len(text))})
		if why := is(err, c.want); why != "" {
			t.Errorf("%s: after %d bytes %s", c.name, len(got), why)
		}
		attacks++
	}
	for at := 0; at < len(good); at += max(1, min(997, at-head)) {
		flipped := slices.Clone(good)
		flipped[at] ^= 1
		if _, err := w.opened([][]byte{flipped}, ExpectContents{SHA256: sum, Size: int64(len(text)), OfChain: true}); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrCutShort) {
			// A bit of the stanza for the other one who may open it is not ours to notice: the seal
			// of the head is.
			t.Errorf("bit %d was flipped: %v", at, err)
		}
		attacks++
	}
	if got, err := w.opened([][]byte{pack(t, text, to)}, ExpectContents{SHA256: sum, Size: int64(len(text))}); err != nil || !bytes.Equal(got, text) {
		t.Errorf("the same contents, sealed anew: %v", err)
	}
	for _, e := range []ExpectContents{{}, {SHA256: sum, Size: -1}, {SHA256: "x"}} {
		if _, err := w.opened(parts, e); err == nil {
			t.Errorf("%+v says by what they are believed", e)
		}
	}
	t.Logf("SHOW contents of attachments: cut, swapped, forged by who knows for whom they are sealed, flipped: all of %d attacks noticed by name", attacks)
}

// What fails while contents come is said, and no verdict on them; nor on what is sealed.
func TestContentsWhoseSourceFails(t *testing.T) {
	w := newWorld(t)
	text := randomBytes(200 << 10)
	parts, sum := w.contentsOf(t, text)
	for _, broke := range []error{errors.New("the stick was pulled out"), io.ErrUnexpectedEOF} {
		for _, after := range []int{0, 100, 1000, 150 << 10} {
			c, err := OpenContents(ExpectContents{SHA256: sum, Size: int64(len(text)), Identities: []age.Identity{w.chain.Identity}}, func(int) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(parts[0][:after]), iotest.ErrReader(broke))), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(c)
			if errors.Is(err, ErrDamaged) || errors.Is(err, ErrCutShort) || !errors.Is(err, broke) {
				t.Errorf("after %d bytes: %v", after, err)
			}
			if err := c.Close(); err == nil {
				t.Error("half of them hold")
			}
		}
		if _, _, _, err := w.sealer.SealContents(io.Discard, io.MultiReader(bytes.NewReader(text), iotest.ErrReader(broke))); !errors.Is(err, broke) {
			t.Errorf("what was to be sealed: %v", err)
		}
		if _, _, _, err := w.sealer.SealContents(&limited{left: 1000, err: broke}, bytes.NewReader(text)); !errors.Is(err, broke) {
			t.Errorf("where it was to go: %v", err)
		}
	}
	if again, _ := w.contentsOf(t, text); len(again[0]) == 0 {
		t.Error("nothing is sealed after a failure")
	}
}

// Names of contents are those of their chain alone.
func TestContentsNames(t *testing.T) {
	w, another := newWorld(t), newWorld(t)
	names := map[string]bool{}
	for _, c := range []*Chain{w.chain, another.chain, {another.chain.ID, w.chain.Identity}} {
		key, err := c.ContentsKey()
		if err != nil {
			t.Fatal(err)
		}
		for _, sum := range []string{"aa", "ab"} {
			name := key.Name(sum)
			if !isHex(name, 32) {
				t.Errorf("a name is %q", name)
			}
			names[name] = true
		}
	}
	if len(names) != 4 {
		t.Errorf("two chains call two contents by %d names", len(names))
	}
}

// Contents of any size take little memory.
func TestContentsTakeLittleMemory(t *testing.T) {
	w := newWorld(t)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := heap(), int64(0)
	n := 0
	watch := readerFunc(func(p []byte) (int, error) {
		if n++; n%40 == 0 {
			most = max(most, heap()-before)
		}
		return len(p), nil
	})
	if _, _, _, err := w.sealer.SealContents(io.Discard, io.LimitReader(watch, 32<<20)); err != nil {
		t.Fatal(err)
	}
	if most > 8<<20 {
		t.Errorf("sealing 32 MB holds %d bytes", most)
	}
	runtime.KeepAlive(w)
}

// readerFunc is a reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
