package routine

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// drilled is a restore to see.
type drilled struct {
	id, version string
	schema      int
	at          time.Time // when it ended; zero: it has not
	ok          bool
}

// Clocks: what really passed, what the clock says that nobody sets, and the one of the machine.

// drill is what `foyer drill` does, in this process: it restores what the machine said, and compares.
// That a process of its own does it, kept from everything else, is shown elsewhere.
func (y *yearly) drill(ctx context.Context, id, dir string, _ func(drill.Progress)) error {
	text, err := os.ReadFile(filepath.Join(dir, "drill.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return hint.New("drill-none", hint.T("Nobody asked for it.", "Nobody asked for it."), hint.Text{}, hint.Text{})
	}
	var asked drill.Request
	if err == nil {
		err = json.Unmarshal(text, &asked)
	}
	if err != nil {
		return err
	}
	y.isDue(id)
	if !pause.For(ctx, 3*time.Minute) {
		return ctx.Err()
	}
	out := drill.Outcome{}
	if moment, err := y.compared(ctx, asked, dir); err != nil {
		out.Problem = report.ProblemOf(forPeople(err))
	} else {
		out.Proven = &report.Proven{At: y.machine(), Moment: moment, Seconds: 180, Compared: true, Version: y.cfg.Version}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	y.mu.Lock()
	last := &y.drilled[len(y.drilled)-1]
	last.at, last.ok = y.now(), out.Proven != nil
	y.mu.Unlock()
	if err := write(filepath.Join(dir, "result.json"), out); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, "drill.json"))
}

func (y *yearly) compared(ctx context.Context, asked drill.Request, dir string) (time.Time, error) {
	keys, err := backup.LoadKeys(asked.Keys)
	if err != nil {
		return time.Time{}, err
	}
	at, err := target.OpenFolder(ctx, asked.Target, asked.Data)
	if err != nil {
		return time.Time{}, err
	}
	c, err := backup.OpenHere(ctx, at, keys)
	if err != nil || c == nil {
		return time.Time{}, errors.Join(err, backup.ErrNothing)
	}
	b, err := c.Find(ctx)
	if err != nil {
		return time.Time{}, err
	}
	m := b.Manifest
	sum, err := restored(ctx, b, backup.Point{At: m.At, Position: m.Point}, m.Notes, dir)
	if err != nil {
		return time.Time{}, err
	}
	d := m.Summary.Differences(sum, 50)
	if y.real().Sub(m.Notes) > time.Hour { // the store has the right time, and cleared away notes that are not over by this clock
		d = slices.DeleteFunc(d, func(one string) bool { return strings.HasPrefix(one, "note:") })
	}
	if len(d) > 0 {
		y.Errorf("%s: what is restored is not what the machine said: %v", y.now(), d)
		return time.Time{}, hint.New("restore-differs", hint.T("It differs.", "It differs."), hint.Text{}, hint.Text{})
	}
	return m.At, nil
}

// due is why a restore to see is due; "": it is not. y.mu is held.
func (y *yearly) due() string {
	i := len(y.drilled) - 1
	if i < 0 {
		return "there was none"
	}
	last := y.drilled[i]
	switch {
	case last.at.IsZero():
		return "one was cut off"
	case y.owner:
		return "somebody asked for it"
	case !last.ok && y.since(last.at) >= aDay:
		return "the last one failed a day ago"
	case !last.ok:
	case last.version != y.cfg.Version:
		return "this is another version"
	case last.schema != y.cfg.Schema:
		return "the data have another format"
	case y.since(last.at) >= 30*aDay-time.Minute:
		return "it was a month ago"
	}
	return ""
}

// since is how much a time differs from now: a clock that was set back has it be ahead.
func (y *yearly) since(at time.Time) time.Duration { return y.now().Sub(at).Abs() }

// isDue notes a restore to see that begins, for which there has to be a reason.
func (y *yearly) isDue(id string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.due() == "" {
		y.Errorf("%s: a restore to see is made without need; those before: %+v", y.now(), y.drilled)
	}
	y.owner = false
	y.drilled = append(y.drilled, drilled{id: id, version: y.cfg.Version, schema: y.cfg.Schema})
}

// drills are how many restores to see ended, and how many were cut off.
func (y *yearly) drills() (made, again int) {
	for _, d := range y.drilled {
		switch {
		case d.at.IsZero():
			again++
		case !d.ok:
			y.Errorf("a restore to see failed, at %s", d.at)
		default:
			made++
		}
	}
	return made, again
}
