package health

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

var quiet = slog.New(slog.DiscardHandler)

func board(t *testing.T, checks ...Check) *Board {
	t.Helper()
	b, err := NewBoard(quiet, checks...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBoardRemembersSinceWhenAndHidesWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := Finding{}
		runs := 0
		b := board(t,
			Check{Code: "server", Run: func(context.Context) Finding { return server }},
			Check{Code: "certificate", DependsOn: []string{"server"}, Every: time.Hour, Run: func(context.Context) Finding { runs++; return Finding{} }},
		)
		start := time.Now()
		b.Round(t.Context())
		if _, bad := report.Worst(b.Results()); bad || len(b.Results()) != 2 {
			t.Fatalf("results %v", b.Results())
		}
		time.Sleep(time.Minute) // inside the bubble: no time passes outside
		server = Finding{Severity: Error, What: hint.T("down", "arrêté")}
		b.Round(t.Context())
		time.Sleep(time.Minute)
		b.Round(t.Context())
		worst, bad := report.Worst(b.Results())
		if !bad || worst.Code != "server" || worst.Since.Sub(start) != time.Minute {
			t.Errorf("worst %+v", worst)
		}
		if len(b.Results()) != 1 || runs != 1 {
			t.Errorf("the certificate was looked at while the server was down: %v, %d runs", b.Results(), runs)
		}
		server = Finding{}
		b.Round(t.Context())
		if len(b.Results()) != 2 || runs != 2 {
			t.Errorf("what was hidden did not come back: %v, %d runs", b.Results(), runs)
		}
	})
}

func TestWhatIsMendedIsSeenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := true
		b := board(t, Check{Code: "door", Every: time.Hour, Run: func(context.Context) Finding {
			if bad {
				return Finding{Severity: Error}
			}
			return Finding{}
		}})
		b.Round(t.Context())
		bad = false
		time.Sleep(5 * time.Second)
		b.Round(t.Context())
		if worst, still := report.Worst(b.Results()); still {
			t.Errorf("still %+v", worst)
		}
	})
}

// Who wants to know is told when something begins or ends to hurt, and only then.
func TestChangesAreToldOnce(t *testing.T) {
	finds := OK
	b := board(t, Check{Code: "x", Run: func(context.Context) Finding { return Finding{Severity: finds} }})
	var told []string
	b.OnChange(func(r Result) { told = append(told, r.Code+" "+r.Severity.String()) })
	for _, s := range []Severity{OK, Info, OK, Info, Warning, Warning, Error, Error, Info, OK, Error, OK} {
		finds = s
		b.Round(t.Context())
	}
	if diff := cmp.Diff([]string{"x warning", "x error", "x info", "x error", "x ok"}, told); diff != "" {
		t.Error(diff)
	}
}

