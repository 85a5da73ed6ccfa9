package osupdate

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/health"
)

// debian is a system of its own in a folder, with real dpkg and apt, and a repository from
// which it gets its updates. Scripts of packages run outside of the folder, with the tests'
// own shell.
type debian struct {
	*testing.T
	root, repo, index string
}

func newDebian(t *testing.T) *debian {
	t.Helper()
	for _, name := range []string{"dpkg", "dpkg-deb", "apt-get"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip("this system has no ", name)
		}
	}
	dir := t.TempDir()
	d := &debian{T: t, root: filepath.Join(dir, "root"), repo: filepath.Join(dir, "repo")}
	for _, name := range []string{"var/lib/dpkg/info", updatesDir, listsDir + "/partial", "var/cache/apt/archives/partial", "var/log/apt", confDir, "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "run"} {
		d.ok(os.MkdirAll(filepath.Join(d.root, name), 0o755))
	}
	d.ok(os.Mkdir(d.repo, 0o755))
	d.write("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
	d.write(statusFile, "")
	d.write("etc/apt/sources.list", "deb [trusted=yes] file:"+d.repo+" ./\n")
	return d
}

func (d *debian) ok(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *debian) write(name, text string) {
	d.Helper()
	path := filepath.Join(d.root, name)
	d.ok(os.MkdirAll(filepath.Dir(path), 0o755))
	d.ok(os.WriteFile(path, []byte(text), 0o644))
}

// publish puts a package into the repository, whose script runs when it is set up.
func (d *debian) publish(name, version, script string) {
	d.Helper()
	d.publishWith(name, version, script, "", "")
}

// publishWith is publish, with a file of settings in the package.
func (d *debian) publishWith(name, version, script, file, settings string) {
	d.Helper()
	build := filepath.Join(d.TempDir(), name)
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\nDescription: of a test\n", name, version)
	d.ok(os.MkdirAll(build+"/DEBIAN", 0o755))
	d.ok(os.WriteFile(build+"/DEBIAN/control", []byte(control), 0o644))
	d.ok(os.WriteFile(build+"/DEBIAN/postinst", []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	if file != "" {
		path := filepath.Join(build, file)
		d.ok(os.MkdirAll(filepath.Dir(path), 0o755))
		d.ok(os.WriteFile(path, []byte(settings), 0o644))
		d.ok(os.WriteFile(build+"/DEBIAN/conffiles", []byte("/"+file+"\n"), 0o644))
	}
	deb := filepath.Join(d.repo, name+"_"+version+".deb")
	if out, err := exec.Command("dpkg-deb", "-b", build, deb).CombinedOutput(); err != nil {
		d.Fatal(err, string(out))
	}
	text, err := os.ReadFile(deb)
	d.ok(err)
	d.index += control + fmt.Sprintf("Filename: ./%s\nSize: %d\nSHA256: %x\n\n", filepath.Base(deb), len(text), sha256.Sum256(text))
	d.ok(os.WriteFile(d.repo+"/Packages", []byte(d.index), 0o644))
	d.ok(os.WriteFile(d.repo+"/Release", fmt.Appendf(nil, "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\nVersion: 12\nDate: %s\nSHA256:\n %x %d Packages\n",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"), sha256.Sum256([]byte(d.index)), len(d.index)), 0o644))
}

// dpkgOptions are those by which dpkg keeps to the folder.
func (d *debian) dpkgOptions() []string {
	return []string{"--root=" + d.root, "--force-script-chrootless", "--force-not-root", "--log=" + d.root + "/var/log/dpkg.log"}
}

func (d *debian) aptCommand(args ...string) *exec.Cmd {
	all := append(aptIn(d.root), "-o", "APT::Sandbox::User=", "-o", "Dpkg::Use-Pty=0", "-o", "Dir::Bin::dpkg=/usr/bin/dpkg", "-o", "Dir::Bin::methods=/usr/lib/apt/methods")
	for _, o := range d.dpkgOptions() {
		all = append(all, "-o", "DPkg::Options::="+o)
	}
	cmd := exec.Command("apt-get", append(append(all, "-q", "-y"), args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

// apt has apt-get do something, and returns what it says and whether that went well.
func (d *debian) apt(args ...string) (string, bool) {
	d.Helper()
	out, err := d.aptCommand(args...).CombinedOutput()
	return string(out), err == nil
}

func (d *debian) mustApt(args ...string) {
	d.Helper()
	if out, ok := d.apt(args...); !ok {
		d.Fatalf("apt-get %v:\n%s", args, out)
	}
}

// configure is what the repair does.
func (d *debian) configure() (string, bool) {
	cmd := exec.Command("dpkg", append(d.dpkgOptions(), "--configure", "-a")...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// watch is a room for this system, at whose side a clock can be set.
func (d *debian) watch(now *time.Time, more ...func(*Config)) *Watch {
	cfg := Config{Root: d.root, Runner: host.Exec{}, Kernel: "6.1.0-40-amd64", Now: func() time.Time { return *now }, Log: slog.New(slog.DiscardHandler)}
	for _, f := range more {
		f(&cfg)
	}
	return New(cfg)
}

// found is what a check finds now.
func found(t *testing.T, w *Watch, code string) health.Finding {
	t.Helper()
	for _, c := range w.Checks() {
		if c.Code == code {
			return c.Run(t.Context())
		}
	}
	t.Fatal("no such check: ", code)
	return health.Finding{}
}

// expect judges a finding by its severity, its cause and words in it.
func expect(t *testing.T, when string, f health.Finding, severity health.Severity, cause string, words ...string) {
	t.Helper()
	if f.Severity != severity || f.Cause != cause {
		t.Errorf("%s: %v %q: %s", when, f.Severity, f.Cause, f.What.EN)
	}
	for _, w := range words {
		if !strings.Contains(f.What.EN+" "+f.Do.EN, w) || !strings.Contains(f.What.FR+" "+f.Do.FR, w) {
			t.Errorf("%s: no %q in %q, %q", when, w, f.What, f.Do)
		}
	}
}
