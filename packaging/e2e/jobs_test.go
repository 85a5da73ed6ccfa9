//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// jobJSON is what `foyer jobs --json` tells of a job.
type jobJSON struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	State  string `json:"state"`
	Starts int    `json:"starts"`
	Done   int64  `json:"done"`
	Of     int64  `json:"of"`
}

func (j jobJSON) ended() bool { return j.State != "waiting" && j.State != "running" }

// jobs are those there are records of, the newest first; nil while nobody answers.
func (m *machine) jobs() (all []jobJSON) {
	out, _, code := m.run("foyer", "jobs", "--json")
	if code == 0 && json.Unmarshal([]byte(out), &all) != nil {
		m.t.Errorf("foyer jobs says %s", out)
	}
	return all
}

// fill stores so many records, in batches of several clients.
func (m *machine) fill(records int) {
	m.t.Helper()
	c := m.client(true)
	m.mustAsk(c, http.MethodPut, "/buckets/many", "", http.StatusCreated)
	m.mustAsk(c, http.MethodPut, "/buckets/many/collections/c", "", http.StatusCreated)
	const batch, clients = 25, 8
	var next sync.Mutex
	at := 0
	var wg sync.WaitGroup
	for range clients {
		c := m.client(true)
		wg.Go(func() {
			for {
				next.Lock()
				from := at
				at += batch
				next.Unlock()
				if from >= records {
					return
				}
				var b strings.Builder
				for i := from; i < min(from+batch, records); i++ {
					fmt.Fprintf(&b, `,{"path":"/buckets/many/collections/c/records/r%d","body":{"data":{"text":"milk, bread and %d eggs"}}}`, i, i)
				}
				m.mustAsk(c, http.MethodPost, "/batch", `{"defaults":{"method":"PUT"},"requests":[`+b.String()[1:]+`]}`, http.StatusOK)
			}
		})
	}
	wg.Wait()
}

// A full check of the database while the server, the supervisor, or the whole machine dies:
// it goes on, or is marked as cut off; no job is lost, and none runs twice at once.
func TestJobsSurviveWhateverDies(t *testing.T) {
	t.Attr("shows", "ground")
	records, times := 10_000, 1
	if os.Getenv("FOYER_E2E_WHOLE") != "" {
		records, times = 200_000, 20
	}
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install("--mdns", "off").Claim)
	m.fill(records)
	// How long one takes, so that the deaths come while it is under way.
	began := time.Now()
	m.must("foyer", "check", "--full")
	took := time.Since(began)
	asked, deaths, again := 1, 0, 0
	for _, victim := range []struct {
		what string
		kill func()
	}{
		{"server", func() { syscall.Kill(m.hostPID(true), syscall.SIGKILL) }},
		{"supervisor", func() { syscall.Kill(m.hostPID(false), syscall.SIGKILL) }},
		{"machine", m.powerCut},
	} {
		for range times {
			before := len(m.jobs())
			m.must("systemd-run", "--quiet", "--no-block", "--collect", "/usr/local/bin/foyer", "check", "--full")
			m.wait("the job to be known", func() bool { return len(m.jobs()) > before })
			asked++
			time.Sleep(rand.N(took)) // at any moment of it
			victim.kill()
			deaths++
			if m.leader == 0 {
				m.boot()
			}
			m.healthy()
			var all []jobJSON
			m.wait("the job to have ended", func() bool {
				all = m.jobs()
				running := 0
				for _, j := range all {
					if j.State == "running" {
						running++
					}
				}
				if running > 1 {
					t.Errorf("%d run at once: %+v", running, all)
				}
				return len(all) > 0 && all[0].ended()
			})
			if len(all) != asked {
				t.Fatalf("after the death of the %s there are records of %d jobs, %d were asked for: %+v", victim.what, len(all), asked, all)
			}
			if j := all[0]; j.State != "done" && j.State != "cut-off" {
				t.Errorf("after the death of the %s: %+v", victim.what, j)
			}
			if all[0].Starts > 1 {
				again++
			}
		}
	}
	show("a full check, and whatever dies meanwhile", "%d records, %d deaths of server, supervisor and machine: %d jobs asked for, %d there, %d begun again, never two at once; one takes %.1f s", records, deaths, asked, len(m.jobs()), again, took.Seconds())
}
