package recorder

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// told is how many of the last things a summary tells.
const told = 6

// Summary tells a recording in short: from when to when it goes, the last things that matter, and
// how it ends. goesOn: it is that of this machine, and Foyer is at it.
func (r *Recording) Summary(goesOn bool) (said []hint.Text) {
	var lines []*Line // the last ones that matter
	var first, last time.Time
	var death *Line // of the server, after which none was started yet
	var died time.Duration
	records, ended := 0, false
	note := func(l Line) {
		if lines = append(lines, &l); len(lines) > told {
			lines = lines[1:]
		}
	}
	var before *Frame
	for f := range r.Frames() {
		for _, l := range between(before, &f, ended) {
			if l.Notable {
				note(l)
			}
		}
		if before != nil && before.Run != f.Run {
			death = nil
		}
		for _, record := range f.Records {
			if first.IsZero() {
				first = record.At
			}
			last = record.At
			records++
			d := record.Decision
			if d != nil {
				ended = d.Code == codeStopped
			}
			l := record.line(&f)
			switch {
			case d != nil && d.Code == codeStarted && death != nil:
				death.Said = hint.T("%s It was restarted %s later.", "%s Il a été relancé %s plus tard.", death.Said, millis((record.Up - died).Milliseconds()))
				death = nil
			case d != nil && d.Code == codeEnded:
				note(l)
				death, died = lines[len(lines)-1], record.Up
			case l.Notable:
				note(l)
			}
		}
		before = &f
	}
	if records == 0 {
		return []hint.Text{hint.T("Nothing is recorded yet.", "Rien n'est encore enregistré.")}
	}
	said = append(said, hint.T("The recording goes from %s to %s: %d entries.", "L'enregistrement va de %s à %s : %d entrées.", first.Local().Format(dated), last.Local().Format(dated), records))
	if r.Damaged > 0 {
		said = append(said, hint.T("%d blocks of the file cannot be read: torn by a power cut, being written, or damaged.", "%d blocs du fichier sont illisibles : déchirés par une coupure de courant, en cours d'écriture ou abîmés.", r.Damaged))
	}
	if r.Newer > 0 {
		said = append(said, hint.T("%d parts were written by a newer Foyer, which can read them.", "%d parties ont été écrites par un Foyer plus récent, qui sait les lire.", r.Newer))
	}
	for _, l := range lines {
		said = append(said, hint.T("%s  %s", "%s  %s", l.At.Local().Format(dated), l.Said))
	}
	return append(said, ending(last, ended, goesOn))
}

func ending(last time.Time, ended, goesOn bool) hint.Text {
	at := last.Local().Format(clock)
	switch {
	case ended && !goesOn:
		return hint.T("The recording ends at %s: Foyer was stopped cleanly.", "L'enregistrement se termine à %s : Foyer a été arrêté proprement.", at)
	case goesOn:
		return hint.T("Foyer is running. Anything newer than %s has not been written yet.", "Foyer tourne. Ce qui est plus récent que %s n'est pas encore écrit.", at)
	}
	return hint.T("The recording ends at %s; nothing says that Foyer was stopped: power cut, reset, or killed.", "L'enregistrement se termine à %s ; rien n'indique que Foyer ait été arrêté : coupure de courant, réinitialisation, ou processus tué.", at)
}
