//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rootJob is the record of a job that root did.
type rootJob struct {
	jobJSON
	Said []struct {
		EN string `json:"en"`
	} `json:"said"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code string `json:"code"`
		What struct {
			EN string `json:"en"`
		} `json:"what"`
	} `json:"error"`
}

func (j rootJob) outcome() string {
	if j.Error != nil {
		return j.State + " " + j.Error.Code
	}
	return j.State
}

// rootJobs are the records there are, the newest first; nil while nobody answers.
func (m *machine) rootJobs() (all []rootJob) {
	out, _, code := m.run("foyer", "jobs", "--json")
	if code == 0 && json.Unmarshal([]byte(out), &all) != nil {
		m.t.Errorf("foyer jobs says %s", out)
	}
	return all
}

// asks has the supervisor ask root, and waits until that has come to an end, whatever is
// started again meanwhile.
func (m *machine) asks(verb string, args ...string) rootJob {
	m.t.Helper()
	before := ""
	m.wait("the supervisor to answer", func() bool {
		_, _, code := m.run("foyer", "jobs", "--json")
		return code == 0
	})
	if all := m.rootJobs(); len(all) > 0 {
		before = all[0].ID
	}
	_, _, code := m.run(append([]string{"foyer", "jobs", "start", verb}, args...)...)
	var job rootJob
	m.wait(verb+" to come to an end", func() bool {
		all := m.rootJobs()
		if len(all) > 0 && all[0].ID != before {
			job = all[0]
		}
		return job.ID != "" && job.ended()
	})
	if job.Kind != verb {
		m.t.Fatalf("asked for %s, and the newest job is %+v", verb, job)
	}
	if (code == 0) != (job.State == "done") {
		m.t.Errorf("%s: the command ends with %d, and the job is %s", verb, code, job.State)
	}
	return job
}

// at sets the hour of the machine's own clock.
func (m *machine) atHour(hour int) {
	m.t.Helper()
	ahead := (hour - time.Now().UTC().Hour() + 24) % 24
	if ahead > 12 {
		ahead -= 24
	}
	m.must("ln", "-sfn", fmt.Sprintf("/usr/share/zoneinfo/Etc/GMT%+d", -ahead), "/etc/localtime")
}

// Each verb, done once on a machine of its own.
func TestRootDoesWhatTheServiceAsksFor(t *testing.T) {
	t.Attr("shows", "ground")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install("--mdns", "off").Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)

	out := m.must("systemd-analyze", "security", "--no-pager", "foyer-helper.service")
	found := regexp.MustCompile(`Overall exposure level for foyer-helper\.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no figure in\n%s", out)
	}
	if level, err := strconv.ParseFloat(found[1], 64); err != nil || level > 1.5 {
		t.Errorf("exposure %s\n%s", found[1], out)
	}
	show("systemd-analyze security foyer-helper.service", "%s (at most 1.5)", found[1])

	// A Foyer from before the helper: it says so, and an upgrade adds it.
	m.must("sh", "-c", `cd /etc/systemd/system && systemctl stop foyer-helper.path && rm foyer-helper.path foyer-helper.service &&
		sed -i 's/ foyer-helper.path$//; s/^RuntimeDirectory=foyer foyer-helper$/RuntimeDirectory=foyer/' foyer.service && systemctl daemon-reload && systemctl restart foyer.service`)
	m.healthy()
	if out, complaint, code := m.run("foyer", "jobs", "start", "read-machine"); code == 0 || !strings.Contains(out+complaint, "[helper-missing]") {
		t.Errorf("without the helper (%d): %s%s", code, out, complaint)
	}
	if got := m.install("--replace-edited"); !got.Changed {
		t.Errorf("the upgrade changed nothing: %+v", got)
	}
	m.healthy()

	// read-machine
	began := time.Now()
	job := m.asks("read-machine")
	m.must("rm", "-f", "/etc/systemd/system/foyer.service.edited")
	var read struct {
		System struct {
			Kernel string `json:"kernel"`
			Uptime int64  `json:"uptime_seconds"`
		} `json:"system"`
		Memory struct {
			Total     uint64 `json:"total_bytes"`
			Available uint64 `json:"available_bytes"`
		} `json:"memory"`
		KernelLog *struct {
			Lines []any `json:"lines"`
		} `json:"kernel_log"`
		Pressure, Disks, Power, Temperatures *struct {
			Missing *struct {
				EN string `json:"en"`
			} `json:"missing"`
		}
	}
	if err := json.Unmarshal(job.Result, &read); err != nil || job.State != "done" {
		t.Fatalf("read-machine: %+v: %v%s", job, err, m.journal())
	}
	if read.System.Kernel == "" || read.System.Uptime == 0 || read.Memory.Total == 0 || read.Memory.Available == 0 || read.KernelLog == nil || read.Pressure == nil || read.Disks == nil || read.Power == nil || read.Temperatures == nil || len(job.Result) > 64<<10 {
		t.Errorf("read-machine: %s", job.Result)
	}
	show("read-machine, through the whole way", "%d bytes, asked, done and told in %.1f s", len(job.Result), time.Since(began).Seconds())

	// repair-owners
	m.must("chown", "-R", "root:root", "/var/lib/foyer")
	m.must("chmod", "600", "/etc/foyer/foyer.toml")
	if pid := m.hostPID(true); pid != 0 {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	m.wait("the server to be deaf", func() bool { return m.status().Server.State != "healthy" })
	job = m.asks("repair-owners")
	if job.State != "done" || !strings.Contains(string(job.Result), "/var/lib/foyer") {
		t.Fatalf("repair-owners: %+v %s%s", job, job.Result, m.journal())
	}
	m.healthy()
	m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK)
	if job = m.asks("repair-owners"); job.State != "done" || !strings.Contains(string(job.Result), `"changed":false`) {
		t.Errorf("repair-owners, with nothing to repair: %+v %s", job, job.Result)
	}
	if out, complaint, code := m.run("foyer", "doctor"); code != 0 {
		t.Errorf("after the repair the doctor says (%d)\n%s%s", code, out, complaint)
	}

	// apply-settings: another port, and back.
	listens := func() string { return m.must("systemctl", "show", "--property=Listen", "foyer.socket") }
	for _, port := range []string{"8443", "443"} {
		m.must("sh", "-c", `sed -i '/^https_port/d' /etc/foyer/foyer.toml && printf 'https_port = `+port+`\n' >/run/port && cat /etc/foyer/foyer.toml >>/run/port && cat /run/port >/etc/foyer/foyer.toml`)
		job = m.asks("apply-settings")
		if job.State != "done" || !strings.Contains(string(job.Result), "foyer.socket") || !strings.Contains(listens(), ":"+port+" ") {
			t.Fatalf("apply-settings, port %s: %+v %s; it listens on %s%s", port, job, job.Result, listens(), m.journal())
		}
		m.healthy()
	}
	m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK)
	if got := m.install(); got.Changed {
		t.Errorf("an install after that changes %+v", got.Plan)
	}
	m.must("sh", "-c", `printf 'https_port = 99999\n' >>/etc/foyer/foyer.toml`)
	if job = m.asks("apply-settings"); job.outcome() != "failed settings-malformed" {
		t.Errorf("settings that are none: %+v %+v", job, job.Error)
	}
	m.must("sh", "-c", `sed -i '$d' /etc/foyer/foyer.toml`)

	// reboot: by day not at night, then really, twice, and not three times.
	m.atHour(12)
	if job = m.asks("reboot", "reason=asked", "window=night"); job.outcome() != "failed helper-window" {
		t.Errorf("at noon, in the night: %+v %+v", job, job.Error)
	}
	began = time.Now()
	for n, window := range []string{"now", "night"} {
		if window == "night" {
			m.atHour(3)
		}
		m.restarts(func() { m.run("foyer", "jobs", "start", "reboot", "reason=asked", "window="+window) })
		m.healthy()
		var newest rootJob
		m.wait("the restart to have come to an end", func() bool {
			if all := m.rootJobs(); len(all) > 0 {
				newest = all[0]
			}
			return newest.ended()
		})
		if newest.Kind != "reboot" || newest.State != "done" {
			t.Errorf("restart %d (%s): %+v %+v%s", n+1, window, newest, newest.Error, m.journal())
		}
	}
	if job = m.asks("reboot", "reason=asked", "window=now"); job.outcome() != "failed helper-limit" {
		t.Errorf("a third restart: %+v %+v", job, job.Error)
	}
	m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK)
	show("repair-owners, apply-settings, reboot", "owners of all data and settings given back; the port changed and changed back; refused by window; restarted twice in %.0f s; refused by limit", time.Since(began).Seconds())

	// All of it goes with the rest.
	m.must("foyer", "uninstall", "--purge", "--yes")
	for _, path := range []string{"/var/lib/foyer-helper", "/run/foyer-helper", "/etc/systemd/system/foyer-helper.path", "/etc/systemd/system/foyer-helper.service"} {
		if _, _, code := m.run("test", "-e", path); code == 0 {
			t.Errorf("after a purge there is %s", path)
		}
	}
	m.wait("systemd to forget the units", func() bool {
		out, _, _ := m.run("systemctl", "list-units", "--all", "--no-legend", "foyer*")
		return strings.TrimSpace(out) == ""
	})
}

