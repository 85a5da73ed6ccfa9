//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// changeJSON is a change, as its job tells.
type changeJSON struct {
	State string `json:"state"`
	Plan  struct {
		Through []string `json:"through"`
		Gone    []string `json:"gone"`
		Seconds int      `json:"seconds"`
	} `json:"plan"`
	Reason struct {
		EN string `json:"en"`
	} `json:"reason"`
}

// aChange is the newest change, and its job; nil: there is none, or nobody answers.
func (m *machine) aChange() (j *rootJob, c changeJSON) {
	for _, j := range m.rootJobs() {
		if j.Kind == "change-settings" {
			json.Unmarshal(j.Result, &c) // what it does not say yet is zero
			return &j, c
		}
	}
	return nil, c
}

// socket asks the control socket, as root.
func (m *machine) socket(path string, body any) (status int, said string) {
	m.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		m.t.Fatal(err)
	}
	out := m.must("curl", "-sS", "--unix-socket", "/run/foyer/control.sock", "-H", "Content-Type: application/json", "-w", "\n%{http_code}", "-d", string(text), "http://foyer"+path)
	at := strings.LastIndexByte(out, '\n')
	if _, err := fmt.Sscan(out[at+1:], &status); err != nil {
		m.t.Fatalf("%s says %s", path, out)
	}
	return status, out[:at]
}

// begins asks for a change, and returns the code that confirms it once it waits for that.
func (m *machine) begins(values map[string]string) (code string) {
	m.t.Helper()
	status, said := m.socket("/change", map[string]any{"values": values})
	var got struct {
		Code string `json:"code"`
	}
	if json.Unmarshal([]byte(said), &got) != nil || status != http.StatusOK || got.Code == "" {
		m.t.Fatalf("%v: %d %s%s", values, status, said, m.journal())
	}
	m.wait("the change to be in force", func() bool {
		j, c := m.aChange()
		if j != nil && j.ended() {
			m.t.Fatalf("it ended as %s, %s%s", j.outcome(), c.Reason.EN, m.journal())
		}
		return c.State == "waiting"
	})
	return got.Code
}

// installedAs are the settings, the units and what is open in the firewall.
func (m *machine) installedAs() map[string]string {
	m.t.Helper()
	out := map[string]string{}
	for _, path := range []string{"etc/foyer/foyer.toml", "etc/systemd/system/foyer.service", "etc/systemd/system/foyer.socket", "etc/systemd/system/foyer-helper.service", "etc/systemd/system/foyer-helper.path"} {
		text, err := os.ReadFile(m.at(path))
		if err != nil {
			m.t.Fatal(err)
		}
		fi, err := os.Stat(m.at(path))
		if err != nil {
			m.t.Fatal(err)
		}
		out[path] = fmt.Sprintf("%s %s", fi.Mode(), text)
	}
	maps.Copy(out, map[string]string(m.units()))
	return out
}

func differ(a, b map[string]string) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if a[k] != b[k] {
			out = append(out, fmt.Sprintf("%s:\n%s\n--- and ---\n%s", k, a[k], b[k]))
		}
	}
	return out
}

// steps are where a machine is taken, one after the other, by the command.
var steps = [][]string{
	{"where=home"},
	{"where=reachable", "addresses=cloud.jeannine-martin.fr"},
	{"where=server", "addresses=cloud.jeannine-martin.fr"},
	{"where=home"},
}

