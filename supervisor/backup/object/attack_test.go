package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/foyer-server/foyer/internal/hint"
)

// codes are by which people are told of what is wrong.
var codes = map[error]string{
	ErrWrongKey: "backup-wrong-key", ErrDamaged: "backup-damaged", ErrCutShort: "backup-cut-short", ErrForged: "backup-forged",
	ErrOutOfPlace: "backup-out-of-place", ErrNewer: "backup-newer", ErrTooLarge: "backup-too-large",
}

// is reports how an error is not that one alone, or not fit for people; "": it is.
func is(err, want error) string {
	if !errors.Is(err, want) {
		return fmt.Sprintf("error %v, not %v", err, want)
	}
	for other := range codes {
		if other != want && errors.Is(err, other) {
			return fmt.Sprintf("%v is %v, too", err, other)
		}
	}
	e := hint.Find(err)
	if e == nil || e.Code != codes[want] || e.What.IsZero() || e.Do.IsZero() || e.What.EN == e.What.FR || e.Do.EN == e.Do.FR {
		return fmt.Sprintf("%v says nothing to people", err)
	}
	return ""
}

// Whatever becomes of an object at its target is noticed, and by its name: reading hands out no
// end, and verifying nothing at all.
func TestAttacks(t *testing.T) {
	t.Attr("shows", "backups")
	w, another, stranger := newWorld(t), newWorld(t), newWorld(t)
	another.chain = w.chain // another machine, which seals for the same chain
	another.sealer.chain, another.sealer.to = w.sealer.chain, w.sealer.to
	elsewhere := newWorld(t) // another chain of the same machine
	elsewhere.sealer.sign, elsewhere.sealer.to = w.sealer.sign, w.sealer.to

	first, firstInfo := w.seal(t, header(1, ""), record(1), record(2))
	h := header(2, firstInfo.SHA256)
	good, info := w.seal(t, h, record(3), record(4), record(5))
	large, _ := w.seal(t, h, strings.Repeat(record(6)+fmt.Sprintf("%x\n", w.machine.Signer.Public()), 2000)+noise(300<<10))
	plain := unpack(t, good, w.chain.Identity)
	lines := bytes.SplitAfter(plain, []byte("\n"))
	lines = lines[:len(lines)-1]
	last := len(lines) - 1
	forge := func(parts ...[]byte) []byte { return pack(t, bytes.Join(parts, nil), w.sealer.to) }
	from := func(w *world, h Header, lines ...string) []byte { out, _ := w.seal(t, h, lines...); return out }
	// signed is what a forger makes of a header and lines: all that he can, and his own signature.
	signed := func(sign *world, h Header, lines ...string) []byte {
		as := *sign.sealer
		as.chain, as.to = w.chain.ID, w.sealer.to
		return from(&world{sealer: &as}, h, lines...)
	}
	text := func(old, new string) []byte { return forge(bytes.Replace(plain, []byte(old), []byte(new), 1)) }
	stanza := func(sealed []byte) []byte { // of a recipient more
		other := pack(t, plain, stranger.chain.Identity.Recipient())
		begin, end := bytes.Index(other, []byte("-> ")), bytes.Index(other, []byte("--- "))
		at := bytes.Index(sealed, []byte("--- "))
		return bytes.Join([][]byte{sealed[:at], other[begin:end], sealed[at:]}, nil)
	}
	window8 := func() []byte { // a window of 8 MB
		var out bytes.Buffer
		a, err := age.Encrypt(&out, w.sealer.to)
		if err != nil {
			t.Fatal(err)
		}
		z, err := zstd.NewWriter(a, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(z, io.MultiReader(bytes.NewReader(lines[0]), strings.NewReader(strings.Repeat(record(1), 100000))))
		if err := errors.Join(err, z.Close(), a.Close()); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	segment := func() []byte { // of 8 MB at once
		z, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithWindowSize(8<<20))
		if err != nil {
			t.Fatal(err)
		}
		return seal(t, z.EncodeAll(append(bytes.Clone(lines[0]), strings.Repeat(record(1), 50000)...), nil), w.sealer.to)
	}
	newer := bytes.Replace(lines[0], []byte(`{"foyer":1,`), []byte(`{"foyer":2,"cipher":"x",`), 1)
	zeros := strings.Repeat("0", 32<<20)
	expect := w.expect()
	expect.N, expect.Prev = 2, firstInfo.SHA256
	red := map[string]int{}

	for _, a := range []struct {
		name   string
		sealed []byte
		want   error
		but    func(*Expect) // what is expected otherwise
	}{
		{"as it was", good, nil, nil},
		{"as it was, all of it expected", good, nil, func(e *Expect) { e.SHA256, e.Size = info.SHA256, info.Size }},

		// The target's bytes.
		{"an empty object", nil, ErrCutShort, nil},
		{"something else", []byte("<html>404</html>"), ErrDamaged, nil},
		{"zeros", make([]byte, len(good)), ErrDamaged, nil},
		{"more sealed bytes after the end", append(bytes.Clone(good), "more"...), ErrDamaged, nil},
		{"another object after the end", append(bytes.Clone(good), good...), ErrDamaged, nil},
		{"two objects spliced", append(bytes.Clone(good[:len(good)/2]), first[len(first)/2:]...), ErrDamaged, nil},
		{"the seal of one on the contents of another", append(bytes.Clone(first[:shortest-16]), good[shortest-16:]...), ErrDamaged, nil},
		{"a stanza of a recipient more", stanza(good), ErrDamaged, nil},
		{"cut between two pieces of age", large[:shortest-16+65536+16], ErrCutShort, nil},
		{"cut in a piece, its size known", good[:len(good)-5], ErrCutShort, func(e *Expect) { e.Size = info.Size }},
		{"cut in a piece", good[:len(good)-5], ErrDamaged, nil},
		{"two pieces of age swapped", swapped(large), ErrDamaged, nil},
		{"a piece of age left out", append(bytes.Clone(large[:shortest-16]), large[shortest-16+65536+16:]...), ErrDamaged, nil},

		// Whole objects in other places.
		{"the one before again", first, ErrOutOfPlace, nil},
		{"the one before, which number does not matter", first, ErrOutOfPlace, func(e *Expect) { e.N = 0 }},
		{"the one before again, whatever it comes after", first, ErrOutOfPlace, func(e *Expect) { e.Prev = "" }},
		{"number 2 of a chain that forked", from(w, header(2, strings.Repeat("cd", 32)), record(3)), ErrOutOfPlace, nil},
		{"number 2 of another chain of this machine", from(elsewhere, h, record(3)), ErrOutOfPlace, nil},
		{"the same contents, sealed again by who knows them", forge(plain), ErrOutOfPlace, func(e *Expect) { e.SHA256 = info.SHA256 }},
		{"another of the same place, by the same machine", from(w, h, record(9)), ErrOutOfPlace, func(e *Expect) { e.SHA256 = info.SHA256 }},

		// Who knows the recipients, and perhaps some contents.
		{"lines of his own, his own signature", signed(stranger, h, record(66)), ErrForged, nil},
		{"signed by another machine of the chain", from(another, h, record(3)), ErrForged, nil},
		{"by a machine whose time is over", good, ErrForged, func(e *Expect) { e.Authors = Authors{w.machine.Author(1), another.machine.Author(2)} }},
		{"by a machine whose time has not come", good, ErrForged, func(e *Expect) { e.Authors = Authors{another.machine.Author(1), w.machine.Author(3)} }},
		{"by a machine from 2 on, before it", first, ErrForged, func(e *Expect) { e.Authors, e.N, e.Prev = Authors{w.machine.Author(2)}, 1, "" }},
		{"the header of one, the lines of another", forge(lines[0], bytes.Join(bytes.SplitAfter(unpack(t, first, w.chain.Identity), []byte("\n"))[1:], nil)), ErrForged, nil},
		{"the lines of one, the end of another", forge(bytes.Join(lines[:last], nil), bytes.SplitAfter(unpack(t, first, w.chain.Identity), []byte("\n"))[3]), ErrForged, nil},
		{"another number", text(`"n":2`, `"n":3`), ErrForged, func(e *Expect) { e.N = 3 }},
		{"another kind", text(`"kind":"log"`, `"kind":"base"`), ErrForged, nil},
		{"another time", text(`"at":"2026`, `"at":"2025`), ErrForged, nil},
		{"another position", text(`"seq":100`, `"seq":101`), ErrForged, nil},
		{"a line changed", text("went to the sea", "went to the bar"), ErrForged, nil},
		{"a line left out", forge(lines[0], lines[1], lines[3], lines[last]), ErrForged, nil},
		{"a line twice", forge(lines[0], lines[1], lines[1], lines[2], lines[3], lines[last]), ErrForged, nil},
		{"two lines swapped", forge(lines[0], lines[2], lines[1], lines[3], lines[last]), ErrForged, nil},
		{"another count, as it is then", forge(lines[0], lines[1], lines[2], bytes.Replace(lines[last], []byte(`"lines":3`), []byte(`"lines":2`), 1)), ErrForged, nil},
		{"another sum, and all else as it was", forge(bytes.Join(lines[:last], nil), []byte(end(t, lines[last], func(e *ending) { e.Sum = strings.Repeat("0", 64) }))), ErrForged, nil},
		{"no signature", forge(bytes.Join(lines[:last], nil), []byte(end(t, lines[last], func(e *ending) { e.Signature = nil }))), ErrForged, nil},
		{"half a signature", forge(bytes.Join(lines[:last], nil), []byte(end(t, lines[last], func(e *ending) { e.Signature = e.Signature[:32] }))), ErrForged, nil},
		{"a signature of zeros", forge(bytes.Join(lines[:last], nil), []byte(end(t, lines[last], func(e *ending) { e.Signature = make([]byte, 64) }))), ErrForged, nil},
		{"a signature by the same key for something else", forge(bytes.Join(lines[:last], nil), []byte(end(t, lines[last], func(e *ending) { e.Signature = w.machine.Signer.Sign("object/2", plain) }))), ErrForged, nil},
		{"a line after the end", forge(plain, []byte(record(66))), ErrForged, nil},
		{"a million lines after the end", forge(plain, bytes.Repeat([]byte("{}\n"), 1e6)), ErrForged, nil},
		{"the end twice", forge(plain, lines[last]), ErrForged, nil},
		{"half a line after the end", forge(plain, []byte("{")), ErrForged, nil},
		{"the end of a smaller one within", forge(lines[0], lines[1], []byte(end(t, lines[last], func(e *ending) { e.Lines = 1 })), lines[2], lines[3], lines[last]), ErrForged, nil},
		{"no last line", forge(bytes.Join(lines[:last], nil)), ErrCutShort, nil},
		{"half a last line", forge(plain[:len(plain)-20]), ErrCutShort, nil},
		{"a last line without its end", forge(plain[:len(plain)-1]), ErrCutShort, nil},
		{"a last line with a space more", forge(bytes.Join(lines[:last], nil), bytes.Replace(lines[last], []byte(`:3`), []byte(`: 3`), 1)), ErrCutShort, nil},
		{"a header alone", forge(lines[0]), ErrCutShort, nil},
		{"nothing in it", forge(), ErrCutShort, nil},
		{"a header that is none", forge([]byte("[]\n"), plain), ErrDamaged, nil},
		{"a header with a name twice", text(`"n":2`, `"n":1,"n":2`), ErrDamaged, nil},
		{"a header with a name more", text(`"n":2`, `"n":2,"x":1`), ErrDamaged, nil},
		{"a header in capitals", text(`"n":2`, `"N":2`), ErrDamaged, nil},
		{"a number that is none", text(`"n":2`, `"n":-2`), ErrDamaged, nil},
		{"something else than zstd", seal(t, plain, w.sealer.to), ErrDamaged, nil},
		{"a newer format", forge(newer, bytes.Join(lines[1:], nil)), ErrNewer, nil},
		{"a kind of a newer Foyer", text(`"kind":"log"`, `"kind":"diary"`), ErrNewer, nil},

		// Bombs.
		{"a line without end", forge(lines[0], []byte(zeros)), ErrTooLarge, func(e *Expect) { e.MaxLine = 1 << 20 }},
		{"lines without end", forge(lines[0], []byte(strings.ReplaceAll(zeros, "0000000000", "000000000\n"))), ErrTooLarge, func(e *Expect) { e.maxPlain = 8 << 20 }},
		{"a header without end", forge([]byte(`{"foyer":1,"chain":"` + zeros)), ErrTooLarge, nil},
		{"a window of 8 MB", window8(), ErrDamaged, nil},
		{"a segment of 8 MB", segment(), ErrDamaged, nil},

		// Other keys.
		{"other keys", good, ErrWrongKey, func(e *Expect) {
			e.Identities, e.OfChain = []age.Identity{stranger.chain.Identity}, false
		}},
		{"sealed for somebody else", pack(t, plain, stranger.sealer.to), ErrDamaged, nil},
		{"sealed with a password", seal(t, plain, password(t)), ErrDamaged, nil},
	} {
		t.Run(a.name, func(t *testing.T) {
			e := expect
			if a.but != nil {
				a.but(&e)
			}
			_, lines, _, err := read(bytes.NewReader(a.sealed), e)
			if e.MaxLine != 0 { // which says nothing where no line is held
				e.maxPlain = e.MaxLine
			}
			h, info, err2 := Verify(bytes.NewReader(a.sealed), e)
			if a.want == nil {
				if err != nil || err2 != nil || len(lines) != 3 || h.N != 2 || info.Lines != 3 {
					t.Errorf("%v, %v, %d lines", err, err2, len(lines))
				}
				return
			}
			if wrong := is(err, a.want); wrong != "" {
				t.Error("read: " + wrong)
			}
			if wrong := is(err2, a.want); wrong != "" || h != (Header{}) || info != (Info{}) {
				t.Errorf("verified: %s, %+v, %+v", wrong, h, info)
			}
			red[codes[a.want]]++
		})
	}
	sum := 0
	for _, n := range red {
		sum += n
	}
	t.Logf("SHOW attacks on an object: %d, each red by its name, read and verified: %v", sum, red)
}

// noise is lines that nothing packs.
func noise(bytes int) string {
	var b strings.Builder
	for b.Len() < bytes {
		fmt.Fprintf(&b, "%x\n", randomBytes(1000))
	}
	return b.String()
}

// swapped is sealed bytes with two pieces of age swapped.
func swapped(sealed []byte) []byte {
	const piece = 65536 + 16
	at := shortest - 16
	return bytes.Join([][]byte{sealed[:at], sealed[at+piece : at+2*piece], sealed[at : at+piece], sealed[at+2*piece:]}, nil)
}

// end changes a last line.
func end(t *testing.T, line []byte, change func(*ending)) string {
	t.Helper()
	var e ending
	if err := json.Unmarshal(line, &e); err != nil {
		t.Fatal(err)
	}
	change(&e)
	text, err := e.line()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// seal is age alone.
func seal(t testing.TB, text []byte, to ...age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	a, err := age.Encrypt(&out, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func password(t *testing.T) age.Recipient {
	t.Helper()
	r, err := age.NewScryptRecipient("password")
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(4)
	return r
}

// A byte flipped anywhere is damage, and no part of an object stands for all of it.
func TestEveryByteCounts(t *testing.T) {
	t.Attr("shows", "backups")
	w := newWorld(t)
	good, info := w.seal(t, header(1, ""), record(1), record(2), record(3))
	e := w.expect()
	flips := 0
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, _, _, err := read(bytes.NewReader(bad), e); is(err, ErrDamaged) != "" {
			t.Fatalf("byte %d: %s", i, is(err, ErrDamaged))
		}
		flips++
	}
	sized := e
	sized.Size = info.Size
	for n := range good {
		_, _, _, err := read(bytes.NewReader(good[:n]), e)
		if is(err, ErrDamaged) != "" && is(err, ErrCutShort) != "" {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if _, _, _, err = read(bytes.NewReader(good[:n]), sized); is(err, ErrCutShort) != "" {
			t.Fatalf("%d bytes, of a known size: %s", n, is(err, ErrCutShort))
		}
	}
	// A large one has more than one piece: there, and at its end.
	big, info := w.seal(t, header(1, ""), noise(400<<10))
	for i := 0; i < len(big); i += 4999 {
		bad := bytes.Clone(big)
		bad[i] ^= 4
		if _, _, err := Verify(bytes.NewReader(bad), e); is(err, ErrDamaged) != "" {
			t.Fatalf("byte %d of %d: %s", i, len(big), is(err, ErrDamaged))
		}
		sized.Size = info.Size
		if _, _, err := Verify(bytes.NewReader(big[:i]), sized); is(err, ErrCutShort) != "" {
			t.Fatalf("%d bytes of %d: %s", i, len(big), is(err, ErrCutShort))
		}
	}
	t.Logf("SHOW every byte counts: %d flips of %d bytes, each damage; %d cuts, each red, and each cut short where the size is known", flips, len(good), len(good))
}

// What whoever gives the bytes reports is neither damage nor an end: it is passed on.
func TestASourceThatFails(t *testing.T) {
	w := newWorld(t)
	good, _ := w.seal(t, header(1, ""), noise(200<<10))
	down := errors.New("connection reset")
	for _, fault := range []error{down, io.ErrUnexpectedEOF} {
		for _, n := range []int{0, 1, 100, shortest, 1000, 1 << 16, 100_000, len(good) - 1, len(good)} {
			src := func() io.Reader { return io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(fault)) }
			_, _, _, err := read(src(), w.expect())
			_, _, err2 := Verify(src(), w.expect())
			for _, err := range []error{err, err2} {
				if !errors.Is(err, fault) || hint.Find(err) != nil {
					t.Errorf("%v after %d bytes: %v", fault, n, err)
				}
			}
		}
	}
}

// A line of any length is read once the object was verified, and verifying holds none.
func TestLongLines(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("a", 5<<20) + "\n"
	sealed, info := w.seal(t, header(1, ""), "{}\n", long, "{}\n")
	e := w.expect()
	e.MaxLine = 1 << 20
	if _, _, _, err := read(bytes.NewReader(sealed), e); is(err, ErrTooLarge) != "" {
		t.Error(is(err, ErrTooLarge))
	}
	_, verified, err := Verify(bytes.NewReader(sealed), e)
	if err != nil || verified != info || verified.Longest != int64(len(long)) {
		t.Fatalf("%+v, %v", verified, err)
	}
	e.MaxLine = verified.Longest
	if _, lines, _, err := read(bytes.NewReader(sealed), e); err != nil || len(lines) != 3 || lines[1] != long {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	if times := verified.Plain / verified.Size; times < 1000 {
		t.Errorf("packed only %d to 1: is the bound's reason still right?", times)
	} else {
		t.Logf("one letter, over and over, is packed %d to 1", times)
	}
	// The last line is short, whatever it says.
	if _, _, err := Verify(bytes.NewReader(pack(t, []byte(string(unpack(t, sealed, w.chain.Identity))+strings.Repeat(" ", 2<<20)+"{}\n"), w.sealer.to)), e); is(err, ErrForged) != "" {
		t.Error(is(err, ErrForged))
	}
}

// Nobody reads without saying whom he believes.
func TestSomebodyIsBelieved(t *testing.T) {
	w := newWorld(t)
	good, _ := w.seal(t, header(1, ""))
	for name, change := range map[string]func(*Expect){"nobody": func(e *Expect) { e.Authors = nil }, "no key": func(e *Expect) { e.Identities = nil }} {
		e := w.expect()
		change(&e)
		if _, err := NewReader(bytes.NewReader(good), e); err == nil {
			t.Error(name)
		}
	}
}

// Whatever is in a seal, by whomever, holds only if it is what the machine wrote. The object
// is the one that is read for ever, so that all processes that fuzz have the same; age
// and zstd, which are fuzzed at their homes, are left out.
func FuzzReader(f *testing.F) {
	found, sealed := forever(f)
	plain := unpack(f, sealed, found.Chain.Identity)
	f.Add(plain)
	f.Add(append(bytes.Clone(plain), plain...))
	f.Fuzz(func(t *testing.T, text []byte) {
		e := Expect{Identities: []age.Identity{found.Chain.Identity}, Authors: found.Authors, MaxLine: 1 << 16, maxPlain: 1 << 20}
		r := &Reader{expect: e, sum: sha256.New(), sealed: source{hash: sha256.New()}, payload: &noted{}}
		err := r.begin(bytes.NewReader(text))
		var lines []string
		for err == nil {
			var line []byte
			line, err = r.Next()
			lines = append(lines, string(line))
		}
		if err == io.EOF && !bytes.Equal(text, plain) {
			t.Fatalf("%q holds: %q", text, lines)
		}
		if err != io.EOF && hint.Find(err) == nil {
			t.Fatalf("%v says nothing to people", err)
		}
	})
}
