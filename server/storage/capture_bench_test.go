package storage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/kinto"
)

// BenchmarkFollowed is what the log costs: creations of 64 clients a second while somebody
// follows, fetches and acknowledges every second, beside those while nobody does. It prints the ratio of
// the medians of interleaved runs.
func BenchmarkFollowed(b *testing.B) {
	if b.N > 1 {
		b.Skip("one round is enough")
	}
	var rates [2][]float64
	for round := range 5 {
		for followed := range 2 {
			db := open(b, file(b))
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			if followed == 1 {
				at, err := db.Follow(ctx, "bench")
				if err != nil {
					b.Fatal(err)
				}
				wg.Go(func() {
					for ctx.Err() == nil {
						time.Sleep(time.Second)
						for again := true; again && ctx.Err() == nil; {
							again = false
							if err := db.Changes(ctx, at, 4<<20, func(e changelog.Entry) error { at, again = e.Position, true; return nil }); err != nil && ctx.Err() == nil {
								b.Error(err)
							}
							if err := db.Acknowledge(ctx, "bench", at); err != nil && ctx.Err() == nil {
								b.Error(err)
							}
						}
					}
				})
			}
			var n [64]int
			start := time.Now()
			for g := range n {
				wg.Go(func() {
					for time.Since(start) < 3*time.Second {
						err := db.Write(ctx, nil, func(tx kinto.Tx) error { return put(tx, records, fmt.Sprintf("r%d-%d-%d", round, g, n[g]), 190) })
						if err != nil && ctx.Err() == nil {
							b.Error(err)
							return
						}
						n[g]++
					}
				})
			}
			time.Sleep(3 * time.Second)
			took := time.Since(start)
			cancel()
			wg.Wait()
			all := 0
			for _, m := range n {
				all += m
			}
			rates[followed] = append(rates[followed], float64(all)/took.Seconds())
		}
	}
	for i := range rates {
		slices.Sort(rates[i])
	}
	b.Logf("SHOW writes of 64 clients while somebody follows: ×%.2f of those while nobody does (medians of 5: %.0f and %.0f a second)", rates[1][2]/rates[0][2], rates[1][2], rates[0][2])
}
