package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/recorder"
)

// parts are those of a support bundle that the supervisor itself has.
func (s worker) parts() []Part {
	parts := []Part{
		jsonPart("version.json", hint.T("Versions", "Versions"), func(context.Context) any { return versions(s.cfg.Version) }),
		jsonPart("status.json", hint.T("How things are", "Comment vont les choses"), func(ctx context.Context) any {
			st := s.Status(ctx)
			st.Jobs, st.Lately = nil, nil // in parts of their own
			return st
		}),
		jsonPart("events.json", hint.T("What happened", "Ce qui s'est passé"), func(context.Context) any { return s.impersonal(s.events.Newest(event.Most)) }),
		jsonPart("jobs.json", hint.T("Jobs", "Tâches"), func(context.Context) any { return impersonalJobs(s.jobs.List()) }),
		{"log.txt", hint.T("The newest lines of the log", "Les dernières lignes du journal"), func(_ context.Context, w io.Writer) error {
			for _, line := range s.cfg.Journal.Tail(journalLines) {
				if _, err := fmt.Fprintln(w, line); err != nil {
					return err
				}
			}
			return nil
		}},
	}
	if s.cfg.StateDir != "" {
		parts = append(parts, Part{"recorder.txt", hint.T("The end of the flight recorder", "La fin de l'enregistreur de bord"), func(_ context.Context, w io.Writer) error {
			return writeRecording(RecordingIn(s.cfg.StateDir), w)
		}})
	}
	return parts
}

// recordingBytes is how much of the flight recorder's end a bundle has.
const recordingBytes = 512 << 10

// writeRecording writes in words what the flight recorder at path holds, as much of its end as a
// bundle has room for.
func writeRecording(path string, w io.Writer) error {
	recording, err := recorder.Read(path)
	if err != nil {
		return err
	}
	var lines []string
	long := 0
	for l := range recording.Lines() {
		text := l.At.UTC().Format(time.RFC3339) + "  " + l.Said.EN
		lines, long = append(lines, text), long+len(text)+1
		for long > recordingBytes {
			long -= len(lines[0]) + 1
			lines = lines[1:]
		}
	}
	for _, said := range recording.Summary(true) {
		lines = append(lines, said.EN)
	}
	_, err = io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// jsonPart is a part that is one value.
func jsonPart(name string, title hint.Text, what func(context.Context) any) Part {
	return Part{name, title, func(ctx context.Context, w io.Writer) error {
		to := json.NewEncoder(w)
		to.SetIndent("", "  ")
		return to.Encode(what(ctx))
	}}
}

// impersonal are events as a stranger may read them: of those that may tell of people there
// remains that something happened, and when.
func (s worker) impersonal(all []report.Event) []report.Event {
	all = slices.Clone(all)
	for i, e := range all {
		if !s.isOfMachine(e.Code) {
			all[i] = report.Event{ID: e.ID, At: e.At, Code: e.Code, Severity: e.Severity, Times: e.Times, Last: e.Last}
		}
	}
	return all
}

// isOfMachine reports whether events with this code tell of the machine, and of nobody.
func (s worker) isOfMachine(code string) bool {
	return strings.HasPrefix(code, "server-") || strings.HasPrefix(code, "data-") || s.board.Has(code) ||
		slices.Contains([]string{"job", "repaired", "repair-given-up", "claim-code", "reset-code"}, code)
}

// impersonalJobs are jobs as a stranger may read them, the newest first. What came of them may
// be about people, but for a few kinds, of which the newest is told.
func impersonalJobs(all []report.Job) []report.Job {
	untold := []string{JobCheck, JobBundle, helper.VerbReadMachine}
	for i := range all {
		if !isOurs(all[i].By) {
			all[i].By = removed
		}
		if at := slices.Index(untold, all[i].Kind); at < 0 {
			all[i].Result = nil
		} else if all[i].Result != nil {
			untold = slices.Delete(untold, at, at+1)
		}
	}
	return all
}
