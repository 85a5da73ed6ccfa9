//go:build !windows

package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// feed is a change feed that is open.
type feed struct {
	what string
	c    *caller
	p    *spot
	resp *http.Response
	in   *bufio.Scanner
}

// feedPatience bounds how long an event may take to come.
const feedPatience = 2 * time.Minute

// listen opens a feed over the network.
func (m *matrix) listen(ctx context.Context, url string, c *caller, p *spot) *feed {
	m.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1"+p.path+"?_since=0", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if c.auth != "" {
		r.Header.Set("Authorization", c.auth)
	}
	if c.cookie != "" {
		r.Header.Set("Cookie", c.cookie)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	f := &feed{c.name + ": " + p.path, c, p, resp, bufio.NewScanner(resp.Body)}
	f.in.Buffer(nil, 1<<20)
	return f
}

// event is what a feed tells: an id, and whether it is gone.
type event struct {
	name, data string
	id         string
	gone       bool
}

func (m *matrix) next(f *feed) (e event) {
	m.t.Helper()
	for f.in.Scan() {
		name, value, _ := strings.Cut(f.in.Text(), ": ")
		switch name {
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.name == "" {
				continue
			}
			var o struct {
				ID      string
				Deleted bool
			}
			if err := json.Unmarshal([]byte(e.data), &o); err != nil {
				m.t.Fatalf("the feed of %s: %v in %s", f.what, err, e.data)
			}
			e.id, e.gone = o.ID, o.Deleted
			return e
		}
	}
	m.t.Fatalf("the feed of %s has ended: %v", f.what, f.in.Err())
	return e
}

// changes reads so many changes, and returns the ids of what is there; problem is what
// they tell that the caller may not know.
func (m *matrix) changes(f *feed, n int) (ids []string, problem string) {
	m.t.Helper()
	ids = []string{}
	for range n {
		e := m.next(f)
		if text := m.leaks(f.c, []byte(e.data)); text != "" {
			problem = text
		}
		if e.name != "change" {
			problem = fmt.Sprintf("an event %+v", e)
		}
		if !e.gone {
			ids = append(ids, e.id)
		}
	}
	return ids, problem
}

// asFeeds listens to the lists of a world as each caller, while something happens there.
func (m *matrix) asFeeds(w *world) {
	m.t.Helper()
	var in []*thing
	if len(w.things) > 0 {
		in = []*thing{w.things[0], w.things[0], w.things[1]}
	}
	m.feeds(w, w.spots, w.callers, func() (hidden, shown []*thing) {
		for i, kind := range []string{"collection", "group", "record"} {
			if in != nil {
				hidden = append(hidden, m.thing(kind, "hidden", in[i], map[string][]string{"write": {"account:" + creator}}))
				shown = append(shown, m.thing(kind, "shown", in[i], map[string][]string{"write": {"account:" + creator}, "read": {"system.Everyone"}}))
			}
		}
		return hidden, shown
	})
}

