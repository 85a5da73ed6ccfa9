//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// planted is what nobody is to read.
type planted struct {
	door  string   // by which it came
	texts []string // it, or what gives it away as well
	in    []string // where it may be read, and has to be: names of places
}

// planting plants phrases on a machine, and keeps what its Foyer says.
type planting struct {
	m               *machine
	client          *http.Client
	owner, password string
	bucket          string // what is planted later is planted there
	all             []planted
	said            map[string]string // by the command
}

func (p *planting) plant(door, text string, in ...string) string {
	p.all = append(p.all, planted{door, []string{text}, in})
	return text
}

// secret is a new one, of letters and digits.
func (p *planting) secret(door string, in ...string) string {
	return p.plant(door, strings.ToLower(rand.Text()), in...)
}

// phrase is a new one, with what is written otherwise in other places.
func (p *planting) phrase(door string, in ...string) string {
	return p.plant(door, fmt.Sprintf("%s “%s” & <é> / 100 %% of \"%s\" it's", rand.Text()[:8], rand.Text()[:8], rand.Text()[:8]), in...)
}

func (p *planting) doors() int {
	doors := map[string]bool{}
	for _, x := range p.all {
		doors[x.door] = true
	}
	return len(doors)
}

// request sends one that must be answered with that status, and returns the answer.
func (p *planting) request(status int, method, path string, body io.Reader, dress func(*http.Request)) (*http.Response, string) {
	p.m.t.Helper()
	req, err := http.NewRequestWithContext(p.m.t.Context(), method, "https://foyer.local"+path, body)
	if err != nil {
		p.m.t.Fatal(err)
	}
	dress(req)
	resp, err := p.client.Do(req)
	if err != nil {
		p.m.t.Fatalf("%s %s: %v%s", method, path, err, p.m.journal())
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if _, secret, ok := strings.Cut(c.Value, ":"); ok && len(secret) >= shortest {
			p.plant("the session of a browser", secret)
		}
	}
	said, err := io.ReadAll(resp.Body)
	if err != nil || status != 0 && resp.StatusCode != status {
		p.m.t.Fatalf("%s %s: %d %s, %v; want %d%s", method, path, resp.StatusCode, said, err, status, p.m.journal())
	}
	return resp, string(said)
}

// put puts something there, as the owner.
func (p *planting) put(path string, body map[string]any) {
	p.m.t.Helper()
	p.request(http.StatusCreated, http.MethodPut, "/v1"+path, bytes.NewReader(asJSON(body)), func(r *http.Request) {
		r.SetBasicAuth(p.owner, p.password)
		r.Header.Set("Content-Type", "application/json")
	})
}

// form sends a form of a page, and returns what the page says, and the session that it gives.
func (p *planting) form(status int, path, session string, fields url.Values) (said, given string) {
	p.m.t.Helper()
	resp, said := p.request(status, http.MethodPost, path, strings.NewReader(fields.Encode()), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux "+p.secret("the browser of who signs in")+") Firefox/140.0")
		if session != "" {
			r.AddCookie(&http.Cookie{Name: "__Host-foyer", Value: session, Quoted: true})
		}
	})
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-foyer" {
			given = c.Value
		}
	}
	return said, given
}

// says is what a command says, which has to succeed (0), to fail (1), or may do either (-1).
func (p *planting) says(code int, args ...string) string {
	p.m.t.Helper()
	out, complaint, is := p.m.run(args...)
	if code == 0 && is != 0 || code == 1 && is == 0 {
		p.m.t.Fatalf("%s: exit status %d\n%s%s%s", args, is, out, complaint, p.m.journal())
	}
	if p.said == nil {
		p.said = map[string]string{}
	}
	p.said[strings.Join(args, " ")] += out + complaint
	return out
}

// settings are those that an install finds, secrets among them.
func (p *planting) settings() string {
	return fmt.Sprintf(`[backup]
interval = 1

[dns]
provider = "duckdns"

[kinto]
includes = "kinto.plugins.default_bucket kinto.plugins.accounts kinto_attachment kinto.plugins.history"
multiauth.policies = "account basicauth"
userid_hmac_secret = "%s"
default_bucket_hmac_secret = "%s"
`, p.secret("userid_hmac_secret", "settings"), p.secret("default_bucket_hmac_secret", "settings"))
}

