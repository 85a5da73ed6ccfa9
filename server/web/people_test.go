package web

import (
	"context"
	"errors"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/people"
	"github.com/foyer-server/foyer/server/storage"
)

// family is a site with real people in a real database.
type family struct {
	*testing.T
	dir     string
	db      *storage.SQLite
	people  *people.People
	auth    *auth.Auth
	site    *Site
	forgot  []string
	refuses error // of Forget
	machine *machine
}

const (
	jeannine = "jeannine"
	words    = "correct horse battery"
)

func newFamily(t *testing.T) *family {
	t.Helper()
	f := &family{T: t, dir: t.TempDir()}
	f.open()
	t.Cleanup(func() {
		if err := f.db.Close(); err != nil {
			t.Error(err)
		}
	})
	hash, err := bcrypt.GenerateFromPassword([]byte(words), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Leave(f.dir, claim.Offer{ID: "1", Owner: jeannine, PasswordHash: string(hash)}, -1, -1); err != nil {
		t.Fatal(err)
	}
	if err := f.people.TakeOffer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *family) open() {
	f.Helper()
	log := slog.New(slog.DiscardHandler)
	var err error
	if f.db, err = storage.Open(f.Context(), filepath.Join(f.dir, "data.db"), log); err != nil {
		f.Fatal(err)
	}
	f.people = people.New(f.db, config.NewKinto(nil), f.dir, log)
	if err := f.people.SetCost(bcrypt.MinCost); err != nil {
		f.Fatal(err)
	}
	f.auth = auth.New(f.db, config.NewKinto(nil), f.people, log)
	f.site = site(f.T, &house{claimed: true}, func(c *Config) {
		c.People, c.Claimer = f.people, f.people
		if f.machine != nil {
			c.Appliance = f.machine
		}
		c.Addresses = func(*http.Request) []string { return []string{"https://foyer.local/"} }
		c.Light = func(context.Context) Light { return Light{OK: true, What: hint.T("All is well.", "Tout va bien.")} }
		c.Forget = func(_ context.Context, by *people.Person, name string) error {
			f.forgot = append(f.forgot, by.Name+" "+name)
			return f.refuses
		}
	})
}

// browser keeps a cookie, as browsers do.
type browser struct {
	*family
	cookie string
	device string // cookie
	from   string
}

func (f *family) browser() *browser { return &browser{family: f, from: "192.0.2.1:50000"} }

// send sends a form, or gets a page when form is nil.
func (b *browser) send(path string, form url.Values, headers ...string) *http.Response {
	b.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	r := httptest.NewRequestWithContext(b.Context(), method, "https://foyer.local"+path, strings.NewReader(body))
	r.RemoteAddr = b.from
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: cookie, Value: b.cookie, Quoted: true})
	}
	if b.device != "" {
		r.AddCookie(&http.Cookie{Name: deviceCookie, Value: b.device})
	}
	w := httptest.NewRecorder()
	b.site.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		switch c.Name {
		case cookie:
			b.cookie = c.Value
		case deviceCookie:
			b.device = c.Value
			if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				b.Errorf("the device cookie is for others, too: %+v", c)
			}
		}
	}
	return w.Result()
}

func (b *browser) page(path string) string {
	b.Helper()
	resp := b.send(path, nil)
	if resp.StatusCode != http.StatusOK {
		b.Errorf("%s: %s", path, resp.Status)
	}
	return text(b.T, resp)
}

// leads fails unless an answer leads to a page.
func (b *browser) leads(resp *http.Response, to string) {
	b.Helper()
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != to {
		b.Errorf("%s, to %q: %s", resp.Status, resp.Header.Get("Location"), text(b.T, resp))
	}
}