// feeds opens the feeds of lists as callers, then has things come to be of which some are
// shown to them: they are told of those, and of no others.
func (m *matrix) feeds(w *world, spots []*spot, callers []*caller, happens func() (hidden, shown []*thing)) {
	m.t.Helper()
	const door = "as a feed"
	web := httptest.NewServer(m.door)
	defer web.Close()
	ctx, cancel := context.WithTimeout(m.t.Context(), feedPatience)
	defer cancel() // before the server waits for them to end
	var open []*feed
	for _, p := range spots {
		if p.form != "list" {
			continue
		}
		for _, c := range callers {
			if p.kind == "history" && !p.lost {
				p.list = m.entries(w, m.ask(call{method: "GET", path: "/v1" + p.path, auth: m.callers[creator].auth}))
			}
			want := m.judge(c, p, "GET")
			f := m.listen(ctx, web.URL, c, p)
			if want.status != http.StatusOK || f.resp.StatusCode != want.status {
				problem := ""
				if f.resp.StatusCode != want.status {
					problem = fmt.Sprintf("%s, want %d", f.resp.Status, want.status)
				}
				f.resp.Body.Close() //nolint:errcheck // read to no end
				m.found(door, f.what, problem)
				continue
			}
			defer f.resp.Body.Close() //nolint:errcheck // read to no end
			open = append(open, f)
			all := m.must(call{method: "GET", path: "/v1" + p.path + "?_since=0", auth: c.auth})
			problem := ""
			if ready := m.next(f); ready.name != "ready" {
				problem = fmt.Sprintf("begins with %+v", ready)
			}
			ids, leak := m.changes(f, len(idsIn(all.body)))
			slices.Sort(ids)
			if sorted := slices.Sorted(slices.Values(want.ids)); !slices.Equal(ids, sorted) {
				problem = fmt.Sprintf("tells of %v, want %v", ids, sorted)
			}
			m.found(door, f.what, problem+leak)
		}
	}
	hidden, shown := happens()
	known := map[string]bool{}
	for _, p := range spots {
		for _, o := range p.list {
			known[o.id] = true
		}
	}
	var all, undo []call
	for _, o := range append(slices.Clone(hidden), shown...) {
		all, undo = append(all, o.make()), append(undo, call{method: "DELETE", path: "/v1" + o.uri})
	}
	m.asCreator(all...)
	var entries []*thing
	if w != nil && len(open) > 0 {
		entries = m.entries(w, m.must(call{method: "GET", path: "/v1/buckets/" + w.name + "/history", auth: m.callers[creator].auth}))
		entries = slices.DeleteFunc(entries, func(e *thing) bool { return known[e.id] })
	}
	for _, f := range open {
		of := append(slices.Clone(hidden), shown...)
		if f.p.kind == "history" {
			of = slices.Clone(entries)
		}
		of = slices.DeleteFunc(of, func(o *thing) bool {
			return o.kind != f.p.kind || o.in != f.p.above[parentOf[o.kind]] && o.kind != "history" || !m.holds(f.c, o.kind, o.kind+" read", f.p.with(o))
		})
		if len(of) == 0 {
			continue // of another list
		}
		want := []string{}
		for _, o := range of {
			want = append(want, o.id)
		}
		ids, problem := m.changes(f, len(of))
		slices.Sort(ids)
		if slices.Sort(want); !slices.Equal(ids, want) {
			problem = fmt.Sprintf("tells of %v, want %v", ids, want)
		}
		m.found(door, f.what+", later", problem)
	}
	m.asCreator(undo...)
}

// buckets is the list of buckets, which all share.
func (m *matrix) buckets() {
	var throwaway []*thing
	for id, perms := range map[string]map[string][]string{
		"spare-guest":    {"write": {"account:" + creator, "account:" + guest}},
		"spare-everyone": {"write": {"account:" + creator, "system.Everyone"}},
		"spare-nobody":   {"write": {"account:" + creator}},
	} {
		throwaway = append(throwaway, m.thing("bucket", id, nil, perms))
	}
	w := &world{name: "spare", things: throwaway}
	m.worlds = append(m.worlds, w)
	var all []call
	for _, o := range throwaway {
		all = append(all, o.make())
	}
	m.asCreator(all...)
	p := &spot{path: "/buckets", form: "list", kind: "bucket", list: []*thing{m.people}}
	for _, x := range m.worlds {
		for _, o := range x.things {
			if o.kind == "bucket" {
				p.list = append(p.list, o)
			}
		}
	}
	for _, o := range throwaway {
		p.pick = append(p.pick, o.id)
	}
	w.spots = []*spot{p}
	for _, c := range m.everybody() {
		m.directly(w, c)
		m.inABatch(w, c)
		m.replayed(w, c)
	}
	m.feeds(nil, w.spots, m.everybody(), func() (hidden, shown []*thing) {
		return []*thing{m.thing("bucket", "hidden", nil, map[string][]string{"write": {"account:" + creator}})},
			[]*thing{m.thing("bucket", "shown", nil, map[string][]string{"write": {"account:" + creator}, "read": {"system.Everyone"}})}
	})
	m.permissions(p.list)
}

