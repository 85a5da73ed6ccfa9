//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is a program on a real pseudo terminal, read by a terminal emulator.
type terminal struct {
	m      *machine
	cmd    *exec.Cmd
	pty    *os.File
	fd     int // of pty
	screen *vt.SafeEmulator
	keys   int // pressed so far
	ended  chan struct{}
}

// terminal starts a program inside at a terminal of so many columns and lines.
func (m *machine) terminal(width, height int, env []string, args ...string) *terminal {
	m.t.Helper()
	return m.terminalOf(width, height, width, height, env, args...)
}

// terminalOf starts one at a terminal that tells other sizes than it has.
func (m *machine) terminalOf(tellWidth, tellHeight, width, height int, env []string, args ...string) *terminal {
	m.t.Helper()
	full := append([]string{"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=xterm-256color"}, env...)
	return m.terminalFor(m.nsenter(append(full, args...)...), tellWidth, tellHeight, width, height)
}

// terminalFor starts a command at such a terminal.
func (m *machine) terminalFor(cmd *exec.Cmd, tellWidth, tellHeight, width, height int) *terminal {
	m.t.Helper()
	x := &terminal{m: m, cmd: cmd, screen: vt.NewSafeEmulator(width, height), ended: make(chan struct{})}
	master, err := pty.StartWithSize(x.cmd, &pty.Winsize{Cols: uint16(tellWidth), Rows: uint16(tellHeight)})
	if err != nil {
		m.t.Fatalf("cannot start %q at a terminal: %v", cmd.Args, err)
	}
	fd, err := unix.Dup(int(master.Fd()))
	master.Close()
	if err == nil { // so that closing it does not wait for who reads it
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	x.fd, x.pty = fd, os.NewFile(uintptr(fd), "terminal")
	go func() { // what the program draws
		io.Copy(x.screen, x.pty)
		x.cmd.Wait()
		close(x.ended)
	}()
	go io.Copy(x.pty, x.screen) // what the terminal answers when it is asked what it can do
	m.t.Cleanup(func() { x.hangUp(); x.screen.Close() })
	return x
}

// hangUp closes the terminal, as a lost connection does.
func (x *terminal) hangUp() { x.pty.Close() }

func (x *terminal) text() string {
	var lines []string
	for l := range strings.SplitSeq(x.screen.String(), "\n") {
		lines = append(lines, strings.TrimRight(l, " "))
	}
	return strings.Join(lines, "\n")
}

// see waits until the screen shows something, and returns what the expression's
// group is, or all of it.
func (x *terminal) see(expression string) string {
	x.m.t.Helper()
	re := regexp.MustCompile(expression)
	var found []string
	deadline := time.Now().Add(patience)
	for {
		if found = re.FindStringSubmatch(x.text()); found != nil {
			return found[len(found)-1]
		}
		if time.Now().After(deadline) {
			x.m.t.Fatalf("waited for %q; the screen shows:\n%s%s", expression, x.text(), x.m.journal())
		}
		time.Sleep(5 * time.Millisecond) // another process draws
	}
}

func (x *terminal) press(keys ...string) {
	x.m.t.Helper()
	for _, k := range keys {
		if _, err := io.WriteString(x.pty, k); err != nil {
			x.m.t.Fatal(err)
		}
		x.keys++
	}
}

func (x *terminal) resize(width, height int) {
	x.m.t.Helper()
	x.screen.Resize(width, height)
	if err := unix.IoctlSetWinsize(x.fd, unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(width), Row: uint16(height)}); err != nil {
		x.m.t.Fatal(err)
	}
}

// gone waits until the program has ended, and returns its exit status.
func (x *terminal) gone() int {
	x.m.t.Helper()
	select {
	case <-x.ended:
	case <-time.After(patience):
		x.m.t.Fatalf("the program does not end; the screen shows:\n%s%s", x.text(), x.m.journal())
	}
	return x.cmd.ProcessState.ExitCode()
}

// end waits until the program has ended, and wants its exit status to be 0.
func (x *terminal) end() {
	x.m.t.Helper()
	if code := x.gone(); code != 0 {
		x.m.t.Errorf("exit status %d; the screen shows:\n%s", code, x.text())
	}
}

const (
	keyEnter  = "\r"
	keyEscape = "\x1b"
	keyDown   = "\x1b[B"
	keyUp     = "\x1b[A"
	keyRight  = "\x1b[C"
)

var codeOnScreen = `Code\s+([0-9A-Z]{4}-[0-9A-Z]{4})`

