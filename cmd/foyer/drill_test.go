//go:build !windows

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/source"
)

// drilled is a backup, and a folder to make drills of it in.
type drilled struct {
	t    *testing.T
	dir  string
	keys string
	from string // folder of the backup
	data string
	said bool
}

// drills is for drills of a backup, or of a copy of it.
func (b *backups) drills(data string) *drilled {
	return &drilled{t: b.t, dir: filepath.Join(b.t.TempDir(), "drill"), keys: b.Dir, from: b.from, data: data}
}

// copied is the same of a copy of the backup, in a folder of its own, that somebody spoils.
func (d drilled) copied(t *testing.T, spoil func(dir string)) *drilled {
	t.Helper()
	d.t, d.dir = t, filepath.Join(t.TempDir(), "drill")
	from := t.TempDir()
	if err := os.CopyFS(from, os.DirFS(d.from)); err != nil {
		t.Fatal(err)
	}
	d.from = from
	d.ask() // what is a target then is not one any more, perhaps
	spoil(from)
	return &d
}

func (d *drilled) ask() {
	d.t.Helper()
	identity, err := target.PrepareFolder(d.t.Context(), d.from, target.FolderOptions{Data: d.t.TempDir(), SameDisk: true})
	if err == nil {
		err = drill.Ask(d.dir, drill.Request{Target: identity, Keys: d.keys, Data: d.data, Said: d.said})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// command is the drill, which is not to know of a server's settings.
func (d *drilled) command() *exec.Cmd {
	cmd := foyerCommand(d.t, "drill", d.dir, "--json")
	cmd.Env = append(cmd.Env, "FOYER_DATABASE=postgres://nowhere.invalid/foyer", "FOYER_DATA="+d.data, "KINTO_PLURAL_RECORD_GET_ENABLED=false")
	return cmd
}

// run makes the drill that was asked for. What is said of it, by its output and to who
// looks, is the same, and nothing else is left.
func (d *drilled) run() drill.Outcome {
	d.t.Helper()
	cmd := d.command()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			d.t.Fatal(err)
		}
	}
	o := d.outcome()
	if o == nil {
		d.t.Fatalf("nothing came of it: %s%s", &out, &said)
	}
	var told struct {
		Error  string
		Proven *report.Proven
	}
	if err := json.Unmarshal(out.Bytes(), &told); err != nil {
		d.t.Errorf("%s: %v", &out, err)
	}
	switch code := cmd.ProcessState.ExitCode(); {
	case o.Problem != nil && (code != 1 || told.Error != o.Problem.Code || o.Problem.What.FR == "" || o.Problem.Do.FR == ""),
		o.Proven != nil && (code != 0 || told.Proven == nil || *told.Proven != *o.Proven):
		d.t.Errorf("exit code %d: %s%s", code, &out, &said)
	}
	return *o
}

// outcome is what came of it. Nothing else is left.
func (d *drilled) outcome() *drill.Outcome {
	d.t.Helper()
	_, out, running, err := drill.Look(d.dir)
	if err != nil || running {
		d.t.Fatalf("running: %v, %v", running, err)
	}
	if names := left(d.t, d.dir); out != nil && !slices.Equal(names, []string{"drill.lock", "result.json"}) {
		d.t.Errorf("left: %q", names)
	}
	return out
}

// code is that of the problem of a drill.
func (d *drilled) code() string {
	d.t.Helper()
	o := d.run()
	if o.Problem == nil {
		d.t.Fatalf("it worked: %+v", o.Proven)
	}
	return o.Problem.Code
}

// family is a server in use, with everything that it can keep, and its backup.
func family(t *testing.T) (*household, *source.Source, *backups) {
	t.Helper()
	s := servertest.Start(t, servertest.Config{PlainHTTP: true, Settings: func(set *config.Settings) {
		set.Kinto = config.NewKinto(map[string]string{"includes": "kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.history kinto_attachment"})
	}})
	h := &household{Server: s, t: t, c: s.Client(), contents: map[string]string{}}
	src := source.Dial(s.Addr(host.Local))
	b := backUp(t, src)
	b.Contents = src
	h.lives("attached", 20)
	h.keeps("kept", 20)
	h.do(http.MethodPut, "/v1/buckets/kept/groups/friends", `{"data":{"members":["account:paul"]}}`)
	h.do(http.MethodPut, "/v1/accounts/paul", `{"data":{"password":"a long enough one"}}`)
	h.do(http.MethodPut, "/v1/buckets/gone", "")
	h.do(http.MethodPut, "/v1/buckets/gone/collections/c", "")
	h.do(http.MethodDelete, "/v1/buckets/gone", "")
	b.cycle()
	return h, src, b
}