// permissions is what callers are told of what they hold (§8, permissions endpoint).
func (m *matrix) permissions(buckets []*thing) {
	all := append(slices.Clone(buckets), m.friends)
	for _, w := range m.worlds {
		for _, o := range w.things {
			if o.kind != "bucket" {
				all = append(all, o)
			}
		}
	}
	for _, c := range m.everybody() {
		want := []string{}
		for _, o := range all {
			held := map[string]bool{}
			for _, name := range permissionsOf[o.kind] {
				setting := o.kind + "_" + name
				if child, ok := strings.CutSuffix(name, ":create"); ok {
					setting = child + "_create"
				}
				if overlap(o.perms[name], c.principals) || o.kind != "record" && overlap(m.settings[setting], c.principals) {
					for _, one := range impliedBy(o.kind, name) {
						held[one] = true
					}
				}
			}
			if names := slices.Sorted(maps.Keys(held)); len(names) > 0 {
				want = append(want, o.uri+" "+strings.Join(names, " "))
			}
		}
		var root []string
		if m.holds(c, "account", "account create", nil) {
			root = append(root, "account:create")
		}
		if m.holds(c, "bucket", "bucket create", nil) {
			root = append(root, "bucket:create")
		}
		if root != nil {
			want = append(want, "/ "+strings.Join(root, " "))
		}
		q := call{method: "GET", path: "/v1/permissions", auth: c.auth, cookie: c.cookie}
		m.found("directly", c.name+": GET /permissions", m.entitled(m.ask(q), want))
		q.auth = ""
		m.found("in a batch", c.name+": GET /permissions", m.entitled(m.batch(c.cookie, []call{{method: "GET", path: "/v1/permissions", auth: c.auth}})[0], want))
		q = call{method: "HEAD", path: "/v1/permissions", auth: c.auth, cookie: c.cookie}
		problem := ""
		if a := m.ask(q); a.status != http.StatusOK || a.header.Get("Total-Records") != fmt.Sprint(len(want)) {
			problem = fmt.Sprintf("%d, counts %q, want %d", a.status, a.header.Get("Total-Records"), len(want))
		}
		m.found("directly", c.name+": HEAD /permissions", problem)
	}
}

// impliedBy are the permissions on an object that one on the same object brings along.
func impliedBy(kind, name string) []string {
	all := []string{name}
	for what, by := range sufficing {
		on, permission, _ := strings.Cut(what, " ")
		if !slices.Contains(by, kind+" "+name) {
			continue
		}
		switch {
		case on == kind && permission == "attributes" && (kind == "bucket" || kind == "collection"):
			all = append(all, "read:attributes")
		case on == kind && permission != "attributes":
			all = append(all, permission)
		case permission == "create" && parentOf[on] == kind:
			all = append(all, on+":create")
		}
	}
	return all
}

func (m *matrix) entitled(a said, want []string) string {
	var list struct {
		Data []struct {
			URI         string
			Permissions []string
		}
	}
	if err := a.read(&list); err != nil || a.status != http.StatusOK {
		return fmt.Sprintf("%d %s, %v", a.status, a.body, err)
	}
	var got []string
	for _, e := range list.Data {
		slices.Sort(e.Permissions)
		got = append(got, e.URI+" "+strings.Join(e.Permissions, " "))
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	more := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return slices.Contains(want, s) })
	less := slices.DeleteFunc(want, func(s string) bool { return slices.Contains(got, s) })
	if len(more)+len(less) > 0 {
		return fmt.Sprintf("tells %q, and not %q", more, less)
	}
	return ""
}