func fields(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func (b *browser) signIn(name, password string) *browser {
	b.Helper()
	b.leads(b.send("/signin", fields("name", name, "password", password)), "/")
	return b
}

// code is what a page with a link shows: the code in it.
func (b *browser) code(resp *http.Response) string {
	b.Helper()
	body := text(b.T, resp)
	m := regexp.MustCompile(`https://foyer\.local/(?:join|reset)#code=([A-Z0-9]+)`).FindStringSubmatch(body)
	if resp.StatusCode != http.StatusCreated || m == nil || !strings.Contains(body, "<svg") {
		b.Fatalf("no link: %s %s", resp.Status, body)
	}
	return m[1]
}

func (f *family) join(owner *browser, name, role string) *browser {
	f.Helper()
	b := f.browser()
	b.leads(b.send("/join", fields("code", owner.code(owner.send("/people", fields("for", "<i>"+name, "role", role))), "name", name, "password", "her own words", "again", "her own words")), "/")
	return b
}

func (f *family) api(name, password string) string {
	f.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, password)
	who, err := f.auth.Identify(f.Context(), r.Header.Get("Authorization"), "192.0.2.77")
	if err != nil {
		f.Fatal(err)
	}
	return who.ID
}

func TestSigningInAndOut(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	b := f.browser()
	for _, path := range []string{"/people", "/account", "/apps"} {
		b.leads(b.send(path, nil), "/signin?next="+path)
	}
	b.leads(b.send("/person", nil), "/signin?next=/person")
	b.leads(b.send("/apps", fields("label", "x")), "/signin")
	b.leads(b.send("/signin", fields("name", jeannine, "password", words, "next", "/account")), "/account")
	if page := b.page("/account"); !strings.Contains(page, "Firefox Linux") || !strings.Contains(page, jeannine) {
		t.Error(page)
	}
	resp := b.send("/", nil)
	page := text(t, resp)
	if !strings.Contains(page, "All is well.") || !strings.Contains(page, "https://foyer.local/") || !strings.Contains(page, "jeannine signed in (Firefox Linux).") {
		t.Error(page)
	}
	was := b.cookie
	b.leads(b.send("/signout", fields()), "/signin")
	if b.cookie != "" {
		t.Error("the cookie stays")
	}
	b.cookie = was
	b.leads(b.send("/account", nil), "/signin?next=/account")
	bad := f.browser()
	resp = bad.send("/signin", fields("name", jeannine, "password", "wrong", "next", "/apps"))
	if page := text(t, resp); resp.StatusCode != http.StatusForbidden || bad.cookie != "" || !strings.Contains(page, "do not belong together") || !strings.Contains(page, `value="/apps"`) || strings.Contains(page, `value="wrong"`) {
		t.Errorf("%s %s", resp.Status, page)
	}
}

// The cookie that somebody came with is not the one they leave with, and what was
// planted before is worth nothing after.
func TestSigningInMakesANewSession(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	planted := f.browser().signIn(jeannine, words).cookie
	b := f.browser()
	b.cookie = planted
	b.signIn(jeannine, words)
	if b.cookie == planted || b.cookie == "" {
		t.Error("the session was not rotated")
	}
	thief := f.browser()
	thief.cookie = planted
	thief.leads(thief.send("/account", nil), "/signin?next=/account")
	never := f.browser()
	never.cookie = jeannine + ":chosen-by-somebody-else"
	never.leads(never.send("/account", nil), "/signin?next=/account")
	never.cookie = jeannine + ":chosen-by-somebody-else"
	never.signIn(jeannine, words)
	if strings.Contains(never.cookie, "chosen") {
		t.Error("a session that was never begun was taken over")
	}
}

// What fails ends no session.
func TestAFailureSignsNobodyOut(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	b := f.browser().signIn(jeannine, words)
	for path, form := range map[string]url.Values{
		"/signin": fields("name", jeannine, "password", "wrong"), "/join": fields("code", "AAAAAAAAAAAAAAAAAAAAAAAAAA", "name", "eve", "password", "long enough"),
		"/reset": fields("code", "AAAAAAAAAAAAAAAAAAAAAAAAAA", "password", "long enough"), "/claim": fields("code", "0000-0000", "name", "eve", "password", "long enough"),
	} {
		if resp := b.send(path, form); resp.StatusCode < 400 {
			t.Errorf("%s: %s", path, resp.Status)
		}
		b.page("/account")
	}
	code := b.code(b.send("/people", fields("role", "member")))
	if resp := b.send("/join", fields("code", code, "name", jeannine, "password", "long enough")); resp.StatusCode != http.StatusConflict {
		t.Errorf("%s", resp.Status)
	}
	b.page("/account")
}

