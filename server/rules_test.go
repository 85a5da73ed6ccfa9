//go:build !windows

package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/server/people"
)

// rulesOf is one server at whose doors the rules of accounts are tried (the table is in
// server/people/rules.go).
type rulesOf struct {
	*house
	t        *testing.T
	database func() string
	kinto    map[string]string
	least    int  // characters of a password
	open     bool // anybody may make an account
	cookie   string
	names    int
	n        *tried
}

// tried counts.
type tried struct {
	doors          map[string]bool
	refused, taken int
	told, answers  int
}

// Settings that make another rule of passwords.
var ruleKinds = []struct {
	name  string
	kinto map[string]string
	least int
	open  bool
}{
	{"as installed", map[string]string{}, 8, false},
	{"where anybody may come", map[string]string{"account_create_principals": "system.Everyone"}, 4, true},
	{"with a rule of the owner's own", map[string]string{"account_password_min_length": "12"}, 12, false},
}

// TestRulesOfAccounts tries each rule of accounts at each door it can be met at.
func TestRulesOfAccounts(t *testing.T) {
	t.Attr("shows", "mend")
	inItsPart(t)
	onBothStores(t, func(t *testing.T, database func() string) {
		begin := time.Now()
		n := &tried{doors: map[string]bool{}}
		for _, kind := range ruleKinds {
			kinto := map[string]string{
				"includes": "kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.history kinto.plugins.flush", "batch_max_requests": "0",
				"user-data_delete_principals": "account:undertaker", "account_write_principals": "account:steward", "experimental_permissions_endpoint": "true",
			}
			maps.Copy(kinto, kind.kinto)
			_, own := kinto["account_password_min_length"]
			elsewhere := !strings.HasSuffix(t.Name(), "SQLite")
			if own && elsewhere || watched && elsewhere && kind.open {
				continue // what a password may be is no matter of the store
			}
			r := newRulesOf(t, database, kinto, kind.least, kind.open, n)
			run := func(name string, fn func()) {
				t.Run(kind.name+", "+name, func(t *testing.T) {
					r.t, r.house.t = t, t
					fn()
				})
			}
			if !watched || !elsewhere {
				run("passwords of new accounts", r.tryNewPasswords)
				run("other passwords", r.tryOtherPasswords)
			}
			if own {
				continue // the rest is as it was
			}
			run("names", r.tryNames)
			run("names of those who are gone", r.tryNamesOfTheGone)
			if kind.open {
				continue
			}
			run("what ends with a password", r.tryWhatEndsWithAPassword)
			run("what ends with an account", r.tryWhatEndsWithAnAccount)
			run("the first owner", r.tryTheFirstOwner)
			run("hashes", r.tryHashes)
		}
		store := strings.TrimPrefix(t.Name(), "TestRulesOfAccounts/")
		t.Logf("SHOW rules of accounts: on %s through %d doors: %d refused as they have to be, %d taken, %d told, no hash in %d answers (%.0f s)",
			store, len(n.doors), n.refused, n.taken, n.told, n.answers, time.Since(begin).Seconds())
	})
}

func newRulesOf(t *testing.T, database func() string, kinto map[string]string, least int, open bool, n *tried) *rulesOf {
	r := &rulesOf{t: t, database: database, kinto: kinto, least: least, open: open, n: n}
	r.house = r.newHouse(nil)
	r.cookie = r.signIn(houseOwner, housePassword)
	for _, name := range []string{"undertaker", "steward"} {
		r.must(call{method: "PUT", path: "/v1/accounts/" + name, auth: basicAuth(houseOwner, housePassword), body: `{"data":{"password":"` + housePassword + `"}}`})
	}
	return r
}

// newHouse opens a server of which every answer is read.
func (r *rulesOf) newHouse(offer *claim.Offer) *house {
	r.t.Helper()
	h := newHouse(r.t, r.database(), r.kinto, offer)
	r.listen(h)
	return h
}

func (r *rulesOf) listen(h *house) {
	h.from = func() string { // wrong passwords here are no guesses, and pause nobody
		r.n.answers++
		return fmt.Sprintf("10.%d.%d.%d:1024", r.n.answers>>16&255, r.n.answers>>8&255, r.n.answers&255)
	}
	h.hear = func(c call, a said) {
		if hash := hashes.Find(a.body); hash != nil || hashes.MatchString(fmt.Sprint(a.header)) {
			r.t.Errorf("%s %s tells the hash of a password: %d %v %s", c.method, c.path, a.status, a.header, a.body)
		}
	}
}

// hashes are those of bcrypt.
var hashes = regexp.MustCompile(`\$2[abxy]\$[0-9]{2}\$|%242[abxy]`)

// fresh is a name nobody had.
func (r *rulesOf) fresh() string {
	r.names++
	return fmt.Sprintf("person%d", r.names)
}

// at notes a door.
func (r *rulesOf) at(door string) string {
	r.n.doors[door] = true
	return door
}

