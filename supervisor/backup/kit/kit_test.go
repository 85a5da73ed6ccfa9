package kit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/text/unicode/norm"

	"github.com/foyer-server/foyer/internal/hint"
)

func mustNew(t testing.TB) *Kit {
	t.Helper()
	k, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func entropyOf(k *Kit) string {
	e := k.entropy()
	return hex.EncodeToString(e[:])
}

func same(a, b *Kit) bool {
	return a.entropy() == b.entropy() && a.Identity().Secret() == b.Identity().Secret() && reflect.DeepEqual(a.Public(), b.Public())
}

// The same words give the same keys for ever. These kits were made for this test, and are
// nobody's.
func TestKeysAreThoseOfTheWordsForEver(t *testing.T) {
	t.Attr("shows", "backups")
	for _, v := range vectors {
		k, err := Read(v.words)
		if err != nil {
			t.Fatal(err)
		}
		got := vector{v.words, entropyOf(k), k.Identity().Secret(), k.Recipient().String(), hex.EncodeToString(k.signer.Secret()), hex.EncodeToString(k.Public().Key), k.ID()}
		if got != v {
			t.Errorf("%+v\nis now\n%+v", v, got)
		}
		x, err := age.ParseX25519Identity(v.identity)
		if err != nil || x.Recipient().String() != v.recipient {
			t.Errorf("age reads the identity as %v, %v", x, err)
		}
	}
	t.Logf("SHOW words of a kit: %d kits have the keys they always had", len(vectors))
}

// The words of BIP 39's own test vectors.
func TestWordsAreThoseOfBIP39(t *testing.T) {
	for entropyHex, words := range map[string]string{
		"00000000000000000000000000000000": "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
		"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f": "legal winner thank year wave sausage worth useful legal winner thank yellow",
		"80808080808080808080808080808080": "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
		"ffffffffffffffffffffffffffffffff": "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
	} {
		k, err := Read(words)
		if err != nil || entropyOf(k) != entropyHex {
			t.Errorf("%s: %v, %v", words, k, err)
		} else if got := strings.Join(k.Words(hint.EN), " "); got != words {
			t.Errorf("%s is said as %s", words, got)
		}
	}
}

// The lists are those of BIP 39, to the byte, and can be read by their first letters.
func TestLists(t *testing.T) {
	sums := map[hint.Lang]uint32{hint.EN: 0xc1dbd296, hint.FR: 0x3e56b216, ES: 0x266e4f3d}
	for _, l := range lists {
		if got := crc32.ChecksumIEEE([]byte(l.text)); got != sums[l.lang] {
			t.Errorf("%s: checksum %x", l.lang, got)
		}
		l.load()
		words, first := map[string]bool{}, map[string]bool{}
		for _, w := range l.words {
			words[w], first[w[:min(len(w), prefixLetters)]] = true, true
			if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
				t.Errorf("%s: %q has an accent left", l.lang, w)
			}
		}
		if len(words) != 2048 || len(first) != 2048 {
			t.Errorf("%s: %d words, %d beginnings", l.lang, len(words), len(first))
		}
	}
	if l := listIn("de"); l.lang != hint.EN {
		t.Errorf("German has %s", l.lang)
	}
}

// Words are read in whatever language and shape people type them.
func TestWordsAreReadAsTheyAreTyped(t *testing.T) {
	t.Attr("shows", "backups")
	shapes := map[string]func(words []string) string{
		"as shown":           func(w []string) string { return strings.Join(w, " ") },
		"in capitals":        func(w []string) string { return strings.ToUpper(strings.Join(w, " ")) },
		"composed":           func(w []string) string { return norm.NFC.String(strings.Join(w, " ")) },
		"decomposed":         func(w []string) string { return norm.NFD.String(strings.Join(w, "\t")) },
		"capitals, loose":    func(w []string) string { return norm.NFD.String(strings.ToUpper(strings.Join(w, "\u00a0"))) },
		"without accents":    func(w []string) string { return bare(strings.Join(w, "\r\n")) },
		"numbered":           func(w []string) string { return numbered(w) },
		"with commas":        func(w []string) string { return strings.Join(w, ", ") + "." },
		"with soft hyphens":  func(w []string) string { return "\ufeff" + w[0][:1] + "\u00ad" + strings.Join(w, " ")[1:] },
		"by four letters":    func(w []string) string { return shortened(w, 4) },
		"by five letters":    func(w []string) string { return shortened(w, 5) },
		"by six, in between": func(w []string) string { return " \n " + shortened(w, 6) + " \n" },
		"wide letters":       func(w []string) string { return wide(bare(strings.Join(w, " "))) },
	}
	read := 0
	for range 60 {
		k := mustNew(t)
		for _, lang := range []hint.Lang{hint.EN, hint.FR, ES} {
			words := k.Words(lang)
			if len(words) != Words {
				t.Fatalf("%d words", len(words))
			}
			for name, shape := range shapes {
				if name == "with soft hyphens" && words[0][0] >= 0x80 {
					continue // half a letter
				}
				text := shape(words)
				got, err := Read(text)
				if err != nil || !same(got, k) {
					t.Fatalf("%s, %s: %q: %v, %v", lang, name, text, got, err)
				}
				read++
			}
		}
	}
	t.Logf("SHOW words of a kit: %d of %d texts in three languages and %d shapes read as they were meant", read, read, len(shapes))
}

