//go:build !windows

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// BenchmarkHotList is 64 writers that put new records into one list, beside the same
// with one transaction for each write: the counter's row is updated, and the object
// is written, over the same driver and to the same server, which flushes to disk.
func BenchmarkHotList(b *testing.B) {
	const writers, each = 64, 40
	c := pgtest.Start(b, "fsync=on")
	db := open(b, c.DSN(b))
	pool, err := pgxpool.New(b.Context(), c.DSN(b)+fmt.Sprintf(" pool_max_conns=%d pool_min_conns=%d", writers, writers))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	for _, sql := range []string{
		"CREATE TABLE lists (pk BIGINT PRIMARY KEY, ts BIGINT NOT NULL)",
		"CREATE TABLE objects (list BIGINT, id TEXT, ts BIGINT, data TEXT, PRIMARY KEY (list, id), UNIQUE (list, ts))",
		"INSERT INTO lists VALUES (1, 0)",
	} {
		if _, err := pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	const data = `{"title":"a record of the usual size","done":false,"text":"some words that somebody wrote down on a day like any other"}`
	ours := func(id string) error {
		_, err := write(db, records("c"), kinto.Object{ID: id, Data: []byte(data)})
		return err
	}
	naive := func(id string) error {
		return pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
			var ts int64
			err := tx.QueryRow(context.Background(), "UPDATE lists SET ts = greatest(ts + 1, $1) WHERE pk = 1 RETURNING ts", time.Now().UnixMilli()).Scan(&ts)
			if err == nil {
				_, err = tx.Exec(context.Background(), "INSERT INTO objects VALUES (1, $1, $2, $3)", id, ts, data)
			}
			return err
		})
	}
	var n, failed atomic.Int64
	all := func(write func(string) error) time.Duration {
		start := time.Now()
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					if err := write(fmt.Sprintf("r%d", n.Add(1))); err != nil {
						failed.Add(1)
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	all(ours) // connections and plans
	all(naive)
	var one, two time.Duration
	rounds := 0
	for b.Loop() {
		one += all(ours)
		two += all(naive)
		rounds++
	}
	rate := func(d time.Duration) float64 { return float64(rounds*writers*each) / d.Seconds() }
	b.ReportMetric(rate(one), "writes/s")
	b.ReportMetric(rate(two), "naive/s")
	b.ReportMetric(rate(one)/rate(two), "ratio")
	b.ReportMetric(float64(failed.Load()), "conflicts")
}

// BenchmarkGet reads one record, whose bucket is in memory, from one goroutine.
func BenchmarkGet(b *testing.B) {
	db := open(b, pgtest.Start(b).DSN(b))
	for _, l := range []kinto.List{buckets, records("c")} {
		if _, err := write(db, l, kinto.Object{ID: "o"}); err != nil {
			b.Fatal(err)
		}
	}
	for name, lists := range map[string][]kinto.List{"record": {records("c")}, "record below a bucket": {buckets, records("c")}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				err := db.Read(b.Context(), func(tx kinto.Reader) error {
					for _, l := range lists {
						if o, err := tx.Get(l, "o"); err != nil || o == nil {
							return fmt.Errorf("%v: %w", o, err)
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGroup is a group commit of new records in one list: what its jobs write is sent
// with the commit, as a lane does it, beside a savepoint for each job, whose writes are sent
// when it ends. One turn of each by turns; the figures are medians.
func BenchmarkGroup(b *testing.B) {
	c := pgtest.Start(b, "fsync=on")
	db := open(b, c.DSN(b))
	if _, err := write(db, records("c"), kinto.Object{ID: "first", Data: []byte("{}")}); err != nil {
		b.Fatal(err)
	}
	const data = `{"title":"a record of the usual size","done":false,"text":"some words that somebody wrote down on a day like any other"}`
	n := 0
	jobs := func(size int) []*job {
		out := make([]*job, size)
		for i := range out {
			n++
			id := fmt.Sprintf("r%d", n)
			out[i] = &job{ctx: context.Background(), about: []kinto.List{records("c")}, fn: func(tx kinto.Tx) error {
				_, err := put(tx, records("c"), kinto.Object{ID: id, Data: []byte(data)})
				return err
			}}
		}
		return out
	}
	for _, size := range []int{64, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := newLane(db)
			defer l.hangUp()
			ways := []func([]*job) (int, error){l.transact, l.transactSavepoints}
			took := make([][]time.Duration, len(ways))
			for turn := 0; b.Loop(); turn++ {
				for i, way := range ways {
					group := jobs(size)
					start := time.Now()
					done, err := way(group)
					if took[i] = append(took[i], time.Since(start)); err != nil || done != size {
						b.Fatalf("%d of %d done: %v", done, size, err)
					}
					for _, j := range group {
						if j.Err != nil || j.Panic != nil {
							b.Fatal(j.Err, j.Panic)
						}
					}
				}
			}
			var middle [2]time.Duration
			for i := range took {
				slices.Sort(took[i])
				middle[i] = took[i][len(took[i])/2]
			}
			b.ReportMetric(float64(middle[0].Microseconds()), "µs/group")
			b.ReportMetric(float64(middle[1].Microseconds()), "µs/group-savepoints")
			b.ReportMetric(float64(middle[1])/float64(middle[0]), "ratio")
		})
	}
}

// transactSavepoints is transact with a savepoint for each job.
func (l *lane) transactSavepoints(jobs []*job) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	b, err := l.begin(ctx, jobs)
	if err == nil {
		err = b.ask(jobs)
	}
	for _, j := range jobs {
		if err != nil {
			break
		}
		b.job(j, false)
		batch := &pgx.Batch{}
		batch.Queue("SAVEPOINT job")
		b.queue(batch)
		batch.Queue("RELEASE job")
		err = errors.Join(b.err, l.conn.SendBatch(ctx, batch).Close())
		n++
	}
	if err == nil {
		err = b.commit()
	}
	if err != nil {
		l.rollback(err)
	}
	return n, err
}

// BenchmarkOwnGoroutine is what it costs that each job of a group has a goroutine of its
// own, which stop may end.
func BenchmarkOwnGoroutine(b *testing.B) {
	work := func() error { return nil }
	b.Run("in one of its own", func(b *testing.B) {
		for b.Loop() {
			var err error
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				err = work()
			}()
			<-ended
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("as it is", func(b *testing.B) {
		for b.Loop() {
			if err := work(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
