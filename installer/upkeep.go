package installer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/internal/step"
)

// Parts of an install that are done again on a machine that has one, by the same steps and
// in the same journal: what an undo takes back is what they made, too. They ask nobody, go
// by the settings file as it is, and need no network.

// RepairOwners gives the folders, the data and the settings the owners and modes an install
// gives them. The error is as Apply's, or has the code install-unfinished or data-moved.
func (in *Installer) RepairOwners(ctx context.Context, events func(step.Event)) (Result, error) {
	return in.upkeep(func(h *step.History) (Result, error) {
		return in.again(ctx, h, events, func(m *machine) []step.Step { return []step.Step{directoriesStep{m}, settingsStep{m}} })
	})
}

// ApplySettings makes the machine as the settings file says: folders, units, the firewall,
// where the install opened something in it, which is closed for ports that are not ours any
// more, and the service, which is restarted where it began before the file was written. Whether it answers visitors is not waited for. The
// error is as that of RepairOwners, or that of Config.OnTrial.
func (in *Installer) ApplySettings(ctx context.Context, events func(step.Event)) (Result, error) {
	return in.upkeep(func(h *step.History) (Result, error) {
		if err := in.cfg.OnTrial(ctx); err != nil {
			return Result{}, err
		}
		return in.again(ctx, h, events, settingsSteps)
	})
}

// settingsSteps have the machine be as the settings file says.
func settingsSteps(m *machine) []step.Step {
	m.newSettings = true
	return []step.Step{directoriesStep{m}, settingsStep{m}, unitsStep{m}, openedFirewall{firewallStep{m}}, startStep{m}}
}

// upkeep does something on a machine that has an install, while no other run is at work.
func (in *Installer) upkeep(do func(*step.History) (Result, error)) (Result, error) {
	if in.cfg.Root == "/" && os.Geteuid() > 0 {
		return Result{}, needRoot()
	}
	unlock, err := in.lock()
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	h, err := step.Peek(in.journalDir(), in.cfg.Log)
	if err != nil {
		return Result{}, unread(err)
	}
	if !h.Finished() {
		return Result{}, unfinished()
	}
	return do(h)
}

func unfinished() error {
	return hint.New("install-unfinished",
		hint.T("Foyer is not, or not wholly, installed on this machine.", "Foyer n'est pas installé sur cette machine, ou pas entièrement."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("`sudo foyer install` does what is missing.", "`sudo foyer install` fait ce qui manque."))
}

// again does steps by the settings file as it is.
func (in *Installer) again(ctx context.Context, h *step.History, events func(step.Event), steps func(*machine) []step.Step) (Result, error) {
	m := &machine{cfg: in.cfg}
	if _, err := os.Stat(m.path(config.SystemFile)); errors.Is(err, fs.ErrNotExist) {
		return Result{}, unfinished()
	}
	m, err := newMachine(ctx, in.cfg, h, false)
	if err != nil {
		return Result{}, err
	}
	if err := m.ready(ctx); err != nil {
		return Result{}, err
	}
	j, err := step.OpenJournal(in.journalDir(), in.cfg.Log, in.disk)
	if err != nil {
		return Result{}, unread(err)
	}
	m.history = j.History
	run := step.New(step.Config{Steps: steps(m), Journal: j, Report: events, Hook: in.hook})
	edited, err := run.Apply(ctx)
	if err = errors.Join(err, j.Close()); err != nil {
		return Result{}, undone(err)
	}
	made := append(run.Made(), run.Pruned()...)
	return Result{Changed: len(made) > 0, Addresses: site.Of(m.settings).Addresses(), Changes: slices.Concat(edited, made)}, nil
}

// ready looks for what would make steps fail on a machine where all of them were done once.
func (m *machine) ready(ctx context.Context) error {
	if !slices.ContainsFunc(m.history.Made(), func(c step.Change) bool { return c.Kind == step.KindData && c.What == m.dataDir() }) {
		return hint.New("data-moved",
			hint.T("The settings name another folder for the data (%s) than Foyer was installed with.", "Les réglages indiquent un autre dossier de données (%s) que celui de l'installation.", m.settings.Data), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Move the data there and run `sudo foyer install`, or put the old folder back into the settings.", "Déplacez-y les données et lancez `sudo foyer install`, ou remettez l'ancien dossier dans les réglages."))
	}
	return m.preflight(ctx)
}

// undone makes the error of a step one a person can act on.
func undone(err error) error {
	did := hint.T("What was done before that stays, and nothing is lost.", "Ce qui a été fait avant reste, et rien n'est perdu.")
	if e := hint.Find(err); e != nil {
		c := *e
		c.Did = did
		return c.Because(err)
	}
	return hint.New("install-failed", hint.T("Not all of it could be done: %s.", "Tout n'a pas pu être fait : %s.", err.Error()), did,
		hint.T("Mend that, then try again.", "Corrigez cela, puis réessayez.")).Because(err)
}

// openedFirewall is the firewall where the install has opened something in it, be it closed
// again since: else it was to be left alone, or there was none, and it is the administrator's.
type openedFirewall struct{ firewallStep }

func (s openedFirewall) Check(ctx context.Context) ([]step.Change, error) {
	if !s.m.history.Acted(s.ID()) {
		return nil, nil
	}
	return s.firewallStep.Check(ctx)
}