func numbered(words []string) string {
	var b strings.Builder
	for i, w := range words {
		fmt.Fprintf(&b, "%d) %s\n", i+1, w)
	}
	return b.String()
}

func shortened(words []string, letters int) string {
	var out []string
	for _, w := range words {
		r := []rune(w)
		out = append(out, string(r[:min(len(r), letters)]))
	}
	return strings.Join(out, " ")
}

func wide(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'ａ'
		}
		return '\u3000'
	}, text)
}

// What is wrong with words is told apart, and who typed them is told what to do.
func TestWrongWordsAreToldApart(t *testing.T) {
	t.Attr("shows", "backups")
	good := strings.Fields(vectors[0].words)
	with := func(at int, word string) string {
		w := slices.Clone(good)
		w[at] = word
		return strings.Join(w, " ")
	}
	swapped := slices.Clone(good)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	for _, c := range []struct {
		name, text string
		want       error
		code, says string
	}{
		{"nothing", " ", ErrNumber, "kit-words-number", "these are 0"},
		{"one missing", strings.Join(good[1:], " "), ErrNumber, "kit-words-number", "these are 11"},
		{"one too many", strings.Join(good, " ") + " zoo", ErrNumber, "kit-words-number", "these are 13"},
		{"a book", strings.Repeat("zoo ", 1<<20), ErrNumber, "kit-words-number", "these are 1024"},
		{"a slip of the finger", with(2, "abandno"), ErrUnknown, "kit-word-unknown", "“abandon”"},
		{"an accent too many is none", with(2, "xqxqx"), ErrUnknown, "kit-word-unknown", "Word 3 is in no list"},
		{"three letters of a word", with(11, "aba"), ErrUnknown, "kit-word-unknown", "Word 12 "},
		{"one in French", with(4, "abeille"), ErrMixed, "kit-words-mixed", "number 5."},
		{"two in Spanish", strings.Join(append([]string{"nácar", "nadar"}, good[2:]...), " "), ErrMixed, "kit-words-mixed", "number 1, 2."},
		{"two swapped", strings.Join(swapped, " "), ErrWrong, "kit-words-wrong", "together"},
		{"another word", with(7, "zebra"), ErrWrong, "kit-words-wrong", "together"},
	} {
		k, err := Read(c.text)
		e := hint.Find(err)
		if k != nil || !errors.Is(err, c.want) || e == nil || e.Code != c.code {
			t.Errorf("%s: %v, %v", c.name, k, err)
			continue
		}
		if said := hint.Describe(err, hint.EN); !strings.Contains(said, c.says) {
			t.Errorf("%s: %s", c.name, said)
		}
		if hint.Describe(err, hint.FR) == hint.Describe(err, hint.EN) {
			t.Errorf("%s: French and English are one", c.name)
		}
		for w := range strings.FieldsSeq(c.text[:min(len(c.text), 200)]) {
			if len(w) > 4 && strings.Contains(err.Error(), w) {
				t.Errorf("%s: the log would have a word: %v", c.name, err)
			}
		}
		for _, other := range []error{ErrNumber, ErrUnknown, ErrMixed, ErrWrong, ErrUnclear} {
			if other != c.want && errors.Is(err, other) {
				t.Errorf("%s: is %v, too", c.name, other)
			}
		}
	}
	t.Logf("SHOW wrong words: their number, a word of no list, of two lists, and twelve that do not fit are told apart")
}

// Where words can be read as two kits they are as none: which is never so for a kit that was
// made here.
func TestUnclearWords(t *testing.T) {
	common := func(a, b *list) (out []string) {
		a.load()
		for _, w := range a.words {
			if b.find(w[:min(4, len(w))]) >= 0 && a.find(w[:min(4, len(w))]) >= 0 {
				out = append(out, w[:min(4, len(w))])
			}
		}
		return out
	}(lists[0], lists[1])
	r := rand.New(rand.NewPCG(1, 2))
	for range 1 << 20 {
		var words []string
		for range Words {
			words = append(words, common[r.IntN(len(common))])
		}
		entropyEN, entropyFR := make([]int, 0, Words), make([]int, 0, Words)
		for _, w := range words {
			entropyEN, entropyFR = append(entropyEN, lists[0].find(w)), append(entropyFR, lists[1].find(w))
		}
		en, ok := entropy(entropyEN)
		if _, ok2 := entropy(entropyFR); !ok || !ok2 {
			continue
		}
		if k, err := Read(strings.Join(words, " ")); !errors.Is(err, ErrUnclear) || hint.Find(err).Code != "kit-words-unclear" {
			t.Fatalf("%q: %v, %v", words, k, err)
		}
		if k, err := of(en); err != nil || k.clear() {
			t.Fatalf("%q: such a kit would be made: %v", words, err)
		}
		return
	}
	t.Fatal("no such words")
}