// ownBuckets is §8, default bucket: whoever is known has one of their own, and everything
// in it; nobody else has.
func (m *matrix) ownBuckets() {
	const base = "/v1/buckets/default"
	form, headers := fileForm()
	steps := []struct {
		act, path string
		want      int
	}{
		{"GET", "", 200},
		{"HEAD", "", 200},
		{brew, "", 405},
		{"POST", "", 405},
		{"PUT", "", 200},
		{"PATCH", "", 200},
		{"OPTIONS", "", 200},
		{"GET", "/collections", 200},
		{"HEAD", "/collections", 200},
		{"POST", "/collections", 201},
		{"PUT", "/collections", 405},
		{"PATCH", "/collections", 405},
		{brew, "/collections", 405},
		{"OPTIONS", "/collections", 200},
		{"GET", "/collections/made", 200},
		{"PUT", "/collections/put", 201},
		{"PUT", "/collections/put", 200},
		{"PATCH", "/collections/put", 200},
		{"POST", "/collections/put", 405},
		{"GET", "/groups", 200},
		{"POST", "/groups", 201},
		{"PUT", "/groups/g", 201},
		{"PATCH", "/groups/g", 200},
		{"GET", "/groups/none", 404},
		{"DELETE", "/groups/g", 200},
		{"GET", "/collections/c/records", 200},
		{"POST", "/collections/c/records", 201},
		{"GET", "/collections/c/records/none", 404},
		{"PATCH", "/collections/c/records/none", 404},
		{"DELETE", "/collections/c/records/none", 404},
		{"PUT", "/collections/c/records/r", 201},
		{"PUT", "/collections/c/records/r", 200},
		{"GET", "/collections/c/records/r", 200},
		{"POST", "/collections/c/records/f/attachment", 201},
		{"DELETE", "/collections/c/records/f/attachment", 204},
		{"GET", "/collections/c/records/f/attachment", 405},
		{"GET", "/snapshot/collections/c@9000000000000", 200},
		{"GET", "/history", 200},
		{"HEAD", "/history", 200},
		{"POST", "/history", 405},
		{"DELETE", "/history", 200},
		{"DELETE", "/collections/c/records/r", 200},
		{"DELETE", "/collections/c/records", 200},
		{"DELETE", "/collections/c", 200},
		{"DELETE", "/collections", 200},
		{"DELETE", "/groups", 200},
		{"DELETE", "", 200},
	}
	request := func(c *caller, act, path string) call {
		q := call{method: act, path: base + path, auth: c.auth, cookie: c.cookie}
		switch {
		case strings.HasSuffix(path, "/attachment") && act == "POST":
			q.body, q.headers = form, headers
		case act == "PATCH":
			q.body = `{"data":{"touched":true}}`
		case act == "POST" || act == "PUT":
			q.body = "{}"
		case act == "OPTIONS":
			q.headers = []string{"Origin", "https://app.example", "Access-Control-Request-Method", "GET"}
		}
		return q
	}
	for _, c := range m.everybody() {
		var all []call
		var wants []int
		for _, s := range steps {
			want, problem := s.want, ""
			if c.account == "" && s.act != "OPTIONS" {
				want = http.StatusUnauthorized
			}
			q := request(c, s.act, s.path)
			a := m.ask(q)
			if a.status != want {
				problem = fmt.Sprintf("%d, want %d: %s", a.status, want, a.body)
			}
			m.found("directly", c.name+": "+s.act+" /buckets/default"+s.path, problem+m.leaks(c, a.body))
			if s.act != "OPTIONS" && s.act != brew && !strings.HasSuffix(s.path, "/attachment") {
				all, wants = append(all, q), append(wants, want)
			}
			if s.act == "GET" && s.path == "" && want == 200 {
				m.othersBucket(c, a)
			}
		}
		for i, a := range m.batch(c.cookie, all) {
			problem := ""
			if a.status != wants[i] {
				problem = fmt.Sprintf("%d, want %d: %s", a.status, wants[i], a.body)
			}
			m.found("in a batch", c.name+": "+all[i].method+" "+all[i].path, problem)
		}
	}
	// One key, and everybody has an answer of their own.
	seen := map[string]string{}
	for _, c := range m.everybody() {
		if c.account == "" || c.app {
			continue
		}
		q := call{method: "PUT", path: base + "/collections/keyed", auth: c.auth, body: `{"data":{"whose":"` + c.name + `"}}`, headers: []string{"Idempotency-Key", "the same for all"}}
		first, again, problem := m.ask(q), m.ask(q), ""
		for other, body := range seen {
			if body == string(first.body) {
				problem = "has the answer of " + other
			}
		}
		if first.status != 201 || first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") == "" || string(again.body) != string(first.body) || !strings.Contains(string(first.body), c.name) {
			problem = fmt.Sprintf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
		}
		seen[c.name] = string(first.body)
		m.found("with a key, again", c.name+": PUT /buckets/default/collections/keyed", problem)
		m.must(call{method: "DELETE", path: base, auth: c.auth})
	}
}

// othersBucket asks for the bucket that is a caller's own, by the name that it has for
// others.
func (m *matrix) othersBucket(c *caller, a said) {
	var body struct{ Data struct{ ID string } }
	if err := a.read(&body); err != nil {
		m.t.Fatal(err)
	}
	own := m.thing("bucket", body.Data.ID, nil, map[string][]string{"write": {"account:" + c.account}})
	p := &spot{path: own.uri, form: "object", kind: "bucket", self: own}
	for _, o := range m.everybody() {
		a := m.ask(call{method: "GET", path: "/v1" + p.path, auth: o.auth, cookie: o.cookie})
		m.found("directly", o.name+": the bucket of "+c.name, m.differs(o, p, "GET", m.judge(o, p, "GET"), a))
	}
}