// Home, reachable, rented, and home again: after each the machine is the one that an install
// with these answers makes, and nothing was lost meanwhile.
func TestAChangeOfMindIsTheInstallThatWouldHaveBeen(t *testing.T) {
	t.Attr("shows", "ground2")
	m := newMachine(t).withFoyer()
	fresh := make([]map[string]string, len(steps))
	t.Run("installed", func(t *testing.T) { // returns when all of them have
		for i, answers := range steps[:3] {
			t.Run(answers[0], func(t *testing.T) {
				m := newMachine(t).withFoyer()
				m.boot()
				var flags []string
				for _, a := range answers {
					flags = append(flags, "--"+a)
				}
				m.install(flags...)
				fresh[i] = m.installedAs()
				m.off()
			})
		}
	})
	if t.Failed() {
		return
	}
	fresh[3] = fresh[0]
	m.boot()
	m.claim(m.install().Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b/collections/c", "", http.StatusCreated)
	s := m.newStream("change", 2)
	var took []string
	for i, answers := range steps {
		began := time.Now()
		if i > 0 {
			out, complaint, code := m.run(append(append([]string{"foyer", "change"}, answers...), "--yes")...)
			if code != 0 {
				t.Fatalf("%v: %d %s%s%s", answers, code, out, complaint, m.journal())
			}
			took = append(took, fmt.Sprintf("%s %.0f s", strings.TrimPrefix(answers[0], "where="), time.Since(began).Seconds()))
		}
		m.healthy()
		for _, d := range differ(fresh[i], m.installedAs()) {
			t.Errorf("%v: %s", answers, d)
		}
		before := s.count()
		m.wait("the stream to flow", func() bool { return s.count() > before+20 })
	}
	s.end()
	m.checkStream(s, "four changes of mind")
	if !t.Failed() {
		show("home → reachable → rented → home by command", "%s; settings, units and modes as a fresh install has them; 0 of %d records lost", strings.Join(took, ", "), s.count())
	}
}

// What locks everybody out goes back within two minutes of being in force, whole; an address
// of before confirms nothing, and the new one does.
func TestAChangeThatNobodyConfirmsGoesBack(t *testing.T) {
	t.Attr("shows", "ground2")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install("--mdns", "off", "--addresses", "foyer.local").Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b/collections/c", "", http.StatusCreated)
	was := m.installedAs()
	s := m.newStream("locked", 2)
	m.wait("the stream to flow", func() bool { return s.count() > 20 })

	code := m.begins(map[string]string{"https_port": "8443", "http_port": "8080"})
	force := time.Now()
	if _, c := m.aChange(); c.Plan.Seconds != 90 || len(c.Plan.Gone) == 0 {
		t.Errorf("everybody is locked out, and it waits %d seconds; gone are %q", c.Plan.Seconds, c.Plan.Gone)
	}
	if resp, err := m.client(true).Get("https://foyer.local/v1/"); err == nil {
		t.Errorf("the old address still answers: %d", resp.StatusCode)
	}
	if status, said := m.socket("/change/keep", map[string]any{"code": code, "at": "https://foyer.local"}); status != http.StatusConflict || !strings.Contains(said, `"change-elsewhere"`) {
		t.Errorf("by the old address: %d %s", status, said)
	}
	if status, said := m.socket("/change/keep", map[string]any{"code": "AAAA-AAAA-AAAA-AAAA-AAAA", "at": "https://foyer.local:8443"}); status != http.StatusConflict || !strings.Contains(said, `"code-wrong"`) {
		t.Errorf("with a wrong code: %d %s", status, said)
	}
	m.nobodyElseChanges()
	m.wait("everything to be back", func() bool {
		j, _ := m.aChange()
		return j != nil && j.ended() && m.status().Server.State == "healthy"
	})
	back := time.Since(force)
	j, c := m.aChange()
	if j.outcome() != "failed change-back" || c.State != "back" || !strings.Contains(c.Reason.EN, "Nobody confirmed it in time") {
		t.Errorf("it ended as %s, %s: %s", j.outcome(), c.State, c.Reason.EN)
	}
	for _, d := range differ(was, m.installedAs()) {
		t.Error(d)
	}
	if text, err := os.ReadFile(m.at("etc/foyer/foyer.toml.edited")); err != nil || !strings.HasSuffix(string(text), byHand) {
		t.Errorf("what was written by hand meanwhile is %q, %v", text, err)
	}
	if out, _, _ := m.run("foyer", "jobs", "follow", j.ID); !strings.Contains(out, "kept as /etc/foyer/foyer.toml.edited") {
		t.Errorf("nobody is told of it:\n%s", out)
	}
	before := s.count()
	m.wait("the stream to flow again", func() bool { return s.count() > before+20 })

	code = m.begins(map[string]string{"https_port": "8443", "http_port": "8080"})
	resp, err := m.client(true).Get("https://foyer.local:8443/v1/")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the new address: %v, %v%s", resp, err, m.journal())
	}
	resp.Body.Close()
	if status, said := m.socket("/change/keep", map[string]any{"code": code, "at": "https://foyer.local:8443"}); status != http.StatusOK {
		t.Fatalf("by the new address: %d %s", status, said)
	}
	if j, c := m.aChange(); j.State != "done" || c.State != "kept" {
		t.Errorf("it ended as %s, %s", j.outcome(), c.State)
	}
	if status, said := m.socket("/change/keep", map[string]any{"code": code, "at": "https://foyer.local:8443"}); status != http.StatusConflict || !strings.Contains(said, `"change-none"`) {
		t.Errorf("once more: %d %s", status, said)
	}
	m.must("foyer", "change", "https_port=443", "http_port=80", "--yes")
	m.healthy()
	before = s.count()
	m.wait("the stream to flow", func() bool { return s.count() > before+20 })
	s.end()
	m.checkStream(s, "a change that locked everybody out")
	for _, d := range differ(was, m.installedAs()) {
		t.Error(d)
	}
	if !t.Failed() {
		show("a change that locks everybody out", "back %.0f s after it was in force (at most 120 wanted), %d records, 0 lost; the old address confirms nothing, the new one does", back.Seconds(), s.count())
	}
}

