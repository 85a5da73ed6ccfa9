package web

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// wizard is the part of machine that changes settings: it asks as the real one does, where
// what is asked depends on where the server lives and on its name.
type wizard struct {
	values []map[string]string // that came with each request
	begun  map[string]string
	kept   []string // code and address of each confirmation
	today  map[string]string
}

const (
	newAddress = "https://cloud.example.org/"
	changeCode = "ABCD-EFGH-IJKL-MNOP-QRST"
	token      = "a-token-of-duckdns"
)

func (m *machine) ChangeQuestionsFor(_ context.Context, values map[string]string, _ string) ([]report.Question, error) {
	w := &m.wizard
	w.values = append(w.values, values)
	get := func(key string) string {
		if v, ok := values[key]; ok {
			return v
		}
		return w.today[key]
	}
	out := []report.Question{{
		Key: "where", OnWay: true, Title: hint.T("Where does it live?", "Où vit-il ?"), Value: get("where"), Options: []report.Option{
			{Value: "home", Title: hint.T("At home", "À la maison"), Help: hint.T("Just <i>for us</i>.", "Juste pour nous.")},
			{Value: "reachable", Title: hint.T("Reachable from anywhere", "Joignable de partout")},
		},
	}}
	if get("where") == "reachable" {
		q := report.Question{Key: "addresses", OnWay: true, Needed: true, Title: hint.T("Which web address?", "Quelle adresse web ?"), Value: get("addresses")}
		if strings.Contains(q.Value, "@") {
			q.Wrong = hint.T("This is an e-mail address.", "C'est une adresse électronique.")
		}
		out = append(out, q)
		if strings.HasSuffix(q.Value, ".duckdns.org") {
			out = append(out, report.Question{Key: "dns.credentials", OnWay: true, Secret: true, Needed: w.today["dns.credentials"] == "", Set: w.today["dns.credentials"] != "" && values["dns.credentials"] == "", Title: hint.T("The token?", "Le jeton ?")})
		}
	}
	return append(out, report.Question{Key: "name", Title: hint.T("Name", "Nom"), Value: get("name"), Needed: true}, report.Question{Key: "certificates.email", Title: hint.T("E-mail", "Courriel"), Value: get("certificates.email"), Empty: hint.T("none", "aucun")}), m.gone()
}

func (m *machine) ChangePlanFor(_ context.Context, values map[string]string, _ string) (report.ChangePlan, error) {
	p := report.ChangePlan{Differs: []report.Difference{}, Addresses: []string{"https://foyer.local/", newAddress}, Gone: []string{"https://192.0.2.9/"}, Through: []string{newAddress, "https://[2001:db8::7]:8443/", "javascript://x/%0aalert(1)//"}, Seconds: 90}
	for key, value := range values {
		if value != m.wizard.today[key] {
			after := hint.Verbatim(value)
			if key == "dns.credentials" {
				after = hint.T("another one", "un autre")
			}
			p.Differs = append(p.Differs, report.Difference{Key: key, Title: hint.T("Setting %s", "Réglage %s", key), Before: hint.Verbatim("<b>" + m.wizard.today[key]), After: after})
		}
	}
	p.Steps, p.Notes = []hint.Text{hint.T("The <b>service is restarted.", "Le service redémarre.")}, []hint.Text{hint.T("Apps have to be told.", "Il faut le dire aux applications.")}
	return p, m.gone()
}

func (m *machine) ChangeFor(ctx context.Context, values map[string]string, cookie string) (report.Changed, error) {
	if err := errors.Join(m.refuse, m.gone()); err != nil {
		return report.Changed{}, err
	}
	plan, _ := m.ChangePlanFor(ctx, values, cookie)
	m.wizard.begun = values
	m.stands(report.JobRunning, report.Change{State: report.ChangeApplying, Plan: plan})
	return report.Changed{Job: m.job, Code: changeCode}, nil
}