// accounts are accounts that each grant one permission in one way, the owner's, one's
// own, and one that is missing.
func (m *matrix) accounts() {
	owner := m.callers[houseOwner]
	w := &world{name: "accounts"}
	m.worlds = append(m.worlds, w)
	put := func(o *thing) call {
		return call{method: "PUT", path: "/v1" + o.uri, auth: owner.auth, body: jsonText(map[string]any{"data": map[string]string{"mark": o.mark, "password": housePassword}, "permissions": o.perms})}
	}
	var made []*thing
	for _, permission := range permissionsOf["account"] {
		for way, principal := range map[string]string{"direct": "account:guest", "group": m.friends.uri, "authenticated": "system.Authenticated", "everyone": "system.Everyone"} {
			id := permission + "-" + way
			perms := map[string][]string{"write": {"account:" + id}}
			perms[permission] = append(perms[permission], principal)
			o := m.thing("account", id, nil, perms)
			made = append(made, o)
			m.must(put(o))
		}
	}
	slices.SortFunc(made, func(a, b *thing) int { return strings.Compare(a.id, b.id) })
	all := slices.Clone(made)
	for _, c := range m.callers {
		if c.auth != "" && !c.app {
			all = append(all, &thing{kind: "account", id: c.account, uri: "/accounts/" + c.account, perms: map[string][]string{"write": {"account:" + c.account}}})
		}
	}
	// Everything that is made and changed here is put right by the owner.
	undo := func(p *spot, act string, want verdict) (undo []call) {
		switch {
		case want.status >= 300 || act == postOfThere || methodOf(act) == "GET" || act == "HEAD" || act == "OPTIONS":
		case p.form == "list" && act == "DELETE":
			for _, o := range made {
				if slices.Contains(want.ids, o.id) {
					undo = append(undo, put(o))
				}
			}
		case p.self == nil:
			undo = append(undo, call{method: "DELETE", path: "/v1/accounts/none", auth: owner.auth})
		case slices.Contains(made, p.self):
			undo = append(undo, put(p.self))
		}
		return undo
	}
	request := func(c *caller, p *spot, act string) call {
		q := call{method: methodOf(act), path: "/v1" + p.path, auth: c.auth, cookie: c.cookie}
		switch {
		case act == "OPTIONS":
			q.headers = []string{"Origin", "https://app.example", "Access-Control-Request-Method", "GET"}
		case act == "POST":
			q.body = `{"data":{"id":"none","password":"` + housePassword + `"}}`
		case act == postOfThere:
			q.body = `{"data":{"id":"` + p.existing().id + `","password":"` + housePassword + `"}}`
		case act == "PUT", act == putIfNone:
			q.body = `{"data":{"password":"` + housePassword + `"}}`
			if act == putIfNone {
				q.headers = []string{"If-None-Match", "*"}
			}
		case act == "PATCH":
			q.body = `{"data":{"touched":true}}`
		case act == "DELETE" && p.pick != nil:
			q.path += "?in_id=" + strings.Join(p.pick, ",")
		}
		return q
	}
	list := &spot{path: "/accounts", form: "list", kind: "account", list: all, pick: []string{"write-direct", "write-everyone", houseOwner}}
	none := &spot{path: "/accounts/none", form: "object", kind: "account"}
	first := &spot{path: "/accounts/" + houseOwner, form: "object", kind: "account", self: &thing{kind: "account", id: houseOwner, uri: "/accounts/" + houseOwner, perms: map[string][]string{"write": {"account:" + houseOwner}}}}
	var spots []*spot
	for _, o := range made {
		spots = append(spots, &spot{path: o.uri, form: "object", kind: "account", self: o})
	}
	for _, c := range m.everybody() {
		mine := append(slices.Clone(spots), list, none, first)
		for _, o := range made {
			mine = append(mine, &spot{path: "/accounts", form: "list", kind: "account", list: []*thing{o}}) // for the POST of one that is there
		}
		if c.account != "" {
			mine = append(mine, &spot{path: "/accounts/" + c.account, form: "object", kind: "account", self: &thing{kind: "account", id: c.account, perms: map[string][]string{"write": {"account:" + c.account}}}})
		}
		var batch []call
		var check []func(said)
		for _, p := range mine {
			for _, act := range acts {
				one := p.form == "list" && p != list
				own := p.self != nil && p.self.id == c.account
				if one != (act == postOfThere) && p.form == "list" || act == putIfNone && p.form == "list" || p.form == "object" && act == postOfThere || own && act == "DELETE" && !c.app || own && act == "PUT" && !c.app {
					continue
				}
				want := m.judge(c, p, act)
				// Beyond the table: the first owner's account is theirs alone, and stays.
				if p.self != nil && p.self.id == houseOwner && want.status == http.StatusOK && slices.Contains([]string{"PUT", "PATCH", "DELETE"}, act) && c != owner {
					want.status = http.StatusForbidden
				}
				if want.lists && act == "DELETE" {
					want.ids = slices.DeleteFunc(want.ids, func(id string) bool { return id == houseOwner })
				}
				q := request(c, p, act)
				a := m.ask(q)
				m.found("directly", c.name+": "+act+" "+p.path, m.differs(c, p, act, want, a))
				for _, u := range undo(p, act, want) {
					m.must(u)
				}
				if act == "OPTIONS" || act == brew {
					continue
				}
				batch = append(batch, q)
				check = append(check, func(a said) {
					m.found("in a batch", c.name+": "+act+" "+p.path, m.differs(c, p, act, want, a))
				})
				for _, u := range undo(p, act, want) {
					batch, check = append(batch, u), append(check, nil)
				}
			}
		}
		for i, a := range m.batch(c.cookie, batch) {
			switch {
			case check[i] != nil:
				check[i](a)
			case a.status >= 300:
				m.t.Fatalf("%s %s: %d %s", batch[i].method, batch[i].path, a.status, a.body)
			}
		}
		// An account has no feed.
		a, problem := m.ask(call{method: "GET", path: "/v1/accounts", auth: c.auth, cookie: c.cookie, headers: []string{"Accept", "text/event-stream"}}), ""
		if a.status != http.StatusNotAcceptable {
			problem = fmt.Sprintf("%d %s", a.status, a.body)
		}
		m.found("as a feed", c.name+": /accounts", problem)
	}
	// Somebody who goes.
	leaver := m.callers["leaver"]
	own := &spot{path: "/accounts/leaver", form: "object", kind: "account", self: &thing{kind: "account", id: "leaver", perms: map[string][]string{"write": {"account:leaver"}}}}
	for _, act := range []string{"GET", "PATCH", "PUT", "GET", "DELETE"} {
		m.found("directly", "leaver: "+act+" "+own.path, m.differs(leaver, own, act, m.judge(leaver, own, act), m.ask(request(leaver, own, act))))
	}
	if a := m.ask(request(leaver, own, "GET")); a.status != http.StatusUnauthorized {
		m.found("directly", "leaver: GET, gone", fmt.Sprintf("%d %s", a.status, a.body))
	}
}

