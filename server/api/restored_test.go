package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// withLists is a server on which there is each kind of list.
var withLists = map[string]string{
	"includes": "kinto.plugins.history kinto.plugins.default_bucket kinto.plugins.accounts", "multiauth.policies": "account basicauth",
	"account_create_principals": "system.Everyone", "experimental_permissions_endpoint": "true",
}

// lives is one life after the other of one store: each begins with a restore.
type lives struct {
	*server
	db       kinto.Store
	settings map[string]string
}

func begin(t *testing.T, db kinto.Store, settings map[string]string) *lives {
	l := &lives{db: db, settings: settings, server: &server{t, houseOn(t, db, settings)}}
	fill(l.server)
	return l
}

// restored brings the store back to what it holds now, and serves it some time later.
func (l *lives) restored() {
	l.t.Helper()
	if err := l.db.Write(l.t.Context(), nil, func(tx kinto.Tx) error { return kinto.Lose(tx, time.Now().UnixMilli()) }); err != nil {
		l.t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the server that was there before goes on so long
	end := time.Now().UnixMilli()
	l.resume()
	if all := l.spans(); all[len(all)-1].To < end {
		l.t.Errorf("at %d, others were served: %+v", end, all)
	}
}

// resume starts the server on the store.
func (l *lives) resume() {
	l.t.Helper()
	db, err := kinto.Resume(l.t.Context(), l.db)
	if err != nil {
		l.t.Fatal(err)
	}
	l.server = &server{l.t, houseOn(l.t, db, l.settings)}
}

// spans are what the store says was lost.
func (l *lives) spans() (all []struct{ From, To int64 }) {
	l.t.Helper()
	err := l.db.Read(l.t.Context(), func(tx kinto.Reader) error {
		text, err := tx.Meta(kinto.MetaLost)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &all)
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

// everyList is lists of every kind, and who may see them.
var everyList = map[string]string{
	"/v1/buckets": "alice", collections: "alice", "/v1/buckets/b/groups": "alice", records: "alice", historyURL: "alice",
	"/v1/buckets/default/collections/own/records": "alice", accounts: "ann",
}

// TestDevicesThatHadSeenMore: who comes with a timestamp that a restore took away is told
// that the list was flushed, by every door, and then shown all of it; who comes with
// another, or with none, is answered as ever.
func TestDevicesThatHadSeenMore(t *testing.T) {
	t.Attr("shows", "backups")
	db, err := openStore(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // a test's own
	hadSeenMore(t, db)
}

func hadSeenMore(t *testing.T, db kinto.Store) {
	l := begin(t, db, withLists)
	l.must(201, "alice", "PUT /v1/buckets/b/groups/g", `{"data":{"members":[]}}`)
	for i := range 3 {
		l.must(201, "alice", fmt.Sprintf("PUT %s/old%d", records, i), `{"data":{"n":1}}`)
	}
	l.must(200, "alice", "DELETE "+records+"/old0", "")
	l.must(201, "alice", "PUT /v1/buckets/default/collections/own/records/mine", "")
	l.must(201, "", "PUT "+accounts+"/ann", `{"data":{"password":"pass"}}`)
	list := func(line, user string) reply {
		t.Helper()
		return l.must(200, user, line, "")
	}
	stood := map[string]int64{}
	was := map[string][]string{}
	for address, user := range everyList {
		r := list("GET "+address+"?_since=0", user)
		stood[address], was[address] = etag(t, r), ids(r)
	}
	l.restored()
	span := l.spans()[0]
	if span.To <= span.From+1 || slices.Max(slices.Collect(maps.Values(stood))) != span.From {
		t.Fatalf("lost: %+v; lists stood at %v", span, stood)
	}

	for round := range 2 {
		for address, user := range everyList {
			// Who stood still is told nothing new, or what was written since.
			r := list(fmt.Sprintf("GET %s?_since=%d", address, stood[address]), user)
			if now := etag(t, r); round == 0 && (now != stood[address] || len(r.list()) > 0) || now != stood[address] && now <= span.To {
				t.Errorf("%s, of who stood still: %d (%d before), %s", address, now, stood[address], r.text)
			}
			for _, since := range []int64{span.From + 1, (span.From + span.To) / 2, span.To - 1} {
				for _, ask := range []string{fmt.Sprint(since), url.QueryEscape(fmt.Sprintf(`"%d"`, since))} {
					r := list(fmt.Sprintf("GET %s?_since=%s&_sort=-last_modified", address, ask), user)
					if got := etag(t, r); got <= since || len(r.list()) > 0 || r.header.Get("Next-Page") != "" {
						t.Errorf("%s?_since=%s: at %d, %s", address, ask, got, r.text)
					}
					all := ids(list(fmt.Sprintf("GET %s?_since=%d", address, etag(t, r)), user))
					slices.Sort(all)
					for _, id := range was[address] {
						if _, found := slices.BinarySearch(all, id); !found {
							t.Errorf("%s, asked again: %q, there were %q", address, all, was[address])
						}
					}
				}
				if r := list(fmt.Sprintf("HEAD %s?_since=%d", address, since), user); etag(t, r) != span.To {
					t.Errorf("HEAD %s: %v", address, r.header)
				}
				batch := l.must(200, user, "POST /v1/batch", fmt.Sprintf(`{"requests":[{"method":"GET","path":"%s?_since=%d"}]}`, strings.TrimPrefix(address, "/v1"), since))
				one := batch.body["responses"].([]any)[0].(map[string]any)
				if data, _ := one["body"].(map[string]any)["data"].([]any); len(data) > 0 || one["headers"].(map[string]any)["ETag"] != fmt.Sprintf(`"%d"`, span.To) {
					t.Errorf("%s in a batch: %v", address, one)
				}
			}
			if r := list("GET "+address, user); etag(t, r) >= span.From+1 && etag(t, r) <= span.To {
				t.Errorf("%s stands at %d, which was lost", address, etag(t, r))
			}
		}
		// Feeds tell of everything there is.
		for _, how := range [][]string{{fmt.Sprintf("?_since=%d", span.From+1)}, {"", fmt.Sprintf("Last-Event-ID: %d", span.To-1)}} {
			want := was[records]
			if round == 1 {
				want = append(slices.Clone(want), "new")
			}
			got := l.feed("alice", records+how[0], len(want), how[1:]...)
			slices.Sort(got)
			if want = slices.Clone(want); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("a feed %q: %q, want %q", how, got, want)
			}
		}
		if round == 0 {
			l.must(201, "alice", "PUT "+records+"/new", "")
			l.must(201, "alice", "PUT /v1/buckets/other", "")
			l.must(201, "alice", "PUT /v1/buckets/b/groups/new", `{"data":{"members":[]}}`)
			l.must(201, "alice", "PUT "+collections+"/new", "")
		}
	}

	// What was asked for otherwise, and what deletes, does what it did.
	if got := ids(l.must(200, "alice", fmt.Sprintf("GET %s?_since=%d&_before=%d", records, span.From+1, span.To+1_000_000), "")); !slices.Equal(got, []string{"new"}) {
		t.Errorf("between two timestamps: %q", got)
	}
	if got := ids(l.must(200, "alice", fmt.Sprintf("DELETE %s?_since=%d", records, span.To-1), "")); !slices.Equal(got, []string{"new"}) {
		t.Errorf("deleted: %q", got)
	}
	// All of it comes page by page, in any order.
	want := slices.Sorted(slices.Values(append(slices.Clone(was[records]), "new")))
	for _, sort := range []string{"", "&_sort=last_modified", "&_sort=id"} {
		got := everyPage(l.server, "alice", fmt.Sprintf("%s?_limit=1&_since=%d%s", records, span.To, sort))
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("page by page%s: %q, want %q", sort, got, want)
		}
	}
}

// TestTimestampsGoOnAfterARestore: a clock that went back gives no timestamp again that was
// given before the restore, in no list, however it is asked for.
func TestTimestampsGoOnAfterARestore(t *testing.T) {
	t.Attr("shows", "backups")
	db, err := openStore(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // a test's own
	goesOn(t, db)
}

func goesOn(t *testing.T, db kinto.Store) {
	l := begin(t, db, withLists)
	stood := etag(t, l.must(200, "alice", "GET "+records, ""))
	to := time.Now().UnixMilli() + 90*24*3_600_000 // the clock has gone back by so much since
	if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		return tx.SetMeta(kinto.MetaLost, fmt.Appendf(nil, `[{"from":%d,"to":%d}]`, stood, to))
	}); err != nil {
		t.Fatal(err)
	}
	l.resume()
	if got := etag(t, l.must(200, "alice", "GET "+records, "")); got != stood {
		t.Errorf("a list that nobody wrote to stands at %d", got)
	}
	for _, line := range []string{
		"PUT " + records + "/r", "PUT " + records + "/new", "POST " + records, "PUT /v1/buckets/b", "PUT /v1/buckets/b2", "PUT " + collections + "/c2", "PUT /v1/buckets/b/groups/g",
		"PUT /v1/buckets/default/collections/own/records/r", "PUT " + collections + "/c2/records/r", "DELETE " + records + "/r", "DELETE " + records,
	} {
		body := ""
		if strings.Contains(line, "groups") {
			body = `{"data":{"members":[]}}`
		}
		r := l.do("alice", line, body)
		if r.status > 201 {
			t.Fatalf("%s: %s", line, r.text)
		}
		if etag(t, r) <= to {
			t.Errorf("%s gave %d again", line, etag(t, r))
		}
	}
	l.must(201, "", "PUT "+accounts+"/ann", `{"data":{"password":"pass"}}`)
	for address, user := range everyList {
		if r := l.must(200, user, "GET "+address, ""); etag(t, r) <= to {
			t.Errorf("%s stands at %d", address, etag(t, r))
		}
		// What lies far ahead of this clock, and was given, is known.
		l.must(200, user, fmt.Sprintf("GET %s?_since=%d", address, to-1), "")
		l.must(200, user, fmt.Sprintf("GET %s?_since=%d", address, to), "")
	}
	// A list that is looked at first stands after it, too; and one into which a timestamp of
	// the past is written.
	l.must(201, "alice", "PUT "+collections+"/c3", "")
	if got := etag(t, l.must(200, "alice", "GET "+collections+"/c3/records", "")); got <= to {
		t.Errorf("a new list began at %d", got)
	}
	l.must(201, "alice", "PUT "+collections+"/c4", "")
	for _, list := range []string{collections + "/c3/records", collections + "/c4/records"} {
		if got := etag(t, l.must(201, "alice", "PUT "+list+"/past", `{"data":{"last_modified":1234567890123}}`)); got != 1234567890123 {
			t.Errorf("a timestamp of the past became %d", got)
		}
		if got := etag(t, l.must(200, "alice", "GET "+list, "")); got <= to {
			t.Errorf("a list stands at %d", got)
		}
	}
}

// TestOneRestoreAfterTheOther: what was lost is remembered of the last twenty, and ends when
// somebody is served.
func TestOneRestoreAfterTheOther(t *testing.T) {
	t.Attr("shows", "backups")
	h, db := newHouse(t, withLists)
	l := &lives{server: &server{t, h}, db: db, settings: withLists}
	fill(l.server)
	for i := range 23 {
		l.restored()
		l.resume() // a start, and no restore
		l.must(201, "alice", fmt.Sprintf("PUT %s/r%d", records, i), "")
	}
	all := l.spans()
	if len(all) != 20 {
		t.Fatalf("%d are remembered", len(all))
	}
	for i, one := range all {
		if one.From >= one.To || i > 0 && one.From <= all[i-1].To {
			t.Errorf("%d: %+v after %+v", i, one, all[max(0, i-1)])
		}
		if r := l.must(200, "alice", fmt.Sprintf("GET %s?_since=%d", records, one.From+1), ""); etag(t, r) != one.To || len(r.list()) > 0 {
			t.Errorf("%d: %d %s", i, etag(t, r), r.text)
		}
		if r := l.must(200, "alice", fmt.Sprintf("GET %s?_since=%d", records, one.From), ""); len(r.list()) != 20-i {
			t.Errorf("%d: since its beginning there are %d", i, len(r.list()))
		}
	}
	// Restored twice before anybody is served, it is one.
	before := len(l.spans())
	for range 2 {
		if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return kinto.Lose(tx, time.Now().UnixMilli()) }); err != nil {
			t.Fatal(err)
		}
	}
	if all := l.spans(); len(all) != before || all[len(all)-2].To >= all[len(all)-1].From {
		t.Errorf("%+v", all)
	}
}

func fill(s *server) {
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	s.must(201, "alice", "PUT "+collections+"/c", "")
	s.must(201, "alice", "PUT "+records+"/r", `{"data":{"n":1}}`)
}
