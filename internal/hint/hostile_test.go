package hint

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile is what a device may call itself, or an authority answer: it sets a title,
// clears the screen, asks the terminal to type, turns the direction round, hides
// something, and forges a line.
const hostile = "nas\x1b]0;owned\x07\x1b[2J\u009b31m\x9b5n\x7f\b\u202egnp\u2066.\u061c\u200e\U000e0041\u200b\ufeff\u2028\r\n[forged] All is well.\n"

// commands finds what a terminal would obey, or what is invisible, in lines of text.
func commands(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("no UTF-8: %q", text)
	}
	for i, r := range text {
		switch {
		case r < ' ' && r != '\n', r >= 0x7f && r < 0xa0, r >= 0x200e && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x206f,
			r == 0x61c, r == 0x200b, r == 0xfeff, r == 0x2028, r == 0x2029, r >= 0xe0000 && r < 0xe0100:
			return fmt.Errorf("%U at %d of %q", r, i, text[:min(len(text), i+100)])
		}
	}
	return nil
}

type device struct{ name string }

func (d device) String() string { return d.name }

// Whatever is put into a sentence, it stays a sentence, in every language.
func TestWordsOfOthersInASentenceAreHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	for name, arg := range map[string]any{
		"string": hostile, "error": errors.New(hostile), "wrapped error": fmt.Errorf("cannot ask: %w", errors.New(hostile)), "Stringer": device{hostile},
		"struct": struct{ Name string }{hostile}, "list": []string{"a", hostile}, "bytes": []byte(hostile), "text": Text{hostile, hostile}, "pointer": &device{hostile},
		"a megabyte": strings.Repeat(hostile, 1<<20/len(hostile)), "error of a megabyte": errors.New(strings.Repeat("x", 1<<20)),
	} {
		for _, verb := range []string{"%s", "%v", "%q", "%-20v", "%[1]s"} {
			if verb == "%q" && name == "struct" {
				continue
			}
			said := T("It is "+verb+" here.", "C'est "+verb+" ici.", arg)
			e := New("code", said, said, said)
			for _, l := range Langs {
				for what, text := range map[string]string{
					"T": said.In(l), "T in T": T("%s", "%s", said).In(l), "Describe": Describe(e, l), "Describe of a plain error": Describe(fmt.Errorf("cannot do it: %s", said.In(l)), l),
				} {
					if err := commands(text); err != nil {
						t.Errorf("%s of %s by %s in %s: %v", what, name, verb, l, err)
					}
					if n := strings.Count(text, "\n"); n > 0 && what != "Describe" || n > 2 {
						t.Errorf("%s of %s by %s in %s: it has %d line ends: %.200q", what, name, verb, l, n, text)
					}
					if len(text) > 20_000 {
						t.Errorf("%s of %s by %s in %s: %d bytes", what, name, verb, l, len(text))
					}
				}
				if !strings.HasSuffix(said.In(l), map[Lang]string{EN: " here.", FR: " ici."}[l]) {
					t.Errorf("%s by %s: its end is lost: %.200q", name, verb, said.In(l))
				}
			}
		}
	}
}

// An error says what others wrote in its text, hint or not.
func TestErrorsAreShownHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	for name, err := range map[string]error{
		"a plain one":    errors.New("open " + hostile + ": no such file"),
		"joined":         errors.Join(errors.New(hostile), errors.New("close: "+hostile)),
		"a literal text": New("usage", Text{"unknown flag: " + hostile, "unknown flag: " + hostile}, Text{}, Text{}),
	} {
		for _, l := range Langs {
			if bad := commands(Describe(err, l)); bad != nil {
				t.Errorf("%s in %s: %v", name, l, bad)
			}
		}
	}
	if text := Describe(errors.New(hostile), EN); strings.Contains(text, "\n") {
		t.Errorf("it forges a line: %q", text)
	}
}
