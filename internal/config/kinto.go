package config

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// Kinto holds the settings of the table [kinto], by the reference server's own
// names. Values are text; a list is words separated by white space, as in the
// reference's ini file.
type Kinto struct {
	values  map[string]string
	sources map[string]string
}

// KintoKind is how the text of a [kinto] setting is read.
type KintoKind int

// The kinds of [kinto] settings.
const (
	KintoString KintoKind = iota
	KintoBool
	KintoInt
	KintoList
)

// KintoKey documents one setting of the table [kinto].
type KintoKey struct {
	Name    string // "paginate_by"; a "*" stands for one or more words (a pattern)
	Kind    KintoKind
	Default string
	Means   hint.Text
}

func newKinto() Kinto { return Kinto{map[string]string{}, map[string]string{}} }

// NewKinto returns [kinto] settings with the given values over the defaults; it
// is for tests and panics on an unknown name.
func NewKinto(values map[string]string) Kinto {
	k := newKinto()
	for name, text := range values {
		if err := k.set(name, text, "given"); err != nil {
			panic(name + ": " + err.Error())
		}
	}
	return k
}

// kintoKey finds the documentation of a name, through patterns if need be.
func kintoKey(name string) *KintoKey {
	for i, k := range KintoKeys {
		if k.Name == name {
			return &KintoKeys[i]
		}
	}
	for i, k := range KintoKeys {
		if strings.Contains(k.Name, "*") && matches(k.Name, name) && (shapes[k.Name] == nil || shapes[k.Name].MatchString(name)) {
			return &KintoKeys[i]
		}
	}
	return nil
}

// matches reports whether name fits pattern, in which each * is one or more characters.
func matches(pattern, name string) bool {
	before, after, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, before)
	if !ok {
		return false
	}
	for i := 1; i <= len(rest); i++ {
		if matches(after, rest[i:]) {
			return true
		}
	}
	return false
}

// set sets a known key from text, which is read as the reference reads it; the error is
// an Allowed.
func (k Kinto) set(name, text, source string) error {
	key := kintoKey(name)
	if key == nil {
		return Allowed(NoSuchKey(name, kintoNames()))
	}
	value, err := native(key.Kind, text)
	if err == nil && key.Kind == KintoInt {
		err = inBounds(key.Name, value)
	}
	if err != nil {
		return err
	}
	k.values[name], k.sources[name] = value, source
	return nil
}

// kintoNames are names of settings that somebody may have meant.
func kintoNames() []string {
	var known []string
	for _, k := range KintoKeys {
		known = append(known, k.Name)
	}
	for _, resource := range []string{"bucket", "collection", "group", "record", "account"} {
		for _, permission := range []string{"create", "read", "write"} {
			known = append(known, resource+"_"+permission+"_principals")
		}
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			known = append(known, "plural_"+resource+"_"+method+"_enabled", "object_"+resource+"_"+method+"_enabled")
		}
		known = append(known, resource+"_cache_expires_seconds")
	}
	return slices.DeleteFunc(known, func(name string) bool {
		return strings.Contains(name, "*") || kintoKey(name) == nil
	})
}

// envName is the key that an environment variable means whose name is in capitals, with
// underscores, after KINTO_: one that was set before, so that what a file has is meant
// whatever its letters are; a known one; or one of a pattern, in lower case. False: none
// that is known.
func (k Kinto) envName(rest string) (string, bool) {
	for _, name := range k.Names() {
		if envForm(name) == rest {
			return name, true
		}
	}
	for _, key := range KintoKeys {
		if envForm(key.Name) == rest {
			return key.Name, true
		}
	}
	for _, policy := range k.List("multiauth.policies") {
		field, ok := strings.CutPrefix(rest, envForm("multiauth.policy."+policy)+"_")
		if name := "multiauth.policy." + policy + "." + strings.ToLower(field); ok && kintoKey(name) != nil {
			return name, true
		}
	}
	for _, key := range KintoKeys {
		before, after, one := strings.Cut(key.Name, "*")
		name := strings.ToLower(rest)
		if one && !strings.Contains(after, "*") && matches(strings.ToLower(envForm(key.Name)), name) {
			word := name[len(before) : len(name)-len(after)]
			if before == "attachment.resources." && strings.Contains(word, "_") {
				continue // a bucket and a collection, or a bucket: nobody knows
			}
			name = before + word + after
		}
		if kintoKey(name) != nil {
			return name, true
		}
	}
	return "", false
}

func envForm(name string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// String returns a setting as text: what was set, else its documented default.
func (k Kinto) String(name string) string {
	if v, ok := k.values[name]; ok {
		return v
	}
	if key := kintoKey(name); key != nil {
		return key.Default
	}
	return ""
}

func (k Kinto) source(name string) string { return k.sources[name] }

// IsSet reports whether a setting was given a value, be it an empty one, rather than
// having its documented default.
func (k Kinto) IsSet(name string) bool {
	_, ok := k.values[name]
	return ok
}

// Names lists the settings that were set, sorted.
func (k Kinto) Names() []string {
	var out []string
	for n := range k.values {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// Includes reports whether a plugin of the reference server is on, by its name:
// "history" for kinto.plugins.history, "attachment" for kinto_attachment.
func (k Kinto) Includes(plugin string) bool {
	return slices.ContainsFunc(k.List("includes"), func(name string) bool { return pluginName(name) == plugin }) ||
		plugin == "flush" && k.Bool("flush_endpoint_enabled")
}

// Bool returns a yes-or-no setting.
func (k Kinto) Bool(name string) bool {
	b, _ := parseBool(k.String(name)) // checked when it was set
	return b
}

// Int returns a number setting, or none when it is empty. What an int cannot hold
// is the nearest that it can.
func (k Kinto) Int(name string, none int) int {
	return int(max(math.MinInt, min(math.MaxInt, k.Int64(name, int64(none)))))
}

// Int64 is Int for numbers of bytes.
func (k Kinto) Int64(name string, none int64) int64 {
	n, err := strconv.ParseInt(k.String(name), 10, 64)
	if err != nil {
		return none
	}
	return n
}

// List returns the words of a list setting.
func (k Kinto) List(name string) []string { return strings.Fields(k.String(name)) }
