//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// repository is where a machine gets its packages from: a folder on it, with what Debian has of
// unattended-upgrades and needrestart, and packages of the test's own.
type repository struct {
	m     *machine
	index bytes.Buffer
}

const repositoryDir = "/srv/repository"

// newRepository makes one on a machine that is switched off.
func newRepository(m *machine) *repository {
	m.t.Helper()
	r := &repository{m: m}
	m.ok(os.MkdirAll(m.at(repositoryDir), 0o755))
	for _, deb := range debians(m) {
		text, err := os.ReadFile(deb)
		m.ok(err, os.WriteFile(m.at(filepath.Join(repositoryDir, filepath.Base(deb))), text, 0o644))
		r.add(filepath.Base(deb))
	}
	m.ok(os.WriteFile(m.at("/etc/apt/sources.list"), []byte("deb [trusted=yes] file:"+repositoryDir+" ./\n"), 0o644))
	return r
}

// debians are the packages that a machine lacks for updates that install themselves, fetched once
// and kept beside the tree.
func debians(m *machine) []string {
	m.t.Helper()
	kept := filepath.Join(filepath.Dir(os.Getenv("FOYER_E2E_TREE")), "osupdate-packages")
	m.ok(os.MkdirAll(filepath.Join(kept, "partial"), 0o755))
	options := []string{"-q", "-o", "Dir=" + m.root, "-o", "Dir::State::status=" + m.at("/var/lib/dpkg/status"), "-o", "Dir::Cache::archives=" + kept, "-o", "APT::Sandbox::User=", "-o", "Dir::Bin::methods=/usr/lib/apt/methods", "-o", "APT::Keep-Downloaded-Packages=true"}
	fetch := func() ([]byte, error) {
		return exec.Command("apt-get", append(slices.Clone(options), "-y", "--no-install-recommends", "--download-only", "install", "unattended-upgrades", "needrestart")...).CombinedOutput()
	}
	if out, err := fetch(); err != nil { // the lists of the tree are old
		if out, err := exec.Command("apt-get", append(slices.Clone(options), "update")...).CombinedOutput(); err != nil {
			m.t.Fatal(string(out), err)
		}
		if out, err = fetch(); err != nil {
			m.t.Fatal(string(out), err)
		}
	}
	none := filepath.Join(m.base, "none") // all of them are to be fetched there
	m.ok(os.MkdirAll(filepath.Join(none, "partial"), 0o755))
	out, err := exec.Command("apt-get", append(slices.Clone(options), "-y", "--no-install-recommends", "--print-uris", "-o", "Dir::Cache::archives="+none, "install", "unattended-upgrades", "needrestart")...).Output()
	m.ok(err)
	var debs []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 4 && strings.HasPrefix(f[0], "'") {
			debs = append(debs, filepath.Join(kept, f[1]))
		}
	}
	if len(debs) < 2 {
		m.t.Fatalf("what is to be installed: %s", out)
	}
	return debs
}

