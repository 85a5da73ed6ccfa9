package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// machine is an Appliance that notes what it is asked, and answers as it is told.
type machine struct {
	away   bool
	refuse error
	status report.Status
	job    report.Job
	asked  []string

	changes bool // its settings can be changed by pages
	wizard
}

var errAway = hint.New("not-running", hint.T("Foyer is not running.", "Foyer ne tourne pas."), hint.Text{}, hint.Text{})

func (m *machine) gone() error {
	if m.away {
		return errAway
	}
	return nil
}

func (m *machine) Status(context.Context) (report.Status, error) { return m.status, m.gone() }

func (m *machine) Jobs(context.Context) ([]report.Job, error) { return m.status.Jobs, m.gone() }

func (m *machine) Job(_ context.Context, id string) (report.Job, error) {
	if id != m.job.ID {
		return report.Job{}, hint.New("job-unknown", hint.T("There is no such job.", "Cette tâche n'existe pas."), hint.Text{}, hint.Text{})
	}
	return m.job, m.gone()
}

func (m *machine) JobKinds(context.Context) ([]report.JobKind, error) {
	kinds := []report.JobKind{
		{Kind: "check", Title: hint.T("Check it", "Le vérifier"), Page: true, Args: map[string][]string{"how": {"quick", "full"}}, Words: map[string]hint.Text{"full": hint.T("all of it", "tout")}},
		{Kind: "restart", Title: hint.T("Restart the machine", "Redémarrer la machine"), Page: true, Fresh: true},
		{Kind: "hidden", Title: hint.T("Not for pages", "Pas pour les pages")},
	}
	if m.changes {
		kinds = append(kinds, report.JobKind{Kind: report.KindChange, Title: hint.T("Change the settings", "Modifier les réglages"), Page: true, Fresh: true})
	}
	return kinds, m.gone()
}

func (m *machine) StartJobFor(_ context.Context, kind string, args map[string]string, cookie string) (report.Job, error) {
	m.asked = append(m.asked, "start "+kind+" "+args["how"]+" "+cookie)
	return m.job, errors.Join(m.refuse, m.gone())
}

func (m *machine) CancelJobFor(_ context.Context, id, cookie string) (report.Job, error) {
	m.asked = append(m.asked, "cancel "+id+" "+cookie)
	return m.job, errors.Join(m.refuse, m.gone())
}

// household is a family whose machine is watched over, with an owner and a member signed in.
func household(t *testing.T) (m *machine, owner, member *browser) {
	t.Helper()
	m = &machine{job: report.Job{ID: "20261127-120000000-abcd", Kind: "check", Title: hint.T("Check it", "Le vérifier"), By: jeannine, State: report.JobRunning, Done: 84, Of: 200, Unit: hint.T("objects", "objets"), Said: []hint.Text{hint.T("<b>Reading.", "<b>Lecture.")}}}
	m.status = report.Status{
		Light: report.Red, Sentence: hint.T("The disk is full.", "Le disque est plein."), Jobs: []report.Job{m.job},
		Checks: []report.Result{
			{
				Code: "disk", Title: hint.T("Disk space", "Place"), Finding: report.Finding{Severity: report.Error, What: hint.T("The disk is full.", "Le disque est plein."), Do: hint.T("Free some room.", "Libérez de la place.")},
				Repair: &report.Repair{Kind: "check", Args: map[string]string{"how": "full"}, Title: hint.T("Look at all of it now", "Tout examiner maintenant"), State: report.RepairOffered},
			},
			{Code: "clock", Title: hint.T("Clock", "Horloge")},
		},
		Lately: []report.Event{
			{Code: "person-signed-in", Number: 2, Subject: "marcel", What: hint.T("marcel signed in.", "Connexion de marcel."), At: time.Now()},
			{Code: "disk", Subject: "marcel", What: hint.T("The disk filled up.", "Le disque s'est rempli."), At: time.Now()},
			{Code: "person-claimed", Number: 1, Subject: jeannine, What: hint.T("jeannine became the owner.", "jeannine est propriétaire."), At: time.Now()},
		},
	}
	f := newFamily(t)
	f.machine = m
	f.db.Close() //nolint:errcheck // it is opened again
	f.open()
	owner = f.browser().signIn(jeannine, words)
	member = f.join(owner, "marcel", "member")
	return m, owner, member
}

func has(t *testing.T, page, what string, want bool) {
	t.Helper()
	if strings.Contains(page, what) != want {
		t.Errorf("%q is there: %v\n%s", what, !want, page)
	}
}

// One light: the supervisor's, on every page. An owner sees all of it; a member, that there is
// something, whom to tell, and what happened to them.
func TestOneLight(t *testing.T) {
	t.Attr("shows", "ground")
	t.Parallel()
	m, owner, member := household(t)
	for _, path := range []string{"/", "/machine"} {
		page := owner.page(path)
		for _, what := range []string{"The disk is full.", "Free some room.", "84 of 200 objects", "marcel signed in.", "The disk filled up.", "jeannine became the owner."} {
			has(t, page, what, true)
		}
	}
	has(t, owner.page("/machine?lang=fr"), "Libérez de la place.", true)
	owner.page("/?lang=en")
	page := member.page("/")
	for what, want := range map[string]bool{
		"The disk is full.": true, "Tell an owner of this server.": true, "Free some room.": false, "84 of 200": false,
		"marcel signed in.": true, "The disk filled up.": false, "jeannine became the owner.": false, "/machine": false,
	} {
		has(t, page, what, want)
	}
	m.status.Light, m.status.Checks = report.Green, nil
	has(t, member.page("/"), "All is well", true)

	m.away = true // the server's own light, and its own list
	page = owner.page("/")
	has(t, page, "All is well.", true)
	has(t, page, "jeannine became the owner.", true)
	has(t, page, "The disk is full.", false)
	page = owner.page("/machine")
	has(t, page, "does not answer", true)
	has(t, page, "<select", false)
}

