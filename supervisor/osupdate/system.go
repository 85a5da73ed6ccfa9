package osupdate

import (
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// System is an operating system, as far as its updates go.
type System struct {
	ID       string // as os-release has it: "debian"
	Version  string // "12"; empty: it has none, as a system that is never finished
	Codename string // "bookworm"
	Name     string // as people call it: "Debian GNU/Linux 12 (bookworm)"
	Apt      bool   // packages come by apt and dpkg
	Pi       bool   // Raspberry Pi OS
	// Whole: updates replace all of the system at once, and nothing of it is changed in place.
	Whole bool
	Ends  time.Time // the day after which there are no security updates; zero: nobody knows
}

// Known reports whether anything is known of the system.
func (s System) Known() bool { return s.ID != "" }

// ours reports whether an install of Foyer may set up its updates.
func (s System) ours() bool { return s.Apt && (s.ID == "debian" || s.Pi) }

// readSystem reads os-release(5).
func readSystem(root tree) System {
	text, _ := root.read("etc/os-release", 16<<10)
	if text == nil {
		text, _ = root.read("usr/lib/os-release", 16<<10)
	}
	f := parseRelease(string(text))
	s := System{ID: f["ID"], Version: f["VERSION_ID"], Codename: f["VERSION_CODENAME"], Name: f["PRETTY_NAME"]}
	if s.Name == "" {
		s.Name = strings.TrimSpace(f["NAME"] + " " + f["VERSION"])
	}
	s.Name = hint.Short(s.Name, 60)
	s.Apt = root.has(statusFile) && root.has("etc/apt")
	s.Pi = s.ID == "raspbian" || s.ID == "debian" && root.has("etc/rpi-issue")
	if s.Pi && s.Version != "" {
		s.Name = hint.Short("Raspberry Pi OS "+s.Version+" ("+s.Codename+")", 60)
	}
	s.Whole = root.has("run/ostree-booted") || root.has("etc/NIXOS") || s.ID == "haos" || s.ID == "ubuntu-core"
	s.Ends = endOf(s)
	if end, err := time.Parse(time.DateOnly, f["SUPPORT_END"]); err == nil && s.Ends.IsZero() {
		s.Ends = end
	}
	return s
}

// parseRelease reads lines NAME=VALUE, of which the values may be quoted as for a shell.
func parseRelease(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(value[1 : n-1])
		}
		out[name] = value
	}
	return out
}

// life is until when a release gets security updates.
type life struct{ id, version, end string }

// lives is after debian.csv and ubuntu.csv of the package distro-info-data 0.58+deb12u7
// (November 2026): of Debian the end of its long term support (eol-lts), which is done in
// the same archive and asks nothing of anybody (wiki.debian.org/LTS); of Ubuntu the end of
// standard support (eol). Raspberry Pi OS is built of Debian's packages.
var lives = []life{
	{"debian", "8", "2020-06-30"},
	{"debian", "9", "2022-06-30"},
	{"debian", "10", "2024-06-30"},
	{"debian", "11", "2026-08-31"},
	{"debian", "12", "2028-06-30"},
	{"debian", "13", "2030-06-30"},
	{"ubuntu", "16.04", "2021-04-30"},
	{"ubuntu", "18.04", "2023-05-31"},
	{"ubuntu", "20.04", "2025-05-29"},
	{"ubuntu", "22.04", "2027-06-01"},
	{"ubuntu", "24.04", "2029-05-31"},
	{"ubuntu", "24.10", "2025-07-10"},
	{"ubuntu", "25.04", "2026-01-15"},
	{"ubuntu", "25.10", "2026-07-09"},
	{"ubuntu", "26.04", "2031-05-29"},
	{"ubuntu", "26.10", "2027-07-15"},
}

func endOf(s System) time.Time {
	id := s.ID
	if s.Pi {
		id = "debian"
	}
	i := slices.IndexFunc(lives, func(l life) bool { return l.id == id && l.version == s.Version })
	if i < 0 {
		return time.Time{}
	}
	end, _ := time.Parse(time.DateOnly, lives[i].end) // a test reads all of them
	return end
}

// restart is what wants the machine restarted.
type restart struct {
	since    time.Time // zero: nothing does
	packages []string
	kernel   string // that is installed and newer than the one that runs
}

const restartFile = "run/reboot-required"

// readRestart reads what packages ask for, and looks for a newer kernel than the one that
// runs: without unattended-upgrades or update-notifier no package of Debian's says so.
func readRestart(root tree, running string) (r restart) {
	r.since = root.newest(restartFile)
	if text, _ := root.read(restartFile+".pkgs", 16<<10); !r.since.IsZero() {
		for name := range strings.FieldsSeq(string(text)) {
			if !slices.Contains(r.packages, name) && len(r.packages) < mostNamed {
				r.packages = append(r.packages, hint.Short(name, 60))
			}
		}
	}
	for _, release := range root.kernels(running) {
		if flavour(release) == flavour(running) && newer(release, running) && (r.kernel == "" || newer(release, r.kernel)) {
			r.kernel = hint.Short(release, 60)
		}
	}
	if r.since.IsZero() && r.kernel != "" {
		r.since = root.newest("boot/vmlinuz-" + r.kernel)
	}
	return r
}

// kernels are the releases that can be started, where the one that runs is among them: in a
// container they are not its own.
func (t tree) kernels(running string) (out []string) {
	for _, name := range t.names("boot") {
		if release, ok := strings.CutPrefix(name, "vmlinuz-"); ok {
			out = append(out, release)
		}
	}
	if !slices.Contains(out, running) {
		return nil
	}
	return out
}

// flavour is which of several kernels a release is: "amd64" of 6.1.0-28-amd64, "rpi-v8" of
// 6.6.51+rpt-rpi-v8.
func flavour(release string) string {
	for i := range len(release) - 1 {
		if c := release[i+1]; release[i] == '-' && (c < '0' || c > '9') {
			return release[i+1:]
		}
	}
	return ""
}
