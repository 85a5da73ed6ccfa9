package osupdate

import (
	"bytes"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Run is one run of apt, as its history tells it.
type Run struct {
	Start   time.Time
	End     time.Time // zero: it is not over, or was cut off
	Command string    // that was typed, or of the program that had it done
	Changes []Change
	Error   string // empty: it went well
}

// Change is what became of a package.
type Change struct {
	Name string
	From string // empty: it was not there before
	To   string // empty: it is gone
}

// Bounds of what is read.
const (
	historyBytes = 1 << 20
	mostRuns     = 200
	mostChanges  = 5000
)

// readHistory reads the end of apt's history, oldest first.
func readHistory(root tree) []Run {
	text, cut := root.read(historyFile, historyBytes)
	if cut {
		_, text, _ = bytes.Cut(text, []byte("\n\n"))
	}
	return parseHistory(string(text), time.Local)
}

// parseHistory reads stanzas as apt writes them. Their times are those of the machine's own
// clock.
func parseHistory(text string, where *time.Location) (out []Run) {
	var r *Run
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		if name == "Start-Date" {
			out = append(out, Run{Start: historyTime(value, where)})
			r = &out[len(out)-1]
		}
		if r == nil {
			continue
		}
		switch name {
		case "End-Date":
			r.End = historyTime(value, where)
			r = nil
		case "Commandline":
			r.Command = hint.Short(value, 200)
		case "Error":
			r.Error = hint.Short(value, 200)
		case "Install", "Reinstall", "Upgrade", "Downgrade", "Remove", "Purge":
			r.Changes = append(r.Changes, parseChanges(name, value, mostChanges-len(r.Changes))...)
		}
	}
	return out[max(0, len(out)-mostRuns):]
}

// historyTime reads "2026-11-28  04:16:44".
func historyTime(text string, where *time.Location) time.Time {
	at, _ := time.ParseInLocation("2006-01-02 15:04:05", strings.Join(strings.Fields(text), " "), where)
	return at
}

// parseChanges reads "libc6:amd64 (2.36-9, 2.36-10), tzdata:all (2026a, automatic)", of which
// no more than most.
func parseChanges(what, text string, most int) (out []Change) {
	for text != "" && len(out) < most {
		name, rest, ok := strings.Cut(text, " (")
		if !ok {
			break
		}
		inside, rest, ok := strings.Cut(rest, ")")
		if !ok {
			break
		}
		text = strings.TrimPrefix(rest, ", ")
		first, second, _ := strings.Cut(inside, ", ")
		name, _, _ = strings.Cut(name, ":")
		c := Change{Name: hint.Short(name, 60)}
		switch first, second = hint.Short(first, 60), hint.Short(second, 60); what {
		case "Install", "Reinstall":
			c.To = first
		case "Remove", "Purge":
			c.From = first
		default:
			c.From, c.To = first, second
		}
		out = append(out, c)
	}
	return out
}

// touched reports whether a run has changed a package.
func (r Run) touched(name string) bool {
	for _, c := range r.Changes {
		if c.Name == name {
			return true
		}
	}
	return false
}