func (m *machine) KeepChange(_ context.Context, code, at string) (report.Job, error) {
	m.wizard.kept = append(m.wizard.kept, code+" "+at)
	return m.job, errors.Join(m.refuse, m.gone())
}

// stands has a change of the settings stand so.
func (m *machine) stands(state report.JobState, ch report.Change) {
	result, err := json.Marshal(ch)
	if err != nil {
		panic(err)
	}
	m.job = report.Job{ID: "20261127-130000000-abcd", Kind: report.KindChange, Title: hint.T("Change the settings", "Modifier les réglages"), By: jeannine, State: state, Result: result}
	if state.Ended() {
		m.job.Ended = time.Now()
	}
	if state == report.JobFailed {
		m.job.Error = &report.Problem{Code: "change-back", What: hint.T("It went back.", "Retour."), Do: hint.T("Ask again.", "Redemandez.")}
	}
	m.status.Jobs = []report.Job{m.job}
}

// changing is a household whose server may be found otherwise.
func changing(t *testing.T) (m *machine, owner, member *browser) {
	t.Helper()
	m, owner, member = household(t)
	m.status.Jobs = nil
	m.wizard.today = map[string]string{"where": "home", "name": "foyer"}
	return m, owner, member
}

// sends sends the form of a page that is to be sent to path, as a browser does, with fields
// that somebody filled in.
func (b *browser) sends(page, path string, filled url.Values) *http.Response {
	b.Helper()
	form := regexp.MustCompile(`(?s)<form method="post" action="` + regexp.QuoteMeta(path) + `".*?</form>`).FindString(page)
	if form == "" {
		b.Fatalf("no form leads to %s: %s", path, page)
	}
	sent := url.Values{}
	for _, input := range regexp.MustCompile(`<input [^>]*>`).FindAllString(form, -1) {
		attr := func(name string) string {
			if m := regexp.MustCompile(` ` + name + `="([^"]*)"`).FindStringSubmatch(input); m != nil {
				return html.UnescapeString(m[1])
			}
			return ""
		}
		if name := attr("name"); name != "" && (attr("type") != "radio" || strings.Contains(input, " checked")) {
			sent.Add(name, attr("value"))
		}
	}
	for name, values := range filled {
		if !strings.Contains(form, `name="`+name+`"`) {
			b.Errorf("nothing asks for %s: %s", name, form)
		}
		sent[name] = values
	}
	return b.send(path, sent)
}

func (b *browser) fills(page, path string, pairs ...string) string {
	b.Helper()
	resp := b.sends(page, path, fields(pairs...))
	if resp.StatusCode != http.StatusOK {
		b.Errorf("%s: %s", path, resp.Status)
	}
	return text(b.T, resp)
}

