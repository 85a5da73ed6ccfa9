package api

import (
	"encoding/json"
	"testing"
	"time"
)

func TestEndOfService(t *testing.T) {
	day := func(days int) string { return time.Now().AddDate(0, 0, days).UTC().Format(time.DateOnly) }
	alert := func(r reply) map[string]string {
		var out map[string]string
		if text := r.header.Get("Alert"); text != "" {
			if err := json.Unmarshal([]byte(text), &out); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		return out
	}
	s := start(t, map[string]string{"eos": day(2), "eos_message": "C'est bientôt fini 🎈", "eos_url": "https://a.example"})
	r := s.must(200, "", "GET /v1/", "")
	if a := alert(r); a["code"] != "soft-eol" || a["message"] != "C'est bientôt fini 🎈" || a["url"] != "https://a.example" || r.body["eos"] != day(2) {
		t.Errorf("%v, eos %v", a, r.body["eos"])
	}
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	over := start(t, map[string]string{"eos": day(-1)})
	for _, line := range []string{"GET /v1/", "PUT /v1/buckets/b", "GET /v1/nothing", "POST /v1/batch"} {
		r := over.must(410, "alice", line, "")
		if a := alert(r); a["code"] != "hard-eol" || r.body["errno"] != 202.0 {
			t.Errorf("%s: %v %s", line, a, r.text)
		}
	}
	if a := alert(start(t, map[string]string{"eos": "soon"}).must(200, "", "GET /v1/", "")); a != nil {
		t.Errorf("a day that is none: %v", a)
	}
}
