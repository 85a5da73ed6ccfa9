package supervisor

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// repairOwners is the kind of job that gives the data folder back to the user the service runs
// as. It takes root, so that where nobody acts for root there is no such kind, and it is not
// offered.
const repairOwners = "repair-owners"

// serverRepairs are the jobs that may mend what keeps the server from its data.
//
// A damaged database is read through by the server itself as soon as it meets the damage: to
// read it once more may be the last thing a disk does that fails, so that a person decides
// when, after they have copied it, perhaps.
func serverRepairs() []health.Repair {
	return []health.Repair{
		{Cause: "data-readonly", Kind: repairOwners, After: time.Minute, PerHour: 2, PerDay: 4, Within: 30 * time.Minute},
		{Cause: "database-damaged", Kind: JobCheck, Args: map[string]string{"how": "full"}, Consent: true},
	}
}

// wireRepairs has the checks begin jobs, and tell of what changes.
func (s *Supervisor) wireRepairs() {
	s.board.OnChange(s.foundOut)
	s.board.OnRepair(func(e event.Event) {
		s.events.Add(e)
		s.flight.repaired(e)
	})
	s.board.UseJobs(s.jobs)
	if s.cfg.StateDir != "" {
		s.board.Remember(s.cfg.StateDir)
	}
	s.jobs.OnBegin(func(r job.Record) error {
		err := s.board.JobBegins(r)
		if err == nil {
			s.flight.jobBegins(r)
		}
		return err
	})
	s.jobs.OnEnd(func(r job.Record) {
		s.flight.jobEnded(r)
		s.board.JobEnded(r)
		if s.upkeep != nil {
			s.upkeep.Ended(r)
		}
		if r.By != health.ByItself { // the checks tell whether it helped
			s.events.Add(jobEvent(r))
		}
	})
}

// jobEvent is that a job has ended.
func jobEvent(r job.Record) event.Event {
	if e, ok := changeEvent(r); ok {
		return e
	}
	e := event.Event{Code: "job", Subject: r.Kind, What: hint.T("%s: %s.", "%s : %s.", r.Title, r.State.Word())}
	if r.State == job.Failed || r.State == job.CutOff {
		e.Severity = health.Warning
	}
	if r.Error != nil {
		e.What, e.Did, e.Do = hint.T("%s: %s", "%s : %s", r.Title, r.Error.What), r.Error.Did, r.Error.Do
	}
	return e
}
