package recorder

import (
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Codes that a reader has to know. What Foyer records besides is told by its code.
const (
	codeFoyerStarted = "foyer-started"
	codeStopped      = "foyer-stopped"
	codeStarted      = "server-started"
	codeEnded        = "server-ended"
)

// Started is that the supervisor was started.
func Started() Decision { return Decision{Code: "foyer-started"} }

// Stopped is that the supervisor was stopped cleanly. Without it a run was cut off.
func Stopped() Decision { return Decision{Code: "foyer-stopped"} }

// ServerStarted is that a server was started.
func ServerStarted(pid int) Decision {
	return Decision{Code: "server-started", Numbers: []Value{{Process, int64(pid)}}}
}

// Ways in which a server ends, as the cause of ServerEnded.
const (
	ByItself  = "by-itself"
	Killed    = "killed" // by somebody else: a signal
	Replaced  = "replaced"
	AsAsked   = "asked"
	WithFoyer = "stopped"
	SafeOver  = "safe-mode-over"
	Unstarted = "not-started"
)

// ServerEnded is that it has ended, how, and by which numbers: ExitStatus, Signal, Lasted.
func ServerEnded(how string, numbers ...Value) Decision {
	d := Decision{Code: "server-ended", Severity: report.Warning, Cause: how, Numbers: numbers}
	if how == AsAsked || how == WithFoyer || how == SafeOver {
		d.Severity = report.Info
	}
	return d
}

// isNotable reports whether a summary tells of it.
func (d *Decision) isNotable() bool { return d.Severity >= report.Warning || d.Code == codeEnded }

// number is one of a decision's.
func (d *Decision) number(of Figure) (int64, bool) {
	for _, v := range d.Numbers {
		if v.Of == of {
			return v.N, true
		}
	}
	return 0, false
}

// said tells a decision in words.
func (d *Decision) said() hint.Text {
	switch d.Code {
	case codeFoyerStarted:
		return hint.T("Foyer was started.", "Foyer a été démarré.")
	case codeStopped:
		return hint.T("Foyer was stopped cleanly.", "Foyer a été arrêté proprement.")
	case "foyer-failed":
		return hint.T("Foyer stopped with an error.", "Foyer s'est arrêté sur une erreur.")
	case codeStarted:
		return with(hint.T("The server was started", "Le serveur a été démarré"), d.Numbers)
	case codeEnded:
		return d.ended()
	case "server-replaced":
		return with(hint.T("Foyer replaces the server (%s)", "Foyer remplace le serveur (%s)", d.Cause), d.Numbers)
	case "job-begun":
		return hint.T("Job begun: %s", "Tâche commencée : %s", d.About)
	case "job-ended":
		return with(hint.T("Job ended: %s (%s)", "Tâche terminée : %s (%s)", d.About, d.Cause), d.Numbers)
	case "repair-begun":
		return hint.T("Foyer repairs: %s", "Foyer répare : %s", d.About)
	case "repair-ended":
		return with(hint.T("Repair ended: %s (%s)", "Réparation terminée : %s (%s)", d.About, d.Cause), d.Numbers)
	case "clock-set":
		return with(hint.T("The clock was set", "L'horloge a été réglée"), d.Numbers)
	case "machine-slept":
		return with(hint.T("The machine slept", "La machine dormait"), d.Numbers)
	case "finding":
		return d.finding()
	}
	said := hint.T("%s", "%s", d.Code)
	if d.About != "" {
		said = hint.T("%s %s", "%s %s", said, d.About)
	}
	if d.Cause != "" {
		said = hint.T("%s (%s)", "%s (%s)", said, d.Cause)
	}
	return with(said, d.Numbers)
}

func (d *Decision) finding() hint.Text {
	said := d.About
	if d.Cause != "" {
		said += ", " + d.Cause
	}
	switch d.Severity {
	case report.OK, report.Info:
		return hint.T("Resolved: %s", "Résolu : %s", said)
	case report.Warning:
		return hint.T("Warning: %s", "Avertissement : %s", said)
	}
	return hint.T("Error: %s", "Erreur : %s", said)
}

// ended is how a server ended.
func (d *Decision) ended() hint.Text {
	signal, killed := d.number(Signal)
	status, exited := d.number(ExitStatus)
	switch {
	case d.Cause == Replaced:
		return hint.T("Foyer killed the server to replace it.", "Foyer a tué le serveur pour le remplacer.")
	case d.Cause == AsAsked:
		return hint.T("The server was stopped on request, to be restarted.", "Le serveur a été arrêté sur demande, pour être redémarré.")
	case d.Cause == WithFoyer:
		return hint.T("The server was stopped along with Foyer.", "Le serveur a été arrêté avec Foyer.")
	case d.Cause == SafeOver:
		return hint.T("The server in safe mode was ended, to be tried without.", "Le serveur en mode sans échec a été arrêté, pour l'essayer sans.")
	case d.Cause == Unstarted:
		return hint.T("The server could not be started.", "Le serveur n'a pas pu être démarré.")
	case killed:
		return hint.T("The server was killed by signal %d.", "Le serveur a été tué par le signal %d.", signal)
	case exited:
		return hint.T("The server exited with status %d.", "Le serveur s'est terminé avec le code %d.", status)
	}
	return hint.T("The server exited.", "Le serveur s'est terminé.")
}
