//go:build e2e

package attack

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// attack is one thing that somebody does until they are stopped.
type attack struct {
	id   string // of docs/hardening.md
	what string
	run  func(ctx context.Context, s *scene, seen *tally)
}

// scene is a site, and who attacks it, from one address.
type scene struct {
	*site
	stranger *visitor // without a name
	mallory  *visitor // a member
}

// tally is what the attacker was answered, by status; 0 is no answer.
type tally struct {
	mu sync.Mutex
	by map[int]int
}

func (t *tally) add(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.by[status]++
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for _, status := range slices.Sorted(maps.Keys(t.by)) {
		name := strconv.Itoa(status)
		if status == 0 {
			name = "no answer"
		}
		out = append(out, fmt.Sprintf("%s ×%d", name, t.by[status]))
	}
	return strings.Join(out, ", ")
}

// most is how many requests one connection of an attacker sends at most.
const most = 20_000

// together does something on so many connections at once, over and over until ctx ends.
func together(ctx context.Context, connections int, do func(worker, i int)) {
	var wg sync.WaitGroup
	for worker := range connections {
		wg.Go(func() {
			for i := 0; i < most && ctx.Err() == nil; i++ {
				do(worker, i)
			}
		})
	}
	wg.Wait()
}

// flood sends what next says on so many connections at once.
func flood(connections int, who func(s *scene) *visitor, next func(worker, i int) (method, path, body string, headers []string)) func(context.Context, *scene, *tally) {
	return func(ctx context.Context, s *scene, seen *tally) {
		together(ctx, connections, func(worker, i int) {
			method, path, body, headers := next(worker, i)
			resp, _, err := who(s).ask(ctx, method, path, body, headers...)
			switch {
			case err == nil:
				seen.add(resp.StatusCode)
			case ctx.Err() == nil:
				seen.add(0)
				time.Sleep(10 * time.Millisecond) // who is not let in does not ask a million times
			}
		})
	}
}

func stranger(s *scene) *visitor { return s.stranger }
func mallory(s *scene) *visitor  { return s.mallory }

// Where the attacks happen: what the owner opened to everybody.
const (
	many  = "/buckets/public/collections/many/records"  // 5,000 small records
	large = "/buckets/public/collections/large/records" // 16 MB on one page
)

// prepare makes that, and the member who attacks.
func prepare(t *testing.T, s *site) *scene {
	t.Helper()
	boss := s.visit("127.0.0.1", owner, password)
	for _, name := range []string{"maria", "mallory"} {
		boss.must(t, "PUT", "/accounts/"+name, fmt.Sprintf(`{"data":{"password":%q}}`, password))
	}
	boss.must(t, "PUT", "/buckets/public", `{"permissions":{"read":["system.Everyone"],"group:create":["account:mallory"],"collection:create":["account:mallory"]}}`)
	boss.must(t, "PUT", "/buckets/public/collections/many", `{}`)
	boss.must(t, "PUT", "/buckets/public/collections/large", `{}`)
	fill := func(list string, records, each int, data func(i int) string) {
		for first := 0; first < records; first += each {
			var b strings.Builder
			for i := first; i < min(first+each, records); i++ {
				fmt.Fprintf(&b, `{"path":"%s/r%d","body":{"data":%s}},`, list, i, data(i))
			}
			answer := boss.must(t, "POST", "/batch", `{"defaults":{"method":"PUT"},"requests":[`+strings.TrimSuffix(b.String(), ",")+`]}`)
			if strings.Count(answer, `"status":201`) != min(each, records-first) {
				t.Fatalf("a batch was not done: %.500s", answer)
			}
		}
	}
	fill(many, 5000, 25, func(i int) string {
		return fmt.Sprintf(`{"n":%d,"title":"%s","tags":["a","b"]}`, i, strings.Repeat("ab", 40))
	})
	fill(large, 256, 16, func(int) string { return fmt.Sprintf(`{"text":"%s"}`, strings.Repeat("x", 64<<10)) })
	const from = "127.0.0.66"
	return &scene{s, s.visit(from, "", ""), s.visit(from, "mallory", password)}
}

