package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// Whether there is an owner the server knows. Where it has not said so the status says
// that it is not known, not that there is none.
func TestAnOwnerNobodyKnowsOfIsUnknown(t *testing.T) {
	t.Attr("shows", "mend2")
	for _, c := range []struct {
		state   string
		claimed bool
		en, fr  string
		json    string
	}{
		{"healthy", true, "Owner        yes", "Propriétaire oui", "true"},
		{"healthy", false, "Owner        not yet", "Propriétaire pas encore", "false"},
		{"unwell", true, "Owner        yes", "Propriétaire oui", "true"}, // it said so before
		{"unwell", false, "Owner        not known", "Propriétaire inconnu", "null"},
		{"starting", false, "Owner        not known", "Propriétaire inconnu", "null"},
		{"crash-loop", false, "Owner        not known", "Propriétaire inconnu", "null"},
		{"", false, "Owner        not known", "Propriétaire inconnu", "null"},
	} {
		dir, l := socket(t)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(report.Status{Light: report.Red, Claimed: c.claimed, Server: report.Server{State: c.state, Since: time.Now()}}) //nolint:errcheck // the test sees what comes
		})}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
		say := func(args ...string) string {
			var out bytes.Buffer
			a := newApp(strings.NewReader(""), &out, &out, nil)
			if code := a.run(t.Context(), append(args, "--run", dir)); code != 0 {
				t.Errorf("%q: exit code %d", args, code)
			}
			return out.String()
		}
		if said := say("status", "--lang", "en"); !strings.Contains(said, c.en) {
			t.Errorf("%s, %t: want %q in\n%s", c.state, c.claimed, c.en, said)
		}
		if said := say("status", "--lang", "fr"); !strings.Contains(said, c.fr) {
			t.Errorf("%s, %t: want %q in\n%s", c.state, c.claimed, c.fr, said)
		}
		var said map[string]json.RawMessage
		if err := json.Unmarshal([]byte(say("status", "--json")), &said); err != nil || string(said["claimed"]) != c.json || said["server"] == nil || said["light"] == nil {
			t.Errorf("%s, %t: claimed is %s, want %s, %v", c.state, c.claimed, said["claimed"], c.json, err)
		}
	}
}
