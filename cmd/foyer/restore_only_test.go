//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/supervisor/restore"
	"github.com/foyer-server/foyer/supervisor/source"
)

// brought are the files below a folder, and what is in them.
func brought(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path) // it is below it
		out[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A part of a backup is brought out as files: a bucket, a collection, a record, what a person
// owns, an attachment by its name or address; of now, and of a moment before. Nothing else is.
func TestAPartIsBroughtOut(t *testing.T) {
	t.Attr("shows", "backups")
	s := servertest.Start(t, servertest.Config{PlainHTTP: true})
	h := &household{Server: s, t: t, c: s.Client(), contents: map[string]string{}}
	src := source.Dial(s.Addr(host.Local))
	b := backUp(t, src)
	b.Contents = src
	const c = "/buckets/b/collections/c"
	h.do("PUT", "/v1/buckets/b", `{"data":{"title":"the bucket"}}`)
	h.do("PUT", "/v1/buckets/b/groups/g", `{"data":{"members":["account:ann"]}}`)
	h.do("PUT", "/v1"+c, `{"permissions":{"read":["system.Everyone"]}}`)
	h.do("PUT", "/v1"+c+"/records/plain", `{"data":{"n":1.50},"permissions":{"read":["account:ann"]}}`)
	h.do("PUT", "/v1"+c+"/records/gone", `{"data":{"n":2}}`)
	h.do("DELETE", "/v1"+c+"/records/gone", "")
	h.attach("/v1"+c+"/records/one", "first contents")
	h.attach("/v1"+c+"/records/two", "other contents")
	h.do("PUT", "/v1/buckets/b/collections/d", "")
	h.do("PUT", "/v1/buckets/b/collections/d/records/plain", `{"data":{"n":3}}`)
	h.attach("/v1/buckets/b/collections/d/records/file", "contents elsewhere")
	h.do("PUT", "/v1/buckets/bb", "")
	h.do("PUT", "/v1/buckets/bb/collections/c", "")
	h.do("PUT", "/v1/buckets/bb/collections/c/records/not", `{"data":{"n":4}}`)
	b.cycle()
	moment := time.Now()
	time.Sleep(time.Until(moment.Truncate(time.Second).Add(time.Second)))
	was := h.do("GET", "/v1"+c+"/records/plain", "")
	h.do("PUT", "/v1"+c+"/records/plain", `{"data":{"n":100}}`)
	h.do("DELETE", "/v1"+c+"/records/two", "")
	var one struct {
		Data struct {
			Attachment struct{ Location string }
		}
	}
	if err := json.Unmarshal([]byte(h.do("GET", "/v1"+c+"/records/one", "")), &one); err != nil {
		t.Fatal(err)
	}
	plain := h.do("GET", "/v1"+c+"/records/plain", "")
	b.cycle()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	only := func(what string, args ...string) (map[string]string, restore.Found) {
		t.Helper()
		into := filepath.Join(t.TempDir(), "out")
		r := bring(t, b.words(), append([]string{"--from", b.from, "--into", into, "--only", what}, args...)...)
		var found restore.Found
		if r.code != 0 {
			t.Fatalf("%s: %s", what, r)
		}
		r.get(t, "only", &found)
		return brought(t, into), found
	}
	const files, at = "buckets/b/collections/c/files/", "buckets/b/collections/c/"
	for _, w := range []struct {
		what  string
		args  []string
		names []string
		has   map[string]string
	}{
		{c + "/records/plain", nil, []string{at + "records.json", at + "records.permissions.json"}, map[string]string{at + "records.json": `"n":100`}},
		{c + "/records/plain", []string{"--to", moment.Format(time.RFC3339)}, []string{at + "records.json", at + "records.permissions.json"}, map[string]string{at + "records.json": `"n":1.50`, at + "records.permissions.json": "account:ann"}},
		{"/v1" + c + "/records/two", []string{"--to", moment.Format(time.RFC3339)}, []string{files + "a.txt", at + "records.json", at + "records.permissions.json"}, map[string]string{files + "a.txt": "other contents", at + "records.json": `"location":"files/a.txt"`}},
		{c, nil, []string{"buckets/b/collections.json", "buckets/b/collections.permissions.json", files + "a.txt", at + "records.json", at + "records.permissions.json"}, map[string]string{files + "a.txt": "first contents"}},
		{"a.txt", nil, []string{files + "a.txt", at + "records.json", at + "records.permissions.json", "buckets/b/collections/d/files/a.txt", "buckets/b/collections/d/records.json", "buckets/b/collections/d/records.permissions.json"}, map[string]string{"buckets/b/collections/d/files/a.txt": "contents elsewhere"}},
		{"a.txt", []string{"--to", moment.Format(time.RFC3339)}, nil, map[string]string{files + "a (2).txt": "contents"}},
		{one.Data.Attachment.Location, nil, []string{files + "a.txt", at + "records.json", at + "records.permissions.json"}, map[string]string{files + "a.txt": "first contents"}},
		{"/buckets/b", nil, nil, map[string]string{"buckets.json": "the bucket", "buckets/b/groups.json": "account:ann", at + "records.json": `"n":100`, "buckets/b/collections/d/records.json": `"n":3`}},
		{"person " + servertest.Owner, nil, nil, map[string]string{"account.json": servertest.Owner, at + "records.json": `"n":100`, "buckets/bb/collections/c/records.json": `"n":4`}},
	} {
		got, found := only(w.what, w.args...)
		names := []string{}
		for name, text := range got {
			names = append(names, name)
			if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
				t.Errorf("%s: %s is no JSON: %s", w.what, name, text)
			}
			if strings.Contains(text, "password") || strings.Contains(text, "foyer-attachment:") {
				t.Errorf("%s: %s: %s", w.what, name, text)
			}
			if !strings.HasPrefix(w.what, "person") && strings.Contains(name, "bb") {
				t.Errorf("%s brings %s", w.what, name)
			}
		}
		slices.Sort(names)
		if want := slices.Sorted(slices.Values(w.names)); w.names != nil && !slices.Equal(names, want) {
			t.Errorf("%s %q: %q, want %q", w.what, w.args, names, want)
		}
		for name, has := range w.has {
			if !strings.Contains(got[name], has) {
				t.Errorf("%s %q: %s is %q, want %s", w.what, w.args, name, got[name], has)
			}
		}
		if found.Nothing() || strings.Contains(got[at+"records.json"], "deleted") {
			t.Errorf("%s: %+v %s", w.what, found, got[at+"records.json"])
		}
	}
	// What comes out is what the API said.
	for to, said := range map[string]string{"": plain, moment.Format(time.RFC3339): was} {
		var api struct{ Data any }
		var out []any
		got, _ := only(c+"/records/plain", "--to", to)
		if err := json.Unmarshal([]byte(said), &api); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(got[at+"records.json"]), &out); err != nil || len(out) != 1 || fmt.Sprint(out[0]) != fmt.Sprint(api.Data) {
			t.Errorf("%v, and the API said %v", out, api.Data)
		}
	}
	// Nothing of that leaves nothing; nonsense is told.
	for what, want := range map[string]string{
		"/buckets/none": "restore-nothing", c + "/records/gone": "restore-nothing", "person nobody": "restore-nothing", "none.txt": "restore-nothing", "/buckets/b/x": "usage", "/buckets/": "usage",
	} {
		dir := t.TempDir()
		r := bring(t, b.words(), "--from", b.from, "--into", filepath.Join(dir, "out"), "--only", what)
		if r.failed() != want || r.code == 0 || want == "restore-nothing" && r.code != 1 || len(left(t, dir)) > 0 {
			t.Errorf("%s: %s, left %q", what, r, left(t, dir))
		}
	}
	// All versions of a record, the oldest first.
	r := bring(t, b.words(), "--from", b.from, "--only", c+"/records/plain", "--versions")
	var seen []string
	for _, l := range r.lines {
		var v struct{ N json.Number }
		if err := json.Unmarshal(l["data"], &v); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, v.N.String())
	}
	if r.code != 0 || !slices.Equal(seen, []string{"1.50", "100"}) {
		t.Errorf("versions %q: %s", seen, r)
	}
	for what, want := range map[string]string{c + "/records/never": "restore-nothing", c: "usage"} {
		if r := bring(t, b.words(), "--from", b.from, "--only", what, "--versions"); r.failed() != want {
			t.Errorf("versions of %s: %s", what, r)
		}
	}
	fmt.Fprintf(os.Stderr, "SHOW a bucket, a collection, a record, a person and attachments by name and address brought out of a backup as files, of now and of a moment before, and nothing else\n")
}

// The name of a file leads nowhere, is told from others by people, and is taken once.
func TestNamesOfFilesThatAreBroughtOut(t *testing.T) {
	t.Attr("shows", "backups")
	names := fileNames{}
	for _, c := range []struct{ name, want string }{
		{"photo.jpg", "photo.jpg"},
		{"photo.jpg", "photo (2).jpg"},
		{"PHOTO.JPG", "PHOTO (3).JPG"},
		{"photo (2).jpg", "photo (2) (2).jpg"},
		{"../../etc/passwd", "passwd"},
		{`C:\windows\a.txt`, "a.txt"},
		{"..", "file"},
		{"", "file (2)"},
		{".profile", "profile"},
		{"a\x00\n\x1b[31mb\u202ecod.exe", "a[31mbcod.exe"},
		{"a/", "file (3)"},
		{"what?*<>.", "what____"},
		{strings.Repeat("é", 400) + ".txt", strings.Repeat("é", 88) + ".txt"},
		{"été.txt", "été.txt"},
	} {
		if got := names.free(c.name); got != c.want {
			t.Errorf("%q became %q, want %q", c.name, got, c.want)
		}
	}
}