// others are the endpoints that are no lists and no objects.
func (m *matrix) others() {
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", brew}
	type row map[string]int
	all := func(status int) row {
		r := row{}
		for _, x := range methods {
			r[x] = status
		}
		return r
	}
	with := func(r row, more row) row {
		maps.Copy(r, more)
		return r
	}
	reads := row{"GET": 200, "HEAD": 200, "OPTIONS": 200}
	paths := map[string]row{
		"/":                              with(all(405), reads),
		"/__heartbeat__":                 with(all(405), reads),
		"/__lbheartbeat__":               with(all(405), reads),
		"/__version__":                   with(all(405), reads),
		"/__api__":                       with(all(405), reads),
		"/contribute.json":               with(all(405), reads),
		"/__counters__":                  with(all(405), reads),
		"/permissions":                   with(all(405), reads),
		"/batch":                         with(all(405), row{"POST": 200, "OPTIONS": 200}),
		"/__flush__":                     with(all(405), row{"OPTIONS": 200, "POST": 0}), // the last of all
		"/__user_data__/account:none":    with(all(405), row{"DELETE": -1, "OPTIONS": 200}),
		"/openid/somebody/login":         all(404),
		"/openid/somebody/token":         all(404),
		"/admin":                         all(404),
		"/nothing":                       all(404),
		"/buckets/plain1/history/x":      all(404),
		"/buckets/plain1/collections/c/": nil,
		"/attachments/none.txt":          with(all(405), row{"GET": 404, "HEAD": 404, "OPTIONS": 200}),
	}
	for _, c := range m.everybody() {
		var batch []call
		var wants []int
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			for _, x := range methods {
				want := paths[path][x]
				switch {
				case want == 0:
					continue
				case want == -1:
					want = http.StatusForbidden
					if c.account == "" {
						want = http.StatusUnauthorized
					} else if c.name == "undertaker" {
						want = http.StatusOK
					}
				}
				q := call{method: x, path: "/v1" + path, auth: c.auth, cookie: c.cookie}
				switch x {
				case "POST", "PUT", "PATCH":
					q.body = "{}"
					if path == "/batch" {
						q.body = `{"requests":[]}`
					}
				case "OPTIONS":
					ask := "GET"
					if paths[path]["GET"] == 405 {
						ask = "POST"
						if paths[path]["POST"] == 405 {
							ask = "DELETE"
						}
					}
					q.headers = []string{"Origin", "https://app.example", "Access-Control-Request-Method", ask}
				}
				a, problem := m.ask(q), ""
				if a.status != want {
					problem = fmt.Sprintf("%d, want %d: %.300s", a.status, want, a.body)
				} else if path == "/" && x == "GET" && strings.Contains(string(a.body), `"user":`) != (c.account != "") {
					problem = string(a.body)
				}
				m.found("directly", c.name+": "+x+" "+path, problem+m.leaks(c, a.body))
				if x != "OPTIONS" && x != brew && path != "/batch" {
					if strings.HasPrefix(path, "/attachments/") {
						want = 404 // no file comes in a batch
					}
					batch, wants = append(batch, q), append(wants, want)
				}
			}
		}
		for i, a := range m.batch(c.cookie, batch) {
			problem := ""
			if a.status != wants[i] {
				problem = fmt.Sprintf("%d, want %d: %.300s", a.status, wants[i], a.body)
			}
			m.found("in a batch", c.name+": "+batch[i].method+" "+batch[i].path, problem)
		}
		for _, body := range []string{`{"requests":[{"method":"BREW","path":"/buckets"}]}`, `{"requests":[{"method":"OPTIONS","path":"/buckets"}]}`, `{"requests":[{"method":"POST","path":"/batch","body":{"requests":[]}}]}`} {
			a, problem := m.ask(call{method: "POST", path: "/v1/batch", auth: c.auth, cookie: c.cookie, body: body}), ""
			if a.status != http.StatusBadRequest {
				problem = fmt.Sprintf("%d %s", a.status, a.body)
			}
			m.found("in a batch", c.name+": "+body, problem)
		}
	}
}

