package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations" // its own tables
)

// servePocketBase serves a PocketBase that keeps its word as we do: synchronous=FULL,
// no request log, a collection everybody may use. os.Args[2] is its folder, os.Args[3]
// how many records it has.
func servePocketBase() {
	if err := pocketBase(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "pocketbase:", err)
		os.Exit(1)
	}
}

func pocketBase(dir, count string) error {
	app := core.NewBaseApp(core.BaseAppConfig{
		DataDir: dir,
		DBConnect: func(path string) (*dbx.DB, error) {
			const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(200000000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)"
			return dbx.Open("sqlite", path+pragmas)
		},
	})
	if err := app.Bootstrap(); err != nil {
		return err
	}
	if err := app.RunAllMigrations(); err != nil {
		return err
	}
	settings := app.Settings()
	settings.Logs.MaxDays = 0
	if err := app.Save(settings); err != nil {
		return err
	}
	open := ""
	c := core.NewBaseCollection("records")
	c.ListRule, c.ViewRule, c.CreateRule = &open, &open, &open
	c.Fields.Add(
		&core.TextField{Name: "title"}, &core.BoolField{Name: "done"}, &core.NumberField{Name: "n"}, &core.JSONField{Name: "tags", MaxSize: 1000},
		&core.NumberField{Name: "position"}, &core.TextField{Name: "notes"}, &core.AutodateField{Name: "updated", OnCreate: true, OnUpdate: true},
	)
	c.AddIndex("by_updated", false, "updated", "")
	if err := app.Save(c); err != nil {
		return err
	}
	n := 0
	if _, err := fmt.Sscan(count, &n); err != nil {
		return err
	}
	err := app.RunInTransaction(func(tx core.App) error {
		for i := range n {
			r := core.NewRecord(c)
			r.Load(map[string]any{"id": pocketID(i), "title": "Buy milk and bread", "done": i%2 == 0, "n": i, "tags": []string{"home", "shop"}, "position": float64(i%1000) + 0.5, "notes": notes})
			if err := tx.Save(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	router, err := apis.NewRouter(app)
	if err != nil {
		return err
	}
	mux, err := router.BuildMux()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, mux)
}

const notes = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

func pocketID(i int) string { return fmt.Sprintf("r%014d", i) }

// pocketbase compares with PocketBase: the same data, the same load, in turns.
func (b *bench) pocketbase() (err error) {
	n := b.small
	theirs, err := startSelf("pocketbase", filepath.Join(b.dir, "pocketbase"), fmt.Sprint(n))
	if err != nil {
		return err
	}
	defer theirs.stop() //nolint:errcheck // it knows no clean end
	ours, err := startFoyer(b.binary, filepath.Join(b.dir, "data-pocketbase"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	if _, err := one(ours.addr, 201, "PUT", "/v1/buckets/b", nil); err != nil {
		return err
	}
	if err := fill(ours.addr, "c", n); err != nil {
		return err
	}
	used := [2]int{n, n}
	side := func(i int, j job) func() (result, error) {
		return func() (result, error) {
			r, next, err := j.run(b.slice, used[i])
			used[i] = next
			return r, err
		}
	}
	const records = "/v1/buckets/b/collections/c/records"
	const pocket = "/api/collections/records/records"
	for _, c := range []struct {
		what         string
		least        float64
		mine, theirs job
	}{
		{
			"get, 32 clients", 5,
			job{addr: ours.addr, clients: 32, want: 200, next: func(i int) []byte { return request("GET", fmt.Sprintf("%s/r%d", records, i%n), auth, nil) }},
			job{addr: theirs.addr, clients: 32, want: 200, next: func(i int) []byte { return request("GET", pocket+"/"+pocketID(i%n), "", nil) }},
		},
		{
			"list 100, 8 clients", 10,
			job{addr: ours.addr, clients: 8, want: 200, next: func(int) []byte { return request("GET", records+"?_limit=100", auth, nil) }},
			job{addr: theirs.addr, clients: 8, want: 200, next: func(int) []byte { return request("GET", pocket+"?perPage=100&skipTotal=1&sort=-updated", "", nil) }},
		},
		{
			"durable create, 64 clients", 5,
			job{addr: ours.addr, clients: 64, want: 201, next: func(i int) []byte { return request("POST", records, auth, record(i)) }},
			job{addr: theirs.addr, clients: 64, want: 200, next: func(i int) []byte {
				body := record(i)
				return request("POST", pocket, "", body[len(`{"data":`):len(body)-1])
			}},
		},
	} {
		r, ratio, err := b.versus(side(0, c.mine), side(1, c.theirs))
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		b.table.rate("SQLite", c.what+" (yardstick: PocketBase)", r, ratio, fmt.Sprintf("≥ %.0f", c.least), c.least)
	}
	return nil
}
