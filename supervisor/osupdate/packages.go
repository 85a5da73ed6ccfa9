package osupdate

import (
	"bufio"
	"bytes"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// packages are those that dpkg knows.
type packages struct {
	installed map[string]string // names, and the versions that are installed
	unsettled []unsettled       // those that are neither installed nor removed, in the order of their names
}

// unsettled is a package in the middle of something.
type unsettled struct {
	Name, Version string
	State         string // as dpkg calls it: half-installed, unpacked, half-configured, triggers-awaited, triggers-pending
	Reinstall     bool   // dpkg wants it installed again before anything else
}

// Failed reports whether a script of the package has failed, or was cut off.
func (u unsettled) Failed() bool { return u.State == "half-configured" || u.State == "half-installed" }

// Bounds of what is read and told.
const (
	statusBytes  = 64 << 20
	updatesBytes = 64 << 10
	mostNamed    = 20
)

// readPackages reads what dpkg wrote last: its list, and the changes to it that are in files
// of their own until the list is written anew, which a kill or a power cut leaves there.
func readPackages(root tree) packages {
	entries := map[string]stanza{}
	take := func(text []byte) {
		parseStatus(text, func(s stanza) {
			if len(entries) < 1<<18 {
				entries[s.name+" "+s.arch] = s
			}
		})
	}
	text, cut := root.read(statusFile, statusBytes)
	if cut {
		_, text, _ = bytes.Cut(text, []byte("\n\n"))
	}
	take(text)
	for _, name := range root.names(updatesDir) {
		if strings.Trim(name, "0123456789") == "" { // "tmp.i" is not done
			text, _ := root.read(updatesDir+"/"+name, updatesBytes)
			take(text)
		}
	}
	p := packages{installed: map[string]string{}}
	for _, s := range entries {
		switch want := strings.Fields(s.status); {
		case len(want) != 3 || want[2] == "not-installed" || want[2] == "config-files":
		case want[2] == "installed" && want[1] == "ok":
			p.installed[s.name] = s.version
		default:
			p.unsettled = append(p.unsettled, unsettled{hint.Short(s.name, 60), hint.Short(s.version, 60), hint.Short(want[2], 30), want[1] != "ok"})
		}
	}
	slices.SortFunc(p.unsettled, func(a, b unsettled) int { return strings.Compare(a.Name+" "+a.Version, b.Name+" "+b.Version) })
	return p
}

// has reports whether a package is installed.
func (p packages) has(name string) bool { _, ok := p.installed[name]; return ok }

// stanza is what dpkg's list says of a package.
type stanza struct{ name, arch, version, status string }

// parseStatus reads dpkg's list. What is not understood is passed over.
func parseStatus(text []byte, each func(stanza)) {
	var s stanza
	end := func() {
		if s.name != "" && s.status != "" {
			each(s)
		}
		s = stanza{}
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(make([]byte, 0, 64<<10), 8<<20)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			end()
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		to := map[string]*string{"Package": &s.name, "Architecture": &s.arch, "Version": &s.version, "Status": &s.status}[string(name)]
		if to != nil {
			*to = string(bytes.TrimSpace(value))
		}
	}
	end()
}