var attacks = []attack{
	{"12a", "lists sorted by 9,000 keys, by 32, and filtered with 57 kB", flood(12, stranger, func(_, i int) (string, string, string, []string) {
		switch i % 4 {
		case 0:
			return "GET", many + "?_sort=" + keys(9000), "", nil
		case 1:
			return "GET", many + "?_limit=1&_sort=" + keys(32), "", nil
		case 2:
			return "GET", many + "?_limit=1&in_n=" + numbers(10_000), "", nil
		}
		return "GET", many + "?_limit=1" + strings.Repeat("&like_title=*"+strings.Repeat("a*", 49), 64), "", nil
	})},
	{"12a", "the same in batches of 25", flood(12, stranger, func(_, i int) (string, string, string, []string) {
		one := fmt.Sprintf(`{"path":"%s?_sort=%s&in_n=%s"},`, many, keys(32), numbers(1500))
		return "POST", "/batch", `{"defaults":{"method":"GET"},"requests":[` + strings.TrimSuffix(strings.Repeat(one, 25), ",") + `]}`, nil
	})},
	{"12b", "JSON patches of 1,000 tests on a record of 49,000 keys", patches},
	{"12c", "schemas of 3,000 patterns, and records to be looked at by them", flood(8, mallory, func(worker, i int) (string, string, string, []string) {
		at := fmt.Sprintf("/buckets/default/collections/schema%d", worker)
		if i%2 == 1 {
			return "PUT", at + "/records/r", `{"data":{"a1":"` + strings.Repeat("ab", 2000) + `"}}`, nil
		}
		patterns := 3000
		if i%4 == 2 {
			patterns = 100
		}
		return "PUT", at, `{"data":{"schema":{"type":"object","properties":{` + schema(patterns) + `}}}}`, nil
	})},
	{"12d", "20,000 groups that everybody is a member of", flood(8, mallory, func(worker, i int) (string, string, string, []string) {
		var b strings.Builder
		for n := range 25 {
			fmt.Fprintf(&b, `{"path":"/buckets/public/groups/g%d-%d-%d","body":{"data":{"members":["system.Authenticated"]}}},`, worker, i%100, n)
		}
		return "POST", "/batch", `{"defaults":{"method":"PUT"},"requests":[` + strings.TrimSuffix(b.String(), ",") + `]}`, nil
	})},
	{"12f", "40 connections that ask for 16 MB and read nothing", unread},
	{"12f", "80 connections that read 16 MB each", flood(80, stranger, func(int, int) (string, string, string, []string) { return "GET", large, "", nil })},
	{"12g", "100 connections that send a body of 8 MB, a byte now and then", slowBodies},
	{"14a", "4,096 connections that say nothing", idle},
	{"14b", "200 change feeds", func(ctx context.Context, s *scene, seen *tally) { feeds(ctx, s.stranger, many, seen) }},
	{"14b", "200 change feeds of a list that 40 connections write to", func(ctx context.Context, s *scene, seen *tally) {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { feeds(ctx, s.mallory, "/buckets/default/collections/flood/records", seen) })
		flood(40, mallory, func(worker, i int) (string, string, string, []string) {
			return "PUT", fmt.Sprintf("/buckets/default/collections/flood/records/w%d-%d", worker, i%200), `{"data":{"text":"` + strings.Repeat("x", 1000) + `"}}`, nil
		})(ctx, s, seen)
	}},
	{"15a", "80 connections with wrong credentials", flood(80, stranger, func(worker, i int) (string, string, string, []string) {
		return "GET", "/", "", []string{"Authorization", "Basic " + basic(fmt.Sprintf("nobody%d-%d", worker, i), "wrong horse battery")}
	})},
	{"15a", "80 connections with a wrong password of the member's", flood(80, stranger, func(worker, i int) (string, string, string, []string) {
		return "GET", "/", "", []string{"Authorization", "Basic " + basic("maria", fmt.Sprintf("wrong %d %d", worker, i))}
	})},
	{"16c", "40 connections that write as fast as they can", flood(40, mallory, func(worker, i int) (string, string, string, []string) {
		return "PUT", fmt.Sprintf("/buckets/default/collections/flood/records/w%d-%d", worker, i%200), `{"data":{"text":"` + strings.Repeat("x", 1000) + `"}}`, nil
	})},
	{"16c", "uploads of 1 MB that are refused when they have come", uploads},
	{"16d", "batches with an Idempotency-Key, whose answers are 100 times as large", flood(8, mallory, func(worker, i int) (string, string, string, []string) {
		lists := []string{fmt.Sprintf("%s?_limit=50&n=%d", large, i), many + "?_limit=1000"}
		one := fmt.Sprintf(`{"method":"GET","path":"%s"},`, lists[i%2])
		return "POST", "/batch", `{"requests":[` + strings.Repeat(one, 24) + `{"method":"PUT","path":"/buckets/default/collections/once/records/r","body":{"data":{}}}]}`, []string{"Idempotency-Key", fmt.Sprintf("k%d-%d", worker, i)}
	})},
	{"16b", "records whose ids have 60 kB, and deletions of records that are not there", flood(8, mallory, func(worker, i int) (string, string, string, []string) {
		return []string{"PUT", "DELETE"}[i%2], "/buckets/default/collections/ids/records/" + strings.Repeat("i", 60_000) + strconv.Itoa(worker*most+i), "", nil
	})},
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",k%d", i)
	}
	return b.String()[1:]
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",%d", 10_000+i)
	}
	return b.String()[1:]
}

