//go:build !windows

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

func TestNodes(t *testing.T) {
	c := pgtest.Start(t)
	direct := func(dsn string) string { return dsn }
	for name, test := range map[string]func(*testing.T, *pgtest.Cluster, route){
		"NobodyMissesAVersion":      nobodyMissesAVersion,
		"TakenAwayIsGoneEverywhere": takenAwayIsGoneEverywhere,
		"MadeIsThereEverywhere":     madeIsThereEverywhere,
		"WatchHearsOtherNodes":      watchHearsOtherNodes,
		"OneOfTwoNodesWins":         oneOfTwoNodesWins,
		"CrossedLists":              crossedLists,
		"BadJobsHarmNobody":         badJobsHarmNobody,
	} {
		t.Run(name, func(t *testing.T) { test(t, c, direct) })
	}
}

// route makes a DSN one that leads to the same database in some way.
type route func(dsn string) string

var buckets = kinto.List{Kind: kinto.Bucket}

func records(c string) kinto.List {
	return kinto.List{Parent: "/buckets/b/collections/" + c, Kind: kinto.Record}
}

// put writes one object with a fresh timestamp over what is there.
func put(tx kinto.Tx, l kinto.List, o kinto.Object) (int64, error) {
	old, err := tx.Get(l, o.ID)
	if err != nil {
		return 0, err
	}
	if o.Timestamp, err = tx.Tick(l, -1); err != nil {
		return 0, err
	}
	if o.Data == nil {
		o.Data = []byte(`{}`)
	}
	return o.Timestamp, tx.Put(l, &o, old)
}

func write(db *DB, l kinto.List, o kinto.Object) (ts int64, err error) {
	err = db.Write(context.Background(), []kinto.List{l}, func(tx kinto.Tx) (err error) {
		ts, err = put(tx, l, o)
		return err
	})
	return ts, err
}

// version is one that was acknowledged, or seen.
type version struct {
	list, id string
	ts       int64
}

// follower remembers what it saw by asking for what is newer than what it saw last.
type follower struct {
	last map[string]int64
	seen map[version]bool
	best map[version]int64 // with ts 0: the newest version seen
}

func newFollower() *follower {
	return &follower{map[string]int64{}, map[version]bool{}, map[version]int64{}}
}

func (f *follower) add(v version) {
	f.seen[v] = true
	key := version{list: v.list, id: v.id}
	f.best[key] = max(f.best[key], v.ts)
	f.last[v.list] = max(f.last[v.list], v.ts)
}

// missed counts the versions that were neither seen nor followed by one that was.
func (f *follower) missed(all []version) (n int) {
	for _, v := range all {
		if !f.seen[v] && f.best[version{list: v.list, id: v.id}] <= v.ts {
			n++
		}
	}
	return n
}

