package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/foyer-server/foyer/internal/hint"
)

// A kinto.ini is what the reference is configured by: sections of keys as PasteDeploy
// and Python's configparser read them, of which [app:main] holds the settings. Here it is
// parsed, and its settings go where those of [kinto] go. What nobody knows in it is passed
// over, as the reference does: it was written for another program and its plugins, whose
// keys cannot all be known here, and what was misspelt had no effect there either. What
// would make another server of it, a plugin or a policy that is not here, is refused.

// iniSection is one section of an ini file, as it is written there.
type iniSection struct {
	name string
	line int
	keys []iniKey
}

type iniKey struct {
	name, text string // text as it stands, before interpolation; lines are joined by line ends
	line       int
}

func (x *iniSection) get(name string) (string, bool) {
	if x == nil {
		return "", false
	}
	for _, k := range x.keys {
		if k.name == name {
			return k.text, true
		}
	}
	return "", false
}

var pasteHeader = regexp.MustCompile(`(?m)^[ \t]*\[(app|application|pipeline|composite|composit|filter-app|server|filter):[^\]\n]+\]`)

// isINI reports whether a settings file is an ini file of the reference: by its name, or,
// as a pipe has none, by a header of a section that is none in TOML.
func isINI(path string, data []byte) bool {
	return strings.EqualFold(filepath.Ext(path), ".ini") || pasteHeader.Match(Normalise(data))
}

// readINI reads a kinto.ini; every mistake is told.
func (s *Settings) readINI(path string, data []byte) (wrong []*hint.Error) {
	if !utf8.Valid(data) {
		return []*hint.Error{Malformed(path, 0, "", hint.T("the file is not UTF-8", "le fichier n'est pas en UTF-8"))}
	}
	sections, wrong := parseINI(path, string(Normalise(data)))
	refuse := func(line int, key string, why hint.Text) { wrong = append(wrong, Malformed(path, line, key, why)) }
	app, problem := appSection(sections)
	if app == nil {
		refuse(0, "", problem)
		return wrong
	}
	for _, x := range sections {
		if x != app {
			s.notice(at(path, x.line), "["+x.name+"]", whyNoSection(x.name))
		}
	}
	in := newInterpolation(path, sections, app)
	first := map[string]iniKey{} // by name without prefix
	for _, k := range app.keys {
		source := at(path, k.line)
		if rest, ok := strings.CutPrefix(k.name, "set "); ok {
			s.notice(source, k.name, hint.T("nothing here reads the global %q", "rien ici ne lit la valeur globale %q", strings.TrimSpace(rest)))
			continue
		}
		text, err := in.value(k)
		if err != nil {
			refuse(k.line, k.name, Reason(err))
			continue
		}
		if k.name == "use" {
			if why, ok := otherApp(text); !ok {
				refuse(k.line, k.name, why)
			}
			continue
		}
		written := strings.TrimSpace(strings.TrimPrefix(k.name, "get "))
		name := strings.TrimPrefix(written, "kinto.")
		if before, ok := first[name]; ok && before.text != text {
			refuse(k.line, written, hint.T("line %d has %s with another value", "la ligne %d a %s avec une autre valeur", before.line, before.name))
			continue
		}
		first[name] = iniKey{written, text, k.line}
		if _, known := whyPassedOver(func(p string) bool { return matches(p, name) }); kintoKey(name) == nil && !known {
			s.unknown(source, name, written)
			continue
		}
		if err := s.setKinto(name, text, source, written); err != nil {
			refuse(k.line, written, Reason(err))
		}
	}
	return wrong
}