// An owner at home gets a name: where the server lives, the name, a token that a name brings
// with it, what it all comes to, and the link that confirms it, told once.
func TestChangeOfMindByPage(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	m, owner, _ := changing(t)
	has(t, owner.page("/machine"), "/change", false) // where the settings cannot be changed
	m.changes = true
	has(t, owner.page("/machine"), `href="/change"`, true)
	has(t, owner.page("/machine"), "Change the settings", false)

	page := owner.page("/change")
	for what, want := range map[string]bool{"At home": true, "Just &lt;i&gt;for us": true, `value="home" checked`: true, "Which web address": false, "E-mail": false} {
		has(t, page, what, want)
	}
	page = owner.fills(page, "/change/questions", "answer.where", "reachable")
	for what, want := range map[string]bool{"Which web address": true, "The token": false, "<summary>More settings": true, "E-mail": true, "Left empty: none": true, "there is more to ask": false} {
		has(t, page, what, want)
	}
	if at := strings.Index(page, "<details"); at < strings.Index(page, "Which web address") || at > strings.Index(page, "E-mail") {
		t.Error("what is asked does not come first, and the others below")
	}

	resp := owner.sends(page, "/change/plan", nil)
	page = text(t, resp)
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a missing answer: %s", resp.Status)
	}
	has(t, page, "An answer is needed here.", true)
	resp = owner.sends(page, "/change/plan", fields("answer.addresses", `me@"><script>`))
	page = text(t, resp)
	has(t, page, `id="wrong-addresses">This is an e-mail address.`, true)
	has(t, page, `value="me@&#34;&gt;&lt;script&gt;"`, true)

	page = owner.fills(page, "/change/plan", "answer.addresses", "ours.duckdns.org")
	has(t, page, "there is more to ask", true)
	has(t, page, `name="secret.dns.credentials" type="password"`, true)
	has(t, page, `aria-invalid`, false)
	page = owner.fills(page, "/change/plan", "secret.dns.credentials", token)
	for what, want := range map[string]bool{
		"Setting addresses</strong><br>ours.duckdns.org": true, "another one": true, "today: &lt;b&gt;home": true, "The &lt;b&gt;service is restarted.": true, "Apps have to be told.": true,
		newAddress: true, "https://192.0.2.9/": true, "90 seconds": true, token: false, "Setting name": false,
	} {
		has(t, page, what, want)
	}
	has(t, owner.page("/change?lang=fr"), "90 secondes", true) // the answers are still there
	has(t, owner.page("/change?lang=en"), "90 seconds", true)

	page = owner.fills(page, "/change")
	if diff := cmp.Diff(map[string]string{"where": "reachable", "addresses": "ours.duckdns.org", "dns.credentials": token}, m.wizard.begun); diff != "" {
		t.Errorf("what was begun: %s", diff)
	}
	for what, want := range map[string]bool{
		`<a class="button" href="https://cloud.example.org/change/keep?code=` + changeCode + `" target="_blank" rel="noopener noreferrer"`: true,
		`href="https://[2001:db8::7]:8443/change/keep?code=` + changeCode + `"`:                                                            true,
		"javascript:": false, "<svg": true, "90 seconds": true, "by itself": true, "http-equiv": false, token: false, "data-busy": true, "data-away hidden": true,
	} {
		has(t, page, what, want)
	}
	page = owner.page("/change")
	for what, want := range map[string]bool{changeCode: false, `id="live-link"`: false, "The settings are being changed.": true, `<noscript><meta http-equiv="refresh" content="3"></noscript>`: true} {
		has(t, page, what, want)
	}
	t.Logf("SHOW a change of mind on pages: %d times answers were looked at before one was begun, its code in one page, its token in none", len(m.wizard.values))
}

