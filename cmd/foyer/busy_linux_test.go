package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// oneCore is a line for a shell that has it, and what it starts, run on one core alone.
func oneCore(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	first := regexp.MustCompile(`(?m)^Cpus_allowed_list:\s*(\d+)`).FindSubmatch(status)
	if first == nil {
		t.Fatal("it is not known which cores there are")
	}
	return fmt.Sprintf("taskset -pc %s $$ >/dev/null", first[1])
}

// crowd are clients that write or read one request after the other, and what they were
// answered.
type crowd struct {
	url     string
	done    [600]atomic.Int64 // by status
	failed  atomic.Int64
	longest atomic.Int64 // nanoseconds
}

// ask sends one request, and waits for its answer for two minutes at most.
func (c *crowd) ask(ctx context.Context, client *http.Client, method, path, body string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth("jeannine", "correct horse battery")
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// work sends requests until ctx ends; the one under way then is finished, and counts.
func (c *crowd) work(ctx context.Context, t *testing.T, request func(n int) (method, path, body string)) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for n := 0; ctx.Err() == nil; n++ {
		method, path, body := request(n)
		began := time.Now()
		status, err := c.ask(context.WithoutCancel(ctx), client, method, path, body)
		if took := int64(time.Since(began)); took > c.longest.Load() {
			c.longest.Store(took)
		}
		if err != nil {
			c.failed.Add(1)
			t.Errorf("%s %s: %v", method, path, err)
			continue
		}
		c.done[status].Add(1)
		if status == http.StatusServiceUnavailable { // as it asks for
			time.Sleep(time.Second)
		}
	}
}

// On one core, with 64 who write and 64 who read without a pause, the server is slow and not
// dead: it is not replaced once, and answers everybody. One that is stopped is replaced.
func TestBusyIsNotDead(t *testing.T) {
	t.Attr("shows", "ground")
	long := 20 * time.Second
	if os.Getenv("SHOW_WHOLE") != "" {
		long = 4 * time.Minute
	}
	f := tryIn(t, oneCore(t), "--http", "--owner", "jeannine")
	server := func() report.Server {
		t.Helper()
		s, err := f.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Server
	}
	before := server()
	c := &crowd{url: f.URL}
	if status, err := c.ask(t.Context(), http.DefaultClient, http.MethodPut, "buckets/b", ""); err != nil || status != http.StatusCreated {
		t.Fatal(status, err)
	}
	if status, err := c.ask(t.Context(), http.DefaultClient, http.MethodPut, "buckets/b/collections/c", ""); err != nil || status != http.StatusCreated {
		t.Fatal(status, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	var all sync.WaitGroup
	defer func() {
		cancel()
		all.Wait()
	}()
	for who := range 64 {
		all.Go(func() {
			c.work(ctx, t, func(n int) (string, string, string) {
				return http.MethodPut, fmt.Sprintf("buckets/b/collections/c/records/r%d-%d", who, n%50), `{"data":{"text":"` + strings.Repeat("x", 500) + `"}}`
			})
		})
		all.Go(func() {
			c.work(ctx, t, func(int) (string, string, string) {
				return http.MethodGet, "buckets/b/collections/c/records?_limit=100", ""
			})
		})
	}
	looks := 0
	for ; ctx.Err() == nil; looks++ {
		s := server()
		if s.PID != before.PID || s.Restarts != before.Restarts {
			t.Fatalf("it was replaced under load: %+v, and before %+v", s, before)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	all.Wait()
	sum, said := int64(0), []string{}
	for status := range c.done {
		if n := c.done[status].Load(); n > 0 {
			sum += n
			said = append(said, fmt.Sprintf("%d× %d", n, status))
			if !slices.Contains([]int{http.StatusOK, http.StatusCreated, http.StatusServiceUnavailable, http.StatusTooManyRequests}, status) {
				t.Errorf("%d requests were answered %d", n, status)
			}
		}
	}
	if after := server(); after.PID != before.PID || sum == 0 || c.done[http.StatusOK].Load() == 0 {
		t.Fatalf("server %d, and then %d; answers: %s", before.PID, after.PID, said)
	}
	t.Logf("SHOW one core, 64 writers and 64 readers for %s: %d requests answered (%s), %d not, the slowest after %.1f s; the server is process %d before and after, looked at %d times, replaced 0 times",
		long, sum, strings.Join(said, ", "), c.failed.Load(), time.Duration(c.longest.Load()).Seconds(), before.PID, looks)

	// Stopped, it makes no progress.
	if err := syscall.Kill(before.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for deadline := began.Add(4 * time.Minute); ; <-time.After(50 * time.Millisecond) {
		if s := server(); s.Restarts > before.Restarts && s.PID != before.PID && s.State == "healthy" {
			if !strings.Contains(s.LastEnd, "did not answer") {
				t.Errorf("replaced since %q", s.LastEnd)
			}
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("it is stopped, and not replaced: %+v", s)
		}
	}
	if status, err := c.ask(t.Context(), http.DefaultClient, http.MethodGet, "buckets/b/collections/c/records?_limit=1", ""); err != nil || status != http.StatusOK {
		t.Errorf("the service does not go on: %d, %v", status, err)
	}
	t.Logf("SHOW stopped (SIGSTOP), the server is replaced after %.1f s, and the service goes on", time.Since(began).Seconds())
}