// appSection is the section that holds the settings: the application main, or the one that
// the pipeline main ends in, or the only one.
func appSection(sections []*iniSection) (*iniSection, hint.Text) {
	find := func(names ...string) *iniSection {
		for _, x := range sections {
			if slices.Contains(names, x.name) {
				return x
			}
		}
		return nil
	}
	if app := find("app:main", "application:main"); app != nil {
		return app, hint.Text{}
	}
	if pipeline, ok := find("pipeline:main").get("pipeline"); ok {
		if words := strings.Fields(pipeline); len(words) > 0 {
			last := words[len(words)-1]
			if app := find("app:"+last, "application:"+last); app != nil {
				return app, hint.Text{}
			}
		}
	}
	var apps []*iniSection
	for _, x := range sections {
		if strings.HasPrefix(x.name, "app:") || strings.HasPrefix(x.name, "application:") {
			apps = append(apps, x)
		}
	}
	if len(apps) == 1 {
		return apps[0], hint.Text{}
	}
	return nil, hint.T("there is no section [app:main], which holds the settings of a kinto.ini", "il n'y a pas de section [app:main], qui contient les réglages d'un kinto.ini")
}

// otherApp says what is wrong with the app of a section when it is not the reference.
func otherApp(use string) (hint.Text, bool) {
	name, _, _ := strings.Cut(use, "#")
	switch {
	case strings.EqualFold(name, "egg:kinto"), use == "kinto", use == "":
		return hint.Text{}, true
	case strings.HasPrefix(use, "config:"):
		return hint.T("the settings of %s are not read; put them into this file", "les réglages de %s ne sont pas lus ; mettez-les dans ce fichier", strings.TrimPrefix(use, "config:")), false
	}
	return hint.T("egg:kinto is needed: this file is for another program", "il faut egg:kinto : ce fichier est pour un autre programme"), false
}

// whyNoSection says why a section other than that of the settings has no effect here.
func whyNoSection(name string) hint.Text {
	kind, _, _ := strings.Cut(name, ":")
	switch {
	case name == "DEFAULT":
		return hint.T("its values are only used where another one has %(NAME)s", "ses valeurs ne servent que là où une autre contient %(NOM)s")
	case kind == "server", name == "uwsgi":
		return hint.T("Foyer answers by itself, at http_port and https_port of foyer.toml, or FOYER_HTTP_PORT and FOYER_HTTPS_PORT", "Foyer répond lui-même, à http_port et https_port de foyer.toml, ou FOYER_HTTP_PORT et FOYER_HTTPS_PORT")
	case name == "loggers", name == "handlers", name == "formatters", strings.HasPrefix(name, "logger_"), strings.HasPrefix(name, "handler_"), strings.HasPrefix(name, "formatter_"):
		return hint.T("Foyer writes its log in one form", "Foyer écrit son journal sous une seule forme")
	}
	return hint.T("Foyer reads the section of the settings alone", "Foyer ne lit que la section des réglages")
}

// parseINI reads sections as Python's configparser does: a key ends at the first = or :,
// lines that are indented more than their key go on with its value, and a line whose first
// character is # or ; is a comment wherever it stands. There are no comments behind values.
func parseINI(path, text string) (sections []*iniSection, wrong []*hint.Error) {
	var section *iniSection
	var key *iniKey
	depth := 0 // of the key's line
	lines := strings.Split(text, "\n")
	for i, raw := range lines {
		refuse := func(name string, why hint.Text) { wrong = append(wrong, Malformed(path, i+1, name, why)) }
		line := strings.TrimSpace(raw)
		indent := len(raw) - len(strings.TrimLeft(raw, " \t\r\f\v"))
		switch {
		case line == "" && key != nil:
			key.text += "\n" // one that the value may go on after
			continue
		case line == "", line[0] == '#', line[0] == ';':
			continue
		case key != nil && indent > depth:
			key.text += "\n" + line
			continue
		}
		depth, key = indent, nil
		if line[0] == '[' {
			name, _, closed := strings.Cut(line[1:], "]")
			if !closed || name == "" {
				refuse("", hint.T("a section stands in brackets, like [app:main]", "une section s'écrit entre crochets, comme [app:main]"))
				continue
			}
			if slices.ContainsFunc(sections, func(x *iniSection) bool { return x.name == name }) {
				refuse("["+name+"]", hint.T("this section is there already", "cette section existe déjà"))
			}
			section = &iniSection{name: name, line: i + 1}
			sections = append(sections, section)
			continue
		}
		at := strings.IndexAny(line, "=:")
		switch {
		case section == nil:
			refuse("", hint.T("a section like [app:main] has to come first", "une section comme [app:main] doit venir d'abord"))
		case at <= 0:
			refuse("", hint.T("KEY = VALUE is needed", "il faut CLÉ = VALEUR"))
		default:
			name := strings.TrimSpace(line[:at])
			if _, twice := section.get(name); twice {
				refuse(name, hint.T("this key is there already", "cette clé existe déjà"))
			}
			section.keys = append(section.keys, iniKey{name, strings.TrimSpace(line[at+1:]), i + 1})
			key = &section.keys[len(section.keys)-1]
		}
	}
	for _, x := range sections {
		for i := range x.keys {
			x.keys[i].text = strings.TrimRight(x.keys[i].text, " \t\n")
		}
	}
	return sections, wrong
}

