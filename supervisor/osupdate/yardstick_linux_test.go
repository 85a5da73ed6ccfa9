package osupdate

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// apt's settings mean to Foyer what they mean to apt itself.
func TestSettingsAreThoseOfApt(t *testing.T) {
	d := newDebian(t)
	if _, err := exec.LookPath("apt-config"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n",
		"APT::Periodic { Update-Package-Lists \"1\"; Unattended-Upgrade \"0\"; };\n",
		"apt { periodic { unattended-upgrade \"7d\"; }; };\n",
		"// APT::Periodic::Unattended-Upgrade \"1\";\n# APT::Periodic::Enable \"0\";\n/* APT::Periodic::Unattended-Upgrade \"1\"; */ APT::Periodic::Update-Package-Lists \"always\";\n",
		"APT::Periodic::Unattended-Upgrade \"1\";\nAPT::Periodic::Unattended-Upgrade \"0\";\n",
		"APT::Periodic::Unattended-Upgrade \"1\";\n#clear APT::Periodic;\n",
		"APT::Periodic::Unattended-Upgrade \"1\";\nAPT::Periodic::Update-Package-Lists \"1\";\n#clear APT::Periodic::Unattended-Upgrade;\n",
		"APT { Periodic { }; Other { Deep { Deeper \"2\"; }; }; Periodic::Enable \"0\"; };\n",
		"Unattended-Upgrade::Origins-Pattern { \"origin=Debian\"; \"x\"; };\nAPT::Periodic::Enable \"1\";\n",
		"Unattended-Upgrade::Origins-Pattern:: \"y\";\nAPT::Periodic::Enable\n\"1\";\n",
	} {
		d.write(confDir+"/50test", text)
		d.write("config", "Dir \""+d.root+"/\";\n")
		cmd := exec.Command("apt-config", "dump")
		cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(d.root, "config"), "LC_ALL=C")
		out, err := cmd.Output()
		d.ok(err)
		theirs := map[string]string{}
		for line := range strings.Lines(string(out)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				theirs[strings.ToLower(name)] = strings.Trim(value, `";`)
			}
		}
		ours := readConf(tree(d.root))
		for _, key := range []string{"apt::periodic::update-package-lists", "apt::periodic::unattended-upgrade", "apt::periodic::enable", "apt::other::deep::deeper"} {
			if ours[key] != theirs[key] {
				t.Errorf("%s\n%s: %q, and apt says %q", text, key, ours[key], theirs[key])
			}
		}
	}
}

// Versions are compared as dpkg does.
func TestVersionsAreThoseOfDpkg(t *testing.T) {
	d := newDebian(t)
	pieces := []string{"1", "2", "10", "09", "0", ".", "-", "~", "+deb12u", "a", "B", "rc", ":", "1:", "-1", "~~"}
	judge := func(a, b string) {
		d.Helper()
		out, err := exec.Command("dpkg", "--compare-versions", a, "gt", b).CombinedOutput()
		if strings.Contains(string(out), "warning") || strings.Contains(string(out), "error") {
			return // no version
		}
		if theirs := err == nil; newer(a, b) != theirs {
			t.Errorf("%q is newer than %q: %v, and dpkg says %v", a, b, newer(a, b), theirs)
		}
	}
	for _, p := range [][2]string{{"6.1.0-10-amd64", "6.1.0-9-amd64"}, {"1.0~rc1", "1.0"}, {"1.0", "1.0~rc1"}, {"1:0", "9"}, {"1.0-1", "1.0-1+b1"}, {"1.0-1+b1", "1.0-1"}, {"1.0a", "1.0+"}, {"1.0", "1.0-0"}, {"1.0-1", "1.0"}} {
		judge(p[0], p[1])
	}
	for range 150 {
		some := func() string {
			var v strings.Builder
			v.WriteString("1")
			for range rand.IntN(5) {
				v.WriteString(pieces[rand.IntN(len(pieces))])
			}
			return v.String()
		}
		judge(some(), some())
	}
}
