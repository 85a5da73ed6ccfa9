//go:build e2e && linux

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/packaging/faultfs"
)

// crowd are people who write records until there is no room, and go on trying.
type crowd struct {
	*foyer
	mu      sync.Mutex
	kept    map[string]int64 // timestamps of what was acknowledged, by record
	gone    map[string]bool  // those whose deletion was acknowledged
	refused atomic.Int64     // by 507
}

// write has so many people write until end.
func (c *crowd) write(people, size int) (end func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for who := range people {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(who), 1))
			for i, refused := 0, false; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if i > 0 && refused { // an app would wait for longer
					time.Sleep(5 * time.Millisecond)
				}
				refused = true
				id := fmt.Sprintf("p%d-%d-%d", who, i, r.Uint32())
				status, got, err := c.ask(http.MethodPut, records+"/"+id, map[string]any{"data": map[string]any{"text": text(r, size)}})
				var answer struct {
					Data struct {
						Modified int64 `json:"last_modified"`
					}
				}
				switch {
				case err != nil: // the server is being killed: nobody knows whether it was kept
				case status == http.StatusCreated && json.Unmarshal(got, &answer) == nil && answer.Data.Modified > 0:
					refused = false
					c.mu.Lock()
					c.kept[id] = answer.Data.Modified
					c.mu.Unlock()
				case status == http.StatusInsufficientStorage:
					c.refused.Add(1)
				case status == http.StatusServiceUnavailable || status == http.StatusBadGateway: // it is being started
				default:
					c.t.Errorf("writing: %d %.300s", status, got)
				}
			}
		})
	}
	var once sync.Once
	end = func() { once.Do(func() { close(done); wg.Wait() }) }
	c.t.Cleanup(end)
	return end
}

// acknowledged is how many records were.
func (c *crowd) acknowledged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}

// goesOn checks what goes on on a full disk: reading, signing in, deleting, an app's sign-in.
func (c *crowd) goesOn(when string) {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodPost, c.url+"/signin", strings.NewReader(url.Values{"name": {owner}, "password": {passwords}}.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://foyer.test")
	if status, got, err := c.send(req); err != nil || status != http.StatusSeeOther {
		c.t.Errorf("%s: signing in: %d %.300s, %v", when, status, got, err)
	}
	c.mu.Lock()
	ids := slices.Sorted(maps.Keys(c.kept))
	c.mu.Unlock()
	for _, id := range ids[:20] {
		if status, got, err := c.ask(http.MethodGet, records+"/"+id, nil); err != nil || status != http.StatusOK {
			c.t.Errorf("%s: reading: %d %.300s, %v", when, status, got, err)
		}
		if status, got, err := c.ask(http.MethodDelete, records+"/"+id, nil); err != nil || status != http.StatusOK {
			c.t.Errorf("%s: deleting: %d %.300s, %v", when, status, got, err)
			continue
		}
		c.mu.Lock()
		delete(c.kept, id)
		c.gone[id] = true
		c.mu.Unlock()
	}
}

// lost is how many acknowledged writes and deletions are not as they were acknowledged.
func (c *crowd) lost() (n int) {
	c.t.Helper()
	there, before := map[string]int64{}, ""
	for {
		var page struct {
			Data []struct {
				ID       string
				Modified int64 `json:"last_modified"`
				Deleted  bool
			}
		}
		if err := json.Unmarshal(c.must(http.MethodGet, records+"?_fields=id,last_modified,deleted&_limit=500"+before, nil), &page); err != nil {
			c.t.Fatal(err)
		}
		if len(page.Data) == 0 {
			break
		}
		for _, r := range page.Data { // the newest come first
			if !r.Deleted {
				there[r.ID] = r.Modified
			}
			before = fmt.Sprintf("&_before=%d", r.Modified)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range c.kept {
		if there[id] != at {
			n++
		}
	}
	for id := range c.gone {
		if there[id] != 0 {
			n++
		}
	}
	return n
}

// A small disk is filled to its last block, by 32 people who write, and then by somebody else. No
// acknowledged record is lost; reading, deleting and signing in go on, also after a death; it is
// told; and when there is room again all goes on by itself.
func TestFullDiskWhile32PeopleWrite(t *testing.T) {
	t.Attr("shows", "health")
	together(t)
	disk := faultfs.NewDisk(t, faultfs.DiskConfig{Size: int64(dose(1<<30, 320<<20))})
	dir := home(t)
	c := &crowd{foyer: foyerAt(t, dir, places{data: filepath.Join(disk.Path, "data")}, map[string]string{"backup.to": ""}), kept: map[string]int64{}, gone: map[string]bool{}}
	c.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.start()
	c.claim()
	room := func() diskroom.Room {
		t.Helper()
		r, err := diskroom.Look(disk.Path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	end := c.write(32, 24<<10)
	c.wait("writes to be refused", func() bool { return c.refused.Load() > 200 })
	full := room()
	if most := diskroom.Begins(diskroom.Full, full.Total); full.Free < most/3 || full.Free > most+most/2 {
		t.Errorf("writes are refused when %d MB are free, and that was to be at %d MB", full.Free>>20, most>>20)
	}
	c.goesOn("full by its own")
	c.wait("it to be told", func() bool { return c.finding("disk").Cause == "disk-full" })
	byOwn := c.acknowledged()

	ballast := filepath.Join(disk.Path, "ballast")
	others, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = others.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := errors.Join(others.Sync(), others.Close()); err != nil {
		t.Fatal(err)
	}
	if left := room().Free; left >= 4096 {
		t.Errorf("%d bytes are left", left)
	}
	for i := range 5 {
		c.goesOn(fmt.Sprintf("full to the last block, round %d", i))
	}
	c.kill()
	c.start()
	c.goesOn("full, after a death")
	if n := c.lost(); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, c.acknowledged())
	}

	before, refused := c.acknowledged(), c.refused.Load()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	const deleted = 600 // what its own people wrote is still there, and fills it
	for _, id := range slices.Sorted(maps.Keys(c.kept))[:deleted] {
		c.must(http.MethodDelete, records+"/"+id, nil)
		c.mu.Lock()
		delete(c.kept, id)
		c.gone[id] = true
		c.mu.Unlock()
	}
	back := c.wait("writes to go on", func() bool { return c.acknowledged() > before-deleted+100 })
	end()
	lost := c.lost()
	if lost > 0 {
		t.Errorf("in the end %d of %d acknowledged writes are lost", lost, c.acknowledged())
	}
	show(t, "full disk (%d MB): 32 people wrote until %d MB were free (%d records acknowledged, %d refused), others to the last block: reads, deletions, sign-ins went on, also after kill -9; writes went on %.1f s after there was room; lost %d",
		full.Total>>20, full.Free>>20, byOwn, refused, back.Seconds(), lost)
}
