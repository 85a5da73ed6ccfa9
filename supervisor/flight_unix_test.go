//go:build unix

package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/supervisor/recorder"
)

// phrases are what people call themselves, write and are at, in the forms they come in.
var phrases = []string{"Maximilienne Planted", "maximilienne@planted.example", "https://planted.example/join/7Hq2Lm9X", "203.0.113.77", "2001:db8::7:1234", "planted_phrase", "Planted-Phrase"}

// forms are how a phrase could lie in a file.
func forms(phrase string) (out [][]byte) {
	for _, text := range []string{phrase, strings.ToLower(phrase), strings.ToUpper(phrase)} {
		out = append(out, []byte(text), []byte(hex.EncodeToString([]byte(text))), []byte(strings.ToUpper(hex.EncodeToString([]byte(text)))))
		for skip := range 3 { // wherever in a text it begins
			for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				whole := coding.EncodeToString([]byte(strings.Repeat("x", skip) + text))
				out = append(out, []byte(whole[4:len(whole)-4])) // what does not depend on what is around it
			}
		}
	}
	return out
}

// planted texts are said by a check, by jobs, their arguments, results and errors, by events, by
// the server, and in the kernel's log; the server is killed. What happened is in the flight
// recorder, and nothing of what was said.
func TestTheFlightRecorderHoldsNothingOfAnybody(t *testing.T) {
	t.Attr("shows", "health")
	state := t.TempDir()
	all := strings.Join(phrases, " ")
	said := hint.Verbatim(all)
	var s *Supervisor
	kernelAt := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	var lines []host.LogLine
	for _, p := range phrases {
		lines = append(lines, host.LogLine{At: kernelAt, About: "disk", Text: "EXT4-fs error (device mmcblk0p2): reading directory: comm " + p + ": inode " + p})
	}
	fails := hint.New("it-failed", said, said, said)
	r := startWith(t, "ok", func(c *Config) {
		c.StateDir = state
		serve := c.Serve
		c.Serve = func() *exec.Cmd {
			cmd := serve()
			cmd.Args = append(cmd.Args, phrases...)
			return cmd
		}
		c.Rooms = []Room{Looks{{Code: "planted", Title: said, Run: func(context.Context) health.Finding {
			return health.Finding{Severity: health.Warning, What: said, Did: said, Do: said, Cause: all}
		}}}}
		c.Jobs = []job.Kind{
			{Name: "fails", Title: said, Args: map[string][]string{"who": phrases}, Words: map[string]hint.Text{phrases[0]: said}, Run: func(_ context.Context, t *job.Task) error {
				t.Say(said)
				if err := t.Result(phrases); err != nil {
					return err
				}
				return fails
			}},
			{Name: helper.VerbReadMachine, Title: said, Run: func(_ context.Context, t *job.Task) error {
				return t.Result(host.Readings{KernelLog: host.KernelLog{Lines: lines}})
			}},
		}
		parts := c.Parts
		c.Parts = append(parts, Part{Name: "x", Title: said, Write: func(context.Context, io.Writer) error { return nil }})
	}, func(made *Supervisor) { s = made })
	r.until(t, "healthy", func(st report.Status) bool { return st.Server.State == "healthy" })
	for _, p := range phrases {
		for _, code := range []string{"server-stopped", p} {
			s.events.Add(event.Event{Code: code, Subject: p, What: said, Did: said, Do: said})
		}
		s.flight.repaired(event.Event{Code: "repaired", Subject: p, What: said})
	}
	for _, start := range []struct {
		kind string
		args map[string]string
	}{{"fails", map[string]string{"who": phrases[0]}}, {helper.VerbReadMachine, nil}} {
		asked, err := s.jobs.Start(start.kind, start.args, all)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.jobs.Follow(t.Context(), asked.ID, func(job.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	pid := r.pid(t)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until(t, "another server", func(st report.Status) bool {
		return st.Server.State == "healthy" && st.Server.PID != pid && len(st.Course) > 0
	})
	r.stop()
	file, err := os.ReadFile(RecordingIn(state))
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	for _, p := range phrases {
		for _, form := range forms(p) {
			looks++
			if bytes.Contains(file, form) {
				t.Errorf("it holds %q, of %q", form, p)
			}
		}
	}
	if bytes.Contains(bytes.ToLower(file), []byte("maximilienne")) {
		t.Error("it holds a name")
	}
	var got []string
	figures := 0
	records, _ := recorded(t, state)
	for _, r := range records {
		switch {
		case r.Decision != nil:
			got = append(got, strings.TrimSpace(r.Decision.Code+" "+r.Decision.About+" "+r.Decision.Cause))
			if signal := value(r.Decision.Numbers, recorder.Signal); r.Decision.Cause == recorder.Killed && (signal != int64(syscall.SIGKILL) || value(r.Decision.Numbers, recorder.Process) != int64(pid)) {
				t.Errorf("%+v, the server was process %d", r.Decision, pid)
			}
		case r.Kernel != nil:
			got = append(got, "kernel "+r.Kernel.Device)
			if !r.Kernel.At.Equal(kernelAt) || r.Kernel.Class != recorder.FileSystemError {
				t.Errorf("%+v", r.Kernel)
			}
		default:
			figures++
		}
	}
	for _, want := range []string{
		"foyer-started", "server-started", "finding planted other", "job-begun fails", "job-ended fails failed", "job-begun read-machine", "job-ended read-machine done",
		"kernel mmcblk0p2", "server-ended  killed", "server-ended  stopped", "foyer-stopped", "repaired other",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("it lacks %q: %q", want, got)
		}
	}
	if figures == 0 || got[0] != "foyer-started" || got[len(got)-1] != "foyer-stopped" {
		t.Errorf("%d figures; %q", figures, got)
	}
	t.Logf("SHOW the flight recorder of a supervisor: %d phrases planted in findings, jobs, arguments, results, errors, events and the kernel's log, %d looks for them: none is in it; %d decisions and %d lots of figures are", len(phrases), looks, len(got), figures)
}

// flyIn is a process with a supervisor, to be killed.
func flyIn(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := New(Config{
		Serve: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "FOYER_TEST_SERVER=ok")
			return cmd
		},
		StateDir: dir, DataDir: dir, RunDir: dir, Version: "1", Addresses: func() []string { return nil }, Log: slog.New(slog.DiscardHandler), Journal: NewJournal(io.Discard),
		Notify: func(state string) error {
			if strings.HasPrefix(state, "READY=1") {
				fmt.Println("ready")
			}
			return nil
		},
	})
	if err := s.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// The supervisor is killed some times: each time the next one has it in its flight recorder that
// nothing said it was stopped, and what it was at.
func TestTheFlightRecorderAfterADeath(t *testing.T) {
	t.Attr("shows", "health")
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const kills = 4
	for n := range kills + 1 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FOYER_TEST_FLIGHT="+dir, "GORACE=atexit_sleep_ms=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if said, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", said, err)
		}
		started := func() bool { // it is on the disk that this one has a server
			r, err := recorder.Read(RecordingIn(dir))
			if err != nil {
				t.Fatal(err)
			}
			is := false
			for f := range r.Frames() {
				for _, record := range f.Records {
					is = is || f.Run == uint32(n+1) && record.Decision != nil && record.Decision.Code == "server-started"
				}
			}
			return is
		}
		for deadline := time.Now().Add(2 * time.Minute); !started(); <-time.After(10 * time.Millisecond) { // another process is waited for
			if time.Now().After(deadline) {
				t.Fatalf("run %d never wrote that it has a server", n+1)
			}
		}
		how := syscall.SIGKILL
		if n == kills {
			how = syscall.SIGTERM
		}
		if err := cmd.Process.Signal(how); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); (err == nil) != (n == kills) {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) { // its server ends, too
			c, err := net.Dial("unix", filepath.Join(dir, "local.sock"))
			if err != nil {
				break
			}
			c.Close()
			if time.Now().After(deadline) {
				t.Fatal("its server stays")
			}
		}
	}
	r, err := recorder.Read(RecordingIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	cuts, kinds := 0, map[any]int{}
	for l := range r.Lines() {
		kinds[l.Data["code"]]++
		if l.Data["kind"] == "cut" {
			cuts++
			if l.Data["same_boot"] != true || !strings.Contains(l.Said.EN, "its process was killed") {
				t.Errorf("%v: %s", l.Data, l.Said.EN)
			}
		}
	}
	if cuts != kills || kinds["foyer-started"] != kills+1 || kinds["foyer-stopped"] != 1 || r.Damaged != 0 {
		t.Errorf("%d cuts, %v, %d damaged", cuts, kinds, r.Damaged)
	}
	summary := r.Summary(false)
	if last := summary[len(summary)-1].EN; !strings.Contains(last, "Foyer was stopped cleanly") {
		t.Errorf("it ends with %q", last)
	}
	t.Logf("SHOW the flight recorder of a supervisor that is killed %d times and then stopped: %d ends that were not clean, %d clean", kills, cuts, kinds["foyer-stopped"])
}
