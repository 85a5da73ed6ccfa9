package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
)

// speak answers each connection to a socket with what say returns for its request, byte for
// byte, and closes it.
func speak(t *testing.T, say func(r *http.Request) string) *Source {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary folder
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.WriteString(c, say(r)) //nolint:errcheck // whoever asked sees less, and the test that
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return Dial(socket)
}

// The same lines in each of the ways in which an answer can be sent, from the one that tells
// where it ends to the one that does not.
var sendings = map[string]func(body string, bytes int) string{
	"with a length": func(body string, bytes int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:bytes])
	},
	"in chunks": func(body string, bytes int) string {
		if bytes == 0 {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		}
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", bytes, body[:bytes])
	},
	"to the end of the connection": func(body string, bytes int) string {
		return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body[:bytes]
	},
}

func entry(seq int64, lines string) changelog.Entry {
	return changelog.Entry{Position: changelog.Position{Seq: seq, Sum: strings.Repeat("ab", 16)}, Time: 1000 + seq, Lines: []byte(lines)}
}

// An answer that breaks off, at whatever byte, is an error that passes; whole commits before
// that are passed on, and never half of one.
func TestWhatBreaksOffIsNotWhole(t *testing.T) {
	entries := []changelog.Entry{entry(2, "{\"purge\":\"/a\"}\n{\"purge\":\"/b\"}\n"), entry(5, "{\"purge\":\"/c\"}\n"), entry(6, "{\"purge\":\"/d\"}\n")}
	var text []byte
	for _, e := range entries {
		text = e.Append(text)
	}
	body := string(text)
	end := `{"end":{"more":false}}` + "\n"
	lines := "{\"purge\":\"/a\"}\n{\"purge\":\"/b\"}\n"
	endOfCopy := `{"end":{"more":false,"position":{"seq":7,"sum":"ab"}}}` + "\n"
	named := `{"contents":"aa","size":1}` + "\n" + `{"contents":"ab","size":0}` + "\n"
	cuts := 0
	for name, send := range sendings {
		var upTo atomic.Int64
		s := speak(t, func(r *http.Request) string {
			if r.URL.Path == "/files" {
				return send(named+end, int(upTo.Load()))
			}
			if strings.HasPrefix(r.URL.Path, "/base") {
				return send(lines+endOfCopy, int(upTo.Load()))
			}
			return send(body+end, int(upTo.Load()))
		})
		for sent := range len(body+end) + 1 {
			upTo.Store(int64(sent))
			var got []changelog.Entry
			err := s.Changes(t.Context(), changelog.Position{Seq: 1}, math.MaxInt, func(e changelog.Entry) error {
				e.Lines = append([]byte(nil), e.Lines...)
				got = append(got, e)
				return nil
			})
			if whole := sent == len(body+end); whole != (err == nil) || !whole && !errors.Is(err, ErrAway) {
				t.Fatalf("%s: after %d of %d bytes the log ends with %v", name, sent, len(body+end), err)
			}
			for i, e := range got {
				if fmt.Sprint(e) != fmt.Sprint(entries[i]) {
					t.Fatalf("%s: after %d bytes commit %d is %+v", name, sent, i, e)
				}
			}
			if err == nil && len(got) != len(entries) {
				t.Fatalf("%s: %d commits of all", name, len(got))
			}
			cuts++
		}
		for sent := range len(named+end) + 1 {
			upTo.Store(int64(sent))
			got := ""
			err := s.Files(t.Context(), func(hash string, size int64) error {
				got += string((&changelog.Contents{Hash: hash, Size: size}).Append(nil))
				return nil
			})
			if whole := sent == len(named+end); whole != (err == nil) || !whole && !errors.Is(err, ErrAway) || !strings.HasPrefix(named, got) || err == nil && got != named {
				t.Fatalf("%s: after %d of %d bytes the contents are %q, %v", name, sent, len(named+end), got, err)
			}
			cuts++
		}
		for sent := range len(lines+endOfCopy) + 1 {
			upTo.Store(int64(sent))
			got := ""
			next, at, err := s.Copy(t.Context(), "", math.MaxInt, func(line []byte) error {
				got += string(line)
				return nil
			})
			if whole := sent == len(lines+endOfCopy); whole != (err == nil) || !whole && !errors.Is(err, ErrAway) {
				t.Fatalf("%s: after %d of %d bytes a copy ends with %v", name, sent, len(lines+endOfCopy), err)
			}
			if !strings.HasPrefix(lines, got) || err == nil && (got != lines || next != "" || at.Seq != 7) {
				t.Fatalf("%s: after %d bytes the copy is %q, %q, %+v", name, sent, got, next, at)
			}
			cuts++
		}
	}
	t.Logf("%d answers were cut short", cuts)
}

