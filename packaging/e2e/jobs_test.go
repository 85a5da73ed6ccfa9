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

// A full check of the database, and a support bundle, while the server, the supervisor, or the
// whole machine dies: they go on, or are marked as cut off; no job is lost, and none runs twice
// at once.
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
	server := func() { syscall.Kill(m.hostPID(true), syscall.SIGKILL) }
	supervisor := func() { syscall.Kill(m.hostPID(false), syscall.SIGKILL) }
	asked, deaths, again := 0, 0, 0
	for _, c := range []struct {
		what    string
		command []string
		victims map[string]func()
		ended   func(jobJSON)
	}{
		{"a full check", []string{"foyer", "check", "--full"}, map[string]func(){"server": server, "supervisor": supervisor, "machine": m.powerCut}, func(jobJSON) {}},
		{"a support bundle", []string{"foyer", "support"}, map[string]func(){"supervisor": supervisor, "machine": m.powerCut}, m.bundlesAreWhole},
	} {
		// How long one takes, so that the deaths come while it is under way.
		began := time.Now()
		m.must(c.command...)
		took := time.Since(began)
		asked++
		for victim, kill := range c.victims {
			for range times {
				before := len(m.jobs())
				m.must(append([]string{"systemd-run", "--quiet", "--no-block", "--collect", "/usr/local/bin/foyer"}, c.command[1:]...)...)
				m.wait("the job to be known", func() bool { return len(m.jobs()) > before })
				asked++
				time.Sleep(rand.N(took)) // at any moment of it
				kill()
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
				if len(all) != min(asked, 100) {
					t.Fatalf("%s: after the death of the %s there are records of %d jobs, %d were asked for: %+v", c.what, victim, len(all), asked, all)
				}
				if j := all[0]; j.State != "done" && j.State != "cut-off" {
					t.Errorf("%s: after the death of the %s: %+v", c.what, victim, j)
				}
				c.ended(all[0])
				if all[0].Starts > 1 {
					again++
				}
			}
		}
		show(c.what+", and whatever dies meanwhile", "%d records, %d deaths of server, supervisor and machine so far: %d jobs asked for, %d there, %d begun again, never two at once; one takes %.1f s", records, deaths, asked, len(m.jobs()), again, took.Seconds())
	}
}

// bundlesAreWhole fails the test unless the folder of bundles has three at most, each of them
// whole and for the service alone, and that of the job that is done among them.
func (m *machine) bundlesAreWhole(j jobJSON) {
	m.t.Helper()
	const dir = "/var/lib/foyer-supervisor/bundles"
	out := m.must("sh", "-c", "cd "+dir+" && for f in $(ls -A); do tar -xzOf $f support/contents.txt >/dev/null || exit 1; stat -c '%a %U %n' $f; done")
	lines := strings.Fields(strings.TrimSpace(out))
	if len(lines) > 3*3 || strings.Count(out, "600 foyer support-") != len(lines)/3 {
		m.t.Errorf("bundles: %s", out)
	}
	if stamp := strings.Join(strings.Split(j.ID, "-")[:2], "-"); j.State == "done" && !strings.Contains(out, stamp) {
		m.t.Errorf("the job %s is done, and its bundle is not there: %s", j.ID, out)
	}
}
