//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// pages is a browser, as far as forms and one cookie go.
type pages struct {
	m      *machine
	cookie string
}

// send sends a form, or gets a page when form is nil; it returns the status, and where that
// leads or what the page says.
func (p *pages) send(path string, form url.Values) (status int, said string) {
	p.m.t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(p.m.t.Context(), method, "https://foyer.local"+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.m.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if p.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "__Host-foyer", Value: p.cookie, Quoted: true})
	}
	resp, err := p.m.client(true).Do(req)
	if err != nil {
		p.m.t.Fatalf("%s %s: %v%s", method, path, err, p.m.journal())
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-foyer" {
			p.cookie = c.Value
		}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.m.t.Fatal(err)
	}
	if to := resp.Header.Get("Location"); to != "" {
		return resp.StatusCode, to
	}
	return resp.StatusCode, string(body)
}

func (p *pages) signIn() {
	p.m.t.Helper()
	if status, said := p.send("/signin", url.Values{"name": {"jeannine"}, "password": {password}}); status != http.StatusSeeOther {
		p.m.t.Fatalf("signing in: %d %s", status, said)
	}
}

// start asks for a job on the page, and returns where that leads, or what the page says.
func (p *pages) start(kind string, args ...string) string {
	p.m.t.Helper()
	form := url.Values{"kind": {kind}}
	for i := 0; i < len(args); i += 2 {
		form.Set("arg."+args[i], args[i+1])
	}
	_, said := p.send("/machine/start", form)
	return said
}

// signedInBefore has all sessions of the owner have begun so long ago.
func (m *machine) signedInBefore(ago time.Duration) {
	m.t.Helper()
	m.must("systemctl", "stop", "foyer.socket", "foyer.service")
	path := filepath.Join(m.root, "var/lib/foyer/data.db")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := storage.Open(ctx, path, slog.New(slog.DiscardHandler))
	if err != nil {
		m.t.Fatal(err)
	}
	err = db.Write(ctx, nil, func(tx kinto.Tx) error {
		text, err := tx.Meta(kinto.MetaPerson + "jeannine")
		if err != nil {
			return err
		}
		var person map[string]any
		if err := json.Unmarshal(text, &person); err != nil {
			return err
		}
		for _, s := range person["sessions"].([]any) {
			s.(map[string]any)["made"] = time.Now().Add(-ago).UTC().Truncate(time.Second)
		}
		if text, err = json.Marshal(person); err != nil {
			return err
		}
		return tx.SetMeta(kinto.MetaPerson+"jeannine", text)
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		m.t.Fatal(err)
	}
	uid := m.uid("foyer")
	files, err := filepath.Glob(path + "*")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Lchown(f, uid, uid); err != nil {
			m.t.Fatal(err)
		}
	}
	m.must("systemctl", "start", "foyer.socket", "foyer.service")
	m.healthy()
}

// What a page may have done to the machine: with a fresh sign-in, what is in the table; with a
// session that somebody stole, or a browser left open, nothing that touches the machine; as
// the user of the service, without an owner's cookie, nothing at all.
func TestAStolenSessionTouchesNothing(t *testing.T) {
	t.Attr("shows", "ground")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install().Claim)
	m.healthy()
	p := &pages{m: m}
	p.signIn()
	began := func(to string) bool { return strings.HasPrefix(to, "/job?id=") }

	if to := p.start("read-machine"); !began(to) {
		t.Errorf("reading the machine: %s", to)
	}
	if to := p.start("apply-settings"); !began(to) {
		t.Errorf("applying the settings, just signed in: %s", to)
	}
	m.wait("the jobs to be done", func() bool {
		all := m.jobs()
		for _, j := range all {
			if !j.ended() {
				return false
			}
		}
		return len(all) == 2
	})
	for _, j := range m.jobs() {
		if j.State != "done" {
			t.Errorf("%+v%s", j, m.journal())
		}
	}
	m.healthy() // the settings may have had it started again

	m.signedInBefore(11 * time.Minute)
	jobs := len(m.jobs())
	for _, kind := range [][]string{{"apply-settings"}, {"reboot", "reason", "asked", "window", "now"}} {
		if to := p.start(kind[0], kind[1:]...); !strings.HasPrefix(to, "/signin?again=1") {
			t.Errorf("%s, signed in eleven minutes ago: %s", kind[0], to)
		}
	}
	for what, refused := range map[string]string{"a kind there is not": "format-disk", "a file's name": "../../etc/shadow"} {
		if to := p.start(refused); !strings.Contains(to, "on a page") && !strings.Contains(to, "sur une page") {
			t.Errorf("%s: %s", what, to)
		}
	}
	if to := p.start("reboot", "reason", "/etc/shadow", "window", "now"); began(to) {
		t.Errorf("an argument that names a file: %s", to)
	}
	if after := len(m.jobs()); after != jobs {
		t.Errorf("%d jobs were begun by a stolen session", after-jobs)
	}
	if to := p.start("read-machine"); !began(to) {
		t.Errorf("what only reads: %s", to)
	}
	p.signIn()
	if to := p.start("apply-settings"); !began(to) {
		t.Errorf("signed in once more: %s", to)
	}
	told := m.must("foyer", "status", "--json")
	for _, want := range []string{`"code":"job-asked"`, "jeannine asked for this on a page", `"code":"person-signed-in"`} {
		if !strings.Contains(told, want) {
			t.Errorf("no event tells %s: %s", want, told)
		}
	}

	// The service's own user, without an owner's cookie.
	m.healthy()
	refusals := 0
	for _, request := range [][]string{
		{"POST", "/claim/reset"},
		{"POST", "/claim"},
		{"POST", "/restart"},
		{"GET", "/log?lines=10"},
		{"POST", "/jobs", `{"kind":"check-database"}`},
		{"POST", "/jobs", `{"kind":"reboot","args":{"reason":"asked","window":"now"}}`},
		{"POST", "/jobs", `{"kind":"check-database","cookie":"jeannine:guessed"}`},
		{"DELETE", "/jobs/none"},
	} {
		args := []string{"setpriv", "--reuid=foyer", "--regid=foyer", "--clear-groups", "curl", "-sS", "--unix-socket", "/run/foyer/control.sock", "-X", request[0], "http://control" + request[1]}
		if len(request) > 2 {
			args = append(args, "-d", request[2])
		}
		said := m.must(args...)
		if !strings.Contains(said, `"need-root"`) && !strings.Contains(said, `"signin-again"`) {
			t.Errorf("%s as the service's user: %s", request, said)
			continue
		}
		refusals++
	}
	if said := m.must("setpriv", "--reuid=foyer", "--regid=foyer", "--clear-groups", "curl", "-sS", "--unix-socket", "/run/foyer/control.sock", "http://control/status"); !strings.Contains(said, `"light"`) {
		t.Errorf("the service's user may not even look: %s", said)
	}
	show("a stolen session", "signed in 11 minutes ago, it reads and checks; what touches the machine is refused and asks to sign in again; the service's user without a cookie: %d of 8 requests refused, /status answered", refusals)
}
