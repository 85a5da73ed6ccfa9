package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/jsonlines"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// What a verb with Trial did is taken back by itself, unless somebody wants it kept: nobody
// has to be able to reach this machine for that, nor has this process to live on.
//
// The trial's file is on the disk before anything is done, and goes when all is over; while
// it is there systemd starts the helper (PathExists= in foyer-helper.path). The verb's
// function first saves into the trial's folder what it is going to change (Task.Folder), and
// the way back (Config.Back) has it from there. Whatever is cut off while it is applied goes
// back; what waits goes back when its time is over or the machine was restarted; what goes
// back is tried until it has worked. Once the file says that it is kept, it is.
//
// Time is counted by the kernel from the start of the machine, not by the clock on the wall.

// How long a trial waits, whatever the verb says, and how it is tried to go back.
const (
	shortestTrial = 30 * time.Second
	longestTrial  = time.Hour
	firstRetry    = 5 * time.Second // after going back has not worked, doubled each time
	lastRetry     = time.Minute
	untilMayErr   = 5 * time.Second // what people are told of the end, when the clock on the wall was put right
)

const trialFile = "trial.json" // the path unit knows it by this name

// trial is what is on trial, as its file says.
type trial struct {
	V      int                `json:"v"` // 1
	ID     string             `json:"id"`
	Verb   string             `json:"verb"`
	Stage  report.ChangeState `json:"stage"` // never ChangeBack: then there is none any more
	Boot   string             `json:"boot"`  // when it began to wait, and Until, since then
	Until  time.Duration      `json:"until,omitempty"`
	Reason hint.Text          `json:"reason,omitzero"` // why it goes back
}

// parseTrial reads the trial's file.
func parseTrial(text []byte) (tr trial, err error) {
	n := 0
	_, damaged := jsonlines.Read(text, func(raw json.RawMessage) error {
		n++
		return json.Unmarshal(raw, &tr)
	})
	v, ok := Find(tr.Verb)
	known := slices.Contains([]report.ChangeState{report.ChangeApplying, report.ChangeWaiting, report.ChangeGoingBack, report.ChangeKept}, tr.Stage)
	if n != 1 || damaged > 0 || tr.V != 1 || !idRE.MatchString(tr.ID) || !ok || !v.Trial || !known {
		return trial{}, errors.New("the file of what is on trial is damaged")
	}
	return tr, nil
}

// onTrial is a trial, its record, and when going back is tried next.
type onTrial struct {
	trial
	task  *Task
	tries int
	retry time.Time // once this is over; zero: at once
}

func (s *server) trialPath() string { return filepath.Join(s.State, trialFile) }

// folder is where a verb saves what it changes. Its name says whose it is, should the file
// not be readable any more.
func (s *server) folder(verb string) string { return filepath.Join(s.State, "trial-"+verb) }

// writeTrial has the file say how the trial stands.
func (s *server) writeTrial() error {
	text, err := jsonlines.Append(nil, s.trial.trial)
	if err != nil {
		return err
	}
	return atomicfile.Write(s.trialPath(), text, 0o600)
}

// beginTrial has a trial on the disk before its verb is begun.
func (s *server) beginTrial(v Verb, t *Task) error {
	dir := s.folder(v.Name)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("cannot empty the folder of what is on trial: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder of what is on trial: %w", err)
	}
	if err := atomicfile.SyncDir(s.State); err != nil {
		return err
	}
	s.trial = &onTrial{trial: trial{V: 1, ID: t.id(), Verb: v.Name, Stage: report.ChangeApplying, Boot: s.Boot}, task: t}
	if err := s.writeTrial(); err != nil {
		s.trial = nil
		os.Remove(s.trialPath()) //nolint:errcheck // it was not written, or, where it was, is gone back on at the next start
		return fmt.Errorf("cannot note what is on trial: %w", err)
	}
	return nil
}

// settleTrial takes up the trial that the process before this one left, if there is one.
func (s *server) settleTrial() error {
	text, err := os.ReadFile(s.trialPath())
	if errors.Is(err, fs.ErrNotExist) {
		return s.clearFolders()
	}
	var tr trial
	if err == nil {
		tr, err = parseTrial(text)
	}
	if err != nil { // whatever it was, nothing says that it is to be kept
		s.Log.Error("what is on trial goes back", "err", err)
		var ok bool
		if tr, ok = s.salvaged(); !ok {
			return s.forgetTrial()
		}
	}
	v, _ := Find(tr.Verb)
	r, err := s.records.load(tr.ID)
	switch {
	case err != nil:
		r = job.Record{ID: tr.ID, Kind: v.Name, Title: v.Title, By: "foyer", Asked: time.Now(), Started: time.Now(), State: job.Running, Starts: 1}
	case r.State.Ended() && (tr.Stage == report.ChangeKept || tr.Stage == report.ChangeGoingBack && changeOf(r).State == report.ChangeBack):
		return s.forgetTrial() // all else was done
	}
	r.State, r.Ended, r.Error = job.Running, time.Time{}, nil
	s.trial = &onTrial{trial: tr, task: newTask(s, v, r, nil)}
	switch {
	case tr.Stage == report.ChangeWaiting && tr.Boot != s.Boot:
		s.turnBack(hint.T("The machine was restarted before anybody confirmed it.", "La machine a redémarré avant que quelqu'un ne confirme."))
	case tr.Stage == report.ChangeApplying:
		s.turnBack(hint.T("It was cut off while it was applied.", "L'application a été interrompue."))
	}
	return nil
}

