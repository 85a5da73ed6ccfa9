package osupdate

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// automatic is what is set up for updates to install themselves.
type automatic struct {
	Installer bool // unattended-upgrades is installed
	Lists     bool // apt's lists are fetched
	Upgrades  bool // what is in them is installed
	Timers    bool // something starts both
	// Elsewhere names who else sees to updates on this machine; empty: nobody that is known.
	Elsewhere string
}

// On reports whether updates install themselves.
func (a automatic) On() bool { return a.Installer && a.Lists && a.Upgrades && a.Timers }

// managers are packages that see to the updates of a machine in their own way, or have
// somebody elsewhere see to it.
var managers = []struct{ pkg, name string }{
	{"yunohost", "YunoHost"},
	{"freedombox", "FreedomBox"},
	{"openmediavault", "openmediavault"},
	{"proxmox-ve", "Proxmox"},
	{"pve-manager", "Proxmox"},
	{"landscape-client", "Landscape"},
	{"puppet-agent", "Puppet"},
	{"puppet", "Puppet"},
	{"salt-minion", "Salt"},
	{"chef", "Chef"},
	{"cfengine3", "CFEngine"},
	{"cron-apt", "cron-apt"},
}

// marks are files by which such a system is known.
var marks = []struct{ path, name string }{
	{".dockerenv", "Docker"},
	{"run/.containerenv", "Podman"},
	{"boot/dietpi/.version", "DietPi"},
	{"boot/firmware/dietpi/.version", "DietPi"},
}

const timersDir = "etc/systemd/system/timers.target.wants"

func readAutomatic(root tree, p packages) automatic {
	conf := readConf(root)
	on := func(key string) bool {
		v := conf[strings.ToLower(key)]
		return v != "" && v != "0"
	}
	enable := conf["apt::periodic::enable"]
	a := automatic{
		Installer: p.has(InstallerPackage),
		Lists:     on("APT::Periodic::Update-Package-Lists") && enable != "0",
		Upgrades:  on("APT::Periodic::Unattended-Upgrade") && enable != "0",
		Timers:    root.timer("apt-daily.timer") && root.timer("apt-daily-upgrade.timer"),
	}
	for _, m := range managers {
		if p.has(m.pkg) {
			a.Elsewhere = m.name
		}
	}
	for _, m := range marks {
		if root.has(m.path) {
			a.Elsewhere = m.name
		}
	}
	return a
}

// timer reports whether a timer of systemd's starts with the machine. Without systemd
// cron.daily/apt-compat does its work.
func (t tree) timer(name string) bool {
	if !t.has("etc/systemd/system") {
		return t.has("etc/cron.daily/apt-compat")
	}
	link, err := os.Readlink(t.path("etc/systemd/system/" + name))
	masked := err == nil && link == "/dev/null"
	return !masked && t.has(timersDir+"/"+name)
}

// Bounds of what is read.
const (
	confBytes = 64 << 10
	mostKeys  = 10000
)

// readConf reads apt's settings as apt does (apt.conf(5)): names in small letters, and of a
// name that is set several times the last value. Files of some names are passed over.
func readConf(root tree, without ...string) map[string]string {
	out := map[string]string{}
	for _, name := range root.names(confDir) {
		base, ext, dotted := strings.Cut(name, ".")
		if slices.Contains(without, name) || base == "" || dotted && ext != "conf" || strings.Trim(base, confName) != "" {
			continue
		}
		text, _ := root.read(confDir+"/"+name, confBytes)
		parseConf(string(text), out)
	}
	text, _ := root.read("etc/apt/apt.conf", confBytes)
	parseConf(string(text), out)
	return out
}

// confName are the letters of names of files that apt reads.
const confName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// parseConf adds what a file of settings says to those that are known. Items of lists are
// passed over.
func parseConf(text string, to map[string]string) {
	var (
		scopes []string // of the blocks that are open
		words  []string // of the statement so far
	)
	full := func() string {
		name := strings.Join(scopes, "::")
		if len(words) > 0 {
			name = strings.Trim(name+"::"+words[0], ":")
		}
		return strings.ToLower(name)
	}
	for {
		word, kind := confToken(&text)
		switch kind {
		case confEnd:
			return
		case confOpen:
			scope := ""
			if len(words) > 0 {
				scope = words[0]
			}
			if len(scopes) < 50 {
				scopes = append(scopes, scope)
			} else {
				return // nobody writes that
			}
			words = nil
		case confClose:
			if len(scopes) > 0 {
				scopes = scopes[:len(scopes)-1]
			}
			words = nil
		case confStop:
			name := full()
			_, known := to[name]
			switch {
			case len(words) == 2 && words[0] == "#clear":
				clear := strings.ToLower(strings.TrimSuffix(words[1], "::"))
				maps.DeleteFunc(to, func(key, _ string) bool { return key == clear || strings.HasPrefix(key, clear+"::") })
			case len(words) == 2 && !strings.HasSuffix(words[0], "::") && (known || len(to) < mostKeys):
				to[name] = hint.Short(words[1], 200)
			}
			words = nil
		case confWord:
			words = append(words, word)
		}
	}
}

// Kinds of tokens.
const (
	confEnd = iota
	confOpen
	confClose
	confStop
	confWord
)

// confToken takes the next token off a text.
func confToken(text *string) (word string, kind int) {
	s := *text
	for before := ""; s != before; {
		before = s
		s = strings.TrimLeft(s, " \t\r\n")
		switch {
		case strings.HasPrefix(s, "/*"):
			_, s, _ = strings.Cut(s[2:], "*/")
		case strings.HasPrefix(s, "//") || strings.HasPrefix(s, "#") && !strings.HasPrefix(s, "#clear"):
			_, s, _ = strings.Cut(s, "\n")
		}
	}
	if s == "" {
		*text = ""
		return "", confEnd
	}
	if i := strings.IndexByte("{};", s[0]); i >= 0 {
		*text = s[1:]
		return "", confOpen + i
	}
	if s[0] == '"' {
		word, rest, _ := strings.Cut(s[1:], `"`)
		*text = rest
		return word, confWord
	}
	end := strings.IndexAny(s, " \t\r\n{};\"")
	if end < 0 {
		end = len(s)
	}
	*text = s[end:]
	return s[:end], confWord
}
