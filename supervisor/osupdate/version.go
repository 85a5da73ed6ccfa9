package osupdate

import "strings"

// newer reports whether a version, or a release of a kernel, is later than another, as dpkg
// compares them (deb-version(7)).
func newer(a, b string) bool { return compare(a, b) > 0 }

func compare(a, b string) int {
	ea, ra := epoch(a)
	eb, rb := epoch(b)
	if c := part(ea, eb); c != 0 {
		return c
	}
	ua, da := revision(ra)
	ub, db := revision(rb)
	if c := part(ua, ub); c != 0 {
		return c
	}
	return part(da, db)
}

func epoch(v string) (epoch, rest string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		return e, rest
	}
	return "0", v
}

func revision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

// part compares two parts of versions: by turns what is no digits, and numbers.
func part(a, b string) int {
	digit := func(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
	for a != "" || b != "" {
		for a != "" && !digit(a) || b != "" && !digit(b) {
			if c := weight(a) - weight(b); c != 0 {
				return c
			}
			a, b = a[1:], b[1:] // of the same weight: neither is at its end
		}
		na, nb := number(a), number(b)
		a, b = a[len(na):], b[len(nb):]
		na, nb = strings.TrimLeft(na, "0"), strings.TrimLeft(nb, "0")
		if len(na) != len(nb) {
			return len(na) - len(nb)
		}
		if c := strings.Compare(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

func number(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i]
}

// weight is where the first character of s is sorted: a tilde before the end, letters before
// everything else.
func weight(s string) int {
	switch {
	case s == "" || s[0] >= '0' && s[0] <= '9':
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'A' && s[0] <= 'Z' || s[0] >= 'a' && s[0] <= 'z':
		return int(s[0])
	}
	return int(s[0]) + 256
}
