package recorder

import (
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Codes that a reader has to know. What Foyer records besides is told by its code.
const (
	codeBegins  = "foyer-begins"
	codeStopped = "foyer-stopped"
	codeStarted = "server-started"
	codeEnded   = "server-ended"
)

// Begins is that the supervisor begins.
func Begins() Decision { return Decision{Code: "foyer-begins"} }

// Stopped is that the supervisor ends in good order. Without it a run was cut off.
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
	Unstarted = "not-started"
)

// ServerEnded is that it has ended, how, and by which numbers: ExitStatus, Signal, Lasted.
func ServerEnded(how string, numbers ...Value) Decision {
	d := Decision{Code: "server-ended", Severity: report.Warning, Cause: how, Numbers: numbers}
	if how == AsAsked || how == WithFoyer {
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
	case codeBegins:
		return hint.T("Foyer begins.", "Foyer démarre.")
	case codeStopped:
		return hint.T("Foyer was stopped in good order.", "Foyer a été arrêté proprement.")
	case codeStarted:
		return with(hint.T("The server was started", "Le serveur a été démarré"), d.Numbers)
	case codeEnded:
		return d.ended()
	case "server-replaced":
		return with(hint.T("The server is replaced (%s)", "Le serveur est remplacé (%s)", d.Cause), d.Numbers)
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
		return hint.T("Well again: %s", "De nouveau en ordre : %s", said)
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
		return hint.T("The server was killed by Foyer, to be replaced.", "Le serveur a été tué par Foyer, pour être remplacé.")
	case d.Cause == AsAsked:
		return hint.T("The server was ended, as a person asked.", "Le serveur a été arrêté, comme demandé.")
	case d.Cause == WithFoyer:
		return hint.T("The server was ended, since Foyer was stopped.", "Le serveur a été arrêté, car Foyer s'arrêtait.")
	case d.Cause == Unstarted:
		return hint.T("The server could not be started.", "Le serveur n'a pas pu être démarré.")
	case killed:
		return hint.T("The server was killed by signal %d.", "Le serveur a été tué par le signal %d.", signal)
	case exited:
		return hint.T("The server ended by itself, with exit status %d.", "Le serveur s'est arrêté de lui-même, code de sortie %d.", status)
	}
	return hint.T("The server ended by itself.", "Le serveur s'est arrêté de lui-même.")
}
