package osupdate

import (
	"context"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/helper"
)

// Causes of what os-updates finds (docs/codes.md).
const (
	CauseHalfConfigured = "half-configured"
	CauseFailing        = "package-failing"
	CausePending        = "updates-pending"
	CauseListsOld       = "lists-old"
	CauseRefused        = "apt-refuses"
	CauseNotConfigured  = "not-configured"

	CauseRestarting = "restarting" // of os-reboot
)

// How long it is before something is said, or said louder.
const (
	pendingLong = 3 * 24 * time.Hour  // unattended-upgrades installs once a day
	listsOld    = 14 * 24 * time.Hour // a machine may have been off for its holidays
	refusesLong = 24 * time.Hour
	restartLong = 7 * 24 * time.Hour
	endSoon     = 180 * 24 * time.Hour
	endNear     = 60 * 24 * time.Hour
)

// Checks implements supervisor.Room.
func (w *Watch) Checks() []health.Check {
	repair := func(cause string) health.Repair {
		return health.Repair{Cause: cause, Kind: helper.VerbRepairPackages, PerHour: 2, PerDay: 4, Within: time.Hour}
	}
	return []health.Check{
		{
			Code: "os-updates", Title: hint.T("Updates of the system", "Mises à jour du système"), Every: time.Minute,
			Run:     func(context.Context) health.Finding { return w.updates(w.look(), w.cfg.Now()) },
			Repairs: []health.Repair{repair(CauseHalfConfigured), repair(CauseFailing)},
		},
		{
			Code: "os-reboot", Title: hint.T("Restart for updates", "Redémarrage pour mises à jour"), Every: time.Minute,
			Run: func(context.Context) health.Finding { return w.restartFinding(w.look(), w.cfg.Now()) },
			Repairs: []health.Repair{{
				Cause: CauseRestarting, Kind: helper.VerbReboot, Args: map[string]string{"reason": "updates", "window": "night"}, PerHour: 1, PerDay: 1, Within: 10 * time.Minute,
			}},
		},
		{Code: "os-end-of-life", Title: hint.T("Age of the system", "Âge du système"), Every: time.Hour, Run: func(context.Context) health.Finding { return endFinding(w.look().system, w.cfg.Now()) }},
	}
}

// updates is how the system gets its security updates.
func (w *Watch) updates(o observed, now time.Time) health.Finding {
	if !o.system.Apt {
		return elsewhere(o.system)
	}
	broken := o.packages.unsettled
	if len(broken) > 0 {
		if !w.judged(broken, w.still(o, now)) {
			return health.Finding{What: hint.T("Packages are being installed.", "Des paquets sont en cours d'installation.")}
		}
		return brokenFinding(o, broken)
	}
	w.judged(nil, true)
	if who := o.automatic.Elsewhere; who != "" {
		return health.Finding{What: hint.T("%s sees to the updates of this machine.", "%s s'occupe des mises à jour de cette machine.", who)}
	}
	w.mu.Lock()
	waiting := w.waiting
	w.mu.Unlock()
	long := len(waiting.security) > 0 && now.Sub(waiting.oldest()) > pendingLong
	switch {
	case waiting.refused != "" && now.Sub(waiting.refuses) > refusesLong:
		return health.Finding{
			Severity: health.Warning, Cause: CauseRefused, What: hint.T("The system cannot find out which updates it needs: %s", "Le système n'arrive pas à savoir quelles mises à jour il lui faut : %s", waiting.refused),
			Did: hint.T("Foyer asks again when something has changed.", "Foyer redemandera quand quelque chose aura changé."), Do: hint.T("`sudo apt-get update && sudo apt-get -s upgrade` shows what is wrong.", "`sudo apt-get update && sudo apt-get -s upgrade` montre ce qui ne va pas."),
		}
	case long && o.automatic.On():
		return health.Finding{
			Severity: health.Warning, Cause: CausePending, What: hint.T("%d security updates have not installed themselves for %d days: %s.", "%d mises à jour de sécurité ne se sont pas installées depuis %d jours : %s.", len(waiting.security), days(now.Sub(waiting.oldest())), waiting.names()),
			Did: hint.T("The system tries each day.", "Le système essaie chaque jour."), Do: hint.T("`sudo unattended-upgrade -v` tries now, and says what is in the way.", "`sudo unattended-upgrade -v` essaie maintenant et dit ce qui bloque."),
		}
	case long && !w.cfg.LeftAlone:
		return health.Finding{
			Severity: health.Warning, Cause: CausePending, What: hint.T("%d security updates have been waiting for %d days: %s.", "%d mises à jour de sécurité attendent depuis %d jours : %s.", len(waiting.security), days(now.Sub(waiting.oldest())), waiting.names()),
			Do: hint.T("Install them: `sudo apt-get update && sudo apt-get upgrade`. %s", "Installez-les : `sudo apt-get update && sudo apt-get upgrade`. %s", setUp(o)),
		}
	case o.automatic.On() && !o.lists.IsZero() && now.Sub(o.lists) > listsOld:
		return health.Finding{
			Severity: health.Warning, Cause: CauseListsOld, What: hint.T("This machine has not been able to ask for updates for %d days.", "Cette machine n'a pas pu demander de mises à jour depuis %d jours.", days(now.Sub(o.lists))),
			Did: hint.T("The system tries each day.", "Le système essaie chaque jour."), Do: hint.T("`sudo apt-get update` tries now, and says what is in the way.", "`sudo apt-get update` essaie maintenant et dit ce qui bloque."),
		}
	case !o.automatic.On() && w.cfg.LeftAlone:
		return health.Finding{What: hint.T("They are left to you (os_updates is off); %d security updates wait.", "Elles vous sont laissées (os_updates est à off) ; %d mises à jour de sécurité attendent.", len(waiting.security))}
	case !o.automatic.On():
		what := hint.T("Nothing installs security updates by itself on this machine.", "Rien n'installe tout seul les mises à jour de sécurité sur cette machine.")
		if n := len(waiting.security); n > 0 {
			what = hint.T("%s %d of them wait: %s.", "%s Il y en a %d qui attendent : %s.", what, n, waiting.names())
		}
		return health.Finding{Severity: health.Info, Cause: CauseNotConfigured, What: what, Do: setUp(o)}
	case len(waiting.security) > 0:
		return health.Finding{What: hint.T("%d security updates wait, and install themselves within a day.", "%d mises à jour de sécurité attendent et s'installeront d'ici un jour.", len(waiting.security))}
	}
	if r, ok := lastUpgrade(o.runs); ok {
		return health.Finding{What: hint.T("They install themselves; the last time on %s.", "Elles s'installent d'elles-mêmes ; la dernière fois le %s.", r.Start.Format("2006-01-02"))}
	}
	return health.Finding{What: hint.T("They install themselves.", "Elles s'installent d'elles-mêmes.")}
}