func TestTheCookieIsForHTTPSAndThisHostAlone(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	resp := f.browser().send("/signin", fields("name", jeannine, "password", words))
	set := resp.Header.Get("Set-Cookie")
	for _, want := range []string{"__Host-foyer=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(set, want) {
			t.Errorf("%q is not in %q", want, set)
		}
	}
	if strings.Contains(set, "Domain") {
		t.Error(set)
	}
}

func TestSessionsSurviveARestartAndEnd(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	one, two := f.browser().signIn(jeannine, words), f.browser().signIn(jeannine, words)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.open()
	page := one.page("/account")
	ids := regexp.MustCompile(`action="/account/session"><input type="hidden" name="id" value="([A-Z0-9]+)"`).FindAllStringSubmatch(page, -1)
	if len(ids) != 1 || strings.Count(page, "Firefox Linux<") < 1 {
		t.Fatalf("%d others: %s", len(ids), page)
	}
	one.leads(one.send("/account/session", fields("id", ids[0][1])), "/account")
	two.leads(two.send("/account", nil), "/signin?next=/account")
	three := f.browser().signIn(jeannine, words)
	// Another password ends every session but the one it was changed in.
	one.leads(one.send("/account/password", fields("old", words, "password", "a new one", "again", "a new one")), "/account")
	three.leads(three.send("/account", nil), "/signin?next=/account")
	one.page("/account")
	if resp := one.send("/account/password", fields("old", words, "password", "another one", "again", "another one")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("the old password is still good: %s", resp.Status)
	}
	f.browser().signIn(jeannine, "a new one")
}

// Nothing that another site can make a browser send changes anything, with or
// without the cookie.
func TestNothingIsTakenFromAnotherSite(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	b := f.browser().signIn(jeannine, words)
	n := 0
	for path := range f.site.paths {
		for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
			resp := b.send(path, fields("label", "evil", "name", jeannine, "password", words, "sure", "yes"), from...)
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(text(t, resp), "Another site sent this") {
				t.Errorf("%s %v: %s", path, from, resp.Status)
			}
			n++
		}
	}
	if n < 80 {
		t.Errorf("only %d were tried", n)
	}
	if page := b.page("/apps"); strings.Contains(page, "evil") {
		t.Error("another site made a password")
	}
}

// Whatever ?next says, signing in leads to a page of this server.
func TestSigningInLeadsNowhereElse(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "/%5cevil.example", "javascript:alert(1)", "/signout", "/v1/", "evil", "", "/account/../../x", " /account"} {
		b := f.browser()
		b.leads(b.send("/signin", fields("name", jeannine, "password", words, "next", next)), "/")
		if page := f.browser().page("/signin?next=" + url.QueryEscape(next)); !strings.Contains(page, `name="next" value="/"`) {
			t.Errorf("%q is in the form", next)
		}
		b.leads(b.send("/signin?next="+url.QueryEscape(next), nil), "/")
	}
}

// A page in a frame is no page of ours, and no page runs what is not ours.
func TestPagesCannotBeFramed(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	b := f.browser().signIn(jeannine, words)
	for path := range f.site.paths {
		h := b.send(path, nil).Header
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
	}
	for _, path := range []string{"/", "/people", "/account", "/apps", "/signin", "/join", "/reset", "/trust"} {
		who := b
		if path == "/signin" {
			who = f.browser()
		}
		page := who.page(path)
		if regexp.MustCompile(`(?i)<script[^>]*>[^<]|\son[a-z]+=|style=|(?:src|href|action)="(?:https?:)?//[^f]`).MatchString(page) {
			t.Errorf("%s: something in it would not run, or is from elsewhere", path)
		}
	}
}