// How a change stands is on the page of it, and while it waits on every page about the machine.
func TestHowAChangeStands(t *testing.T) {
	t.Parallel()
	m, owner, member := changing(t)
	until := time.Now().Add(time.Minute)
	for _, c := range []struct {
		name   string
		job    report.JobState
		change report.Change
		says   []string
		undo   bool
	}{
		{"applying", report.JobRunning, report.Change{State: report.ChangeApplying}, []string{"The settings are being changed."}, true},
		{"not begun by root", report.JobWaiting, report.Change{}, []string{"The settings are being changed."}, true},
		{"waiting", report.JobRunning, report.Change{State: report.ChangeWaiting, Until: until}, []string{"waits for you to confirm it", until.Local().Format("15:04:05")}, true},
		{"going back", report.JobRunning, report.Change{State: report.ChangeGoingBack, Reason: hint.T("Nobody <b>confirmed it.", "Personne.")}, []string{"is being undone", "Nobody &lt;b&gt;confirmed it."}, false},
		{"back", report.JobFailed, report.Change{State: report.ChangeBack, Reason: hint.T("Nobody confirmed it.", "Personne.")}, []string{"everything is as it was", "Nobody confirmed it.", "Ask again."}, false},
		{"never made", report.JobFailed, report.Change{State: report.ChangeApplying}, []string{"The change was not made.", "It went back."}, false},
		{"kept", report.JobDone, report.Change{State: report.ChangeKept}, []string{"it stays"}, false},
	} {
		m.stands(c.job, c.change)
		for _, path := range []string{"/change", "/", "/machine"} {
			busy := !c.job.Ended()
			page := owner.page(path)
			for _, what := range c.says {
				if path == "/change" || busy {
					has(t, page, what, true)
				}
			}
			if path == "/change" {
				has(t, page, `action="/change/back"`, c.undo)
				has(t, page, `<div id="live-link" data-live></div>`, !busy)
				continue
			}
			has(t, page, c.says[0], busy)
			has(t, page, `<a href="/change">`, busy)
		}
		has(t, member.page("/"), c.says[0], false)
	}
	m.stands(report.JobRunning, report.Change{State: report.ChangeWaiting, Until: until})
	m.status.Sentence = hint.T("A change waits until noon.", "Une modification attend jusqu'à midi.")
	m.status.Checks = []report.Result{{Code: "change", Finding: report.Finding{Severity: report.Warning, What: m.status.Sentence, Do: hint.T("Open the link.", "Ouvrez le lien.")}}}
	for _, path := range []string{"/", "/machine"} { // the light tells of it, and nothing tells it twice
		page := owner.page(path)
		has(t, page, "A change waits until noon.", true)
		has(t, page, `<a href="/change">`, true)
		has(t, page, "waits for you to confirm it", false)
	}
	has(t, member.page("/"), "/change", false)
	m.stands(report.JobDone, report.Change{State: report.ChangeKept})
	m.job.Ended = time.Now().Add(-2 * time.Hour)
	m.status.Jobs = []report.Job{m.job}
	has(t, owner.page("/change"), "it stays", false)

	m.stands(report.JobRunning, report.Change{State: report.ChangeWaiting, Until: until})
	owner.leads(owner.sends(owner.page("/change"), "/change/back", nil), "/change")
	if !slices.Contains(m.asked, "cancel "+m.job.ID+" "+owner.cookie) {
		t.Errorf("asked for %q", m.asked)
	}
	m.refuse = hint.New("change-under-way", hint.T("Another one.", "Une autre."), hint.Text{}, hint.Text{})
	owner.leads(owner.send("/change", fields("given.where", "reachable")), "/change")
}

// Who has to sign in once more finds their answers again; a secret has to be typed again, and
// is in no page, address or cookie.
func TestSigningInAgainCostsNoAnswers(t *testing.T) {
	t.Parallel()
	m, owner, _ := changing(t)
	m.changes = true
	again := hint.New("signin-again", hint.T("Once more.", "Encore."), hint.Text{}, hint.Text{})

	page := owner.fills(owner.page("/change"), "/change/questions")
	page = owner.fills(page, "/change/plan", "answer.name", "maison")
	m.refuse = again
	owner.leads(owner.sends(page, "/change", nil), "/signin?again=1&next=%2Fchange")
	has(t, owner.page("/signin?again=1&next=%2Fchange"), `name="next" value="/change"`, true)
	owner.leads(owner.send("/signin", fields("name", jeannine, "password", words, "next", "/change")), "/change")
	m.refuse = nil
	page = owner.page("/change")
	has(t, page, "Setting name</strong><br>maison", true)
	owner.fills(page, "/change")
	if diff := cmp.Diff(map[string]string{"name": "maison"}, m.wizard.begun); diff != "" {
		t.Error(diff)
	}

	m.status.Jobs = nil
	has(t, owner.page("/change"), "maison", false) // what was begun is no draft any more
	page = owner.fills(owner.page("/change"), "/change/questions", "answer.where", "reachable")
	page = owner.fills(page, "/change/plan", "answer.addresses", "ours.duckdns.org")
	page = owner.fills(page, "/change/plan", "secret.dns.credentials", token)
	m.refuse = again
	owner.leads(owner.sends(page, "/change", nil), "/signin?again=1&next=%2Fchange")
	owner.leads(owner.send("/signin", fields("name", jeannine, "password", words, "next", "/change")), "/change")
	m.refuse = nil
	agreed := page
	page = owner.page("/change")
	for what, want := range map[string]bool{"Type it once more": true, "ours.duckdns.org": true, token: false} {
		has(t, page, what, want)
	}
	m.wizard.begun = nil
	owner.leads(owner.sends(agreed, "/change", nil), "/change") // nor does the page of before the sign-in bring it
	if m.wizard.begun != nil {
		t.Errorf("begun without the secret: %v", m.wizard.begun)
	}
	owner.fills(page, "/change/plan", "secret.dns.credentials", token)
	owner.leads(owner.send("/change", fields("given.where", "reachable", "given.addresses", "theirs.duckdns.org", "typed", "dns.credentials")), "/change") // it is for the name it was typed with
	if m.wizard.begun != nil {
		t.Errorf("a secret goes to another name: %v", m.wizard.begun)
	}
	page = owner.fills(owner.page("/change"), "/change/plan", "secret.dns.credentials", token)
	has(t, owner.fills(page, "/change/questions"), token, false) // nor is it sent back
	has(t, owner.page("/change?from=start"), "Where does it live", true)
	has(t, owner.page("/change"), "theirs.duckdns.org", false)
}