// restarts has the machine restarted by what do does: systemd-nspawn ends with a status of
// its own when the system inside asks for that (systemd-nspawn(1), --keep-unit), and is
// started again, as its unit would be.
func (m *machine) restarts(do func()) {
	m.t.Helper()
	do()
	select {
	case <-m.exited:
	case <-time.After(patience):
		m.t.Fatalf("the machine does not go down%s", m.journal())
	}
	if code := m.nspawn.ProcessState.ExitCode(); code != 133 {
		m.t.Fatalf("the machine went down and did not ask to be started again: %d", code)
	}
	m.nspawn, m.leader = nil, 0
	m.boot()
}

// asFoyer runs a script as user foyer, outside of the service's walls: whoever took over the
// service has less. What it prints is returned.
func (m *machine) asFoyer(script string) (out string, code int) {
	m.t.Helper()
	out, complaint, code := m.run("runuser", "-u", "foyer", "--", "sh", "-c", script)
	return out + complaint, code
}

// helperCPU is how much processor time root's end has taken, of which there is one process
// at a time, and which one that is; 0 while there is none.
func (m *machine) helperCPU() (pid string, spent time.Duration) {
	m.t.Helper()
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.leader))
	if err != nil {
		m.t.Fatal(err)
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is ours
	for _, p := range procs {
		cmdline, err := os.ReadFile(p)
		if err != nil || string(cmdline) != "/opt/foyer/current/foyer\x00helper\x00" {
			continue
		}
		dir := filepath.Dir(p)
		if its, _ := os.Readlink(filepath.Join(dir, "ns/pid")); its != ns {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); err == nil && len(f) > 13 { // proc_pid_stat(5): utime, stime, in hundredths of a second
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			return filepath.Base(dir), time.Duration(user+system) * 10 * time.Millisecond
		}
	}
	return "", 0
}