func TestInvitationsComeInOnce(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	owner := f.browser().signIn(jeannine, words)
	code := owner.code(owner.send("/people", fields("for", "<b>Paul", "role", "member")))
	if page := owner.page("/people"); !strings.Contains(page, "&lt;b&gt;Paul") || strings.Contains(page, code) {
		t.Error("the list of what waits is not right")
	}
	paul := f.browser()
	for _, c := range []struct{ name, password, again, want string }{
		{"Paul!", "long enough", "long enough", "cannot be a name"},
		{"paul", "short", "short", "too short"},
		{"paul", "long enough", "long enougH", "not the same"},
		{jeannine, "long enough", "long enough", "has this name already"},
	} {
		resp := paul.send("/join", fields("code", code, "name", c.name, "password", c.password, "again", c.again))
		if page := text(t, resp); resp.StatusCode < 400 || paul.cookie != "" || !strings.Contains(page, c.want) || !strings.Contains(page, `value="`+code+`"`) {
			t.Errorf("%v: %s", c, resp.Status)
		}
	}
	if id := f.api(jeannine, words); id != "account:jeannine" {
		t.Error("somebody else's password was changed")
	}
	// However many use it at once, one gets in.
	var wg sync.WaitGroup
	got := make([]*browser, 6)
	for i := range got {
		got[i] = f.browser()
		wg.Go(func() {
			got[i].send("/join", fields("code", strings.ToLower(code), "name", "paul"+string(rune('0'+i)), "password", "her own words"))
		})
	}
	wg.Wait()
	in := 0
	for _, b := range got {
		if b.cookie != "" {
			in++
			b.page("/account")
		}
	}
	if in != 1 {
		t.Errorf("%d came in", in)
	}
	if resp := paul.send("/join", fields("code", code, "name", "late", "password", "her own words")); resp.StatusCode != http.StatusForbidden || !strings.Contains(text(t, resp), "used already") {
		t.Errorf("%s", resp.Status)
	}
}

