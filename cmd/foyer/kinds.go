package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/backup/routine"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// startedAgain is how long a Foyer that stops while a job is followed is waited for.
const startedAgain = time.Minute

// startJob asks for a job of any kind, with arguments NAME=VALUE, and shows how it goes and
// what came of it.
func startJob(ctx context.Context, a *app, kind string, args []string) error {
	given := map[string]string{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return wrongUse(hint.T("%q is not NAME=VALUE", "%q n'est pas NOM=VALEUR", arg))
		}
		given[name] = value
	}
	if v, ok := helper.Find(kind); ok {
		if err := v.Check(given); err != nil {
			return hint.Find(err).Exits(hint.ExitUsage)
		}
	}
	last, err := a.doJob(ctx, kind, given)
	for end := time.Now().Add(startedAgain); err != nil && last.ID != "" && !last.State.Ended() && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(time.Second) // applying settings starts the service anew, and the job goes on there
		var now job.Record
		if now, err = a.follow(ctx, last.ID); now.ID != "" {
			last = now
		}
	}
	if err != nil || a.json || last.Result == nil {
		return err
	}
	var result any
	if err := json.Unmarshal(last.Result, &result); err != nil {
		return err
	}
	text, err := json.MarshalIndent(result, "  ", "  ")
	if err != nil {
		return err
	}
	for l := range strings.Lines(string(text)) {
		line(a.out, strings.TrimRight(l, "\n"))
	}
	return nil
}

// kindJSON is a kind of job as programs read it.
type kindJSON struct {
	Kind    string              `json:"kind"`
	Title   hint.Text           `json:"title"`
	Args    map[string][]string `json:"args"`
	PerHour int                 `json:"per_hour,omitempty"` // 0: as often as one likes
	PerDay  int                 `json:"per_day,omitempty"`
	Root    bool                `json:"root"`  // root does it
	Page    bool                `json:"page"`  // an owner may ask for it on a page
	Fresh   bool                `json:"fresh"` // who has signed in lately
	Touches hint.Text           `json:"touches"`
}

func kinds() (out []kindJSON) {
	all := append(supervisor.Kinds(), routine.Kinds()...)
	slices.SortFunc(all, func(a, b job.Kind) int { return strings.Compare(a.Name, b.Name) })
	for _, k := range all {
		one := kindJSON{Kind: k.Name, Title: k.Title, Args: k.Args, Page: k.Page, Fresh: k.Fresh, Touches: helper.Nothing.Word()}
		if one.Args == nil {
			one.Args = map[string][]string{}
		}
		if v, ok := helper.Find(k.Name); ok {
			one.Root, one.PerHour, one.PerDay, one.Touches = true, v.PerHour, v.PerDay, v.Touches.Word()
		}
		out = append(out, one)
	}
	return out
}

// showKinds shows what can be asked for.
func showKinds(a *app) {
	all := kinds()
	if a.json {
		a.printJSON(all)
		return
	}
	for _, k := range all {
		a.say(hint.T("%s  %s (%s)", "%s  %s (%s)", k.Kind, k.Title, k.Touches))
		for _, name := range slices.Sorted(maps.Keys(k.Args)) {
			a.say(hint.T("    %s=%s", "    %s=%s", name, strings.Join(k.Args[name], "|")))
		}
		who := hint.T("the administrator, with sudo", "l'administrateur, avec sudo")
		switch {
		case k.Fresh:
			who = hint.T("%s; an owner who has just signed in", "%s ; un propriétaire qui vient de se connecter", who)
		case k.Page:
			who = hint.T("%s; an owner", "%s ; un propriétaire", who)
		}
		if k.PerHour > 0 {
			who = hint.T("%s; at most %d times an hour, %d a day", "%s ; au plus %d fois par heure, %d par jour", who, k.PerHour, k.PerDay)
		}
		a.say(hint.T("    %s", "    %s", who))
	}
}
