//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// findingJSON is what the status tells of a check.
type findingJSON struct {
	Code, Cause string
	Did         struct{ EN string }
	Repair      *struct {
		Kind, State string
		Tried       int
	}
}

// serverFinding is what the status says of the server.
func (m *machine) serverFinding() (f findingJSON) {
	out, _, _ := m.run("foyer", "status", "--json")
	var s struct{ Checks []findingJSON }
	if json.Unmarshal([]byte(out), &s) != nil {
		return f
	}
	for _, c := range s.Checks {
		if c.Code == "server" {
			return c
		}
	}
	return f
}

// Data that were given to root keep the server from starting: Foyer says so and what it will
// do, gives them back by itself, and serves again, with nobody doing anything.
func TestDataThatWereGivenAwayAreGivenBack(t *testing.T) {
	t.Attr("shows", "ground")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install("--mdns", "off").Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
	m.must("sh", "-c", "chown root:root /var/lib/foyer/data.db*")
	syscall.Kill(m.hostPID(true), syscall.SIGKILL)
	said := ""
	m.wait("the status to say what is wrong, and what Foyer will do", func() bool {
		f := m.serverFinding()
		said = f.Did.EN
		return f.Cause == "data-readonly" && f.Repair != nil && f.Repair.Kind == "repair-owners"
	})
	took := m.wait("the data to be given back", func() bool { return m.status().Server.State == "healthy" })
	m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK)
	var by []struct{ Kind, By, State string }
	if out := m.must("foyer", "jobs", "--json"); json.Unmarshal([]byte(out), &by) != nil || len(by) != 1 || by[0].Kind != "repair-owners" || by[0].By != "Foyer" || by[0].State != "done" {
		t.Errorf("the jobs are %s", out)
	}
	if !strings.Contains(said, "Foyer does this at") && !strings.Contains(said, "being done") {
		t.Errorf("the status said %q", said)
	}
	show("data given to root, and the server killed", "given back by a job of Foyer's own after %.0f s; it said before: %q", took.Seconds(), said)
}
