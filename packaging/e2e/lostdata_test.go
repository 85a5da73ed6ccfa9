//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// loss is what happens to the data of a claimed server while it is off, or under it.
type loss struct {
	name     string
	do, undo string
	code     string // of what is told
	whole    bool   // only where the whole is asked for (FOYER_E2E_WHOLE)
}

// Data that are gone, of a machine that has an owner: nothing is made in their place, the
// status and the doctor say what is missing, an install changes nothing of it, nobody can
// claim the server, and it goes on by itself when they are back.
func TestDataThatAreGoneAreToldAndComeBack(t *testing.T) {
	t.Attr("shows", "mend2")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install("--mdns", "off").Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
	const data = "/var/lib/foyer"
	root := func() string {
		text, err := os.ReadFile(m.at(data + "/certificates/home-ca/root.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := root()
	m.wait("the supervisor to have learned whose data these are", func() bool {
		_, err := os.Stat(m.at("/var/lib/foyer-supervisor/claimed.json"))
		return err == nil
	})
	did := 0
	const stop, start = "systemctl stop foyer.service && ", " && systemctl start --no-block foyer.service"
	for _, l := range []loss{
		{"the disk is not mounted", stop + "mkdir -p /srv/empty && chown foyer: /srv/empty && mount --bind /srv/empty " + data + start, "umount " + data, "data-gone", false},
		{"the folder is emptied", stop + "mkdir /srv/kept && mv " + data + "/* /srv/kept/" + start, "mv /srv/kept/* " + data + "/ && rmdir /srv/kept", "data-gone", true},
		{"data.db is removed", stop + "mv " + data + "/data.db /srv/kept.db" + start, "mv /srv/kept.db " + data + "/data.db", "data-gone", true},
		{"data.db is removed under the server", "mv " + data + "/data.db /srv/kept.db", "rm -f " + data + "/data.db* && mv /srv/kept.db " + data + "/data.db", "data-gone", false},
		{"data.db is emptied", stop + "cp -p " + data + "/data.db /srv/kept.db && truncate -s 0 " + data + "/data.db" + start, "mv /srv/kept.db " + data + "/data.db", "data-gone", false},
		{"the disk is read-only", stop + "mount --bind " + data + " " + data + " && mount -o remount,bind,ro " + data + start, "mount -o remount,bind,rw " + data + " && umount " + data, "data-readonly", false},
	} {
		if l.whole && os.Getenv("FOYER_E2E_WHOLE") == "" {
			continue
		}
		did++
		m.must("sh", "-c", l.do)
		var said string
		m.wait("it to be told: "+l.name, func() bool {
			said, _, _ = m.run("foyer", "doctor", "--json")
			return strings.Contains(said, l.code)
		})
		said, _, _ = m.run("foyer", "status", "--json")
		if strings.Contains(said, `"state":"healthy"`) || strings.Contains(said, `"claimed":false`) {
			t.Errorf("%s: the status says\n%s", l.name, said)
		}
		if out, complaint, code := m.run("foyer", "claim"); code == 0 {
			t.Errorf("%s: a code that makes somebody the owner: %s%s", l.name, out, complaint)
		}
		out, complaint, code := m.run(downloaded, "install", "--yes")
		if code == 0 && l.code == "data-gone" {
			t.Errorf("%s: the install says that all is well: %s", l.name, out)
		}
		if strings.Contains(out, "claim") && strings.Contains(out, "code") {
			t.Errorf("%s: the install gives a code: %s%s", l.name, out, complaint)
		}
		if l.code == "data-gone" && !strings.Contains(out+complaint, "disk missing") {
			t.Errorf("%s: the install says (%d)\n%s%s", l.name, code, out, complaint)
		}
		if l.name == "the disk is not mounted" {
			if left := m.must("sh", "-c", "find /srv/empty -type f | grep -v /lock || true"); strings.Contains(left, "data.db") || strings.Contains(left, "home-ca") {
				t.Errorf("%s: something was made in its place:\n%s", l.name, left)
			}
		}
		m.must("sh", "-c", l.undo)
		m.wait("Foyer to go on by itself after "+l.name, func() bool { s := m.status(); return s.Server.State == "healthy" && s.Claimed })
		m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK)
		if root() != before {
			t.Errorf("%s: it has another home CA", l.name)
		}
		if t.Failed() {
			t.Fatal(m.journal())
		}
	}
	show("data that are gone", "%d ways: told, nothing made in their place, no code given, no install repairs it, and it went on by itself when they were back", did)
}