// Owners ask for jobs in their own name, by their own cookie; whether they may is not the
// server's to say.
func TestJobsByPage(t *testing.T) {
	t.Attr("shows", "ground")
	t.Parallel()
	m, owner, member := household(t)
	page := owner.page("/machine")
	for what, want := range map[string]bool{"Check it": true, "all of it": true, ">quick<": true, "Restart the machine": true, "within ten minutes": true, "Not for pages": false} {
		has(t, page, what, want)
	}
	offer := `<input type="hidden" name="kind" value="check"><input type="hidden" name="arg.how" value="full"><button class="small" type="submit">Look at all of it now</button>`
	has(t, page, offer, true)
	has(t, owner.page("/"), offer, true)
	has(t, member.page("/"), "Look at all of it now", false)
	for _, change := range []func(*report.Repair){
		func(r *report.Repair) { r.State = report.RepairUnderWay },
		func(r *report.Repair) { r.State, r.Kind = report.RepairOffered, "hidden" }, // which no page may start
	} {
		change(m.status.Checks[0].Repair)
		has(t, owner.page("/machine"), "Look at all of it now", false)
		has(t, owner.page("/"), "Look at all of it now", false)
	}
	check := fields("kind", "check", "arg.how", "full")
	owner.leads(owner.send("/machine/start", check), "/job?id="+m.job.ID)
	page = owner.page("/job?id=" + m.job.ID)
	has(t, page, "42%", true)
	has(t, page, "&lt;b&gt;Reading.", true)
	has(t, page, `<noscript><meta http-equiv="refresh" content="3"></noscript>`, true)
	owner.leads(owner.send("/job/cancel", fields("id", m.job.ID)), "/job?id="+m.job.ID)
	if diff := cmp.Diff([]string{"start check full " + owner.cookie, "cancel " + m.job.ID + " " + owner.cookie}, m.asked); diff != "" {
		t.Error(diff)
	}

	m.asked = nil
	for path, form := range map[string]map[string]string{"/machine": nil, "/job?id=" + m.job.ID: nil, "/machine/start": {"kind": "check"}, "/job/cancel": {"id": m.job.ID}} {
		sent := fields()
		for k, v := range form {
			sent.Set(k, v)
		}
		if form == nil {
			sent = nil
		}
		if resp := member.send(path, sent); resp.StatusCode != http.StatusForbidden {
			t.Errorf("a member at %s: %s", path, resp.Status)
		}
		if resp := member.browser().send(path, sent); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/signin") {
			t.Errorf("a stranger at %s: %s", path, resp.Status)
		}
		if sent == nil {
			continue
		}
		if resp := owner.send(path, sent, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden {
			t.Errorf("another site's page at %s: %s", path, resp.Status)
		}
	}
	if m.asked != nil {
		t.Errorf("asked for others: %v", m.asked)
	}

	m.refuse = hint.New("signin-again", hint.T("Once more.", "Encore."), hint.Text{}, hint.Text{})
	owner.leads(owner.send("/machine/start", fields("kind", "restart")), "/signin?again=1&next=%2Fmachine")
	page = owner.page("/signin?again=1&next=%2Fmachine")
	has(t, page, "really you", true)
	has(t, page, `value="jeannine"`, true)
	owner.leads(owner.send("/signin", fields("name", jeannine, "password", words, "next", "/machine")), "/machine")
	owner.leads(owner.send("/signin?next=/machine", nil), "/machine") // who is signed in is not asked without need
	for code, status := range map[string]int{"job-not-by-page": http.StatusForbidden, "jobs-many": http.StatusConflict, "owners-only": http.StatusForbidden, "not-running": http.StatusServiceUnavailable} {
		m.refuse = hint.New(code, hint.T("It is refused.", "C'est refusé."), hint.Text{}, hint.Text{})
		resp := owner.send("/machine/start", check)
		if resp.StatusCode != status {
			t.Errorf("%s: %s", code, resp.Status)
		}
		has(t, text(t, resp), "It is refused.", true)
	}
	if resp := owner.send("/job?id=none", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("no such job: %s", resp.Status)
	}
}

// What takes room is shown as a table.
func TestWhatTakesRoomOnAPage(t *testing.T) {
	t.Parallel()
	m, owner, _ := household(t)
	result, err := json.Marshal(report.Used{People: []report.UsedBy{{Who: "account:marcel", Bytes: 3 << 20, Files: 1 << 30}}, Kinds: []report.UsedKind{{Kind: "record", Objects: 12, Bytes: 2048}}, Free: 40 << 30})
	if err != nil {
		t.Fatal(err)
	}
	m.job.Kind, m.job.State, m.job.Result = "what-takes-room", report.JobDone, result
	page := owner.page("/job?id=" + m.job.ID)
	for what, want := range map[string]bool{"account:marcel": true, "3 MB, attached files 1.0 GB": true, "2 KB (12)": true, "40 GB": true, "Buckets": false, "/job/cancel": false, "http-equiv": false} {
		has(t, page, what, want)
	}
}
