package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// Load reads the settings: defaults, then the file at path (a missing file is no
// error), then the environment as os.Environ gives it. Errors are *hint.Error
// with code "settings-malformed" or "settings-unreadable" and exit code 2.
func Load(path string, environ []string) (*Settings, error) {
	var data []byte
	if path != "" {
		var err error
		if data, err = os.ReadFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, hint.New("settings-unreadable",
				hint.T("The settings in %s cannot be read.", "Les réglages dans %s sont illisibles.", path), hint.Text{},
				hint.T("Check that the file may be read by this user.", "Vérifiez que cet utilisateur peut lire le fichier.")).Because(err).Exits(hint.ExitUsage)
		}
	}
	return read(path, data, environ)
}

// Read reads the settings of a file's text, as Load does: path names it in messages, and
// tells an ini file by its end.
func Read(path string, data []byte) (*Settings, error) { return read(path, data, nil) }

func read(path string, data []byte, environ []string) (*Settings, error) {
	s := Default()
	var wrong []*hint.Error
	var err error
	if data != nil && isINI(path, data) {
		wrong = s.readINI(path, data)
	} else if wrong, err = s.readTOML(path, data); err != nil {
		return nil, err
	}
	wrong = append(wrong, s.readEnv(environ)...)
	return s, All(append(wrong, s.problems()...))
}

// readFile is readTOML for who wants one error.
func (s *Settings) readFile(path string, data []byte) error {
	wrong, err := s.readTOML(path, data)
	if err != nil {
		return err
	}
	return All(wrong)
}

// readTOML reads the settings file key by key, so that every mistake is found and told
// as a person wrote it; the error is that of what is no TOML at all.
func (s *Settings) readTOML(path string, data []byte) (wrong []*hint.Error, err error) {
	data = Normalise(data)
	doc := map[string]any{}
	if err := DecodeTOML(path, data, &doc, keyNames()); err != nil {
		return nil, err
	}
	values := Flatten("", doc)
	keys := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(LineOf(data, a), LineOf(data, b)), cmp.Compare(a, b))
	})
	for _, key := range keys {
		line := LineOf(data, key)
		if err := s.setValue(key, values[key], fmt.Sprintf("%s:%d", path, line)); err != nil {
			wrong = append(wrong, Malformed(path, line, key, Reason(err)))
		}
	}
	return wrong, nil
}

// setValue sets one key from a value of the file, which has to be of the key's kind; the
// error is an Allowed.
func (s *Settings) setValue(key string, v any, source string) error {
	if name, ok := strings.CutPrefix(key, "kinto."); ok {
		text, err := KintoText(v)
		if err != nil {
			return err
		}
		return s.setKinto(name, text, source, key)
	}
	switch p := s.field(key).(type) {
	case *string:
		text, ok := v.(string)
		if !ok {
			return Allowed(hint.T(`text in quotes, like "this", is needed`, `il faut un texte entre guillemets, comme "ceci"`))
		}
		*p = text
	case *int:
		n, ok := v.(int64)
		if !ok || int64(int(n)) != n {
			return Allowed(hint.T("a whole number, without quotes, is needed", "il faut un nombre entier, sans guillemets"))
		}
		*p = int(n)
	case *[]string:
		list, ok := v.([]any)
		words := make([]string, 0, len(list))
		for _, e := range list {
			word, text := e.(string)
			words, ok = append(words, word), ok && text
		}
		if !ok {
			return Allowed(hint.T(`a list of text, like ["a", "b"], is needed`, `il faut une liste de textes, comme ["a", "b"]`))
		}
		*p = words
	default:
		if isTable(key) {
			return Allowed(hint.T("this is a table: its keys stand below a line [%s], or as %s.KEY", "c'est une table : ses clés sont sous une ligne [%s], ou écrites %s.CLÉ", key, key))
		}
		return Allowed(NoSuchKey(key, keyNames()))
	}
	s.sources[key] = source
	return nil
}

// isTable reports whether keys stand below that name.
func isTable(name string) bool {
	return name == "kinto" || strings.HasPrefix(name, "kinto.") || slices.ContainsFunc(Keys, func(k Key) bool { return strings.HasPrefix(k.Name, name+".") })
}

// readEnv reads FOYER_<KEY> and KINTO_<NAME>, and, since the reference's documentation
// has variables named as settings are, MULTIAUTH_<NAME>, which KINTO_MULTIAUTH_<NAME>
// overrides. An unknown variable is none of ours and is left alone.
func (s *Settings) readEnv(environ []string) (wrong []*hint.Error) {
	kinto := map[string]string{} // after KINTO_ → the variable
	values := map[string]string{}
	for _, kv := range environ {
		variable, value, _ := strings.Cut(kv, "=")
		values[variable] = value
		if strings.HasPrefix(variable, "MULTIAUTH_") && kinto[variable] == "" {
			kinto[variable] = variable
		} else if rest, ok := strings.CutPrefix(variable, "KINTO_"); ok {
			kinto[rest] = variable
		}
	}
	for _, k := range Keys {
		variable := EnvName(k.Name)
		if value, ok := values[variable]; ok {
			if err := s.Set(k.Name, value, variable); err != nil {
				wrong = append(wrong, hint.Find(err))
			}
		}
	}
	// The policies come first: their names are in the names of others.
	const first = "MULTIAUTH_POLICIES"
	rests := slices.SortedFunc(maps.Keys(kinto), func(a, b string) int {
		if a == first || b == first {
			return cmp.Compare(btoi(b == first), btoi(a == first))
		}
		return cmp.Compare(a, b)
	})
	for _, rest := range rests {
		variable := kinto[rest]
		if err := s.setKintoEnv(rest, values[variable], variable); err != nil {
			wrong = append(wrong, Malformed(variable, 0, variable, Reason(err)))
		}
	}
	return wrong
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
