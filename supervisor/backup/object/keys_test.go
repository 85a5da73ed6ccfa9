package object

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

func newKit(t testing.TB) *kit.Kit {
	t.Helper()
	k, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustSeal(t testing.TB, words *kit.Kit, k *Keys) []byte {
	t.Helper()
	sealed, err := SealKeys(words, k)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func sameKeys(a, b *Keys) bool {
	return a.Number == b.Number && a.Chain.ID == b.Chain.ID && a.Chain.Identity.Secret() == b.Chain.Identity.Secret() && reflect.DeepEqual(a.Authors, b.Authors) && a.At.Equal(b.At)
}

// The words alone open a chain and verify all of it, whoever wrote which part.
func TestWordsOpenAndVerifyEverything(t *testing.T) {
	t.Attr("shows", "backups")
	w, next, words := newWorld(t), newWorld(t), newKit(t)
	sealer, err := NewSealer(next.machine, w.chain)
	if err != nil {
		t.Fatal(err)
	}
	next.sealer = sealer
	keys := &Keys{2, w.chain, Authors{w.machine.Author(1), next.machine.Author(3)}, at}
	objects := map[int][]byte{1: mustSeal(t, words, &Keys{1, w.chain, Authors{w.machine.Author(1)}, at}), 2: mustSeal(t, words, keys)}

	var chain [][]byte
	prev := ""
	for n := uint64(1); n <= 4; n++ {
		by := w
		if n >= 3 {
			by = next
		}
		sealed, info := by.seal(t, header(n, prev), record(int(n)))
		chain, prev = append(chain, sealed), info.SHA256
	}

	typed, err := kit.Read(strings.Join(words.Words("fr"), " "))
	if err != nil {
		t.Fatal(err)
	}
	found, err := FindKeys(objects, w.chain.ID, typed)
	if err != nil || !sameKeys(found.Keys, keys) || found.Replaced || len(found.Bad) > 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	prev = ""
	for i, sealed := range chain {
		e := Expect{Identities: []age.Identity{found.Chain.Identity}, OfChain: true, Authors: found.Authors, Chain: found.Chain.ID, N: uint64(i + 1), Prev: prev}
		_, lines, info, err := read(bytes.NewReader(sealed), e)
		if err != nil || len(lines) != 1 || lines[0] != record(i+1) {
			t.Fatalf("object %d: %q, %v", i+1, lines, err)
		}
		prev = info.SHA256
	}
	t.Logf("SHOW keys of a chain: twelve words open and verify %d objects by two machines", len(chain))
}

// Other words take the place of words by a new key object, and nothing else is written.
func TestOtherWords(t *testing.T) {
	t.Attr("shows", "backups")
	w, old, words := newWorld(t), newKit(t), newKit(t)
	sealed, _ := w.seal(t, header(1, ""), record(1))
	authors := Authors{w.machine.Author(1)}
	objects := map[int][]byte{1: mustSeal(t, old, &Keys{1, w.chain, authors, at}), 2: mustSeal(t, words, &Keys{2, w.chain, authors, at})}
	for _, c := range []struct {
		name     string
		words    *kit.Kit
		number   int
		replaced bool
	}{{"the new words", words, 2, false}, {"the words before", old, 1, true}} {
		found, err := FindKeys(objects, w.chain.ID, c.words)
		if err != nil || found.Number != c.number || found.Replaced != c.replaced || len(found.Bad) > 0 {
			t.Errorf("%s: %+v, %v", c.name, found, err)
			continue
		}
		if _, _, _, err := read(bytes.NewReader(sealed), Expect{Identities: []age.Identity{found.Chain.Identity}, Authors: found.Authors}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if found, err := FindKeys(objects, w.chain.ID, newKit(t)); found != nil || is(err, ErrWrongKey) != "" {
		t.Errorf("any words: %s", is(err, ErrWrongKey))
	}
	t.Log("SHOW other words: one key object more, no object of the chain anew; the words before are told that they were replaced")
}

// Whatever becomes of a key object at its target is noticed, by its name.
func TestAttacksOnKeys(t *testing.T) {
	t.Attr("shows", "backups")
	w, stranger, words, other := newWorld(t), newWorld(t), newKit(t), newKit(t)
	keys := &Keys{2, w.chain, Authors{w.machine.Author(1)}, at}
	good := mustSeal(t, words, keys)
	open := func(sealed []byte) []byte {
		r, err := age.Decrypt(bytes.NewReader(sealed), words.Identity())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := out.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	plain := open(good)
	to := []age.Recipient{words.Recipient(), named(words.ID())}
	text := func(old, new string) []byte { return seal(t, bytes.Replace(plain, []byte(old), []byte(new), 1), to...) }
	sign := func(change func(*wireKeys)) []byte { // by the kit itself, which a Foyer never does
		var k wireKeys
		if err := json.Unmarshal(bytes.SplitAfter(plain, []byte("\n"))[0], &k); err != nil {
			t.Fatal(err)
		}
		change(&k)
		first, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, '\n')
		second, err := json.Marshal(wireSignature{words.Sign(keysSigned, first)})
		if err != nil {
			t.Fatal(err)
		}
		return seal(t, append(first, second...), to...)
	}
	evil, err := SealKeys(other, &Keys{2, w.chain, Authors{stranger.machine.Author(1)}, at}) // vouched for by a kit of his own
	if err != nil {
		t.Fatal(err)
	}
	evilPlain := func() []byte {
		r, err := age.Decrypt(bytes.NewReader(evil), other.Identity())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := out.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}()
	red := 0
	for _, a := range []struct {
		name   string
		sealed []byte
		want   error
	}{
		{"as it was", good, nil},
		{"nothing", nil, ErrDamaged},
		{"something else", []byte("<html>"), ErrDamaged},
		{"half of it", good[:len(good)/2], ErrDamaged},
		{"too much of it", bytes.Repeat(good, 1+maxKeys/len(good)), ErrTooLarge},
		{"for other words", mustSeal(t, other, keys), ErrWrongKey},
		{"for other words, under this kit's name", seal(t, plain, other.Recipient(), named(words.ID())), ErrDamaged},
		{"for these words, under no name", seal(t, plain, words.Recipient()), nil},
		{"the one before again", mustSeal(t, words, &Keys{1, w.chain, keys.Authors, at}), ErrOutOfPlace},
		{"of another chain", mustSeal(t, words, &Keys{2, stranger.chain, keys.Authors, at}), ErrOutOfPlace},
		{"his own machine, by a kit of his own", seal(t, evilPlain, to...), ErrForged},
		{"his own machine", text(base64.StdEncoding.EncodeToString(w.machine.Signer.Public()), base64.StdEncoding.EncodeToString(stranger.machine.Signer.Public())), ErrForged},
		{"his own chain's key", seal(t, bytes.ReplaceAll(bytes.ReplaceAll(plain, []byte(w.chain.Identity.Secret()), []byte(stranger.chain.Identity.Secret())), []byte(w.chain.Identity.Recipient().String()), []byte(stranger.chain.Identity.Recipient().String())), to...), ErrForged},
		{"another number", text(`"number":2`, `"number":3`), ErrForged},
		{"an author from another object on", text(`"from":1`, `"from":2`), ErrForged},
		{"no signature", seal(t, bytes.SplitAfter(plain, []byte("\n"))[0], to...), ErrForged},
		{"an object's signature", seal(t, append(bytes.Clone(bytes.SplitAfter(plain, []byte("\n"))[0]), signature(words.Sign(toSign, bytes.SplitAfter(plain, []byte("\n"))[0]))...), to...), ErrForged},
		{"nothing in it", seal(t, nil, to...), ErrForged},
		{"more after it", seal(t, append(bytes.Clone(plain), "{}\n"...), to...), ErrForged},
		{"a newer format", text(`"foyer":1`, `"foyer":2`), ErrNewer},
		{"signed, and no author", sign(func(k *wireKeys) { k.Authors = nil }), ErrDamaged},
		{"signed, and authors that begin nowhere", sign(func(k *wireKeys) { k.Authors[0].From = 3 }), ErrDamaged},
		{"signed, and half a key", sign(func(k *wireKeys) { k.Authors[0].Key = k.Authors[0].Key[:5] }), ErrDamaged},
		{"signed, and authors out of order", sign(func(k *wireKeys) { k.Authors = append(k.Authors, k.Authors[0]) }), ErrDamaged},
		{"signed, and two halves of two keys", sign(func(k *wireKeys) { k.Recipient = stranger.chain.Identity.Recipient() }), ErrDamaged},
		{"signed, and no chain", sign(func(k *wireKeys) { k.Chain = "" }), ErrDamaged},
	} {
		t.Run(a.name, func(t *testing.T) {
			got, err := OpenKeys(a.sealed, w.chain.ID, 2, words)
			if a.want == nil {
				if err != nil || !sameKeys(got, keys) {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if wrong := is(err, a.want); wrong != "" || got != nil {
				t.Error(wrong)
			}
			red++
		})
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := OpenKeys(bad, "", 2, words); is(err, ErrDamaged) != "" {
			t.Errorf("byte %d: %s", i, is(err, ErrDamaged))
		}
		if _, err := OpenKeys(good[:i], "", 2, words); is(err, ErrDamaged) != "" {
			t.Errorf("%d bytes: %s", i, is(err, ErrDamaged))
		}
	}
	t.Logf("SHOW attacks on a key object: %d red by their names; a flip of each of %d bytes is damage, and not other words", red, len(good))
}

func signature(s []byte) []byte {
	text, err := json.Marshal(wireSignature{s})
	if err != nil {
		panic(err)
	}
	return text
}

// The newest key object that is what it says counts; what stands above it is said.
func TestFindKeys(t *testing.T) {
	w, words, other := newWorld(t), newKit(t), newKit(t)
	of := func(n int, k *kit.Kit) []byte {
		return mustSeal(t, k, &Keys{n, w.chain, Authors{w.machine.Author(1)}, at})
	}
	flipped := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1] ^= 1; return b }
	for _, c := range []struct {
		name     string
		objects  map[int][]byte
		number   int
		replaced bool
		bad      map[int]error
		err      error
	}{
		{"one", map[int][]byte{1: of(1, words)}, 1, false, nil, nil},
		{"ten", map[int][]byte{2: of(2, words), 10: of(10, words), 9: of(9, words)}, 10, false, nil, nil},
		{"the newest damaged", map[int][]byte{1: of(1, words), 2: flipped(of(2, words))}, 1, false, map[int]error{2: ErrDamaged}, nil},
		{"the one before in the newest's place", map[int][]byte{1: of(1, words), 2: of(1, words)}, 1, false, map[int]error{2: ErrOutOfPlace}, nil},
		{"others' above", map[int][]byte{1: of(1, words), 2: of(2, other), 3: []byte("?")}, 1, true, map[int]error{3: ErrDamaged}, nil},
		{"others' below", map[int][]byte{1: of(1, other), 2: of(2, words)}, 2, false, nil, nil},
		{"none", nil, 0, false, nil, ErrNoKeys},
		{"others' only", map[int][]byte{1: of(1, other)}, 0, false, nil, ErrWrongKey},
		{"others', and a damaged one", map[int][]byte{1: flipped(of(1, words)), 2: of(2, other)}, 0, false, nil, ErrDamaged},
	} {
		found, err := FindKeys(c.objects, w.chain.ID, words)
		if c.err != nil {
			if !errors.Is(err, c.err) || found != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || found.Number != c.number || found.Replaced != c.replaced || len(found.Bad) != len(c.bad) {
			t.Errorf("%s: %+v, %v", c.name, found, err)
			continue
		}
		for n, want := range c.bad {
			if wrong := is(found.Bad[n], want); wrong != "" {
				t.Errorf("%s: %d: %s", c.name, n, wrong)
			}
		}
	}
	for name, want := range map[string]int{"key.1": 1, "key.12": 12, "key.0": 0, "key.01": 0, "key.-1": 0, "key.": 0, "key": 0, "key.1x": 0, "akey.1": 0, "key.99999999999999999999": 0, "key.+1": 0, "0000000001.seg": 0} {
		if got := KeyNumber(name); got != want {
			t.Errorf("%s is number %d", name, got)
		}
	}
	if KeyName(7) != "key.7" {
		t.Error(KeyName(7))
	}
}

// Keys that are none are not sealed.
func TestWhatIsNoKeys(t *testing.T) {
	w, words := newWorld(t), newKit(t)
	for name, k := range map[string]*Keys{
		"no number":      {0, w.chain, Authors{w.machine.Author(1)}, at},
		"no chain":       {1, nil, Authors{w.machine.Author(1)}, at},
		"no id":          {1, &Chain{"", w.chain.Identity}, Authors{w.machine.Author(1)}, at},
		"no author":      {1, w.chain, nil, at},
		"from nowhere":   {1, w.chain, Authors{w.machine.Author(0)}, at},
		"a zero author":  {1, w.chain, Authors{{From: 1}}, at},
		"too many":       {1, w.chain, many(w.machine, maxAuthors+1), at},
		"the same twice": {1, w.chain, Authors{w.machine.Author(1), w.machine.Author(1)}, at},
	} {
		if _, err := SealKeys(words, k); err == nil {
			t.Errorf("%s", name)
		}
	}
	if sealed := mustSeal(t, words, &Keys{1, w.chain, many(w.machine, maxAuthors), at}); len(sealed) > maxKeys {
		t.Errorf("the most authors there may be come to %d bytes", len(sealed))
	}
}

func many(m *Machine, n int) (a Authors) {
	for i := range n {
		a = append(a, m.Author(uint64(i+1)))
	}
	return a
}

// Whatever stands in a key object, or in a file of keys, is read without a surprise.
func FuzzKeys(f *testing.F) {
	words, err := kit.Read(foreverWords)
	if err != nil {
		f.Fatal(err)
	}
	found, _ := forever(f)
	r, err := age.Decrypt(bytes.NewReader(foreverFile(f, "key.5")), words.Identity())
	if err != nil {
		f.Fatal(err)
	}
	good, err := io.ReadAll(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"foyer":1,"number":1}` + "\n" + `{"signature":""}`))
	f.Add([]byte(`{"foyer":1,"identity":"` + found.Chain.Identity.Secret() + `"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if file, err := parseKeys(text); err == nil {
			if again, err := file.text(); err != nil || !bytes.Equal(again, text) {
				t.Fatalf("%q is a file of keys", text)
			}
		}
		if k, err := readKeys(text, "", "", 5, words); err == nil && !bytes.Equal(bytes.SplitAfter(text, []byte("\n"))[0], bytes.SplitAfter(good, []byte("\n"))[0]) {
			t.Fatalf("%q is %+v", text, k)
		} else if err != nil && hint.Find(err) == nil {
			t.Fatalf("%v says nothing to people", err)
		}
	})
}
