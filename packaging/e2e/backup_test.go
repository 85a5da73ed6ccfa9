//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// backupJSON is the backup, as `foyer backup --json` tells of it.
func (m *machine) backup() (b report.Backup) {
	m.t.Helper()
	if out := m.must("foyer", "backup", "--json"); json.Unmarshal([]byte(out), &b) != nil {
		m.t.Fatalf("foyer backup says %s", out)
	}
	return b
}

// withWords runs a command of foyer's that gets the words of a kit on standard input.
func (m *machine) withWords(words string, args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	cmd := m.command(nil, args...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(words+"\n"), &out, &complaint
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		m.t.Fatalf("cannot run %q inside: %v", args, err)
	}
	return out.String(), complaint.String(), cmd.ProcessState.ExitCode()
}

// newKit makes words.
func newKit(t *testing.T) string {
	t.Helper()
	k, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(k.Words(hint.EN), " ")
}

// stick plugs a disk in at /media/stick, and pulls it out again.
func (m *machine) plug() { m.must("mount", "--bind", "/var/stick", "/media/stick") }
func (m *machine) pull() { m.must("umount", "/media/stick") }

// finding is what a check found.
func (m *machine) finding(code string) (f findingJSON) {
	out, _, _ := m.run("foyer", "status", "--json")
	var s struct{ Checks []findingJSON }
	if json.Unmarshal([]byte(out), &s) != nil {
		return f
	}
	for _, f := range s.Checks {
		if f.Code == code {
			return f
		}
	}
	return f
}

