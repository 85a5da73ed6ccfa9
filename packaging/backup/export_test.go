//go:build e2e && linux

package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// restore brings the newest point back from a folder, by the words, and returns where it is now.
func (f *foyer) restore(from string) string {
	f.t.Helper()
	dir, err := os.MkdirTemp(f.dir, "restored-")
	if err != nil {
		f.t.Fatal(err)
	}
	into := filepath.Join(dir, "data")
	program(f.t, f.words+"\n", nil, os.Getenv("FOYER_E2E_BINARY"), "restore", "--from", from, "--into", into, "--yes", "--json")
	return into
}

// command runs a command of the Foyer that runs.
func (f *foyer) command(args ...string) string {
	f.t.Helper()
	_, _, out := program(f.t, "", nil, os.Getenv("FOYER_E2E_BINARY"), append([]string{"--run", filepath.Join(f.dir, "run")}, args...)...)
	return out
}

// attach attaches a file to a record of a list of its own.
func (f *foyer) attach(id, text string) {
	f.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("attachment", "letter.txt")
	if err == nil {
		_, err = io.WriteString(part, text)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.must(http.MethodPut, "/v1/buckets/b/collections/files", nil)
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url+"/v1/buckets/b/collections/files/records/"+id+"/attachment", &body)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	if status, got, err := f.send(req); err != nil || status >= 300 {
		f.t.Fatalf("attaching: %d %.500s, %v", status, got, err)
	}
}

// export is all there is behind the API, as the owner sees it: each list with what was deleted in it,
// each object, and the contents of attachments.
func (f *foyer) export() map[string]string {
	f.t.Helper()
	out := map[string]string{}
	ids := func(path, all string) (found []string) {
		text := f.must(http.MethodGet, path+all, nil)
		out[path] = string(text)
		var list struct {
			Data []struct {
				ID      string
				Deleted bool
			}
		}
		if err := json.Unmarshal(text, &list); err != nil {
			f.t.Fatal(err)
		}
		for _, o := range list.Data {
			one := path + "/" + o.ID
			if o.Deleted {
				continue
			}
			text := f.must(http.MethodGet, one, nil)
			out[one] = string(text)
			found = append(found, one)
			var record struct {
				Data struct{ Attachment struct{ Location string } }
			}
			if json.Unmarshal(text, &record) != nil || record.Data.Attachment.Location == "" {
				continue
			}
			at, err := url.Parse(record.Data.Attachment.Location)
			if err != nil {
				f.t.Fatal(err)
			}
			sum := sha256.Sum256(f.must(http.MethodGet, at.Path, nil))
			out[at.Path] = hex.EncodeToString(sum[:])
		}
		return found
	}
	for _, b := range ids("/v1/buckets", "") {
		ids(b+"/groups", "?_since=0")
		for _, c := range ids(b+"/collections", "?_since=0") {
			ids(c+"/records", "?_since=0")
		}
	}
	ids("/v1/accounts", "")
	return out
}

func digest(export map[string]string) string {
	sum := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(export)) {
		fmt.Fprintf(sum, "%q %q\n", path, export[path])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// same has the newest point served by a Foyer of its own, and compares what it has with what the one
// that made the backup serves. Nobody writes. It returns the digest of both.
func (f *foyer) same(t *testing.T, into string) string {
	t.Helper()
	before := f.export()
	dir := home(t)
	other := foyerAt(t, dir, places{data: into}, map[string]string{"backup.to": ""})
	other.start()
	after := other.export()
	other.stop()
	if digest(before) != digest(after) {
		for path, was := range before {
			if after[path] != was {
				t.Errorf("%s\nwas %.300s\nis  %.300s", path, was, after[path])
			}
		}
		t.Errorf("%d things came back, and there were %d", len(after), len(before))
	}
	return digest(after)
}