// Whoever is user foyer writes whatever they like where requests lie. Nothing but the table
// happens; units do not fail for good; the verbs work afterwards.
func TestRootIsAttackedByTheService(t *testing.T) {
	t.Attr("shows", "ground")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install("--mdns", "off").Claim)
	if job := m.asks("read-machine"); job.State != "done" {
		t.Fatalf("before all: %+v %+v%s", job, job.Error, m.journal())
	}
	m.wait("the data to be known", func() bool {
		_, err := os.Stat(filepath.Join(m.root, "var/lib/foyer-supervisor/claimed.json"))
		return err == nil
	})
	m.must("sh", "-c", "echo secret >/root/secret; chmod 600 /root/secret")
	// Foyer's own data and journals go on; anything else stays.
	own := []string{`^/var/lib/foyer/data\.db`, ownOfSupervisor, `^/var/lib/foyer-helper/(journal|jobs/.*)$`, `^/var/log/`, `^/var/lib/foyer/attachments`}
	before := list(t, m.root).without(own...)
	quiet := func(what string) {
		t.Helper()
		m.wait("the requests to be gone: "+what, func() bool {
			return m.must("sh", "-c", "ls -A /run/foyer-helper | head -5") == ""
		})
		for _, unit := range []string{"foyer-helper.path", "foyer-helper.service", "foyer.service"} {
			if state := m.must("systemctl", "show", "--property=ActiveState", "--value", unit); state == "failed" {
				t.Errorf("%s: %s has failed%s", what, unit, m.journal())
			}
		}
		for _, d := range before.diff(list(t, m.root).without(own...)) {
			t.Errorf("%s: %s", what, d)
		}
	}

	const n = "20260101-00000000"
	attacks := map[string]string{
		"links to files":          `ln -s /etc/shadow ` + n + `1-aaaa.json; ln -s /root/secret secret; ln -s /etc/passwd .hidden; ln -s /var/lib/foyer-helper/journal j.json`,
		"links to folders":        `ln -s /etc ` + n + `2-aaaa.json; ln -s /root root; ln -s / slash; ln -s /var/lib/foyer-helper/jobs jobs`,
		"second names":            `echo '{"id":"` + n + `3-aaaa","verb":"read-machine"}' >/run/foyer/one; ln /run/foyer/one ` + n + `3-aaaa.json || cp /run/foyer/one x; ln x ` + n + `3-aaaa.json; ln /run/utmp utmp; ln /etc/passwd passwd; true`,
		"pipes, folders, sockets": `mkfifo ` + n + `4-aaaa.json pipe; mkdir -p a/b/c/d ` + n + `5-aaaa.json; ln -s /etc a/b/etc; mkfifo a/b/c/pipe; perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0) or die; bind(S,sockaddr_un("sock")) or die'`,
		"halves and giants":       `printf '{"id":"` + n + `6-aaaa","ver' >` + n + `6-aaaa.json; head -c 20000000 /dev/zero >` + n + `7-aaaa.json; : >empty; printf '\377\376\000' >binary`,
		"what is not in the table": `i=0; for r in '"verb":"sh","args":{"c":"touch /etc/pwned"}' '"verb":"repair-owners","args":{"data":"../../etc"}' '"verb":"repair-owners","args":{"path":"/etc/shadow"}' '"verb":"apply-settings","args":{"settings":"/var/lib/foyer/evil.toml"}' '"verb":"reboot","args":{"reason":"x; touch /etc/pwned","window":"now"}' '"verb":"../../bin/sh"' '"verb":"read-machine","args":{"out":"/etc/pwned"}'; do
			i=$((i+1)); printf '{"id":"20260102-00000000%d-aaaa",%s}' $i "$r" >20260102-00000000$i-aaaa.json; done
			printf '{"id":"../../../etc/pwned","verb":"read-machine"}' >p.json; printf '{"id":"20260102-000000009-aaaa","verb":"read-machine"}' >'..pwned'`,
		"ten thousand at once": `i=0; while [ $i -lt 10000 ]; do echo '{"id":"20260103-000000000-aaaa","verb":"none"}' >$i.json; i=$((i+1)); done`,
		"the folder itself":    `cd /; mv /run/foyer-helper /run/elsewhere; rm -rf /run/foyer-helper; rmdir /run/foyer-helper; ln -sfn /etc /run/foyer-helper; mkdir -p /run/foyer-helper/x/y; chmod 0777 /run/foyer-helper; true`,
	}
	for what, script := range attacks {
		if out, code := m.asFoyer("cd /run/foyer-helper && " + script); code != 0 {
			t.Fatalf("%s: the attack itself fails (%d): %s", what, code, out)
		}
		quiet(what)
	}
	if out := m.must("stat", "-c", "%F %U", "/run/foyer-helper"); out != "directory foyer" {
		t.Errorf("the folder of requests is a %s", out)
	}
	// The folder of root's.
	for _, script := range []string{
		"echo x >>/var/lib/foyer-helper/journal", "cat /var/lib/foyer-helper/journal", "touch /var/lib/foyer-helper/x", "mv /var/lib/foyer-helper/jobs /var/lib/foyer-helper/old",
		"rm -f /var/lib/foyer-helper/jobs/* && ! ls /var/lib/foyer-helper/jobs/* >/dev/null", "ln -s /etc /var/lib/foyer-helper/jobs/x", "echo x >/var/lib/foyer-helper/lock",
	} {
		if out, code := m.asFoyer(script); code == 0 {
			t.Errorf("user foyer can: %s: %s", script, out)
		}
	}
	if out, code := m.asFoyer("cat /var/lib/foyer-helper/jobs/*.json | head -1"); code != 0 || !strings.Contains(out, `"kind"`) {
		t.Errorf("user foyer cannot read the records (%d): %s", code, out)
	}
	show("attacked by user foyer", "%d kinds of attack, 10,000 requests at once among them: nothing outside the table happened (%d files, folders and links compared each time), no unit failed", len(attacks), len(before))

	// Without end: somebody writes for as long as this takes.
	seconds := 8
	if os.Getenv("FOYER_E2E_WHOLE") != "" {
		seconds = 60
	}
	flood := m.command(nil, "runuser", "-u", "foyer", "--", "sh", "-c", fmt.Sprintf(`cd /run/foyer-helper; end=$(($(date +%%s)+%d)); i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); echo x >j$i 2>/dev/null; [ $((i %% 1000)) = 0 ] && [ $(date +%%s) -ge $end ] && break; done; true`, seconds))
	if err := flood.Start(); err != nil {
		t.Fatal(err)
	}
	began, spent := time.Now(), map[string]time.Duration{}
	done := make(chan error, 1)
	go func() { done <- flood.Wait() }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-time.After(time.Second):
			if pid, cpu := m.helperCPU(); pid != "" {
				spent[pid] = cpu
			}
		}
	}
	took, sum := time.Since(began), time.Duration(0)
	for _, cpu := range spent {
		sum += cpu
	}
	quiet("requests without end")
	starts := strings.Count(m.must("journalctl", "-u", "foyer-helper.service", "-o", "cat", "--no-pager"), "Starting ")
	if share := sum.Seconds() / took.Seconds(); share > 0.7 || sum == 0 {
		t.Errorf("the helper took %.0f%% of a processor", 100*share)
	}
	if job := m.asks("read-machine"); job.State != "done" {
		t.Errorf("after the flood: %+v %+v%s", job, job.Error, m.journal())
	}
	show("requests without end, for some time", "%.0f s of them: the helper took %.1f s of processor time, was started %d times since the machine was; the verbs work afterwards", took.Seconds(), sum.Seconds(), starts)

	// Even a link of root's in the place of the folder is not gone through.
	m.must("systemctl", "stop", "foyer.service", "foyer.socket")
	m.must("ln", "-sfn", "/etc", "/run/foyer-helper")
	time.Sleep(3 * time.Second) // long enough for systemd to have started it
	for _, d := range before.diff(list(t, m.root).without(own...)) {
		t.Errorf("a link in the place of the folder: %s", d)
	}
	m.must("rm", "/run/foyer-helper")
	m.must("systemctl", "start", "foyer.socket", "foyer.service")
	m.healthy()
	if job := m.asks("read-machine"); job.State != "done" {
		t.Errorf("after the link: %+v %+v%s", job, job.Error, m.journal())
	}
	// A program that cannot be started, and a request that stays: systemd does not spin.
	m.must("mv", "/opt/foyer/current", "/opt/foyer/away")
	m.asFoyer(`echo x >/run/foyer-helper/x`)
	starting := func() int {
		return strings.Count(m.must("journalctl", "-u", "foyer-helper.service", "-o", "cat", "--no-pager"), "Starting ")
	}
	tries := starting()
	time.Sleep(11 * time.Second)
	if tries = starting() - tries; tries > 6 {
		t.Errorf("started %d times within 11 s though it cannot be", tries)
	}
	m.must("mv", "/opt/foyer/away", "/opt/foyer/current")
	quiet("a program that was away")
	if job := m.asks("read-machine"); job.State != "done" {
		t.Errorf("with the program back: %+v %+v%s", job, job.Error, m.journal())
	}
	if _, err := os.Stat(filepath.Join(m.root, "etc/pwned")); err == nil {
		t.Error("an argument was obeyed")
	}
}
