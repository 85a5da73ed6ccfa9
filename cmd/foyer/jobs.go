package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/job"
)

// jobsCmd shows what takes longer than a command.
func (a *app) jobsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "jobs", Args: usage(a, cobra.NoArgs),
		Short: hint.T("What Foyer is doing that takes longer, and did", "Ce que Foyer fait de plus long, et a fait").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := control.Dial(a.runDir).Jobs(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				a.printJSON(all)
				return nil
			}
			if len(all) == 0 {
				a.say(hint.T("Nothing yet.", "Rien pour l'instant."))
			}
			for _, r := range all {
				a.say(hint.T("%s  %s  %s", "%s  %s  %s", r.ID, r.Asked.Local().Format("2006-01-02 15:04"), jobLine(r)))
			}
			return nil
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "start KIND [NAME=VALUE…]", Args: usage(a, cobra.MinimumNArgs(1)),
		Short: hint.T("Have a job done, and show how it goes; `foyer jobs kinds` lists them", "Faire faire une tâche et montrer comment elle avance ; `foyer jobs kinds` les liste").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			return startJob(cmd.Context(), a, args[0], args[1:])
		},
	}, &cobra.Command{
		Use: "kinds", Args: usage(a, cobra.NoArgs),
		Short: hint.T("What can be asked for, by whom, and how often", "Ce qui peut être demandé, par qui, et combien de fois").In(a.lang),
		RunE:  func(*cobra.Command, []string) error { showKinds(a); return nil },
	}, &cobra.Command{
		Use: "follow JOB", Args: usage(a, cobra.ExactArgs(1)),
		Short: hint.T("Show how a job goes, until it has ended", "Montrer comment avance une tâche, jusqu'à sa fin").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.follow(cmd.Context(), args[0])
			return err
		},
	}, &cobra.Command{
		Use: "cancel JOB", Args: usage(a, cobra.ExactArgs(1)),
		Short: hint.T("Have a job end soon", "Faire finir une tâche sans attendre").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := control.Dial(a.runDir).CancelJob(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				a.printJSON(r)
				return nil
			}
			a.say(jobLine(r))
			return nil
		},
	})
	return cmd
}

// jobLine is a job in a line.
func jobLine(r job.Record) hint.Text {
	if far := r.HowFar(); !far.IsZero() {
		return hint.T("%s: %s, %s", "%s : %s, %s", r.Title, r.State.Word(), far)
	}
	return hint.T("%s: %s", "%s : %s", r.Title, r.State.Word())
}

// doJob asks for a job and follows it.
func (a *app) doJob(ctx context.Context, kind string, args map[string]string) (last job.Record, err error) {
	r, err := control.Dial(a.runDir).StartJob(ctx, kind, args)
	if err != nil {
		return r, err
	}
	return a.follow(ctx, r.ID)
}

// follow shows how a job goes: with --json its record on a line each time it changes, else
// a line every few seconds at most. It ends with the job; a person who goes leaves it at its
// work.
func (a *app) follow(ctx context.Context, id string) (last job.Record, err error) {
	said, state, shown := 0, job.State(""), time.Time{}
	last, err = control.Dial(a.runDir).FollowJob(ctx, id, func(r job.Record) {
		if a.json {
			a.printJSON(r)
			return
		}
		line := func() {
			a.say(jobLine(r))
			state, shown = r.State, time.Now()
		}
		if r.State != state && !r.State.Ended() {
			line()
		}
		for _, what := range r.Said[min(said, len(r.Said)):] {
			a.printf("  %s\n", what)
		}
		said = len(r.Said)
		if r.State != state || !r.HowFar().IsZero() && time.Since(shown) > 3*time.Second {
			line()
		}
	})
	if ctx.Err() != nil {
		a.say(hint.T("It goes on; `foyer jobs` shows how.", "Elle continue ; `foyer jobs` montre comment."))
		return last, errSaid
	}
	if err != nil {
		return last, err
	}
	if e := last.Error; e != nil {
		return last, hint.New(e.Code, e.What, e.Did, e.Do)
	}
	if last.State != job.Done {
		return last, hint.New("job-ended", hint.T("The job was not done: %s.", "La tâche n'a pas été faite : %s.", last.State.Word()), hint.Text{}, hint.Text{})
	}
	return last, nil
}