// judged reports whether packages that are half-way may be told of: dpkg has been still, or
// some of them were told of before.
func (w *Watch) judged(broken []unsettled, still bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	same := func(u unsettled) bool {
		return slices.ContainsFunc(w.told, func(t unsettled) bool { return t.Name == u.Name })
	}
	if !still && !slices.ContainsFunc(broken, same) {
		return false
	}
	w.told = broken
	return true
}

// days are whole days.
func days(d time.Duration) int { return int(d.Hours() / 24) }

// setUp is how updates come to install themselves.
func setUp(o observed) hint.Text {
	switch a := o.automatic; {
	case !a.Installer && o.system.ours():
		return hint.T("`sudo foyer install` has them install themselves.", "`sudo foyer install` les fait s'installer d'elles-mêmes.")
	case !a.Installer:
		return hint.T("`sudo apt-get install unattended-upgrades` has them install themselves.", "`sudo apt-get install unattended-upgrades` les fait s'installer d'elles-mêmes.")
	case !a.Lists || !a.Upgrades:
		return hint.T("`sudo dpkg-reconfigure unattended-upgrades` has them install themselves.", "`sudo dpkg-reconfigure unattended-upgrades` les fait s'installer d'elles-mêmes.")
	}
	return hint.T("`sudo systemctl enable --now apt-daily.timer apt-daily-upgrade.timer` has them install themselves.", "`sudo systemctl enable --now apt-daily.timer apt-daily-upgrade.timer` les fait s'installer d'elles-mêmes.")
}

// brokenFinding is what there is to say of packages that were left half-way.
func brokenFinding(o observed, broken []unsettled) health.Finding {
	var names []string
	failing := unsettled{}
	for _, u := range broken {
		names = append(names, u.Name)
		if r, ok := lastOf(o.runs, u.Name); failing.Name == "" && u.Failed() && ok && r.Error != "" {
			failing = u
		}
	}
	if failing.Name != "" {
		return health.Finding{
			Severity: health.Warning, Cause: CauseFailing,
			What: hint.T("An update of the system fails: %s %s cannot be set up. As long as that is so, other updates may not come either.", "Une mise à jour du système échoue : %s %s n'arrive pas à s'installer. Tant que cela dure, d'autres mises à jour peuvent manquer aussi.", failing.Name, failing.Version),
			Do:   hint.T("`sudo dpkg --configure -a` shows why. A mended version often comes within days.", "`sudo dpkg --configure -a` montre pourquoi. Une version corrigée vient souvent en quelques jours."),
		}
	}
	slices.Sort(names)
	return health.Finding{
		Severity: health.Warning, Cause: CauseHalfConfigured,
		What: hint.T("The installation of packages was cut off; these are not wholly installed: %s.", "L'installation de paquets a été interrompue ; ceux-ci ne sont pas entièrement installés : %s.", few(slices.Compact(names))),
		Do:   hint.T("`sudo dpkg --configure -a` finishes it.", "`sudo dpkg --configure -a` la termine."),
	}
}

