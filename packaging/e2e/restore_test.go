//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// export is all there is behind the API, as the owner sees it: each list, each object with its
// timestamp, and the contents of attachments.
func (m *machine) export() map[string]string {
	m.t.Helper()
	c := m.client(false)
	out := map[string]string{}
	var ids func(path string) []string
	ids = func(path string) (found []string) {
		a := m.mustAsk(c, http.MethodGet, path, "", http.StatusOK)
		out[path] = fmt.Sprint(a.etag, a.body)
		var body struct{ Data []struct{ ID string } }
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			m.t.Fatal(err)
		}
		for _, o := range body.Data {
			one := path + "/" + o.ID
			a := m.mustAsk(c, http.MethodGet, one, "", http.StatusOK)
			out[one] = fmt.Sprint(a.etag, a.body)
			var record struct {
				Data struct{ Attachment struct{ Location string } }
			}
			if json.Unmarshal([]byte(a.body), &record) == nil && record.Data.Attachment.Location != "" {
				at := record.Data.Attachment.Location
				resp, err := c.Get(at)
				if err != nil {
					m.t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					m.t.Fatalf("%s: %d, %v", at, resp.StatusCode, err)
				}
				sum := sha256.Sum256(text)
				out[at] = hex.EncodeToString(sum[:])
			}
			found = append(found, one)
		}
		return found
	}
	for _, b := range ids("/buckets") {
		ids(b + "/groups")
		for _, c := range ids(b + "/collections") {
			ids(c + "/records")
		}
	}
	ids("/accounts")
	return out
}

func digest(export map[string]string) string {
	sum := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(export)) {
		fmt.Fprintf(sum, "%q %q\n", path, export[path])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// attach attaches a file to a record.
func (m *machine) attach(record, text string) {
	m.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("attachment", "letter.txt")
	if err == nil {
		_, err = io.WriteString(part, text)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, "https://foyer.local/v1"+record+"/attachment", &body)
	if err != nil {
		m.t.Fatal(err)
	}
	req.SetBasicAuth("jeannine", password)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := m.client(true).Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		m.t.Fatalf("attaching: %d %s", resp.StatusCode, said)
	}
}

// broughtJSON is what `foyer restore --json` says, line by line.
type broughtJSON struct {
	Done struct {
		Former                       string
		Moment                       time.Time
		Records, People, Attachments int
		Compared                     bool
	}
	Served struct {
		Former  string
		Seconds float64
	}
	Settings []struct{ Key, Was, Is string }
	Error    string
}

// broughtOf reads that.
func (m *machine) broughtOf(out string) (b broughtJSON) {
	m.t.Helper()
	for text := range strings.Lines(out) {
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			m.t.Fatalf("foyer restore says %q: %v", text, err)
		}
	}
	return b
}

func (m *machine) fingerprint() string {
	m.t.Helper()
	var s struct{ Certificate struct{ Fingerprint string } }
	if err := json.Unmarshal([]byte(m.must("foyer", "status", "--json")), &s); err != nil || s.Certificate.Fingerprint == "" {
		m.t.Fatalf("the status has no fingerprint: %v", err)
	}
	return s.Certificate.Fingerprint
}

