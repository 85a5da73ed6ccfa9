package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/kinto"
)

// told is a source that says what the test tells it to.
type told struct {
	copy    func(ctx context.Context, bytes int, each func([]byte) error) error
	changes func(each func(changelog.Entry) error) error
	files   int   // contents that attachments refer to
	err     error // of everything else
	asked   atomic.Int64
	inside  atomic.Int32 // calls that have not returned
}

func (s *told) Follow(context.Context, string) (changelog.Position, error) {
	return changelog.Position{Seq: 1, Sum: "ab"}, s.err
}
func (s *told) Unfollow(context.Context, string) error                        { return s.err }
func (s *told) Acknowledge(context.Context, string, changelog.Position) error { return s.err }

func (s *told) Changes(_ context.Context, _ changelog.Position, _ int, each func(changelog.Entry) error) error {
	if s.changes != nil {
		return s.changes(each)
	}
	return s.err
}

func (s *told) Copy(ctx context.Context, _ string, bytes int, each func([]byte) error) (string, changelog.Position, error) {
	s.asked.Store(int64(bytes))
	s.inside.Add(1)
	defer s.inside.Add(-1)
	if s.copy != nil {
		return "", changelog.Position{}, s.copy(ctx, bytes, each)
	}
	return "", changelog.Position{}, s.err
}

func (s *told) Summarize(context.Context, time.Time) (*changelog.Summary, changelog.Position, error) {
	return &changelog.Summary{}, changelog.Position{}, s.err
}

func (s *told) Files(_ context.Context, each func(string, int64) error) error {
	for n := range s.files {
		if err := each(fmt.Sprintf("%064x", n), int64(n)); err != nil {
			return err
		}
	}
	return s.err
}

func door(t *testing.T, s changelog.Source) *Door {
	return New(Config{Source: s, Ends: t.Context(), Log: slog.New(slog.DiscardHandler), Open: func(string) (*os.File, error) { return nil, fs.ErrNotExist }})
}

// ask asks and returns the status, the code of a problem, and the whole answer.
func ask(t *testing.T, d *Door, method, path, body string) (status int, code, text string) {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	var p report.Problem
	if w.Code >= 400 && json.Unmarshal(w.Body.Bytes(), &p) != nil {
		p.Code = ""
	}
	return w.Code, p.Code, w.Body.String()
}

// What cannot be answered is refused with a status and a code by which the supervisor knows
// what to do.
func TestRefusals(t *testing.T) {
	all := []string{"POST /log/followers/a", "DELETE /log/followers/a", "POST /log/followers/a/acknowledge", "GET /log?seq=1&sum=ab", "GET /base", "GET /summary?notes=0", "GET /files"}
	for _, c := range []struct {
		name   string
		source changelog.Source
		ask    []string
		status int
		code   string
	}{
		{"cut", &told{err: fmt.Errorf("x: %w", changelog.ErrCut)}, all, http.StatusGone, "log-cut"},
		{"no place", &told{err: fmt.Errorf("x: %w", changelog.ErrNoPlace)}, all[4:5], http.StatusBadRequest, "copy-place"},
		{"closed", &told{err: fmt.Errorf("x: %w", kinto.ErrUnavailable)}, all, http.StatusServiceUnavailable, "failed"},
		{"full", &told{err: fmt.Errorf("x: %w", kinto.ErrFull)}, all, http.StatusServiceUnavailable, "failed"},
		{"damaged", &told{err: fmt.Errorf("%w: %w: %w", changelog.ErrDamaged, kinto.ErrUnavailable, hint.New("database-damaged", hint.T("d", "e"), hint.Text{}, hint.Text{}))}, all, http.StatusInternalServerError, "database-damaged"},
		{"a bug", &told{err: errors.New("a bug")}, all, http.StatusInternalServerError, "failed"},
		{"no source", nil, all, http.StatusNotFound, "log-unsupported"},
		{"no file", nil, []string{"GET /file/abc"}, http.StatusNotFound, "attachment-gone"},
		{"malformed", &told{}, []string{
			"GET /log", "GET /log?seq=x", "GET /log?seq=1&bytes=x", "GET /log?seq=1&bytes=-1", "GET /base?bytes=1e3", "GET /base?bytes=99999999999999999999", "GET /summary", "GET /summary?notes=now",
			"POST /log/followers/A", "DELETE /log/followers/-", "POST /log/followers/" + strings.Repeat("a", 65), "POST /log/followers/%2e%2e/acknowledge",
		}, http.StatusBadRequest, "request-malformed"},
		{"another method", &told{}, []string{"PUT /log", "POST /base", "DELETE /summary", "POST /files", "GET /log/followers/a"}, http.StatusMethodNotAllowed, ""},
		{"another path", &told{}, []string{"GET /log/x", "GET /file/a/b", "GET /files/a", "POST /log/followers"}, http.StatusNotFound, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := door(t, c.source)
			for _, a := range c.ask {
				method, path, _ := strings.Cut(a, " ")
				if !Answers(strings.Split(path, "?")[0]) {
					t.Errorf("%s is not for it", path)
				}
				if status, code, text := ask(t, d, method, path, `{"seq":1,"sum":"ab"}`); status != c.status || code != c.code {
					t.Errorf("%s: %d %q, want %d %q: %s", a, status, code, c.status, c.code, text)
				}
			}
		})
	}
	for _, body := range []string{"", "{", `{"seq":"1"}`, strings.Repeat(" ", 5000) + "{}"} {
		if status, code, _ := ask(t, door(t, &told{}), http.MethodPost, "/log/followers/a/acknowledge", body); status != http.StatusBadRequest || code != "request-malformed" {
			t.Errorf("%.20q: %d %q", body, status, code)
		}
	}
	for _, path := range []string{"/", "/health", "/logs", "/filesystem", "/based"} {
		if Answers(path) {
			t.Errorf("%s is for it", path)
		}
	}
}

