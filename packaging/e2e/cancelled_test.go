//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// asked is a command at a terminal that has come to a question.
type asked struct {
	name    string
	env     []string
	command []string
	sees    []string // one after the other; after each but the last, what stands in typed is typed
	typed   []string
	quiet   bool // a viewer: it asks nothing, and ends without a word
}

// interruptible starts a program inside, which ignores no signal, whatever this test
// was started with, at a terminal whose Ctrl-C reaches it and nothing
// between.
func (m *machine) interruptible(env []string, args ...string) *terminal {
	m.t.Helper()
	full := append([]string{"env", "-i", "--default-signal=INT,HUP", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=xterm-256color"}, env...)
	inner := m.nsenter(append(full, args...)...)
	return m.terminalFor(exec.Command("env", append([]string{"--ignore-signal=INT"}, inner.Args...)...), 80, 24, 80, 24)
}

// cancels brings a command to its question, sends it a signal by Ctrl-C, with a line typed
// right behind it, or from another process, and wants it to say that it was cancelled.
func (m *machine) cancels(q asked, signal string) {
	m.t.Helper()
	x := m.interruptible(append([]string{"LANG=en_GB.UTF-8", "XDG_CACHE_HOME=/run/cache"}, q.env...), q.command...)
	for i, sees := range q.sees {
		x.see(sees)
		if i < len(q.typed) {
			x.press(q.typed[i])
		}
	}
	if signal == "" {
		x.press("\x03foyer\ryes\r1\r\r")
	} else {
		pid := strings.TrimSpace(m.must("pgrep", "-n", "-f", "^"+strings.Join(q.command, " ")+"$"))
		m.must("kill", "-"+signal, pid)
		m.wait("the signal to be taken", func() bool {
			_, _, code := m.run("kill", "-0", pid)
			return code != 0
		})
	}
	code := x.gone()
	said, want := x.text(), 1
	if q.quiet {
		want = 0
	} else if !strings.Contains(said, "Stopped.") || !strings.Contains(said, "Nothing was changed.") || !strings.Contains(said, "[cancelled]") {
		m.t.Errorf("%s, %s: it says\n%s", q.name, signal, said)
	}
	if code != want {
		m.t.Errorf("%s, %s: exit status %d, want %d; the screen shows:\n%s", q.name, signal, code, want, said)
	}
	x.hangUp()
}

// Ctrl-C at every question of every command, and a line right behind it; and the signals
// by which a machine or a closed terminal asks for an end: the first one is the end,
// nothing was changed, and the line is nobody's.
func TestTheFirstSignalEndsEveryQuestion(t *testing.T) {
	t.Attr("shows", "mend2")
	signals := []string{"", "INT", "TERM", "HUP"} // the first is Ctrl-C at the terminal
	plain := []string{downloaded, "install", "--plain"}
	fresh := []asked{
		{name: "lines, a question", command: plain, sees: []string{`1\. At home(?s:.*)\[1\]>`}},
		{name: "lines, the plan", command: plain, sees: []string{`1\. At home(?s:.*)\[1\]>`, `3\. Not now\n\[1\]>`}, typed: []string{"1\r"}},
		{name: "a dumb terminal", env: []string{"TERM=dumb"}, command: []string{downloaded}, sees: []string{`1\. At home(?s:.*)\[1\]>`}},
		{name: "screens, a question", command: []string{downloaded}, sees: []string{`> At home`}},
		{name: "screens, the plan", command: []string{downloaded}, sees: []string{`> At home`, `> Install <`}, typed: []string{keyEnter}},
		{name: "answers typed", command: []string{downloaded, "install", "--yes", "--answers", "-"}},
		{name: "answers from a pipe", command: []string{downloaded, "install", "--plain", "--answers", "/run/pipe"}},
	}
	t.Run("nothing is installed", func(t *testing.T) {
		m := newMachine(t).withFoyer()
		m.boot()
		m.off()
		before := list(t, m.root)
		m.boot()
		m.must("mkfifo", "/run/pipe")
		n := 0
		for _, q := range fresh {
			for _, signal := range signals {
				if q.name == "answers typed" || q.name == "answers from a pipe" {
					m.cancelsRead(q, signal)
				} else {
					m.cancels(q, signal)
				}
				n++
			}
			if t.Failed() {
				return
			}
		}
		m.off()
		for _, d := range before.diff(list(t, m.root).without(`^/root/`)) {
			if !strings.Contains(d, "/root") {
				t.Error(d)
			}
		}
		show("Ctrl-C, SIGINT, SIGTERM, SIGHUP at the questions of an install", "%d times cancelled, and the machine is as it was", n)
	})
	t.Run("installed", func(t *testing.T) {
		m := newMachine(t).withFoyer()
		m.boot()
		m.claim(m.install("--mdns", "off").Claim)
		m.must("sh", "-c", "echo mine >/var/lib/foyer/marker")
		pid, n := m.hostPID(false), 0
		for _, q := range []asked{
			{name: "uninstall", command: []string{"foyer", "uninstall"}, sees: []string{`Type yes to go on`}},
			{name: "uninstall --purge", command: []string{"foyer", "uninstall", "--purge"}, sees: []string{`ALL ITS DATA(?s:.*)to go on:`}},
			{name: "uninstall --purge, half an answer", command: []string{"foyer", "uninstall", "--purge"}, sees: []string{`ALL ITS DATA(?s:.*)to go on:`, `foye`}, typed: []string{"foye"}},
			{name: "uninstall --purge --plain", env: []string{"TERM=dumb"}, command: []string{"foyer", "uninstall", "--purge", "--plain"}, sees: []string{`ALL ITS DATA(?s:.*)to go on:`}},
			{name: "change", command: []string{"foyer", "change", "name=maison"}, sees: []string{`Type yes to change it`}},
			{name: "change, lines", command: []string{"foyer", "change", "--plain"}, sees: []string{`3\. On a rented(?s:.*)\[3\]>`}},
			{name: "change, screens", command: []string{"foyer", "change"}, sees: []string{`> On a rented`}},
			{name: "a backup's words", command: []string{"foyer", "backup", "to", "/srv/backup", "--same-disk"}, sees: []string{`On your paper, what is word`}},
			{name: "a restore's words", command: []string{"foyer", "restore", "--from", "/srv", "--into", "/srv/restored"}, sees: []string{`12 words of your recovery kit`}},
			{name: "the dashboard", command: []string{"foyer"}, sees: []string{`Requests/min`}, quiet: true},
		} {
			for _, signal := range signals {
				m.cancels(q, signal)
				n++
			}
			if t.Failed() {
				return
			}
		}
		if now := m.hostPID(false); now != pid || !m.status().Claimed {
			t.Error("the service was touched")
		}
		if _, err := os.Lstat(m.at("/srv/backup")); err == nil {
			t.Error("a folder for backups was left")
		}
		for _, path := range []string{"opt/foyer/current", "etc/systemd/system/foyer.service", "var/lib/foyer/data.db", "var/lib/foyer/marker", "usr/local/bin/foyer"} {
			if _, err := os.Lstat(m.at("/" + path)); err != nil {
				t.Errorf("%s is gone", path)
			}
		}
		show("Ctrl-C and a line, SIGINT, SIGTERM, SIGHUP at uninstall, purge, change and dashboard", "%d times cancelled, nothing removed", n)
	})
}

// inCall is a thread that reads standard input or opens a file, on amd64 or arm64.
var inCall = regexp.MustCompile(`(?m)^((0|63) 0x0|257|56) `)

// cancelsRead interrupts a command that reads answers of a terminal or a pipe, which shows
// nothing: it has come there when the kernel says that a thread of it is in read(2) of
// standard input, or in openat(2).
func (m *machine) cancelsRead(q asked, signal string) {
	m.t.Helper()
	x := m.interruptible([]string{"LANG=en_GB.UTF-8", "XDG_CACHE_HOME=/run/cache"}, q.command...)
	var pid string
	m.wait("the command to read", func() bool {
		pid, _, _ = m.run("pgrep", "-n", "-f", "^"+strings.Join(q.command, " ")+"$")
		pid = strings.TrimSpace(pid)
		if pid == "" {
			return false
		}
		calls, _, _ := m.run("sh", "-c", "cat /proc/"+pid+"/task/*/syscall 2>/dev/null")
		return inCall.MatchString(calls)
	})
	if signal == "" {
		x.press("\x03name = \"x\"\r\x04\x04")
	} else {
		m.must("kill", "-"+signal, pid)
	}
	code := x.gone()
	if said := x.text(); code != 1 || !strings.Contains(said, "Nothing was changed.") || !strings.Contains(said, "[cancelled]") {
		m.t.Errorf("%s, %s: exit status %d; the screen shows:\n%s", q.name, signal, code, said)
	}
	x.hangUp()
}
