//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// refused runs an install that must be refused: with this exit code, this hint
// and this sentence in it, and nothing changed on the machine.
func (m *machine) refused(code int, hint, sentence string, args ...string) {
	m.t.Helper()
	out, complaint, exit := m.run(args...)
	if exit != code || !strings.Contains(complaint, "["+hint+"]") || !strings.Contains(complaint, sentence) {
		m.t.Errorf("%q: exit status %d (want %d), want [%s] %q, got:\n%s%s", args, exit, code, hint, sentence, out, complaint)
	}
	for _, made := range []string{"opt/foyer/current", "etc/foyer", "etc/systemd/system/foyer.service", "var/lib/foyer"} {
		if _, err := os.Lstat(filepath.Join(m.root, made)); err == nil {
			m.t.Errorf("%q: refused, but /%s is there", args, made)
		}
	}
}

func TestInstallIsRefusedInPlainWords(t *testing.T) {
	m := newMachine(t).withFoyer()
	m.boot()

	m.must("systemctl", "start", "nginx")
	m.refused(1, "port-taken", "nginx already answers the web on this machine", downloaded, "install", "--yes")
	m.refused(1, "port-taken", "nginx répond déjà", downloaded, "install", "--yes", "--lang", "fr")
	m.must("systemctl", "stop", "nginx")

	m.refused(4, "need-root", "sudo", "setpriv", "--reuid=65534", "--clear-groups", downloaded, "install", "--yes")
	m.refused(2, "settings-malformed", "answers.toml:2", "sh", "-c", `printf 'name = "pi"\nnmae = "x"\n' >/run/answers.toml; exec `+downloaded+` install --yes --answers /run/answers.toml`)
	m.refused(1, "target-readonly", "/opt", "unshare", "-m", "sh", "-c", "mount -t tmpfs -o ro none /opt && exec "+downloaded+" install --yes")
	m.refused(1, "disk-full", "full", "unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=8m none /opt && exec "+downloaded+" install --yes")
	if _, complaint, code := m.run(downloaded, "install"); code != 2 || !strings.Contains(complaint, "[yes-needed]") {
		t.Errorf("without a terminal and without --yes: %d %s", code, complaint)
	}
	// The machine is none the worse for it.
	m.claim(m.install().Claim)
}

func TestSecondInstallChangesNothing(t *testing.T) {
	m := newMachine(t).withFoyer()
	m.boot()
	first := m.install()
	if !first.Changed || first.Claim == "" || len(first.Plan) == 0 {
		t.Fatalf("first install: %+v", first)
	}
	pid := m.hostPID(true)
	again := m.install()
	if again.Changed || again.Claim != "" || len(again.Plan) != 0 {
		t.Errorf("second install: %+v", again)
	}
	if out := m.must(downloaded, "install", "--yes"); !strings.Contains(out, "nothing to change") {
		t.Errorf("it says %q", out)
	}
	if now := m.hostPID(true); now != pid {
		t.Error("the second install restarted the server")
	}
	m.claim(first.Claim) // the code still works
	out, complaint, code := m.run("foyer", "doctor")
	if code != 0 || !strings.Contains(out, "Nothing is wrong") {
		t.Errorf("doctor: %d\n%s%s", code, out, complaint)
	}
}

func TestHandEditIsNoticedAndKept(t *testing.T) {
	m := newMachine(t).withFoyer()
	m.boot()
	m.install()
	unit := filepath.Join(m.root, "etc/systemd/system/foyer.service")
	ours, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	edited := append(bytes.Clone(ours), []byte("\n# mine\n")...)
	if err := os.WriteFile(unit, edited, 0o644); err != nil {
		t.Fatal(err)
	}
	got := m.install()
	kept := 0
	for _, c := range got.Plan { // besides, systemd is told to read the unit again, and the service runs as it says
		if c.Op == "!" && strings.HasSuffix(c.What, "foyer.service") {
			kept++
		} else if c.Op != "~" || c.What != "foyer" {
			t.Errorf("the plan: %+v", got.Plan)
		}
	}
	if kept != 1 {
		t.Errorf("the edit was not noticed: %+v", got.Plan)
	}
	if now, _ := os.ReadFile(unit); !bytes.Equal(now, edited) {
		t.Error("the edited unit was overwritten")
	}
	m.install("--replace-edited")
	if now, _ := os.ReadFile(unit); !bytes.Equal(now, ours) {
		t.Error("the unit is not ours again")
	}
	if kept, _ := os.ReadFile(unit + ".edited"); !bytes.Equal(kept, edited) {
		t.Error("the edited one was not kept")
	}
	m.healthy()
}