// The whole way, as a person at home goes it: two Enters, a claim, a record.
func TestWizardOnATerminal(t *testing.T) {
	t.Attr("shows", "one-click")
	t.Run("at home, two Enters", func(t *testing.T) {
		m := newMachine(t).withFoyer()
		m.boot()
		start := time.Now()
		x := m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, downloaded)
		x.see("Where does this server live")
		x.press(keyEnter)
		x.see("> Install <")
		x.press(keyEnter)
		code := x.see(codeOnScreen)
		x.see("Waiting for the first owner")
		x.see("█▀▀|▄▄▄▄▄")
		keys := x.keys
		m.claim(code)
		c := m.client(true)
		m.mustAsk(c, http.MethodPut, "/buckets/b", "", http.StatusCreated)
		m.mustAsk(c, http.MethodPut, "/buckets/b/collections/c", "", http.StatusCreated)
		m.mustAsk(c, http.MethodPut, "/buckets/b/collections/c/records/first", `{"data":{"x":1}}`, http.StatusCreated)
		took := time.Since(start)
		x.see("It has its owner")
		x.press(keyEnter)
		x.end()
		if keys != 2 {
			t.Errorf("%d keys", keys)
		}
		show("from the first command to the first record stored by an app", "%d keys on the terminal, %.1f s", keys, took.Seconds())
	})
	t.Run("the long way, in French, small, without colours", func(t *testing.T) {
		m := newMachine(t).withFoyer()
		m.boot()
		x := m.terminal(40, 12, []string{"LANG=C.UTF-8", "NO_COLOR=1"}, downloaded)
		x.see("> English")
		x.press(keyDown, keyEnter)
		x.see("Où vit ce serveur")
		x.press(keyDown, keyEnter)
		x.see("Quelle adresse web")
		x.press("c", "l", "o", "u", "d", keyEnter)
		x.see("Il manque un point")
		x.press(keyEscape)
		x.see("> À la maison, joignable")
		x.press(keyUp, keyEnter)
		x.see("> Installer <")
		x.resize(80, 24)
		x.see(`> Installer <  \[ Changer quelque chose… \]  \[ Pas maintenant \]`)
		x.press(keyRight, keyEnter)
		x.see("Nom de ce serveur +foyer")
		x.press(keyDown, keyDown, keyEnter)
		x.see("> foyer")
		x.press("\x15", "m", "a", "i", "s", "o", "n", keyEnter)
		x.see("Nom de ce serveur +maison")
		x.resize(40, 12)
		x.press(keyEscape)
		x.see(`https://maison\.local`)
		x.see("> Installer <")
		x.press(keyEnter)
		code := x.see(codeOnScreen)
		x.see("En attente du premier")
		if strings.Contains(x.text(), "█") {
			t.Errorf("a QR code on 12 lines:\n%s", x.text())
		}
		x.press(keyEnter)
		x.end()
		if code == "" || !strings.Contains(m.must("cat", "/etc/foyer/foyer.toml"), "\nname = \"maison\"\n") {
			t.Error("the answers are not in the settings")
		}
	})
	t.Run("nothing is done without a yes", func(t *testing.T) {
		m := newMachine(t).withFoyer()
		m.boot()
		m.off()
		before := list(t, m.root)
		m.boot()
		x := m.terminal(80, 24, []string{"LANG=en_GB.UTF-8", "XDG_CACHE_HOME=/run"}, downloaded)
		x.see("Where does this server live")
		x.press(keyEnter)
		x.see("> Install <")
		x.press("q")
		if code := x.gone(); code != 1 {
			t.Errorf("exit status %d", code)
		}
		x = m.terminal(80, 24, []string{"LANG=en_GB.UTF-8", "XDG_CACHE_HOME=/run"}, downloaded)
		x.see("Going on where you stopped")
		x.press("q")
		x.gone()
		m.off()
		for _, d := range before.diff(list(t, m.root)) {
			t.Error(d)
		}
	})
}

