package object

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// world is a machine that writes a chain, for tests.
type world struct {
	machine *Machine
	chain   *Chain
	sealer  *Sealer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	machine, err := NewMachine()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := NewChain()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := NewSealer(machine, chain)
	if err != nil {
		t.Fatal(err)
	}
	return &world{machine, chain, sealer}
}

// at is when objects of tests were made.
var at = time.Date(2026, time.November, 27, 18, 0, 0, 0, time.UTC)

// header is that of object n of a log.
func header(n uint64, prev string) Header {
	return Header{
		N: n, Prev: prev, Kind: Log, At: at, Version: "1.2.3", Schema: 9,
		From: changelog.Position{Seq: 99, Sum: strings.Repeat("0a", 16)}, To: changelog.Position{Seq: 100, Sum: strings.Repeat("b1", 16)},
	}
}

// seal makes an object of lines.
func (w *world) seal(t testing.TB, h Header, lines ...string) ([]byte, Info) {
	t.Helper()
	var out bytes.Buffer
	o, err := w.sealer.New(&out, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if err := o.Lines([]byte(l)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := o.Close()
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), info
}

// expect opens with the chain's key.
func (w *world) expect() Expect {
	return Expect{Identities: []age.Identity{w.chain.Identity}, OfChain: true, Authors: Authors{w.machine.Author(1)}, Chain: w.chain.ID}
}

// read reads all lines, which count if the error is nil.
func read(sealed io.Reader, e Expect) (h Header, lines []string, info Info, err error) {
	r, err := NewReader(sealed, e)
	if err != nil {
		return h, nil, info, err
	}
	for {
		line, err := r.Next()
		if err == io.EOF {
			return r.Header(), lines, r.Info(), r.Close()
		}
		if err != nil {
			if again, err2 := r.Next(); again != nil || err2 != err {
				return h, nil, info, fmt.Errorf("after %w: %q, %w", err, again, err2)
			}
			if r.Close() == nil || r.Info() != (Info{}) {
				return h, nil, info, fmt.Errorf("%w, and it holds all the same", err)
			}
			return h, lines, info, err
		}
		lines = append(lines, string(line))
	}
}

// record is a line as a store writes it for one small write.
func record(n int) string {
	l := changelog.Line{Kind: changelog.Object, Parent: "/buckets/notes/collections/journal", Of: "record", ID: fmt.Sprintf("0f5e-%04d-4d1c", n), Time: 1795803600000 + int64(n), Data: fmt.Appendf(nil, `{"title":"Day %d","text":"We went to the sea, and %d gulls came for the bread.","done":%v}`, n, n*7, n%2 == 0)}
	return string(l.Append(nil))
}

// Whatever lines are sealed come out again, once, in order, and are all there were; what they
// came to is told alike by whoever wrote, read and verified.
func TestLinesComeOutAsTheyWentIn(t *testing.T) {
	t.Attr("shows", "backups")
	r := rand.New(rand.NewPCG(7, 8))
	w := newWorld(t)
	total, objects := 0, 0
	for round := range 40 {
		var lines []string
		for range r.IntN(1 << r.IntN(9)) {
			size := r.IntN(1 << r.IntN(18))
			line := make([]byte, size)
			for i := range line {
				switch line[i] = byte(r.IntN(256)); {
				case round%3 == 0:
					line[i] = 'a' + line[i]%3
				case line[i] == '\n':
					line[i] = 0
				}
			}
			lines = append(lines, string(line)+"\n")
		}
		if round%7 == 0 {
			lines = append(lines, "\n", `{"lines":0,"sum":"","signature":""}`+"\n", "\n")
		}
		h := header(uint64(round+1), strings.Repeat("ab", 32))
		if round == 0 {
			h.Prev = ""
		}
		h.Kind = []Kind{Log, Base, Merge, Beat, Manifest}[round%5]
		sealed, info := w.seal(t, h, lines...)
		h.Chain = w.chain.ID
		e := w.expect()
		e.N, e.Prev, e.SHA256, e.Size = h.N, h.Prev, info.SHA256, info.Size
		var src io.Reader = bytes.NewReader(sealed)
		if round%4 == 0 {
			src = iotest.HalfReader(src)
		}
		got, out, read, err := read(src, e)
		if err != nil || got != h || !reflect.DeepEqual(out, lines) || read != info {
			t.Fatalf("round %d: %+v, %d lines of %d, %+v instead of %+v, %v", round, got, len(out), len(lines), read, info, err)
		}
		if got, verified, err := Verify(bytes.NewReader(sealed), e); err != nil || got != h || verified != info {
			t.Fatalf("round %d, verified: %+v, %+v instead of %+v, %v", round, got, verified, info, err)
		}
		if int64(len(sealed)) != info.Size || info.Lines != int64(len(lines)) {
			t.Fatalf("%+v of %d bytes, %d lines", info, len(sealed), len(lines))
		}
		total, objects = total+len(lines), objects+1
	}
	t.Logf("SHOW objects: %d random ones of %d lines come out as they went in", objects, total)
}

// An object is read by other people's programs, with the key as they write it.
func TestOtherProgramsReadObjects(t *testing.T) {
	t.Attr("shows", "backups")
	for _, program := range []string{"age", "zstd", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	w, dir := newWorld(t), t.TempDir()
	var lines []string
	for n := range 2000 {
		lines = append(lines, record(n))
	}
	sealed, info := w.seal(t, header(1, ""), lines...)
	words, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := SealKeys(words, &Keys{1, w.chain, Authors{w.machine.Author(1)}, at})
	if err != nil {
		t.Fatal(err)
	}
	contents, sum := w.contentsOf(t, randomBytes(300<<10))
	empty, _ := w.contentsOf(t, nil)
	for name, content := range map[string][]byte{"contents": contents[0], "empty": empty[0], "object": sealed, "key.1": keys, "kit": []byte(words.Identity().Secret() + "\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(script string) string {
		c := exec.Command("bash", "-euo", "pipefail", "-c", script)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("age -d -i kit key.1 | head -1 | jq -r .identity >chain")
	if got := run("age -d -i chain object | zstd -d | jq -c . | wc -l"); got != fmt.Sprint(info.Lines+2) {
		t.Errorf("jq reads %s lines of %d", got, info.Lines+2)
	}
	if got := run("age -d -i chain object | zstd -dc | sed '1d;$d'"); got != strings.TrimSpace(strings.Join(lines, "")) {
		t.Error("the lines are others")
	}
	if got := run("age -d -i chain object | zstd -dc | sed '$d' | sha256sum | cut -d' ' -f1"); got != run("age -d -i chain object | zstd -dc | tail -1 | jq -r .sum") {
		t.Error("sha256sum has another sum")
	}
	if got := run("age -d -i chain contents | zstd -dc | sha256sum | cut -d' ' -f1"); got != sum {
		t.Errorf("contents of an attachment come to %s, not %s", got, sum)
	}
	if got := run("age -d -i chain empty | zstd -dc | wc -c"); got != "0" {
		t.Errorf("an empty attachment has %s bytes", got)
	}
	t.Logf("SHOW other programs: age, zstd and jq of Debian open the key object by the kit, and by that an object, and read all %d lines", info.Lines+2)
}

// What one small write costs.
func TestASmallObject(t *testing.T) {
	t.Attr("shows", "backups")
	w := newWorld(t)
	line := string((&changelog.Line{Kind: changelog.Commit, Seq: 100, Time: at.UnixMilli()}).Append(nil)) + record(3)
	var sizes []int64
	var parts [][]byte
	for n := uint64(2); n < 22; n++ {
		h := header(n, strings.Repeat("0", 64))
		h.Prev, h.From.Sum, h.To.Sum = hex.EncodeToString(randomBytes(32)), hex.EncodeToString(randomBytes(16)), hex.EncodeToString(randomBytes(16))
		sealed, info := w.seal(t, h, line)
		if int64(len(sealed)) != info.Size {
			t.Fatal(info)
		}
		sizes = append(sizes, info.Size)
		parts = bytes.SplitAfter(unpack(t, sealed, w.chain.Identity), []byte("\n"))
	}
	sum := int64(0)
	for _, s := range sizes {
		sum += s
	}
	_, beat := w.seal(t, Header{N: 1, Kind: Beat, At: at, Version: "1.2.3", Schema: 9})
	mean := sum / int64(len(sizes))
	t.Logf("SHOW a small object: one write of %d bytes is %d bytes sealed (mean of %d): %d of seal; the first line (%d), the write and the last line (%d) packed to %d; a beat %d",
		len(line), mean, len(sizes), shortest, len(parts[0]), len(parts[len(parts)-2]), mean-int64(shortest), beat.Size)
	if mean > 800 {
		t.Errorf("%d bytes", mean)
	}
}

// Writing and reading hold little, however large the object is.
func TestObjectsTakeLittleMemory(t *testing.T) {
	t.Attr("shows", "backups")
	w := newWorld(t)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	path := filepath.Join(t.TempDir(), "object")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := heap()
	o, err := w.sealer.New(f, header(1, ""))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	line := make([]byte, 0, 400)
	for o.Plain() < 16<<20 {
		line = fmt.Appendf(line[:0], `{"object":["/buckets/b/collections/c","record","%x",%d],"data":{"n":%d,"t":"%x"}}`+"\n", r.Uint64(), r.Uint64(), r.IntN(1000), r.Uint64())
		if err := o.Lines(line); err != nil {
			t.Fatal(err)
		}
	}
	writing := heap() - before
	info, err := o.Close()
	if err != nil {
		t.Fatal(err)
	}
	*w.sealer = Sealer{}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	before = heap()
	in, err := NewReader(f, w.expect())
	if err != nil {
		t.Fatal(err)
	}
	for range info.Lines / 2 {
		if _, err := in.Next(); err != nil {
			t.Fatal(err)
		}
	}
	reading := heap() - before
	runtime.KeepAlive(o)
	if err := in.Close(); !errors.Is(err, errUnread) {
		t.Errorf("half of it was read, and holds: %v", err)
	}
	if writing > 8<<20 || reading > 4<<20 {
		t.Errorf("writing holds %d bytes, reading %d", writing, reading)
	}
	t.Logf("SHOW memory for an object of %d MB: writing holds %d kB, reading %d kB", info.Plain>>20, writing>>10, reading>>10)
}

// Nothing of what is sealed is in the sealed bytes, nor in the names it goes by.
func TestNothingShows(t *testing.T) {
	t.Attr("shows", "backups")
	w := newWorld(t)
	var phrases, lines []string
	for n := range 100 {
		phrase := fmt.Sprintf("the secret %x of room %d", rand.Uint64(), n)
		phrases = append(phrases, phrase)
		text, err := json.Marshal(map[string]any{"note": phrase, "bytes": []byte(phrase)})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text)+"\n")
	}
	sealed, _ := w.seal(t, header(1, ""), lines...)
	words, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := SealKeys(words, &Keys{1, w.chain, Authors{w.machine.Author(1)}, at})
	if err != nil {
		t.Fatal(err)
	}
	phrases = append(phrases, w.chain.ID, "1.2.3", w.chain.Identity.Secret(), string(w.machine.Signer.Secret()), string(w.machine.Signer.Public()), w.chain.Identity.Recipient().String(), strings.Join(words.Words(hint.EN), " "))
	// What is in a file of three MB may be anything of a few bytes.
	seen := append(sealed, keys...)
	looked := 0
	for _, p := range phrases {
		if len(p) < 8 {
			continue
		}
		for _, form := range []string{p, strings.ToUpper(p), hex.EncodeToString([]byte(p)), base64.StdEncoding.EncodeToString([]byte(p))[:len(p)], base64.StdEncoding.EncodeToString([]byte("x" + p))[4:], base64.StdEncoding.EncodeToString([]byte("xx" + p))[4:]} {
			looked++
			if bytes.Contains(seen, []byte(form)) {
				t.Errorf("%q shows", form)
			}
		}
	}
	t.Logf("SHOW secrets in sealed bytes: of %d phrases, as they are, in hexadecimal and base64 (%d texts), none in %d bytes", len(phrases), looked, len(seen))
}

// However a machine and a chain are printed, their keys do not show.
func TestKeysDoNotShow(t *testing.T) {
	w := newWorld(t)
	keys := &Keys{1, w.chain, Authors{w.machine.Author(1)}, at}
	type holder struct {
		m *Machine
		c Chain
		k Keys
		s *Sealer
	}
	secrets := []string{w.chain.Identity.Secret(), string(w.machine.Signer.Secret()), fmt.Sprint(w.machine.Signer.Secret())[1:20], hex.EncodeToString(w.machine.Signer.Secret())}
	var out strings.Builder
	for _, v := range []any{w.machine, *w.machine, w.chain, *w.chain, keys, *keys, w.sealer, holder{w.machine, *w.chain, *keys, w.sealer}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
	}
	for _, s := range secrets {
		if strings.Contains(out.String(), s) {
			t.Errorf("%q shows", s)
		}
	}
}

// pack makes sealed bytes of any text, as whoever knows the recipients can.
func pack(t testing.TB, text []byte, to ...age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	a, err := age.Encrypt(&out, to...)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(a, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unpack is what is in sealed bytes.
func unpack(t testing.TB, sealed []byte, id age.Identity) []byte {
	t.Helper()
	a, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(a)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func randomBytes(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(rand.Uint32())
	}
	return out
}

// An object is of the author that began last before it, in whatever order they are told.
func TestAuthors(t *testing.T) {
	w, x, y := newWorld(t).machine, newWorld(t).machine, newWorld(t).machine
	for n, want := range map[uint64]*Machine{1: nil, 2: w, 4: w, 5: x, 8: x, 9: y, 1 << 63: y} {
		for _, a := range []Authors{{w.Author(2), x.Author(5), y.Author(9)}, {y.Author(9), x.Author(5), w.Author(2)}, {x.Author(5), y.Author(9), w.Author(2)}} {
			if got := a.of(n); want == nil && got != nil || want != nil && !want.Signer.Public().Equal(got) {
				t.Errorf("object %d: %x", n, got)
			}
		}
	}
}