// A drill restores what a family has, opens it with this Foyer, and reads it as their apps do: as much
// as there is. Nothing of it stays, and nothing of the settings of the server counts. It tells whether the data that are served were
// within its reach. Where something is wrong with the backup, its name is told.
func TestADrill(t *testing.T) {
	t.Attr("shows", "backups")
	h, src, b := family(t)
	sum, _, err := src.Summarize(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := report.Proven{Compared: true, Version: version}
	kinds := map[string]bool{}
	for _, l := range sum.Lists() {
		kinds[l.Of] = true
		switch l.Of {
		case "record":
			want.Records += l.Live
		case "account":
			want.People += l.Live
		}
		if l.Of != "account" || l.Parent != "" {
			want.Lists++
		}
	}
	if err := src.Files(t.Context(), func(string, int64) error { want.Attachments++; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(kinds) < 6 || want.Records == 0 || want.People != 2 || want.Attachments < 2 {
		t.Fatalf("this shows too little: %v, %+v", kinds, want)
	}
	d := b.drills(h.Data)
	proven := func(confined, compared bool) *report.Proven {
		t.Helper()
		d.ask()
		began := time.Now()
		o := d.run()
		if o.Proven == nil {
			t.Fatalf("%+v", o.Problem)
		}
		got := *o.Proven
		if got.Seconds <= 0 || got.At.Before(began) || got.At.After(time.Now()) || got.Moment.IsZero() || got.Moment.After(got.At) {
			t.Errorf("%+v", got)
		}
		want.At, want.Moment, want.Seconds, want.Confined, want.Compared = got.At, got.Moment, got.Seconds, confined, compared
		if got != want {
			t.Errorf("%+v\nwant %+v", got, want)
		}
		return &got
	}
	first := proven(false, true)
	// The newest point, and one of which the machine has not said what it comes to.
	h.do(http.MethodPut, "/v1/buckets/kept/collections/c1/records/last", `{"data":{"n":1}}`)
	b.cycle()
	want.Records++
	d.data = filepath.Join(t.TempDir(), "none")
	if again := proven(true, false); again.Moment.Before(first.Moment.Truncate(time.Second)) {
		t.Errorf("of %s, then of %s", first.Moment, again.Moment)
	}
	// The newest of which it has.
	want.Records--
	d.said = true
	proven(true, true)
	d.said = false
	want.Records++
	fmt.Fprintf(os.Stderr, "SHOW a drill: a backup restored, opened by this Foyer and read as an app does in %.1f s: %d records, %d accounts, %d attachments, %d lists, and nothing of it left; without a way to the data that are served it says so\n", first.Seconds, first.Records, first.People, first.Attachments, first.Lists)
	if err := errors.Join(b.Stop(), h.Stop()); err != nil {
		t.Fatal(err)
	}

	at := func(dir string, of ...string) []string {
		found, err := filepath.Glob(filepath.Join(append([]string{dir, b.Keys.Chain.ID}, of...)...))
		if err != nil || len(found) == 0 {
			t.Fatal(found, err)
		}
		return found
	}
	flip := func(path string) {
		text, err := os.ReadFile(path)
		if err == nil {
			text[len(text)/2] ^= 1
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	newest := func(dir string) string { all := at(dir, "*.seg"); return all[len(all)-1] }
	codes := map[string]bool{}
	for name, c := range map[string]struct {
		spoil func(dir string)
		code  string
	}{
		"a flipped byte in the newest object": {func(dir string) { flip(newest(dir)) }, "backup-damaged"},
		"a flipped byte in the base":          {func(dir string) { flip(at(dir, "0000000001.seg")[0]) }, "backup-damaged"},
		"a missing base":                      {func(dir string) { os.Remove(at(dir, "0000000001.seg")[0]) }, "backup-missing"},
		"a missing attachment":                {func(dir string) { os.Remove(at(dir, "b", "*")[0]) }, "backup-missing"},
		"a flipped byte in an attachment":     {func(dir string) { flip(at(dir, "b", "*")[0]) }, "backup-damaged"},
		"nothing that the words open":         {func(dir string) { os.Remove(at(dir, "key.1")[0]) }, "backup-keys-missing"},
		"no objects":                          {func(dir string) { os.RemoveAll(at(dir)[0]); os.Mkdir(filepath.Join(dir, b.Keys.Chain.ID), 0o700) }, "backup-keys-missing"},
		"a folder that is away":               {func(dir string) { os.RemoveAll(dir) }, "target-away"},
		"another folder":                      {func(dir string) { os.Remove(filepath.Join(dir, "foyer-target.json")) }, "target-other"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := d.copied(t, c.spoil).code(); got != c.code {
				t.Errorf("it says %s, want %s", got, c.code)
			}
			codes[c.code] = true
		})
	}
	t.Run("no keys", func(t *testing.T) {
		d := d.copied(t, func(string) {})
		d.keys = t.TempDir()
		d.ask()
		if got := d.code(); got != "backup-keys-missing" {
			t.Errorf("it says %s", got)
		}
	})
	fmt.Fprintf(os.Stderr, "SHOW drills of backups that somebody spoiled: each says what is wrong (%d codes), and leaves nothing\n", len(codes))
}

// lying is a source that is wrong about what everything comes to.
type lying struct{ changelog.Source }

func (l lying) Summarize(ctx context.Context, notes time.Time) (*changelog.Summary, changelog.Position, error) {
	sum, at, err := l.Source.Summarize(ctx, notes)
	if err == nil {
		one := changelog.Line{Kind: changelog.Object, Parent: "/buckets/b/collections/c", Of: "record", ID: "never", Time: 1, Data: []byte("{}")}
		sum.Add(&one, one.Append(nil))
	}
	return sum, at, err
}

// A backup whose manifest says that there was more than comes back is not proven.
func TestADrillIsHeldToTheManifest(t *testing.T) {
	t.Attr("shows", "backups")
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	fill(t, db, 50, 100)
	b := backUp(t, lying{db})
	b.cycle()
	d := b.drills(t.TempDir())
	d.ask()
	if got := d.code(); got != "restore-differs" {
		t.Errorf("it says %s", got)
	}
}

// What was restored well, and what a server then makes of it is less, or more, or nothing.
func TestADrillReadsWhatIsServed(t *testing.T) {
	t.Attr("shows", "backups")
	h, _, b := family(t)
	if err := errors.Join(b.Stop(), h.Stop()); err != nil {
		t.Fatal(err)
	}
	records := kinto.List{Parent: "/buckets/kept/collections/c1", Kind: kinto.Record}
	changed := func(change func(tx kinto.Tx) error) func(data string) error {
		return func(data string) error {
			db, err := storage.Open(t.Context(), filepath.Join(data, "data.db"), slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			return errors.Join(db.Write(t.Context(), []kinto.List{records}, change), db.Close())
		}
	}
	for name, c := range map[string]struct {
		spoil func(data string) error
		code  string
	}{
		"one record more": {changed(func(tx kinto.Tx) error {
			ts, err := tx.Tick(records, -1)
			if err != nil {
				return err
			}
			return tx.Put(records, &kinto.Object{ID: "more", Timestamp: ts, Data: []byte("{}")}, nil)
		}), "restore-differs"},
		"contents that are not": {func(data string) error { return os.RemoveAll(filepath.Join(data, "attachments")) }, "drill-unread"},
		"a damaged database": {func(data string) error {
			return os.WriteFile(filepath.Join(data, "data.db"), []byte(strings.Repeat("x", 8192)), 0o600)
		}, "drill-unread"},
	} {
		t.Run(name, func(t *testing.T) {
			d := b.drills(t.TempDir())
			d.dir = filepath.Join(shortDir(t), "d")
			d.ask()
			var said lockedBuffer
			a := newApp(strings.NewReader(""), io.Discard, &said, foyerCommand(t).Env)
			onPrinters(&a.console)
			work := drilling{a}.in(d.dir)
			serve := work.Serve
			work.Serve = func(ctx context.Context, data, socket string) (func(error) error, error) {
				if err := c.spoil(data); err != nil {
					t.Error(err)
				}
				return serve(ctx, data, socket)
			}
			got, err := work.Run(t.Context())
			if err != nil || got.Problem == nil || got.Problem.Code != c.code {
				t.Errorf("%+v %+v, %v: %s", got.Proven, got.Problem, err, said.text())
			}
			if kept := d.outcome(); kept == nil || kept.Problem == nil || *kept.Problem != *got.Problem {
				t.Errorf("kept: %+v", kept)
			}
		})
	}
}

// Nobody's folder is touched.
func TestNobodyAskedForADrill(t *testing.T) {
	dir := t.TempDir()
	for name, where := range map[string]string{"nothing asked": dir, "no folder": filepath.Join(dir, "none")} {
		if text, err := foyerCommand(t, "drill", where).CombinedOutput(); err == nil || !strings.Contains(string(text), "[drill-none]") {
			t.Errorf("%s: %v %s", name, err, text)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{filepath.Join(dir, "data"), dir} {
		if err := drill.Ask(dir, drill.Request{Data: data}); err == nil || !strings.Contains(err.Error(), "drill-place") {
			t.Errorf("with the data in %s: %v", data, err)
		}
		text, err := json.Marshal(drill.Request{Data: data})
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "drill.json"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, err := foyerCommand(t, "drill", dir).CombinedOutput(); err == nil || !strings.Contains(string(text), "[drill-place]") {
			t.Errorf("with the data in %s: %v %s", data, err, text)
		}
	}
	if names := left(t, dir); !slices.Equal(names, []string{"data", "drill.json"}) {
		t.Errorf("there are %q", names)
	}
}
