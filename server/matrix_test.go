//go:build !windows

package server

import (
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// matrix is a house full of worlds: buckets that are alike but for one permission, which
// is granted to one kind of caller in one way.
type matrix struct {
	*house
	t        *testing.T
	settings map[string][]string // RESOURCE_PERMISSION_principals, without the end
	callers  map[string]*caller
	worlds   []*world
	people   *thing // a bucket with
	friends  *thing // the group that a caller is in
	whole    bool   // every act, also where it adds nothing
	brief    bool   // strangers ask where somebody is granted something directly, and not in every other way too
	few      bool   // each permission is granted in one way, not in each
	fewer    bool   // where nothing is granted, those whom settings name do not ask

	mu                  sync.Mutex        // of what follows
	marks               map[string]*thing // by what is among their attributes
	files               map[string]*thing // records, by what tells addresses of their attachments apart
	used                int               // ids and keys
	asked, right, wrong int
	doors               map[string]int
}

// fresh is a number that was not used before.
func (m *matrix) fresh() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used++
	return m.used
}

// world is one bucket and what is in it.
type world struct {
	name    string
	things  []*thing // in the order in which they are made; the bucket first
	spots   []*spot
	callers []*caller
	granted bool     // a permission is
	unfiled []*thing // records whose attachments have to be made again
}

const (
	creator   = "creator"
	guest     = "guest"
	bystander = "bystander"
	nobody    = "nobody"
)

// TestPermissionMatrix asks for everything, as everybody, through every door, and wants
// what the protocol's table says.
func TestPermissionMatrix(t *testing.T) {
	t.Attr("shows", "mend")
	inItsPart(t)
	onBothStores(t, func(t *testing.T, database func() string) {
		begin := time.Now()
		m := newMatrix(t, database())
		m.beforeThereIsAnything()
		m.populate()
		m.inAllWorlds(func(w *world) {
			for _, c := range w.callers {
				m.directly(w, c)
				m.inABatch(w, c)
				m.replayed(w, c)
			}
			m.asFeeds(w)
		})
		m.buckets()
		m.ownBuckets()
		m.accounts()
		m.others()
		m.attachments()
		m.pages()
		m.lastOfAll()
		store := strings.TrimPrefix(t.Name(), "TestPermissionMatrix/")
		t.Logf("SHOW permission matrix: %d requests on %s through %d doors, %d as the table says, %d not (%v; %d worlds, %d callers; %.0f s)",
			m.asked, store, len(m.doors), m.right, m.wrong, m.doors, len(m.worlds), len(m.callers), time.Since(begin).Seconds())
	})
}

// inAllWorlds does something in each world, in several at a time: a world is touched by
// nobody who is not there. A Fatal ends what is done in one of them, and fails the test.
func (m *matrix) inAllWorlds(do func(*world)) {
	m.t.Helper()
	worlds := make(chan *world, len(m.worlds))
	for _, w := range m.worlds {
		worlds <- w
	}
	close(worlds)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for w := range worlds {
				do(w)
			}
		})
	}
	if wg.Wait(); m.t.Failed() {
		m.t.FailNow()
	}
}

// found notes one answer, and what is wrong with it.
func (m *matrix) found(door, what, problem string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	m.doors[door]++
	if problem == "" {
		m.right++
		return
	}
	m.wrong++
	m.t.Errorf("%s: %s: %s", door, what, problem)
	if m.wrong > 60 {
		m.t.Fatal("and so on")
	}
}

// stewards are the callers whom settings name, each for one permission.
var stewards = []string{
	"bucket_read", "bucket_write", "collection_create", "collection_read", "collection_write", "group_create", "group_read", "group_write",
	"record_create", "record_read", "record_write", "account_create", "account_read", "account_write",
}