// An unattended install with an owner waits for no claim.
func TestUnattendedOwner(t *testing.T) {
	m := newMachine(t).withFoyer()
	m.boot()
	out, complaint, code := m.runEnv([]string{"FOYER_OWNER_PASSWORD=" + password}, downloaded, "install", "--yes", "--json", "--owner", "jeannine", "--name", "maison")
	if code != 0 {
		t.Fatalf("install: %d\n%s%s%s", code, out, complaint, m.journal())
	}
	if strings.Contains(out+complaint, password) {
		t.Error("the password is printed")
	}
	var got installedJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Claim != "" {
		t.Errorf("install printed %s, %v", out, err)
	}
	c := m.client(true)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://maison.local/v1/buckets/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("jeannine", password)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("PUT as the owner: %s", resp.Status)
	}
	grep := exec.Command("grep", "-rF", password, "etc", "opt", "var/lib/foyer", "var/log") // from outside: inside, the journal would tell of it
	grep.Dir = m.root
	if out, _ := grep.CombinedOutput(); len(out) > 0 {
		t.Errorf("the password lies on the disk: %s", out)
	}
	if out := m.must("journalctl", "--no-pager", "-q"); strings.Contains(out, password) {
		for line := range strings.Lines(out) {
			if strings.Contains(line, password) {
				t.Errorf("the password is in the journal: %s", line)
			}
		}
	}
}

func TestFirewallIsOpenedAndClosedAgain(t *testing.T) {
	for _, fw := range []struct {
		name, on string
		rules    []string
	}{
		{"ufw", "ufw --force enable", []string{"ufw", "status"}},
		{"firewalld", "systemctl start firewalld", []string{"firewall-cmd", "--permanent", "--list-all"}},
	} {
		t.Run(fw.name, func(t *testing.T) {
			m := newMachine(t).withFoyer()
			m.boot()
			m.must("sh", "-c", fw.on)
			before := m.must(fw.rules...)
			m.install()
			during := m.must(fw.rules...)
			if during == before || !strings.Contains(during, "443") && !strings.Contains(during, "https") {
				t.Errorf("the door is not open:\n%s", during)
			}
			// Root's helper, which sees neither the network nor the firewall, opens it for another port.
			m.must("sh", "-c", `printf 'https_port = 8443\n' >/run/new && sed '/^https_port/d' /etc/foyer/foyer.toml >>/run/new && cat /run/new >/etc/foyer/foyer.toml`)
			if job := m.asks("apply-settings"); job.State != "done" || !strings.Contains(m.must(fw.rules...), "8443") {
				t.Errorf("another port: %+v %+v %s:\n%s", job, job.Error, job.Result, m.must(fw.rules...))
			}
			m.must("foyer", "uninstall", "--purge", "--yes")
			if after := m.must(fw.rules...); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// The supervisor itself stands still: systemd's watchdog replaces it.
func TestHungSupervisor(t *testing.T) {
	m := newMachine(t).withFoyer()
	m.boot()
	m.install()
	first := m.hostPID(false)
	m.must("kill", "-STOP", m.must("systemctl", "show", "-P", "MainPID", "foyer.service"))
	took := m.wait("systemd to replace the supervisor", func() bool {
		pid := m.hostPID(false)
		return pid != 0 && pid != first
	})
	m.healthy()
	show("hung supervisor (SIGSTOP)", "systemd's watchdog replaced it after %.0f s", took.Seconds())
}

// What is written to an overlay goes to its upper folder, and only that tells whether
// the data are kept in memory. In a container the name of that folder is one of the
// machine outside, and may be memory inside.
func TestDataOnAnOverlay(t *testing.T) {
	t.Attr("shows", "mend")
	m := newMachine(t).withFoyer()
	m.boot("--tmpfs=" + m.base)
	severity := func(of string, args ...string) string {
		t.Helper()
		out, complaint, _ := m.run(append(args, "--json")...)
		var said struct {
			Findings, Checks []struct{ Code, Severity string }
		}
		if err := json.Unmarshal([]byte(out), &said); err != nil {
			t.Fatalf("%q printed %s%s", args, out, complaint)
		}
		for _, f := range append(said.Findings, said.Checks...) {
			if f.Code == of {
				return f.Severity
			}
		}
		t.Fatalf("%q does not speak of %s:\n%s", args, of, out)
		return ""
	}
	if got := severity("place", downloaded, "doctor"); got != "ok" {
		t.Errorf("a container on a disk, before the install: %s", got)
	}
	m.install()
	if got := severity("place", "foyer", "status"); got != "ok" {
		t.Errorf("a container on a disk, the service: %s", got)
	}
	m.must("foyer", "uninstall", "--purge", "--yes")
	m.must("sh", "-c", "mount -t tmpfs -o size=64m ram /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay -o lowerdir=/srv,upperdir=/mnt/upper,workdir=/mnt/work overlay /var/lib")
	if got := severity("place", downloaded, "doctor"); got != "error" {
		t.Errorf("a read-only system with changes in memory: %s", got)
	}
	show("data on an overlay", "on a disk in a container whose upper folder is called like memory inside: ok; changes in memory: error")
}
