package config

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/foyer-server/foyer/internal/hint"
)

// native reads the text of a setting of [kinto] as the reference reads it, wherever it
// comes from: as JSON where it is JSON, so that quotes are dropped and lists may be
// written either way, and as it stands where it is none. What it returns is the value as
// text: true and false, a number in digits, a list as words. The error is an Allowed.
func native(kind KintoKind, text string) (string, error) {
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		switch v := v.(type) {
		case nil:
			text = ""
		case string:
			text = v
		case []any:
			if kind == KintoBool || kind == KintoInt {
				return "", Allowed(neededInstead[kind])
			}
			words := make([]string, 0, len(v))
			for _, e := range v {
				word, ok := e.(string)
				if !ok {
					return "", Allowed(hint.T(`a list of text, like ["a", "b"], is needed`, `il faut une liste de textes, comme ["a", "b"]`))
				}
				words = append(words, word)
			}
			text = strings.Join(words, " ")
		case map[string]any:
			return "", Allowed(neededInstead[kind])
		}
	}
	switch kind {
	case KintoBool:
		return truth(text)
	case KintoInt:
		return digits(text)
	case KintoList:
		return strings.Join(strings.Fields(text), " "), nil
	}
	return text, nil
}

// neededInstead says what a setting of a kind may be.
var neededInstead = map[KintoKind]hint.Text{
	KintoString: hint.T("text is needed", "il faut du texte"),
	KintoBool:   hint.T("true or false", "true ou false"),
	KintoInt:    aNumber(),
	KintoList:   hint.T("words, or a list of them, are needed", "il faut des mots, ou une liste de mots"),
}

// Written is a setting as text that is read as the same one, in the file, in the
// environment and by Settings.Set: in quotes, as JSON, where the text alone would be read
// as something else.
func (k Kinto) Written(name string) string {
	text := k.String(name)
	if key := kintoKey(name); key != nil {
		if back, err := native(key.Kind, text); err != nil || back != text {
			quoted, _ := json.Marshal(text) // of a text it cannot fail
			return string(quoted)
		}
	}
	return text
}

// truth is true, false, or empty for neither.
func truth(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	b, err := parseBool(text)
	if err != nil {
		return "", err
	}
	return strconv.FormatBool(b), nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "t", "yes", "y", "on", "1":
		return true, nil
	case "false", "f", "no", "n", "off", "0", "":
		return false, nil
	}
	return false, Allowed(neededInstead[KintoBool])
}

// digits is a whole number, or empty for none. 10.0 and 1e3 are whole, too.
func digits(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		var f float64
		if json.Unmarshal([]byte(text), &f) != nil || f != math.Trunc(f) || math.Abs(f) > most {
			return "", Allowed(aNumber())
		}
		n = int64(f)
	}
	return strconv.FormatInt(n, 10), nil
}

// inBounds says whether a number means something for the setting of that pattern.
func inBounds(key, text string) error {
	low, high := int64(0), int64(math.MaxInt64)
	if b, ok := bounds[key]; ok {
		low, high = b[0], b[1]
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n >= low && n <= high: // none, or a good one
		return nil
	case high >= most:
		return Allowed(hint.T("a whole number from %d up", "un nombre entier à partir de %d", low))
	}
	return Allowed(hint.T("a whole number from %d to %d", "un nombre entier de %d à %d", low, high))
}

// KintoText turns a TOML value into text that Settings.Set and the file take for a
// setting of [kinto]; the error is an Allowed.
func KintoText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= most {
			return strconv.FormatFloat(v, 'f', 0, 64), nil
		}
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case toml.LocalDate:
		return v.String(), nil
	case toml.LocalDateTime:
		return v.String(), nil
	case time.Time:
		return v.Format(time.RFC3339), nil
	case []any:
		words := make([]string, 0, len(v))
		for _, e := range v {
			w, err := KintoText(e)
			if _, nested := e.([]any); nested || err != nil {
				return "", Allowed(hint.T(`a list of text, like ["a", "b"], is needed`, `il faut une liste de textes, comme ["a", "b"]`))
			}
			words = append(words, w)
		}
		list, err := json.Marshal(words)
		return string(list), err
	}
	return "", Allowed(hint.T("text, a number, true, false or a list is needed", "il faut du texte, un nombre, true, false ou une liste"))
}
