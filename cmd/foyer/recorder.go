package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/recorder"
)

// recorderCmd shows what the flight recorder holds: of this machine, or in a file of another one.
func recorderCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "recorder [FILE]", Args: usage(a, cobra.MaximumNArgs(1)),
		Short: hint.T("Show the flight recorder: what happened before Foyer or the machine died", "Montrer l'enregistreur de bord : ce qui s'est passé avant une panne").In(a.lang),
		Long: hint.T("Show the flight recorder of this machine, or the one in FILE: figures, decisions and what the kernel reported, the newest last. FILE may be the folder a card of another machine is mounted on.",
			"Montrer l'enregistreur de bord de cette machine, ou celui de FILE : chiffres, décisions et messages du noyau, les plus récents à la fin. FILE peut être le dossier où est montée la carte d'une autre machine.").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return showRecording(cmd.Context(), a, supervisor.RecordingIn(systemState), true)
			}
			return showRecording(cmd.Context(), a, recordingAt(args[0]), false)
		},
	}
}

// recordingAt is the file of a flight recorder that somebody named, by itself or by a folder it is
// in.
func recordingAt(path string) string {
	if is, err := os.Stat(path); err != nil || !is.IsDir() {
		return path
	}
	onCard := supervisor.RecordingIn(filepath.Join(path, systemState))
	if _, err := os.Lstat(onCard); err == nil || errors.Is(err, fs.ErrPermission) {
		return onCard
	}
	return filepath.Join(path, recorder.File)
}

func showRecording(ctx context.Context, a *app, path string, here bool) error {
	recording, err := recorder.Read(path)
	if errors.Is(err, fs.ErrPermission) {
		return needRoot()
	}
	if err != nil {
		return err
	}
	goesOn := false
	if here {
		_, err := control.Dial(a.runDir).Log(ctx, 1) // the supervisor answers
		goesOn = err == nil
	}
	for l := range recording.Lines() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if a.json {
			if err := a.encode(l.Data); err != nil {
				return err
			}
			continue
		}
		line(a.out, l.At.Local().Format("2006-01-02 15:04:05")+"  "+l.Said.In(a.lang))
	}
	summary := recording.Summary(goesOn)
	if a.json {
		return a.encode(map[string]any{"kind": "summary", "said": summary, "goes_on": goesOn, "damaged_blocks": recording.Damaged})
	}
	line(a.out, "")
	for _, said := range summary {
		a.say(said)
	}
	return nil
}
