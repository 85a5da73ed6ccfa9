package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// bench is a run of measurements.
type bench struct {
	dose
	binary, dir string
	trivial     *process
	disk        *disk
	table       table
}

var auth = "Basic " + base64.StdEncoding.EncodeToString([]byte("bench:"+password))

// record is what each record holds: about 200 bytes.
func record(n int) []byte {
	return fmt.Appendf(nil, `{"data":{"title":"Buy milk and bread","done":%t,"n":%d,"tags":["home","shop"],"position":%d.5,"notes":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}`, n%2 == 0, n, n%1000)
}

// sqlite measures the embedded default.
func (b *bench) sqlite() error {
	data := filepath.Join(b.dir, "data")
	if err := b.idle(); err != nil {
		return err
	}
	return b.store("SQLite", data)
}

// idle measures a server nobody uses, and how long it takes to answer.
func (b *bench) idle() error {
	data := filepath.Join(b.dir, "idle")
	p, err := startFoyer(b.binary, data)
	if err != nil {
		return err
	}
	if _, err := (job{addr: p.addr, clients: 1, want: 200, next: func(int) []byte { return request("GET", "/v1/", auth, nil) }}).hello(); err != nil {
		return errors.Join(err, p.stop())
	}
	time.Sleep(3 * time.Second) // what start-up held is given back
	server := 0
	if all := children(p.cmd.Process.Pid); len(all) > 0 {
		server = all[0]
	}
	b.table.add("SQLite", "resident memory at rest, `foyer serve`", resident(server, "VmRSS"), "MB", "≤ 35", resident(server, "VmRSS") <= 35)
	b.table.add("SQLite", "resident memory at rest, supervisor (`foyer try`)", resident(p.cmd.Process.Pid, "VmRSS"), "MB", "≤ 25", resident(p.cmd.Process.Pid, "VmRSS") <= 25)
	if err := p.stop(); err != nil {
		return err
	}
	var all []float64
	for range max(5, b.rounds) {
		took, err := startUp(b.binary, data)
		if err != nil {
			return err
		}
		all = append(all, took.Seconds()*1000)
	}
	b.table.add("SQLite", "`foyer serve` from start to first answer", median(all), "ms", "≤ 150", median(all) <= 150)
	return nil
}

// hello sends one request.
func (j job) hello() ([]byte, error) {
	c, err := dial(j.addr)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	status, body, err := c.body(j.next(0))
	if err == nil && status != j.want {
		err = fmt.Errorf("status %d: %.300s", status, body)
	}
	return body, err
}

// one sends one request for set-up.
func one(addr string, want int, method, path string, body []byte) ([]byte, error) {
	return job{addr: addr, want: want, next: func(int) []byte { return request(method, path, auth, body) }}.hello()
}

// fill puts n records into a collection, by batches.
func fill(addr, collection string, n int) error {
	if _, err := one(addr, 201, "PUT", "/v1/buckets/b/collections/"+collection, nil); err != nil {
		return err
	}
	const each = 1000
	for from := 0; from < n; from += each {
		body := []byte(`{"requests":[`)
		for i := from; i < min(from+each, n); i++ {
			if i > from {
				body = append(body, ',')
			}
			body = fmt.Appendf(body, `{"method":"PUT","path":"/buckets/b/collections/%s/records/r%d","body":%s}`, collection, i, record(i))
		}
		if _, err := one(addr, 200, "POST", "/v1/batch", append(body, "]}"...)); err != nil {
			return err
		}
	}
	return nil
}

// versus measures a job and its yardstick in turns and returns the medians.
func (b *bench) versus(mine, other func() (result, error)) (r result, ratio float64, err error) {
	var rates, p50s, p99s, ratios []float64
	for range b.rounds {
		a, err := mine()
		if err != nil {
			return r, 0, err
		}
		rates, p50s, p99s = append(rates, a.rate), append(p50s, float64(a.p50)), append(p99s, float64(a.p99))
		r.bytes = a.bytes
		if other == nil {
			continue
		}
		o, err := other()
		if err != nil {
			return r, 0, err
		}
		if o.rate > 0 { // a yardstick that got nothing done in so short a time says nothing
			ratios = append(ratios, a.rate/o.rate)
		}
	}
	r.rate, r.p50, r.p99 = median(rates), time.Duration(median(p50s)), time.Duration(median(p99s))
	return r, median(ratios), nil
}