// claim makes the owner.
func (p *planting) claim(code string) {
	p.m.t.Helper()
	p.client = p.m.client(false)
	p.owner, p.password = p.secret("the name of an owner", "data", "restored", "part", "events"), p.secret("the password of an owner")
	p.plant("the claim code", code)
	p.plant("the claim code, as it is typed", strings.ReplaceAll(code, "-", ""))
	p.request(http.StatusCreated, http.MethodPost, "/claim", bytes.NewReader(asJSON(map[string]string{"code": code, "name": p.owner, "password": p.password})), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
	})
}

// people come in, by each door that there is.
func (p *planting) people() {
	p.m.t.Helper()
	_, session := p.form(http.StatusSeeOther, "/signin", "", url.Values{"name": {p.owner}, "password": {p.password}})
	link := regexp.MustCompile(`#code=([A-Za-z0-9-]+)`)
	app := regexp.MustCompile(`app-[a-z0-9]{5}(-[a-z0-9]{5}){4}`)
	found := func(re *regexp.Regexp, said string) string {
		p.m.t.Helper()
		got := re.FindStringSubmatch(said)
		if got == nil {
			p.m.t.Fatalf("no %s in %s", re, said)
		}
		return got[len(got)-1]
	}
	for range 3 {
		said, _ := p.form(http.StatusCreated, "/people", session, url.Values{"for": {p.phrase("for whom an invitation is", "data", "restored")}, "role": {"member"}})
		code := p.plant("the code of an invitation", found(link, said))
		name := p.secret("the name of who was invited", "data", "restored", "events")
		p.form(http.StatusSeeOther, "/join", "", url.Values{"code": {code}, "name": {name}, "password": {p.secret("the password of who was invited")}})
		said, _ = p.form(http.StatusCreated, "/person/reset", session, url.Values{"name": {name}})
		code = p.plant("the code of a reset", found(link, said))
		p.form(http.StatusSeeOther, "/reset", "", url.Values{"code": {code}, "password": {p.secret("a password after a reset")}})
		said, _ = p.form(http.StatusCreated, "/apps", session, url.Values{"label": {p.secret("the name of an app", "data", "restored", "events")}})
		password := p.plant("the password of an app", app.FindString(said))
		p.request(http.StatusOK, http.MethodGet, "/v1/buckets", nil, func(r *http.Request) { r.SetBasicAuth(p.owner, password) })
	}
	// Invitations that nobody has used yet.
	for range 2 {
		said, _ := p.form(http.StatusCreated, "/people", session, url.Values{"for": {p.phrase("for whom an invitation is that waits", "data", "restored")}})
		p.plant("the code of an invitation that waits", found(link, said))
	}
	var reset struct{ Reset string }
	if out := p.m.must("foyer", "claim", "--reset", "--json"); json.Unmarshal([]byte(out), &reset) != nil || reset.Reset == "" {
		p.m.t.Fatalf("foyer claim --reset says %s", out)
	}
	p.plant("the code of a reset of the owner's", reset.Reset)
	for range 8 {
		name := p.secret("the name of an account", "data", "restored", "events")
		account := map[string]any{"data": map[string]any{"password": p.secret("the password of an account"), "mail": p.phrase("what an account holds", "data", "restored")}}
		p.put("/accounts/"+name, account)
	}
}