func newMatrix(t *testing.T, dsn string) *matrix {
	settings := map[string]string{
		"includes":                          "kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.history kinto.plugins.flush kinto.plugins.counters kinto_attachment",
		"experimental_permissions_endpoint": "true",
		"batch_max_requests":                "0",
		"account_cache_ttl_seconds":         "3600",
		"user-data_delete_principals":       "account:undertaker",
	}
	m := &matrix{t: t, whole: os.Getenv("SHOW_WHOLE") != "", settings: map[string][]string{"bucket_create": {"system.Authenticated"}}, callers: map[string]*caller{}, marks: map[string]*thing{}, files: map[string]*thing{}, doors: map[string]int{}}
	for _, s := range stewards {
		who := "account:" + strings.ReplaceAll(s, "_", "-")
		settings[s+"_principals"] = who
		m.settings[s] = []string{who}
	}
	m.brief, m.few, m.fewer = !m.whole && (dsn != "" || watched), !m.whole && watched, !m.whole && watched && dsn != ""
	m.house = newHouse(t, dsn, settings, nil)
	add := func(c *caller) *caller {
		m.callers[c.name] = c
		c.principals = []string{"system.Everyone"}
		if c.account != "" {
			c.principals = append(c.principals, "system.Authenticated", "account:"+c.account)
		}
		return c
	}
	member := func(name string) *caller {
		return add(&caller{name: name, account: name, auth: basicAuth(name, housePassword)})
	}
	add(&caller{name: nobody})
	owner := member(houseOwner)
	owner.owner = true
	for _, name := range append([]string{creator, guest, bystander, "undertaker", "leaver"}, stewards...) {
		name = strings.ReplaceAll(name, "_", "-")
		m.must(call{method: "PUT", path: "/v1/accounts/" + name, auth: owner.auth, body: `{"data":{"password":"` + housePassword + `"}}`})
		member(name)
	}
	for _, name := range []string{creator, houseOwner} {
		cookie := m.signIn(name, housePassword)
		app := add(&caller{name: "an app of " + name, account: name, app: true, auth: basicAuth(name, m.app(cookie))})
		app.principals = m.callers[name].principals
		add(&caller{name: "a browser of " + name, cookie: cookie}) // which opens nothing here
	}
	return m
}

// at is the request of an act at a spot; undo is what the creator does to have
// everything as it was, when the request succeeded.
func (m *matrix) at(who *caller, p *spot, act string, want verdict) (c call, undo []call) {
	c = call{method: methodOf(act), path: "/v1" + p.path}
	done := want.status < 300
	switch {
	case act == "OPTIONS":
		c.headers = []string{"Origin", "https://app.example", "Access-Control-Request-Method", methodsOf(p)[0]}
	case act == postOfThere:
		c.body = jsonText(map[string]any{"data": map[string]string{"id": p.existing().id}})
	case act == "POST" && p.form == "list":
		id := fmt.Sprintf("fresh%d", m.fresh())
		c.body = jsonText(map[string]any{"data": map[string]string{"id": id}})
		if done {
			undo = append(undo, call{method: "DELETE", path: c.path + "/" + id})
		}
	case act == "POST" && p.form == "attachment":
		c.body, c.headers = fileForm()
		if done {
			undo = m.undoFile(p)
		}
	case act == "POST", act == "PUT", act == putIfNone:
		c.body = "{}"
		if act == putIfNone {
			c.headers = []string{"If-None-Match", "*"}
		}
		if done && p.self == nil {
			undo = append(undo, call{method: "DELETE", path: c.path})
		} else if done {
			undo = append(undo, reset(p.self))
		}
	case act == "PATCH":
		c.body = `{"data":{"touched":true}}`
		if done {
			undo = append(undo, reset(p.self))
		}
	case act == "DELETE" && p.form == "attachment":
		if done {
			undo = m.undoFile(p)
		}
	case act == "DELETE" && p.form == "object":
		if done {
			undo = m.rebuild(p.self)
		}
	case act == "DELETE" && p.form == "list":
		if p.pick != nil {
			c.path += "?in_id=" + strings.Join(p.pick, ",")
		}
		for _, o := range p.list {
			if slices.Contains(want.ids, o.id) && o.kind != "history" {
				undo = append(undo, m.rebuild(o)...)
			}
		}
	}
	if want.status == http.StatusCreated && p.kind == "bucket" {
		undo[0].auth = who.auth // whose it is
	}
	return c, undo
}

// fileForm is a form that brings an attachment.
func fileForm() (body string, headers []string) {
	var b strings.Builder
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("attachment", "a.txt")
	if err != nil {
		panic(err)
	}
	if _, err := part.Write([]byte("what a record has beside it")); err != nil {
		panic(err)
	}
	if err := form.Close(); err != nil {
		panic(err)
	}
	return b.String(), []string{"Content-Type", form.FormDataContentType()}
}