// A secret that is set may stay as it is, and what stays as it is makes no change.
func TestWhatStaysAsItIs(t *testing.T) {
	t.Parallel()
	m, owner, _ := changing(t)
	m.wizard.today = map[string]string{"where": "reachable", "addresses": "ours.duckdns.org", "dns.credentials": token, "name": "foyer"}
	page := owner.fills(owner.page("/change"), "/change/questions")
	has(t, page, "it stays as it is", true)
	page = owner.fills(page, "/change/plan")
	has(t, page, "everything stays as it is", true)
	if got := m.wizard.values[len(m.wizard.values)-1]; len(got) != 0 {
		t.Errorf("answers that nobody gave: %v", got)
	}
	m.refuse = hint.New("helper-limit", hint.T("Too often.", "Trop souvent."), hint.Text{}, hint.Text{})
	page = owner.fills(page, "/change/plan", "answer.name", "maison")
	resp := owner.sends(page, "/change", nil)
	if resp.StatusCode != http.StatusConflict {
		t.Errorf("refused: %s", resp.Status)
	}
	page = text(t, resp)
	has(t, page, "Too often.", true)
	has(t, page, "Change it now", true)
}

// The change is for owners; the confirmation is for who has the code, by the address the
// request came to, and for no other site.
func TestWhoMayChange(t *testing.T) {
	t.Parallel()
	m, owner, member := changing(t)
	for _, to := range []struct {
		path string
		form url.Values
	}{{"/change", nil}, {"/change/questions", fields("answer.where", "home")}, {"/change/plan", fields("given.name", "x")}, {"/change", fields("given.name", "x")}, {"/change/back", fields("id", "1")}} {
		path, form := to.path, to.form
		if resp := member.send(path, form); resp.StatusCode != http.StatusForbidden {
			t.Errorf("a member at %s: %s", path, resp.Status)
		}
		if resp := member.browser().send(path, form); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/signin") {
			t.Errorf("a stranger at %s: %s", path, resp.Status)
		}
		if form != nil {
			if resp := owner.send(path, form, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden {
				t.Errorf("another site's page at %s: %s", path, resp.Status)
			}
		}
	}
	if len(m.wizard.values) > 0 || m.wizard.begun != nil || m.asked != nil {
		t.Errorf("asked for others: %v %v %v", m.wizard.values, m.wizard.begun, m.asked)
	}
	m.away = true
	if resp := owner.send("/change", nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("nobody answers: %s", resp.Status)
	}
}