func schema(patterns int) string {
	var b strings.Builder
	for i := range patterns {
		fmt.Fprintf(&b, `,"a%d":{"type":"string","pattern":"^(a|b|c){1,200}x%d$"}`, i, i)
	}
	return b.String()[1:]
}

// patches sends JSON Patches that test what lies at the end of a long object.
func patches(ctx context.Context, s *scene, seen *tally) {
	const at = "/buckets/default/collections/patched/records/r"
	var b strings.Builder
	for i := range 49_000 {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	if resp, _, err := s.mallory.ask(ctx, "PUT", at, `{"data":{`+b.String()[1:]+`}}`); err == nil {
		seen.add(resp.StatusCode)
	}
	b.Reset()
	for i := range 1000 {
		fmt.Fprintf(&b, `,{"op":"test","path":"/data/k%d","value":%d}`, 48_999-i, 48_999-i)
	}
	tests := b.String()[1:]
	flood(30, mallory, func(worker, i int) (string, string, string, []string) {
		return "PATCH", at, fmt.Sprintf(`[%s,{"op":"add","path":"/data/w%d","value":%d}]`, tests, worker, i), []string{"Content-Type", "application/json-patch+json"}
	})(ctx, s, seen)
}

// hold opens connections and keeps them open until ctx ends; one that was closed by the
// server is opened again.
func hold(ctx context.Context, connections int, open func(ctx context.Context) (net.Conn, error), say string, seen *tally) {
	together(ctx, connections, func(int, int) {
		c, err := open(ctx)
		if err != nil {
			if ctx.Err() == nil {
				seen.add(0)
				time.Sleep(100 * time.Millisecond)
			}
			return
		}
		defer c.Close()
		seen.add(200)
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
		if _, err := c.Write([]byte(say)); err == nil && say != "" {
			<-ctx.Done() // nothing is read
			return
		}
		_, _ = c.Read(make([]byte, 1)) // until somebody closes it
		if ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// unread asks for a large page and reads nothing of it.
func unread(ctx context.Context, s *scene, seen *tally) {
	hold(ctx, 40, s.stranger.secure, "GET /v1"+large+" HTTP/1.1\r\nHost: localhost\r\n\r\n", seen)
}

// slowBodies sends the head of a large body, and then hardly anything.
func slowBodies(ctx context.Context, s *scene, seen *tally) {
	head := fmt.Sprintf("PUT /v1/buckets/default/collections/slow/records/r HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n", basic("mallory", password))
	together(ctx, 100, func(int, int) {
		c, err := s.mallory.secure(ctx)
		if err != nil {
			if ctx.Err() == nil {
				seen.add(0)
				time.Sleep(50 * time.Millisecond)
			}
			return
		}
		defer c.Close()
		seen.add(200)
		if _, err := c.Write([]byte(head + `{"data":{"x":"` + strings.Repeat("x", 1<<20))); err != nil {
			return
		}
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
}

// idle opens connections and says nothing, not even a handshake.
func idle(ctx context.Context, s *scene, seen *tally) {
	connections := 4096
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		connections = min(connections, int(limit.Cur)-300)
	}
	hold(ctx, connections, s.stranger.dial, "", seen)
}

// feeds opens change feeds of a list, and reads what comes.
func feeds(ctx context.Context, v *visitor, list string, seen *tally) {
	together(ctx, 200, func(int, int) {
		r, err := v.request(ctx, "GET", list, nil, "Accept", "text/event-stream")
		if err != nil {
			return
		}
		resp, err := v.Do(r)
		if err != nil {
			if ctx.Err() == nil {
				seen.add(0)
				time.Sleep(50 * time.Millisecond)
			}
			return
		}
		seen.add(resp.StatusCode)
		b := make([]byte, 1024)
		for err == nil && resp.StatusCode == 200 {
			_, err = resp.Body.Read(b)
		}
		resp.Body.Close()
		if ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// uploads sends files whose form is refused at its end.
func uploads(ctx context.Context, s *scene, seen *tally) {
	file := strings.Repeat("x", 1<<20)
	flood(8, mallory, func(worker, i int) (string, string, string, []string) {
		body := "--b\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\n\r\n" + fmt.Sprintf("%d %d ", worker, i) + file +
			"\r\n--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"cut off\r\n--b--\r\n"
		return "POST", fmt.Sprintf("/buckets/default/collections/up/records/u%d/attachment", worker), body, []string{"Content-Type", "multipart/form-data; boundary=b"}
	})(ctx, s, seen)
}