// yardstick is the trivial handler with as many clients and bytes.
func (b *bench) yardstick(method string, clients int, bytes func() int, body []byte) func() (result, error) {
	return func() (result, error) {
		req := request(method, fmt.Sprintf("/%d", bytes()), "", body)
		r, _, err := job{addr: b.trivial.addr, clients: clients, want: 200, next: func(int) []byte { return req }}.run(b.slice, 0)
		return r, err
	}
}

// oldestOf is the timestamp of the last record of a page, the newest first.
func oldestOf(addr, path string) (int64, error) {
	raw, err := one(addr, 200, "GET", path, nil)
	if err != nil {
		return 0, err
	}
	var page struct {
		Data []struct {
			LastModified int64 `json:"last_modified"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		return 0, err
	}
	return page.Data[len(page.Data)-1].LastModified, nil
}

// store measures Foyer on one storage.
func (b *bench) store(name, data string, env ...string) (err error) {
	p, err := startFoyer(b.binary, data, env...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if _, err := one(p.addr, 201, "PUT", "/v1/buckets/b", nil); err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		n    int
	}{{"small", b.small}, {"middle", b.middle}, {"large", b.large}} {
		begin := time.Now()
		if err := fill(p.addr, c.name, c.n); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %d records in %s\n", name, c.n, time.Since(begin).Round(time.Second/10))
	}
	used := map[string]int{} // numbers of records that were created
	const bucket = "/v1/buckets/b/collections/"
	fixed := func(method, path string, clients, want int) func() (result, error) {
		req := request(method, path, auth, nil)
		return func() (result, error) {
			r, _, err := job{addr: p.addr, clients: clients, want: want, next: func(int) []byte { return req }}.run(b.slice, 0)
			return r, err
		}
	}
	get := func(collection string, n int) func() (result, error) {
		return func() (result, error) {
			r, _, err := job{addr: p.addr, clients: 32, want: 200, next: func(i int) []byte {
				return request("GET", fmt.Sprintf("%s%s/records/r%d", bucket, collection, i*7919%n), auth, nil)
			}}.run(b.slice, 0)
			return r, err
		}
	}
	create := func(collection string, clients int) func() (result, error) {
		return func() (result, error) {
			r, n, err := job{addr: p.addr, clients: clients, want: 201, next: func(i int) []byte {
				return request("POST", bucket+collection+"/records", auth, record(i))
			}}.run(b.slice, used[collection])
			used[collection] = n
			return r, err
		}
	}
	since := func(collection string) (func() (result, error), error) {
		path := bucket + collection + "/records?_limit=1000"
		from, err := oldestOf(p.addr, path)
		if err != nil {
			return nil, err
		}
		return fixed("GET", fmt.Sprintf("%s%s/records?_since=%d", bucket, collection, from-1), 8, 200), nil
	}
	collections := map[string]int{"small": b.small, "middle": b.middle, "large": b.large}
	measure := func(what, aim string, least float64, mine func() (result, error), other func() (result, error)) (result, error) {
		r, ratio, err := b.versus(mine, other)
		if err != nil {
			return r, fmt.Errorf("%s: %w", what, err)
		}
		b.table.rate(name, what, r, ratio, aim, least)
		return r, nil
	}
	size := 200
	bytes := func() int { return size }

	if _, err := measure("hello, 32 clients", "", 0, fixed("GET", "/v1/", 32, 200), b.yardstick("GET", 32, bytes, nil)); err != nil {
		return err
	}
	_, err = measure("get, 32 clients", "≥ 0.50", 0.50, get("large", b.large), b.yardstick("GET", 32, bytes, nil))
	if err != nil {
		return err
	}
	list := fixed("GET", bucket+"middle/records?_limit=100", 8, 200)
	probe, err := list()
	if err != nil {
		return err
	}
	size = probe.bytes
	if _, err = measure(fmt.Sprintf("list 100 of %d, 8 clients", b.middle), "≥ 0.30", 0.30, list, b.yardstick("GET", 8, bytes, nil)); err != nil {
		return err
	}
	newest, err := oldestOf(p.addr, bucket+"middle/records?_limit=1")
	if err != nil {
		return err
	}
	elsewhere := func() (result, error) {
		r, _, err := job{addr: p.addr, clients: 8, want: 200, next: func(i int) []byte {
			return request("GET", fmt.Sprintf("%smiddle/records?_limit=100&_before=%d", bucket, newest-int64(i*37%(b.middle/2))), auth, nil)
		}}.run(b.slice, 0)
		return r, err
	}
	if _, err := measure("the same, each time from elsewhere", "", 0, elsewhere, b.yardstick("GET", 8, bytes, nil)); err != nil {
		return err
	}
	thousand, err := since("large")
	if err != nil {
		return err
	}
	if probe, err = thousand(); err != nil {
		return err
	}
	size = probe.bytes
	if _, err := measure(fmt.Sprintf("_since, 1,000 of %d, 8 clients", b.large), "≥ 0.25", 0.25, thousand, b.yardstick("GET", 8, bytes, nil)); err != nil {
		return err
	}
	if _, err := measure(fmt.Sprintf("filter on a field, 1 of %d, 2 clients", b.middle), "", 0, fixed("GET", fmt.Sprintf("%smiddle/records?n=%d", bucket, b.middle/2), 2, 200), nil); err != nil {
		return err
	}
	size = 280
	single := func() (result, error) {
		rate, err := b.disk.run(b.slice)
		return result{rate: rate}, err
	}
	if _, err := measure("durable create, 1 client (yardstick: fdatasync)", "≥ 0.60", 0.60, create("small", 1), single); err != nil {
		return err
	}
	post := b.yardstick("POST", 64, bytes, record(1))
	if _, err = measure("durable create, 64 clients (yardstick: trivial POST)", "≥ 0.40", 0.40, create("large", 64), post); err != nil {
		return err
	}
	batches := 0
	batch := func() (result, error) {
		r, n, err := job{addr: p.addr, clients: 8, want: 200, items: 25, next: func(i int) []byte {
			body := []byte(`{"defaults":{"method":"POST","path":"/buckets/b/collections/middle/records"},"requests":[`)
			for k := range 25 {
				if k > 0 {
					body = append(body, ',')
				}
				body = fmt.Appendf(body, `{"body":%s}`, record(25*i+k))
			}
			return request("POST", "/v1/batch", auth, append(body, "]}"...))
		}}.run(b.slice, batches)
		batches = n
		return r, err
	}
	if _, err := measure("batch of 25, 8 clients, in records (yardstick: create, 64 clients)", "≥ 1.50", 1.50, batch, create("large", 64)); err != nil {
		return err
	}
	for _, kind := range []string{"get", "list", "_since", "create"} {
		of := func(collection string) (func() (result, error), error) {
			switch kind {
			case "get":
				return get(collection, collections[collection]), nil
			case "list":
				return fixed("GET", bucket+collection+"/records?_limit=100", 8, 200), nil
			case "_since":
				return since(collection)
			}
			return create(collection, 64), nil
		}
		few, err := of("small")
		if err != nil {
			return err
		}
		many, err := of("large")
		if err != nil {
			return err
		}
		r, ratio, err := b.versus(few, many)
		if err != nil {
			return err
		}
		_ = r
		b.table.add(name, fmt.Sprintf("%s: how many times slower with %d than with %d records", kind, b.large, b.small), ratio, "×", "≤ 1.30", ratio <= 1.30)
	}
	for _, pid := range children(p.cmd.Process.Pid) {
		b.table.add(name, "resident memory at its most, `foyer serve`, under all this", resident(pid, "VmHWM"), "MB", "≤ 160", resident(pid, "VmHWM") <= 160)
		break
	}
	return nil
}