// data are planted in all that there is, in two buckets; it returns what has a part of it.
func (p *planting) data() (part string) {
	p.m.t.Helper()
	whole := []string{"data", "restored"}
	for i := range 2 {
		bucket := "/buckets/" + p.plant("the name of a bucket", strings.ToLower(rand.Text()), whole...)
		if i == 1 {
			p.all[len(p.all)-1].in = append(slices.Clone(whole), "part")
		}
		p.put(bucket, map[string]any{"data": map[string]any{p.secret("a key of a bucket", whole...): p.phrase("a bucket", whole...)}})
		for range 2 {
			p.put(bucket+"/groups/"+p.secret("the name of a group", whole...), map[string]any{"data": map[string]any{"members": []string{"account:" + p.secret("a member of a group", whole...)}, "title": p.phrase("a group", whole...)}})
		}
		for j := range 2 {
			here := whole
			if i == 1 && j == 1 {
				here = append(slices.Clone(whole), "part")
			}
			list := bucket + "/collections/" + p.secret("the name of a collection", here...)
			p.put(list, map[string]any{"data": map[string]any{"title": p.phrase("a collection", here...)}, "permissions": map[string]any{"read": []string{"account:" + p.secret("who may read", here...)}}})
			for k := range 4 {
				record := list + "/records/" + p.secret("the id of a record", here...)
				body := here
				if k == 2 { // it becomes something else: what it was is in the history, which is no part of a part
					body = whole
				}
				p.put(record, map[string]any{"data": map[string]any{p.secret("a key of a record", body...): p.phrase("a record", body...)}, "permissions": map[string]any{"write": []string{"account:" + p.secret("who may write", here...)}}})
				switch k {
				case 0:
					p.attach(record, p.secret("the name of an attached file", here...)+".txt", []byte(p.phrase("an attached text", here...)))
				case 1: // large, and nothing of it can be compressed
					large := random(3 << 20)
					copy(large[1<<20:], p.secret("an attached file that is large", here...))
					p.attach(record, p.secret("the name of an attached file", here...)+".jpeg", large)
				case 2:
					p.request(http.StatusOK, http.MethodPut, "/v1"+record, bytes.NewReader(asJSON(map[string]any{"data": map[string]any{"now": p.phrase("a record that was changed", here...)}})), func(r *http.Request) {
						r.SetBasicAuth(p.owner, p.password)
						r.Header.Set("Content-Type", "application/json")
					})
				}
			}
			p.bucket, part = bucket, list
		}
	}
	return part
}

// later plants something more.
func (p *planting) later(in ...string) {
	p.m.t.Helper()
	p.put(p.bucket+"/collections/"+p.secret("the name of a collection of later", in...), map[string]any{"data": map[string]any{"title": p.phrase("a collection of later", in...)}})
}