// byHand is what somebody writes into the settings while a change of them waits.
const byHand = "\n# mine\n"

// nobodyElseChanges looks that others who would change the settings are told that a change of
// them waits, and has somebody write into the file by hand.
func (m *machine) nobodyElseChanges() {
	m.t.Helper()
	before := m.installedAs()
	for _, command := range [][]string{
		{"foyer", "install", "--yes"}, {"foyer", "settings", "set", "name", "attic"}, {"foyer", "settings", "unset", "name"},
	} {
		out, complaint, code := m.run(command...)
		if said := out + complaint; code == 0 || !strings.Contains(said, "waits to be confirmed until ") || !strings.Contains(said, "sudo foyer change --keep") {
			m.t.Errorf("%q while a change waits: %d %s", command, code, said)
		}
	}
	const ask = "20260101-000000001-aaaa" // the supervisor would have it wait for its turn
	if out, code := m.asFoyer(`cd /run/foyer-helper && echo '{"id":"` + ask + `","verb":"apply-settings"}' >.ask && mv .ask ` + ask + `.json`); code != 0 {
		m.t.Fatal(out)
	}
	m.wait("root to answer", func() bool {
		text, err := os.ReadFile(m.at("var/lib/foyer-helper/jobs/" + ask + ".json"))
		if err == nil && strings.Contains(string(text), `"state":"done"`) {
			m.t.Error("root applies settings that are on trial")
		}
		return err == nil && (strings.Contains(string(text), "change-under-way") || strings.Contains(string(text), `"state":"done"`))
	})
	for _, d := range differ(before, m.installedAs()) {
		m.t.Error(d)
	}
	path := m.at("etc/foyer/foyer.toml")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, byHand...), 0o640)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// The power goes while a change is made, waits or goes back: the machine is the one it was.
func TestPowerCutWhileAChangeIsMade(t *testing.T) {
	t.Attr("shows", "ground2")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install("--mdns", "off", "--addresses", "foyer.local").Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
	was := m.installedAs()
	values := map[string]string{"https_port": "8443", "http_port": "8080"}
	cuts := []struct {
		name string
		when func()
	}{
		{"as soon as root has taken it", func() {
			m.wait("root to take it", func() bool { return exists(m.at("var/lib/foyer-helper/trial.json")) })
		}},
		{"when the settings are written", func() {
			m.wait("the settings to be written", func() bool {
				text, err := os.ReadFile(m.at("etc/foyer/foyer.toml"))
				return err == nil && strings.Contains(string(text), "\nhttps_port = 8443")
			})
		}},
		{"when the units are written", func() {
			m.wait("the units to be written", func() bool {
				text, err := os.ReadFile(m.at("etc/systemd/system/foyer.socket"))
				return err == nil && strings.Contains(string(text), "8443")
			})
		}},
		{"while it waits", func() {
			m.wait("it to wait", func() bool { _, c := m.aChange(); return c.State == "waiting" })
		}},
		{"while it goes back", func() {
			m.wait("it to wait", func() bool { _, c := m.aChange(); return c.State == "waiting" })
			j, _ := m.aChange()
			m.must("foyer", "jobs", "cancel", j.ID)
			m.wait("it to go back", func() bool {
				text, err := os.ReadFile(m.at("var/lib/foyer-helper/trial.json"))
				return err != nil || strings.Contains(string(text), "going-back")
			})
		}},
	}
	for _, cut := range cuts {
		if status, said := m.socket("/change", map[string]any{"values": values}); status != http.StatusOK {
			t.Fatalf("%s: %d %s", cut.name, status, said)
		}
		cut.when()
		m.powerCut()
		m.boot()
		m.wait("what is on trial to be over", func() bool { return !exists(m.at("var/lib/foyer-helper/trial.json")) })
		m.healthy()
		for _, d := range differ(was, m.installedAs()) {
			t.Errorf("power cut %s: %s", cut.name, d)
		}
		m.wait("the job to have ended", func() bool { j, _ := m.aChange(); return j != nil && j.ended() })
		if j, _ := m.aChange(); j.State == "done" {
			t.Errorf("power cut %s: the change is said to be made", cut.name)
		}
		m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK)
	}
	if !t.Failed() {
		show("power cut in a change of mind", "%d moments (taken, settings, units, waiting, going back): the machine as before, byte for byte", len(cuts))
	}
}