// race runs 16 writers and some followers side by side and returns what was
// acknowledged and how much of it the followers missed.
func race(t *testing.T, each int, write func(g, i int) version, poll func(g int, f *follower)) (acknowledged, missed int) {
	t.Helper()
	var mu sync.Mutex
	var all []version
	var writers, followers sync.WaitGroup
	for g := range 16 {
		writers.Go(func() {
			for i := range each {
				v := write(g, i)
				mu.Lock()
				all = append(all, v)
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	fs := make([]*follower, 4)
	for g := range fs {
		fs[g] = newFollower()
		followers.Go(func() {
			for {
				select {
				case <-done:
					poll(g, fs[g]) // everything was answered before this one begins
					return
				default:
					poll(g, fs[g])
				}
			}
		})
	}
	writers.Wait()
	close(done)
	followers.Wait()
	for _, f := range fs {
		missed += f.missed(all)
	}
	return len(all), missed
}

// nobodyMissesAVersion: two nodes, 16 writers into two lists, and followers who
// ask for what is newer than what they saw. With timestamps that are taken before
// the transaction that writes, which is the control, they miss some.
func nobodyMissesAVersion(t *testing.T, c *pgtest.Cluster, by route) {
	lists := []string{"c", "d"}
	id := func(g, i int) string { // half of them are written once, the others again and again
		if i%2 == 0 {
			return fmt.Sprintf("r%d-%d", g, i)
		}
		return fmt.Sprintf("r%d", i%16)
	}

	dsn := by(c.DSN(t))
	nodes := []*DB{open(t, dsn), open(t, dsn)}
	n, missed := race(t, 120, func(g, i int) version {
		v := version{list: lists[i/2%2], id: id(g, i)}
		var err error
		if v.ts, err = write(nodes[g%2], records(v.list), kinto.Object{ID: v.id}); err != nil {
			t.Error(err) // kinto.ErrConflict, too
		}
		return v
	}, func(g int, f *follower) {
		for _, list := range lists {
			q := kinto.Query{Since: -1, Before: -1, Tombstones: true}
			if last, ok := f.last[list]; ok {
				q.Since = last
			}
			err := nodes[g%2].Read(context.Background(), func(tx kinto.Reader) error {
				found, _, err := tx.Select(records(list), q)
				for _, o := range found {
					f.add(version{list, o.ID, o.Timestamp})
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	t.Logf("%d versions were acknowledged, 4 followers missed %d", n, missed)
	if missed > 0 {
		t.Errorf("%d versions were missed", missed)
	}
	if by(c.Address()) != c.Address() {
		return // the control is for the test, not for the way there
	}

	pool, err := pgxpool.New(t.Context(), c.DSN(t)+" pool_max_conns=24")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	exec := func(sql string, args ...any) {
		if _, err := pool.Exec(context.Background(), sql, args...); err != nil {
			t.Error(err)
		}
	}
	exec("CREATE TABLE counters (list TEXT PRIMARY KEY, ts BIGINT NOT NULL)")
	exec("CREATE TABLE objects (list TEXT, id TEXT, ts BIGINT, PRIMARY KEY (list, id), UNIQUE (list, ts))")
	exec("INSERT INTO counters VALUES ('c', 0), ('d', 0)")
	missed = 0
	for deadline := time.Now().Add(20 * time.Second); missed == 0 && time.Now().Before(deadline); {
		exec("DELETE FROM objects")
		n, missed = race(t, 100, func(g, i int) version {
			v := version{list: lists[i/2%2], id: id(g, i)}
			if err := pool.QueryRow(context.Background(), "UPDATE counters SET ts = ts + 1 WHERE list = $1 RETURNING ts", v.list).Scan(&v.ts); err != nil {
				t.Error(err)
			}
			exec("INSERT INTO objects VALUES ($1, $2, $3) ON CONFLICT (list, id) DO UPDATE SET ts = greatest(objects.ts, excluded.ts)", v.list, v.id, v.ts)
			return v
		}, func(_ int, f *follower) {
			for _, list := range lists {
				rows, err := pool.Query(context.Background(), "SELECT id, ts FROM objects WHERE list = $1 AND ts > $2", list, f.last[list])
				if err != nil {
					t.Error(err)
					return
				}
				var found []version
				for rows.Next() {
					v := version{list: list}
					if err := rows.Scan(&v.id, &v.ts); err != nil {
						t.Error(err)
					}
					found = append(found, v)
				}
				rows.Close()
				for _, v := range found {
					f.add(v)
				}
			}
		})
	}
	t.Logf("control: %d versions were acknowledged, 4 followers missed %d", n, missed)
	if missed == 0 {
		t.Error("the control missed nothing: this test cannot tell")
	}
}

// takenAwayIsGoneEverywhere: what one node answered counts on the other at once,
// though both have it in memory.
// What was asked for and not there is, on every node, once any of them made it; and is not,
// once any deleted it.
func madeIsThereEverywhere(t *testing.T, c *pgtest.Cluster, by route) {
	dsn := by(c.DSN(t))
	nodes := []*DB{open(t, dsn), open(t, dsn)}
	for i := range 60 {
		here, there := nodes[i%2], nodes[(i+1)%2]
		id := "b" + strconv.Itoa(i)
		is := func(db *DB) bool {
			var o *kinto.Object
			if err := db.Read(t.Context(), func(tx kinto.Reader) (err error) {
				o, err = tx.Get(buckets, id)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return o != nil
		}
		look := func(want bool, what string) {
			for _, db := range []*DB{there, here, there} {
				if is(db) != want {
					t.Errorf("round %d, %s: there is %v", i, what, !want)
				}
			}
		}
		look(false, "before it was made")
		if _, err := write(here, buckets, kinto.Object{ID: id}); err != nil {
			t.Fatal(err)
		}
		look(true, "made")
		if _, err := write(there, buckets, kinto.Object{ID: id, Deleted: true}); err != nil {
			t.Fatal(err)
		}
		look(false, "deleted")
		// Made again in a transaction that asked first.
		err := here.Write(t.Context(), []kinto.List{buckets}, func(tx kinto.Tx) error {
			for _, want := range []bool{false, true} {
				if o, err := tx.Get(buckets, id); err != nil || (o != nil) != want {
					return fmt.Errorf("in the transaction: %v, %w", o, err)
				}
				if !want {
					if _, err := put(tx, buckets, kinto.Object{ID: id}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		look(true, "made again")
	}
}

func takenAwayIsGoneEverywhere(t *testing.T, c *pgtest.Cluster, by route) {
	dsn := by(c.DSN(t))
	nodes := []*DB{open(t, dsn), open(t, dsn)}
	group := kinto.List{Parent: "/buckets/b", Kind: kinto.Group}
	for i := range 100 {
		here, there := nodes[i%2], nodes[(i+1)%2]
		want := kinto.Permissions{"read": {"ann" + strconv.Itoa(i)}}.Encode()
		if _, err := write(here, buckets, kinto.Object{ID: "b", Permissions: want}); err != nil {
			t.Fatal(err)
		}
		member := "bob" + strconv.Itoa(i)
		if _, err := write(here, group, kinto.Object{ID: "g", Data: fmt.Appendf(nil, `{"members":[%q]}`, member)}); err != nil {
			t.Fatal(err)
		}
		for _, db := range []*DB{there, here, there} {
			var o *kinto.Object
			var in, out []string
			err := db.Read(t.Context(), func(tx kinto.Reader) (err error) {
				if o, err = tx.Get(buckets, "b"); err != nil {
					return err
				}
				if in, err = tx.Groups(member); err != nil {
					return err
				}
				out, err = tx.Groups("bob" + strconv.Itoa(i-1))
				return err
			})
			if err == nil && (o == nil || string(o.Permissions) != string(want)) {
				t.Errorf("round %d: %v", i, o)
			}
			if len(in) != 1 || len(out) != 0 {
				t.Errorf("round %d: in %v, still in %v", i, in, out)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		// and in a transaction that writes
		err := there.Write(t.Context(), []kinto.List{records("c")}, func(tx kinto.Tx) error {
			o, err := tx.Get(buckets, "b")
			if err != nil || string(o.Permissions) != string(want) {
				t.Errorf("round %d, writing: %v, %v", i, o, err)
			}
			_, err = tx.Tick(records("c"), -1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// watchHearsOtherNodes: by far sooner than everybody is woken anyway.
func watchHearsOtherNodes(t *testing.T, c *pgtest.Cluster, by route) {
	dsn := by(c.DSN(t))
	here, there := open(t, dsn), open(t, dsn)
	changed, stop := there.Watch(records("c"))
	defer stop()
	start := time.Now()
	for i := range 10 {
		ts, err := write(here, records("c"), kinto.Object{ID: "r"})
		if err != nil {
			t.Fatal(err)
		}
		for seen := int64(0); seen < ts; {
			select {
			case <-changed:
			case <-time.After(2 * poll):
				t.Fatalf("round %d: nobody was woken", i)
			}
			err := there.Read(t.Context(), func(tx kinto.Reader) (err error) {
				seen, _, err = tx.Timestamp(records("c"))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if took := time.Since(start); took > 5*poll {
		t.Errorf("10 changes were heard of in %s: by waking everybody, and not by notice", took)
	}
}

// oneOfTwoNodesWins: of writers on both nodes with the same precondition one
// sees it hold, whether or not it said beforehand which list it writes to.
func oneOfTwoNodesWins(t *testing.T, c *pgtest.Cluster, by route) {
	dsn := by(c.DSN(t))
	nodes := []*DB{open(t, dsn), open(t, dsn)}
	for round := range 100 {
		id := "r" + strconv.Itoa(round)
		l := records("c")
		if round%10 == 0 {
			l = buckets
		}
		won := make([]bool, 6)
		var wg sync.WaitGroup
		for g := range won {
			wg.Go(func() {
				var about []kinto.List
				if g%3 > 0 {
					about = []kinto.List{l}
				}
				err := nodes[g%2].Write(context.Background(), about, func(tx kinto.Tx) error {
					won[g] = false
					old, err := tx.Get(l, id)
					if err != nil || old != nil {
						return err
					}
					won[g] = true
					_, err = put(tx, l, kinto.Object{ID: id, Data: fmt.Appendf(nil, `{"by":%d}`, g)})
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(slices.DeleteFunc(slices.Clone(won), func(w bool) bool { return !w })); n != 1 {
			t.Errorf("round %d: %d winners", round, n)
		}
	}
}

// crossedLists: writers on two nodes that need the same lists in any order, and
// did not say so, get through, and none of what they add up is lost.
func crossedLists(t *testing.T, c *pgtest.Cluster, by route) {
	dsn := by(c.DSN(t))
	nodes := []*DB{open(t, dsn), open(t, dsn)}
	const writers, each = 12, 25
	var wg sync.WaitGroup
	var runs atomic.Int64
	start := time.Now()
	for g := range writers {
		wg.Go(func() {
			for i := range each {
				one, two := records("l"+strconv.Itoa((g+i)%5)), records("l"+strconv.Itoa((g*3+i*2+1)%5))
				lists := []kinto.List{one}
				if two != one {
					lists = append(lists, two)
				}
				var about []kinto.List
				if i%3 == 0 {
					about = lists[:1]
				}
				if i%10 == 9 {
					lists = append(lists, buckets)
				}
				err := nodes[g%2].Write(context.Background(), about, func(tx kinto.Tx) error {
					runs.Add(1)
					for _, l := range lists {
						old, err := tx.Get(l, "sum")
						if err != nil {
							return err
						}
						n := 0
						if old != nil {
							if n, err = strconv.Atoi(string(old.Data[len(`{"n":`) : len(old.Data)-1])); err != nil {
								return err
							}
						}
						if _, err := put(tx, l, kinto.Object{ID: "sum", Data: fmt.Appendf(nil, `{"n":%d}`, n+len(lists))}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want, got := 0, 0
	for g := range writers {
		for i := range each {
			lists := 1
			if (g+i)%5 != (g*3+i*2+1)%5 {
				lists = 2
			}
			if i%10 == 9 {
				lists++
			}
			want += lists * lists
		}
	}
	err := nodes[0].Read(t.Context(), func(tx kinto.Reader) error {
		got = 0
		for _, l := range []kinto.List{records("l0"), records("l1"), records("l2"), records("l3"), records("l4"), buckets} {
			o, err := tx.Get(l, "sum")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(o.Data[len(`{"n":`) : len(o.Data)-1]))
			if err != nil {
				return err
			}
			got += n
		}
		return nil
	})
	if err != nil || got != want {
		t.Errorf("the sums are %d, want %d (%v)", got, want, err)
	}
	t.Logf("%d writes took %d runs and %s", writers*each, runs.Load(), time.Since(start).Round(time.Millisecond))
}

// badJobsHarmNobody: of jobs that share a transaction those that cannot be kept
// take nobody along, wherever they turn out to be bad.
func badJobsHarmNobody(t *testing.T, c *pgtest.Cluster, by route) {
	db := open(t, by(c.DSN(t)))
	l := records("c")
	no := errors.New("no")
	var wg sync.WaitGroup
	var kept atomic.Int64
	for g := range 32 {
		wg.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("r%d-%d", g, i)
				kind := (g + i) % 4
				err := db.Write(context.Background(), []kinto.List{l}, func(tx kinto.Tx) error {
					o := kinto.Object{ID: id}
					if kind == 1 {
						o.Data = []byte("{\"not\":\"text\x00\"}") // the database refuses it when it is sent
					}
					if _, err := put(tx, l, o); err != nil {
						return err
					}
					if kind == 2 {
						// What was written goes to the database before it fails.
						if _, _, err := tx.Select(l, kinto.Query{Since: -1, Before: -1, Limit: 1}); err != nil {
							return err
						}
						return no
					}
					return nil
				})
				switch {
				case kind == 1 && err == nil, kind == 2 && !errors.Is(err, no), (kind == 0 || kind == 3) && err != nil:
					t.Errorf("kind %d: %v", kind, err)
				case err == nil:
					kept.Add(1)
				}
			}
		})
	}
	wg.Wait()
	err := db.Read(t.Context(), func(tx kinto.Reader) error {
		n, err := tx.Count(l, kinto.Everything())
		all, _, err2 := tx.Select(l, kinto.Everything())
		if n != int(kept.Load()) || len(all) != n {
			t.Errorf("%d were kept, %d are counted, %d are there", kept.Load(), n, len(all))
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
}