// attach attaches a file to a record.
func (p *planting) attach(record, name string, content []byte) {
	p.m.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="attachment"; filename=%q`, name)}, "Content-Type": {"application/octet-stream"}})
	if err == nil {
		_, err = part.Write(content)
	}
	p.m.ok(err, w.Close())
	p.request(http.StatusOK, http.MethodPost, "/v1"+record+"/attachment", &body, func(r *http.Request) {
		r.SetBasicAuth(p.owner, p.password)
		r.Header.Set("Content-Type", w.FormDataContentType())
	})
}

// strangers come, with what opens nothing.
func (p *planting) strangers() {
	p.m.t.Helper()
	for _, path := range []string{"/v1/buckets", "/v1/", "/v1/buckets/none/collections/c/records", "/account", "/"} {
		for _, dress := range []func(*http.Request){
			func(r *http.Request) { r.SetBasicAuth(p.owner, p.secret("a password that is wrong")) },
			func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+p.secret("a token")) },
			func(r *http.Request) {
				r.SetBasicAuth(p.secret("a name of basicauth"), p.secret("a password of basicauth"))
			},
			func(r *http.Request) {
				r.AddCookie(&http.Cookie{Name: "__Host-foyer", Value: p.owner + ":" + p.secret("a session that is none"), Quoted: true})
			},
			func(r *http.Request) { r.Header.Set("User-Agent", p.secret("a browser")) },
			func(r *http.Request) {
				r.URL.RawQuery = url.Values{p.secret("a word of a query"): {p.phrase("a query")}, "_since": {p.phrase("a query that is wrong")}}.Encode()
			},
			func(r *http.Request) {
				r.Header.Set("If-Match", p.secret("a header that is wrong"))
				r.Header.Set("X-Forwarded-For", p.secret("a header of proxies"))
				r.Header.Set("Referer", "https://example.org/"+p.secret("from where somebody comes"))
			},
			func(r *http.Request) { r.URL.Path += p.secret("a path that is none") },
		} {
			p.request(0, http.MethodGet, path, nil, dress)
		}
	}
	for _, body := range []string{`{"data": ` + p.phrase("a body that is no JSON"), `{"` + p.secret("a key that is wrong") + `": 1}`, `[` + p.secret("a body that is wrong")} {
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodPost} {
			p.request(0, method, "/v1/buckets/"+p.secret("a bucket that is not made"), strings.NewReader(body), func(r *http.Request) {
				r.SetBasicAuth(p.owner, p.password)
				r.Header.Set("Content-Type", "application/json")
			})
		}
	}
	for range 3 {
		p.form(0, "/signin", "", url.Values{"name": {p.secret("a name nobody has")}, "password": {p.secret("a password that is typed")}})
		p.form(0, "/join", "", url.Values{"code": {p.secret("a code that is none")}, "name": {p.secret("a name nobody has")}, "password": {p.secret("a password that is typed")}})
	}
}

// marks leaves a mark in each place where nothing else may be found.
func (p *planting) marks() {
	p.m.t.Helper()
	for place, path := range map[string]string{
		"target": "/media/stick/foyer/mark", "state": "/var/lib/foyer-supervisor/jobs/mark.gz", "root's state": "/var/lib/foyer-helper/mark", "run": "/run/foyer/mark",
		"log": "/var/log/mark", "temporary": "/tmp/mark", "shared memory": "/dev/shm/mark",
	} {
		mark := gzipped([]byte(p.phrase("a mark in "+place, place)))
		p.m.ok(os.WriteFile(fmt.Sprintf("/proc/%d/root%s", p.m.leader, path), mark, 0o600))
	}
	if _, complaint, code := p.m.withWords(p.phrase("a mark in the log itself", "log"), "systemd-cat"); code != 0 {
		p.m.t.Fatalf("systemd-cat: %s", complaint)
	}
	p.m.must("journalctl", "--sync")
}

// lookThrough looks through all that the machine has and its Debian has not, what is in memory
// alone, and the target; it returns how many files that are. FOYER_E2E_LEFT is a folder to leave a
// copy in of what should have no secrets, for .ci/secrets.
func (p *planting) lookThrough(s *searcher, target string) (files int) {
	p.m.t.Helper()
	program, err := os.ReadFile(os.Getenv("FOYER_E2E_BINARY"))
	p.m.ok(err)
	tops := map[string]string{filepath.Join(p.m.base, "upper"): "/", target: "/media/stick"}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", p.m.leader))
	p.m.ok(err)
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "tmpfs" {
			tops[fmt.Sprintf("/proc/%d/root%s", p.m.leader, f[1])] = f[1]
		}
	}
	for top, at := range tops {
		var device uint64
		p.m.ok(filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it went meanwhile
			}
			if err != nil {
				return err
			}
			where := filepath.Join(at, strings.TrimPrefix(path, top))
			s.look(where, []byte(where))
			fi, err := os.Lstat(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if on := fi.Sys().(*syscall.Stat_t).Dev; device == 0 {
				device = on
			} else if on != device && d.IsDir() {
				return fs.SkipDir // mounted there: it is a top of its own, or the kernel's
			}
			if fi.Mode()&fs.ModeSymlink != 0 {
				to, err := os.Readlink(path)
				s.look(where, []byte(to))
				return err
			}
			if !fi.Mode().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) || bytes.Equal(text, program) {
				return nil
			}
			files++
			s.look(where, text)
			return err
		}))
	}
	// A long fact of the store is cut in pieces, as SQLite has pages.
	for _, path := range []string{"/var/lib/foyer/data.db", "/var/back/data.db"} {
		p.m.ok(storage.Peek(p.m.t.Context(), p.m.at(path), func(tx kinto.Reader) error {
			for _, name := range []string{"auth.lately", "auth.invitations", kinto.MetaPerson + p.owner} {
				text, err := tx.Meta(name)
				if err != nil {
					return err
				}
				s.look(path, text)
			}
			return nil
		}))
	}
	if left := os.Getenv("FOYER_E2E_LEFT"); left != "" {
		p.m.ok(os.MkdirAll(left, 0o700))
		for _, from := range []string{target, p.m.at("/var/lib/foyer-supervisor"), p.m.at("/var/lib/foyer-helper"), p.m.at("/var/log")} {
			if out, err := exec.Command("cp", "-a", from, left).CombinedOutput(); err != nil {
				p.m.t.Errorf("%s: %v", out, err)
			}
		}
	}
	return files
}
