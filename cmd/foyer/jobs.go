package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// checkCmd has the database checked, and shows how that goes.
func (a *app) checkCmd() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use: "check", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Check the database, while it is in use", "Vérifier la base de données, pendant qu'elle sert").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			how := "quick"
			if full {
				how = "full"
			}
			return a.doJob(cmd.Context(), supervisor.JobCheck, map[string]string{"how": how})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, hint.T("read every object, too; this takes a while", "lire aussi chaque objet ; cela prend un moment").In(a.lang))
	return cmd
}

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
				a.say(hint.T("%s  %s  %s: %s%s", "%s  %s  %s : %s%s", r.ID, r.Asked.Local().Format("2006-01-02 15:04"), r.Title, r.State.Word(), howFar(r)))
			}
			return nil
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "follow JOB", Args: usage(a, cobra.ExactArgs(1)),
		Short: hint.T("Show how a job goes, until it has ended", "Montrer comment avance une tâche, jusqu'à sa fin").In(a.lang),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.follow(cmd.Context(), args[0]) },
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
			a.say(hint.T("%s: %s", "%s : %s", r.Title, r.State.Word()))
			return nil
		},
	})
	return cmd
}

// howFar is the rest of the line of a job.
func howFar(r job.Record) hint.Text {
	switch {
	case r.State.Ended() && r.Error != nil:
		return hint.T(" (%s)", " (%s)", r.Error.What)
	case r.State != job.Running || r.Of <= 0:
		return hint.Text{}
	case r.Left > 0:
		return hint.T(", %d%% (%d of %d %s), some %s left", ", %d %% (%d sur %d %s), encore %s environ", int(100*r.Share()), r.Done, r.Of, r.Unit, health.Age(time.Duration(r.Left)*time.Second))
	}
	return hint.T(", %d%% (%d of %d %s)", ", %d %% (%d sur %d %s)", int(100*r.Share()), r.Done, r.Of, r.Unit)
}

// doJob asks for a job and follows it.
func (a *app) doJob(ctx context.Context, kind string, args map[string]string) error {
	r, err := control.Dial(a.runDir).StartJob(ctx, kind, args)
	if err != nil {
		return err
	}
	return a.follow(ctx, r.ID)
}

// follow shows how a job goes: with --json its record on a line each time it changes, else
// a line every few seconds at most. It ends with the job; a person who goes leaves it at its
// work.
func (a *app) follow(ctx context.Context, id string) error {
	said, state, shown := 0, job.State(""), time.Time{}
	last, err := control.Dial(a.runDir).FollowJob(ctx, id, func(r job.Record) {
		if a.json {
			if text, err := json.Marshal(r); err == nil {
				fmt.Fprintf(a.out, "%s\n", text)
			}
			return
		}
		line := func() {
			a.say(hint.T("%s: %s%s", "%s : %s%s", r.Title, r.State.Word(), howFar(r)))
			state, shown = r.State, time.Now()
		}
		if r.State != state && !r.State.Ended() {
			line()
		}
		for _, what := range r.Said[min(said, len(r.Said)):] {
			a.printf("  %s\n", what)
		}
		said = len(r.Said)
		if r.State != state || !howFar(r).IsZero() && time.Since(shown) > 3*time.Second {
			line()
		}
	})
	if ctx.Err() != nil {
		a.say(hint.T("It goes on; `foyer jobs` shows how.", "Elle continue ; `foyer jobs` montre comment."))
		return nil
	}
	if err != nil {
		return err
	}
	if e := last.Error; e != nil {
		return hint.New(e.Code, e.What, e.Did, e.Do)
	}
	if last.State != job.Done {
		return hint.New("job-ended", hint.T("The job was not done: %s.", "La tâche n'a pas été faite : %s.", last.State.Word()), hint.Text{}, hint.Text{})
	}
	return nil
}