// Getting the link does nothing: messengers do. Its button confirms, from any browser.
func TestConfirmingAChange(t *testing.T) {
	t.Parallel()
	m, owner, _ := changing(t)
	stranger := owner.browser()
	link := "/change/keep?code=" + changeCode
	for range 3 {
		resp := stranger.send(link, nil)
		page := text(t, resp)
		has(t, page, `<input type="hidden" name="code" value="`+changeCode+`">`, true)
		if resp.Header.Get("Referrer-Policy") != "no-referrer" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("the code goes on: %v", resp.Header)
		}
	}
	has(t, stranger.page(link+"&lang=fr"), "Garder la modification", true)
	stranger.page(link + "&lang=en")
	if m.wizard.kept != nil {
		t.Errorf("getting the page did something: %q", m.wizard.kept)
	}
	if resp := stranger.send("/change/keep", fields("code", changeCode), "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden || m.wizard.kept != nil {
		t.Errorf("another site's form: %s, %q", resp.Status, m.wizard.kept)
	}
	page := stranger.fills(stranger.page(link), "/change/keep")
	has(t, page, "The change is confirmed: it stays.", true)
	if diff := cmp.Diff([]string{changeCode + " https://foyer.local"}, m.wizard.kept); diff != "" {
		t.Error(diff)
	}

	for code, want := range map[string]struct {
		status int
		field  bool
	}{"change-elsewhere": {409, false}, "change-none": {409, false}, "code-wrong": {403, true}, "code-paused": {429, false}, "helper-silent": {503, false}} {
		m.refuse = hint.New(code, hint.T("It is refused.", "C'est refusé."), hint.Text{}, hint.T("Open https://cloud.example.org/.", "Ouvrez https://cloud.example.org/."))
		resp := stranger.send("/change/keep", fields("code", changeCode))
		page := text(t, resp)
		if resp.StatusCode != want.status {
			t.Errorf("%s: %s", code, resp.Status)
		}
		has(t, page, "It is refused.", true)
		has(t, page, "Open https://cloud.example.org/.", true)
		has(t, page, `<input id="code"`, want.field)
	}
	m.refuse, m.wizard.kept = nil, nil
	if resp := stranger.send("/change/keep", fields("code", " ")); resp.StatusCode != http.StatusForbidden || m.wizard.kept != nil {
		t.Errorf("no code: %s, %q", resp.Status, m.wizard.kept)
	}
	hostile := `"><script>alert(1)</script>`
	has(t, stranger.page("/change/keep?code="+url.QueryEscape(hostile)), "<script>alert", false)
	has(t, stranger.page("/change/keep"), `<input id="code"`, true)
}

// What a request calls the server counts only where that is one of its addresses; Address
// stands for package server here, which tells the best of its names to who calls it otherwise.
func TestByWhichAddressAConfirmationCame(t *testing.T) {
	t.Parallel()
	s := site(t, &house{claimed: true}, func(c *Config) {
		c.Address = func(r *http.Request) string {
			switch host := hostOf(r.Host); host {
			case "foyer.local", "192.168.1.7":
				return "https://" + host + ":8443/"
			case "fd00::7":
				return "https://[" + host + "]:8443/"
			case "nameless.example":
				return ""
			}
			return "https://cloud.example.org/"
		}
	})
	for host, want := range map[string]string{
		"foyer.local:8443": "https://foyer.local:8443", "FOYER.local.:8443": "https://foyer.local:8443", "foyer.local:1": "https://foyer.local:8443", // the port it came to
		"192.168.1.7:8443": "https://192.168.1.7:8443", "[fd00::7]:8443": "https://[fd00::7]:8443", "cloud.example.org": "https://cloud.example.org",
		"evil.example": nowhere, "192.168.1.8": nowhere, "": nowhere, "nameless.example": nowhere, "cloud.example.org.evil.example": nowhere, "cloud.example.org@evil.example": nowhere,
	} {
		r := httptest.NewRequest(http.MethodPost, "https://foyer.local/change/keep", nil)
		r.Host = host
		if got := s.reachedBy(r); got != want {
			t.Errorf("called %q: %s, want %s", host, got, want)
		}
	}
}