// attachments are read by whoever knows their address, which those are told who may read
// the record; and by nobody when the record is gone.
func (m *matrix) attachments() {
	var plain *world
	for _, w := range m.worlds {
		if w.name == "plain1" {
			plain = w
		}
		m.file(w)
	}
	record := plain.things[5]
	var body struct {
		Data struct{ Attachment struct{ Location string } }
	}
	if err := m.must(call{method: "GET", path: "/v1" + record.uri, auth: m.callers[creator].auth}).read(&body); err != nil {
		m.t.Fatal(err)
	}
	_, path, ok := strings.Cut(body.Data.Attachment.Location, "/v1/attachments/")
	if !ok {
		m.t.Fatalf("%+v", body)
	}
	path = "/v1/attachments/" + path
	read := func(there bool) {
		for _, c := range m.everybody() {
			for _, x := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", brew} {
				want, problem := http.StatusMethodNotAllowed, ""
				if x == "GET" || x == "HEAD" {
					want = http.StatusOK
					if !there {
						want = http.StatusNotFound
					}
				}
				if a := m.ask(call{method: x, path: path, auth: c.auth, cookie: c.cookie}); a.status != want {
					problem = fmt.Sprintf("%d, want %d: %s", a.status, want, a.body)
				}
				m.found("at an attachment's address", c.name+": "+x, problem)
			}
			a, problem := m.batch(c.cookie, []call{{method: "GET", path: path, auth: c.auth}})[0], ""
			if a.status != http.StatusNotFound {
				problem = fmt.Sprintf("%d %s", a.status, a.body)
			}
			m.found("in a batch", c.name+": an attachment's address", problem)
		}
	}
	read(true)
	m.asCreator(call{method: "DELETE", path: "/v1" + record.uri})
	read(false)
	m.asCreator(record.make())
	plain.unfiled = append(plain.unfiled, record)
}