// lastOf is the last run that has changed a package.
func lastOf(runs []Run, name string) (Run, bool) {
	for _, r := range slices.Backward(runs) {
		if r.touched(name) {
			return r, true
		}
	}
	return Run{}, false
}

// lastUpgrade is the last run that brought a package to another version.
func lastUpgrade(runs []Run) (Run, bool) {
	for _, r := range slices.Backward(runs) {
		if slices.ContainsFunc(r.Changes, func(c Change) bool { return c.From != "" && c.To != "" }) {
			return r, true
		}
	}
	return Run{}, false
}

// elsewhere is what there is to say of systems without apt: what Foyer does not know it does
// not judge.
func elsewhere(s System) health.Finding {
	switch {
	case !s.Known():
		return health.Finding{What: hint.T("This system sees to its updates itself; Foyer does not know how they stand.", "Ce système gère lui-même ses mises à jour ; Foyer ne sait pas où elles en sont.")}
	case s.Whole:
		return health.Finding{What: hint.T("%s is replaced as a whole when it is updated, in its own way; Foyer does not know how that stands.", "%s se remplace en bloc à chaque mise à jour, à sa façon ; Foyer ne sait pas où cela en est.", s.Name)}
	}
	return health.Finding{What: hint.T("Foyer does not know how updates stand on %s; its own tools tell.", "Foyer ne sait pas où en sont les mises à jour de %s ; ses propres outils le disent.", s.Name)}
}

// restartFinding is whether the machine has to be restarted for what was updated.
func (w *Watch) restartFinding(o observed, now time.Time) health.Finding {
	r := o.restart
	if r.since.IsZero() {
		return health.Finding{}
	}
	what := hint.T("Updates are in force only once this machine has been restarted.", "Des mises à jour ne prennent effet qu'une fois cette machine redémarrée.")
	switch {
	case len(r.packages) > 0:
		what = hint.T("%s They are those of: %s.", "%s Ce sont celles de : %s.", what, few(r.packages))
	case r.kernel != "":
		what = hint.T("%s It is the kernel %s.", "%s C'est le noyau %s.", what, r.kernel)
	}
	w.mu.Lock()
	d := w.restart
	w.mu.Unlock()
	switch {
	case d.now:
		return health.Finding{Severity: health.Warning, Cause: CauseRestarting, What: what}
	case d.byItself && now.Sub(r.since) <= restartLong:
		return health.Finding{Severity: health.Info, What: what, Did: hint.T("Foyer restarts it at night, between 2 and 5 o'clock, when it is not used and the backup is complete.", "Foyer la redémarrera la nuit, entre 2 h et 5 h, quand elle ne sert pas et que la sauvegarde est complète.")}
	}
	f := health.Finding{Severity: health.Info, What: what, Do: hint.T("`sudo foyer jobs start reboot reason=updates window=now` restarts it.", "`sudo foyer jobs start reboot reason=updates window=now` la redémarre.")}
	if now.Sub(r.since) > restartLong && o.automatic.Elsewhere == "" {
		f.Severity = health.Warning
		f.What = hint.T("%s That has been so for %d days.", "%s Cela dure depuis %d jours.", what, days(now.Sub(r.since)))
	}
	return f
}

// endFinding is until when the system gets security updates.
func endFinding(s System, now time.Time) health.Finding {
	if s.Ends.IsZero() {
		return health.Finding{}
	}
	end, left := s.Ends.Format(time.DateOnly), s.Ends.Add(24*time.Hour).Sub(now)
	do := hint.T("Plan to move this machine to a newer version of its system, after a backup.", "Prévoyez de passer cette machine à une version plus récente de son système, après une sauvegarde.")
	switch {
	case left < 0:
		return health.Finding{
			Severity: health.Warning, Cause: "ended", What: hint.T("%s has had no security updates since %s: known holes in it stay open.", "%s n'a plus de mises à jour de sécurité depuis le %s : ses failles connues restent ouvertes.", s.Name, end),
			Do: hint.T("Move this machine to a newer version of its system, after a backup.", "Passez cette machine à une version plus récente de son système, après une sauvegarde."),
		}
	case left < endNear:
		return health.Finding{Severity: health.Warning, Cause: "ends-soon", What: hint.T("%s gets security updates for %d more days, until %s.", "%s reçoit des mises à jour de sécurité encore %d jours, jusqu'au %s.", s.Name, days(left), end), Do: do}
	case left < endSoon:
		return health.Finding{Severity: health.Info, Cause: "ends-soon", What: hint.T("%s gets security updates until %s.", "%s reçoit des mises à jour de sécurité jusqu'au %s.", s.Name, end), Do: do}
	}
	return health.Finding{What: hint.T("%s gets security updates until %s.", "%s reçoit des mises à jour de sécurité jusqu'au %s.", s.Name, end)}
}
