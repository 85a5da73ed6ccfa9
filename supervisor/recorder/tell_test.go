package recorder

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

// story is a recording of runs, each of which is a list of decisions, a second apart.
type story struct {
	ring *ring
	data []byte
	at   time.Time
	up   time.Duration
}

func newStory() *story {
	return &story{
		ring: &ring{blocks: 64, run: 0, boot: 1, known: map[reported]int64{}}, data: make([]byte, 64*block),
		at: time.Date(2026, 11, 28, 3, 10, 0, 0, time.Local), up: time.Hour,
	}
}

func (s *story) run(records ...Record) {
	s.ring.run++
	for i := range records {
		records[i].At, records[i].Up = s.at, s.up
		s.at, s.up = s.at.Add(time.Second), s.up+time.Second
	}
	at := s.ring.next % uint64(s.ring.blocks)
	copy(s.data[at*block:], s.ring.frames(records, 0))
}

func decided(d Decision) Record { return Record{Decision: &d} }

// What a summary says of deaths, in both languages.
func TestWhatASummarySays(t *testing.T) {
	t.Attr("shows", "health")
	begins, started := decided(Started()), decided(ServerStarted(12))
	killed := decided(ServerEnded(Killed, Value{Signal, 9}))
	for _, c := range []struct {
		name   string
		tell   func(*story)
		goesOn bool
		en, fr []string // the lines after the first
	}{
		{"nothing", func(*story) {}, false, nil, nil},
		{
			"stopped", func(s *story) { s.run(begins, started, decided(ServerEnded(WithFoyer)), decided(Stopped())) }, false,
			[]string{"2026-11-28 03:10:02  The server was stopped along with Foyer.", "The recording ends at 03:10:03: Foyer was stopped cleanly."},
			nil,
		},
		{
			"the server is killed and started again", func(s *story) { s.run(begins, started, killed, started, Record{Figures: []Value{{Load, 12}}}) }, true,
			[]string{"2026-11-28 03:10:02  The server was killed by signal 9. It was restarted 1.0 s later.", "Foyer is running. Anything newer than 03:10:04 has not been written yet."},
			[]string{"2026-11-28 03:10:02  Le serveur a été tué par le signal 9. Il a été relancé 1.0 s plus tard.", "Foyer tourne. Ce qui est plus récent que 03:10:04 n'est pas encore écrit."},
		},
		{"something is found between death and start", func(s *story) {
			s.run(begins, killed, decided(Decision{Code: "finding", Severity: health.Error, About: "server"}), started)
		}, true, []string{"2026-11-28 03:10:01  The server was killed by signal 9. It was restarted 2.0 s later.", "2026-11-28 03:10:02  Error: server", "Foyer is running. Anything newer than 03:10:03 has not been written yet."}, nil},
		{
			"the power is cut", func(s *story) { s.run(begins, started) }, false,
			[]string{"The recording ends at 03:10:01; nothing says that Foyer was stopped: power cut, reset, or killed."},
			[]string{"L'enregistrement se termine à 03:10:01 ; rien n'indique que Foyer ait été arrêté : coupure de courant, réinitialisation, ou processus tué."},
		},
		{"the power was cut, and the machine started anew", func(s *story) {
			s.run(begins, started)
			s.ring.boot, s.up = 2, time.Minute
			s.run(begins)
		}, true, []string{"2026-11-28 03:10:02  The machine restarted after 03:10:01 without a clean shutdown: power cut or reset.", "Foyer is running. Anything newer than 03:10:02 has not been written yet."}, nil},
		{"the same, where the start of a machine has no name", func(s *story) {
			s.run(begins, started)
			s.up = time.Minute
			s.run(begins)
		}, true, []string{"2026-11-28 03:10:02  The machine restarted after 03:10:01 without a clean shutdown: power cut or reset.", "Foyer is running. Anything newer than 03:10:02 has not been written yet."}, nil},
		{"its process was killed", func(s *story) {
			s.run(begins, started)
			s.run(begins)
		}, true, []string{"2026-11-28 03:10:02  Foyer was not stopped cleanly: its process was killed after 03:10:01.", "Foyer is running. Anything newer than 03:10:02 has not been written yet."}, nil},
		{"the machine was started anew in good order", func(s *story) {
			s.run(begins, decided(Stopped()))
			s.ring.boot, s.up = 2, time.Minute
			s.run(begins)
		}, true, []string{"Foyer is running. Anything newer than 03:10:02 has not been written yet."}, nil},
		{"a disk fails", func(s *story) {
			k := Kernel{Class: IOError, Device: "mmcblk0", At: s.at, Numbers: []Value{{Errno, -110}}}
			s.run(begins, Record{Kernel: &k})
		}, false, []string{"2026-11-28 03:10:00  Kernel: a disk could not read or write (mmcblk0): error -110", "The recording ends at 03:10:01; nothing says that Foyer was stopped: power cut, reset, or killed."}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory()
			c.tell(s)
			said := map[hint.Lang][]string{}
			for _, line := range Decode(s.data).Summary(c.goesOn)[1:] {
				for _, l := range hint.Langs {
					said[l] = append(said[l], line.In(l))
				}
			}
			if diff := cmp.Diff(c.en, said[hint.EN]); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.fr, said[hint.FR]); c.fr != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each kind of entry has its line, in words and for programs.
func TestLines(t *testing.T) {
	s := newStory()
	var decisions []Record
	for _, code := range []string{"server-replaced", "job-begun", "job-ended", "repair-begun", "repair-ended", "clock-set", "machine-slept", "finding", "foyer-failed", "of-a-newer-foyer"} {
		decisions = append(decisions, decided(Decision{Code: code, About: "backup", Cause: "silent", Severity: health.Warning, Numbers: []Value{{Lasted, 1500}}}))
	}
	s.run(append(decisions, Record{Figures: []Value{{Requests, 35}, {ServerMemory, 81920}, {Free, 12 << 20}, {Temperature, 482}, {WaitsIO, 15}, {figures + 3, 1}}})...)
	var said []string
	for l := range Decode(s.data).Lines() {
		said = append(said, l.Said.EN)
		if l.Said.FR == "" || l.Data["at"] == nil || l.Data["kind"] == nil {
			t.Errorf("%+v", l)
		}
	}
	want := []string{
		"Foyer replaces the server (silent): lasted 1.5 s", "Job begun: backup", "Job ended: backup (silent): lasted 1.5 s", "Foyer repairs: backup", "Repair ended: backup (silent): lasted 1.5 s",
		"The clock was set: lasted 1.5 s", "The machine slept: lasted 1.5 s", "Warning: backup, silent", "Foyer stopped with an error.", "of-a-newer-foyer backup (silent): lasted 1.5 s",
		"requests a minute 3.5, memory of the server 80 MB, free 12 GB, temperature 48.2 °C, for disks 1.5 %",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

// What is not written as a code is not recorded as it is.
func TestOnlyCodesAreRecorded(t *testing.T) {
	t.Attr("shows", "health")
	long := strings.Repeat("a", 41)
	for in, want := range map[string]string{"": "", "a-code-1": "a-code-1", "A": "other", "two words": "other", "ü": "other", "a.b": "other", "a\n": "other", long: "other", long[:40]: long[:40]} {
		d := Decision{Code: in, About: in, Cause: in, Severity: 99, Numbers: []Value{{0, 1}, {figures, 2}, {Times, 3}}}.fit()
		code := want
		if code == "" {
			code = "other"
		}
		if diff := cmp.Diff(Decision{Code: code, About: want, Cause: want, Severity: health.Error, Numbers: []Value{{Times, 3}}}, d); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
	for _, device := range []string{"sda1x", "my disk", "sda1 planted", "-sda"} {
		if k := (Kernel{Device: device}).fit(); k.Device != "" {
			t.Errorf("%q is recorded as %q", device, k.Device)
		}
	}
}
