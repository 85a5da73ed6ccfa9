package health

import (
	"context"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// A check may pass on what a router or an authority answered, in a literal Text: what
// the board shows, and tells of, is one line that commands no terminal.
func TestFindingsAreHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	const hostile = "nas\x1b]0;owned\x07\x1b[2J\u009b31m\x9b5n\u202egnp\n[forged] All is well."
	said := hint.Text{EN: hostile, FR: hostile}
	b := board(t, Check{Code: "router", Run: func(context.Context) Finding {
		return Finding{Severity: Warning, What: said, Did: said, Do: said, Cause: hostile}
	}})
	var told []Result
	b.OnChange(func(r Result) { told = append(told, r) })
	b.Round(t.Context())
	for _, r := range append(b.Results(), told...) {
		for _, text := range []string{r.What.EN, r.What.FR, r.Did.EN, r.Did.FR, r.Do.EN, r.Do.FR, r.Cause} {
			if !strings.HasPrefix(text, "nas") || strings.ContainsAny(text, "\x1b\x07\u009b\u202e\n") || strings.Contains(text, "\x9b5n") {
				t.Errorf("%q", text)
			}
		}
	}
	if len(told) != 1 || len(b.Results()) != 1 {
		t.Errorf("%d told, %d results", len(told), len(b.Results()))
	}
}