// The screens, the lines and the answers file are three ways of saying the same.
func TestThreeWaysOfAnsweringGiveOneMachine(t *testing.T) {
	t.Attr("shows", "one-click")
	own := []string{`^/var/lib/foyer/(data\.db.*|claim\.json|certificates/.*|router\.secret)$`, ownOfSupervisor, `^/opt/foyer/install/`, `^/root/`}
	answers := "where = \"reachable\"\nlanguage = \"en\"\naddresses = [\"cloud.jeannine-martin.fr\"]\nname = \"maison\"\n"
	ways := map[string]func(m *machine){
		"screens": func(m *machine) {
			x := m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, downloaded)
			x.see("Where does this server live")
			x.press(keyDown, keyEnter)
			x.see("Which web address")
			x.press(strings.Split("cloud.jeannine-martin.fr", "")...)
			x.press(keyEnter)
			x.see("> Install <")
			x.press("c")
			x.see("> Where does")
			x.press(keyDown, keyDown, keyDown, keyEnter)
			x.see("> foyer")
			x.press("\x15")
			x.press(strings.Split("maison", "")...)
			x.press(keyEnter)
			x.see("Name of this server +maison")
			x.press(keyEscape)
			x.see("> Install <")
			x.press(keyEnter)
			x.see(codeOnScreen)
			x.press(keyEnter)
			x.end()
		},
		"lines": func(m *machine) {
			m.must("sh", "-c", `printf '2\ncloud.jeannine-martin.fr\n2\n4\nmaison\n1\n' | LANG=en_GB.UTF-8 HOME=/root `+downloaded+` install --plain`)
		},
		"file": func(m *machine) {
			if err := os.WriteFile(filepath.Join(m.root, "root/answers.toml"), []byte(answers), 0o600); err != nil {
				t.Fatal(err)
			}
			m.install("--answers", "/root/answers.toml")
		},
	}
	made, names := map[string]listing{}, []string{"screens", "lines", "file"}
	var mu sync.Mutex                // guards made
	t.Run("by", func(t *testing.T) { // returns when all of them have
		for _, way := range names {
			t.Run(way, func(t *testing.T) {
				m := newMachine(t).withFoyer()
				m.boot()
				ways[way](m)
				m.wait("the server to be well", func() bool {
					out, _, _ := m.run("foyer", "status", "--json")
					var s struct{ Server struct{ State string } }
					return json.Unmarshal([]byte(out), &s) == nil && s.Server.State == "healthy"
				})
				if toml := m.must("cat", "/etc/foyer/foyer.toml"); !strings.Contains(toml, "\nrouter = \"map\"\n") || !strings.Contains(toml, `"cloud.jeannine-martin.fr"`) {
					t.Errorf("the settings:\n%s", toml)
				}
				m.off()
				all := list(t, m.root).without(own...)
				mu.Lock()
				defer mu.Unlock()
				made[way] = all
			})
		}
	})
	if t.Failed() {
		return
	}
	for _, way := range names[1:] {
		for _, d := range made[names[0]].diff(made[way]) {
			t.Errorf("%s and %s: %s", names[0], way, d)
		}
	}
	show("the same answers by screens, by lines through a pipe and by file", "the same machine: %d files and folders compared", len(made["file"]))
}

// stopInTheMiddle goes through the wizard at home and has the process that installs
// stand still, so that it is in the middle for as long as it takes to look. It
// returns that process.
func (x *terminal) stopInTheMiddle() (worker string) {
	x.m.t.Helper()
	x.see("Where does this server live")
	x.press(keyEnter)
	x.see("> Install <")
	x.press(keyEnter)
	x.see("Installing")
	x.m.wait("the install to begin", func() bool {
		worker, _, _ = x.m.run("pgrep", "-o", "-f", "^"+downloaded+" install --yes") // the oldest: a child that is about to become a command is called so, too
		worker = strings.TrimSpace(worker)
		return worker != ""
	})
	x.m.must("kill", "-STOP", worker)
	return worker
}

// The connection is lost in the middle of the install: it is finished all the
// same, and who comes back sees it. So it is where SIGHUP is ignored, as nohup and
// some service managers have it: whoever looks on must not outlive their terminal.
func TestLostTerminal(t *testing.T) {
	t.Attr("shows", "one-click")
	t.Attr("shows", "mend")
	for name, before := range map[string][]string{"as it comes": nil, "SIGHUP ignored": {"env", "--ignore-signal=HUP"}} {
		t.Run(name, func(t *testing.T) {
			program := slices.Concat(before, []string{downloaded})
			m := newMachine(t).withFoyer()
			m.boot()
			x := m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, program...)
			worker := x.stopInTheMiddle()
			x.hangUp()
			x.gone()
			if out, _, _ := m.run("foyer", "status"); strings.Contains(out, "All is well") {
				t.Fatal("the install had ended already")
			}

			x = m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, program...)
			x.see("Installing")
			x.hangUp() // and again
			x.gone()
			x = m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, program...)
			x.see("Installing")
			m.must("kill", "-CONT", worker)
			code := x.see(codeOnScreen)
			m.claim(code)
			x.see("It has its owner")
			x.press(keyEnter)
			x.end()
			m.healthy()
			x = m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, slices.Concat(before, []string{"foyer"})...)
			x.see("Requests/min")
			x.hangUp()
			x.gone() // the dashboard, too
			show("terminal closed twice in the middle of the install, "+name, "it finished; coming back showed it and its claim code")
		})
	}
}