func TestMembersOwnNothingButTheirs(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	owner := f.browser().signIn(jeannine, words)
	paul := f.join(owner, "paul", "member")
	for _, path := range []string{"/people", "/person?name=jeannine"} {
		if resp := paul.send(path, nil); resp.StatusCode != http.StatusForbidden || strings.Contains(text(t, resp), "invit") {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for path, form := range map[string]url.Values{
		"/people": fields("role", "owner"), "/people/withdraw": fields("id", "x"), "/person/reset": fields("name", jeannine),
		"/person/remove": fields("name", jeannine, "sure", "yes"),
	} {
		if resp := paul.send(path, form); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	page := paul.page("/")
	if strings.Contains(page, "/people") || strings.Contains(page, "jeannine signed in") || !strings.Contains(page, "paul came in, invited by jeannine.") {
		t.Error(page)
	}
	// One more owner may what an owner may, but for the one the server belongs to.
	anna := f.join(owner, "anna", "owner")
	if page := anna.page("/people"); !strings.Contains(page, "paul") {
		t.Error(page)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth("anna", "her own words")
	if who, err := f.auth.Identify(t.Context(), r.Header.Get("Authorization"), "192.0.2.77"); err != nil || !who.Owner {
		t.Errorf("%v %v", who, err)
	}
	for path, form := range map[string]url.Values{"/person/reset": fields("name", jeannine), "/person/remove": fields("name", jeannine, "sure", "yes", "data", "keep")} {
		if resp := anna.send(path, form); resp.StatusCode != http.StatusForbidden || !strings.Contains(text(t, resp), "belongs") {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestRemovingSomebody(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	owner := f.browser().signIn(jeannine, words)
	paul := f.join(owner, "paul", "owner")
	page := owner.page("/person?name=paul")
	for _, want := range []string{"What happens to their data?", "It stays.", "for good"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not said before", want)
		}
	}
	owner.leads(owner.send("/person/remove", fields("name", "paul", "data", "keep")), "/person?name=paul") // not sure
	paul.page("/account")
	owner.leads(owner.send("/person/remove", fields("name", "paul", "data", "keep", "sure", "yes")), "/people")
	paul.leads(paul.send("/account", nil), "/signin?next=/account")
	if id := f.api("paul", "her own words"); id != "" || len(f.forgot) != 0 {
		t.Errorf("still %q, forgot %v", id, f.forgot)
	}
	// The name is nobody else's: what paul stored would be theirs.
	code := owner.code(owner.send("/people", fields("for", "eve")))
	eve := f.browser()
	if resp := eve.send("/join", fields("code", code, "name", "paul", "password", "her own words")); resp.StatusCode != http.StatusConflict {
		t.Errorf("%s", resp.Status)
	}
	code = owner.code(owner.send("/people", fields("for", "paul")))
	back := f.browser()
	back.leads(back.send("/join", fields("code", code, "name", "paul", "password", "her own words")), "/")
	if resp := back.send("/people", nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an owner again by the name alone: %s", resp.Status)
	}
	f.refuses = errors.New("a disk that fails")
	if resp := owner.send("/person/remove", fields("name", "paul", "data", "forget", "sure", "yes")); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s", resp.Status)
	}
	if strings.Join(f.forgot, ",") != "jeannine paul" {
		t.Errorf("forgot %v", f.forgot)
	}
}

func TestAppPasswords(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	owner := f.browser().signIn(jeannine, words)
	if resp := owner.send("/apps", fields("label", "  ")); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", resp.Status)
	}
	resp := owner.send("/apps", fields("label", "<u>notes"))
	page := text(t, resp)
	m := regexp.MustCompile(`app(?:-[a-z2-7]{5}){5}`).FindString(page)
	if resp.StatusCode != http.StatusCreated || m == "" || !strings.Contains(page, "&lt;u&gt;notes") {
		t.Fatalf("%s %s", resp.Status, page)
	}
	if page := owner.page("/apps"); strings.Contains(page, m) || !strings.Contains(page, "not used yet") {
		t.Error("it is shown again")
	}
	if f.api(jeannine, m) != "account:jeannine" || f.api("paul", m) != "" || f.api(jeannine, m+"x") != "" || f.api(jeannine, "app-") != "" {
		t.Error("it is not the password of this account alone")
	}
	if page := owner.page("/apps"); !strings.Contains(page, "last used") {
		t.Error("nothing says that it was used")
	}
	// An app opens no page, and cannot make itself more than an app.
	b := f.browser()
	if resp := b.send("/signin", fields("name", jeannine, "password", m)); resp.StatusCode != http.StatusForbidden || b.cookie != "" {
		t.Errorf("an app signed in: %s", resp.Status)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(jeannine, m)
	if who, err := f.auth.Identify(t.Context(), r.Header.Get("Authorization"), "192.0.2.77"); err != nil || who.Owner || !who.App {
		t.Errorf("%+v %v", who, err)
	}
	// It lives on when the password changes, and ends when it is taken back.
	owner.leads(owner.send("/account/password", fields("old", words, "password", "a new one", "again", "a new one")), "/account")
	if f.api(jeannine, m) == "" {
		t.Error("another password ended an app")
	}
	id := regexp.MustCompile(`action="/apps/revoke"><input type="hidden" name="id" value="([^"]+)"`).FindStringSubmatch(owner.page("/apps"))
	owner.leads(owner.send("/apps/revoke", fields("id", id[1])), "/apps")
	if f.api(jeannine, m) != "" {
		t.Error("it is still good")
	}
	if resp := owner.send("/apps/revoke", fields("id", id[1])); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s", resp.Status)
	}
}

func TestResetLinks(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	owner := f.browser().signIn(jeannine, words)
	paul := f.join(owner, "paul", "member")
	first := owner.code(owner.send("/person/reset", fields("name", "paul")))
	code := owner.code(owner.send("/person/reset", fields("name", "paul")))
	for _, wrong := range []string{first, "", "AAAAAAAAAAAAAAAAAAAAAAAAAA"} { // the newest counts alone
		if resp := f.browser().send("/reset", fields("code", wrong, "password", "a new one")); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%q: %s", wrong, resp.Status)
		}
	}
	// A reset is no invitation, and an invitation no reset.
	if resp := f.browser().send("/join", fields("code", code, "name", "eve", "password", "a new one")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s", resp.Status)
	}
	b := f.browser()
	b.leads(b.send("/reset", fields("code", code, "password", "a new one", "again", "a new one")), "/")
	b.page("/account")
	paul.leads(paul.send("/account", nil), "/signin?next=/account")
	if f.api("paul", "a new one") != "account:paul" || f.api("paul", "her own words") != "" {
		t.Error("the password is not the new one")
	}
	if resp := f.browser().send("/reset", fields("code", code, "password", "yet another")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("twice: %s", resp.Status)
	}
}

// The owner who forgot their password makes a code on the machine.
func TestTheOwnerChoosesAnotherPassword(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	code, offer, err := claim.NewReset(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Leave(f.dir, offer, -1, -1); err != nil {
		t.Fatal(err)
	}
	b := f.browser()
	if resp := b.send("/reset", fields("code", "0000-0000", "password", "a new one")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s", resp.Status)
	}
	// It makes nobody an owner.
	if resp := b.send("/claim", fields("code", code, "name", "eve", "password", "a new one")); resp.StatusCode != http.StatusConflict {
		t.Errorf("%s", resp.Status)
	}
	b.leads(b.send("/reset", fields("code", strings.ToLower(code), "password", "a new one")), "/")
	if page := b.page("/account"); !strings.Contains(page, jeannine) || f.api(jeannine, "a new one") == "" {
		t.Error(page)
	}
	if resp := f.browser().send("/reset", fields("code", code, "password", "yet another")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("twice: %s", resp.Status)
	}
}

// Links that people pass on are made of our own names, whatever a request calls us.
func TestLinksAreMadeOfOurOwnNames(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	owner := f.browser().signIn(jeannine, words)
	for _, h := range [][]string{{"Host", "evil.example"}, {"X-Forwarded-Host", "evil.example"}, {"Forwarded", "host=evil.example"}} {
		for path, form := range map[string]url.Values{"/people": fields("role", "member"), "/apps": fields("label", "x"), "/person/reset": fields("name", jeannine)} {
			if page := text(t, owner.send(path, form, h...)); strings.Contains(page, "evil") || !strings.Contains(page, "https://foyer.local/") {
				t.Errorf("%s %v: %s", path, h, page)
			}
		}
	}
	f.site.Address = func(*http.Request) string { return "" }
	if resp := owner.send("/people", fields("role", "member")); resp.StatusCode != http.StatusConflict || !strings.Contains(text(t, resp), "does not know by what name") {
		t.Errorf("%s", resp.Status)
	}
}

// Wrong passwords are counted, by name and by address; a restart forgets nothing,
// and who is known is not kept out.
func TestGuessingPasswordsIsPaused(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	known := f.browser().signIn(jeannine, words)
	app := regexp.MustCompile(`app(?:-[a-z2-7]{5}){5}`).FindString(text(t, known.send("/apps", fields("label", "notes"))))
	for _, name := range []string{jeannine, "nobody"} {
		b := f.browser()
		b.from = "198.51.100." + string(rune('0'+len(name))) + ":1"
		n, paused := 0, false
		for ; n < 40 && !paused; n++ {
			resp := b.send("/signin", fields("name", name, "password", "guess "+string(rune('a'+n))))
			paused = resp.StatusCode == http.StatusTooManyRequests
			if !paused && resp.StatusCode != http.StatusForbidden {
				t.Fatalf("%s", resp.Status)
			}
		}
		if n != 21 {
			t.Errorf("%s: paused after %d guesses", name, n)
		}
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.open()
	b := f.browser()
	b.from = "203.0.113.9:1" // from anywhere
	if resp := b.send("/signin", fields("name", jeannine, "password", words)); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a restart forgot: %s", resp.Status)
	}
	known.page("/account")
	if f.api(jeannine, app) == "" {
		t.Error("an app is kept out")
	}
	// Somebody who signed out signs in again, on the device they had.
	known.from = "203.0.113.10:1"
	known.leads(known.send("/signout", fields()), "/signin")
	known.signIn(jeannine, words)
	if resp := f.browser().send("/signin", fields("name", jeannine, "password", words)); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("another device: %s", resp.Status)
	}
}

// An app that was not told of a new password tries the old one for ever, and
// pauses nobody.
func TestTheSameWrongPasswordIsOneGuess(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	for range 50 {
		if f.api(jeannine, "the old one") != "" {
			t.Fatal("let in")
		}
	}
	f.browser().signIn(jeannine, words)
}

// Guesses of many names from one address are counted, too.
func TestGuessingNamesIsPaused(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	b := f.browser()
	n := 0
	for ; n < 100; n++ {
		if b.send("/signin", fields("name", "n"+string(rune('a'+n%26))+string(rune('a'+n/26)), "password", words)).StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	if n != 60 {
		t.Errorf("paused after %d", n)
	}
	other := f.browser()
	other.from = "203.0.113.9:1"
	other.signIn(jeannine, words)
}

// A name nobody has answers as one that somebody has: in the same words, and in
// about the same time.
func TestNamesAreNotTold(t *testing.T) {
	t.Attr("shows", "attacks")
	t.Parallel()
	f := newFamily(t)
	if err := f.people.SetCost(bcrypt.DefaultCost); err != nil { // what is slow is what is compared
		t.Fatal(err)
	}
	owner := f.browser().signIn(jeannine, words)
	owner.leads(owner.send("/account/password", fields("old", words, "password", "a new one", "again", "a new one")), "/account")
	pages := map[string]string{}
	took := map[string]time.Duration{}
	for _, name := range []string{jeannine, "nobody"} {
		for i := range 5 {
			start := time.Now()
			resp := f.browser().send("/signin", fields("name", name, "password", "guess "+string(rune('a'+i))))
			if d := time.Since(start); took[name] == 0 || d < took[name] {
				took[name] = d
			}
			pages[name] = strings.ReplaceAll(text(t, resp), html.EscapeString(name), "NAME")
		}
	}
	if pages[jeannine] != pages["nobody"] {
		t.Error("the answers differ")
	}
	if a, b := took[jeannine], took["nobody"]; a > 3*b || b > 3*a {
		t.Errorf("%s for a name that is there, %s for one that is not", a, b)
	}
}

func TestLanguageSwitch(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	resp := f.browser().send("/signin?lang=fr", nil, "Accept-Language", "en")
	if page := text(t, resp); !strings.Contains(page, `<html lang="fr">`) || !strings.Contains(resp.Header.Get("Set-Cookie"), "foyer-lang=fr") || !strings.Contains(page, `href="/signin?lang=en"`) {
		t.Error(page)
	}
	if page := text(t, f.browser().send("/signin", nil, "Cookie", "foyer-lang=fr")); !strings.Contains(page, `<html lang="fr">`) {
		t.Error("it is not remembered")
	}
	if page := text(t, f.browser().send("/signin?lang=xx", nil, "Cookie", "foyer-lang=zz", "Accept-Language", "fr")); !strings.Contains(page, `<html lang="fr">`) {
		t.Error("a language that is none counts")
	}
}

// Where names below ours belong to others no passkeys are made or used: their pages could
// ask for them.
func TestNoPasskeysWhereNamesAreShared(t *testing.T) {
	t.Attr("shows", "mend")
	f := newFamily(t)
	for shared, want := range map[bool]int{false: http.StatusOK, true: http.StatusBadRequest} {
		f.site.Shared = func(string) bool { return shared }
		for _, path := range []string{"/passkey/use", "/passkey/make"} {
			r := httptest.NewRequest(http.MethodPost, "https://foyer.local"+path, strings.NewReader(`{"name":"anna"}`))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			if f.site.ServeHTTP(w, r); w.Code != want {
				t.Errorf("shared %v: %s: %d %s", shared, path, w.Code, w.Body)
			}
		}
		if page := f.browser().page("/signin"); strings.Contains(page, "passkey") == shared && strings.Contains(page, "Use a passkey") == shared {
			t.Errorf("shared %v: %s", shared, page)
		}
	}
}
