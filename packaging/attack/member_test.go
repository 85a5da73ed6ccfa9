//go:build e2e

package attack

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// member uses the server all the while: every 100 ms they write a record, read it back and
// list the newest; every second by new connections, when a change feed is opened and a
// whole list read, too. As good clients do, they come again when they are told to (Retry-After), which counts as time
// they waited.
type member struct {
	*visitor

	mu     sync.Mutex
	took   []wait // since collect
	retold int    // answers that said "come again", since collect
	failed []string
	rounds int
}

// A list of 300 kB that the member reads whole.
const (
	diary = "/buckets/default/collections/diary/records"
	days  = 500
)

// write makes it.
func (m *member) write(t *testing.T) {
	t.Helper()
	for first := 0; first < days; first += 25 {
		var b strings.Builder
		for day := first; day < first+25; day++ {
			fmt.Fprintf(&b, `,{"path":"%s/d%d","body":{"data":{"day":%d,"text":%q}}}`, diary, day, day, strings.Repeat("and then ", 50))
		}
		m.must(t, "POST", "/batch", `{"defaults":{"method":"PUT"},"requests":[`+b.String()[1:]+`]}`)
	}
}

// live goes on until ctx ends; what is under way then is finished.
func (m *member) live(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		if n%10 == 0 {
			m.CloseIdleConnections()
		}
		m.round(n)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// round is what is done once.
func (m *member) round(n int) {
	const list = "/buckets/default/collections/notes/records"
	path, title := fmt.Sprintf("%s/n%d", list, n%50), fmt.Sprintf("note %d", n)
	m.do("write", "PUT", path, fmt.Sprintf(`{"data":{"title":%q}}`, title), func(text string) bool { return strings.Contains(text, title) })
	m.do("read", "GET", path, "", func(text string) bool { return strings.Contains(text, title) })
	m.do("list", "GET", list+"?_limit=10&_sort=-last_modified", "", func(text string) bool {
		var answer struct{ Data []struct{ Title string } }
		return json.Unmarshal([]byte(text), &answer) == nil && len(answer.Data) > 0 && answer.Data[0].Title == title
	})
	if n%10 == 0 {
		m.feed(list)
		m.do("whole list", "GET", diary, "", func(text string) bool { return strings.Count(text, `"day"`) == days })
	}
	m.mu.Lock()
	m.rounds++
	m.mu.Unlock()
}

// do sends one request until it is answered, and judges the answer.
func (m *member) do(what, method, path, body string, right func(text string) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	for {
		resp, text, err := m.ask(ctx, method, path, body)
		switch {
		case err != nil:
			m.fail("%s: %v", what, err)
		case resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests:
			if m.again(ctx, resp) {
				continue
			}
			m.fail("%s: %s after %s: %.200s", what, resp.Status, time.Since(begin), text)
		case resp.StatusCode > 201 || !right(text):
			m.fail("%s: %s: %.200s", what, resp.Status, text)
		}
		break
	}
	m.waited(what, begin)
}

// again waits as long as an answer says; false: it does not, or too long.
func (m *member) again(ctx context.Context, resp *http.Response) bool {
	m.mu.Lock()
	m.retold++
	m.mu.Unlock()
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		return false
	}
	select {
	case <-time.After(time.Duration(n) * time.Second):
		return true
	case <-ctx.Done():
		return false
	}
}

// feed opens a change feed and waits for its first event.
func (m *member) feed(list string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	for {
		r, err := m.request(ctx, "GET", list, nil, "Accept", "text/event-stream")
		if err != nil {
			m.fail("feed: %v", err)
			return
		}
		resp, err := m.Do(r)
		if err != nil {
			m.fail("feed: %v", err)
			return
		}
		if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
			resp.Body.Close()
			if m.again(ctx, resp) {
				continue
			}
		}
		lines := bufio.NewScanner(resp.Body)
		ready := false
		for !ready && lines.Scan() {
			ready = lines.Text() == "event: ready"
		}
		resp.Body.Close()
		if !ready {
			m.fail("feed: %s after %s", resp.Status, time.Since(begin))
		}
		break
	}
	m.waited("feed", begin)
}

// wait is how long one thing took.
type wait struct {
	what string
	took time.Duration
}

func (m *member) waited(what string, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = append(m.took, wait{what, time.Since(since)})
}

func (m *member) fail(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = append(m.failed, fmt.Sprintf(format, args...))
}

// waits is what a member met for some time.
type waits struct {
	answers, retold int
	p50, p99        wait
	failed          []string
}

// worse reports whether a member had to wait longer.
func (w waits) worse(than waits) bool { return w.p99.took > than.p99.took }

func (w wait) String() string {
	if w.what == "" {
		return "none"
	}
	return w.took.Round(100*time.Microsecond).String() + " (" + w.what + ")"
}

// collect returns what there was since it was called before.
func (m *member) collect() waits {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := waits{answers: len(m.took), retold: m.retold, failed: m.failed}
	slices.SortFunc(m.took, func(a, b wait) int { return cmp.Compare(a.took, b.took) })
	if len(m.took) > 0 {
		w.p50, w.p99 = m.took[len(m.took)/2], m.took[len(m.took)*99/100]
	}
	m.took, m.retold, m.failed = nil, 0, nil
	return w
}

// pass waits until so many more rounds are done, or patience ends.
func (m *member) pass(rounds int) bool {
	m.mu.Lock()
	until := m.rounds + rounds
	m.mu.Unlock()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		m.mu.Lock()
		done := m.rounds >= until
		m.mu.Unlock()
		if done {
			return true
		}
	}
	return false
}