// undoFile undoes what was done to an attachment: the record is as it was, but for the
// attachment, which has to be made again.
func (m *matrix) undoFile(p *spot) []call {
	if p.self == nil {
		return []call{{method: "DELETE", path: "/v1" + strings.TrimSuffix(p.path, "/attachment")}}
	}
	m.unfile(p.self)
	return []call{reset(p.self)}
}

func (m *matrix) unfile(o *thing) {
	for _, w := range m.worlds {
		if slices.Contains(w.things, o) && !slices.Contains(w.unfiled, o) {
			w.unfiled = append(w.unfiled, o)
		}
	}
}

// reset gives a thing the permissions it had.
func reset(o *thing) call {
	all := map[string][]string{}
	for _, name := range permissionsOf[o.kind] {
		all[name] = append([]string{}, o.perms[name]...)
	}
	return call{method: "PATCH", path: "/v1" + o.uri, body: jsonText(map[string]any{"permissions": all})}
}

// make creates a thing.
func (o *thing) make() call {
	data := map[string]any{"mark": o.mark}
	if o.kind == "group" {
		data["members"] = []string{}
	}
	return call{method: "PUT", path: "/v1" + o.uri, body: jsonText(map[string]any{"data": data, "permissions": o.perms})}
}

// rebuild makes a thing again, and what was in it.
func (m *matrix) rebuild(o *thing) (all []call) {
	for _, w := range m.worlds {
		for _, x := range w.things {
			if x == o || x.above()[o.kind] == o {
				all = append(all, x.make())
				if x.kind == "record" {
					m.unfile(x)
				}
			}
		}
	}
	return all
}

// batch does requests in one, each as whom it says; no others.
func (m *matrix) batch(cookie string, all []call) []said {
	m.t.Helper()
	type step struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers,omitempty"`
		Body    json.RawMessage   `json:"body,omitempty"`
	}
	var steps []step
	for _, c := range all {
		s := step{Method: c.method, Path: c.path, Headers: map[string]string{}}
		if c.auth != "" {
			s.Headers["Authorization"] = c.auth
		}
		for i := 0; i < len(c.headers); i += 2 {
			s.Headers[c.headers[i]] = c.headers[i+1]
		}
		if strings.HasPrefix(c.body, "{") {
			s.Body = json.RawMessage(c.body)
		}
		steps = append(steps, s)
	}
	a := m.ask(call{method: "POST", path: "/v1/batch", cookie: cookie, body: jsonText(map[string]any{"requests": steps})})
	var answers struct {
		Responses []struct {
			Status  int
			Headers map[string]string
			Body    json.RawMessage
		}
	}
	if err := a.read(&answers); err != nil || a.status != http.StatusOK || len(answers.Responses) != len(all) {
		m.t.Fatalf("a batch of %d: %d %.2000s, %v", len(all), a.status, a.body, err)
	}
	var out []said
	for _, r := range answers.Responses {
		h := http.Header{}
		for name, value := range r.Headers {
			h.Set(name, value)
		}
		out = append(out, said{r.Status, h, r.Body})
	}
	return out
}

// asCreator does requests that have to succeed, as the creator or whom they say.
func (m *matrix) asCreator(all ...call) {
	m.t.Helper()
	for i := range all {
		if all[i].auth == "" {
			all[i].auth = m.callers[creator].auth
		}
	}
	switch len(all) {
	case 0:
	case 1:
		m.must(all[0])
	default:
		for i, a := range m.batch("", all) {
			if a.status >= 300 {
				m.t.Fatalf("%s %s: %d %s", all[i].method, all[i].path, a.status, a.body)
			}
		}
	}
}

// file makes the attachments of a world that are not there.
func (m *matrix) file(w *world) {
	m.t.Helper()
	for _, o := range w.unfiled {
		body, headers := fileForm()
		a := m.must(call{method: "POST", path: "/v1" + o.uri + "/attachment", auth: m.callers[creator].auth, body: body, headers: headers})
		m.filed(o, a)
	}
	w.unfiled = nil
}

