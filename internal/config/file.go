package config

import (
	"fmt"
	"slices"
	"strconv"
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
			fmt.Fprintf(&b, "%s = %s\n", QuoteTOML(n), QuoteTOML(s.Kinto.Written(n)))
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

// Line is one setting as a line of the settings file, which may stand anywhere before its
// first table and reads back as what the setting is. Where that cannot be shown, since it
// holds a secret, where key is a pattern that stands for many, or where nobody made a
// setting that means something else once it is made, the line is a comment.
func (s *Settings) Line(key string) string { return s.line(key, Shown) }

// LineWithSecrets is Line with what the setting is where that holds a secret.
func (s *Settings) LineWithSecrets(key string) string {
	return s.line(key, func(_, value string) string { return value })
}

func (s *Settings) line(key string, shownAs func(key, value string) string) string {
	value, _ := s.Get(key)
	shown := shownAs(key, value)
	name, kinto := strings.CutPrefix(key, "kinto.")
	text := s.tomlValue(key)
	unmade := kinto && !s.Kinto.IsSet(name) && slices.Contains(madeOrNot, name)
	if k := kintoKey(name); kinto && k != nil {
		switch {
		case k.Kind.plain(shown):
			text = shown
		case shown == value:
			text = QuoteTOML(s.Kinto.Written(name))
		default:
			text = QuoteTOML(shown)
		}
		// A name of the owner's own may begin with another one that is no table.
		if key = "kinto." + name; k.Name != name || strings.Contains(name, "*") {
			key = "kinto." + QuoteTOML(name)
		}
	}
	switch {
	case shown != value && !kinto && s.isList(key):
		text = "[" + QuoteTOML(shown) + "]"
	case shown != value:
		text = QuoteTOML(shown)
	case !strings.Contains(key, "*") && !unmade:
		return key + " = " + text
	}
	return "# " + key + " = " + text
}

// madeOrNot are settings of [kinto] that are told from their default when they are set to
// it: plugins that were asked for want their settings to fit, and nobody is to think that an
// empty secret was chosen who made none.
var madeOrNot = []string{"includes", "default_bucket_hmac_secret", "userid_hmac_secret"}

func (s *Settings) isList(key string) bool {
	_, ok := s.field(key).(*[]string)
	return ok
}

// plain reports whether text, of a setting of that kind, needs no quotes in TOML.
func (k KintoKind) plain(text string) bool {
	switch k {
	case KintoBool:
		return text == "true" || text == "false"
	case KintoInt:
		n, err := strconv.ParseInt(text, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == text
	}
	return false
}

// QuoteTOML writes a TOML basic string. What would not be seen, or would have a terminal
// do something, is an escape.
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
		case r > 0xffff && !hint.IsPrintable(r):
			fmt.Fprintf(&b, `\U%08X`, r)
		case r == '\u200c', r == '\u200d', !hint.IsPrintable(r): // joiners hide after some characters
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
