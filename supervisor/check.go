package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/supervisor/upkeep"
)

// Names of jobs of the supervisor's own, and what they take.
const (
	JobCheck = "check-database" // how: quick, full
	JobUsage = "what-takes-room"
)

// worker does the jobs of a supervisor, beside the server.
type worker struct{ *Supervisor }

// kinds are the jobs of the supervisor's own.
func (s worker) kinds() []job.Kind {
	return []job.Kind{{
		Name: JobCheck, Title: hint.T("Check the database", "Vérifier la base de données"), Lane: job.Reads, Resume: true, Page: true,
		Args:  map[string][]string{"how": {"quick", "full"}},
		Words: map[string]hint.Text{"quick": hint.T("a quick look", "un examen rapide"), "full": hint.T("every object", "chaque objet")}, Run: s.checkDatabase,
	}, {
		Name: JobUsage, Title: hint.T("See what takes room", "Voir ce qui prend de la place"), Lane: job.Reads, Resume: true, Page: true,
		Run: s.whatTakesRoom,
	}, s.bundleKind()}
}

// readThrough is the plan by which the data are read as a whole.
const readThrough = "read-through"

// newUpkeep plans what the server looks through by itself.
func (s worker) newUpkeep() *upkeep.Upkeep {
	begin := func(kind string, args map[string]string) error {
		_, err := s.jobs.Start(kind, args, health.ByItself)
		return err
	}
	const day = 24 * time.Hour
	return upkeep.New(s.cfg.StateDir, s.cfg.Built, begin, s.cfg.Log,
		upkeep.Plan{Name: "quick-look", Kind: JobCheck, Args: map[string]string{"how": "quick"}, Every: day},
		upkeep.Plan{Name: readThrough, Kind: JobCheck, Args: map[string]string{"how": "full"}, Every: 7 * day})
}

// checked is the result of a check.
type checked struct {
	How     string  `json:"how"`
	Objects int64   `json:"objects"` // that were read, each; by a quick check, that there are
	Seconds float64 `json:"seconds"`
}

// How often a check is begun anew because the server went away, and how long it waits for
// the next one.
const (
	checkTries = 3
	checkWait  = 5 * time.Minute
)

// checkDatabase has the server look through its database. When the server is replaced
// meanwhile, the next one begins anew.
func (s worker) checkDatabase(ctx context.Context, t *job.Task) error {
	began := time.Now()
	how := t.Args()["how"]
	if how == "" {
		how = "quick"
	}
	for try := 1; ; try++ {
		last, err := s.askCheck(ctx, how, t)
		switch {
		case err == nil && last.Error != nil:
			return last.Error.Err()
		case err == nil:
			objects := last.Done
			if how == "quick" {
				objects = last.Of
			}
			if how == "quick" {
				t.Say(hint.T("Nothing is damaged, as far as a quick look tells.", "Rien n'est endommagé, autant qu'un examen rapide le dise."))
			} else {
				t.Say(hint.T("Nothing is damaged; %d objects were read.", "Rien n'est endommagé ; %d objets ont été lus.", objects))
			}
			return t.Result(checked{how, objects, time.Since(began).Seconds()})
		case ctx.Err() != nil:
			return ctx.Err()
		case try == checkTries:
			return hint.New("server-away",
				hint.T("The server went away while it checked its database.", "Le serveur a disparu pendant qu'il vérifiait sa base de données."), hint.T("Foyer tried %d times.", "Foyer a essayé %d fois.", try),
				hint.T("`foyer status` says how it is.", "`foyer status` dit comment il va.")).Because(err)
		}
		t.Say(hint.T("The server went away; the check begins anew.", "Le serveur a disparu ; la vérification recommence."))
		if !s.awaitServer(ctx, checkWait) {
			return ctx.Err()
		}
	}
}

// awaitServer waits until the server answers, but not for longer than d, and reports
// whether ctx still lasts.
func (s worker) awaitServer(ctx context.Context, d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.mu.Lock()
		state := s.child.state
		s.mu.Unlock()
		if state == stateHealthy {
			return ctx.Err() == nil
		}
		if !pause.For(ctx, s.cfg.Timing.Probe/4) {
			return false
		}
	}
	return ctx.Err() == nil
}

// whatTakesRoom asks the server what its database holds, and adds what the disk has left.
func (s worker) whatTakesRoom(ctx context.Context, t *job.Task) error {
	resp, err := s.askServer(ctx, "/usage")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("cannot read what the server says: %w", err)
	}
	var used report.Used
	if err := json.Unmarshal(text, &used); err != nil {
		return fmt.Errorf("cannot read what the server says: %w", err)
	}
	s.mu.Lock()
	used.Free, used.Total = s.room.Free, s.room.Total
	s.mu.Unlock()
	return t.Result(used)
}

// askServer has the server do something, and returns its answer, whose body is to be closed. It
// has no time limit but ctx.
func (s worker) askServer(ctx context.Context, path string) (*http.Response, error) {
	return s.ask(ctx, http.MethodPost, path)
}

// ask asks the server something over its private socket.
func (s *Supervisor) ask(ctx context.Context, method, path string) (*http.Response, error) {
	socket := s.localSocket()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://local"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	return resp, nil
}

// askCheck follows one check of the server to its end.
func (s worker) askCheck(ctx context.Context, how string, t *job.Task) (last report.CheckLine, err error) {
	resp, err := s.askServer(ctx, "/check?how="+how)
	if err != nil {
		return last, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		l := report.CheckLine{}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return last, fmt.Errorf("cannot read what the server says: %w", err)
		}
		l = hint.Clean(l)
		if l.Said != nil {
			t.Say(*l.Said)
		}
		t.Progress(l.Done, l.Of, hint.T("objects", "objets"))
		if l.Ended {
			return l, nil
		}
	}
	return last, errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}
