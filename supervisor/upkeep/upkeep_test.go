package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
)

const day = 24 * time.Hour

var plans = []Plan{{"quick", "check", map[string]string{"how": "quick"}, day}, {"full", "check", map[string]string{"how": "full"}, 7 * day}}

// machine begins the jobs of an Upkeep, and has them end as it is told.
type machine struct {
	dir string
	u   *Upkeep

	mu    sync.Mutex
	begun map[string][]time.Time
	wrong string // code of the error with which jobs end
	deaf  bool   // no job can be begun
}

func (m *machine) start(built time.Time) {
	m.u = New(m.dir, built, m.begin, slog.New(slog.NewTextHandler(io.Discard, nil)), plans...)
}

func (m *machine) begin(kind string, args map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deaf {
		return errors.New("too many jobs wait")
	}
	m.begun[args["how"]] = append(m.begun[args["how"]], time.Now())
	j := report.Job{Kind: kind, Args: args, State: report.JobDone, By: health.ByItself}
	if m.wrong != "" {
		j.State, j.Error = report.JobFailed, &report.Problem{Code: m.wrong}
	}
	m.u.Ended(j)
	return nil
}

func (m *machine) finding() health.Finding {
	return m.u.Check("full").Run(context.Background())
}

// in has time go on while it runs.
func (m *machine) in(t *testing.T, d time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.u.Run(ctx); close(done) }()
	time.Sleep(d)
	cancel()
	<-done
}

// A year on machines that are always on, off at night, started now and then, and whose clock is
// wrong now and then: the data are looked at each day and read each week, at night where that can
// be, and never more often than twice as often as planned.
func TestAYearOfUpkeep(t *testing.T) {
	t.Attr("shows", "health")
	for _, zone := range []string{"Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"} {
		for _, offAtNight := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, off at night: %t", zone, offAtNight), func(t *testing.T) {
				local, err := time.LoadLocation(zone)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Test(t, func(t *testing.T) {
					was := time.Local
					time.Local = local
					defer func() { time.Local = was }()
					r := rand.New(rand.NewPCG(1, 2))
					m := &machine{dir: t.TempDir(), begun: map[string][]time.Time{}}
					began := time.Now()
					for time.Since(began) < 365*day {
						m.start(began) // it was built when this year began
						up := time.Duration(1+r.IntN(20)) * day
						if offAtNight {
							now := time.Now()
							night := time.Date(now.Year(), now.Month(), now.Day(), 23, 0, 0, 0, local)
							if up = night.Sub(now); up <= 0 {
								time.Sleep(8 * time.Hour)
								continue
							}
						}
						m.in(t, up)
						if offAtNight {
							time.Sleep(9 * time.Hour)
						}
					}
					for how, want := range map[string][2]int{"quick": {250, 400}, "full": {38, 60}} {
						n := len(m.begun[how])
						if n < want[0] || n > want[1] {
							t.Errorf("%s: %d times in a year", how, n)
						}
						nights, most := 0, plans[map[string]int{"quick": 0, "full": 1}[how]].Every*3/2
						if offAtNight {
							most += 6 * time.Hour // it was off when the time came
						}
						for i, at := range m.begun[how] {
							if h := at.Hour(); h >= nightFrom && h < nightTo {
								nights++
							}
							if i > 0 && at.Sub(m.begun[how][i-1]) > most {
								t.Errorf("%s: nothing between %s and %s", how, m.begun[how][i-1], at)
							}
						}
						if !offAtNight && nights < n*9/10 || offAtNight && nights > 0 {
							t.Errorf("%s: %d of %d at night", how, nights, n)
						}
					}
					if f := m.finding(); f.Severity != health.OK {
						t.Errorf("%+v", f)
					}
				})
			})
		}
	}
}

// What was not read for four weeks is told, once it was planned; and no longer when it was.
func TestUpkeepThatIsOverdueIsTold(t *testing.T) {
	t.Attr("shows", "health")
	synctest.Test(t, func(t *testing.T) {
		m := &machine{dir: t.TempDir(), begun: map[string][]time.Time{}, deaf: true}
		m.start(time.Time{})
		m.in(t, 27*day)
		if f := m.finding(); f.Severity != health.OK {
			t.Errorf("after 27 days: %+v", f)
		}
		m.in(t, 2*day)
		if f := m.finding(); f.Severity != health.Warning || f.Cause != "check-overdue" || !strings.Contains(f.What.EN, "28 days") {
			t.Errorf("after 29 days: %+v", f)
		}
		m.deaf = false
		m.in(t, 2*day)
		if f := m.finding(); f.Severity != health.OK || !strings.Contains(f.What.EN, "nothing was damaged") {
			t.Errorf("after it was done: %+v", f)
		}
	})
}

// What cannot be done is tried each day; a disk that fails is not read again by itself before it
// would be anyway; what a person had done counts; and what was cut off, or is another job, does not.
func TestUpkeepAfterAnEnd(t *testing.T) {
	t.Attr("shows", "health")
	for wrong, most := range map[string]int{"server-gone": 14, "database-damaged": 3, "attachment-damaged": 3, "": 3} {
		synctest.Test(t, func(t *testing.T) {
			m := &machine{dir: t.TempDir(), begun: map[string][]time.Time{}, wrong: wrong}
			m.start(time.Time{})
			m.in(t, 21*day)
			if n := len(m.begun["full"]); n > most+1 || n < most-1 {
				t.Errorf("%q: begun %d times in three weeks, not %d", wrong, n, most)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		m := &machine{dir: t.TempDir(), begun: map[string][]time.Time{}}
		m.start(time.Time{})
		for range 30 {
			m.in(t, day)
			m.u.Ended(report.Job{Kind: "check", Args: map[string]string{"how": "full"}, State: report.JobDone, By: "root"})
			m.u.Ended(report.Job{Kind: "check", Args: map[string]string{"how": "quick"}, State: report.JobCutOff})
			m.u.Ended(report.Job{Kind: "backup-now", State: report.JobDone})
		}
		if full, quick := len(m.begun["full"]), len(m.begun["quick"]); full > 0 || quick < 25 {
			t.Errorf("begun %d and %d times", full, quick)
		}
	})
}

// A clock that was years ahead, and files that are no such file, cost no more than one turn.
func TestUpkeepForgetsNonsense(t *testing.T) {
	t.Attr("shows", "health")
	for _, text := range []string{"", "{", "[]", `{"full":3}`, `{"full":{"ended":"2069-01-01T00:00:00Z","well":"2069-01-01T00:00:00Z"}}`, strings.Repeat(" ", fileBytes+1)} {
		synctest.Test(t, func(t *testing.T) {
			m := &machine{dir: t.TempDir(), begun: map[string][]time.Time{}}
			if err := os.WriteFile(filepath.Join(m.dir, File), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			m.start(time.Time{})
			m.in(t, 10*day)
			if n := len(m.begun["full"]); n != 1 {
				t.Errorf("%.60q: begun %d times in ten days", text, n)
			}
			m.u.built = time.Now().Add(day)
			if m.in(t, 20*day); len(m.begun["full"]) > 4 {
				t.Errorf("begun %d times", len(m.begun["full"]))
			}
		})
	}
}