// What is answered ends with a line that says whether there is more; no part is larger than
// it may be, whatever is asked for.
func TestAnswersEnd(t *testing.T) {
	s := &told{
		changes: func(each func(changelog.Entry) error) error {
			return each(changelog.Entry{Position: changelog.Position{Seq: 2, Sum: "cd"}, Time: 9, Lines: []byte("{\"purge\":\"\"}\n")})
		},
		copy: func(_ context.Context, _ int, each func([]byte) error) error {
			return each([]byte("{\"purge\":\"/a\"}\n"))
		},
	}
	d := door(t, s)
	if _, _, text := ask(t, d, http.MethodGet, "/log?seq=1&sum=ab&bytes=5", ""); text != `{"seq":2,"at":9,"sum":"cd"}`+"\n"+`{"purge":""}`+"\n"+`{"end":{"more":true}}`+"\n" {
		t.Error(text)
	}
	if _, _, text := ask(t, d, http.MethodGet, "/log?seq=1&sum=ab", ""); !strings.HasSuffix(text, `{"end":{"more":false}}`+"\n") {
		t.Error(text)
	}
	if _, _, text := ask(t, d, http.MethodGet, "/base?bytes=999999999999", ""); text != `{"purge":"/a"}`+"\n"+`{"end":{"more":false,"position":{"seq":0,"sum":""}}}`+"\n" {
		t.Error(text)
	}
	if asked := s.asked.Load(); asked != partBytes {
		t.Errorf("the store was asked for %d bytes", asked)
	}
}

// Which contents there are is sent in parts, each behind the one before.
func TestContentsInParts(t *testing.T) {
	d := door(t, &told{files: 100_000})
	after, named, parts := "", 0, 0
	for more := true; more; parts++ {
		_, _, text := ask(t, d, http.MethodGet, "/files?after="+after, "")
		if len(text) > partBytes+1000 {
			t.Fatalf("a part has %d bytes", len(text))
		}
		for line := range strings.Lines(text) {
			if end, is, err := changelog.ParseEnd([]byte(line)); is {
				if more = end.More; err != nil {
					t.Fatal(err)
				}
				continue
			}
			c, err := changelog.ParseContents([]byte(line))
			if err != nil || c.Size != int64(named) || c.Hash <= after {
				t.Fatalf("number %d is %q: %v", named, line, err)
			}
			after = c.Hash
			named++
		}
	}
	if named != 100_000 || parts < 2 {
		t.Errorf("%d in %d parts", named, parts)
	}
}

