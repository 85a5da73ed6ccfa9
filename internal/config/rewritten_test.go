package config

import (
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// Whatever a value is, it is written so that it is read as the same.
func TestWhatIsWrittenIsReadAsTheSame(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, text := range []string{`"x"`, `null`, `["a"]`, `{"a": 1}`, `1.0`, `true`, ` a b `, `"`, `[a`, "a\nb", "é\u200b", `\`, ``} {
		s := Default()
		quoted := hintJSON(text)
		if err := s.Set("kinto.project_name", quoted, "test"); err != nil {
			t.Fatal(err)
		}
		if got := s.Kinto.String("project_name"); got != text {
			t.Errorf("%s is %q", quoted, got)
		}
		for what, file := range map[string]string{"the file": string(s.File(hint.EN)), "the line": s.Line("kinto.project_name")} {
			back := Default()
			if err := back.readFile("f", []byte(file)); err != nil {
				t.Errorf("%q, by %s: %v", text, what, err)
			}
			if got := back.Kinto.String("project_name"); got != text {
				t.Errorf("%q, by %s, is %q", text, what, got)
			}
		}
	}
}

// hintJSON is a text as JSON.
func hintJSON(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}