// A machine is lost. On another one, new, the folder with the backups and the words bring all of it
// back: data, people, settings, and the certificate that everybody trusts.
func TestARestoreOnAnotherMachine(t *testing.T) {
	t.Attr("shows", "backups")
	words := newKit(t)
	a := newMachine(t).withFoyer()
	a.boot()
	a.claim(a.install("--mdns", "off").Claim)
	a.healthy()
	a.fill(500)
	c := a.client(true)
	a.mustAsk(c, http.MethodPut, "/accounts/paul", `{"data":{"password":"a long enough one"}}`, http.StatusCreated)
	a.mustAsk(c, http.MethodPut, "/buckets/many/groups/family", `{"data":{"members":["account:paul"]}}`, http.StatusCreated)
	a.mustAsk(c, http.MethodPut, "/buckets/many/collections/c/records/letter", `{"data":{"n":1}}`, http.StatusCreated)
	a.attach("/buckets/many/collections/c/records/letter", strings.Repeat("Dear Paul, ", 1000))
	// What is hard to carry: more digits than any number has, a character that is none, the time of another millennium.
	a.mustAsk(c, http.MethodPut, "/buckets/many/collections/odd", "", http.StatusCreated)
	odd := `{"data":{"pair":"\ud83d\ude00","nul":"\u0000","digits":0.` + strings.Repeat("1234567890", 500) + `,"zeros":1.000,"last_modified":200000000000000}}`
	a.mustAsk(c, http.MethodPut, "/buckets/many/collections/odd/records/one", odd, http.StatusCreated)
	browser := &pages{m: a}
	browser.signIn()
	if status, said := browser.send("/account", nil); status != http.StatusOK {
		t.Fatalf("signed in: %d %s", status, said)
	}
	a.must("foyer", "settings", "set", "limits.body_seconds", "61")
	a.must("foyer", "settings", "set", "backup.interval", "1")
	a.must("sh", "-c", "mkdir -p /media/stick && mount -t tmpfs -o mode=755 stick /media/stick")
	if out, complaint, code := a.withWords(words, "foyer", "backup", "to", "/media/stick", "--words", "--json"); code != 0 {
		t.Fatalf("backup to /media/stick: exit status %d, %s%s%s", code, out, complaint, a.journal())
	}
	a.wait("the first backup", func() bool { return !a.backup().Complete.IsZero() })
	a.export() // a list that nobody has asked for yet has no timestamp
	a.must("foyer", "backup", "now")
	before, fingerprint := a.export(), a.fingerprint()
	a.must("tar", "-C", "/media/stick", "-cf", "/var/stick.tar", "foyer")
	stick, err := os.ReadFile(a.at("/var/stick.tar"))
	if err != nil {
		t.Fatal(err)
	}
	a.powerCut()

	b := anotherMachine(t).withFoyer()
	b.boot()
	b.install("--mdns", "off")
	b.healthy()
	if err := os.WriteFile(b.at("/var/stick.tar"), stick, 0o600); err != nil {
		t.Fatal(err)
	}
	// Users have other numbers here.
	b.must("sh", "-c", "mkdir -p /media/stick && mount -t tmpfs -o mode=755 stick /media/stick && tar -C /media/stick -xf /var/stick.tar && chown -R 12345:12345 /media/stick/foyer && chmod 700 /media/stick/foyer")
	if b.fingerprint() == fingerprint {
		t.Fatal("both have the same certificate")
	}
	root, err := os.ReadFile(b.at("/var/lib/foyer/certificates/home-ca/root.crt"))
	if err != nil {
		t.Fatal(err)
	}

	// Other words, and a question only: nothing changes.
	out, complaint, code := b.withWords(newKit(t), "foyer", "restore", "--from", "/media/stick/foyer", "--yes", "--json")
	if code == 0 || b.broughtOf(out).Error != "backup-wrong-key" {
		t.Errorf("other words: exit status %d\n%s%s", code, out, complaint)
	}
	pid := b.status().Server.PID
	if out, complaint, code := b.withWords(words, "foyer", "restore", "--from", "/media/stick/foyer", "--verdict"); code != 0 || !strings.Contains(out, "jeannine") || !strings.Contains(out, "/var/lib/foyer") {
		t.Errorf("the verdict: exit status %d\n%s%s", code, out, complaint)
	}
	if now := b.status(); now.Server.PID != pid || now.Claimed {
		t.Errorf("a verdict changed something: %+v", now)
	}

	began := time.Now()
	out, complaint, code = b.withWords(words, "foyer", "restore", "--from", "/media/stick/foyer", "--yes", "--json")
	took := time.Since(began)
	if code != 0 {
		t.Fatalf("the restore: exit status %d\n%s%s%s", code, out, complaint, b.journal())
	}
	brought := b.broughtOf(out)
	if brought.Done.People != 2 || brought.Done.Attachments != 1 || brought.Done.Records != 502 || brought.Served.Former == "" {
		t.Errorf("it says %+v", brought)
	}
	after := b.export()
	if one := after["/buckets/many/collections/odd/records/one"]; !strings.Contains(one, strings.Repeat("1234567890", 500)) || !strings.Contains(one, `"nul":"\u0000"`) || !strings.Contains(one, "1.000") || !strings.Contains(one, "200000000000000") {
		t.Errorf("what is hard to carry came back as %.300s … %.300s", one, one[max(0, len(one)-300):])
	}
	if digest(before) != digest(after) {
		for path, is := range before {
			if after[path] != is {
				t.Errorf("%s\nwas %.300s\nis  %.300s", path, is, after[path])
			}
		}
		t.Errorf("%d things, and there were %d", len(after), len(before))
	}
	if got := b.fingerprint(); got != fingerprint {
		t.Errorf("the certificate is %s; it was %s", got, fingerprint)
	}
	browser.m = b
	if status, to := browser.send("/account", nil); status == http.StatusOK {
		t.Errorf("a session of before is good: %d %.200s", status, to)
	}
	(&pages{m: b}).signIn()
	if !b.status().Claimed {
		t.Error("it has no owner")
	}
	settings, err := os.ReadFile(b.at("/etc/foyer/foyer.toml"))
	if err != nil || !strings.Contains(string(settings), "body_seconds = 61") || strings.Contains(string(settings), "/media/stick") {
		t.Errorf("the settings are, %v:\n%s", err, settings)
	}
	if !slices.ContainsFunc(brought.Settings, func(s struct{ Key, Was, Is string }) bool {
		return s.Key == "limits.body_seconds" && s.Was == "60" && s.Is == "61"
	}) {
		t.Errorf("of settings it says %v", brought.Settings)
	}
	// What was served before is there, all of it foyer's, and nothing is root's.
	if kept, err := os.ReadFile(filepath.Join(b.at(brought.Served.Former), "certificates/home-ca/root.crt")); err != nil || !bytes.Equal(kept, root) {
		t.Errorf("what was served before: %v", err)
	}
	if roots := b.must("find", "/var/lib/foyer", "/var/lib/foyer-supervisor", "!", "-user", "foyer"); roots != "" {
		t.Errorf("not foyer's: %s", roots)
	}
	if left := b.must("sh", "-c", "ls -A /var/lib/foyer | grep restoring || true"); left != "" {
		t.Errorf("left: %s", left)
	}
	if out := b.must("foyer", "status", "--json"); !strings.Contains(out, `"restored"`) {
		t.Errorf("no event tells of it:\n%s", out)
	}
	b.must("rm", "-r", brought.Served.Former) // as it says
	b.must("systemctl", "restart", "foyer")
	b.healthy()
	if got := digest(b.export()); got != digest(before) {
		t.Errorf("after a restart it serves something else")
	}
	// A switch that was cut off is ended by the command, run again, or by the next start.
	for i, ends := range [][]string{{"foyer", "restore", "--from", "/media/stick/foyer", "--yes", "--json"}, {"systemctl", "start", "foyer.service"}} {
		side := ".restoring-" + strings.Repeat("A", 26)
		note := fmt.Sprintf(`{"format":1,"moment":"2026-11-27T18:00:00Z","side":"%s","former":"before-restore-%d","leave":["data.db"],"come":["data.db","attachments"]}`, side, i)
		b.must("sh", "-c", "systemctl stop foyer.service && cd /var/lib/foyer && mkdir -p "+side+"/data && mv data.db attachments "+side+"/data/ && echo half >data.db && echo '"+note+"' >restoring.json && chown -R foyer: .")
		out := b.must(ends...)
		if i == 0 && !strings.Contains(out, `"resumed":true`) {
			t.Errorf("run again it says %s", out)
		}
		b.healthy()
		if got := digest(b.export()); got != digest(before) {
			t.Errorf("after %s it serves something else", ends)
		}
		if left := b.must("sh", "-c", "ls -A /var/lib/foyer | grep restoring || true"); left != "" {
			t.Errorf("after %s there is %s", ends, left)
		}
	}
	// Settings that are to stay do.
	b.must("foyer", "settings", "set", "limits.body_seconds", "62")
	out, complaint, code = b.withWords(words, "foyer", "restore", "--from", "/media/stick/foyer", "--keep-settings", "--yes", "--json")
	if kept := b.broughtOf(out); code != 0 || len(kept.Settings) > 0 || kept.Served.Former == "" {
		t.Errorf("--keep-settings: exit status %d\n%s%s", code, out, complaint)
	}
	if settings, err := os.ReadFile(b.at("/etc/foyer/foyer.toml")); err != nil || !strings.Contains(string(settings), "body_seconds = 62") {
		t.Errorf("the settings that were to stay are, %v:\n%s", err, settings)
	}
	if got := digest(b.export()); got != digest(before) {
		t.Errorf("with settings that stay it serves something else")
	}
	if t.Failed() {
		t.Log(b.journal())
	}
	show("a lost machine restored on another one", "%d things over the API the same, by digest %.16s, and the same home certificate; %.1f s in all, visitors waited %.1f s", len(after), digest(after), took.Seconds(), brought.Served.Seconds)
}

