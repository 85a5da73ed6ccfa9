//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// damage is what happens to an installation, by hand or by a program of somebody's.
type damage struct {
	name, do string
	deaf     bool   // the server cannot serve after that
	says     string // the doctor, besides that an install repairs it
	whole    bool   // only where the whole is asked for (FOYER_E2E_WHOLE): package installer has it, too
}

// What is said, what is done, and what an install repairs, when something of an
// installation is not there any more, or belongs to somebody else. The journal does not
// matter: install looks at what is.
func TestTheAdvisedRepairRepairs(t *testing.T) {
	t.Attr("shows", "mend2")
	damages := []damage{
		{"data.db given to root", "chown root:root /var/lib/foyer/data.db", true, "/var/lib/foyer/data.db", true},
		{"data.db given to root, and everything was started anew", "chown root:root /var/lib/foyer/data.db; systemctl restart --no-block foyer.service", true, "/var/lib/foyer/data.db", false},
		{"all files given to root, not the folder", "chown root:root /var/lib/foyer/data.db* && chown -R root:root /var/lib/foyer/certificates", true, "/var/lib/foyer/certificates", false},
		{"all of it given to root", "chown -R root:root /var/lib/foyer", true, "/var/lib/foyer", false},
		{"data.db nobody may read", "chmod 000 /var/lib/foyer/data.db", true, "/var/lib/foyer/data.db", false},
		{"certificates nobody may enter", "chmod 000 /var/lib/foyer/certificates", true, "/var/lib/foyer/certificates", true},
		{"data.db everybody may write", "chmod 666 /var/lib/foyer/data.db", false, "/var/lib/foyer/data.db", true},
		{"a data folder that root made, with what was copied there", "systemctl stop foyer.service; cp -r /var/lib/foyer /var/lib/copy && rm -r /var/lib/foyer && mv /var/lib/copy /var/lib/foyer", true, "/var/lib/foyer", true},
		{"the data folder open to all", "chmod 777 /var/lib/foyer", false, "/var/lib/foyer", true},
		{"settings that the service cannot read", "chown root:root /etc/foyer/foyer.toml && chmod 600 /etc/foyer/foyer.toml; systemctl restart --no-block foyer.service", true, "/etc/foyer/foyer.toml", false},
		{"a folder of settings that nobody may enter", "chmod 700 /etc/foyer; systemctl restart --no-block foyer.service", true, "/etc/foyer", true},
		{"no unit", "rm /etc/systemd/system/foyer.service && systemctl daemon-reload", false, "/etc/systemd/system/foyer.service", true},
		{"no units, and nothing runs", "systemctl stop foyer.service foyer.socket; rm /etc/systemd/system/foyer.s*; systemctl daemon-reload", true, "/etc/systemd/system/foyer.socket", false},
		{"a unit that is somebody else's", "chown nobody /etc/systemd/system/foyer.service", false, "/etc/systemd/system/foyer.service", true},
		{"no command", "rm /usr/local/bin/foyer", false, "/usr/local/bin/foyer", true},
		{"no current version", "rm /opt/foyer/current", false, "/opt/foyer/current", false},
		{"no program", "rm -r /opt/foyer/versions; systemctl restart --no-block foyer.service", true, "/opt/foyer/versions", true},
		{"a program that nobody may run", "chmod 644 /opt/foyer/versions/*/foyer; systemctl restart --no-block foyer.service", true, "/opt/foyer/versions", false},
		{"a program that the service may change", "chown foyer /opt/foyer/versions/*/foyer", false, "/opt/foyer/versions", true},
		{"stopped and disabled", "systemctl disable --now foyer.service foyer.socket", true, "The service is not running", true},
		{"no account", "systemctl stop foyer.service foyer.socket; userdel foyer", true, "foyer is missing", false},
	}
	for _, journal := range []string{"with its journal", "without"} {
		t.Run(journal, func(t *testing.T) {
			m := newMachine(t).withFoyer()
			m.boot()
			m.claim(m.install("--mdns", "off").Claim)
			m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
			did := 0
			for i, d := range damages {
				if whole := os.Getenv("FOYER_E2E_WHOLE") != ""; !whole && (d.whole || journal == "without" && i%3 != 0) {
					continue
				}
				did++
				if journal == "without" {
					m.must("rm", "-rf", "/opt/foyer/install")
					m.install()
					m.must("rm", "-rf", "/opt/foyer/install")
				}
				m.must("sh", "-c", d.do)
				if d.deaf {
					if pid := m.hostPID(true); pid != 0 {
						syscall.Kill(pid, syscall.SIGKILL)
					}
					m.wait("the server to be deaf, "+d.name, func() bool {
						out, _, code := m.run(downloaded, "status", "--json")
						var s struct {
							Server  struct{ State string }
							Claimed *bool
						}
						if code != 0 { // nobody to ask
							return true
						}
						if json.Unmarshal([]byte(out), &s) != nil || s.Server.State == "healthy" {
							return false
						}
						if s.Claimed != nil && !*s.Claimed {
							t.Errorf("%s: nobody knows whether there is an owner, and it says that there is none: %s", d.name, out)
						}
						return true
					})
				}
				if out, _, code := m.run(downloaded, "status"); code == 0 && d.deaf && strings.Contains(out, "not yet") {
					t.Errorf("%s: the status says\n%s", d.name, out)
				}
				out, complaint, code := m.run(downloaded, "doctor")
				if code != 3 || !strings.Contains(out, d.says) || !strings.Contains(out, "`sudo foyer install`") {
					t.Errorf("%s: the doctor says (%d)\n%s%s", d.name, code, out, complaint)
				}
				out, complaint, code = m.run(downloaded, "install", "--yes", "--json")
				if code != 0 {
					t.Fatalf("%s: the install: %d\n%s%s%s", d.name, code, out, complaint, m.journal())
				}
				if strings.Contains(out, `"claim":"`) && !strings.Contains(out, `"claim":""`) && journal != "without" {
					t.Errorf("%s: a code for a server with an owner: %s", d.name, out)
				}
				m.wait("Foyer to be well after "+d.name, func() bool { return m.status().Server.State == "healthy" })
				if !m.status().Claimed {
					t.Errorf("%s: it has no owner any more", d.name)
				}
				m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK)
				if got := m.install(); got.Changed && journal != "without" {
					t.Errorf("%s: the second install changed something: %+v", d.name, got.Plan)
				}
				if t.Failed() {
					return
				}
			}
			if out, complaint, code := m.run("foyer", "doctor"); code != 0 {
				t.Errorf("after the installs the doctor says (%d)\n%s%s", code, out, complaint)
			}
			show("what was taken from Foyer, or is not there any more, "+journal, "%d times told by the doctor and repaired by the install it advises", did)
		})
	}
	// What cannot be told to be Foyer's is not given to it, and the way out is said.
	t.Run("a second name of a secret", func(t *testing.T) {
		m := newMachine(t).withFoyer()
		m.boot()
		m.claim(m.install("--mdns", "off").Claim)
		out := m.plantOutside()
		const file = "/var/lib/foyer/router.secret"
		m.ok(os.RemoveAll(m.at(file)), os.Link(m.at(outsideDir+"/secret"), m.at(file)))
		out.watch.events(true)
		said, complaint, code := m.run("foyer", "doctor")
		if code != 3 || !strings.Contains(said, file) || !strings.Contains(said, "sudo chown foyer: "+file) || !strings.Contains(said, "second name") {
			t.Errorf("the doctor says (%d)\n%s%s", code, said, complaint)
		}
		m.install()
		out.check("an install beside a second name of a secret", false)
	})
}
