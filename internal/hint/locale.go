package hint

import (
	"slices"
	"strconv"
	"strings"
)

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

// Accepted is the language of ours that an Accept-Language header wants most (RFC 9110
// §12.5.4), of several wanted alike the first. It reports false when it names none, or
// any ("*").
func Accepted(header string) (Lang, bool) {
	type wish struct {
		lang Lang
		q    float64
	}
	var wishes []wish
	for part := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		name, value, weighed := strings.Cut(strings.TrimSpace(params), "=")
		q := 1.0
		if weighed && strings.EqualFold(strings.TrimSpace(name), "q") {
			var err error
			if q, err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
				continue
			}
		}
		if l, ok := ParseLang(strings.TrimSpace(tag)); ok && q > 0 {
			wishes = append(wishes, wish{l, q})
		}
	}
	if len(wishes) == 0 {
		return EN, false
	}
	return slices.MaxFunc(wishes, func(a, b wish) int {
		switch {
		case a.q > b.q:
			return 1
		case a.q < b.q:
			return -1
		}
		return 0
	}).lang, true
}
