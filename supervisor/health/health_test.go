package health

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

var quiet = slog.New(slog.DiscardHandler)

func TestBoardRemembersSinceWhenAndHidesWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := Finding{}
		runs := 0
		b := NewBoard(quiet,
			Check{Code: "server", Run: func(context.Context) Finding { return server }},
			Check{Code: "certificate", DependsOn: []string{"server"}, Every: time.Hour, Run: func(context.Context) Finding { runs++; return Finding{} }},
		)
		start := time.Now()
		b.Round(t.Context())
		if _, bad := Worst(b.Results()); bad || len(b.Results()) != 2 {
			t.Fatalf("results %v", b.Results())
		}
		time.Sleep(time.Minute) // inside the bubble: no time passes outside
		server = Finding{Severity: Error, What: hint.T("down", "arrêté")}
		b.Round(t.Context())
		time.Sleep(time.Minute)
		b.Round(t.Context())
		worst, bad := Worst(b.Results())
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
		b := NewBoard(quiet, Check{Code: "door", Every: time.Hour, Run: func(context.Context) Finding {
			if bad {
				return Finding{Severity: Error}
			}
			return Finding{}
		}})
		b.Round(t.Context())
		bad = false
		time.Sleep(5 * time.Second)
		b.Round(t.Context())
		if worst, still := Worst(b.Results()); still {
			t.Errorf("still %+v", worst)
		}
	})
}

func TestRepairRunsOnceAndIsSeen(t *testing.T) {
	broken, repairs := true, 0
	b := NewBoard(quiet, Check{
		Code: "x",
		Run: func(context.Context) Finding {
			if broken {
				return Finding{Severity: Warning}
			}
			return Finding{}
		},
		Repair: func(context.Context) error { repairs++; broken = false; return nil },
	})
	b.Round(t.Context())
	if _, bad := Worst(b.Results()); bad || repairs != 1 {
		t.Errorf("not repaired: %v, %d", b.Results(), repairs)
	}
}

func TestDisk(t *testing.T) {
	for _, c := range []struct {
		name        string
		free, total uint64
		err         error
		want        Severity
	}{
		{"plenty", 20 << 30, 32 << 30, nil, OK},
		{"nearly full", 300 << 20, 32 << 30, nil, Warning},
		{"two percent of a big disk", 10 << 30, 1 << 40, nil, Warning},
		{"full", 1 << 20, 32 << 30, nil, Error},
		{"gone", 0, 0, errors.New("EIO"), Error},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Disk(func() (uint64, uint64, error) { return c.free, c.total, c.err }).Run(t.Context())
			if got.Severity != c.want {
				t.Errorf("got %v, want %v", got.Severity, c.want)
			}
		})
	}
}

func TestCertificate(t *testing.T) {
	for _, c := range []struct {
		name string
		left time.Duration
		want Severity
	}{{"fresh", 60 * 24 * time.Hour, OK}, {"not renewed", 6 * 24 * time.Hour, Warning}, {"over", -time.Hour, Error}} {
		t.Run(c.name, func(t *testing.T) {
			if got := Certificate(func() (time.Time, []Served) { return time.Now().Add(c.left), nil }).Run(t.Context()); got.Severity != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestCertificatesOfOtherNames(t *testing.T) {
	trouble := &Trouble{What: hint.T("Port 80 is closed.", "Le port 80 est fermé."), Do: hint.T("Open it.", "Ouvrez-le."), Reason: "timeout"}
	soon := time.Now().Add(60 * 24 * time.Hour)
	for _, c := range []struct {
		name string
		s    Served
		want Severity
	}{
		{"well", Served{Name: "a.example", Issuer: "Let's Encrypt", Ends: soon}, OK},
		{"ordered", Served{Name: "a.example", Issuer: "Foyer", Home: true, Ends: soon}, Info},
		{"not renewed", Served{Name: "a.example", Issuer: "Let's Encrypt", Ends: soon, Failure: trouble}, Warning},
		{"never had", Served{Name: "a.example", Issuer: "Foyer", Home: true, Ends: soon, Failure: trouble}, Error},
		{"nothing at all", Served{Name: "a.example", Failure: trouble}, Error},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Certificate(func() (time.Time, []Served) { return soon, []Served{c.s} }).Run(t.Context())
			if got.Severity != c.want {
				t.Errorf("got %v", got)
			}
			if c.s.Failure != nil && (!strings.Contains(got.What.FR, "timeout") || got.Do != trouble.Do) {
				t.Errorf("says %+v", got)
			}
		})
	}
}