// A check is looked at as often as it asks to be, what is not well every 5 s at least.
func TestChecksAreLookedAtAsOftenAsTheyAsk(t *testing.T) {
	at := func(seconds ...int) []int { return seconds }
	for _, c := range []struct {
		name  string
		every time.Duration
		finds Severity
		want  []int // seconds, in a minute of rounds each second
	}{
		{"each round", 0, OK, nil},
		{"well", 20 * time.Second, OK, at(0, 20, 40)},
		{"something to know", 20 * time.Second, Info, at(0, 20, 40)},
		{"not well", 20 * time.Second, Warning, at(0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55)},
		{"not well, and looked at more often anyway", 2 * time.Second, Error, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var got []int
				b := board(t, Check{Code: "x", Every: c.every, Run: func(context.Context) Finding {
					got = append(got, int(time.Since(start)/time.Second))
					return Finding{Severity: c.finds}
				}})
				want := c.want
				for n := range 60 {
					b.Round(t.Context())
					time.Sleep(time.Second)
					if c.want == nil && n%max(1, int(c.every/time.Second)) == 0 {
						want = append(want, n)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A check that does not come to an end is told to after its time, and the others do not
// wait for it.
func TestAChecksTimeIsLimited(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		want    time.Duration
	}{{"as it asks", 3 * time.Second, 3 * time.Second}, {"by default", 0, 10 * time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				b := board(t,
					Check{Code: "hangs", Timeout: c.timeout, Run: func(ctx context.Context) Finding {
						<-ctx.Done()
						return Finding{Severity: Warning}
					}},
					Check{Code: "next", Run: func(context.Context) Finding { return Finding{} }},
				)
				b.Round(t.Context())
				end := start.Add(c.want)
				if diff := cmp.Diff([]Result{{Code: "hangs", Finding: Finding{Severity: Warning}, Since: end, Checked: end}, {Code: "next", Since: start, Checked: start}}, b.Results()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A check that never comes back is a finding of its own; the others go on, nobody who asks
// waits, and it is not begun again. When it does come back, what it found is taken.
func TestACheckThatNeverComesBack(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		deaf := make(chan struct{})
		var begun, others atomic.Int32
		b := board(t,
			Check{Code: "disk", Title: hint.T("Disk", "Disque"), Run: func(context.Context) Finding { // a statfs that hangs hears of no context
				begun.Add(1)
				<-deaf
				return Finding{}
			}},
			Check{Code: "data", DependsOn: []string{"disk"}, Run: func(context.Context) Finding { others.Add(1000); return Finding{} }},
			Check{Code: "server", Run: func(context.Context) Finding { others.Add(1); return Finding{} }},
		)
		var told []string
		b.OnChange(func(r Result) { told = append(told, r.Code+" "+r.Severity.String()+" "+r.Cause) })
		for range 60 { // two minutes, as the supervisor looks
			b.Look(t.Context())
			b.Results()
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		if begun.Load() != 1 || others.Load() != 60 {
			t.Errorf("it was begun %d times, the other one looked %d times in 60 rounds", begun.Load(), others.Load())
		}
		if worst, _ := report.Worst(b.Results()); worst.Code != "disk" || worst.Severity != Warning || worst.Cause != CauseLate || !strings.Contains(worst.What.FR, "Disque") || len(b.Results()) != 2 {
			t.Errorf("the board says %+v", b.Results())
		}
		close(deaf)
		synctest.Wait()
		b.Round(t.Context())
		if _, bad := report.Worst(b.Results()); bad || len(b.Results()) != 3 || begun.Load() != 2 {
			t.Errorf("it is back, and the board says %+v", b.Results())
		}
		if diff := cmp.Diff([]string{"disk warning check-late", "disk ok "}, told); diff != "" {
			t.Error(diff)
		}
	})
}

// What comes and goes is told of once, when it has stayed for a while, and again when it
// has been well for as long.
func TestWhatFlapsIsToldOnce(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds := OK
		b := board(t, Check{Code: "x", VisibleAfter: time.Minute, Run: func(context.Context) Finding { return Finding{Severity: finds} }})
		start := time.Now()
		var told []string
		b.OnChange(func(r Result) { told = append(told, time.Since(start).String()+" "+r.Severity.String()) })
		stay := func(s Severity, d time.Duration) {
			finds = s
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Second) {
				b.Round(t.Context())
			}
		}
		for range 100 { // an hour and 40 minutes
			stay(Warning, 30*time.Second)
			stay(OK, 30*time.Second)
		}
		stay(Warning, 90*time.Second) // from 1h40m
		for range 100 {
			stay(OK, 50*time.Second)
			stay(Warning, 10*time.Second)
		}
		stay(Error, 90*time.Second)
		stay(OK, time.Hour)
		if diff := cmp.Diff([]string{"1h41m0s warning", "3h22m20s error", "3h24m0s ok"}, told); diff != "" {
			t.Error(diff)
		}
	})
}

// A check that depends on one nobody brings is a mistake, told at the start.
func TestDependingOnNothing(t *testing.T) {
	run := func(context.Context) Finding { return Finding{} }
	if _, err := NewBoard(quiet, Check{Code: "a", Run: run}, Check{Code: "b", DependsOn: []string{"A"}, Run: run}); err == nil || !strings.Contains(err.Error(), "depends on A") {
		t.Errorf("error %v", err)
	}
	if _, err := NewBoard(quiet, Check{Code: "a", DependsOn: []string{"b"}, Run: run}, Check{Code: "b", Run: run}); err == nil {
		t.Error("it comes later")
	}
}

// What depends on something hidden is hidden, too.
func TestHiddenChecksHideOthers(t *testing.T) {
	bad := Finding{Severity: Error}
	b := board(t,
		Check{Code: "server", Run: func(context.Context) Finding { return bad }},
		Check{Code: "certificate", DependsOn: []string{"server"}, Run: func(context.Context) Finding { return Finding{} }},
		Check{Code: "names", DependsOn: []string{"certificate"}, Run: func(context.Context) Finding { return bad }},
		Check{Code: "disk", Run: func(context.Context) Finding { return Finding{} }},
	)
	shown := func() (codes []string) {
		b.Round(t.Context())
		for _, r := range b.Results() {
			codes = append(codes, r.Code)
		}
		return codes
	}
	if diff := cmp.Diff([]string{"server", "disk"}, shown()); diff != "" {
		t.Error(diff)
	}
	bad = Finding{}
	if diff := cmp.Diff([]string{"server", "certificate", "names", "disk"}, shown()); diff != "" {
		t.Error(diff)
	}
}

func TestCertificate(t *testing.T) {
	for _, c := range []struct {
		name string
		left time.Duration
		want Severity
	}{{"fresh", 60 * 24 * time.Hour, OK}, {"not renewed", 6 * 24 * time.Hour, Warning}, {"over", -time.Hour, Error}} {
		t.Run(c.name, func(t *testing.T) {
			if got := Certificate(func() (time.Time, []report.Served) { return time.Now().Add(c.left), nil }).Run(t.Context()); got.Severity != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestCertificatesOfOtherNames(t *testing.T) {
	trouble := &report.Failure{What: hint.T("Port 80 is closed.", "Le port 80 est fermé."), Do: hint.T("Open it.", "Ouvrez-le."), Reason: "timeout"}
	soon := time.Now().Add(60 * 24 * time.Hour)
	for _, c := range []struct {
		name string
		s    report.Served
		want Severity
	}{
		{"well", report.Served{Name: "a.example", Issuer: "Let's Encrypt", Ends: soon}, OK},
		{"ordered", report.Served{Name: "a.example", Issuer: "Foyer", Home: true, Ends: soon}, Info},
		{"not renewed", report.Served{Name: "a.example", Issuer: "Let's Encrypt", Ends: soon, Failure: trouble}, Warning},
		{"never had", report.Served{Name: "a.example", Issuer: "Foyer", Home: true, Ends: soon, Failure: trouble}, Error},
		{"nothing at all", report.Served{Name: "a.example", Failure: trouble}, Error},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Certificate(func() (time.Time, []report.Served) { return soon, []report.Served{c.s} }).Run(t.Context())
			if got.Severity != c.want {
				t.Errorf("got %v", got)
			}
			if c.s.Failure != nil && (!strings.Contains(got.What.FR, "timeout") || got.Do != trouble.Do) {
				t.Errorf("says %+v", got)
			}
		})
	}
}