// add has a package that lies in the folder be found there.
func (r *repository) add(name string) {
	r.m.t.Helper()
	path := r.m.at(filepath.Join(repositoryDir, name))
	control, err := exec.Command("dpkg-deb", "-f", path).Output()
	r.m.ok(err)
	text, err := os.ReadFile(path)
	r.m.ok(err)
	fmt.Fprintf(&r.index, "%s\nFilename: ./%s\nSize: %d\nSHA256: %x\n\n", bytes.TrimSpace(control), name, len(text), sha256.Sum256(text))
	release := fmt.Appendf(nil, "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\nVersion: 12\nDate: %s\nSHA256:\n %x %d Packages\n",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"), sha256.Sum256(r.index.Bytes()), r.index.Len())
	r.m.ok(os.WriteFile(r.m.at(repositoryDir+"/Packages"), r.index.Bytes(), 0o644), os.WriteFile(r.m.at(repositoryDir+"/Release"), release, 0o644))
}

// publish puts a package of the test's own into it, whose script runs when it is set up.
func (r *repository) publish(name, version, script string) {
	r.m.t.Helper()
	build := r.m.t.TempDir()
	r.m.ok(os.Mkdir(build+"/DEBIAN", 0o755),
		os.WriteFile(build+"/DEBIAN/control", fmt.Appendf(nil, "Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\nDescription: of a test\n", name, version), 0o644),
		os.WriteFile(build+"/DEBIAN/postinst", []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	file := name + "_" + version + "_all.deb"
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", build, r.m.at(filepath.Join(repositoryDir, file))).CombinedOutput(); err != nil {
		r.m.t.Fatal(string(out), err)
	}
	r.add(file)
}

// osFinding is what the status tells of the system's updates.
type osFinding struct {
	Code, Cause string
	Severity    string
	What        struct{ EN string }
	Did         struct{ EN string }
}

// osUpdates is what Foyer says of them; nothing while nobody answers.
func (m *machine) osUpdates() (f osFinding, events []string) {
	out, _, _ := m.run("foyer", "status", "--json")
	var s struct {
		Checks []osFinding
		Lately []struct {
			Code string
			What struct{ EN string }
		}
	}
	if json.Unmarshal([]byte(out), &s) != nil {
		return f, nil
	}
	for _, c := range s.Checks {
		if c.Code == "os-updates" {
			f = c
		}
	}
	for _, e := range s.Lately {
		events = append(events, e.Code+": "+e.What.EN)
	}
	return f, events
}

// untouched has dpkg and apt have been still for a while: Foyer does not judge before.
func (m *machine) untouched() {
	m.must("sh", "-c", "touch -d '20 minutes ago' /var/lib/dpkg/status /var/lib/dpkg/updates /var/log/apt/history.log /var/log/apt/term.log /var/log/dpkg.log")
}

// Updates that install themselves, by unattended-upgrades as an install of Foyer sets it up: one
// that is good is applied, and one that is poisoned is reported, repaired once there is a mended
// version, and blamed.
func TestUpdatesOfTheSystem(t *testing.T) {
	t.Attr("shows", "health")
	m := newMachine(t).withFoyer()
	r := newRepository(m)
	r.publish("good", "1.0", "exit 0")
	r.publish("poisoned", "1.0", "exit 0")
	m.boot()
	m.must("apt-get", "-q", "update")
	m.must("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "install", "good", "poisoned")
	installed := m.install("--mdns", "off")
	var plan []string
	for _, c := range installed.Plan {
		if c.Step == "os-updates" {
			plan = append(plan, c.What)
		}
	}
	for _, what := range []string{"unattended-upgrades", "needrestart", "/etc/apt/apt.conf.d/52foyer", "/etc/needrestart/conf.d/52foyer.conf"} {
		if !slices.Contains(plan, what) {
			t.Errorf("not in the plan: %s (%q)", what, plan)
		}
	}
	if again := m.install("--mdns", "off"); again.Changed {
		t.Errorf("a second install changed something: %+v", again.Plan)
	}
	m.claim(installed.Claim)
	show("an install on a Debian without unattended-upgrades", "%q in its plan, and then there", plan)

	r.publish("good", "1.1", "exit 0")
	r.publish("poisoned", "1.1", "echo this is poison; exit 1")
	m.must("apt-get", "-q", "update")
	m.wait("Foyer to see what waits", func() bool {
		f, _ := m.osUpdates()
		return f.Severity == "ok" && strings.HasPrefix(f.What.EN, "2 security updates wait")
	})
	m.must("sh", "-c", "systemctl start apt-daily-upgrade.service; true") // it fails, by the poison
	// systemd-run takes one of two dollars for itself.
	good := func() string { return m.must("dpkg-query", "-W", "-f", "$${Version} $${db:Status-Status}", "good") }
	if good() != "1.1 installed" { // the poison came first, and unattended-upgrades gave up for the day
		m.must("sh", "-c", "unattended-upgrade -v; true")
	}
	if out := good(); out != "1.1 installed" {
		t.Errorf("the good one is %q\n%s", out, m.must("sh", "-c", "cat /var/log/unattended-upgrades/*.log /var/log/apt/history.log"))
	}
	m.untouched()
	m.wait("the poison to be reported", func() bool {
		f, _ := m.osUpdates()
		return f.Cause == "package-failing" && strings.Contains(f.What.EN, "poisoned 1.1")
	})
	m.wait("a repair by Foyer to name it", func() bool {
		return slices.ContainsFunc(m.rootJobs(), func(j rootJob) bool {
			return j.Kind == "repair-packages" && j.Error != nil && j.Error.Code == "packages-broken" && strings.Contains(j.Error.What.EN, "poisoned 1.1") && strings.Contains(j.Error.What.EN, "exit status 1")
		})
	})
	blame := ""
	m.wait("the blame", func() bool {
		_, events := m.osUpdates()
		i := slices.IndexFunc(events, func(e string) bool {
			return strings.HasPrefix(e, "os-updated: ") && strings.Contains(e, "not wholly installed: poisoned")
		})
		if i >= 0 {
			blame = events[i]
		}
		return i >= 0
	})
	f, _ := m.osUpdates()
	show("unattended-upgrades with a good and a poisoned package", "the good one applied; %q; %q; Foyer: %q", f.What.EN, f.Did.EN, blame)

	r.publish("poisoned", "1.2", "exit 0")
	m.must("apt-get", "-q", "update")
	m.must("unattended-upgrade", "-v")
	if out := m.must("dpkg-query", "-W", "-f", "$${Version} $${db:Status-Status}", "poisoned"); out != "1.2 installed" {
		t.Errorf("the mended one is %q", out)
	}
	m.wait("all to be well again", func() bool {
		f, events := m.osUpdates()
		if f.Severity != "ok" {
			return false
		}
		i := slices.IndexFunc(events, func(e string) bool {
			return strings.HasPrefix(e, "os-updated: poisoned was updated at ") && strings.HasSuffix(e, "all is well.")
		})
		if i >= 0 {
			blame = events[i]
		}
		return i >= 0
	})
	show("its mended version", "applied by unattended-upgrades, and the finding is gone; %q", blame)

	m.must("foyer", "uninstall", "--yes")
	for _, gone := range []string{"/etc/apt/apt.conf.d/52foyer", "/etc/needrestart/conf.d/52foyer.conf", "/etc/systemd/system/apt-daily-upgrade.timer.d"} {
		if _, err := os.Lstat(m.at(gone)); err == nil {
			t.Errorf("%s is still there after an uninstall", gone)
		}
	}
	m.must("dpkg-query", "-W", "unattended-upgrades", "needrestart")
}

// The power goes while packages are set up: what was left half-way is told, and finished by
// itself, with nobody doing anything.
func TestPackagesCutOff(t *testing.T) {
	t.Attr("shows", "health")
	m := newMachine(t).withFoyer()
	r := &repository{m: m}
	m.ok(os.MkdirAll(m.at(repositoryDir), 0o755))
	m.ok(os.WriteFile(m.at("/etc/apt/sources.list"), []byte("deb [trusted=yes] file:"+repositoryDir+" ./\n"), 0o644))
	r.publish("slow", "1.0", "[ -e /var/lib/slow-began ] && exit 0; touch /var/lib/slow-began; sync; sleep 1000")
	m.boot()
	m.claim(m.install("--mdns", "off").Claim)
	m.must("apt-get", "-q", "update")
	m.must("systemd-run", "--quiet", "apt-get", "-q", "-y", "install", "slow")
	m.wait("the package to be set up", func() bool { _, err := os.Lstat(m.at("/var/lib/slow-began")); return err == nil })
	m.powerCut()
	m.boot()
	m.healthy()
	m.untouched()
	told := osFinding{}
	m.wait("Foyer to say what was left half-way", func() bool {
		f, _ := m.osUpdates()
		if f.Cause == "half-configured" && strings.Contains(f.What.EN, "slow") {
			told = f
		}
		return told.Cause != "" || slices.ContainsFunc(m.rootJobs(), func(j rootJob) bool { return j.Kind == "repair-packages" })
	})
	var job rootJob
	m.wait("Foyer to finish it", func() bool {
		i := slices.IndexFunc(m.rootJobs(), func(j rootJob) bool { return j.Kind == "repair-packages" && j.ended() })
		if i >= 0 {
			job = m.rootJobs()[i]
		}
		return i >= 0
	})
	if job.State != "done" || !strings.Contains(string(job.Result), `"slow"`) {
		t.Errorf("the repair: %s %s %+v", job.outcome(), job.Result, job.Said)
	}
	if out := m.must("dpkg-query", "-W", "-f", "${db:Status-Status}", "slow"); out != "installed" {
		t.Errorf("the package is %q", out)
	}
	m.must("sh", "-c", `[ -z "$(dpkg --audit)" ]`)
	m.wait("the finding to be gone", func() bool { f, _ := m.osUpdates(); return f.Severity == "info" || f.Severity == "ok" })
	show("the power cut while a package was set up", "%q; %s by Foyer: %q", told.What.EN, job.State, job.Said)
}
