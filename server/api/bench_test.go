package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }

func serve(b *testing.B, h http.Handler, want int, method, path, body string) {
	var r *http.Request
	if body == "" {
		r = httptest.NewRequest(method, path, nil)
	} else {
		r = httptest.NewRequest(method, path, strings.NewReader(body))
	}
	r.SetBasicAuth("alice", "pass")
	s := &sink{header: http.Header{}}
	h.ServeHTTP(s, r)
	if s.status != want {
		b.Fatalf("%s %s: %d", method, path, s.status)
	}
}

const item = `{"data":{"title":"Buy milk and bread","done":false,"tags":["home","shop"],"position":12.5,"notes":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","due":{"day":"2026-03-01","hour":null}}}`

// stocked is a handler over a collection of n records.
func stocked(b *testing.B, n int) http.Handler {
	h := newServer(b, nil)
	serve(b, h, 201, "PUT", "/v1/buckets/b", "")
	serve(b, h, 201, "PUT", "/v1/buckets/b/collections/c", "")
	for i := range n {
		serve(b, h, 201, "PUT", fmt.Sprintf("/v1/buckets/b/collections/c/records/r%d", i), item)
	}
	return h
}

func BenchmarkGet(b *testing.B) {
	h := stocked(b, 1000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		serve(b, h, 200, "GET", fmt.Sprintf("/v1/buckets/b/collections/c/records/r%d", i%1000), "")
		i++
	}
}

func BenchmarkList100(b *testing.B) {
	h := stocked(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		serve(b, h, 200, "GET", "/v1/buckets/b/collections/c/records?_limit=100", "")
	}
}

// BenchmarkCreate64 is durable creation by 64 clients at once.
func BenchmarkCreate64(b *testing.B) {
	h := stocked(b, 0)
	b.ReportAllocs()
	b.SetParallelism(32) // times two cores
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			serve(b, h, 201, "PUT", fmt.Sprintf("/v1/buckets/b/collections/c/records/n%d", n.Add(1)), item)
		}
	})
}

// BenchmarkCreate64Generated is the same with ids the server makes, which lie
// all over the index.
func BenchmarkCreate64Generated(b *testing.B) {
	h := stocked(b, 0)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			serve(b, h, 201, "POST", "/v1/buckets/b/collections/c/records", item)
		}
	})
}

// BenchmarkFilter10k looks through ten thousand records for a few, and
// BenchmarkSort10k puts them in order for the first page.
func BenchmarkFilter10k(b *testing.B) {
	h := stocked(b, 10_000)
	for b.Loop() {
		serve(b, h, 200, "GET", "/v1/buckets/b/collections/c/records?position=12.5&like_title=bread&gt_id=r9990", "")
	}
}

func BenchmarkSort10k(b *testing.B) {
	h := stocked(b, 10_000)
	for b.Loop() {
		serve(b, h, 200, "GET", "/v1/buckets/b/collections/c/records?_sort=-title,due.day,id&_limit=100", "")
	}
}

// BenchmarkBatch25 is a batch of 25 records, kept in one transaction.
func BenchmarkBatch25(b *testing.B) {
	h := stocked(b, 0)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		body := []byte(`{"defaults":{"method":"PUT","body":` + item + `},"requests":[`)
		for i := range 25 {
			if i > 0 {
				body = append(body, ',')
			}
			body = fmt.Appendf(body, `{"path":"/buckets/b/collections/c/records/n%d"}`, n)
			n++
		}
		serve(b, h, 200, "POST", "/v1/batch", string(body)+"]}")
	}
}
