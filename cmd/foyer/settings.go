package main

import (
	"fmt"
	"strings"
	"unicode"

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
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.loadSettings(cmd.Context(), a.environ)
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
				line(a.out, a.inTOML(s.Line(l.Key)))
				line(a.out, "    # "+l.Means)
				line(a.out, "    # "+from.In(a.lang))
			}
			return nil
		},
	}
}

// inTOML is a line of TOML that our printer leaves as it is: beyond ASCII there are only
// characters of strings, which may be written as escapes where they are not shown.
func (a *app) inTOML(text string) string {
	if p, ok := a.out.(*printer); !ok || !p.ascii {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		case r > unicode.MaxASCII:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
