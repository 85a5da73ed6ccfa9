package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/control"
)

// tried is a `foyer try` in a process of its own.
type tried struct {
	trying
	*control.Client
	log func() string
	end func() // in good order
}

// tryIn starts one, in a shell that has run a line before.
func tryIn(t *testing.T, line string, args ...string) *tried {
	t.Helper()
	foyer, err := exec.LookPath("foyer")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "foyer") // sockets want a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command("sh", "-c", line+` && exec "$0" "$@"`, foyer, "try", "--json", "--listen", "127.0.0.1:0", "--data", dir)
	cmd.Args = append(cmd.Args, args...)
	cmd.Env = []string{"LANG=C.UTF-8", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "FOYER_OWNER_PASSWORD=correct horse battery", "FOYER_LIMITS_HEADER_SECONDS=3600", endsAtOnce}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var said bytes.Buffer
	cmd.Stderr = writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(p)
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &tried{log: func() string {
		mu.Lock()
		defer mu.Unlock()
		return said.String()
	}}
	end := sync.OnceFunc(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	f.end = end
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("its log:\n%s", f.log())
		}
	})
	if err := json.NewDecoder(out).Decode(&f.trying); err != nil {
		t.Fatalf("it does not start: %v\n%s", err, f.log())
	}
	go io.Copy(io.Discard, out)
	f.Client = control.Dial(f.Run)
	return f
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Where a process may have 256 files open, 300 connections take what there is for
// connections and no more: the database and the supervisor have theirs, the server is not
// replaced, and who comes is served.
func TestFewOpenFilesAreNoFault(t *testing.T) {
	t.Attr("shows", "mend2")
	f := tryIn(t, "ulimit -n 256", "--http", "--owner", "jeannine")
	address := strings.TrimSuffix(strings.TrimPrefix(f.Home, "http://"), "/")
	from := func(ip string) *net.Dialer {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: time.Minute}
	}
	for i := range 300 {
		c, err := from(fmt.Sprintf("127.0.0.%d", 2+i%6)).Dial("tcp", address)
		if err != nil {
			continue // there was no room
		}
		defer c.Close()
	}
	write := func(i int) {
		t.Helper()
		c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return from(fmt.Sprintf("127.0.9.%d", i+1)).DialContext(ctx, "tcp", address)
		}}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%sbuckets/default/collections/c/records/r%d", f.URL, i), strings.NewReader(`{"data":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("jeannine", "correct horse battery")
		r.Header.Set("Content-Type", "application/json")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatalf("a member was not answered: %v", err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatalf("a member was answered %s", resp.Status)
		}
	}
	// Twice as many looks of the supervisor as it takes to replace a server.
	var last time.Time
	for looks, deadline := 0, time.Now().Add(3*time.Minute); looks < 5; <-time.After(100 * time.Millisecond) {
		s, err := f.Status(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d looks; %v", looks, err)
		}
		if s.Server.Restarts > 0 {
			t.Fatalf("the server was replaced: %s", s.Server.LastEnd)
		}
		for _, r := range s.Checks {
			if r.Code == "server" && r.Checked.After(last) && time.Since(last) > time.Second {
				last = r.Checked
				write(looks)
				looks++
			}
		}
	}
	if log := f.log(); strings.Count(log, "few files open") != 1 || strings.Contains(log, "too many open files") {
		t.Error("the log does not say once that connections are few, or has files that could not be opened")
	}
}
