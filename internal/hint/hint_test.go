package hint

import (
	"errors"
	"fmt"
	"testing"
)

func TestTextInEachLanguage(t *testing.T) {
	who := T("the web server", "le serveur web")
	got := T("%s uses port %d.", "%s occupe le port %d.", who, 80)
	if want := (Text{"the web server uses port 80.", "le serveur web occupe le port 80."}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := T("100% sure", "sûr à 100 %").In(FR); got != "sûr à 100 %" {
		t.Errorf("a sentence without arguments was formatted: %q", got)
	}
}

func TestErrorShowsThreeThingsAndHidesTheCause(t *testing.T) {
	cause := errors.New("ENOSPC on /dev/mmcblk0p2")
	e := New("disk-full", T("The disk is full.", "Le disque est plein."), T("Nothing was changed.", "Rien n'a été changé."),
		T("Free 1 GB.", "Libérez 1 Go.")).Because(cause).Exits(ExitNeedRoot)
	wrapped := fmt.Errorf("cannot install: %w", e)
	if got, want := Describe(wrapped, FR), "Le disque est plein.\nRien n'a été changé.\nLibérez 1 Go."; got != want {
		t.Errorf("Describe = %q, want %q", got, want)
	}
	if !errors.Is(wrapped, cause) {
		t.Error("the cause is lost for the log")
	}
	if got := ExitCode(wrapped); got != ExitNeedRoot {
		t.Errorf("ExitCode = %d", got)
	}
	if got := ExitCode(errors.New("x")); got != ExitFailed {
		t.Errorf("ExitCode of a plain error = %d", got)
	}
}

func TestLocale(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want Lang
		sure bool
	}{
		{"nothing set", nil, EN, false},
		{"root service", map[string]string{"LANG": "C.UTF-8"}, EN, false},
		{"french", map[string]string{"LANG": "fr_FR.UTF-8"}, FR, true},
		{"LC_ALL wins", map[string]string{"LANG": "fr_FR.UTF-8", "LC_ALL": "en_GB.UTF-8"}, EN, true},
		{"LANGUAGE list", map[string]string{"LANG": "de_DE.UTF-8", "LANGUAGE": "de:fr:en"}, FR, true},
		{"LANGUAGE ignored under C", map[string]string{"LANG": "C", "LANGUAGE": "fr"}, EN, false},
		{"unknown language", map[string]string{"LANG": "de_DE.UTF-8"}, EN, false},
		{"modifier", map[string]string{"LANG": "fr_FR@euro"}, FR, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, sure := Locale(func(k string) string { return c.env[k] })
			if got != c.want || sure != c.sure {
				t.Errorf("got %s %t, want %s %t", got, sure, c.want, c.sure)
			}
		})
	}
}

func TestALabelIsNoQuestionWithAColon(t *testing.T) {
	if got := Label(T("Name", "Nom")); got != T("Name:", "Nom :") {
		t.Errorf("%+v", got)
	}
	if q := T("Where does it live?", "Où vit-il ?"); Label(q) != q {
		t.Errorf("%+v", Label(q))
	}
}