var (
	fileNames = regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.txt`)
	markNames = regexp.MustCompile(`mark-[0-9]+-`)
)

// filed notes the address of an attachment.
func (m *matrix) filed(o *thing, a said) {
	m.t.Helper()
	name := fileNames.Find(a.body)
	if name == nil {
		m.t.Fatalf("an attachment without an address: %s", a.body)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[string(name)] = o
}

// leaks is what an answer tells a caller that they may not know.
func (m *matrix) leaks(c *caller, body []byte) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mark := range markNames.FindAll(body, -1) {
		if o := m.marks[string(mark)]; o == nil || !m.sees(c, o) {
			return fmt.Sprintf("tells what is in %+v: %.500s", o, body)
		}
	}
	for _, name := range fileNames.FindAll(body, -1) {
		if o := m.files[string(name)]; o != nil && !m.readsFile(c, o) {
			return fmt.Sprintf("tells the address of the attachment of %s: %.500s", o.uri, body)
		}
	}
	return ""
}

// differs compares an answer with a verdict.
func (m *matrix) differs(c *caller, p *spot, act string, want verdict, a said) string {
	if a.status != want.status {
		return fmt.Sprintf("%d, want %d: %.300s", a.status, want.status, a.body)
	}
	if text := m.leaks(c, a.body); text != "" {
		return text
	}
	switch {
	case !want.lists:
	case act == "HEAD":
		if p.kind != "history" && a.header.Get("Total-Records") != fmt.Sprint(len(want.ids)) {
			return fmt.Sprintf("counts %q, want %d", a.header.Get("Total-Records"), len(want.ids))
		}
		return ""
	default:
		got := idsIn(a.body)
		slices.Sort(got)
		ids := slices.Sorted(slices.Values(want.ids))
		if !slices.Equal(got, ids) {
			return fmt.Sprintf("lists %v, want %v", got, ids)
		}
		return ""
	}
	// The permissions of an object are shown to those among its own writers alone (§4.5).
	if p.form == "object" && act == "GET" && a.status == http.StatusOK && p.self != nil {
		var body struct {
			Permissions map[string][]string
		}
		if err := a.read(&body); err != nil {
			return err.Error()
		}
		if shown, own := len(body.Permissions) > 0, overlap(p.self.perms["write"], c.principals); shown != own {
			return fmt.Sprintf("shows permissions %v to one who is among the writers: %v", body.Permissions, own)
		}
	}
	return ""
}

func idsIn(body []byte) []string {
	var list struct {
		Data []struct{ ID string }
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return []string{err.Error()}
	}
	out := []string{}
	for _, o := range list.Data {
		out = append(out, o.ID)
	}
	return out
}

// entries are the entries of a history as things that can be read by those who could
// read, or write, what changed, then (§8, history).
func (m *matrix) entries(w *world, asCreator said) (all []*thing) {
	m.t.Helper()
	var list struct {
		Data []struct {
			ID, URI, Action string
			Target          struct {
				Permissions map[string][]string
			}
		}
	}
	if err := asCreator.read(&list); err != nil || asCreator.status != http.StatusOK {
		m.t.Fatalf("a history: %d %s, %v", asCreator.status, asCreator.body, err)
	}
	before := map[string][]string{}
	for _, e := range slices.Backward(list.Data) { // the oldest first
		readers := slices.Concat(e.Target.Permissions["read"], e.Target.Permissions["write"])
		if e.Action == "delete" {
			readers = before[e.URI]
		}
		before[e.URI] = readers
		for _, o := range w.things {
			if strings.HasPrefix(e.URI, o.uri+"/") {
				readers = slices.Concat(readers, o.perms["read"], o.perms["write"])
			}
		}
		all = append(all, &thing{kind: "history", id: e.ID, perms: map[string][]string{"read": readers}})
	}
	return all
}

// planned is an act at a spot.
type planned struct {
	*spot
	act string
}

// plan is acts at the spots of a world: what destroys comes last, and of that the
// innermost first.
func (w *world) plan(acts ...string) (all []planned) {
	for _, act := range acts {
		if act == "DELETE" {
			continue
		}
		for _, p := range w.spots {
			if act == postOfThere && len(p.list) == 0 || act == putIfNone && p.form != "object" {
				continue
			}
			all = append(all, planned{p, act})
		}
	}
	if slices.Contains(acts, "DELETE") {
		for _, p := range slices.Backward(w.spots) {
			all = append(all, planned{p, "DELETE"})
		}
	}
	return all
}

// directly makes every request to a world as one caller.
func (m *matrix) directly(w *world, c *caller) {
	m.t.Helper()
	m.file(w)
	for _, x := range w.plan(acts...) {
		if w.granted && !m.whole && (x.act == "OPTIONS" || !slices.Contains(methodsOf(x.spot), methodOf(x.act))) {
			continue // no permission changes that; where nothing is granted, everybody asks
		}
		if x.kind == "history" && slices.Contains([]string{"GET", "HEAD", "DELETE"}, x.act) && !x.lost {
			x.list = m.entries(w, m.ask(call{method: "GET", path: "/v1" + x.path, auth: m.callers[creator].auth}))
		}
		want := m.judge(c, x.spot, x.act)
		q, undo := m.at(c, x.spot, x.act, want)
		q.auth, q.cookie = c.auth, c.cookie
		a := m.ask(q)
		m.found("directly", c.name+": "+x.act+" "+x.path, m.differs(c, x.spot, x.act, want, a))
		if x.form == "attachment" && x.act == "POST" && x.self != nil && a.status == http.StatusOK {
			m.filed(x.self, a)
		}
		m.asCreator(undo...)
	}
}

// inABatch makes every request to a world as one caller in one batch, in which the
// creator undoes what they do.
func (m *matrix) inABatch(w *world, c *caller) {
	m.t.Helper()
	var all []call
	type expected struct {
		planned
		want verdict
		at   int
	}
	var expects []expected
	for _, x := range w.plan("GET", "HEAD", postOfThere, putIfNone, "POST", "PUT", "PATCH", "DELETE") {
		if x.kind == "history" && !x.lost {
			all = append(all, call{method: "GET", path: "/v1" + x.path, auth: m.callers[creator].auth})
		}
		want := verdict{status: http.StatusForbidden} // until the history is read
		if x.kind != "history" || x.lost {
			want = m.judge(c, x.spot, x.act)
		}
		if x.form == "attachment" {
			want = verdict{status: http.StatusNotFound} // a form cannot be in a batch
		}
		q, undo := m.at(c, x.spot, x.act, want)
		if x.form == "attachment" {
			undo = nil
		}
		q.auth = c.auth
		expects = append(expects, expected{x, want, len(all)})
		all = append(all, q)
		for _, u := range undo {
			if u.auth == "" {
				u.auth = m.callers[creator].auth
			}
			all = append(all, u)
		}
	}
	answers := m.batch(c.cookie, all)
	next := 0
	for i, a := range answers {
		if next < len(expects) && expects[next].at == i {
			x := expects[next]
			next++
			if x.kind == "history" && !x.lost {
				x.list = m.entries(w, answers[i-1])
				x.want = m.judge(c, x.spot, x.act)
			}
			m.found("in a batch", c.name+": "+x.act+" "+x.path, m.differs(c, x.spot, x.act, x.want, a))
			continue
		}
		if a.status >= 300 {
			m.t.Fatalf("in a batch, after %s: %s %s: %d %s", expects[next-1].act, all[i].method, all[i].path, a.status, a.body)
		}
	}
}

// replayed sends every write to a world twice with a key, then as others with that key.
func (m *matrix) replayed(w *world, c *caller) {
	m.t.Helper()
	if c.auth == "" {
		return
	}
	for _, x := range w.plan(postOfThere, putIfNone, "POST", "PUT", "PATCH", "DELETE") {
		if x.form != "list" && x.form != "object" {
			continue // an attachment has no key
		}
		if x.kind == "history" && !x.lost {
			x.list = m.entries(w, m.ask(call{method: "GET", path: "/v1" + x.path, auth: m.callers[creator].auth}))
		}
		want := m.judge(c, x.spot, x.act)
		if w.granted && !m.whole && want.status >= 300 {
			continue // what is refused is refused there
		}
		q, undo := m.at(c, x.spot, x.act, want)
		q.headers = append(q.headers, "Idempotency-Key", fmt.Sprintf("key %d", m.fresh()))
		q.auth = c.auth
		what := c.name + ": " + x.act + " " + x.path
		first := m.ask(q)
		m.found("with a key", what, m.differs(c, x.spot, x.act, want, first))
		again, problem := m.ask(q), ""
		switch replayed := again.header.Get("Idempotent-Replayed") != ""; {
		case again.status != first.status || want.status < 300 && string(again.body) != string(first.body):
			problem = fmt.Sprintf("%d %s, was %d %s", again.status, again.body, first.status, first.body)
		case replayed != (want.status < 300):
			problem = fmt.Sprintf("replayed: %v, %d %s", replayed, again.status, again.body)
		default:
			problem = m.leaks(c, again.body)
		}
		m.found("with a key, again", what, problem)
		if want.status < 300 {
			for _, other := range []string{bystander, nobody} {
				o := m.callers[other]
				if o == c || overlapsWith(w, o) {
					continue // may do the same
				}
				q.auth = o.auth
				a, problem := m.ask(q), ""
				refused := http.StatusForbidden
				if o.account == "" {
					refused = http.StatusUnauthorized
				}
				if a.header.Get("Idempotent-Replayed") != "" || a.status != refused && a.status != http.StatusNotFound && (x.kind != "bucket" || x.act != putIfNone || a.status != http.StatusPreconditionFailed) {
					problem = fmt.Sprintf("%d %s", a.status, a.body)
				} else {
					problem = m.leaks(o, a.body)
				}
				m.found("with another's key", other+" after "+what, problem)
			}
		}
		m.asCreator(undo...)
	}
}

// overlapsWith says whether a caller is granted anything in a world.
func overlapsWith(w *world, c *caller) bool {
	return slices.ContainsFunc(w.things, func(o *thing) bool {
		for _, who := range o.perms {
			if overlap(who, c.principals) {
				return true
			}
		}
		return false
	})
}

// beforeThereIsAnything asks for the list of buckets where there are none.
func (m *matrix) beforeThereIsAnything() {
	for _, c := range m.callers {
		p := &spot{path: "/buckets", form: "list", kind: "bucket"}
		for _, act := range []string{"GET", "HEAD", "DELETE"} {
			want := m.judge(c, p, act)
			q, _ := m.at(c, p, act, want)
			q.auth, q.cookie = c.auth, c.cookie
			m.found("directly", c.name+": "+act+" /buckets, empty", m.differs(c, p, act, want, m.ask(q)))
		}
	}
}

// populate makes the worlds.
func (m *matrix) populate() {
	owner := []string{"account:" + creator}
	m.people = m.thing("bucket", "people", nil, map[string][]string{"write": owner})
	m.friends = m.thing("group", "friends", m.people, map[string][]string{"write": owner})
	m.asCreator(m.people.make(), call{method: "PUT", path: "/v1" + m.friends.uri, body: `{"data":{"members":["account:guest"]}}`})
	m.callers[guest].principals = append(m.callers[guest].principals, m.friends.uri)

	ways := []struct {
		name, principal string
		callers         []string
	}{
		{"direct", "account:guest", []string{guest, bystander, nobody}},
		{"group", "/buckets/people/groups/friends", []string{guest, bystander}},
		{"authenticated", "system.Authenticated", []string{bystander, nobody}},
		{"everyone", "system.Everyone", []string{nobody, bystander}},
	}
	turn := 0
	for _, kind := range []string{"bucket", "collection", "group", "record"} {
		for _, permission := range permissionsOf[kind] {
			turn++
			for i, way := range ways {
				if m.few && turn%len(ways) != i {
					continue
				}
				w := m.world(strings.ReplaceAll(kind+"-"+permission+"-"+way.name, ":", "-"), kind, permission, way.principal)
				for _, name := range way.callers {
					w.callers = append(w.callers, m.callers[name])
				}
				if m.brief && way.name != "direct" {
					w.callers = w.callers[:1]
				}
			}
		}
	}
	i := 0
	all := m.everybody()
	if m.fewer {
		all = slices.DeleteFunc(all, func(c *caller) bool { return slices.Contains(stewards, strings.ReplaceAll(c.name, "-", "_")) })
	}
	for some := range slices.Chunk(all, 5) {
		i++
		m.world(fmt.Sprintf("plain%d", i), "", "", "").callers = some
		none := fmt.Sprintf("none%d", i)
		m.worlds = append(m.worlds, &world{name: none, spots: spotsOf(none, nil), callers: some})
	}
	slices.Reverse(m.worlds) // what takes longest comes first
}

// everybody is every caller, in an order that stays.
func (m *matrix) everybody() (all []*caller) {
	for _, c := range m.callers {
		if c.name != "leaver" {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *caller) int { return strings.Compare(a.name, b.name) })
	return all
}

func (m *matrix) thing(kind, id string, in *thing, perms map[string][]string) *thing {
	o := &thing{kind: kind, id: id, in: in, perms: perms, mark: fmt.Sprintf("mark-%d-", m.fresh()), uri: "/" + kind + "s/" + id}
	if in != nil {
		o.uri = in.uri + o.uri
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks[o.mark] = o
	return o
}

// world makes a bucket with two collections, two groups and two records; on the first of
// a kind, or the bucket, a permission is granted.
func (m *matrix) world(name, kind, permission, principal string) *world {
	w := &world{name: name, granted: kind != ""}
	add := func(k, id string, in *thing) *thing {
		perms := map[string][]string{"write": {"account:" + creator}}
		if k == kind && !strings.HasSuffix(id, "2") {
			perms[permission] = append(perms[permission], principal)
		}
		o := m.thing(k, id, in, perms)
		w.things = append(w.things, o)
		return o
	}
	b := add("bucket", name, nil)
	c := add("collection", "c", b)
	add("collection", "c2", b)
	add("group", "g", b)
	add("group", "g2", b)
	w.unfiled = append(w.unfiled, add("record", "r", c), add("record", "r2", c))
	w.spots = spotsOf(name, w.things)
	m.worlds = append(m.worlds, w)
	var all []call
	for _, o := range w.things {
		all = append(all, o.make())
	}
	m.asCreator(all...)
	return w
}

// spotsOf are the endpoints of a world, the outermost first: what is there, and beside it
// what is missing.
func spotsOf(name string, things []*thing) (all []*spot) {
	find := func(kind, id string) *thing {
		for _, o := range things {
			if o.kind == kind && o.id == id {
				return o
			}
		}
		return nil
	}
	of := func(kind string) (list []*thing) {
		for _, o := range things {
			if o.kind == kind {
				list = append(list, o)
			}
		}
		return list
	}
	bucket := find("bucket", name)
	in := bucket.above()
	b := "/buckets/" + name
	add := func(p spot) { all = append(all, &p) }
	add(spot{path: b, form: "object", kind: "bucket", self: bucket})
	add(spot{path: b + "/history", form: "list", kind: "history", above: in, lost: bucket == nil})
	for _, kind := range []string{"collection", "group"} {
		add(spot{path: b + "/" + kind + "s", form: "list", kind: kind, above: in, lost: bucket == nil, list: of(kind)})
		for _, id := range []string{kind[:1], kind[:1] + "2", "none"} {
			add(spot{path: b + "/" + kind + "s/" + id, form: "object", kind: kind, above: in, lost: bucket == nil, self: find(kind, id)})
		}
	}
	for _, id := range []string{"c", "c2", "none"} {
		c := find("collection", id)
		on := c.above()
		if c == nil {
			on = in
		}
		var list []*thing
		if id == "c" {
			list = of("record")
		}
		path := b + "/collections/" + id + "/records"
		add(spot{path: b + "/snapshot/collections/" + id + "@9000000000000", form: "snapshot", kind: "record", above: on, lost: c == nil})
		add(spot{path: path, form: "list", kind: "record", above: on, lost: c == nil, list: list})
		for _, r := range []string{"r", "r2", "none"} {
			if id != "c" && r != "none" {
				continue
			}
			var self *thing
			if id == "c" {
				self = find("record", r)
			}
			add(spot{path: path + "/" + r, form: "object", kind: "record", above: on, lost: c == nil, self: self})
			add(spot{path: path + "/" + r + "/attachment", form: "attachment", kind: "record", above: on, lost: c == nil, self: self})
		}
	}
	return all
}