// However a kit is printed, logged or encoded, its secrets do not show.
func TestSecretsDoNotShow(t *testing.T) {
	t.Attr("shows", "backups")
	k := mustNew(t)
	type holder struct {
		Kit      *Kit
		Value    Kit
		Identity Identity
		Signer   Signer
		kit      *Kit
		value    Kit
		identity Identity
		signer   Signer
	}
	h := holder{k, *k, k.identity, k.signer, k, *k, k.identity, k.signer}
	var secrets []string
	entropy := k.entropy()
	for _, raw := range [][]byte{entropy[:], k.signer.Secret(), []byte(k.identity.Secret())} {
		secrets = append(secrets, string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), fmt.Sprint(raw)[1:20], fmt.Sprintf("%#v", raw)[7:30])
	}
	for _, l := range lists {
		secrets = append(secrets, strings.Join(k.Words(l.lang)[:2], " "))
	}
	var out bytes.Buffer
	for _, v := range []any{k, *k, k.identity, k.signer, h, &h, []any{k, *k, k.identity, k.signer}, map[string]any{"kit": *k, "key": k.signer}, k.Public()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(text)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("kit", "kit", v)
		}
	}
	for _, s := range secrets {
		if strings.Contains(out.String(), s) {
			t.Errorf("%q shows", s)
		}
	}
	if !strings.Contains(out.String(), "kit "+k.ID()) {
		t.Error("the name of the kit does not show")
	}
	t.Logf("SHOW secrets of a kit: in %d bytes of %%v, %%+v, %%#v, %%x, json and slog, none of %d", out.Len(), len(secrets))
}

// What is sealed for a kit is opened by its words, and no others; what it signs is verified
// by what is kept of it, for that purpose.
func TestKeysDoTheirWork(t *testing.T) {
	k, other := mustNew(t), mustNew(t)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, k.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Read(strings.Join(k.Words(ES), " "))
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed.Bytes()), again.Identity())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := age.Decrypt(bytes.NewReader(sealed.Bytes()), other.Identity()); err == nil {
		t.Error("other words open it")
	}

	text, err := json.Marshal(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	var kept Public
	if err := json.Unmarshal(text, &kept); err != nil || !reflect.DeepEqual(kept, k.Public()) || kept.ID() != k.ID() {
		t.Errorf("%+v is kept as %+v, %v", k.Public(), kept, err)
	}
	signature := k.Sign("test", []byte("message"))
	for _, c := range []struct {
		name             string
		key              ed25519.PublicKey
		purpose, message string
		want             bool
	}{
		{"as it was", kept.Key, "test", "message", true},
		{"another message", kept.Key, "test", "messages", false},
		{"another purpose", kept.Key, "tes", "message", false},
		{"both, so that together they are the same", kept.Key, "testm", "essage", false},
		{"another kit", other.Public().Key, "test", "message", false},
		{"no key", nil, "test", "message", false},
	} {
		if got := Verify(c.key, c.purpose, []byte(c.message), signature); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for _, text := range []string{`{}`, `{"recipient":"age1x","key":""}`, `{"recipient":"` + k.Recipient().String() + `","key":"AAAA"}`, `[]`, `{"key":"` + base64.StdEncoding.EncodeToString(kept.Key) + `"}`} {
		if err := json.Unmarshal([]byte(text), new(Public)); err == nil {
			t.Errorf("%s is taken for public keys", text)
		}
	}
	if _, err := (Recipient{}).Wrap(make([]byte, 16)); err == nil {
		t.Error("something was sealed for nobody")
	}
	if _, err := ParseIdentity(k.Recipient().String()); err == nil {
		t.Error("a recipient is an identity")
	}
	if _, err := ParseSigner(make([]byte, 31)); err == nil {
		t.Error("31 bytes are a key")
	}
	if a, err := NewIdentity(); err != nil {
		t.Error(err)
	} else if b, err := ParseIdentity(a.Secret()); err != nil || b.Recipient().String() != a.Recipient().String() {
		t.Errorf("%v is read as %v, %v", a, b, err)
	}
	if a, err := NewSigner(); err != nil {
		t.Error(err)
	} else if b, err := ParseSigner(a.Secret()); err != nil || !b.Public().Equal(a.Public()) {
		t.Errorf("%v is read as %v, %v", a, b, err)
	}
}

// Whatever is typed is a kit, or an error somebody can act on; a kit's words are read as it.
func FuzzWords(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.words)
	}
	f.Add("abandon ábaco ABAISSER")
	f.Add("1. zoo\u00ad zoo")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := Read(text)
		if err != nil {
			if e := hint.Find(err); e == nil || e.What.IsZero() || e.Do.IsZero() || k != nil {
				t.Fatalf("%q: %v, %v", text, k, err)
			}
			return
		}
		for _, l := range lists {
			words := strings.Join(k.Words(l.lang), " ")
			if again, err := Read(words); !errors.Is(err, ErrUnclear) && (err != nil || !same(again, k)) {
				t.Fatalf("%q is read as %q, and that as %v, %v", text, words, again, err)
			}
		}
	})
}
