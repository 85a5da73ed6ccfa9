//go:build !windows

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/people"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/restore"
	"github.com/foyer-server/foyer/supervisor/source"
)

// backups are those of one server, in a folder, and the words that open them.
type backups struct {
	*backup.Engine
	t    *testing.T
	from string
	kit  *kit.Kit
}

// backUp begins backups of a source in a folder of their own.
func backUp(t *testing.T, src changelog.Source) *backups {
	t.Helper()
	words, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	b := &backups{t: t, from: t.TempDir(), kit: words}
	b.begin(src)
	return b
}

// noContents are those of a server without attachments.
type noContents struct{}

func (noContents) File(context.Context, string, int64) (io.ReadCloser, int64, error) {
	return nil, 0, fs.ErrNotExist
}

// begin begins one more chain in the folder.
func (b *backups) begin(src changelog.Source) {
	t := b.t
	t.Helper()
	data := t.TempDir()
	identity, err := target.PrepareFolder(t.Context(), b.from, target.FolderOptions{Data: data, SameDisk: true})
	if err != nil {
		t.Fatal(err)
	}
	at, err := target.OpenFolder(t.Context(), identity, data)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys, err := backup.Begin(t.Context(), at, dir, b.kit)
	if err != nil {
		t.Fatal(err)
	}
	b.Engine = &backup.Engine{Source: src, Contents: noContents{}, Target: at, Keys: keys, Dir: dir, Version: "1.2.3", Schema: storage.Schema(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

// cycle brings all there is into the backup.
func (b *backups) cycle() {
	b.t.Helper()
	for range 2 {
		if err := b.Cycle(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *backups) words() string { return strings.Join(b.kit.Words(hint.FR), " ") }

// restored is how a restore came out.
type restored struct {
	code  int
	lines []map[string]json.RawMessage
	out   string
	said  string
}

func (r *restored) String() string { return fmt.Sprintf("exit code %d: %s%s", r.code, r.out, r.said) }

// failed is the code of its error.
func (r *restored) failed() (code string) {
	for _, l := range r.lines {
		json.Unmarshal(l["error"], &code) //nolint:errcheck // most have none
	}
	return code
}

// get reads one of the things it said.
func (r *restored) get(t *testing.T, what string, into any) {
	t.Helper()
	for _, l := range r.lines {
		if text := l[what]; text != nil {
			if err := json.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("it does not say %s: %s", what, r)
}

// bring runs the command with words from a pipe.
func bring(t *testing.T, words string, args ...string) *restored {
	t.Helper()
	cmd := foyerCommand(t, append([]string{"restore", "--json"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(words+"\n"), &out, &said
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	r := &restored{code: cmd.ProcessState.ExitCode(), out: out.String(), said: said.String()}
	for text := range strings.Lines(r.out) {
		var l map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q is no JSON: %v", text, err)
		}
		r.lines = append(r.lines, l)
	}
	return r
}

// keeps writes, changes and deletes records and collections.
func (h *household) keeps(bucket string, rounds int) {
	b := "/v1/buckets/" + bucket
	h.do(http.MethodPut, b, "")
	for i := range rounds {
		h.do(http.MethodPut, fmt.Sprintf("%s/collections/c%d", b, i%3), "")
		r := fmt.Sprintf("%s/collections/c%d/records/r%d", b, i%3, i%11)
		h.do(http.MethodPut, r, fmt.Sprintf(`{"data":{"n":%d,"text":"é\u0000 %s"}}`, i, strings.Repeat("x", i*7%300)))
		if i%5 == 4 {
			h.do(http.MethodDelete, r, "")
		}
		if i%17 == 16 {
			h.do(http.MethodDelete, fmt.Sprintf("%s/collections/c%d", b, i%3), "")
		}
	}
}

// served is what the API says of everything that is in a folder of data.
func served(t *testing.T, data string) map[string]string {
	t.Helper()
	s := servertest.Start(t, servertest.Config{PlainHTTP: true, Data: data})
	h := &household{Server: s, t: t, c: s.Client()}
	view := h.view()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	return view
}

func sameView(t *testing.T, want, got map[string]string) {
	t.Helper()
	for path, is := range want {
		if got[path] != is {
			t.Errorf("%s\nwas %s\nis  %s", path, is, got[path])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d things where there were %d", len(got), len(want))
	}
}

// A server is backed up while it is written to, and the machine is lost. By the folder and
// the words alone it is there again: the same of everything, in the same versions; and as of
// a moment in between, what was there then. Before that the verdict says what to expect.
func TestABackupIsBroughtBack(t *testing.T) {
	t.Attr("shows", "backups")
	s := servertest.Start(t, servertest.Config{PlainHTTP: true})
	h := &household{Server: s, t: t, c: s.Client()}
	src := source.Dial(s.Addr(host.Local))
	b := backUp(t, src)
	b.Contents = src
	h.contents = map[string]string{}
	h.lives("attached", 60)
	h.keeps("first", 40)
	first := h.view()
	b.cycle()
	moment := time.Now()
	time.Sleep(time.Until(moment.Truncate(time.Second).Add(time.Second))) // moments are told apart by the second
	h.keeps("first", 60)
	h.keeps("second", 30)
	now := h.view()
	b.cycle()
	want, _, err := src.Summarize(t.Context(), time.Now())
	if err = errors.Join(err, b.Stop(), s.Stop()); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	r := bring(t, b.words(), "--from", b.from, "--verdict")
	took := time.Since(began)
	var v struct {
		Records  int      `json:"records"`
		Accounts []string `json:"accounts"`
		Yes      bool     `json:"yes"`
		Version  string   `json:"version"`
	}
	r.get(t, "verdict", &v)
	if r.code != 0 || !v.Yes || !slices.Equal(v.Accounts, []string{servertest.Owner}) || v.Records == 0 || v.Version != "1.2.3" {
		t.Errorf("the verdict: %s", r)
	}
	dir := t.TempDir()
	for name, c := range map[string]struct {
		to   []string
		want map[string]string
	}{
		"newest":  {nil, now},
		"earlier": {[]string{"--to", moment.Format(time.RFC3339)}, first},
	} {
		into := filepath.Join(dir, name)
		if name == "earlier" { // an empty folder will do
			if err := os.Mkdir(into, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		r := bring(t, b.words(), append([]string{"--from", b.from, "--into", into, "--yes"}, c.to...)...)
		var done struct {
			Lines, Records, Attachments int
		}
		r.get(t, "done", &done)
		if r.code != 0 || done.Records == 0 || done.Lines == 0 || done.Attachments < 2 {
			t.Fatalf("%s: %s", name, r)
		}
		if name == "newest" {
			sum, err := storage.SummarizeFile(t.Context(), filepath.Join(into, "data.db"), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range []changelog.Kind{changelog.Object, changelog.List, changelog.Owner, changelog.Floor, changelog.Former} {
				if want.Of(k) != sum.Of(k) {
					t.Errorf("%s: %v became %v", k, want.Of(k), sum.Of(k))
				}
			}
		}
		if sameView(t, c.want, served(t, into)); t.Failed() {
			t.Fatalf("%s: %s", name, r)
		}
	}
	if found, err := filepath.Glob(filepath.Join(dir, "*.restoring-*")); err != nil || len(found) > 0 {
		t.Errorf("left beside it: %q %v", found, err)
	}
	if r := bring(t, b.words(), "--from", b.from, "--into", filepath.Join(dir, "newest"), "--yes"); r.code != 2 || r.failed() != "restore-occupied" {
		t.Errorf("into a folder that holds something: %s", r)
	}
	fmt.Fprintf(os.Stderr, "SHOW a backup brought back by its words: %d answers of the API the same, %d as of a moment before; the verdict took %.2f s (aim: 5)\n", len(now), len(first), took.Seconds())
}

// What was only lent does not come back: sessions, invitations, reset links, claim codes, and
// passwords of apps unless they are asked for. Passwords do.
func TestWhatWasLentDoesNotComeBack(t *testing.T) {
	t.Attr("shows", "backups")
	s := servertest.Start(t, servertest.Config{PlainHTTP: true}) // makes the owner
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	open := func(data string) (*storage.SQLite, *people.People) {
		db := openStore(t, filepath.Join(data, "data.db"))
		return db, people.New(db, config.NewKinto(nil), data, slog.New(slog.DiscardHandler))
	}
	db, ps := open(s.Data)
	here := people.From{Address: "192.0.2.1"}
	cookie, err := ps.SignIn(t.Context(), servertest.Owner, servertest.Password, here, "a browser", "")
	if err != nil {
		t.Fatal(err)
	}
	who, _, err := ps.Session(t.Context(), cookie)
	if err != nil || who == nil {
		t.Fatal(who, err)
	}
	app, err := ps.NewApp(t.Context(), servertest.Owner, "a telephone")
	if err != nil {
		t.Fatal(err)
	}
	invitation, err := ps.Invite(t.Context(), who, "paul", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, fact := range []string{"auth.claim.offer", "auth.claim.guesses"} {
		if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.SetMeta(fact, []byte("{}")) }); err != nil {
			t.Fatal(err)
		}
	}
	b := backUp(t, db)
	b.cycle()
	for _, apps := range []bool{false, true} {
		into := filepath.Join(t.TempDir(), "back")
		args := []string{"--from", b.from, "--into", into, "--yes"}
		if apps {
			args = append(args, "--app-passwords")
		}
		r := bring(t, b.words(), args...)
		var done struct{ Compared bool }
		if r.get(t, "done", &done); r.code != 0 || !done.Compared {
			t.Fatalf("%s", r)
		}
		for _, fact := range []string{"auth.claim.offer", "auth.claim.guesses", "auth.invitations"} {
			if got, err := storage.Meta(t.Context(), filepath.Join(into, "data.db"), fact); err != nil || got != "" {
				t.Errorf("%s is %q, %v", fact, got, err)
			}
		}
		s := servertest.Start(t, servertest.Config{PlainHTTP: true, Data: into})
		status := func(password string) int {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/buckets", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(servertest.Owner, password)
			resp, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		want := http.StatusUnauthorized
		if apps {
			want = http.StatusOK
		}
		if got := status(app); got != want {
			t.Errorf("with app passwords %v, one is answered %d", apps, got)
		}
		if got := status(servertest.Password); got != http.StatusOK {
			t.Errorf("the password is answered %d", got)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		_, ps := open(into)
		if who, _, err := ps.Session(t.Context(), cookie); who != nil || err != nil {
			t.Errorf("the session is %+v's, %v", who, err)
		}
		if _, err := ps.SignIn(t.Context(), servertest.Owner, servertest.Password, here, "a browser", ""); err != nil {
			t.Errorf("signing in: %v", err)
		}
		if _, err := ps.Join(t.Context(), invitation, "paul", people.Secret{Password: "a long enough one"}, "", ""); err == nil {
			t.Error("an invitation of before the backup lets somebody in")
		}
	}
	if _, err := ps.Join(t.Context(), invitation, "paul", people.Secret{Password: "a long enough one"}, "", ""); err != nil {
		t.Errorf("where it was made, it does: %v", err)
	}
}

// Whatever is wrong is said by its name, and nothing is left, or touched.
func TestWhatCannotBeBroughtBack(t *testing.T) {
	t.Attr("shows", "backups")
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	fill(t, db, 2000, 100)
	b := backUp(t, db)
	b.cycle()
	other, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	swapped := strings.Fields(b.words())
	for i := range swapped[1:] { // until the order matters
		if swapped[i] != swapped[i+1] {
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			break
		}
	}
	copied := func(spoil func(dir string)) string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(b.from)); err != nil {
			t.Fatal(err)
		}
		spoil(dir)
		return dir
	}
	object := func(dir, name string) string {
		found, err := filepath.Glob(filepath.Join(dir, "*", name))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		return found[0]
	}
	flip := func(name string) func(dir string) {
		return func(dir string) {
			path := object(dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[len(text)/2] ^= 1
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	parent := t.TempDir()
	into := filepath.Join(parent, "back")
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		words, from, into string
		more              []string
		exit              int
		code              string
	}{
		"a word that is none":       {b.words() + "x", b.from, into, nil, 1, "kit-word-unknown"},
		"eleven words":              {strings.Join(swapped[1:], " "), b.from, into, nil, 1, "kit-words-number"},
		"words of another kit":      {strings.Join(other.Words(hint.EN), " "), b.from, into, nil, 1, "backup-wrong-key"},
		"an empty place":            {b.words(), t.TempDir(), into, nil, 1, "backup-none"},
		"a place that is not there": {b.words(), filepath.Join(parent, "none"), into, nil, 1, "target-away"},
		"damaged keys":              {b.words(), copied(flip("key.1")), into, nil, 1, "backup-damaged"},
		"a damaged base":            {b.words(), copied(flip("0000000001.seg")), into, nil, 1, "backup-damaged"},
		"a missing base":            {b.words(), copied(func(dir string) { os.Remove(object(dir, "0000000001.seg")) }), into, nil, 1, "backup-none"},
		"a folder that is full":     {b.words(), b.from, full, nil, 2, "restore-occupied"},
		"a file":                    {b.words(), b.from, filepath.Join(full, "precious"), nil, 2, "restore-occupied"},
		"a folder below none":       {b.words(), b.from, filepath.Join(parent, "none", "back"), nil, 1, "target-readonly"},
		"before there was a backup": {b.words(), b.from, into, []string{"--to", "2001-02-03 04:05"}, 2, "restore-too-early"},
		"no moment":                 {b.words(), b.from, into, []string{"--to", "soon"}, 2, "usage"},
		"another chain":             {b.words(), b.from, into, []string{"--chain", "0123"}, 2, "restore-several"},
		"nobody to ask":             {b.words(), b.from, into, []string{"--yes=false"}, 2, "yes-needed"},
		"no words":                  {"", b.from, into, nil, 1, "kit-words-number"},
	} {
		t.Run(name, func(t *testing.T) {
			r := bring(t, c.words, append([]string{"--from", c.from, "--into", c.into, "--yes"}, c.more...)...)
			if r.code != c.exit || r.failed() != c.code {
				t.Errorf("want exit code %d and %s: %s", c.exit, c.code, r)
			}
			for word := range strings.FieldsSeq(c.words) {
				if strings.Contains(" "+strings.ReplaceAll(r.out+r.said, "”", " ")+" ", "“"+word+" ") {
					t.Errorf("it says the word %s: %s", word, r)
				}
			}
			if names := left(t, parent); len(names) > 0 {
				t.Errorf("left: %q", names)
			}
			if names := left(t, full); !slices.Equal(names, []string{"precious"}) {
				t.Errorf("in the folder that was full is %q", names)
			}
		})
	}
	// A chain of another machine beside it, by the same words: one is chosen.
	db2 := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	fill(t, db2, 10, 100)
	was := b.Keys.Chain.ID
	b.begin(db2)
	b.cycle()
	if r := bring(t, b.words(), "--from", b.from, "--into", into, "--yes"); r.code != 2 || r.failed() != "restore-several" || !strings.Contains(r.said, was[:8]) {
		t.Errorf("two chains: %s", r)
	}
	r := bring(t, b.words(), "--from", b.from, "--into", into, "--yes", "--chain", was[:8])
	var done struct{ Records int }
	if r.get(t, "done", &done); r.code != 0 || done.Records != 2000 {
		t.Errorf("the first of two chains: %s", r)
	}
}

// While one restore works another is refused. Killed at any moment, while it loads and at
// the end, it leaves no folder or a whole one; the next run clears away what is left.
func TestRestoreIsKilled(t *testing.T) {
	t.Attr("shows", "backups")
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	records, times := 20_000, 25
	if watched {
		records, times = 2_000, 4
	}
	fill(t, db, records, 200)
	b := backUp(t, db)
	b.cycle()
	want, _, err := db.Summarize(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	into := filepath.Join(dir, "back")
	whole := func() bool {
		if left(t, into) == nil {
			return false
		}
		sum, err := storage.SummarizeFile(t.Context(), filepath.Join(into, "data.db"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []changelog.Kind{changelog.Object, changelog.List, changelog.Owner, changelog.Note, changelog.File, changelog.Floor, changelog.Former} {
			if want.Of(k) != sum.Of(k) {
				t.Fatalf("what is there is not whole: of %s, %v became %v", k, want.Of(k), sum.Of(k))
			}
		}
		if got := sum.Of(changelog.Meta).Lines; got != want.Of(changelog.Meta).Lines+1 { // what was lost
			t.Fatalf("what is there is not whole: %d facts", got)
		}
		return true
	}
	began := time.Now()
	if r := bring(t, b.words(), "--from", b.from, "--into", into, "--yes"); r.code != 0 || !whole() {
		t.Fatal(r)
	}
	took := time.Since(began)
	kills, loads, ends := 0, 0, 0
	for range times {
		if err := os.RemoveAll(into); err != nil {
			t.Fatal(err)
		}
		cmd := foyerCommand(t, "restore", "--json", "--from", b.from, "--into", into, "--yes")
		cmd.Stdin = strings.NewReader(b.words() + "\n")
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(took + took/8))))
		if cmd.Process.Kill() == nil {
			kills++
		}
		cmd.Wait() //nolint:errcheck // it was killed
		if whole() {
			ends++
		} else if found, _ := filepath.Glob(into + ".restoring-*"); len(found) > 0 {
			loads++
		}
	}
	if err := os.RemoveAll(into); err != nil {
		t.Fatal(err)
	}
	if r := bring(t, b.words(), "--from", b.from, "--into", into, "--yes"); r.code != 0 || !whole() {
		t.Fatal(r)
	}
	if names := left(t, dir); !slices.Equal(names, []string{"back"}) {
		t.Errorf("left: %q", names)
	}
	fmt.Fprintf(os.Stderr, "SHOW a restore killed %d times: %d times before there was a folder, with something left beside it; %d times it was whole; half of one never\n", kills, loads, ends)
}

// lentContents gives contents as a backup does.
type lentContents map[string]string

func (c lentContents) Attachment(_ context.Context, hash string, _ int64) (io.ReadCloser, error) {
	text, ok := c[hash]
	if !ok {
		return nil, target.ErrNotFound
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// Contents of attachments that records refer to come back, each as what it was; those nobody
// refers to any more are not asked for.
func TestAttachmentsAreBroughtBack(t *testing.T) {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	data := t.TempDir()
	db, err := storage.Open(t.Context(), filepath.Join(data, "data.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 1, 100)
	l := kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	if err := db.Write(t.Context(), []kinto.List{l}, func(tx kinto.Tx) error {
		found, _, err := tx.Select(l, kinto.Everything())
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%v %w", found, err)
		}
		return tx.Attach(l, found[0].ID, &kinto.File{Location: "attachments/x", Hash: hash("a picture"), Size: 9, Type: "text/plain", Name: "a"})
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	told := []backup.Attachment{{Hash: hash("a picture"), Size: 9}, {Hash: hash("gone"), Size: 4}}
	if n, err := bringAttachments(t.Context(), lentContents{hash("a picture"): "a picture"}, data, told); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if text, err := os.ReadFile(filepath.Join(data, "attachments", told[0].Hash[:2], told[0].Hash)); err != nil || string(text) != "a picture" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := bringAttachments(t.Context(), lentContents{hash("a picture"): "another"}, data, told); hint.Find(err) == nil || hint.Find(err).Code != "backup-damaged" {
		t.Errorf("other contents: %v", err)
	}
	if _, err := bringAttachments(t.Context(), lentContents{}, data, told); !errors.Is(err, target.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}

// Moments are told in a person's own time; a day is its end.
func TestMoments(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Skip("no time zones here: ", err)
	}
	now := time.Date(2027, 3, 29, 9, 0, 0, 0, paris) // the day after the clocks went forward
	for text, want := range map[string]string{
		"":                          "0001-01-01T00:00:00Z",
		"2027-03-01":                "2027-03-01T23:59:59+01:00",
		"2027-03-28":                "2027-03-28T23:59:59+02:00",
		"2027-03-01 18:00":          "2027-03-01T18:00:00+01:00",
		"2027-03-01 18:00:07":       "2027-03-01T18:00:07+01:00",
		"yesterday 18:00":           "2027-03-28T18:00:00+02:00",
		"Hier":                      "2027-03-28T23:59:59+02:00",
		"today 07:30":               "2027-03-29T07:30:00+02:00",
		"2027-03-01T18:00:00Z":      "2027-03-01T18:00:00Z",
		"2027-03-01T18:00:00-05:00": "2027-03-01T18:00:00-05:00",
		"soon":                      "",
		"2027-02-30":                "",
		"2027-03-01 25:00":          "",
		"18:00":                     "",
	} {
		r := restoring{typing: typing{app: &app{}}, to: text}
		got, err := r.moment(now)
		if (err != nil) != (want == "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q is %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
}

// What was loaded and is not what the backup says it is becomes no folder; a second restore
// into it is refused while the first works; a backup of a newer schema is told of.
func TestARestoreIsHeldToWhatTheBackupSays(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	fill(t, db, 100, 100)
	b := backUp(t, db)
	b.cycle()
	at, err := target.ReadFolder(t.Context(), b.from)
	if err != nil {
		t.Fatal(err)
	}
	chains, err := backup.Open(t.Context(), at, b.kit)
	if err != nil {
		t.Fatal(err)
	}
	found, err := chains[0].Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	point, err := pick(found, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	code := func(err error) string {
		if e := hint.Find(err); e != nil {
			return e.Code
		}
		return fmt.Sprint(err)
	}
	work := restore.Restore{Backup: found, Point: point, Into: filepath.Join(dir, "back")}
	second := work
	second.Load = func(context.Context, string, time.Time, io.Reader) (*changelog.Summary, error) {
		t.Error("two work at once")
		return nil, errors.New("two work at once")
	}
	work.Load = func(_ context.Context, data string, _ time.Time, lines io.Reader) (*changelog.Summary, error) {
		if _, err := second.Run(t.Context()); code(err) != "restore-under-way" {
			t.Errorf("a second restore: %v", err)
		}
		if _, err := io.Copy(io.Discard, lines); err != nil {
			return nil, err
		}
		return &changelog.Summary{}, os.Mkdir(data, 0o700)
	}
	if _, err := work.Run(t.Context()); code(err) != "restore-differs" {
		t.Errorf("data that are others: %v", err)
	}
	if names := left(t, dir); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
	v, err := restore.Judge(chains[0].ID, found, point, restore.Here{Schema: storage.Schema() - 1})
	if code(err) != "restore-newer" || v.Yes || v.Records != 100 {
		t.Errorf("a newer schema: %+v %v", v, err)
	}
}