func (r *rulesOf) ok(a said) bool { return a.status < 300 || a.status == http.StatusSeeOther }

// refused wants a refusal, by whatever status says so.
func (r *rulesOf) refused(door, what string, a said) {
	r.t.Helper()
	r.at(door)
	if r.n.refused++; r.ok(a) || a.status >= 500 {
		r.t.Errorf("%s: %s: %d %.500s", door, what, a.status, a.body)
	}
}

func (r *rulesOf) taken(door, what string, a said) {
	r.t.Helper()
	r.at(door)
	if r.n.taken++; !r.ok(a) {
		r.t.Errorf("%s: %s: %d %.500s", door, what, a.status, a.body)
	}
}

// told wants that this is the newest of what happened to somebody, among what the first
// owner is told.
func (r *rulesOf) told(door string, h *house, want people.Event) {
	r.t.Helper()
	all, err := h.s.people.Lately(context.Background(), &people.Person{Name: houseOwner, Owner: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.n.told++
	for _, e := range all {
		if e.Who == want.Who && e.What != people.SignedIn {
			if e.What != want.What || e.By != want.By {
				r.t.Errorf("%s: told is %+v, want %+v", r.at(door), e, want)
			}
			return
		}
	}
	r.t.Errorf("%s: nothing is told, want %+v in %+v", r.at(door), want, all)
}

// exists says whether there is an account, as its owner's API tells.
func (r *rulesOf) exists(h *house, name string) bool {
	r.t.Helper()
	m, err := h.s.people.Member(context.Background(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return m != nil
}

// knows says whether somebody is let in by a password, at the pages and by the API.
func (r *rulesOf) knows(h *house, name, password string) bool {
	r.t.Helper()
	page := h.signIn(name, password) != ""
	api := h.ask(call{method: "GET", path: "/v1/buckets", auth: basicAuth(name, password)}).status == http.StatusOK
	if page != api {
		r.t.Errorf("%q is let in by the pages: %v, by the API: %v", name, page, api)
	}
	return page
}

var linkCode = regexp.MustCompile(`/(?:join|reset)#code=([A-Z0-9]+)`)

// link is the code of a link that an owner makes.
func (h *house) link(cookie, path string, fields ...string) string {
	h.t.Helper()
	a := h.form(path, cookie, fields...)
	code := linkCode.FindSubmatch(a.body)
	if code == nil {
		h.t.Fatalf("%s %v: no link: %d %s", path, fields, a.status, a.body)
	}
	return string(code[1])
}

// person is somebody with an account, and what goes with it.
type person struct {
	name, password string
	cookie         string // of a session
	app            string
	reset          string // the code of a link to another password
}

func (p *person) auth() string { return basicAuth(p.name, p.password) }

// joins has somebody come in, who signs in, connects an app and is given a reset link.
func (r *rulesOf) joins(role string) *person {
	r.t.Helper()
	p := &person{name: r.fresh(), password: housePassword}
	code := r.link(r.cookie, "/people", "for", "", "role", role)
	a := r.form("/join", "", "code", code, "name", p.name, "password", p.password)
	if p.cookie = a.cookies(); p.cookie == "" {
		r.t.Fatalf("%d %s", a.status, a.body)
	}
	p.app = r.app(p.cookie)
	p.reset = r.link(r.cookie, "/person/reset", "name", p.name)
	return p
}

// inBatch is a request in a batch; the answer is its own.
func (r *rulesOf) inBatch(h *house, c call) said {
	r.t.Helper()
	body := c.body
	if body == "" {
		body = "{}"
	}
	method, headers := c.method, "{}"
	if c.auth != "" {
		headers = jsonText(map[string]string{"Authorization": c.auth})
	}
	a := h.ask(call{method: "POST", path: "/v1/batch", body: `{"requests":[{"method":` + jsonText(method) + `,"path":` + jsonText(c.path) + `,"headers":` + headers + `,"body":` + body + `}]}`})
	var all struct {
		Responses []struct {
			Status int
			Body   any
		}
	}
	if a.status != http.StatusOK {
		return a
	}
	if err := a.read(&all); err != nil || len(all.Responses) != 1 {
		r.t.Fatalf("%s, %v", a.body, err)
	}
	return said{all.Responses[0].Status, a.header, []byte(jsonText(all.Responses[0].Body))}
}

// account is a body that gives an account a password, and a name where there is one.
// Bytes that are no text stay as they are.
func accountBody(name, password string) string {
	text := jsonText(password)
	if !strings.Contains(text, password) && strings.Contains(text, `\ufffd`) {
		text = `"` + password + `"`
	}
	if name == "" {
		return `{"data":{"password":` + text + `}}`
	}
	return `{"data":{"id":` + jsonText(name) + `,"password":` + text + `}}`
}

// coming is a door by which accounts come to be.
type coming struct {
	door string
	come func(name, password string) (h *house, a said)
	by   string // who made it, as is told
	what people.What
	mute bool // strangers who make accounts are not told of
}

// doorsIn are those of a server; at a claim it is one of its own.
func (r *rulesOf) doorsIn() []coming {
	owner := basicAuth(houseOwner, housePassword)
	api := func(auth string, batch, post bool) func(name, password string) (*house, said) {
		return func(name, password string) (*house, said) {
			c := call{method: "PUT", path: "/v1/accounts/" + url.PathEscape(name), auth: auth, body: accountBody("", password)}
			if post {
				c = call{method: "POST", path: "/v1/accounts", auth: auth, body: accountBody(name, password)}
			}
			if batch {
				return r.house, r.inBatch(r.house, c)
			}
			return r.house, r.ask(c)
		}
	}
	// What is refused leaves the server without an owner, for the next.
	unclaimed := func(try func(h *house, code, name, password string) said) func(name, password string) (*house, said) {
		var h, last *house
		var code string
		return func(name, password string) (*house, said) {
			if h == nil {
				if last != nil {
					last.end()
				}
				fresh, offer, err := claim.NewCode(time.Now())
				if err != nil {
					r.t.Fatal(err)
				}
				h, code = r.newHouse(&offer), fresh
			}
			last = h
			a := try(h, code, name, password)
			if r.ok(a) {
				h = nil
			}
			return last, a
		}
	}
	all := []coming{
		{door: "claim page", what: people.Claimed, come: unclaimed(func(h *house, code, name, password string) said {
			return h.form("/claim", "", "code", code, "name", name, "password", password)
		})},
		{door: "claim as JSON", what: people.Claimed, come: unclaimed(func(h *house, code, name, password string) said {
			text := strings.TrimSuffix(strings.TrimPrefix(accountBody(name, password), `{"data":{"id":`), `}}`)
			return h.ask(call{method: "POST", path: "/claim", body: `{"code":"` + code + `","name":` + text + `}`})
		})},
		{door: "join page", what: people.Joined, by: houseOwner, come: func(name, password string) (*house, said) {
			return r.house, r.form("/join", "", "code", r.link(r.cookie, "/people", "for", "somebody", "role", "member"), "name", name, "password", password)
		}},
		{door: "API PUT", what: people.Joined, by: houseOwner, come: api(owner, false, false)},
		{door: "API POST", what: people.Joined, by: houseOwner, come: api(owner, false, true)},
		{door: "batch PUT", what: people.Joined, by: houseOwner, come: api(owner, true, false)},
		{door: "batch POST", what: people.Joined, by: houseOwner, come: api(owner, true, true)},
	}
	if r.open {
		all = append(all,
			coming{door: "API PUT by nobody", mute: true, come: api("", false, false)},
			coming{door: "API POST by nobody", mute: true, come: api("", false, true)},
			coming{door: "batch PUT by nobody", mute: true, come: api("", true, false)},
			coming{door: "batch POST by nobody", mute: true, come: api("", true, true)},
		)
	}
	return all
}

// tryNames: a name is one that accounts have, of at most 64 bytes, and no two differ by
// case alone.
func (r *rulesOf) tryNames() {
	bad := []string{"", "-x", ".x", "@x", "x y", "x/y", "é", "xé", "x\x00", "x\n", "x\u200b", " x", "x ", strings.Repeat("x", 65), strings.Repeat("x", 4096), "x%2Fy", "../x", "account:x", "x#1"}
	taken := []string{"JEANNINE", "Jeannine", "jeanninE", "jeannine"}
	for _, d := range r.doorsIn() {
		for _, name := range bad {
			h, a := d.come(name, housePassword)
			r.refused(d.door, fmt.Sprintf("the name %q", name), a)
			if name != "" && r.exists(h, name) {
				r.t.Errorf("%s: there is somebody called %q", d.door, name)
			}
		}
		good := []string{r.fresh() + ".b+c-d_e@f", strings.ToUpper(r.fresh())}
		long := r.fresh()
		good = append(good, long+strings.Repeat("x", 64-len(long)))
		for _, name := range good {
			h, a := d.come(name, housePassword)
			r.taken(d.door, fmt.Sprintf("the name %q", name), a)
			if !r.knows(h, name, housePassword) {
				r.t.Errorf("%s: %q is not let in", d.door, name)
			}
			if d.mute {
				continue
			}
			if h != r.house { // who claimed it is told, themselves
				r.toldTo(d.door, h, name, people.Event{Who: name, What: d.what, By: d.by})
			} else {
				r.told(d.door, h, people.Event{Who: name, What: d.what, By: d.by})
			}
		}
		h := r.house
		if strings.HasPrefix(d.door, "claim") {
			continue // there is nobody else yet
		}
		for _, name := range append(slices.Clone(taken), strings.ToLower(good[1]), strings.ToUpper(good[0])) {
			if name == houseOwner && d.by == houseOwner && d.door != "join page" {
				continue // the owner changes their own account so
			}
			_, a := d.come(name, housePassword)
			r.refused(d.door, fmt.Sprintf("the name %q", name), a)
			if name != houseOwner && r.exists(h, name) {
				r.t.Errorf("%s: there is somebody called %q", d.door, name)
			}
		}
	}
	if r.open {
		return
	}
	// The installer's answers, as the server finds them when it starts.
	const door = "offer of the installer"
	for _, name := range append(slices.Clone(bad[1:]), "claimed.by+the-installer_x@y") {
		offer := r.offerFor(name)
		h, err := openHouse(r.t, r.database(), r.kinto, &offer)
		if name == "claimed.by+the-installer_x@y" {
			if err != nil || !r.knows(h, name, housePassword) {
				r.t.Errorf("%s: %q: %v", r.at(door), name, err)
				continue
			}
			r.n.taken++
			r.toldTo(door, h, name, people.Event{Who: name, What: people.Claimed})
			continue
		}
		r.n.refused++
		if err == nil && (r.exists(h, name) || h.ask(call{method: "GET", path: "/v1/"}).status == http.StatusOK) {
			r.t.Errorf("%s: the name %q", r.at(door), name)
		}
	}
	r.at(door)
}

// offerFor is what the installer leaves: claim.ForOwner, with a hash that is cheap.
func (r *rulesOf) offerFor(name string) claim.Offer {
	r.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(housePassword), bcrypt.MinCost)
	if err != nil {
		r.t.Fatal(err)
	}
	return claim.Offer{ID: rand.Text(), Owner: name, PasswordHash: string(hash)}
}

func (r *rulesOf) toldTo(door string, h *house, who string, want people.Event) {
	r.t.Helper()
	all, err := h.s.people.Lately(context.Background(), &people.Person{Name: who, Owner: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.n.told++
	if !slices.ContainsFunc(all, func(e people.Event) bool { return e.Who == want.Who && e.What == want.What && e.By == want.By }) {
		r.t.Errorf("%s: told is %+v, want %+v", r.at(door), all, want)
	}
}

// tryNamesOfTheGone: the name of somebody who was removed stays theirs, unless an owner
// gives it away; nobody else has it, in whatever case.
func (r *rulesOf) tryNamesOfTheGone() {
	owner := basicAuth(houseOwner, housePassword)
	for _, leaving := range r.doorsOut() {
		gone := r.joins("member")
		r.taken(leaving.door, "goes", leaving.leave(gone))
		for _, name := range []string{gone.name, strings.ToUpper(gone.name)} {
			for _, d := range r.doorsIn() {
				if strings.HasPrefix(d.door, "claim") {
					continue
				}
				byOwner := d.by == houseOwner && d.door != "join page"
				if byOwner && name == gone.name || leaving.forgets {
					continue // it is the owner's to give, or nobody's
				}
				_, a := d.come(name, housePassword)
				r.refused(d.door, "the name of somebody who is gone: "+name, a)
				if r.exists(r.house, name) {
					r.t.Errorf("%s: there is somebody called %q after %s", d.door, name, leaving.door)
				}
			}
		}
		// Invited by their name, they come back; what ended stays ended.
		code := r.link(r.cookie, "/people", "for", gone.name, "role", "member")
		r.taken("join page", "comes back", r.form("/join", "", "code", code, "name", gone.name, "password", housePassword+" again"))
		r.isOver(leaving.door+", then back", gone)
		r.taken("API DELETE", "goes again", r.ask(call{method: "DELETE", path: "/v1/accounts/" + gone.name, auth: owner}))
		r.taken("API PUT", "is made by the owner", r.ask(call{method: "PUT", path: "/v1/accounts/" + gone.name, auth: owner, body: accountBody("", housePassword+" anew")}))
		r.isOver(leaving.door+", then made by the owner", gone)
	}
}

// passwordsFor are those that are none, and those that are, where so many characters are
// the least.
func passwordsFor(least int) (bad, good []string) {
	bad = []string{
		"", strings.Repeat("x", least-1), strings.Repeat("é", least-1), strings.Repeat("🗝", least-1), strings.Repeat("x", 73), strings.Repeat("é", 37), strings.Repeat("x", 71) + "é",
		strings.Repeat("x", 1000), strings.Repeat("x", least) + "\xff", "\xc3" + strings.Repeat("x", least), "\xed\xa0\x80" + strings.Repeat("x", least),
	}
	good = []string{strings.Repeat("y", least), strings.Repeat("é", least), strings.Repeat("🗝", least), strings.Repeat("z", 72), strings.Repeat("é", 36), " " + strings.Repeat("s", least) + " "}
	if watched {
		return append(bad[1:2:2], bad[4], bad[5], bad[8]), good[1:4:4]
	}
	return bad, good
}

// tryNewPasswords: a password has so many characters at least, and 72 bytes at most.
func (r *rulesOf) tryNewPasswords() {
	bad, good := passwordsFor(r.least)
	for _, d := range r.doorsIn() {
		for _, password := range bad {
			name := r.fresh()
			h, a := d.come(name, password)
			r.refused(d.door, fmt.Sprintf("the password %.20q of %d bytes", password, len(password)), a)
			if r.exists(h, name) {
				r.t.Errorf("%s: somebody came in with the password %q", d.door, password)
			}
		}
		for _, password := range good {
			name := r.fresh()
			h, a := d.come(name, password)
			r.taken(d.door, fmt.Sprintf("the password %q", password), a)
			if !r.knows(h, name, password) {
				r.t.Errorf("%s: the password %q does not let in", d.door, password)
			}
		}
	}
	const door = "offer of the installer"
	for _, password := range []string{strings.Repeat("x", 73), strings.Repeat("é", 37)} {
		r.n.refused++
		if _, err := claim.ForOwner("anna", password); err == nil {
			r.t.Errorf("%s: a password of %d bytes", r.at(door), len(password))
		}
	}
}

// changing is a door by which an account gets another password.
type changing struct {
	door   string
	change func(p *person, password string) said
	by     string
	what   people.What
}

func (r *rulesOf) doorsOver() []changing {
	owner := basicAuth(houseOwner, housePassword)
	api := func(method, kind string, batch, own bool) func(p *person, password string) said {
		return func(p *person, password string) said {
			c := call{method: method, path: "/v1/accounts/" + p.name, auth: owner, body: accountBody("", password)}
			if own {
				c.auth = p.auth()
			}
			if batch {
				return r.inBatch(r.house, c)
			}
			if kind != "" {
				c.headers = []string{"Content-Type", kind}
			}
			return r.ask(c)
		}
	}
	const merge = "application/merge-patch+json"
	own, others := people.PasswordChanged, people.PasswordReset
	return []changing{
		{"account page", func(p *person, password string) said {
			return r.form("/account/password", p.cookie, "old", p.password, "password", password)
		}, "", own},
		{"reset page", func(p *person, password string) said {
			return r.form("/reset", "", "code", p.reset, "password", password)
		}, houseOwner, others},
		{"API PUT, one's own", api("PUT", "", false, true), "", own},
		{"API PATCH, one's own", api("PATCH", "", false, true), "", own},
		{"API PATCH by merging, one's own", api("PATCH", merge, false, true), "", own},
		{"batch PUT, one's own", api("PUT", "", true, true), "", own},
		{"batch PATCH, one's own", api("PATCH", "", true, true), "", own},
		{"API PUT, an owner", api("PUT", "", false, false), houseOwner, others},
		{"API PATCH, an owner", api("PATCH", "", false, false), houseOwner, others},
		{"API PATCH by merging, an owner", api("PATCH", merge, false, false), houseOwner, others},
		{"batch PUT, an owner", api("PUT", "", true, false), houseOwner, others},
		{"batch PATCH, an owner", api("PATCH", "", true, false), houseOwner, others},
	}
}

// tryOtherPasswords is tryNewPasswords for accounts that are there: what is refused leaves
// the password that was.
func (r *rulesOf) tryOtherPasswords() {
	bad, good := passwordsFor(r.least)
	for _, d := range r.doorsOver() {
		p := r.joins("member")
		for _, password := range bad {
			r.refused(d.door, fmt.Sprintf("the password %.20q of %d bytes", password, len(password)), d.change(p, password))
		}
		if !r.knows(r.house, p.name, p.password) || r.form("/account", p.cookie).status != http.StatusOK {
			r.t.Errorf("%s: what was refused changed something", d.door)
		}
		for _, password := range good {
			p := r.joins("member")
			r.taken(d.door, fmt.Sprintf("the password %q", password), d.change(p, password))
			if !r.knows(r.house, p.name, password) || r.knows(r.house, p.name, p.password) {
				r.t.Errorf("%s: the password %q", d.door, password)
			}
		}
	}
	for kind, patch := range map[string]string{
		"replace": `[{"op":"replace","path":"/data/password","value":"a password of the thief's"}]`,
		"add":     `[{"op":"add","path":"/data/password","value":"a password of the thief's"}]`,
		"all":     `[{"op":"replace","path":"/data","value":{"password":"a password of the thief's"}}]`,
	} {
		p := r.joins("member")
		r.refused("API PATCH by operations", kind, r.ask(call{method: "PATCH", path: "/v1/accounts/" + p.name, auth: p.auth(), body: patch, headers: []string{"Content-Type", "application/json-patch+json"}}))
		if !r.knows(r.house, p.name, p.password) {
			r.t.Errorf("operations: %s", kind)
		}
	}
}

// isOver wants that nothing of what somebody had lets them in.
func (r *rulesOf) isOver(door string, p *person) {
	r.t.Helper()
	if r.form("/account", p.cookie).status == http.StatusOK {
		r.t.Errorf("%s: the session of %s goes on", door, p.name)
	}
	if a := r.form("/reset", "", "code", p.reset, "password", "of the reset link"); r.ok(a) {
		r.t.Errorf("%s: the reset link of %s is good: %d %s", door, p.name, a.status, a.body)
	}
	if r.knows(r.house, p.name, p.password) {
		r.t.Errorf("%s: the password of %s is good", door, p.name)
	}
	if a := r.ask(call{method: "GET", path: "/v1/buckets", auth: basicAuth(p.name, p.app)}); a.status != http.StatusUnauthorized {
		r.t.Errorf("%s: the app of %s goes on: %d", door, p.name, a.status)
	}
	r.n.refused += 4
}

// tryWhatEndsWithAPassword: sessions and reset links end with the password, apps go on,
// and it is told.
func (r *rulesOf) tryWhatEndsWithAPassword() {
	const other = "another password of mine"
	for _, d := range r.doorsOver() {
		p := r.joins("member")
		second := r.signIn(p.name, p.password)
		a := d.change(p, other)
		r.taken(d.door, "another password", a)
		for _, cookie := range []string{p.cookie, second} {
			if r.form("/account", cookie).status == http.StatusOK {
				r.t.Errorf("%s: a session goes on", d.door)
			}
		}
		if a := r.form("/reset", "", "code", p.reset, "password", "of the reset link"); r.ok(a) {
			r.t.Errorf("%s: the reset link is good: %d %s", d.door, a.status, a.body)
		}
		if a := r.ask(call{method: "GET", path: "/v1/buckets", auth: basicAuth(p.name, p.app)}); a.status != http.StatusOK {
			r.t.Errorf("%s: the app is shut out: %d %s", d.door, a.status, a.body)
		}
		if fresh := a.cookies(); fresh != "" && r.form("/account", fresh).status != http.StatusOK {
			r.t.Errorf("%s: who changed it is not signed in", d.door)
		}
		r.n.refused += 3
		r.told(d.door, r.house, people.Event{Who: p.name, What: d.what, By: d.by})
		if !r.knows(r.house, p.name, other) || r.knows(r.house, p.name, p.password) {
			r.t.Errorf("%s: the other password is not the one", d.door)
		}
		r.showsAtHome(d.door, p.name)
	}
	// The code of the console is for the first owner alone.
	const door = "reset page, by the code of the console"
	h := r.newHouse(nil)
	cookie := h.signIn(houseOwner, housePassword)
	code, offer, err := claim.NewReset(time.Now())
	if err == nil {
		err = claim.Leave(h.data, offer, -1, -1)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	bad, _ := passwordsFor(r.least)
	for _, password := range bad {
		r.refused(door, fmt.Sprintf("the password %q", password), h.form("/reset", "", "code", code, "password", password))
	}
	r.taken(door, "another password", h.form("/reset", "", "code", code, "password", other))
	if h.form("/account", cookie).status == http.StatusOK || !r.knows(h, houseOwner, other) || r.knows(h, houseOwner, housePassword) {
		r.t.Errorf("%s: the other password is not the one", r.at(door))
	}
	r.refused(door, "the code again", h.form("/reset", "", "code", code, "password", "yet another one"))
	r.toldTo(door, h, houseOwner, people.Event{Who: houseOwner, What: people.PasswordReset})
}

// showsAtHome wants the home page of the owner to tell of somebody.
func (r *rulesOf) showsAtHome(door, name string) {
	r.t.Helper()
	if a := r.form("/", r.cookie); a.status != http.StatusOK || !strings.Contains(string(a.body), name) {
		r.t.Errorf("%s: the home page does not tell of %s: %d %s", r.at(door), name, a.status, a.body)
	}
}

// leaving is a door by which an account goes.
type leaving struct {
	door    string
	leave   func(p *person) said
	by      string // empty: themselves
	forgets bool   // with all they stored, and their name
}

func (r *rulesOf) doorsOut() []leaving {
	owner := basicAuth(houseOwner, housePassword)
	undertaker := basicAuth("undertaker", housePassword)
	steward := basicAuth("steward", housePassword)
	page := func(data string) func(p *person) said {
		return func(p *person) said {
			return r.form("/person/remove", r.cookie, "name", p.name, "data", data, "sure", "yes")
		}
	}
	api := func(path func(*person) string, auth func(*person) string, batch bool) func(p *person) said {
		return func(p *person) said {
			c := call{method: "DELETE", path: "/v1" + path(p), auth: auth(p)}
			if batch {
				return r.inBatch(r.house, c)
			}
			return r.ask(c)
		}
	}
	object := func(p *person) string { return "/accounts/" + p.name }
	list := func(*person) string { return "/accounts" }
	among := func(p *person) string { return "/accounts?in_id=" + p.name }
	data := func(p *person) string { return "/__user_data__/account:" + p.name }
	as := func(auth string) func(*person) string { return func(*person) string { return auth } }
	own := func(p *person) string { return p.auth() }
	return []leaving{
		{"people page", page("keep"), houseOwner, false},
		{"people page, with what they stored", page("forget"), houseOwner, true},
		{"API DELETE", api(object, as(owner), false), houseOwner, false},
		{"API DELETE by whom settings name", api(object, as(steward), false), "steward", false},
		{"API DELETE, one's own", api(object, own, false), "", false},
		{"API DELETE of the list", api(among, as(owner), false), houseOwner, false},
		{"API DELETE of the list, one's own", api(list, own, false), "", false},
		{"batch DELETE", api(object, as(owner), true), houseOwner, false},
		{"batch DELETE, one's own", api(object, own, true), "", false},
		{"batch DELETE of the list", api(among, as(owner), true), houseOwner, false},
		{"batch DELETE of the list, one's own", api(list, own, true), "", false},
		{"API DELETE of a user's data", api(data, as(undertaker), false), "undertaker", false},
	}
}

// tryWhatEndsWithAnAccount: with an account everything ends that is kept of its person,
// and it is told.
func (r *rulesOf) tryWhatEndsWithAnAccount() {
	for _, d := range r.doorsOut() {
		p := r.joins("member")
		if a := r.ask(call{method: "PUT", path: "/v1/buckets/of-" + p.name, auth: p.auth()}); a.status != http.StatusCreated {
			r.t.Fatalf("%d %s", a.status, a.body)
		}
		r.taken(d.door, "goes", d.leave(p))
		if r.exists(r.house, p.name) {
			r.t.Errorf("%s: %s is still there", d.door, p.name)
		}
		r.isOver(d.door, p)
		r.told(d.door, r.house, people.Event{Who: p.name, What: people.Removed, By: d.by})
		r.showsAtHome(d.door, p.name)
	}
}

// tryTheFirstOwner: their account stays, and is theirs alone.
func (r *rulesOf) tryTheFirstOwner() {
	second := r.joins("owner")
	if r.form("/people", second.cookie).status != http.StatusOK {
		r.t.Fatal("the second owner is none")
	}
	owner := basicAuth(houseOwner, housePassword)
	const first = "/v1/accounts/" + houseOwner
	// Not even who is granted it, by themselves.
	r.must(call{method: "PATCH", path: first, auth: owner, body: `{"data":{"age":41},"permissions":{"read":[],"write":["account:` + second.name + `"]}}`})
	was := r.must(call{method: "GET", path: first, auth: owner}).body
	stays := func(door, what string) {
		r.t.Helper()
		if now := r.must(call{method: "GET", path: first, auth: owner}).body; string(now) != string(was) {
			r.t.Fatalf("%s: %s: the account became %s, was %s", r.at(door), what, now, was)
		}
		if r.form("/account", r.cookie).status != http.StatusOK {
			r.t.Fatalf("%s: %s: the session ended", r.at(door), what)
		}
	}
	others := map[string]string{"a second owner": second.auth(), "whom settings name": basicAuth("steward", housePassword), "an app of theirs": basicAuth(houseOwner, r.app(r.cookie))}
	for who, auth := range others {
		for _, c := range []call{
			{method: "PUT", body: accountBody("", "the thief's own password")},
			{method: "PUT", body: `{"data":{"password":"the thief's own password"},"permissions":{"write":["account:` + second.name + `"]}}`},
			{method: "PATCH", body: accountBody("", "the thief's own password")},
			{method: "PATCH", body: `{"data":{"age":1}}`},
			{method: "PATCH", body: `{"permissions":{"write":["account:` + second.name + `"]}}`},
			{method: "PATCH", body: `{"permissions":{"write":[]}}`},
			{method: "PATCH", body: `{"data":{"password":"the thief's own password"}}`, headers: []string{"Content-Type", "application/merge-patch+json"}},
			{method: "PATCH", body: `{"data":{"age":null}}`, headers: []string{"Content-Type", "application/merge-patch+json"}},
			{method: "PATCH", body: `[{"op":"add","path":"/data/age","value":1}]`, headers: []string{"Content-Type", "application/json-patch+json"}},
			{method: "PATCH", body: `[{"op":"add","path":"/permissions/write/account:` + second.name + `"}]`, headers: []string{"Content-Type", "application/json-patch+json"}},
			{method: "DELETE"},
		} {
			c.path, c.auth = first, auth
			what := who + ": " + c.method + " " + c.body
			r.refused("API "+c.method, what, r.ask(c))
			stays("API "+c.method, what)
			if c.headers == nil {
				r.refused("batch "+c.method, what, r.inBatch(r.house, c))
				stays("batch "+c.method, what)
			}
		}
		for _, query := range []string{"?in_id=" + houseOwner, "?id=" + houseOwner, "?in_id=" + houseOwner + ",nobody"} {
			c := call{method: "DELETE", path: "/v1/accounts" + query, auth: auth}
			r.ask(c) // refused, or nothing was deleted
			stays("API DELETE of the list", who+query)
			r.inBatch(r.house, c)
			stays("batch DELETE of the list", who+query)
			r.n.refused += 2
		}
	}
	for path, fields := range map[string][]string{
		"/person/reset":  {"name", houseOwner},
		"/person/remove": {"name", houseOwner, "data", "keep", "sure", "yes"},
	} {
		r.refused("people page", path, r.form(path, second.cookie, fields...))
		stays("people page", path)
	}
	r.refused("people page", "remove with what they stored", r.form("/person/remove", second.cookie, "name", houseOwner, "data", "forget", "sure", "yes"))
	stays("people page", "remove with what they stored")
	// Nobody removes the first owner by deleting what is only theirs.
	r.ask(call{method: "DELETE", path: "/v1/__user_data__/account:" + houseOwner, auth: basicAuth("undertaker", housePassword)})
	if !r.exists(r.house, houseOwner) || !r.knows(r.house, houseOwner, housePassword) {
		r.t.Fatal("a user's data: the first owner is gone")
	}
	r.n.refused++
	// They do themselves what is theirs to do, but go.
	r.refused("API DELETE, one's own", "the first owner", r.ask(call{method: "DELETE", path: first, auth: owner}))
	r.refused("batch DELETE, one's own", "the first owner", r.inBatch(r.house, call{method: "DELETE", path: first, auth: owner}))
	r.ask(call{method: "DELETE", path: "/v1/accounts?in_id=" + houseOwner, auth: owner})
	r.form("/person/remove", r.cookie, "name", houseOwner, "data", "keep", "sure", "yes")
	if !r.knows(r.house, houseOwner, housePassword) {
		r.t.Fatal("the first owner is gone")
	}
	r.taken("API PATCH, one's own", "the first owner", r.ask(call{method: "PATCH", path: first, auth: owner, body: `{"data":{"age":42}}`}))
	// What empties the server leaves them.
	h := r.newHouse(nil)
	if a := h.ask(call{method: "POST", path: "/v1/__flush__", body: "{}"}); a.status != http.StatusAccepted || !r.knows(h, houseOwner, housePassword) {
		r.t.Errorf("%s: %d %s", r.at("flush"), a.status, a.body)
	}
}

// tryHashes asks for the hash of a password wherever something of an account is told;
// whoever listens to the answers finds it.
func (r *rulesOf) tryHashes() {
	owner := basicAuth(houseOwner, housePassword)
	p := r.joins("owner")
	before := r.n.answers
	for _, auth := range []string{"", owner, p.auth(), basicAuth("steward", housePassword), basicAuth(p.name, p.app)} {
		for _, path := range []string{
			"", "/v1/", "/v1/accounts", "/v1/accounts?_since=0", "/v1/accounts?_fields=password", "/v1/accounts?_sort=password", "/v1/accounts?like_password=%242", "/v1/accounts?has_password=true",
			"/v1/accounts/" + p.name, "/v1/accounts/" + p.name + "?_fields=password,id", "/v1/accounts/" + houseOwner, "/v1/permissions", "/v1/buckets/default/history", "/v1/__api__",
		} {
			for _, method := range []string{"GET", "HEAD"} {
				c := call{method: method, path: path, auth: auth}
				if path == "" {
					c.path = "/v1/__heartbeat__"
				}
				r.ask(c)
				r.inBatch(r.house, c)
			}
		}
		for _, c := range []call{
			{method: "PUT", body: accountBody("", housePassword), headers: []string{"If-None-Match", "*"}},
			{method: "PATCH", body: `{"data":{"age":1}}`, headers: []string{"If-Match", `"1"`}},
			{method: "PATCH", body: `{"data":{"age":1}}`, headers: []string{"Response-Behavior", "light"}},
			{method: "PATCH", body: `{"data":{"age":2}}`, headers: []string{"Response-Behavior", "diff"}},
			{method: "PATCH", body: `[{"op":"copy","from":"/data/password","path":"/data/x"}]`, headers: []string{"Content-Type", "application/json-patch+json"}},
			{method: "PATCH", body: `[{"op":"test","path":"/data/password","value":"x"}]`, headers: []string{"Content-Type", "application/json-patch+json"}},
			{method: "PATCH", body: `[{"op":"copy","from":"/data","path":"/data/x"}]`, headers: []string{"Content-Type", "application/json-patch+json"}},
		} {
			c.path, c.auth = "/v1/accounts/"+p.name, auth
			r.ask(c)
		}
		r.ask(call{method: "POST", path: "/v1/accounts", auth: auth, body: accountBody(p.name, housePassword)})
	}
	for _, cookie := range []string{r.cookie, p.cookie} {
		for _, path := range []string{"/", "/account", "/apps", "/people", "/person?name=" + p.name, "/person?name=" + houseOwner, "/signin"} {
			r.form(path, cookie)
		}
	}
	if r.n.answers-before < 200 {
		r.t.Errorf("only %d answers", r.n.answers-before)
	}
}
