package web

import (
	"context"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/people"
)

// Appliance is the whole machine, as its supervisor knows it. Errors a person can act on are
// *hint.Error. Its methods may block until ctx ends.
type Appliance interface {
	Status(ctx context.Context) (report.Status, error)
	Jobs(ctx context.Context) ([]report.Job, error)
	Job(ctx context.Context, id string) (report.Job, error)
	JobKinds(ctx context.Context) ([]report.JobKind, error)
	// StartJobFor and CancelJobFor ask in the name of the owner whose cookie it is; what they
	// may ask is the other side's to decide.
	StartJobFor(ctx context.Context, kind string, args map[string]string, cookie string) (report.Job, error)
	CancelJobFor(ctx context.Context, id, cookie string) (report.Job, error)
	// Changer changes how the server is found.
	Changer
}

// Changer changes the answers to the wizard's questions, on trial (report.Change). Values are
// new answers by the key of their question, secrets among them: neither its answers nor its
// errors repeat those.
type Changer interface {
	// ChangeQuestionsFor, ChangePlanFor and ChangeFor ask in the name of the owner whose cookie
	// it is; the last one only soon after they signed in (signin-again).
	ChangeQuestionsFor(ctx context.Context, values map[string]string, cookie string) ([]report.Question, error)
	ChangePlanFor(ctx context.Context, values map[string]string, cookie string) (report.ChangePlan, error)
	ChangeFor(ctx context.Context, values map[string]string, cookie string) (report.Changed, error)
	// KeepChange confirms the change under way: by its code, and the origin by which the
	// request of who has it arrived.
	KeepChange(ctx context.Context, code, at string) (report.Job, error)
}

// Light is how the server is, in one word and one sentence.
type Light struct {
	OK   bool
	Soon bool // it will not be, if nothing is done
	What hint.Text
	Do   hint.Text      // the one thing to do; may be zero
	Mend *report.Repair // what may be started about it; nil: nothing
	// Change is a change of the settings that it is about, for owners; nil: it is about
	// something else.
	Change *standing
}

// askOwner is what those can do who do not own the server.
var askOwner = hint.T("Tell an owner of this server.", "Prévenez un propriétaire de ce serveur.")

// lightOf is the supervisor's light, for who looks at it; kinds are the jobs there are.
func lightOf(st report.Status, who *people.Person, kinds []report.JobKind) Light {
	l := Light{OK: st.Light == report.Green, Soon: st.Light == report.Yellow, What: st.Sentence}
	if worst, ok := report.Worst(st.Checks); ok && worst.Severity > report.Info {
		l.Do, l.Mend = worst.Do, mends(kinds, worst)
	}
	if l.OK {
		l.What = hint.T("All is well: what your apps store is safe on the disk.", "Tout va bien : ce que vos applications enregistrent est bien sur le disque.")
	}
	if !who.Owner && !l.OK {
		l.Do, l.Mend = askOwner, nil
	}
	return l
}

// statusTime is how long a page waits for the supervisor, which answers within a second.
const statusTime = 3 * time.Second

// status is how the machine is; ok is false where nobody can be asked, and the server's own
// light is all there is.
func (s *Site) status(ctx context.Context) (st report.Status, ok bool) {
	if s.Appliance == nil {
		return st, false
	}
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	st, err := s.Appliance.Status(ctx)
	if err != nil {
		s.Log.Warn("the supervisor does not say how the machine is", "err", err)
	}
	return st, err == nil
}

// mayRead are the events that somebody may read: an owner all, others what happened to them.
func mayRead(all []report.Event, who *people.Person) (out []report.Event) {
	for _, e := range all {
		if who.Owner || e.Number > 0 && e.Subject == who.Name {
			out = append(out, e)
		}
	}
	return out
}