// salvaged is the trial by what was saved for it, when its file is damaged.
func (s *server) salvaged() (trial, bool) {
	for _, v := range Verbs {
		if _, err := os.Stat(s.folder(v.Name)); err != nil || !v.Trial {
			continue
		}
		tr := trial{V: 1, ID: job.NewID(time.Now()), Verb: v.Name, Stage: report.ChangeApplying, Boot: s.Boot}
		all, err := s.records.all(s.Log)
		for _, r := range all {
			if err == nil && r.Kind == v.Name && !r.State.Ended() {
				tr.ID = r.ID
			}
		}
		return tr, true
	}
	return trial{}, false
}

// forgetTrial removes the file, and then what was saved.
func (s *server) forgetTrial() error {
	s.trial = nil
	if err := atomicfile.Remove(s.trialPath()); err != nil {
		return err
	}
	return s.clearFolders()
}

func (s *server) clearFolders() error {
	for _, v := range Verbs {
		if v.Trial {
			if err := os.RemoveAll(s.folder(v.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// try does a verb that is on trial, which is in force afterwards, or goes back.
func (s *server) try(ctx context.Context, v Verb, t *Task) error {
	_, err := s.do(ctx, v, t)
	t.values = nil
	switch {
	case s.trial.Stage != report.ChangeApplying || ctx.Err() != nil: // it goes back already, or will at the next start
		return nil
	case err != nil:
		s.turnBack(report.ProblemOf(err).What)
		return nil
	}
	within, ok := t.trialTime()
	if !ok {
		s.turnBack(hint.T("It did not say for how long it is to be on trial.", "La durée de l'essai n'a pas été précisée."))
		return nil
	}
	s.trial.Until, s.trial.Stage = s.uptime()+within, report.ChangeWaiting
	if err := s.writeTrial(); err != nil {
		s.trial.Stage = report.ChangeApplying
		s.turnBack(report.ProblemOf(err).What)
		return nil
	}
	s.noteTrial("waiting")
	t.Say(hint.T("It is in force, and goes back within %d seconds unless somebody confirms it.", "C'est en vigueur, et tout revient en arrière d'ici %d secondes si personne ne confirme.", int(within.Seconds())))
	t.change(true, func(r *job.Record) {
		t.edit(r, func(c *report.Change) {
			c.State, c.Until = report.ChangeWaiting, time.Now().Add(within).Truncate(time.Second)
		})
	})
	return nil
}

// noteTrial notes in the journal how a trial goes on. Nothing hangs on that line.
func (s *server) noteTrial(how string) {
	s.Log.Info("on trial", "verb", s.trial.Verb, "id", s.trial.ID, "how", how)
	if err := s.journal.write(entry{Op: opTrial, ID: s.trial.ID, Verb: s.trial.Verb, Why: hint.Short(how, 200)}); err != nil {
		s.Log.Warn("the journal does not have how a trial goes on", "err", err)
	}
}

// turnBack has what is on trial go back from now on. Where the file cannot be written it
// still leads there: nothing of it says that it is to be kept.
func (s *server) turnBack(why hint.Text) {
	t := s.trial
	why = t.task.scrubText(why)
	t.Stage, t.Reason, t.retry = report.ChangeGoingBack, why, time.Time{}
	if err := s.writeTrial(); err != nil {
		s.Log.Warn("the file of what is on trial does not say that it goes back", "err", err)
	}
	s.noteTrial("going back: " + why.EN)
	t.task.Say(why)
	t.task.change(true, func(r *job.Record) {
		t.task.edit(r, func(c *report.Change) { c.State, c.Until, c.Reason = report.ChangeGoingBack, time.Time{}, why })
	})
}

// isDue reports whether something is to be done about what is on trial, before anything else.
func (s *server) isDue() bool {
	switch t := s.trial; {
	case t == nil:
		return false
	case t.Stage == report.ChangeWaiting:
		return s.uptime() >= t.Until
	case t.Stage == report.ChangeGoingBack:
		return !time.Now().Before(t.retry)
	default:
		return t.Stage == report.ChangeKept
	}
}

// tendTrial does it.
func (s *server) tendTrial(ctx context.Context) error {
	if s.trial == nil || ctx.Err() != nil {
		return nil
	}
	if s.trial.Stage == report.ChangeWaiting {
		if !s.isDue() {
			s.trial.task.refreshUntil(time.Now().Add(s.trial.Until - s.uptime()))
			return nil
		}
		s.turnBack(hint.T("Nobody confirmed it in time.", "Personne ne l'a confirmé à temps."))
	}
	switch {
	case s.trial.Stage == report.ChangeKept:
		return s.finishTrial()
	case s.isDue():
		return s.goBack(ctx)
	}
	return nil
}

// goBack tries to have everything as it was.
func (s *server) goBack(ctx context.Context) error {
	t := s.trial
	v, _ := Find(t.Verb)
	back := s.Back[v.Name]
	if back == nil {
		back = func(context.Context, *Task) error { return fmt.Errorf("nothing takes %s back", v.Name) }
	}
	within, cancel := context.WithTimeout(ctx, v.Within)
	defer cancel()
	err := s.call(within, back, t.task)
	if ctx.Err() != nil {
		return nil // the next start tries again
	}
	if err == nil {
		err = s.finishTrial()
	}
	if err == nil {
		return nil
	}
	wait := min(firstRetry<<min(t.tries, 10), lastRetry)
	t.tries, t.retry = t.tries+1, time.Now().Add(wait)
	s.Log.Error("what is on trial does not go back; it is tried again", "verb", v.Name, "err", t.task.scrub(err.Error()), "in", wait.String())
	t.task.Say(hint.T("Going back did not work, and is tried again in %d seconds: %s", "Le retour en arrière n'a pas marché ; nouvel essai dans %d secondes : %s", int(wait.Seconds()), report.ProblemOf(err).What))
	return nil
}

// finishTrial writes how it came out, and forgets it.
func (s *server) finishTrial() error {
	t, state := s.trial, job.Done
	if t.Stage == report.ChangeGoingBack {
		state = job.Failed
	}
	if err := t.task.finish(state, t.Reason); err != nil {
		return err
	}
	s.Log.Info("ended", "verb", t.Verb, "id", t.ID, "state", string(state))
	if err := s.journal.write(entry{Op: opEnded, ID: t.ID, Verb: t.Verb, Why: string(state)}); err != nil {
		return err
	}
	return errors.Join(s.forgetTrial(), s.records.forget(s.Log))
}

// endTrial is VerbEndTrial: what is to become of what is on trial. To keep it is decided by
// its file alone.
func (s *server) endTrial(args map[string]string) error {
	t := s.trial
	switch {
	case t == nil || t.ID != args[ArgTrial]:
		return ErrNoTrial
	case t.Stage == report.ChangeKept && args[ArgDo] == DoKeep, t.Stage == report.ChangeGoingBack && args[ArgDo] == DoBack:
		return nil
	case t.Stage == report.ChangeKept, t.Stage == report.ChangeGoingBack, args[ArgDo] == DoKeep && (t.Stage != report.ChangeWaiting || s.isDue()):
		return ErrNoTrial
	case args[ArgDo] == DoBack && args[ArgWhy] == WhySilent:
		s.turnBack(hint.T("The server did not answer with the new settings.", "Le serveur n'a pas répondu avec les nouveaux réglages."))
		return nil
	case args[ArgDo] == DoBack:
		s.turnBack(hint.T("Somebody wanted it as it was.", "Quelqu'un a voulu revenir en arrière."))
		return nil
	}
	t.Stage = report.ChangeKept
	if err := s.writeTrial(); err != nil {
		t.Stage = report.ChangeWaiting
		return err
	}
	s.noteTrial("kept")
	if err := s.finishTrial(); err != nil {
		s.Log.Warn("what is kept is not told yet", "err", err) // it is tried again: it is kept all the same
	}
	return nil
}

// endings does the requests that end a trial, while a verb is at work.
func (s *server) endings(ctx context.Context) error {
	d, names, err := s.requests()
	if d == nil || err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked into
	for _, name := range names {
		if !strings.HasPrefix(name, endsPrefix) {
			continue
		}
		ask, ok := s.take(d, name)
		if v, _ := Find(ask.Verb); !ok || !v.Ends {
			s.refuse("no end of a trial")
			continue
		}
		if err := s.handle(ctx, ask); err != nil {
			return err
		}
	}
	return nil
}

// ErrNoTrial: there is nothing to keep, or to take back.
var ErrNoTrial = hint.New("change-none",
	hint.T("Nothing waits to be confirmed.", "Rien n'attend d'être confirmé."), hint.T("Nothing was changed.", "Rien n'a été modifié."),
	hint.T("`foyer jobs` tells how the last change came out.", "`foyer jobs` dit comment la dernière modification s'est terminée."))

// ErrUnderWay: one at a time.
var ErrUnderWay = hint.New("change-under-way",
	hint.T("Another change is under way, or waits to be confirmed.", "Une autre modification est en cours, ou attend d'être confirmée."), hint.T("Nothing was begun.", "Rien n'a été commencé."),
	hint.T("Confirm that one first with `sudo foyer change --keep`, or undo it with `sudo foyer change --back`.", "D'abord, confirmez celle-là avec `sudo foyer change --keep`, ou annulez-la avec `sudo foyer change --back`."))
