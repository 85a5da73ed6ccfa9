//go:build !windows

package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// kept reads a note.
func (s *server) kept(db kinto.Store, key string) (value []byte) {
	s.t.Helper()
	err := db.Read(s.t.Context(), func(tx kinto.Reader) (err error) {
		value, err = tx.Note(key)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}

// answerOf is the note of what is kept for somebody's key.
func (s *server) answerOf(user, key string) string {
	id := s.must(200, user, "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	name := sha256.Sum256([]byte(id + "\x00" + key))
	return "once:" + hex.EncodeToString(name[:])
}

// Of a large answer the least is kept that tells what was done; whoever sends a write
// again learns that, and it is done once.
func TestLargeAnswersAreKeptShort(t *testing.T) {
	t.Attr("shows", "mend2")
	onBothStores(t, map[string]string{"batch_max_requests": "0"}, func(s *server, db kinto.Store) {
		t := s.t
		s.must(201, "alice", "PUT /v1/buckets/b", "")
		s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
		large := `{"data":{"x":"` + strings.Repeat("x", 200_000) + `"}}`
		s.must(201, "alice", "PUT "+records+"/large", large)
		var reads []string
		for range 10 {
			reads = append(reads, `{"path":"`+records+`/large"}`)
		}
		for _, c := range []struct {
			name, line, body string
			short            bool
			says             []string // of the answer that is sent again
		}{
			{"small", "POST " + records, `{"data":{"n":1}}`, false, []string{`"n":1`}},
			{"one", "PUT " + records + "/one", large, true, []string{`"id":"one"`, `"last_modified":`}},
			{"a patch", "PATCH " + records + "/large", `{"data":{"n":1}}`, true, []string{`"id":"large"`}},
			{"reads", "POST /v1/batch", `{"requests":[{"method":"POST","path":"` + records + `","body":{"data":{"id":"two"}}},` + strings.Join(reads, ",") + `]}`, true, []string{`"status":201`, `"id":"two"`, `"ETag":`}},
			{"a refusal that tells of what is there", "POST /v1/batch", `{"requests":[{"method":"PUT","path":"` + records + `/large","headers":{"If-None-Match":"*"}},{"method":"DELETE","path":"` + records + `/two"}]}`, true, []string{`"status":412`, `"errno":114`, `"deleted":true`}},
			{"a list that goes", "DELETE " + records + "?in_id=one,large", "", false, nil},
		} {
			key := "Idempotency-Key: " + c.name
			first := s.do("alice", c.line, c.body, key)
			if first.status >= 300 {
				t.Errorf("%s: %d %.300s", c.name, first.status, first.text)
				continue
			}
			again := s.must(first.status, "alice", c.line, c.body, key)
			if again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("ETag") != first.header.Get("ETag") || again.header.Get("Last-Modified") != first.header.Get("Last-Modified") {
				t.Errorf("%s: again %v, first %v", c.name, again.header, first.header)
			}
			if short := again.header.Get("Preference-Applied") == "return=minimal"; short != c.short || first.header.Get("Preference-Applied") != "" {
				t.Errorf("%s: short %v", c.name, short)
			}
			if !c.short && again.text != first.text {
				t.Errorf("%s: %.300s, again %.300s", c.name, first.text, again.text)
			}
			for _, part := range c.says {
				if !strings.Contains(again.text, part) {
					t.Errorf("%s: %s is not in %.2000s", c.name, part, again.text)
				}
			}
			if n := len(s.kept(db, s.answerOf("alice", c.name))); n == 0 || n > 32<<10 {
				t.Errorf("%s: %d bytes are kept for %d", c.name, n, len(first.text))
			}
		}
		// What is too large even so is not done.
		var writes []string
		for i := range 1500 {
			writes = append(writes, fmt.Sprintf(`{"path":"%s/many%d"}`, records, i))
		}
		batch := `{"defaults":{"method":"PUT"},"requests":[` + strings.Join(writes, ",") + `]}`
		if r := s.must(413, "alice", "POST /v1/batch", batch, "Idempotency-Key: many"); r.body["errno"] != 113.0 || !strings.Contains(r.text, "262144 bytes") {
			t.Error(r.text)
		}
		s.must(404, "alice", "GET "+records+"/many0", "")
	})
}

// What is kept for keys is bounded for all together, each caller having a part of what is
// left, by address where names cost nothing; who finds no room is told when to come again,
// nothing is done, and what was kept stays.
func TestKeysShareTheRoom(t *testing.T) {
	t.Attr("shows", "mend2")
	alice := start(t, nil).must(200, "alice", "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	settings := map[string]string{"multiauth.policies": "account basicauth", "includes": "kinto.plugins.accounts", "account_create_principals": alice, "account_write_principals": alice}
	onBothStores(t, settings, func(s *server, db kinto.Store) {
		t := s.t
		s.must(201, "alice", "PUT /v1/buckets/b", "")
		s.must(201, "alice", "PUT /v1/buckets/b/collections/c", `{"permissions":{"write":["system.Authenticated"]}}`)
		from := func(address, user, id, key string) (status int, wait string) {
			t.Helper()
			r := httptest.NewRequest("PUT", records+"/"+id, nil)
			r.RemoteAddr = address + ":1"
			r.SetBasicAuth(user, "pass")
			r.Header.Set("Idempotency-Key", key)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code == 429 && !strings.Contains(w.Body.String(), `"errno":117`) {
				t.Error(w.Body)
			}
			return w.Code, w.Header().Get("Retry-After")
		}
		put := func(address, user, id, key string, want int) {
			t.Helper()
			status, wait := from(address, user, id, key)
			if n, err := strconv.Atoi(wait); status != want || status == 429 && (err != nil || n < 1 || n > 24*3600) {
				t.Errorf("%s from %s: %d %q, want %d", user, address, status, wait, want)
			}
			if status == 429 {
				s.must(404, "alice", "GET "+records+"/"+id, "")
			}
		}
		set := func(name string, bytes int) {
			t.Helper()
			until := time.Now().Add(12 * time.Hour)
			if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
				return tx.SetNote(name, fmt.Appendf(nil, "%d %d", bytes, until.UnixMilli()), until)
			}); err != nil {
				t.Fatal(err)
			}
		}
		counted := func(name string) (bytes int) {
			t.Helper()
			if raw := s.kept(db, name); raw != nil {
				if _, err := fmt.Sscan(string(raw), &bytes); err != nil {
					t.Fatal(err)
				}
			}
			return bytes
		}
		const here, there, sum = "192.0.2.7", "192.0.2.8", "once-sum:anybody"
		put(here, "alice", "1", "k", 201)
		kept := len(s.kept(db, s.answerOf("alice", "k")))
		if n := counted(sum); kept == 0 || n < kept || n != counted(sum+":"+here) {
			t.Errorf("%d bytes are kept, %d are counted, %d of here", kept, n, counted(sum+":"+here))
		}
		put(here, "alice", "1", "k", 201) // again: nothing more
		before := counted(sum)
		put(here, "bob", "2", "k", 201)
		if n := counted(sum); n <= before || n != counted(sum+":"+here) {
			t.Errorf("another name: %d, before %d", n, before)
		}
		// Here has its part, whatever names it makes up; there has room, and so has whom the
		// owner of the server knows.
		set(sum, 14<<20)
		set(sum+":"+here, 15<<20)
		put(here, "carol", "3", "k", 429)
		put(here, "alice", "1", "k", 201) // what was kept is there
		put(there, "carol", "4", "k", 201)
		// The more others have, the less is a part.
		set(sum, 120<<20)
		set(sum+":"+there, 1<<20)
		put(there, "carol", "5", "k2", 429)
		put("192.0.2.9", "carol", "6", "k3", 201)
		set(sum, 128<<20)
		put("192.0.2.10", "carol", "7", "k4", 429)
		s.must(201, "alice", "PUT /v1/accounts/dora", `{"data":{"password":"password of dora"}}`)
		r := httptest.NewRequest("PUT", records+"/9", nil)
		r.SetBasicAuth("dora", "password of dora")
		r.Header.Set("Idempotency-Key", "k")
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != 201 || counted("once-sum:known") == 0 || counted("once-sum:known:account:dora") == 0 {
			t.Errorf("whom the owner knows: %d %s", w.Code, w.Body)
		}
		s.must(201, "carol", "PUT "+records+"/7", "") // without a key
		// What was refused is not kept, and can be tried again.
		set(sum, 0)
		put("192.0.2.10", "carol", "8", "k4", 201)
	})
}
