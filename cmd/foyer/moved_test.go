//go:build !windows

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/supervisor/source"
)

// household is what people do over HTTP.
type household struct {
	*servertest.Server
	t *testing.T
	c *http.Client

	mu       sync.Mutex
	contents map[string]string // of attachments, by hash
}

// ask asks something as the owner, and returns the status, the headers that say which version
// something is, and the body.
func (h *household) ask(method, path, kind, body string) (status int, version, text string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Error(err)
		return 0, "", ""
	}
	req.Header.Set("Content-Type", kind)
	req.SetBasicAuth(servertest.Owner, servertest.Password)
	resp, err := h.c.Do(req)
	if err != nil {
		h.t.Error(err)
		return 0, "", ""
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Error(err)
	}
	return resp.StatusCode, resp.Header.Get("ETag") + " " + resp.Header.Get("Last-Modified"), strings.ReplaceAll(string(got), h.URL, "")
}

// do is ask for what has to go well.
func (h *household) do(method, path, body string) string {
	h.t.Helper()
	status, _, text := h.ask(method, path, "application/json", body)
	if status >= 300 {
		h.t.Errorf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// attach attaches contents to a record.
func (h *household) attach(record, contents string) {
	h.t.Helper()
	body := "--xyz\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n" + contents + "\r\n--xyz--\r\n"
	status, _, text := h.ask(http.MethodPost, record+"/attachment", "multipart/form-data; boundary=xyz", body)
	if status >= 300 {
		h.t.Errorf("%s: %d %s", record, status, text)
	}
	sum := sha256.Sum256([]byte(contents))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.contents[hex.EncodeToString(sum[:])] = contents
}

// lives writes, changes and deletes in one bucket, round after round.
func (h *household) lives(bucket string, rounds int) {
	b := "/v1/buckets/" + bucket
	h.do(http.MethodPut, b, `{"permissions":{"read":["system.Everyone"]}}`)
	h.do(http.MethodPut, b+"/collections/posts", `{"data":{"schema":{"type":"object"}}}`)
	for i := range rounds {
		r := fmt.Sprintf("%s/collections/posts/records/r%d", b, i%17)
		h.do(http.MethodPut, r, fmt.Sprintf(`{"data":{"n":%d,"text":"é\u0000 %s"},"permissions":{"write":["account:ann"]}}`, i, strings.Repeat("x", i*7%300)))
		switch i % 9 {
		case 2:
			h.do(http.MethodDelete, r, "")
		case 4:
			h.attach(r, fmt.Sprintf("contents %d of %s: %s", i, bucket, strings.Repeat("0123456789", 1000*(i%3))))
		case 6:
			h.do(http.MethodPut, b+"/groups/g", fmt.Sprintf(`{"data":{"members":["account:ann","account:a%d"]}}`, i))
		case 7:
			h.do(http.MethodPut, fmt.Sprintf("%s/collections/c%d", b, i), "")
		case 8:
			h.do(http.MethodDelete, fmt.Sprintf("%s/collections/c%d", b, i-1), "")
		}
	}
}

// view is everything that the API has to say of what is kept, by path.
func (h *household) view() map[string]string {
	h.t.Helper()
	out := map[string]string{}
	ids := func(path string) (found []string) {
		for _, q := range []string{"", "?_since=0&_sort=last_modified"} {
			status, version, text := h.ask(http.MethodGet, path+q, "", "")
			out[path+q] = fmt.Sprintln(status, version, text)
			if q != "" {
				continue
			}
			var body struct{ Data []struct{ ID string } }
			if err := json.Unmarshal([]byte(text), &body); err != nil || status != http.StatusOK {
				h.t.Fatalf("%s: %d %s", path, status, text)
			}
			for _, o := range body.Data {
				one := path + "/" + o.ID
				status, version, text := h.ask(http.MethodGet, one, "", "")
				out[one] = fmt.Sprintln(status, version, text)
				var record struct {
					Data struct{ Attachment struct{ Location string } }
				}
				if at := ""; json.Unmarshal([]byte(text), &record) == nil && record.Data.Attachment.Location != "" {
					at = record.Data.Attachment.Location
					status, _, contents := h.ask(http.MethodGet, at, "", "")
					out[at] = fmt.Sprintln(status, contents)
				}
				found = append(found, one)
			}
		}
		return found
	}
	for _, b := range ids("/v1/buckets") {
		ids(b + "/groups")
		for _, c := range ids(b + "/collections") {
			ids(c + "/records")
		}
	}
	ids("/v1/accounts")
	return out
}

// A whole household moves: what is written over HTTP is copied over the socket while writing
// goes on, followed, loaded by the command, and served by another server: the API says the
// same of everything, in the same versions.
func TestAHouseholdMovesOverTheSocket(t *testing.T) {
	t.Attr("shows", "backups")
	s := servertest.Start(t, servertest.Config{PlainHTTP: true})
	one := &household{Server: s, t: t, c: s.Client(), contents: map[string]string{}}
	src := source.Dial(s.Addr(host.Local))
	one.lives("before", 40)
	at, err := src.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, bucket := range []string{"before", "meanwhile", "also"} {
		writers.Go(func() { one.lives(bucket, 80) })
	}
	var log bytes.Buffer
	parts := 0
	for after := ""; ; parts++ {
		next, _, err := src.Copy(t.Context(), after, 2000, func(line []byte) error { log.Write(line); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if after = next; next == "" {
			break
		}
	}
	commits := 0
	followOn := func() {
		for more := true; more; {
			more = false
			if err := src.Changes(t.Context(), at, 5000, func(e changelog.Entry) error {
				more, at = true, e.Position
				commits++
				log.Write(e.Append(nil))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if err := src.Acknowledge(t.Context(), "test", at); err != nil {
				t.Fatal(err)
			}
		}
	}
	ended := make(chan struct{})
	go func() { writers.Wait(); close(ended) }()
	for last := false; !last; {
		select {
		case <-ended:
			last = true
		default:
		}
		followOn()
	}
	one.view() // who is asked for the first time has a timestamp from then on
	notes := time.Now()
	var want *changelog.Summary
	for same, end := false, time.Now().Add(2*time.Minute); !same; { // the server itself may write, too
		followOn()
		var stands changelog.Position
		if want, stands, err = src.Summarize(t.Context(), notes); err != nil || time.Now().After(end) {
			t.Fatal("no summary of where the log stands: ", err)
		}
		same = stands == at
	}
	if parts < 3 || commits < 100 {
		t.Errorf("copied in %d parts, followed over %d commits", parts, commits)
	}
	// The command makes the database.
	data := filepath.Join(t.TempDir(), "restored")
	cmd := foyerCommand(t, "load", data, "--notes", fmt.Sprint(notes.UnixMilli()))
	cmd.Stdin = bytes.NewReader(log.Bytes())
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var made loaded
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if d := want.Differences(made.Summary, 9); len(d) > 0 {
		t.Errorf("what was loaded differs:\n%s", strings.Join(d, "\n"))
	}
	if want := bytes.Count(log.Bytes(), []byte("\n")); made.Lines != want || !strings.Contains(said.String(), fmt.Sprintf("%d lines\n", want)) {
		t.Errorf("%d lines of %d were taken in: %s", made.Lines, want, said.String())
	}
	one.moveFiles(src, made.Summary, filepath.Join(data, "attachments"))
	now := one.view()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s2 := servertest.Start(t, servertest.Config{PlainHTTP: true, Data: data})
	two := &household{Server: s2, t: t, c: s2.Client()}
	moved := two.view()
	records, files := 0, 0
	for path, is := range now {
		if strings.Contains(path, "/records/") {
			records++
		}
		if strings.Contains(is, "contents ") && !strings.HasPrefix(path, "/v1/buckets/") {
			files++
		}
		if moved[path] != is {
			t.Errorf("%s\nwas %s\nis  %s", path, is, moved[path])
		}
	}
	if len(moved) != len(now) || records < 40 || files < 6 {
		t.Errorf("%d things where there were %d, %d records and %d attachments among them", len(moved), len(now), records, files)
	}
	fmt.Fprintf(os.Stderr, "SHOW a household, moved over the socket while it writes: %d lines, %d commits, %d answers of the API the same, %d records and %d attachments among them\n", made.Lines, commits, len(now), records, files)
}

// moveFiles fetches the contents of all attachments by their hashes, in two parts each.
func (h *household) moveFiles(src *source.Source, sum *changelog.Summary, dir string) {
	t := h.t
	t.Helper()
	if sum.Of(changelog.File).Lines < 6 {
		t.Errorf("%d attachments", sum.Of(changelog.File).Lines)
	}
	for hash, want := range h.contents {
		half := int64(len(want) / 2)
		var got []byte
		for _, from := range []int64{0, half, int64(len(want))} {
			body, size, err := src.File(t.Context(), hash, from)
			if errors.Is(err, fs.ErrNotExist) {
				break // its record was deleted
			}
			if err != nil || size != int64(len(want)) {
				t.Fatalf("%s from %d on: %d bytes of %d, %v", hash, from, size, len(want), err)
			}
			part, err := io.ReadAll(body)
			if err = errors.Join(err, body.Close()); err != nil || string(part) != want[from:] {
				t.Fatalf("%s from %d on: %d bytes, %v", hash, from, len(part), err)
			}
			if got = append(got[:from], part...); from > half {
				h.keep(dir, hash, got)
			}
		}
	}
	if _, _, err := src.File(t.Context(), "../data.db", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path is a hash: %v", err)
	}
}

func (h *household) keep(dir, hash string, contents []byte) {
	h.t.Helper()
	if sum := sha256.Sum256(contents); hex.EncodeToString(sum[:]) != hash {
		h.t.Fatalf("%s came as something else", hash)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, hash[:2]), 0o700), os.WriteFile(filepath.Join(dir, hash[:2], hash), contents, 0o600)); err != nil {
		h.t.Fatal(err)
	}
}
