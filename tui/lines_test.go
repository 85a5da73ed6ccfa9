package tui

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
)

// speak runs a wizard in lines with everything typed at once, as a pipe does.
func speak(t *testing.T, w *Wizard, typed string) (said string, got installer.Values, err error) {
	t.Helper()
	var out bytes.Buffer
	w.In, w.Out = strings.NewReader(typed), &out
	w.Apply = func(_ context.Context, v installer.Values, progress func(Progress)) (Outcome, error) {
		got = v
		progress(Progress{1, 1, hint.T("User", "Utilisateur"), true})
		return sampleOutcome, nil
	}
	_, err = w.Lines(t.Context())
	return out.String(), got, err
}

func TestLinesAndScreensGiveTheSameAnswers(t *testing.T) {
	for _, c := range []struct {
		name, typed string
		keys        []any
	}{
		{"at home", "\n\n", []any{enter, enter}},
		{"reachable", "2\ncloud.jeannine-martin.fr\n\n", []any{down, enter, "cloud.jeannine-martin.fr", enter, enter}},
		{"with a token", "2\njeannine.duckdns.org\nsesame\n1\n", []any{down, enter, "jeannine.duckdns.org", enter, "sesame", enter, enter}},
		{"server without a name", "3\n\n\n", []any{down, down, enter, enter, enter}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, lines, err := speak(t, sample(hint.EN), c.typed)
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			w := sample(hint.EN)
			var screens installer.Values
			w.Apply = func(_ context.Context, v installer.Values, _ func(Progress)) (Outcome, error) {
				screens = v
				return sampleOutcome, nil
			}
			press(open(w, 80, 24), c.keys...)
			if diff := cmp.Diff(screens, lines); diff != "" || lines == nil {
				t.Error(diff)
			}
			if strings.Contains(said, "sesame") || strings.Contains(said, "\x1b") {
				t.Errorf("a secret or a control character was said:\n%s", said)
			}
		})
	}
}

func TestLinesSayWhatIsWrongAndAskAgain(t *testing.T) {
	said, got, err := speak(t, sample(hint.FR), "7\n2\ncloud\n<\n1\n2\n3\nmaison\n\n")
	if err != nil || got["name"] != "maison" || got["where"] != "home" {
		t.Fatalf("%v, %v\n%s", err, got, said)
	}
	for _, want := range []string{"Il faut un nombre de 1 à 3", "Il manque un point", "! Les cartes mémoire", "[1/1] Utilisateur … ok"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
}

func TestEndOfInputChangesNothing(t *testing.T) {
	for _, typed := range []string{"", "\n", "2\n", "2\ncloud.jeannine-martin.fr", "\n3\n"} {
		_, got, err := speak(t, sample(hint.EN), typed)
		if !errors.Is(err, ErrCancelled) || got != nil {
			t.Errorf("%q: %v, %v", typed, got, err)
		}
	}
}

func TestLinesWithoutUTF8ArePlain(t *testing.T) {
	w := sample(hint.FR)
	w.UTF8, w.LangSure = false, false
	said, _, err := speak(t, w, "2\n\n\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range said {
		if r > 126 {
			t.Fatalf("%q in\n%s", r, said)
		}
	}
}