// interpolation puts values in for %(NAME)s: those of the section, those of [DEFAULT], and
// here, the folder of the file.
type interpolation struct {
	app, defaults *iniSection
	extra         map[string]string
}

func newInterpolation(path string, sections []*iniSection, app *iniSection) *interpolation {
	in := &interpolation{app: app}
	for _, x := range sections {
		if x.name == "DEFAULT" {
			in.defaults = x
		}
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		whole = path
	}
	in.extra = map[string]string{"here": filepath.Dir(whole), "__file__": whole}
	return in
}

// value is that of a key; "get NAME = GLOBAL" has that of a global one.
func (in *interpolation) value(k iniKey) (string, error) {
	if strings.HasPrefix(k.name, "get ") {
		text, ok := in.defaults.get(k.text)
		if extra, is := in.extra[k.text]; !ok && is {
			return extra, nil
		} else if !ok {
			return "", Allowed(hint.T("the section [DEFAULT] has no %q", "la section [DEFAULT] n'a pas de %q", k.text))
		}
		return in.expand(text, 0)
	}
	return in.expand(k.text, 0)
}

const (
	deepest = 10      // values in values, as configparser has it
	longest = 1 << 20 // of one, in bytes
)

func (in *interpolation) expand(text string, depth int) (string, error) {
	if depth > deepest {
		return "", Allowed(hint.T("values refer to each other more than %d times", "les valeurs renvoient les unes aux autres plus de %d fois", deepest))
	}
	var b strings.Builder
	for {
		if b.Len() > longest {
			return "", Allowed(hint.T("the value is longer than %d bytes", "la valeur fait plus de %d octets", longest))
		}
		before, after, more := strings.Cut(text, "%")
		b.WriteString(before)
		if !more {
			return b.String(), nil
		}
		if rest, ok := strings.CutPrefix(after, "%"); ok {
			b.WriteByte('%')
			text = rest
			continue
		}
		name, rest, ok := strings.Cut(after, ")s")
		if name, is := strings.CutPrefix(name, "("); is && ok {
			value, found := in.lookUp(name)
			if !found {
				return "", Allowed(hint.T("there is no value %q for %%(%s)s", "il n'y a pas de valeur %q pour %%(%s)s", name, name))
			}
			value, err := in.expand(value, depth+1)
			if err != nil {
				return "", err
			}
			b.WriteString(value)
			text = rest
			continue
		}
		return "", Allowed(hint.T("a % of its own is written %%; %(NAME)s stands for a value", "un % seul s'écrit %% ; %(NOM)s représente une valeur"))
	}
}

func (in *interpolation) lookUp(name string) (string, bool) {
	for _, x := range []*iniSection{in.app, in.defaults} {
		if text, ok := x.get(name); ok {
			return text, true
		}
	}
	text, ok := in.extra[name]
	return text, ok
}