func exists(path string) bool {
	_, err := os.Lstat(filepath.Clean(path))
	return err == nil
}

// By screens: S on the dashboard, another answer, and the last word; and the same in lines.
func TestAChangeOnATerminal(t *testing.T) {
	t.Attr("shows", "ground2")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install().Claim)
	english := []string{"LANG=en_GB.UTF-8"}
	x := m.terminal(100, 40, english, "foyer")
	x.see("S: settings")
	x.press("s")
	x.see("Where does this server live")
	x.press(keyDown, keyEnter)
	x.see("Which web address")
	x.press("cloud.jeannine-martin.fr", keyEnter)
	x.see(`(?s)Change it\?.*cloud\.jeannine-martin\.fr \(today: none\)`)
	x.press(keyEnter)
	x.see(`(?s)Does it work\?.*Keep it`)
	link := x.see(`change/keep\?code=([A-Z0-9-]+)`)
	x.press(keyEnter)
	x.see("it stays so")
	x.press(keyEnter)
	x.see("Requests/min")
	x.press("q")
	x.end()
	if j, c := m.aChange(); j == nil || j.State != "done" || c.State != "kept" || link == "" {
		t.Errorf("the change is %+v, %+v", j, c)
	}

	x = m.terminal(100, 40, english, "foyer", "change", "--plain")
	x.see(`Where does this server live`)
	x.see(`\[2\]>`)
	x.press("1\r")
	x.see(`3\. Not now\n\[1\]>`)
	x.press("1\r")
	x.see(`2\. Go back\n>`)
	x.press("2\r")
	x.see("Everything is as it was before")
	x.gone()
	if text, err := os.ReadFile(m.at("etc/foyer/foyer.toml")); err != nil || !strings.Contains(string(text), "cloud.jeannine-martin.fr") {
		t.Errorf("%v: the settings are\n%s", err, text)
	}
	show("a change of mind on a terminal", "by S on the dashboard, kept there; in lines, taken back there")
}

// By the page, in Chromium: each change is confirmed by the link that the page shows, opened
// at the new address.
func TestAChangeInABrowser(t *testing.T) {
	t.Attr("shows", "ground2")
	script := os.Getenv("FOYER_E2E_BROWSER")
	if script == "" && os.Getenv("CI") == "" {
		t.Skip("FOYER_E2E_BROWSER is not set: a browser is not there")
	}
	m := newMachine(t).withFoyer()
	m.boot()
	// No authority can be reached from here: the public name has a certificate of the owner's.
	m.selfSigned("etc/foyer-web", "cloud.jeannine-martin.fr")
	m.must("chmod", "644", "/etc/foyer-web/key.pem", "/etc/foyer-web/cert.pem")
	m.must("sh", "-c", `printf '[certificates]\ncert_file = "/etc/foyer-web/cert.pem"\nkey_file = "/etc/foyer-web/key.pem"\n' >/run/answers.toml`)
	m.claim(m.install("--answers", "/run/answers.toml").Claim)
	was := m.installedAs()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "-t", strconv.Itoa(m.leader), "-n", "node", script, password, m.at("var/lib/foyer/certificates/home-ca/root.crt"), m.at("etc/foyer-web/cert.pem"))
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s%s", err, out, complaint.String(), m.journal())
	}
	var walked []string
	for line := range strings.Lines(string(out)) {
		var step struct{ Where, Link string }
		if err := json.Unmarshal([]byte(line), &step); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		walked = append(walked, step.Where+" by "+step.Link)
	}
	if len(walked) != 3 {
		t.Errorf("it walked %q", walked)
	}
	for _, d := range differ(was, m.installedAs()) {
		t.Error(d)
	}
	n := 0
	for _, j := range m.rootJobs() {
		if j.Kind == "change-settings" && j.State == "done" {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d changes are kept: %+v", n, m.rootJobs())
	}
	if !t.Failed() {
		show("home → reachable → rented → home by the page, in Chromium", "%s; the machine as at first", strings.Join(walked, ", "))
	}
}
