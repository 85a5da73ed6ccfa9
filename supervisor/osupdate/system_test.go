package osupdate

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

// system makes a folder with files, and with folders of names that end in a slash.
func system(t *testing.T, files map[string]string) tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree(root)
}

// noApt runs nothing.
type noApt struct{ t *testing.T }

func (n noApt) Run(_ context.Context, name string, args ...string) (string, error) {
	n.t.Errorf("%s %v was run", name, args)
	return "", errors.New("nothing is run here")
}

// with is a room for files, on a day.
func with(t *testing.T, now time.Time, files map[string]string) *Watch {
	t.Helper()
	return New(Config{Root: string(system(t, files)), Runner: noApt{t}, Kernel: "6.1.0-9-amd64", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
}

func run(t *testing.T, w *Watch, code string) health.Finding {
	t.Helper()
	i := slices.IndexFunc(w.Checks(), func(c health.Check) bool { return c.Code == code })
	return w.Checks()[i].Run(t.Context())
}

func date(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

const (
	bookworm  = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"
	installed = "Package: unattended-upgrades\nStatus: install ok installed\nArchitecture: all\nVersion: 2.9\n\n"
)

// debianWith are the files of a Debian whose updates install themselves, with others.
func debianWith(more map[string]string) map[string]string {
	files := map[string]string{
		"etc/os-release": bookworm, statusFile: installed, confDir + "/20auto-upgrades": "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n",
		timersDir + "/apt-daily.timer": "", timersDir + "/apt-daily-upgrade.timer": "",
	}
	for name, text := range more {
		if files[name] = text; text == "-" {
			delete(files, name)
		}
	}
	return files
}

// What is set up, and who sees to it: nobody is alarmed by a system that others see to.
func TestWhatIsSetUp(t *testing.T) {
	for name, c := range map[string]struct {
		files    map[string]string
		severity health.Severity
		cause    string
		says     string
	}{
		"all of it":              {debianWith(nil), health.OK, "", "They install themselves."},
		"not installed":          {debianWith(map[string]string{statusFile: ""}), health.Info, CauseNotConfigured, "`sudo foyer install`"},
		"removed":                {debianWith(map[string]string{statusFile: strings.Replace(installed, "install ok installed", "deinstall ok config-files", 1)}), health.Info, CauseNotConfigured, "`sudo foyer install`"},
		"on Ubuntu":              {map[string]string{"etc/os-release": "ID=ubuntu\nVERSION_ID=24.04\n", statusFile: "", "etc/apt/": ""}, health.Info, CauseNotConfigured, "apt-get install unattended-upgrades"},
		"switched off":           {debianWith(map[string]string{confDir + "/99mine": "APT::Periodic { Unattended-Upgrade \"0\"; };"}), health.Info, CauseNotConfigured, "dpkg-reconfigure unattended-upgrades"},
		"all of it switched off": {debianWith(map[string]string{"etc/apt/apt.conf": "APT::Periodic::Enable \"0\";"}), health.Info, CauseNotConfigured, "dpkg-reconfigure unattended-upgrades"},
		"a file apt passes over": {debianWith(map[string]string{confDir + "/99mine.dpkg-old": "APT::Periodic::Unattended-Upgrade \"0\";"}), health.OK, "", "They install themselves."},
		"no timer":               {debianWith(map[string]string{timersDir + "/apt-daily-upgrade.timer": "-"}), health.Info, CauseNotConfigured, "systemctl enable --now apt-daily.timer"},
		"no systemd":             {debianWith(map[string]string{timersDir + "/apt-daily.timer": "-", timersDir + "/apt-daily-upgrade.timer": "-", "etc/cron.daily/apt-compat": ""}), health.OK, "", "They install themselves."},
		"YunoHost":               {debianWith(map[string]string{statusFile: "Package: yunohost\nStatus: install ok installed\n"}), health.OK, "", "YunoHost sees to the updates"},
		"a container":            {map[string]string{"etc/os-release": bookworm, statusFile: "", "etc/apt/": "", ".dockerenv": ""}, health.OK, "", "Docker sees to the updates"},
		"Fedora":                 {map[string]string{"etc/os-release": "ID=fedora\nPRETTY_NAME=\"Fedora Linux 43 (Server Edition)\"\nVERSION_ID=43\n"}, health.OK, "", "Fedora Linux 43 (Server Edition)"},
		"an image":               {map[string]string{"etc/os-release": "ID=fedora\nNAME=\"Fedora IoT\"\n", "run/ostree-booted": ""}, health.OK, "", "replaced as a whole"},
		"dpkg beside another":    {map[string]string{"etc/os-release": "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n", statusFile: ""}, health.OK, "", "Arch Linux"},
		"nothing":                {nil, health.OK, "", "sees to its updates itself"},
		"a name that commands":   {map[string]string{"usr/lib/os-release": "ID=x\nNAME=\"\x1b[2Jevil\"\n"}, health.OK, "", "evil"},
	} {
		t.Run(name, func(t *testing.T) {
			w := with(t, time.Now(), c.files)
			f := run(t, w, "os-updates")
			if f.Severity != c.severity || f.Cause != c.cause || !strings.Contains(f.What.EN+" "+f.Do.EN, c.says) {
				t.Errorf("%v %q: %q, %q", f.Severity, f.Cause, f.What.EN, f.Do.EN)
			}
			if strings.Contains(f.What.EN, "\x1b") {
				t.Errorf("it commands a terminal: %q", f.What.EN)
			}
		})
	}
}

// A machine that can ask for nothing is told of, and so are updates that stay away though
// they should install themselves.
func TestUpdatesThatStayAway(t *testing.T) {
	now := time.Now()
	stamp := "var/lib/apt/periodic/update-stamp"
	w := with(t, now, debianWith(map[string]string{stamp: ""}))
	if f := run(t, w, "os-updates"); f.Severity != health.OK {
		t.Errorf("lists of today: %+v", f)
	}
	old := now.Add(-listsOld - 24*time.Hour)
	if err := os.Chtimes(filepath.Join(w.cfg.Root, stamp), old, old); err != nil {
		t.Fatal(err)
	}
	if f := run(t, w, "os-updates"); f.Severity != health.Warning || f.Cause != CauseListsOld || !strings.Contains(f.What.EN, "15 days") {
		t.Errorf("old lists: %+v", f)
	}
	w = with(t, now, debianWith(map[string]string{statusFile: ""}))
	w.cfg.LeftAlone = true
	w.waiting = waiting{security: []Pending{{Name: "openssl", Since: now.Add(-30 * 24 * time.Hour)}}}
	if f := run(t, w, "os-updates"); f.Severity != health.OK || !strings.Contains(f.What.EN, "left to you (os_updates is off); 1 ") {
		t.Errorf("left to the person: %+v", f)
	}
	w = with(t, now, debianWith(nil))
	w.waiting = waiting{security: []Pending{{Name: "openssl", Since: now.Add(-25 * time.Hour)}, {Name: "libssl3", Since: now}}}
	if f := run(t, w, "os-updates"); f.Severity != health.OK || !strings.Contains(f.What.EN, "2 security updates wait") {
		t.Errorf("two since yesterday: %+v", f)
	}
	w.waiting.security[0].Since = now.Add(-5 * 24 * time.Hour)
	if f := run(t, w, "os-updates"); f.Severity != health.Warning || f.Cause != CausePending || !strings.Contains(f.What.EN, "for 5 days: openssl, libssl3") || !strings.Contains(f.Do.EN, "unattended-upgrade -v") {
		t.Errorf("one for five days: %+v", f)
	}
}

func TestUntilWhenThereAreUpdates(t *testing.T) {
	rel := func(lines ...string) string { return strings.Join(lines, "\n") + "\n" }
	raspbian := rel(`PRETTY_NAME="Raspbian GNU/Linux 11 (bullseye)"`, "ID=raspbian", `VERSION_ID="11"`, "VERSION_CODENAME=bullseye")
	for _, c := range []struct {
		name, release, day string
		severity           health.Severity
		cause, says        string
	}{
		{"Debian 12", bookworm, "2026-11-28", health.OK, "", "Debian GNU/Linux 12 (bookworm) gets security updates until 2028-06-30."},
		{"half a year before", bookworm, "2028-02-01", health.Info, "ends-soon", "until 2028-06-30"},
		{"a month before", bookworm, "2028-06-01", health.Warning, "ends-soon", "for 30 more days"},
		{"its last day", bookworm, "2028-06-30", health.Warning, "ends-soon", "for 1 more days"},
		{"the day after", bookworm, "2028-07-02", health.Warning, "ended", "no security updates since 2028-06-30"},
		{"Raspberry Pi OS 11", raspbian, "2026-11-28", health.Warning, "ended", "Raspberry Pi OS 11 (bullseye) has had no security updates since 2026-08-31"},
		{"Ubuntu 24.04", rel(`PRETTY_NAME="Ubuntu 24.04.3 LTS"`, "ID=ubuntu", `VERSION_ID="24.04"`), "2026-11-28", health.OK, "", "Ubuntu 24.04.3 LTS gets security updates until 2029-05-31."},
		{"Ubuntu 20.04", rel("NAME=Ubuntu", "VERSION=20.04", "ID=ubuntu", `VERSION_ID='20.04'`), "2026-11-28", health.Warning, "ended", "Ubuntu 20.04"},
		{"one that says so itself", rel("NAME=Fedora", "ID=fedora", "VERSION_ID=43", "SUPPORT_END=2026-12-02"), "2026-11-28", health.Warning, "ends-soon", "until 2026-12-02"},
		{"one that is never finished", rel("NAME=Debian", "ID=debian"), "2026-11-28", health.OK, "", ""},
		{"one that nobody knows", rel("NAME=Other", "ID=other", "VERSION_ID=12", "SUPPORT_END=soon"), "2026-11-28", health.OK, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := run(t, with(t, date(c.day), map[string]string{"etc/os-release": c.release}), "os-end-of-life")
			if f.Severity != c.severity || f.Cause != c.cause || !strings.Contains(f.What.EN, c.says) || c.says == "" && !f.What.IsZero() {
				t.Errorf("%v %q: %q", f.Severity, f.Cause, f.What.EN)
			}
		})
	}
	for _, l := range lives {
		if end, err := time.Parse(time.DateOnly, l.end); err != nil || end.IsZero() {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestRestart(t *testing.T) {
	now := time.Now()
	kernels := func(more map[string]string, names ...string) map[string]string {
		files := debianWith(more)
		for _, n := range names {
			files["boot/vmlinuz-"+n] = ""
		}
		return files
	}
	for name, c := range map[string]struct {
		files    map[string]string
		age      time.Duration
		severity health.Severity
		says     string
	}{
		"nothing":                             {debianWith(nil), 0, health.OK, ""},
		"packages want it":                    {debianWith(map[string]string{restartFile: "", restartFile + ".pkgs": "linux-image-6.1.0-40-amd64\ndbus\ndbus\n"}), time.Hour, health.Info, "linux-image-6.1.0-40-amd64, dbus."},
		"for long":                            {debianWith(map[string]string{restartFile: "*** restart ***"}), 8 * 24 * time.Hour, health.Warning, "for 8 days"},
		"a newer kernel":                      {kernels(nil, "6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-8-amd64"), 0, health.Info, "kernel 6.1.0-10-amd64"},
		"older kernels":                       {kernels(nil, "6.1.0-9-amd64", "6.1.0-8-amd64"), 0, health.OK, ""},
		"a kernel for another kind":           {kernels(nil, "6.1.0-9-amd64", "6.1.0-10-rt-amd64"), 0, health.OK, ""},
		"kernels of which none is this one's": {kernels(nil, "6.1.0-10-amd64"), 0, health.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := with(t, now, c.files)
			for _, file := range []string{restartFile, "boot/vmlinuz-6.1.0-10-amd64"} {
				if at := now.Add(-c.age); tree(w.cfg.Root).has(file) {
					if err := os.Chtimes(filepath.Join(w.cfg.Root, file), at, at); err != nil {
						t.Fatal(err)
					}
				}
			}
			f := run(t, w, "os-reboot")
			if f.Severity != c.severity || !strings.Contains(f.What.EN, c.says) || c.severity != health.OK && !strings.Contains(f.Do.EN, "foyer jobs start reboot") {
				t.Errorf("%v: %q, %q", f.Severity, f.What.EN, f.Do.EN)
			}
		})
	}
	for release, want := range map[string]string{"6.1.0-28-amd64": "amd64", "6.6.51+rpt-rpi-v8": "rpi-v8", "6.8.0-45-generic": "generic", "6.1.0": "", "": "", "-": ""} {
		if got := flavour(release); got != want {
			t.Errorf("%q: %q", release, got)
		}
	}
}

func TestSecurityUpdatesAreTold(t *testing.T) {
	out := `Inst libc6 [2.36-9] (2.36-10 Debian:12.15/oldstable [amd64])
Inst libgcrypt20 [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []
Inst linux-image-6.1.0-50-amd64 (6.1.190-1 Debian-Security:12/oldstable-security [amd64])
Inst liblzma5 [5.4.1-1] (5.4.1-1+deb12u2 Debian-Security:12/oldstable-security [amd64])
Conf liblzma5 (5.4.1-1+deb12u2 Debian-Security:12/oldstable-security [amd64])
Inst openssl [3.0.2-0ubuntu1.10] (3.0.2-0ubuntu1.15 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Inst vim [2:8.2] (2:8.3 Ubuntu:22.04/jammy-updates [amd64])
Inst bash [5.1] (5.2 Raspbian:12/oldstable [armhf])
`
	names := func(s System) (out2 []string) {
		for _, p := range parsePending(out) {
			if p.security(s) {
				out2 = append(out2, p.Name+" "+p.From+" "+p.To)
			}
		}
		return out2
	}
	want := []string{"libgcrypt20 1.10.1-3 1.10.1-3+deb12u1", "liblzma5 5.4.1-1 5.4.1-1+deb12u2", "openssl 3.0.2-0ubuntu1.10 3.0.2-0ubuntu1.15"}
	if got := names(System{ID: "debian"}); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := names(System{ID: "raspbian"}); !slices.Equal(got, append(want, "bash 5.1 5.2")) {
		t.Errorf("of 32 bits: %v", got)
	}
}

// Files of any size and kind are read up to a bound: pipes and folders are none.
func TestFilesAreBounded(t *testing.T) {
	files := debianWith(nil)
	files[historyFile] = "Start-Date: 2026-01-01  00:00:00\n" + strings.Repeat("x", historyBytes) + "\n\n" + "Start-Date: 2026-11-28  04:16:44\nUpgrade: a:amd64 (1, 2)\n"
	files["etc/apt/apt.conf/"] = ""
	root := system(t, files)
	if runs := readHistory(root); len(runs) != 1 || !runs[0].touched("a") || runs[0].touched("b") || runs[0].Start.Month() != time.November {
		t.Errorf("%+v", runs)
	}
	if a := readAutomatic(root, readPackages(root)); !a.On() {
		t.Errorf("%+v", a)
	}
}

// FuzzFiles gives what is read from the disk to what reads it.
func FuzzFiles(f *testing.F) {
	for _, text := range []string{
		bookworm, installed, "Start-Date: 2026-11-28  04:16:44\nInstall: a:amd64 (1, automatic), b (2)\nError: x\nEnd-Date: 2026-11-28  04:16:47\n\n",
		"APT { Periodic { Enable \"1\"; }; /* x */ };\n#clear APT::Periodic;\n// y\nA::B:: { \"c\"; };", "Inst a [1] (2 Debian-Security:12/oldstable-security [amd64]) []\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := func(words ...string) {
			for _, w := range words {
				if w != hint.Printable(w) {
					t.Errorf("%q is shown", w)
				}
			}
		}
		parseRelease(text)
		parseStatus([]byte(text), func(s stanza) {
			if s.name == "" || s.status == "" {
				t.Errorf("%+v", s)
			}
		})
		for _, r := range parseHistory(text, time.UTC) {
			shown(r.Command, r.Error)
			for _, c := range r.Changes {
				shown(c.Name, c.From, c.To)
			}
		}
		conf := map[string]string{}
		parseConf(text, conf)
		if len(conf) > mostKeys {
			t.Errorf("%d settings", len(conf))
		}
		for _, p := range parsePending(text) {
			shown(p.Name, p.From, p.To)
		}
		a, b, _ := strings.Cut(text, "\n")
		if compare(a, b) != 0 && newer(a, b) == newer(b, a) || compare(a, a) != 0 {
			t.Errorf("%q and %q: %d, %d", a, b, compare(a, b), compare(b, a))
		}
		if f := flavour(a); !strings.HasSuffix(a, f) {
			t.Errorf("%q: %q", a, f)
		}
	})
}
