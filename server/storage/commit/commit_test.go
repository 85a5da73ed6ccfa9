package commit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

type job struct {
	Entry
	n int
}

// TestQueue has a hundred callers share commits: each is answered once, with its own error
// or panic; nobody is let in once it is closed, and who waited then is still served.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[*job](7)
		most := 0
		go func() {
			defer q.Ended()
			for {
				jobs, waited, closed := q.Take()
				switch {
				case waited > 0:
					time.Sleep(time.Millisecond)
					most = max(most, len(jobs))
					for _, j := range jobs {
						if j.Err = errors.New("odd"); j.n%2 == 0 {
							j.Err = nil
						}
						if j.n == 50 {
							j.Panic = "fifty"
						}
					}
					q.Moved()
					Answer(jobs)
					q.Rest()
				case closed:
					return
				default:
					<-q.Wake()
				}
			}
		}()
		var wrong, panicked atomic.Int64
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				defer func() {
					if recover() != nil {
						panicked.Add(1)
					}
				}()
				if err := q.Do(t.Context(), &job{n: n}); (err != nil) != (n%2 == 1) {
					wrong.Add(1)
				}
			})
		}
		synctest.Wait()
		q.Close()
		wg.Wait()
		if wrong.Load() != 0 || panicked.Load() != 1 || most != 7 {
			t.Errorf("%d wrong answers, %d panics, at most %d together; want 0, 1, 7", wrong.Load(), panicked.Load(), most)
		}
		if err := q.Do(t.Context(), &job{}); !errors.Is(err, ErrClosed) || !q.Closed() {
			t.Errorf("after it was closed: %v", err)
		}
	})
}

// TestGivingUp takes a job back that nobody has come to, and waits for one that was taken.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[*job](10)
		ctx, cancel := context.WithCancel(t.Context())
		taken, late := &job{}, &job{}
		got := make(chan error, 2)
		go func() { got <- q.Do(ctx, taken) }()
		synctest.Wait()
		jobs, _, _ := q.Take()
		go func() { got <- q.Do(ctx, late) }()
		synctest.Wait()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up in the line: %v", err)
		}
		taken.Err = errors.New("mine")
		Answer(jobs)
		q.Rest()
		if err := <-got; err == nil || err.Error() != "mine" {
			t.Errorf("who gave up too late: %v, want what came of it", err)
		}
		if jobs, waited, _ := q.Take(); len(jobs) != 0 || waited != 1 {
			t.Errorf("%d jobs of %d are to be done; want none of the one that was taken back", len(jobs), waited)
		}
	})
}

// TestStuck: how long something waits while nothing is committed.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[*job](1)
		at := func(want time.Duration, when string) {
			t.Helper()
			if got := q.Stuck(); got != want {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		at(0, "nothing waits")
		go q.Do(t.Context(), &job{}) //nolint:errcheck // it is looked at from outside
		go q.Do(t.Context(), &job{}) //nolint:errcheck // as above
		synctest.Wait()
		time.Sleep(time.Second)
		at(time.Second, "two wait")
		jobs, _, _ := q.Take()
		time.Sleep(time.Second)
		at(2*time.Second, "one is worked on")
		q.Moved()
		time.Sleep(time.Second)
		at(time.Second, "something was committed a second ago")
		Answer(jobs)
		jobs, _, _ = q.Take()
		Answer(jobs)
		q.Rest()
		at(0, "all are answered")
	})
}

// TestWatchers wakes those whose list changed, or lies below what was purged, and nobody else.
func TestWatchers(t *testing.T) {
	w := NewWatchers()
	list := func(parent string) kinto.List { return kinto.List{Parent: parent, Kind: kinto.Record} }
	woken := map[string]<-chan struct{}{}
	for _, parent := range []string{"/buckets/a/collections/x", "/buckets/a/collections/xy", "/buckets/b/collections/x", "/buckets/a"} {
		ch, stop := w.Watch(list(parent))
		defer stop()
		woken[parent] = ch
	}
	gone, stop := w.Watch(list("/buckets/a"))
	stop()
	for _, c := range []struct {
		lists []kinto.List
		below []string
		want  []string
	}{
		{nil, nil, nil},
		{[]kinto.List{list("/buckets/a"), list("/buckets/nobody")}, nil, []string{"/buckets/a"}},
		{nil, []string{"/buckets/a/collections/x"}, []string{"/buckets/a/collections/x"}},
		{nil, []string{"/buckets/a"}, []string{"/buckets/a", "/buckets/a/collections/x", "/buckets/a/collections/xy"}},
	} {
		w.Changed(c.lists, c.below)
		w.Changed(c.lists, c.below) // one token stands for all
		for parent, ch := range woken {
			told := 0
			for more := true; more; {
				select {
				case <-ch:
					told++
				default:
					more = false
				}
			}
			want := 0
			for _, p := range c.want {
				if p == parent {
					want = 1
				}
			}
			if told != want {
				t.Errorf("%v, below %v: who watches %s was woken %d times, want %d", c.lists, c.below, parent, told, want)
			}
		}
	}
	w.Everything()
	for parent, ch := range woken {
		select {
		case <-ch:
		default:
			t.Errorf("everything: who watches %s was not woken", parent)
		}
	}
	select {
	case <-gone:
		t.Error("who stopped watching was woken")
	default:
	}
}
