package fair

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

const waiting, each = 64, 4

// TestFlood: however many come at once, few run at a time, some wait, and the rest are
// turned away.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, waiting, each)
		hold := make(chan struct{})
		var mu sync.Mutex
		var wg sync.WaitGroup
		running, most, away, done := 0, 0, 0, 0
		for range 1 + waiting + 36 {
			wg.Go(func() {
				err := q.Do(t.Context(), "", func() {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					<-hold
					mu.Lock()
					running--
					mu.Unlock()
				})
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, ErrFull) {
					away++
				} else if err == nil {
					done++
				}
			})
		}
		synctest.Wait()
		if away != 36 {
			t.Errorf("%d turned away", away)
		}
		close(hold)
		wg.Wait()
		if most != 1 || done != 1+waiting || q.free != 1 || q.waiting != 0 || len(q.callers) != 0 {
			t.Errorf("%d at a time, %d done, left %+v", most, done, q)
		}
	})
}

// One caller, however many requests they make, leaves room for others, and others' turns
// come between its own.
func TestCallersTakeTurns(t *testing.T) {
	t.Attr("shows", "mend2")
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, waiting, each)
		step := make(chan struct{})
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		away := 0
		ask := func(name string, times int) {
			for range times {
				wg.Go(func() {
					err := q.Do(t.Context(), name, func() {
						<-step
						mu.Lock()
						order = append(order, name)
						mu.Unlock()
					})
					if err != nil {
						mu.Lock()
						away++
						mu.Unlock()
					}
				})
				synctest.Wait()
			}
		}
		ask("flood", 80)
		ask("anna", 2)
		ask("paul", 1)
		for range each + 3 {
			step <- struct{}{}
			synctest.Wait()
		}
		wg.Wait()
		// One of the flood's runs, and its next is first in turn; then they alternate.
		if want := []string{"flood", "flood", "anna", "paul", "flood", "anna", "flood"}; !slices.Equal(order, want) || away != 80-each {
			t.Errorf("%v, %d turned away", order, away)
		}
	})
}

// Who does not wait any more holds no place and keeps nobody waiting.
func TestWhoGoesAwayHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, waiting, each)
		leave, err := q.Enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := q.Enter(ctx, "b"); !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		leave()
		if err := q.Do(t.Context(), "c", func() {}); err != nil {
			t.Error(err)
		}
		if q.free != 1 || q.waiting != 0 || len(q.callers) != 0 || len(q.turns) != 0 {
			t.Errorf("left %+v", q)
		}
	})
}

// Where two or more run at once, one caller leaves a slot to the others, however many
// requests it makes; those nobody knows the caller of may be different ones.
func TestOneCallerLeavesASlot(t *testing.T) {
	t.Attr("shows", "mend2")
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(3, waiting, waiting)
		enter := func(name string) func() {
			leave, err := q.Enter(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
		first := []func(){enter("flood"), enter("flood")}
		var wg sync.WaitGroup
		third := make(chan func(), 1)
		wg.Go(func() { third <- enter("flood") })
		synctest.Wait()
		if len(third) != 0 || q.Waiting() != 1 {
			t.Fatal("the flood has the last slot")
		}
		anna := enter("anna")
		anna()
		synctest.Wait()
		if len(third) != 0 {
			t.Fatal("the flood has the slot that anna left")
		}
		first[0]()
		wg.Wait()
		first[1]()
		(<-third)()
		nobody := []func(){enter(""), enter(""), enter("")}
		wg.Go(func() { enter("anna")() })
		synctest.Wait()
		for _, leave := range nobody {
			leave()
		}
		wg.Wait()
		if q.free != 3 || q.waiting != 0 || len(q.callers) != 0 || len(q.turns) != 0 {
			t.Errorf("left %+v", q)
		}
	})
}
