//go:build !windows

package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// TestAServerBehindAPooler: a whole server through a PgBouncer in transaction mode that has
// few connections; it waits while that is paused, names what is wrong when that was
// configured so that nothing works, and goes on by itself when it is right again.
func TestAServerBehindAPooler(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t, "default_pool_size=2")
	dsn := p.Through(c.DSN(t))
	s := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { s.Database = dsn }})
	put := func(path string) (int, http.Header) {
		resp, _ := s.Do(http.MethodPut, path, `{}`)
		return resp.StatusCode, resp.Header
	}
	for _, path := range []string{"/v1/buckets/b", "/v1/buckets/b/collections/c"} {
		if status, _ := put(path); status != http.StatusCreated {
			t.Fatalf("%s: %d", path, status)
		}
	}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			for j := range 4 {
				if status, _ := put(fmt.Sprintf("/v1/buckets/b/collections/c/records/r%d-%d", i, j)); status != http.StatusCreated {
					t.Errorf("record %d of %d: %d", j, i, status)
				}
				if resp, _ := s.Do(http.MethodGet, "/v1/buckets/b/collections/c/records?_limit=3", ""); resp.StatusCode != http.StatusOK {
					t.Errorf("the list: %s", resp.Status)
				}
			}
		})
	}
	wg.Wait()

	p.Command(t, "PAUSE")
	waited := make(chan int, 1)
	go func() { // the answer is waited for
		status, _ := put("/v1/buckets/b/collections/c/records/paused")
		waited <- status
	}()
	p.Command(t, "RESUME")
	if status := <-waited; status != http.StatusCreated {
		t.Errorf("after a pause: %d", status)
	}

	p.Set(t, "pool_mode=statement")
	p.Restart(t)
	if status, header := put("/v1/buckets/b/collections/c/records/refused"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("in statement mode: %d %v", status, header)
	}
	h, status, err := s.Health()
	if err != nil || status != http.StatusOK || h.Trouble == nil || h.Trouble.Code != "database-unsuitable" || !strings.Contains(h.Trouble.Do.EN, "pool_mode = transaction") {
		t.Errorf("in statement mode: %d %+v %v", status, h.Trouble, err)
	}
	p.Set(t)
	p.Restart(t)
	for deadline := time.Now().Add(patience); ; {
		if status, _ := put("/v1/buckets/b/collections/c/records/refused"); status == http.StatusCreated {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the pooler is right again, and the server is not")
		}
	}
	if h, _, err := s.Health(); err != nil || h.Trouble != nil {
		t.Errorf("%+v, %v", h.Trouble, err)
	}
	if strings.Contains(s.Log(), "password=") || strings.Contains(s.Log(), "secret") {
		t.Error("the password is in the log")
	}
}
