package config

import (
	"fmt"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// File renders a settings file in which every key that differs from its default
// is set and every other one is shown, commented out, with its meaning in l.
// Reading it back gives the same settings.
func (s *Settings) File(l hint.Lang) []byte {
	var b strings.Builder
	b.WriteString("# " + hint.T("Settings of this Foyer. `foyer settings` explains each key; restart with `sudo systemctl restart foyer` after a change.",
		"Réglages de ce Foyer. `foyer settings` explique chaque clé ; après un changement : `sudo systemctl restart foyer`.").In(l) + "\n")
	table := ""
	for _, k := range Keys {
		name := k.Name
		if t, rest, ok := strings.Cut(k.Name, "."); ok {
			name = rest
			if t != table {
				table = t
				fmt.Fprintf(&b, "\n[%s]\n", t)
			}
		}
		text, _ := s.Get(k.Name)
		mark := ""
		if text == k.Default {
			mark = "# "
		}
		fmt.Fprintf(&b, "\n# %s\n%s%s = %s\n", k.Means.In(l), mark, name, s.tomlValue(k.Name))
	}
	if names := s.Kinto.Names(); len(names) > 0 {
		b.WriteString("\n[kinto]\n")
		for _, n := range names {
			fmt.Fprintf(&b, "%q = %s\n", n, QuoteTOML(s.Kinto.String(n)))
		}
	}
	return []byte(b.String())
}

func (s *Settings) tomlValue(key string) string {
	switch p := s.field(key).(type) {
	case *int:
		return fmt.Sprint(*p)
	case *[]string:
		var quoted []string
		for _, v := range *p {
			quoted = append(quoted, QuoteTOML(v))
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case *string:
		return QuoteTOML(*p)
	}
	return `""`
}

// QuoteTOML writes a TOML basic string.
func QuoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// IsKintoKey reports whether a [kinto] setting is documented under its own name
// rather than by a pattern.
func IsKintoKey(name string) bool {
	k := kintoKey(name)
	return k != nil && k.Name == name
}
