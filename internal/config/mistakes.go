package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/foyer-server/foyer/internal/hint"
)

// All makes one error of several problems, that tells each on a line of its own; nil of
// none.
func All(problems []*hint.Error) error {
	if len(problems) == 0 {
		return nil
	}
	one := *problems[0]
	var causes []error
	for i, p := range problems {
		if i > 0 {
			one.What.EN, one.What.FR = one.What.EN+"\n"+p.What.EN, one.What.FR+"\n"+p.What.FR
		}
		causes = append(causes, p)
	}
	if len(problems) == 1 {
		return problems[0]
	}
	return one.Because(errors.Join(causes...))
}

// Malformed is the error for a settings or answers file: where (a file, an
// environment variable or a flag; line 0 = not known), which key, what is allowed.
func Malformed(where string, line int, key string, allowed hint.Text) *hint.Error {
	if line > 0 {
		where = fmt.Sprintf("%s:%d", where, line)
	}
	if where == "" {
		where = key
	}
	what := hint.T("%s: the key %q is not right: %s.", "%s : la clé %q ne convient pas : %s.", where, key, allowed)
	if key == "" {
		what = hint.T("%s: this is not right: %s.", "%s : ceci ne convient pas : %s.", where, allowed)
	}
	return hint.New("settings-malformed", what, hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Correct it; `foyer settings` lists every key and its meaning.", "Corrigez-la ; `foyer settings` liste chaque clé et son sens.")).Because(Allowed(allowed)).Exits(hint.ExitUsage)
}

// Normalise makes a text file as people save it readable as TOML: a byte-order
// mark and CRLF line ends, as Notepad leaves them, are taken away.
func Normalise(data []byte) []byte {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
}

// DecodeTOML decodes data strictly into doc. Errors name where, line and key, and
// for an unknown key the known one that is spelt most like it.
func DecodeTOML(where string, data []byte, doc any, known []string) error {
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(doc)
	if err == nil {
		return nil
	}
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		e := &strict.Errors[0]
		line, _ := e.Position()
		key := strings.Join(e.Key(), ".")
		return Malformed(where, line, key, NoSuchKey(key, known))
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := e.Position()
		return Malformed(where, line, strings.Join(e.Key(), "."), notTOML(strings.TrimPrefix(e.Error(), "toml: ")))
	}
	return Malformed(where, 0, "", notTOML(err.Error()))
}

// Allowed is an error that says what a value may be, in each language.
type Allowed hint.Text

func (a Allowed) Error() string { return a.EN }

// Reason is what an error says, in each language if it is an Allowed.
func Reason(err error) hint.Text {
	if a, ok := errors.AsType[Allowed](err); ok {
		return hint.Text(a)
	}
	return hint.Verbatim(err.Error())
}

func aNumber() hint.Text { return hint.T("a whole number is needed", "il faut un nombre entier") }

// notTOML says what the reader of TOML complains of, in its own words.
func notTOML(complaint string) hint.Text {
	return hint.T("this is not TOML (%s)", "ce n'est pas du TOML (%s)", complaint)
}

// NoSuchKey says that a key is unknown, and which known one is spelt most like it.
func NoSuchKey(key string, known []string) hint.Text {
	best, near := "", 4
	for _, k := range known {
		if d := distance(key, k); d < near {
			best, near = k, d
		}
	}
	if best == "" {
		return hint.T("there is no such key", "cette clé n'existe pas")
	}
	return hint.T("there is no such key; %q is one", "cette clé n'existe pas ; %q existe", best)
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diag+cost)
		}
	}
	return row[len(b)]
}

func keyNames() []string {
	var out []string
	for _, k := range Keys {
		out = append(out, k.Name)
	}
	return out
}

// Flatten turns nested tables into dotted names. A table that is empty is left out where
// there is one of that name.
func Flatten(prefix string, table map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range table {
		if sub, ok := v.(map[string]any); ok && (len(sub) > 0 || isTable(prefix+k)) {
			maps.Copy(out, Flatten(prefix+k+".", sub))
			continue
		}
		out[prefix+k] = v
	}
	return out
}

// LineOf finds the line on which a dotted key is set, for messages; of a key within an
// inline table, that of the table. 0: it cannot be told.
func LineOf(data []byte, key string) int {
	table := ""
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table, _, _ = strings.Cut(strings.TrimLeft(line, "[ "), "]")
			table = strings.ReplaceAll(strings.TrimSpace(table), `"`, "")
			if table == key {
				return i + 1
			}
			table += "."
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if ok && table+strings.ReplaceAll(strings.TrimSpace(name), `"`, "") == key {
			return i + 1
		}
	}
	if at := strings.LastIndexByte(key, '.'); at > 0 {
		return LineOf(data, key[:at])
	}
	return 0
}
