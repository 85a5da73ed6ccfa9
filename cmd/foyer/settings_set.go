package main

import (
	"bufio"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/tui"
)

// changedSetting is one setting as `foyer settings set --json` shows it.
type changedSetting struct {
	Key string `json:"key"`
	Was string `json:"was"`
	Is  string `json:"is"`
}

func (a *app) settingsSetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "set KEY VALUE…", Args: usage(a, cobra.MinimumNArgs(2)),
		Short: hint.T("Change a setting in the file; a list is given as words; -: as a line of standard input", "Changer un réglage dans le fichier ; une liste se donne en mots ; - : par une ligne de l'entrée standard").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, value := args[0], strings.Join(args[1:], " ")
			switch {
			case value == "-":
				var err error
				if value, err = typedSetting(a, cmd.Context(), key); err != nil {
					return err
				}
			case config.Shown(key, value) != value:
				return wrongUse(hint.T("others on this machine could read a secret on the command line; `foyer settings set %s -` takes it from standard input", "d'autres sur cette machine pourraient lire un secret sur la ligne de commande ; `foyer settings set %s -` le prend sur l'entrée standard", key))
			}
			return editSettings(cmd.Context(), a, []config.Edit{{Key: key, Value: value}})
		},
	}
}

func (a *app) settingsUnsetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "unset KEY…", Args: usage(a, cobra.MinimumNArgs(1)),
		Short: hint.T("Give settings their default again", "Rendre à des réglages leur défaut").In(a.lang),
		RunE: func(cmd *cobra.Command, keys []string) error {
			var edits []config.Edit
			for _, key := range keys {
				edits = append(edits, config.Edit{Key: key, Unset: true})
			}
			return editSettings(cmd.Context(), a, edits)
		},
	}
}

// typedSetting takes what a setting is to be from a line of standard input.
func typedSetting(a *app, ctx context.Context, key string) (string, error) {
	if a.atTerminal() {
		line(a.err, hint.T("What %s is to be, in one line:", "Ce que doit être %s, en une ligne :", key).In(a.lang))
	}
	text, err := tui.ReadLine(ctx, bufio.NewReader(a.in))
	if err != nil {
		return "", cancelled()
	}
	return text, nil
}

// editSettings changes settings in the file, and says what they were, what they are, and
// how they come to be used.
func editSettings(ctx context.Context, a *app, edits []config.Edit) error {
	was, now, err := installer.EditSettings(a.settings, edits, func() error { return onTrial(ctx) })
	if err != nil {
		return err
	}
	changed := []changedSetting{}
	for _, key := range config.Differ(was, now) {
		before, _ := was.Get(key)
		after, _ := now.Get(key)
		changed = append(changed, changedSetting{key, config.Shown(key, before), config.Shown(key, after)})
	}
	do := toUse(a.settings, now, changed)
	if a.json {
		a.printJSON(map[string]any{"file": a.settings, "settings": changed, "do": do.In(a.lang)})
		return nil
	}
	for _, c := range changed {
		if c.Was == c.Is {
			a.say(hint.T("%s is changed; it is a secret, and not shown.", "%s est changé ; c'est un secret, et il n'est pas affiché.", c.Key))
		} else {
			a.say(hint.T("%s is %q; it was %q.", "%s vaut %q ; c'était %q.", c.Key, c.Is, c.Was))
		}
	}
	for _, n := range now.Notices() {
		line(a.err, n.Text().In(a.lang))
	}
	a.say(do)
	return nil
}

// toUse says what is to be done for settings to be used.
func toUse(path string, now *config.Settings, changed []changedSetting) hint.Text {
	moved := false
	for _, c := range changed {
		moved = moved || c.Key == "data"
	}
	switch {
	case len(changed) == 0:
		return hint.T("That is so already.", "C'est déjà ainsi.")
	case path != config.SystemFile:
		return hint.T("It is used from the next start with this file on.", "Cela sert dès le prochain démarrage avec ce fichier.")
	case moved:
		return hint.T("Move the data to %s, then `sudo foyer install` has them used there.", "Déplacez les données dans %s, puis `sudo foyer install` les y fera utiliser.", now.Data)
	}
	return hint.T("`sudo foyer jobs start apply-settings` has it used.", "`sudo foyer jobs start apply-settings` le met en service.")
}