// What makes no sense is an error, and never a commit or a place.
func TestAnswersThatMakeNoSense(t *testing.T) {
	for name, body := range map[string]string{
		"a change of no commit":   `{"purge":""}` + "\n" + `{"end":{"more":false}}` + "\n",
		"a commit without a sum":  `{"seq":2,"at":3}` + "\n" + `{"end":{"more":false}}` + "\n",
		"a commit that goes back": `{"seq":1,"at":3,"sum":"ab"}` + "\n" + `{"end":{"more":false}}` + "\n",
		"half a commit line":      `{"seq":2,"at"` + "\n" + `{"end":{"more":false}}` + "\n",
		"an end that is none":     `{"end":7}` + "\n",
	} {
		s := speak(t, func(*http.Request) string { return sendings["with a length"](body, len(body)) })
		err := s.Changes(t.Context(), changelog.Position{Seq: 1}, 1, func(e changelog.Entry) error { t.Errorf("%s: %+v", name, e); return nil })
		if !errors.Is(err, changelog.ErrNoLine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, end := range map[string]string{"no position": `{"more":false}`, "no place": `{"more":true,"position":{"seq":1,"sum":"ab"}}`, "one too many": `{"more":false,"next":"meta:a","position":{"seq":1,"sum":"ab"}}`} {
		body := `{"end":` + end + "}\n"
		s := speak(t, func(*http.Request) string { return sendings["with a length"](body, len(body)) })
		if next, _, err := s.Copy(t.Context(), "", 1, func([]byte) error { return nil }); !errors.Is(err, changelog.ErrNoLine) || next != "" {
			t.Errorf("%s: %q, %v", name, next, err)
		}
	}
	for name, body := range map[string]string{
		"contents that go back":   `{"contents":"ab","size":1}` + "\n" + `{"contents":"aa","size":1}` + "\n",
		"twice the same":          `{"contents":"ab","size":1}` + "\n" + `{"contents":"ab","size":1}` + "\n",
		"no size":                 `{"contents":"ab"}` + "\n",
		"fewer bytes than none":   `{"contents":"ab","size":-1}` + "\n",
		"something else, instead": `{"purge":""}` + "\n",
	} {
		body += `{"end":{"more":false}}` + "\n"
		s := speak(t, func(*http.Request) string { return sendings["with a length"](body, len(body)) })
		if err := s.Files(t.Context(), func(string, int64) error { return nil }); !errors.Is(err, changelog.ErrNoLine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := speak(t, func(*http.Request) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" })
	if sum, _, err := s.Summarize(t.Context(), time.Now()); err == nil {
		t.Errorf("no summary is %+v", sum)
	}
}

// Refusals come out as the errors of a store, or as what passes.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status, code string
		want         error
	}{
		{"410 Gone", "log-cut", changelog.ErrCut},
		{"400 Bad Request", "copy-place", changelog.ErrNoPlace},
		{"404 Not Found", "log-unsupported", ErrUnsupported},
		{"404 Not Found", "attachment-gone", fs.ErrNotExist},
		{"503 Service Unavailable", "log-busy", ErrAway},
		{"503 Service Unavailable", "", ErrAway},
		{"404 Not Found", "", nil},
		{"500 Internal Server Error", "failed", nil},
		{"301 Moved Permanently", "", nil},
	} {
		body := `{"code":"` + c.code + `","what":{"en":"It did \u001b not.","fr":"x"}}`
		if c.code == "" {
			body = `{"code":404,"errno":111}`
		}
		s := speak(t, func(*http.Request) string {
			return fmt.Sprintf("HTTP/1.1 %s\r\nLocation: /elsewhere\r\nContent-Length: %d\r\n\r\n%s", c.status, len(body), body)
		})
		_, followErr := s.Follow(t.Context(), "a")
		_, _, copyErr := s.Copy(t.Context(), "", 1, func([]byte) error { return nil })
		_, _, sumErr := s.Summarize(t.Context(), time.Now())
		_, _, fileErr := s.File(t.Context(), "abc", 0)
		for i, err := range []error{
			followErr, copyErr, sumErr, fileErr, s.Files(t.Context(), func(string, int64) error { return nil }), s.Unfollow(t.Context(), "a"), s.Acknowledge(t.Context(), "a", changelog.Position{}),
			s.Changes(t.Context(), changelog.Position{}, 1, func(changelog.Entry) error { return nil }),
		} {
			if err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, ErrAway) {
				t.Errorf("%s %s, %d: %v", c.status, c.code, i, err)
			}
			if e := hint.Find(err); c.code != "" && (e == nil || e.Code != c.code || strings.Contains(err.Error(), "\x1b")) {
				t.Errorf("%s %s, %d: %q does not say why", c.status, c.code, i, err)
			}
		}
	}
	nobody := Dial(filepath.Join(t.TempDir(), "nobody"))
	if _, err := nobody.Follow(t.Context(), "a"); !errors.Is(err, ErrAway) {
		t.Errorf("nobody is there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nobody.Follow(ctx, "a"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrAway) {
		t.Errorf("whoever asked went: %v", err)
	}
}

// Contents are as long as was said, or reading them ends with an error that passes.
func TestFilesBreakOff(t *testing.T) {
	const whole = "0123456789"
	var upTo atomic.Int64
	s := speak(t, func(r *http.Request) string {
		from, sent := 0, int(upTo.Load())
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from) //nolint:errcheck // then it is 0
		return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-9/10\r\nContent-Length: %d\r\n\r\n%s", from, 10-from, whole[from:from+min(sent, 10-from)])
	})
	for sent := range 11 {
		upTo.Store(int64(sent))
		body, size, err := s.File(t.Context(), "abc", 0)
		if err != nil || size != 10 {
			t.Fatal(size, err)
		}
		text, err := io.ReadAll(body)
		if e := body.Close(); e != nil {
			t.Error(e)
		}
		if (sent == 10) != (err == nil) || err != nil && !errors.Is(err, ErrAway) || string(text) != whole[:sent] {
			t.Errorf("of %d bytes: %q, %v", sent, text, err)
		}
		if err != nil { // it goes on from there
			upTo.Store(10)
			body, _, err := s.File(t.Context(), "abc", int64(sent))
			if err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(body)
			if err != nil || string(text)+string(rest) != whole {
				t.Errorf("from %d on: %q, %v", sent, rest, err)
			}
			body.Close() //nolint:errcheck // it was read to its end
		}
	}
	for name, head := range map[string]string{
		"another part":     "206 Partial Content\r\nContent-Range: bytes 0-9/12\r\nContent-Length: 10",
		"no part":          "200 OK\r\nContent-Length: 10",
		"a size of nobody": "206 Partial Content\r\nContent-Range: bytes 0-9/*\r\nContent-Length: 10",
		"no such byte":     "416 Requested Range Not Satisfiable\r\nContent-Range: bytes */3\r\nContent-Length: 0",
	} {
		s := speak(t, func(*http.Request) string { return "HTTP/1.1 " + head + "\r\n\r\n0123456789" })
		if _, size, err := s.File(t.Context(), "abc", 7); err == nil {
			t.Errorf("%s: %d bytes", name, size)
		}
	}
	if _, _, err := s.File(t.Context(), "abc", -1); err == nil {
		t.Error("before the first byte")
	}
}