// pages are opened by no credentials of the API, whosoever they are: each page answers
// as to somebody nobody knows.
func (m *matrix) pages() {
	for _, path := range []string{"/", "/account", "/apps", "/people", "/person?name=" + guest, "/signin", "/join", "/reset", "/claim"} {
		for _, c := range m.everybody() {
			if c.auth == "" {
				continue
			}
			q := call{method: "GET", path: path, headers: []string{"Accept", "text/html"}}
			stranger := m.ask(q)
			q.auth = c.auth
			m.found("at the pages", c.name+": GET "+path, samePage(stranger, m.ask(q)))
		}
	}
	for path, fields := range map[string][]string{
		"/account/password": {"old", housePassword, "password", "another one"}, "/account/session": {"others", "yes"}, "/account/passkey": {"state", "x", "answer", "x"}, "/account/passkey/remove": {"id", "x"},
		"/apps": {"label", "mine"}, "/apps/revoke": {"id", "x"}, "/people": {"for", "eve", "role", "owner"}, "/people/withdraw": {"id", "x"},
		"/person/reset": {"name", guest}, "/person/remove": {"name", guest, "sure", "yes", "data", "forget"},
	} {
		for _, c := range m.everybody() {
			if c.auth == "" {
				continue
			}
			form := call{method: "POST", path: path, headers: []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}}
			for i := 0; i < len(fields); i += 2 {
				form.body += fields[i] + "=" + strings.ReplaceAll(fields[i+1], " ", "+") + "&"
			}
			stranger := m.ask(form)
			form.auth = c.auth
			problem := samePage(stranger, m.ask(form))
			if stranger.status != http.StatusSeeOther || stranger.header.Get("Location") != "/signin" {
				problem = fmt.Sprintf("strangers get %d to %q", stranger.status, stranger.header.Get("Location"))
			}
			m.found("at the pages", c.name+": POST "+path, problem)
		}
	}
}

func samePage(want, got said) string {
	if got.status != want.status || got.header.Get("Location") != want.header.Get("Location") || string(got.body) != string(want.body) || got.cookies() != want.cookies() {
		return fmt.Sprintf("%d to %q, %d to strangers: %.500s", got.status, got.header.Get("Location"), want.status, got.body)
	}
	return ""
}

// lastOfAll deletes all buckets that callers may delete, the least of them first, and
// then everything.
func (m *matrix) lastOfAll() {
	p := &spot{path: "/buckets", form: "list", kind: "bucket", list: []*thing{m.people}}
	for _, w := range m.worlds {
		for _, o := range w.things {
			if o.kind == "bucket" {
				p.list = append(p.list, o)
			}
		}
	}
	for _, name := range []string{nobody, "a browser of creator", bystander, guest, houseOwner, "bucket-read", creator, "bucket-write"} {
		c := m.callers[name]
		for _, act := range []string{"GET", "DELETE", "GET"} {
			want := m.judge(c, p, act)
			a := m.ask(call{method: act, path: "/v1/buckets", auth: c.auth, cookie: c.cookie})
			m.found("directly", c.name+": "+act+" /buckets, all", m.differs(c, p, act, want, a))
			if act == "DELETE" {
				p.list = slices.DeleteFunc(p.list, func(o *thing) bool { return slices.Contains(want.ids, o.id) })
			}
		}
	}
	a, problem := m.ask(call{method: "POST", path: "/v1/__flush__", body: "{}"}), ""
	if a.status != http.StatusAccepted {
		problem = fmt.Sprintf("%d %s", a.status, a.body)
	}
	m.found("directly", "nobody: POST /__flush__", problem)
	for _, c := range m.everybody() {
		a, problem, want := m.ask(call{method: "GET", path: "/v1/accounts", auth: c.auth, cookie: c.cookie}), "", http.StatusUnauthorized
		if c == m.callers[houseOwner] {
			want = http.StatusOK
			if ids := idsIn(a.body); !slices.Equal(ids, []string{houseOwner}) {
				problem = fmt.Sprintf("%v are left", ids)
			}
		} else if c.name == "an app of "+houseOwner {
			want = http.StatusForbidden
		}
		if a.status != want {
			problem = fmt.Sprintf("%d, want %d: %s", a.status, want, a.body)
		}
		m.found("directly", c.name+": GET /accounts, after the flush", problem)
	}
}