// One copy is made at a time: another one waits for its turn, but not for ever, and the log
// goes on beside it.
func TestOneCopyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, end := make(chan struct{}), make(chan struct{})
		s := &told{copy: func(context.Context, int, func([]byte) error) error {
			close(begun)
			<-end
			return nil
		}}
		d := door(t, s)
		first := make(chan int, 1)
		go func() {
			status, _, _ := ask(t, d, http.MethodGet, "/base", "")
			first <- status
		}()
		<-begun
		began := time.Now()
		if status, code, _ := ask(t, d, http.MethodGet, "/summary?notes=0", ""); status != http.StatusServiceUnavailable || code != "log-busy" || time.Since(began) != turn {
			t.Errorf("beside a copy: %d %q after %s", status, code, time.Since(began))
		}
		if status, _, text := ask(t, d, http.MethodGet, "/log?seq=1", ""); status != http.StatusOK {
			t.Errorf("the log beside a copy: %d %s", status, text)
		}
		waits := make(chan int, 1)
		go func() {
			status, _, _ := ask(t, d, http.MethodGet, "/summary?notes=0", "")
			waits <- status
		}()
		synctest.Wait()
		close(end)
		if a, b := <-first, <-waits; a != http.StatusOK || b != http.StatusOK {
			t.Errorf("the first ended with %d, and who waited with %d", a, b)
		}
	})
}

// serve serves a door on a socket and returns how to reach it, and a channel that is closed
// once its first request has been answered, or given up.
func serve(t *testing.T, d *Door) (socket string, answered <-chan struct{}) {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary folder
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var once atomic.Bool
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if once.CompareAndSwap(false, true) {
				close(done)
			}
		}()
		d.ServeHTTP(w, r)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.Serve(l) //nolint:errcheck // it is closed
	}()
	t.Cleanup(func() { srv.Close(); <-ended })
	return socket, done
}

// A reader who does not read holds nothing of the database, and is let go of when the server
// ends.
func TestASlowReaderHoldsNothing(t *testing.T) {
	s := &told{copy: func(_ context.Context, bytes int, each func([]byte) error) error {
		line := []byte(strings.Repeat("x", 99_999) + "\n")
		for n := 0; n < bytes; n += len(line) {
			if err := each(line); err != nil {
				return err
			}
		}
		return nil
	}}
	ends, end := context.WithCancel(t.Context())
	defer end()
	d := door(t, s)
	d.Ends = ends
	socket, answered := serve(t, d)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /base HTTP/1.1\r\nHost: local\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil { // it is being sent
		t.Fatal(err)
	}
	if n := s.inside.Load(); n != 0 {
		t.Errorf("%d copies are still being read", n)
	}
	select {
	case <-answered:
		t.Fatal("everything was sent to somebody who reads nothing: this shows nothing")
	default:
	}
	end()
	select {
	case <-answered:
	case <-time.After(2 * time.Minute):
		t.Fatal("the server waits for a reader who does not read")
	}
	if text, err := io.ReadAll(c); strings.Contains(string(text), `{"end"`) {
		t.Errorf("half an answer has an end: %v", err)
	}
}

// Contents are sent by their hash, whole or in part.
func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("<html>0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := door(t, nil)
	d.Open = func(hash string) (*os.File, error) {
		if hash != "abc" {
			return nil, fs.ErrPermission
		}
		return os.Open(path)
	}
	for _, c := range []struct {
		part   string
		status int
		body   string
	}{{"", 200, "<html>0123456789"}, {"bytes=6-", 206, "0123456789"}, {"bytes=16-", 416, ""}} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/file/abc", nil)
		if c.part != "" {
			r.Header.Set("Range", c.part)
		}
		d.ServeHTTP(w, r)
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%q: %d %q", c.part, w.Code, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); c.status < 300 && kind != "application/octet-stream" {
			t.Errorf("contents of people are guessed to be %s", kind)
		}
	}
	if status, code, _ := ask(t, d, http.MethodGet, "/file/def", ""); status != http.StatusInternalServerError || code != "failed" {
		t.Errorf("what the disk refuses: %d %q", status, code)
	}
}