// The dashboard at a terminal, of an installation that lives.
func TestDashboardOnATerminal(t *testing.T) {
	t.Attr("shows", "one-click")
	m := newMachine(t).withFoyer()
	m.boot()
	// This machine is in no neighbourhood, and nothing installs its updates.
	m.claim(m.installWith([]string{"FOYER_OS_UPDATES=off"}, "--mdns", "off").Claim)
	x := m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, "foyer")
	x.see("All is well")
	x.see(`Disk space +✓ .*free`)
	x.see(`People +1`)

	// Live figures.
	quiet := x.see(`Requests/min +(\d+)`)
	c := m.client(false)
	m.mustAsk(c, http.MethodPut, "/buckets/b", "", http.StatusCreated)
	m.wait("the figures to move", func() bool {
		m.mustAsk(c, http.MethodGet, "/buckets/b", "", http.StatusOK)
		return x.see(`Requests/min +(\d+)`) != quiet
	})
	busy := x.see(`Requests/min +(\d+)`)

	// Every size.
	for _, size := range [][2]int{{40, 12}, {120, 40}, {80, 24}} {
		x.resize(size[0], size[1])
		x.see(`(?s)All is well.*Address.*Q: quit`)
	}

	// A server that ends.
	killed := time.Now()
	syscall.Kill(m.hostPID(true), syscall.SIGKILL)
	x.see("The server stopped \\(signal: killed\\)")
	toldKill := time.Since(killed)
	m.healthy()
	x.see("All is well")
	x.press("l")
	x.see("server started")
	x.press("/", "e", "n", "d", "e", "d", keyEnter)
	x.see("the server ended")
	x.press(keyEscape)
	x.see("All is well")
	x.press("r")
	x.see("Start the server anew")
	x.press("y")
	x.see("as you asked")

	// A Foyer that is stopped.
	stopped := time.Now()
	m.must("systemctl", "stop", "foyer.service")
	x.see("not running")
	toldStop := time.Since(stopped)
	if out, complaint, code := m.run("systemctl", "start", "foyer.service"); code != 0 {
		// The control groups of a machine in a container fail now and then, which is none of Foyer's.
		if status := m.must("systemctl", "show", "-P", "ExecMainStatus", "foyer.service"); status != "219" {
			t.Fatalf("start: %d\n%s%s%s", code, out, complaint, m.journal())
		}
		m.must("systemctl", "start", "foyer.service")
	}
	x.see("All is well")
	x.press("q")
	x.end()
	show("dashboard at 80×24 on a living installation", "requests/min %s → %s; a killed server shows after %.1f s, a stopped Foyer after %.1f s; whole at 40×12 and 120×40", quiet, busy, toldKill.Seconds(), toldStop.Seconds())
}

// Terminals as they come: each is asked in a way it can show.
func TestTerminalsOfEveryKind(t *testing.T) {
	t.Attr("shows", "one-click")
	m := newMachine(t).withFoyer()
	m.boot()
	for _, c := range []struct {
		name          string
		width, height int
		env, command  []string
		sees          string
		types         []string
	}{
		{"a dumb terminal", 80, 24, []string{"TERM=dumb", "LANG=en_GB.UTF-8"}, []string{downloaded}, `1\. At home, just for us\n(?s:.*)\[1\]>`, []string{"1\r", "3\r"}},
		{"a screen reader", 80, 24, []string{"ACCESSIBLE=1", "LANG=fr_FR.UTF-8"}, []string{downloaded}, `1\. À la maison, juste pour nous\n(?s:.*)\[1\]>`, []string{"1\r", "3\r"}},
		{"a serial console that tells no size", 0, 0, []string{"TERM=vt220", "LANG=en_GB.UTF-8"}, []string{downloaded}, "> At home, just for us", []string{"q"}},
		{"no UTF-8", 80, 24, []string{"TERM=linux", "LANG=fr_FR"}, []string{downloaded}, `> A la maison, juste pour nous\n(?s:.*)\^v : choisir`, []string{"q"}},
		{"vt100", 80, 24, []string{"TERM=vt100", "LANG=en_GB.UTF-8"}, []string{downloaded}, "> At home, just for us", []string{"q"}},
		{"curl … | sh", 80, 24, []string{"LANG=en_GB.UTF-8"}, []string{"sh", "-c", "echo exec " + downloaded + " | sh"}, "> At home, just for us", []string{"q"}},
	} {
		width, height := c.width, c.height
		x := m.terminalOf(width, height, max(width, 80), max(height, 24), append(c.env, "XDG_CACHE_HOME=/run/kinds"), c.command...)
		x.see(c.sees)
		x.press(c.types...)
		if code := x.gone(); code != 1 {
			t.Errorf("%s: exit status %d; the screen shows:\n%s", c.name, code, x.text())
		}
		m.must("rm", "-rf", "/run/kinds")
	}
	show("terminals", "dumb, screen reader, serial 0×0, no UTF-8, vt100, curl | sh: each is asked in a way it can show")
}
