package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// patience bounds waits for what comes soon.
const patience = 2 * time.Minute

// filesOf are the files below dir, unfinished ones too.
func filesOf(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// keeper is a server with alice's bucket b and collection c, and where attachments are.
func keeper(t *testing.T, settings map[string]string) (s *server, dir string) {
	t.Helper()
	db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	dir = t.TempDir()
	s = &server{t, houseIn(t, db, dir, settings)}
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	s.must(201, "alice", "PUT /v1/buckets/b/collections/c", `{"data":{"schema":{"type":"object","properties":{"n":{"type":"integer"}}}}}`)
	return s, dir
}

// counted is a body that knows how much of it was read.
type counted struct {
	io.Reader
	n *int
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

// What can be known of an upload beforehand is looked at before a byte of it is taken.
func TestUploadsAreRefusedBeforeTheyCome(t *testing.T) {
	t.Attr("shows", "mend2")
	s, dir := keeper(t, map[string]string{
		"quotas.owner_max_attachment_bytes": "10000000", "quotas.owner_max_records": "3", "attachment.max_size_bytes": "8000000", "attachment.resources.b.small.max_size_bytes": "10",
		"experimental_collection_schema_validation": "true",
	})
	s.must(201, "alice", "PUT /v1/buckets/b/collections/small", "")
	attach := func(who, path string, size int, chunked bool, headers ...string) (status, read int, text string) {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		w, err := form.CreateFormFile("attachment", "a.txt")
		if err == nil {
			_, err = w.Write(bytes.Repeat([]byte("x"), size))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", path, counted{&body, &read})
		if r.ContentLength = int64(body.Len()); chunked {
			r.ContentLength = -1
		}
		r.Header.Set("Content-Type", form.FormDataContentType())
		if who != "" {
			r.SetBasicAuth(who, "pass")
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		a := httptest.NewRecorder()
		s.ServeHTTP(a, r)
		return a.Code, read, a.Body.String()
	}
	at := func(collection, id string) string {
		return "/v1/buckets/b/collections/" + collection + "/records/" + id + "/attachment"
	}
	if status, _, text := attach("alice", at("c", "r"), 6_000_000, false); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	s.must(200, "alice", "PATCH "+records+"/r", `{"data":{"n":1}}`)
	for _, c := range []struct {
		name, who, path string
		size            int
		chunked         bool
		headers         []string
		status, most    int // bytes that may be read
		says            string
	}{
		{"nobody", "", at("c", "r"), 5_000_000, false, nil, 401, 0, ""},
		{"a stranger", "bob", at("c", "r"), 5_000_000, true, nil, 403, 0, ""},
		{"no collection", "alice", at("none", "r"), 5_000_000, true, nil, 404, 0, ""},
		{"it was changed meanwhile", "alice", at("c", "r"), 5_000_000, true, []string{`If-Match: "1"`}, 412, 0, ""},
		{"it is there already", "alice", at("c", "r"), 5_000_000, false, []string{"If-None-Match: *"}, 412, 0, ""},
		{"over the limit", "alice", at("c", "r"), 12_000_000, false, nil, 400, 0, "larger than the limit of 8000000"},
		{"over the limit there", "alice", at("small", "r"), 5_000_000, false, nil, 400, 0, "larger than the limit of 10 "},
		{"over the limit, in chunks", "alice", at("c", "r"), 12_000_000, true, nil, 400, 8_100_000, "larger than the limit of 8000000"},
		{"more than is left", "alice", at("c", "q"), 7_000_000, false, nil, 507, 0, "attachment_bytes"},
		{"more than is left, in chunks", "alice", at("c", "q"), 7_000_000, true, nil, 507, 4_100_000, "attachment_bytes"},
		{"what is left", "alice", at("c", "q"), 4_000_000, true, nil, 201, 5_000_000, ""},
		{"nothing is left", "alice", at("c", "p"), 1, true, nil, 507, 0, "attachment_bytes"},
		{"in place of another", "alice", at("c", "q"), 3_000_000, true, nil, 200, 4_000_000, ""},
		{"a third record", "alice", at("c", "p"), 1, true, nil, 201, 1000, ""},
		{"a fourth", "alice", at("c", "o"), 1, true, nil, 507, 0, `"records"`},
	} {
		status, read, text := attach(c.who, c.path, c.size, c.chunked, c.headers...)
		if status != c.status || read > c.most || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d with %d bytes read, want %d with at most %d: %s", c.name, status, read, c.status, c.most, text)
		}
	}
	// Of a and the one that was replaced, one hour.
	if all := filesOf(t, dir); len(all) != 4 {
		t.Errorf("left: %v", all)
	}
}

// What is refused after it was received goes at once, and nothing else does.
func TestRefusedUploadsGo(t *testing.T) {
	t.Attr("shows", "mend2")
	s, dir := keeper(t, map[string]string{"quotas.owner_max_bytes": "3000", "experimental_collection_schema_validation": "true"})
	file := part{"attachment", "a.txt", "", "hello"}
	for _, c := range []struct {
		name   string
		parts  []part
		status int
	}{
		{"two files", []part{file, file}, 400},
		{"two files, one of another kind", []part{file, {"attachment", "b.txt", "", "other"}}, 400},
		{"a field twice", []part{file, {name: "data", text: "{}"}, {name: "data", text: "{}"}}, 400},
		{"bad JSON behind it", []part{file, {name: "data", text: "{"}}, 400},
		{"another field", []part{file, {name: "x", text: "{}"}}, 400},
		{"a text", []part{file, {name: "attachment", text: "x"}}, 400},
		{"data of the wrong kind", []part{file, {name: "data", text: "[]"}}, 400},
		{"unknown permissions", []part{file, {name: "permissions", text: `{"sing":[]}`}}, 400},
		{"not what the schema wants", []part{file, {name: "data", text: `{"n":"x"}`}}, 400},
		{"another id", []part{file, {name: "data", text: `{"id":"other"}`}}, 400},
		{"no room for its data", []part{file, {name: "data", text: `{"x":"` + strings.Repeat("x", 4000) + `"}`}}, 507},
		{"a form that ends early", []part{file, {name: "data", text: strings.Repeat("x", formBytes+1)}}, 413},
	} {
		if r := s.form("alice", "POST "+records+"/r/attachment", c.parts); r.status != c.status {
			t.Errorf("%s: %d %s", c.name, r.status, r.text)
		}
		if all := filesOf(t, dir); len(all) != 0 {
			t.Fatalf("%s: left %v", c.name, all)
		}
	}
	// Another record has it: it stays.
	if r := s.form("alice", "POST "+records+"/q/attachment", []part{file}); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.text)
	}
	if r := s.form("alice", "POST "+records+"/r/attachment", []part{file, {name: "data", text: `{"n":"x"}`}}); r.status != 400 {
		t.Errorf("%d %s", r.status, r.text)
	}
	location := s.must(200, "alice", "GET "+records+"/q", "").data()["attachment"].(map[string]any)["location"].(string)
	if got := s.get(location); got.Code != 200 || got.Body.String() != "hello" {
		t.Errorf("what another record has: %d", got.Code)
	}
}

// doubtful is a store that loses its answer once a write is done.
type doubtful struct {
	kinto.Store
	err *error
}

func (d doubtful) Write(ctx context.Context, about []kinto.List, fn func(kinto.Tx) error) error {
	if err := d.Store.Write(ctx, about, fn); err != nil {
		return err
	}
	return *d.err
}

// After an error that does not say whether the write was done, what was received stays: a
// record may have it.
func TestUploadsInDoubtStay(t *testing.T) {
	db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // nothing more is asked of it
	doubt := error(nil)
	s := &server{t, houseOn(t, doubtful{db, &doubt}, nil)}
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
	for i, err := range []error{kinto.ErrUnavailable, kinto.ErrFull, context.Canceled, context.DeadlineExceeded, errors.New("a bug"), errors.Join(&kinto.QuotaError{}, kinto.ErrUnavailable)} {
		text := fmt.Sprint("contents ", i)
		doubt = err
		if r := s.form("alice", fmt.Sprintf("POST %s/%d/attachment", records, i), []part{{"attachment", "a.txt", "", text}}); r.status < 500 {
			t.Errorf("%v: %d %s", err, r.status, r.text)
		}
		doubt = nil
		location := s.must(200, "alice", fmt.Sprintf("GET %s/%d", records, i), "").data()["attachment"].(map[string]any)["location"].(string)
		if got := s.get(location); got.Code != 200 || got.Body.String() != text {
			t.Errorf("%v: %d %s", err, got.Code, got.Body)
		}
	}
}

// An upload that ends in the middle leaves nothing.
func TestUploadsThatEndEarlyLeaveNothing(t *testing.T) {
	t.Attr("shows", "mend2")
	s, dir := keeper(t, nil)
	ended := make(chan struct{}, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		ended <- struct{}{}
	}))
	defer web.Close()
	unfinished := filepath.Join(dir, "attachments", "unfinished")
	began := func() bool {
		all, err := os.ReadDir(unfinished)
		if err != nil {
			t.Fatal(err)
		}
		return len(all) > 0
	}
	for _, c := range []struct {
		name string
		end  func(net.Conn)
	}{
		{"the client goes away", func(c net.Conn) { _ = c.Close() }},
		{"the form ends early", func(c net.Conn) { _, _ = c.Write([]byte("0\r\n\r\n")) }},
		{"what is no chunk", func(c net.Conn) { _, _ = c.Write([]byte("zz\r\n")) }},
	} {
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		piece := "--x\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\n\r\n" + strings.Repeat("x", 3<<20)
		r := "POST /v1/buckets/b/collections/c/records/r/attachment HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6cGFzcw==\r\nContent-Type: multipart/form-data; boundary=x\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strconv.FormatInt(int64(len(piece)), 16) + "\r\n" + piece + "\r\n"
		if _, err := conn.Write([]byte(r)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for deadline := time.Now().Add(patience); !began(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: it never began", c.name)
			}
		}
		c.end(conn)
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("%s: it never ended", c.name)
		}
		_ = conn.Close()
		if all := filesOf(t, dir); len(all) != 0 {
			t.Errorf("%s: left %v", c.name, all)
		}
	}
}

// A client that asks first is answered without sending.
func TestUploadsThatAskFirst(t *testing.T) {
	s, _ := keeper(t, map[string]string{"attachment.max_size_bytes": "10"})
	web := httptest.NewServer(s)
	defer web.Close()
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the answer has been read
	if _, err := fmt.Fprintf(conn, "POST %s/r/attachment HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6cGFzcw==\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n", records); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("HTTP/1.1 400"))
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "HTTP/1.1 400" {
		t.Errorf("%s, %v", line, err)
	}
}