// A machine loses its power in the middle of writes, and its database is damaged. The status offers
// the backup, and one command without words brings it back; then the backup goes on by itself.
func TestADamagedDatabaseIsRestored(t *testing.T) {
	t.Attr("shows", "backups")
	words := newKit(t)
	m := newMachine(t).withFoyer()
	stick := filepath.Join(m.base, "stick")
	if err := os.Mkdir(stick, 0o755); err != nil {
		t.Fatal(err)
	}
	plugged := "--bind=" + stick + ":/media/stick"
	m.boot(plugged)
	m.claim(m.install("--mdns", "off").Claim)
	m.healthy()
	c := m.client(true)
	m.mustAsk(c, http.MethodPut, "/buckets/b", "", http.StatusCreated)
	m.mustAsk(c, http.MethodPut, "/buckets/b/collections/c", "", http.StatusCreated)
	m.mustAsk(c, http.MethodPut, "/buckets/b/collections/c/records/letter", `{"data":{"n":1}}`, http.StatusCreated)
	m.attach("/buckets/b/collections/c/records/letter", "Dear Paul")
	if out, complaint, code := m.withWords(words, "foyer", "backup", "to", "/media/stick", "--words", "--json"); code != 0 {
		t.Fatalf("backup to /media/stick: exit status %d, %s%s%s", code, out, complaint, m.journal())
	}
	m.wait("the first backup", func() bool { return !m.backup().Complete.IsZero() })
	fingerprint := m.fingerprint()
	s := m.newStream("w", 2)
	m.wait("writes, and a backup among them", func() bool { return s.count() > 200 })
	behind := m.backup().Complete
	m.wait("the backup to go on", func() bool { return m.backup().Complete.After(behind) })
	m.powerCut()
	cut := time.Now()
	s.end()

	data := m.at("/var/lib/foyer/data.db")
	if err := os.WriteFile(data, bytes.Repeat([]byte("garbage "), 1<<15), 0o600); err != nil { // it keeps its owner
		t.Fatal(err)
	}
	os.Remove(data + "-wal") // SQLite would mend it by that
	os.Remove(data + "-shm")
	// A machine whose Foyer cannot start has not settled; so it is started afterwards.
	if err := os.Remove(m.at("/etc/systemd/system/multi-user.target.wants/foyer.service")); err != nil {
		t.Fatal(err)
	}
	m.boot(plugged)
	m.must("systemctl", "start", "--no-block", "foyer.service")
	var offered string
	t.Cleanup(func() {
		if offered == "" {
			out, _, _ := m.run("foyer", "backup", "--json")
			t.Logf("the backup stands at %s", out)
		}
	})
	m.wait("the status to offer the backup", func() bool {
		out, _, _ := m.run("foyer", "status", "--json")
		var st struct {
			Checks []struct {
				Code, Cause string
				Do          struct{ EN string }
			}
		}
		if json.Unmarshal([]byte(out), &st) != nil {
			return false
		}
		for _, f := range st.Checks {
			if f.Code == "server" && f.Cause == "database-damaged" && strings.Contains(f.Do.EN, "sudo foyer restore") {
				offered = f.Do.EN
			}
		}
		return offered != ""
	})
	began := time.Now()
	out, complaint, code := m.run("foyer", "restore", "--yes", "--json")
	took := time.Since(began)
	if code != 0 {
		t.Fatalf("the restore: exit status %d\n%s%s%s", code, out, complaint, m.journal())
	}
	brought := m.broughtOf(out)
	c = m.client(true)
	var newest int64
	missing := time.Time{}
	lost := 0
	s.mu.Lock()
	for id, etag := range s.acked {
		a, err := ask(t.Context(), c, http.MethodGet, "/buckets/b/collections/c/records/"+id, "")
		switch {
		case err == nil && a.status == http.StatusOK && a.etag == etag:
			newest = max(newest, etag)
		case err == nil && a.status == http.StatusNotFound:
			lost++
			if at := time.UnixMilli(etag); missing.IsZero() || at.Before(missing) {
				missing = at
			}
		default:
			t.Errorf("%s: %d %s, %v", id, a.status, a.body, err)
		}
	}
	all := len(s.acked)
	s.mu.Unlock()
	if lost == all || lost > 0 && missing.Before(behind) {
		t.Errorf("%d of %d writes are missing, from %s on; in the backup was all until %s", lost, all, missing, behind)
	}
	behindBy := 0.0
	if lost > 0 {
		behindBy = cut.Sub(missing).Seconds()
		if newest > missing.UnixMilli() {
			t.Errorf("one of %d is there, and one of %d is missing", newest, missing.UnixMilli())
		}
	}
	if got := m.fingerprint(); got != fingerprint {
		t.Errorf("the certificate is %s; it was %s", got, fingerprint)
	}
	if kept, err := os.ReadFile(filepath.Join(m.at(brought.Served.Former), "data.db")); err != nil || !bytes.HasPrefix(kept, []byte("garbage ")) {
		t.Errorf("what was there before is not kept: %v", err)
	}
	if m.finding("server").Cause == "database-damaged" {
		t.Error("the status still says that it is damaged")
	}
	show("a damaged database restored on the machine that made the backup", "“%s”: %.1f s, visitors waited %.1f s, no words; of %d writes acknowledged before the power was cut %d are missing, of the last %.1f s", offered, took.Seconds(), brought.Served.Seconds, all, lost, behindBy)

	// The backup goes on by itself, and what it had before can still be restored.
	moment := brought.Done.Moment
	m.mustAsk(c, http.MethodPut, "/buckets/b/collections/c/records/after", `{"data":{"n":2}}`, http.StatusCreated)
	m.wait("the backup to go on", func() bool { b := m.backup(); return b.Problem == nil && b.Complete.After(began.Add(took)) })
	m.must("foyer", "backup", "now")
	if out, complaint, code := m.withWords(words, "foyer", "restore", "--from", "/media/stick/foyer", "--to", moment.Format(time.RFC3339), "--into", "/var/back", "--yes", "--json"); code != 0 {
		t.Errorf("a moment of before: exit status %d\n%s%s", code, out, complaint)
	} else if b := m.broughtOf(out); !b.Done.Moment.Equal(moment) || b.Done.Records != brought.Done.Records {
		t.Errorf("a moment of before: %+v, and it was %+v", b.Done, brought.Done)
	}
	if out, complaint, code := m.run("foyer", "restore", "--verdict", "--json"); code != 0 {
		t.Errorf("the newest: exit status %d\n%s%s", code, out, complaint)
	}

	// The data are gone, and then the whole folder: certificates come back, too.
	for _, gone := range []string{"rm -rf /var/lib/foyer/* && systemctl start --no-block foyer.service", "rm -rf /var/lib/foyer"} {
		m.must("sh", "-c", "systemctl stop foyer.service && "+gone)
		if strings.Contains(gone, "start") {
			m.wait("the status to offer the backup", func() bool {
				out, _, _ := m.run("foyer", "status", "--json")
				return strings.Contains(out, `"data-gone"`) && strings.Contains(out, "Else `sudo foyer restore` brings back the backup of")
			})
		}
		if out, complaint, code := m.run("foyer", "restore", "--yes", "--json"); code != 0 {
			t.Fatalf("%s: exit status %d\n%s%s%s", gone, code, out, complaint, m.journal())
		}
		if got := m.fingerprint(); got != fingerprint {
			t.Errorf("%s: the certificate is %s; it was %s", gone, got, fingerprint)
		}
		m.mustAsk(m.client(true), http.MethodGet, "/buckets/b/collections/c/records/after", "", http.StatusOK)
		m.wait("the backup to go on", func() bool { b := m.backup(); return b.Problem == nil && time.Since(b.Complete) < 20*time.Second })
	}
	if t.Failed() {
		t.Log(m.journal())
	}
}
