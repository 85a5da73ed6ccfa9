package recorder

import (
	"iter"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Line is an entry as people and programs read it.
type Line struct {
	At      time.Time
	Said    hint.Text
	Data    map[string]any // for programs
	Notable bool           // it belongs to what a summary tells
}

// Lines tells a recording line by line, the newest last: its records, and what is missing between
// them.
func (r *Recording) Lines() iter.Seq[Line] {
	return func(yield func(Line) bool) {
		var last *Frame // before this one
		ended := false  // the last run said that it ends
		for f := range r.Frames() {
			for _, l := range between(last, &f, ended) {
				if !yield(l) {
					return
				}
			}
			for _, record := range f.Records {
				if record.Decision != nil {
					ended = record.Decision.Code == codeStopped
				}
				if !yield(record.line(&f)) {
					return
				}
			}
			last = &f
		}
	}
}

// between tells what is to be said before a frame: that something is missing, and how the run
// before it ended.
func between(last, f *Frame, ended bool) (lines []Line) {
	at := time.Time{}
	if len(f.Records) > 0 {
		at = f.Records[0].At
	}
	if last != nil && f.Missing > 0 {
		lines = append(lines, Line{
			At: at, Said: hint.T("(%d writes are missing here: they never fully reached the disk)", "(il manque %d écritures ici : elles ne sont jamais arrivées entières sur le disque)", f.Missing),
			Data: map[string]any{"kind": "gap", "missing": f.Missing},
		})
	}
	if f.Dropped > 0 {
		lines = append(lines, Line{
			At: at, Said: hint.T("(%d entries are missing here: the disk did not take them in time)", "(il manque %d entrées ici : le disque ne les a pas prises à temps)", f.Dropped),
			Data: map[string]any{"kind": "dropped", "dropped": f.Dropped}, Notable: true,
		})
	}
	if last != nil && last.Run != f.Run && !ended {
		same := last.Boot == f.Boot && last.up() <= f.up() // systems that name no start of theirs count from it
		lines = append(lines, Line{
			At: at, Said: unsaid(same, last.end()), Notable: true,
			Data: map[string]any{"kind": "cut", "same_boot": same, "last": stamp(last.end())},
		})
	}
	return lines
}

// unsaid is that a run ended and did not say so.
func unsaid(sameBoot bool, last time.Time) hint.Text {
	at := last.Local().Format(clock)
	if sameBoot {
		return hint.T("Foyer was not stopped cleanly: its process was killed after %s.", "Foyer n'a pas été arrêté proprement : son processus a été tué après %s.", at)
	}
	return hint.T("The machine restarted after %s without a clean shutdown: power cut or reset.", "La machine a redémarré après %s sans arrêt propre : coupure de courant ou réinitialisation.", at)
}

// end is when the last record of a frame is of.
func (f *Frame) end() time.Time {
	if n := len(f.Records); n > 0 {
		return f.Records[n-1].At
	}
	return time.Time{}
}

// up is how long the machine had been running at the end of a frame.
func (f *Frame) up() time.Duration {
	if n := len(f.Records); n > 0 {
		return f.Records[n-1].Up
	}
	return 0
}

// clock is how a time of day is written, and dated with its day.
const (
	clock = "15:04:05"
	dated = "2006-01-02 15:04:05"
)

// stamp is a time for programs; one that is none, since the bytes of a file may be anybody's, stays text.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// line tells a record.
func (r Record) line(f *Frame) Line {
	data := map[string]any{"at": stamp(r.At), "since_boot_seconds": r.Up.Seconds(), "sequence": f.Sequence, "run": f.Run}
	l := Line{At: r.At, Data: data}
	switch {
	case r.Decision != nil:
		d := r.Decision
		data["kind"], data["code"], data["severity"] = "decision", d.Code, d.Severity.String()
		if d.About != "" {
			data["about"] = d.About
		}
		if d.Cause != "" {
			data["cause"] = d.Cause
		}
		if len(d.Numbers) > 0 {
			data["numbers"] = forPrograms(d.Numbers)
		}
		l.Said, l.Notable = d.said(), d.isNotable()
	case r.Kernel != nil:
		k := r.Kernel
		name, said := k.Class.described()
		data["kind"], data["class"], data["device"], data["reported"], data["numbers"] = "kernel", name, k.Device, stamp(k.At), forPrograms(k.Numbers)
		l.At, l.Notable = k.At, true
		l.Said = hint.T("Kernel: %s", "Noyau : %s", said)
		if k.Device != "" {
			l.Said = hint.T("%s (%s)", "%s (%s)", l.Said, k.Device)
		}
		l.Said = with(l.Said, k.Numbers)
	default:
		data["kind"], data["figures"] = "figures", forPrograms(r.Figures)
		l.Said = list(r.Figures)
	}
	return l
}

func forPrograms(all []Value) map[string]float64 {
	out := map[string]float64{}
	for _, v := range all {
		if v.Of.isKnown() {
			out[table[v.Of].name] = float64(v.N) * table[v.Of].scale
		}
	}
	return out
}

// list is numbers in a row; those of a newer Foyer are left out.
func list(all []Value) (said hint.Text) {
	for _, v := range all {
		if !v.Of.isKnown() {
			continue
		}
		one := hint.T("%s %s", "%s %s", table[v.Of].title, table[v.Of].show(v.N))
		if said.IsZero() {
			said = one
		} else {
			said = hint.T("%s, %s", "%s, %s", said, one)
		}
	}
	return said
}

// with is a sentence with numbers after it.
func with(said hint.Text, all []Value) hint.Text {
	if numbers := list(all); !numbers.IsZero() {
		return hint.T("%s: %s", "%s : %s", said, numbers)
	}
	return said
}
