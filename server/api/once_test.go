package api

import (
	"sync"
	"testing"
)

func TestOnce(t *testing.T) {
	s := filled(t, nil)
	records := "/v1/buckets/b/collections/c/records"
	first := s.must(201, "alice", "POST "+records, `{"data":{"n":1}}`, "Idempotency-Key: k1")
	again := s.must(201, "alice", "POST "+records, `{"data":{"n":1}}`, "Idempotency-Key: k1")
	if again.text != first.text || again.header.Get("ETag") != first.header.Get("ETag") || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%s\n%s", first.text, again.text)
	}
	if n := len(s.must(200, "alice", "GET "+records, "").list()); n != 2 {
		t.Errorf("%d records", n)
	}
	// The same key for something else is a mistake; somebody else's is another key.
	if r := s.must(422, "alice", "POST "+records, `{"data":{"n":2}}`, "Idempotency-Key: k1"); r.body["errno"] != 107.0 {
		t.Error(r.text)
	}
	s.must(403, "bob", "POST "+records, `{"data":{"n":1}}`, "Idempotency-Key: k1")
	s.must(400, "alice", "POST "+records, "", "Idempotency-Key: ")
	// A deletion, sent again, was done; without the key it is missing.
	s.must(200, "alice", "DELETE "+records+"/r", "", "Idempotency-Key: k2")
	s.must(200, "alice", "DELETE "+records+"/r", "", "Idempotency-Key: k2")
	s.must(404, "alice", "DELETE "+records+"/r", "")
	// A precondition that held once holds again.
	s.must(201, "alice", "PUT "+records+"/p", "", "If-None-Match: *", "Idempotency-Key: k3")
	s.must(201, "alice", "PUT "+records+"/p", "", "If-None-Match: *", "Idempotency-Key: k3")
	// What was refused is tried anew.
	s.must(404, "alice", "PATCH "+records+"/q", `{"data":{"a":1}}`, "Idempotency-Key: k4")
	s.must(201, "alice", "PUT "+records+"/q", "")
	s.must(200, "alice", "PATCH "+records+"/q", `{"data":{"a":1}}`, "Idempotency-Key: k4")
	// A batch as a whole.
	batch := `{"defaults":{"method":"POST"},"requests":[{"path":"/buckets/b/collections/c/records"},{"path":"/buckets/b/collections/c/records"}]}`
	first = s.must(200, "alice", "POST /v1/batch", batch, "Idempotency-Key: k5")
	again = s.must(200, "alice", "POST /v1/batch", batch, "Idempotency-Key: k5")
	if first.text != again.text {
		t.Errorf("%s\n%s", first.text, again.text)
	}
	// In the default bucket, which comes to be by it.
	first = s.must(201, "carol", "POST /v1/buckets/default/collections/x/records", "", "Idempotency-Key: k6")
	again = s.must(201, "carol", "POST /v1/buckets/default/collections/x/records", "", "Idempotency-Key: k6")
	if first.text != again.text {
		t.Errorf("%s\n%s", first.text, again.text)
	}
	// Nobody known: there is nobody to answer the same.
	s.must(401, "", "POST "+records, "", "Idempotency-Key: k7")
}

func TestOnceAtTheSameTime(t *testing.T) {
	s := filled(t, nil)
	records := "/v1/buckets/b/collections/c/records"
	texts := make([]string, 16)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() { texts[i] = s.do("alice", "POST "+records, `{"data":{"n":2}}`, "Idempotency-Key: k").text })
	}
	wg.Wait()
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%s, and %s", texts[0], text)
		}
	}
	if n := len(s.must(200, "alice", "GET "+records, "").list()); n != 2 {
		t.Errorf("%d records", n)
	}
}
