package main

import (
	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
)

// passedOver is one that has no effect.
type passedOver struct {
	Source string `json:"source"`
	Key    string `json:"key"`
	Why    string `json:"why"`
}

// settingLine is one setting as `foyer settings --json` shows it.
type settingLine struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Source  string `json:"source"` // file:line, environment variable; "default"
	Means   string `json:"means"`
}

func (a *app) settingsCmd() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use: "settings", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Every setting: value, meaning, default, where it comes from", "Chaque réglage : valeur, sens, défaut, provenance").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.loadSettings(cmd.Context(), a.environ)
			if err != nil {
				return err
			}
			passed := []passedOver{}
			for _, n := range s.Notices() {
				line(a.err, n.Text().In(a.lang))
				passed = append(passed, passedOver{n.Source, n.Key, n.Why.In(a.lang)})
			}
			written := s.Line
			if secrets {
				written = s.LineWithSecrets
			}
			var lines []settingLine
			add := func(key, dflt string, means hint.Text) {
				value, source := s.Get(key)
				if !secrets {
					value = config.Shown(key, value)
				}
				lines = append(lines, settingLine{key, value, dflt, or(source, "default"), means.In(a.lang)})
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
				a.printJSON(map[string]any{"file": a.settings, "settings": lines, "passed_over": passed})
				return nil
			}
			for _, l := range lines {
				from := hint.T("(default)", "(par défaut)")
				if l.Source != "default" {
					from = hint.T("set by %s; default %q", "réglé par %s ; défaut %q", l.Source, l.Default)
				}
				line(a.out, a.inTOML(written(l.Key)))
				line(a.out, "    # "+l.Means)
				line(a.out, "    # "+from.In(a.lang))
			}
			return nil
		},
	}
	cmd.AddCommand(a.settingsSetCmd(), a.settingsUnsetCmd())
	cmd.Flags().BoolVar(&secrets, "with-secrets", false, hint.T("print secrets as they are, so that what is printed does all that these settings do", "afficher les secrets tels quels, pour que le texte affiché fasse tout ce que font ces réglages").In(a.lang))
	return cmd
}