// A stick is plugged in, and a backup begins with one command: it goes on by itself, is
// restored by a process that cannot open the data, outlives the stick's absence, and ends when
// it is to.
func TestAnInstalledMachineIsBackedUp(t *testing.T) {
	t.Attr("shows", "backups")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install().Claim)
	m.healthy()
	m.fill(2000)
	m.must("sh", "-c", "mkdir -p /var/stick /media/stick && mount -t tmpfs -o mode=755 stick /var/stick")
	words := newKit(t)

	// What cannot be is said, and changes nothing.
	for _, c := range []struct{ dir, code string }{
		{"/home/jeannine/stick", "target-hidden"}, {"/media/none/stick", "target-away"}, {"/media/stick", "target-same-disk"}, {"/var/lib/foyer/backup", "target-inside"},
	} {
		out, complaint, code := m.withWords(words, "foyer", "backup", "to", c.dir, "--words", "--json")
		var failed struct{ Error string }
		if json.Unmarshal([]byte(out), &failed) != nil || failed.Error != c.code || code == 0 {
			t.Errorf("backup to %s: exit status %d, %s%s; want %s", c.dir, code, out, complaint, c.code)
		}
	}
	if b := m.backup(); b.To != "" || b.Chain != "" {
		t.Fatalf("after refusals: %+v", b)
	}
	if out := m.must("sh", "-c", "stat -c %U /media/stick; ls -A /media/stick /media /home"); strings.Contains(out, "foyer") {
		t.Errorf("after refusals there is\n%s", out)
	}

	m.plug()
	if out, complaint, code := m.withWords(words, "foyer", "backup", "to", "/media/stick", "--words", "--json"); code != 0 {
		t.Fatalf("backup to /media/stick: exit status %d, %s%s%s", code, out, complaint, m.journal())
	}
	b := m.backup()
	if b.To != "/media/stick/foyer" || b.Chain == "" {
		t.Fatalf("it began as %+v", b)
	}
	m.wait("the first backup", func() bool { return !m.backup().Complete.IsZero() })
	m.wait("the first restore to see", func() bool { return m.backup().Proven != nil || m.backup().Failed != nil })
	b = m.backup()
	if b.Failed != nil || b.Proven == nil || !b.Proven.Confined || !b.Proven.Compared || b.Proven.Records < 2000 || b.Proven.People != 1 {
		t.Fatalf("the restore to see: %+v, %+v%s", b.Proven, b.Failed, m.journal())
	}
	show("a backup restored to see", "%d records, %d lists read by a client, by a process that cannot open the data, %.1f s", b.Proven.Records, b.Proven.Lists, b.Proven.Seconds)
	if left, err := os.ReadDir(m.at("/var/lib/foyer-supervisor/backup/drill")); err != nil || len(left) > 3 {
		t.Errorf("a restore to see left %v, %v", left, err)
	}

	// Once more, by hand; and all of it is read.
	for _, args := range [][]string{{"now"}, {"drill"}, {"check"}, {"list"}, {}} {
		if out, complaint, code := m.run(append([]string{"foyer", "backup"}, args...)...); code != 0 || strings.TrimSpace(out) == "" {
			t.Errorf("foyer backup %s: exit status %d\n%s%s", args, code, out, complaint)
		}
	}

	// The stick is pulled out in the middle of it: nothing holds it, nothing is written in its
	// place, and all goes on when it is back, in the same process.
	pid := m.status().Server.PID
	m.pull()
	m.wait("the missing stick to be told", func() bool { return m.finding("backup").Cause == "target-away" })
	c := m.client(true)
	m.mustAsk(c, http.MethodPut, "/buckets/many/collections/c/records/while-away", `{"data":{"n":1}}`, http.StatusCreated)
	if left, err := os.ReadDir(m.at("/media/stick")); err != nil || len(left) > 0 {
		t.Errorf("in the place of the stick there is %v, %v", left, err)
	}
	m.plug()
	m.wait("the backup to go on", func() bool { b := m.backup(); return b.Problem == nil && time.Since(b.Complete) < 20*time.Second })
	if now := m.status().Server.PID; now != pid {
		t.Errorf("the server was replaced for a stick: %d, and it was %d", now, pid)
	}
	// A machine that starts without its stick sees it when it is plugged in.
	m.pull()
	m.must("systemctl", "restart", "foyer")
	m.healthy()
	m.wait("the missing stick to be told", func() bool { return m.finding("backup").Cause == "target-away" })
	m.plug()
	m.wait("the backup to go on", func() bool {
		b := m.backup()
		return b.Problem == nil && !b.Complete.IsZero() && time.Since(b.Complete) < 20*time.Second
	})

	// At a terminal: new words, of which two are asked for, and a mistake in one.
	first := m.backup().Chain
	x := m.terminal(100, 40, []string{"LANG=en_GB.UTF-8"}, "foyer", "backup", "to", "/media/stick/foyer", "--new")
	shown := regexp.MustCompile(`(\d+)  ([a-z]+)`).FindAllStringSubmatch(strings.Split(x.see(`(?s)Write them on paper(.*)On your paper`), "On your paper")[0], -1)
	if len(shown) != 12 {
		t.Fatalf("%d words are shown:\n%s", len(shown), x.text())
	}
	onPaper := map[string]string{}
	var typed []string
	for _, w := range shown {
		onPaper[w[1]] = w[2]
		typed = append(typed, w[2])
	}
	x.see(`what is word \d+\?`)
	x.press("zebra\r")
	x.see(`That is not word (\d+)`)
	asked := map[string]bool{}
	for range 2 {
		n := x.see(`(?s).*what is word (\d+)\?\n\s*$`)
		if asked[n] {
			t.Errorf("word %s is asked for twice", n)
		}
		asked[n] = true
		x.press(onPaper[n][:min(4, len(onPaper[n]))] + "\r")
		x.see(`(?s)(what is word \d+\?.*){` + strconv.Itoa(len(asked)+2) + `}|The backup has begun`)
	}
	x.see(`The backup has begun, in /media/stick/foyer`)
	x.end()
	if b := m.backup(); b.Chain == first || b.Chain == "" {
		t.Errorf("a new backup is %+v", b)
	}
	if k, err := kit.Read(strings.Join(typed, " ")); err != nil {
		t.Errorf("what was shown are no words of a kit: %v, %v", k, err)
	}
	m.must("foyer", "backup", "now")

	// What the words open is nowhere on the machine, nor are the words.
	if out, complaint, code := m.withWords(words, "grep", "-rlFf", "-", "/var/lib/foyer", "/var/lib/foyer-supervisor", "/var/lib/foyer-helper", "/run/foyer", "/var/log", "/etc/foyer", "/var/stick"); code != 1 {
		t.Errorf("the words are in %s%s", out, complaint)
	}
	if out, complaint, _ := m.withWords(words, "sh", "-c", `read -r w; journalctl --no-pager | grep -cF "$w"`); strings.TrimSpace(out) != "0" {
		t.Errorf("the words are in the journal, %s times%s", out, complaint)
	}

	m.must("foyer", "backup", "forget")
	if b := m.backup(); b.To != "" || b.Chain != "" {
		t.Errorf("after it was ended: %+v", b)
	}
	if unit, err := os.ReadFile(m.at("/etc/systemd/system/foyer.service")); err != nil || strings.Contains(string(unit), "/media") {
		t.Errorf("the service may still write to disks, %v:\n%s", err, unit)
	}
	if out := m.must("sh", "-c", "ls /var/stick/foyer | wc -l"); out == "0" {
		t.Error("what was backed up is gone")
	}
	m.pull()
	show("an installed machine is backed up", "begun, proven, pulled out and plugged in again, read whole and ended")
}
