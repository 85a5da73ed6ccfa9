//go:build e2e && linux

package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// ledger is what was sent to be written, and what of it was acknowledged.
type ledger struct {
	mu      sync.Mutex
	sent    map[string][]*written // by record, in the order in which it was sent
	acked   []*written
	refused int // were answered that they failed
	began   int // writers
}

// written is one write of a record.
type written struct {
	text string    // "": the record is deleted
	etag int64     // of the answer; 0: nobody knows whether it was done
	at   time.Time // when it was answered
}

func newLedger() *ledger { return &ledger{sent: map[string][]*written{}} }

// keepWriting has a few clients write, change and delete records, one after the other, until end.
func (l *ledger) keepWriting(f *foyer) (end func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var wg sync.WaitGroup
	for range 4 {
		l.began++
		first := l.began
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(first), rand.Uint64()))
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				// Records of its own, so that it knows the order of what it sent of one.
				l.write(f, fmt.Sprintf("w%d-%d", first%4, r.IntN(40)), r)
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	var once sync.Once
	end = func() { once.Do(func() { cancel(); wg.Wait() }) }
	f.t.Cleanup(end)
	return end
}

// write writes a record, or deletes it.
func (l *ledger) write(f *foyer, id string, r *rand.Rand) {
	w := &written{text: text(r, 140)}
	method, body := http.MethodPut, any(map[string]any{"data": map[string]any{"text": w.text}})
	if r.IntN(5) == 0 {
		w.text, method, body = "", http.MethodDelete, nil
	}
	l.mu.Lock()
	l.sent[id] = append(l.sent[id], w)
	l.mu.Unlock()
	status, got, err := f.ask(method, records+"/"+id, body)
	var answer struct {
		Data struct {
			Modified int64 `json:"last_modified"`
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
	case status >= 500:
		l.refused++
	case status < 300 && json.Unmarshal(got, &answer) == nil && answer.Data.Modified > 0:
		w.etag, w.at = answer.Data.Modified, time.Now()
		l.acked = append(l.acked, w)
	case status == http.StatusNotFound && method == http.MethodDelete:
	default:
		f.t.Errorf("%s of %s: %d %.300s", method, id, status, got)
	}
}

// count says how many writes were acknowledged, and how many refused.
func (l *ledger) count() (acked, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked), l.refused
}

// newest is the greatest timestamp of what was acknowledged before a moment.
func (l *ledger) newest(before time.Time) (etag int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.acked {
		if w.at.Before(before) {
			etag = max(etag, w.etag)
		}
	}
	return etag
}

// record is one that is there, or was deleted.
type record struct {
	text string
	etag int64
}

// holes are the records that are not what they were when the timestamp of their list was at: each is
// to be what was acknowledged last by then, or what was sent after that and nobody answered.
func (l *ledger) holes(is map[string]record, at int64) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, sent := range l.sent {
		last := -1
		for i, w := range sent {
			if w.etag > 0 && w.etag <= at {
				last = i
			}
		}
		got, there := is[id]
		good := false
		if last < 0 {
			good = !there
		} else {
			good = there && got == record{sent[last].text, sent[last].etag}
		}
		for _, w := range sent[last+1:] {
			after := last < 0 || got.etag > sent[last].etag
			good = good || there && after && w.etag == 0 && w.text == got.text
		}
		if !good {
			want := "none"
			if last >= 0 {
				want = fmt.Sprintf("%.40q of %d", sent[last].text, sent[last].etag)
			}
			found = append(found, fmt.Sprintf("%s: %.40q of %d (there: %t), want %s", id, got.text, got.etag, there, want))
		}
	}
	for id := range is {
		if l.sent[id] == nil {
			found = append(found, id+": nobody wrote it")
		}
	}
	return found
}

// restored checks what came back in a folder: it is all there was at one moment, which is no earlier than
// needs, a timestamp. It returns that of the moment.
func (l *ledger) restored(t *testing.T, dir string, needs int64) int64 {
	t.Helper()
	is, at := map[string]record{}, int64(0)
	list := kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	err := storage.Peek(t.Context(), filepath.Join(dir, "data.db"), func(r kinto.Reader) (err error) {
		if at, _, err = r.Timestamp(list); err != nil {
			return err
		}
		all := kinto.Everything()
		all.Tombstones = true
		for more := true; more; {
			var found []kinto.Object
			if found, more, err = r.Select(list, all); err != nil {
				return err
			}
			for _, o := range found {
				var data struct{ Text string }
				if !o.Deleted {
					if err := json.Unmarshal(o.Data, &data); err != nil {
						return err
					}
				}
				is[o.ID] = record{data.Text, o.Timestamp}
				all.Before = o.Timestamp // the newest come first
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if at < needs {
		t.Errorf("a hole: the backup comes back as of %d, and all up to %d was in it", at, needs)
	}
	for _, hole := range l.holes(is, at) {
		t.Errorf("a hole in what comes back as of %d: %s", at, hole)
	}
	return at
}

// served checks that a server has all that it acknowledged.
func (l *ledger) served(f *foyer) {
	f.t.Helper()
	var all struct {
		Data []struct {
			ID       string
			Text     string
			Modified int64 `json:"last_modified"`
		}
	}
	if err := json.Unmarshal(f.must(http.MethodGet, records+"?_since=0", nil), &all); err != nil {
		f.t.Fatal(err)
	}
	is := map[string]record{}
	for _, r := range all.Data {
		is[r.ID] = record{r.Text, r.Modified}
	}
	for _, hole := range l.holes(is, math.MaxInt64) {
		f.t.Errorf("the server has lost something: %s", hole)
	}
}
