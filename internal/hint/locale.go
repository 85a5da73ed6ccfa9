package hint

import "strings"

// Locale chooses the language of a process from its environment, the way
// setlocale(3) and gettext do: LC_ALL, then LC_MESSAGES, then LANG; when that is
// not C or POSIX, the list in LANGUAGE goes first. It reports false when nothing
// says which language is wanted.
func Locale(getenv func(string) string) (Lang, bool) {
	set := ""
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if set = getenv(name); set != "" {
			break
		}
	}
	switch base, _, _ := strings.Cut(set, "."); base {
	case "", "C", "POSIX":
		return EN, false
	}
	for _, tag := range append(strings.Split(getenv("LANGUAGE"), ":"), set) {
		if l, ok := ParseLang(tag); ok {
			return l, true
		}
	}
	return EN, false
}

// ParseLang reads a language tag such as "fr", "fr_CA.UTF-8" or "en-GB".
// It reports false for a language Foyer does not speak.
func ParseLang(tag string) (Lang, bool) {
	i := strings.IndexAny(tag, "_-.@")
	if i >= 0 {
		tag = tag[:i]
	}
	for _, l := range Langs {
		if strings.EqualFold(tag, string(l)) {
			return l, true
		}
	}
	return EN, false
}
