package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
)

// answersChanges is a Foyer that answers what the command asks about changes, and notes it.
type answersChanges struct {
	mu    sync.Mutex
	asked []string
}

func (f *answersChanges) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Values map[string]string `json:"values"`
	}
	json.NewDecoder(r.Body).Decode(&ask) //nolint:errcheck // not every request has a body
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path+" "+ask.Values["name"])
	var got any
	switch r.URL.Path {
	case "/change/plan":
		plan := report.ChangePlan{Differs: []report.Difference{}, Addresses: []string{"https://attic.local/"}}
		if ask.Values["name"] == "attic" {
			plan.Differs = []report.Difference{{Key: "name", Title: hint.T("Its name", "Son nom"), Before: hint.T("foyer", "foyer"), After: hint.T("attic", "attic")}}
			plan.Steps = []hint.Text{hint.T("The service is restarted.", "Le service est redémarré.")}
			plan.Gone, plan.Notes = []string{"https://foyer.local/"}, []hint.Text{hint.T("Nobody gets in.", "Personne n'entre.")}
		}
		got = plan
	case "/jobs":
		got = []report.Job{}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	json.NewEncoder(w).Encode(got) //nolint:errcheck // the command says so
}

// What other answers come to is shown, in both languages and as JSON, and begun by nobody who
// cannot be asked.
func TestTheCommandShowsWhatAChangeComesTo(t *testing.T) {
	t.Attr("shows", "ground2")
	dir := t.TempDir()
	l, err := net.Listen("unix", control.SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	f := &answersChanges{}
	s := &http.Server{Handler: f}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() { s.Close(); <-done }() //nolint:errcheck // the test is over
	for _, c := range []struct {
		name string
		args string
		exit int
		says []string
	}{
		{"to look", "--dry-run name=attic", hint.ExitOK, []string{"~ Its name: attic (today: foyer)", "The service is restarted.", "It answers at https://attic.local/", "! No more at https://foyer.local/", "Nobody gets in."}},
		{"to look, in French", "--dry-run name=attic --lang fr", hint.ExitOK, []string{"~ Son nom : attic (aujourd'hui : foyer)", "Il répond à https://attic.local/", "! Plus à https://foyer.local/", "Personne n'entre."}},
		{"for programs", "--dry-run --json name=attic", hint.ExitOK, []string{`"key":"name"`, `"gone":["https://foyer.local/"]`}},
		{"as it is", "name=foyer", hint.ExitOK, []string{"All of it is as it is today."}},
		{"as it is, in French", "name=foyer --yes --lang fr", hint.ExitOK, []string{"Tout est comme aujourd'hui."}},
		{"nobody to be asked", "name=attic", hint.ExitUsage, []string{"~ Its name: attic", "Add --yes.", "[yes-needed]"}},
		{"a program that nobody asked", "name=attic --json", hint.ExitUsage, []string{"yes-needed"}},
		{"nothing to undo", "--back", hint.ExitFailed, []string{"Nothing waits to be confirmed.", "[change-none]"}},
		{"nothing to undo, in French", "--back --lang fr", hint.ExitFailed, []string{"Rien n'attend d'être confirmé."}},
	} {
		in, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		var out, complaint bytes.Buffer
		a := newApp(in, &out, &complaint, []string{"LANG=en_GB.UTF-8"})
		if code := a.run(t.Context(), append(strings.Fields("change --run "+dir), strings.Fields(c.args)...)); code != c.exit {
			t.Errorf("%s: it ends with %d", c.name, code)
		}
		in.Close()
		said := strings.ReplaceAll(strings.ReplaceAll(out.String(), `": `, `":`), "\n", " ") + complaint.String()
		for _, want := range c.says {
			if !strings.Contains(strings.Join(strings.Fields(said), " "), want) && !strings.Contains(strings.Join(strings.Fields(said), ""), want) {
				t.Errorf("%s: it says %s, not %q", c.name, said, want)
			}
		}
	}
	for _, asked := range f.asked {
		if !strings.HasPrefix(asked, "POST /change/plan") && asked != "GET /jobs " {
			t.Errorf("it asked %s", asked)
		}
	}
}
