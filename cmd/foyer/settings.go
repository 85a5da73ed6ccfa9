package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
)

// settingLine is one setting as `foyer settings --json` shows it.
type settingLine struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Source  string `json:"source"` // file:line, environment variable; "default"
	Means   string `json:"means"`
}

func (a *app) settingsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "settings", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Every setting: value, meaning, default, where it comes from", "Chaque réglage : valeur, sens, défaut, provenance").In(a.lang),
		RunE: func(*cobra.Command, []string) error {
			s, err := config.Load(a.settings, a.environ)
			if err != nil {
				return err
			}
			var lines []settingLine
			add := func(key, dflt string, means hint.Text) {
				value, source := s.Get(key)
				lines = append(lines, settingLine{key, config.Shown(key, value), dflt, or(source, "default"), means.In(a.lang)})
			}
			for _, k := range config.Keys {
				add(k.Name, k.Default, k.Means)
			}
			for _, k := range config.KintoKeys {
				add("kinto."+k.Name, k.Default, k.Means)
			}
			for _, n := range s.Kinto.Names() {
				if !config.IsKintoKey(n) { // one that a pattern stands for
					add("kinto."+n, "", hint.T("(see the pattern above)", "(voir le motif ci-dessus)"))
				}
			}
			if a.json {
				a.printJSON(map[string]any{"file": a.settings, "settings": lines})
				return nil
			}
			for _, l := range lines {
				from := hint.T("(default)", "(par défaut)")
				if l.Source != "default" {
					from = hint.T("set by %s; default %q", "réglé par %s ; défaut %q", l.Source, l.Default)
				}
				line(a.out, fmt.Sprintf("%s = %q", l.Key, l.Value))
				line(a.out, "    "+l.Means)
				line(a.out, "    "+from.In(a.lang))
			}
			return nil
		},
	}
}
