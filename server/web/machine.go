package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/people"
)

type machineTexts struct {
	Title, Findings, FindingsNone, Since, Jobs, JobsNone, Asked, Details, Ask, AskHow, Change, ChangeHow, Fresh, Begin, Lately, Nothing, Silent, SilentDo hint.Text
}

var machineSays = machineTexts{
	Title:        hint.T("This server", "Ce serveur"),
	Findings:     hint.T("What to know", "À savoir"),
	FindingsNone: hint.T("Nothing needs you.", "Rien ne vous attend."),
	Since:        hint.T("since", "depuis"),
	Jobs:         hint.T("What it is doing", "Ce qu'il fait"),
	JobsNone:     hint.T("Nothing that takes longer.", "Rien de long."),
	Asked:        hint.T("asked for by", "demandé par"),
	Details:      hint.T("Details", "Détails"),
	Ask:          hint.T("Have it do something", "Lui demander quelque chose"),
	AskHow:       hint.T("It goes on while you are away, and all owners are told that you asked.", "Cela continue en votre absence, et tous les propriétaires sauront que vous l'avez demandé."),
	Change:       hint.T("Change how this server is reached…", "Changer la façon de joindre ce serveur…"),
	ChangeHow:    hint.T("At home or from everywhere, by which name, behind which router: what was asked at the installation.", "À la maison ou de partout, sous quel nom, derrière quelle box : ce qui fut demandé à l'installation."),
	Fresh:        hint.T("only within ten minutes of signing in", "seulement dans les dix minutes après la connexion"),
	Begin:        hint.T("Begin", "Commencer"),
	Lately:       hint.T("Lately", "Dernièrement"),
	Nothing:      hint.T("Nothing happened yet.", "Rien ne s'est encore passé."),
	Silent:       hint.T("The part of Foyer that watches over this server does not answer.", "La partie de Foyer qui veille sur ce serveur ne répond pas."),
	SilentDo:     hint.T("On the server, type: sudo foyer doctor. It says why.", "Sur le serveur, tapez : sudo foyer doctor. Il dit pourquoi."),
}

type machinePage struct {
	frame
	Say      machineTexts
	Light    Light
	Findings []report.Result
	Jobs     []report.Job
	Kinds    []report.JobKind
	Lately   []told
	Silent   bool
	Change   *standing // one of the settings that is under way
	Changes  bool      // they can be changed here
}

// mends is the job that an owner may start about a finding; nil: none.
func mends(kinds []report.JobKind, found report.Result) *report.Repair {
	r := found.Repair
	if r == nil || r.State == report.RepairUnderWay || r.State == report.RepairJudged || !slices.ContainsFunc(kinds, func(k report.JobKind) bool { return k.Kind == r.Kind && k.Page }) {
		return nil
	}
	return r
}

// latelyPage is how much of what happened the page of the machine tells.
const latelyPage = 30

// machinePages are where an owner looks after the machine.
type machinePages struct{ *Site }

// machine is /machine: how the whole machine is, what it does, and what owners may ask of it.
func (s machinePages) machine() {
	page := func(w http.ResponseWriter, r *http.Request, who *people.Person, status int, problem *hint.Error) {
		p := machinePage{frame: s.frame(r, who, "/machine", machineSays.Title, "live.js"), Say: machineSays}
		p.wrong(problem)
		st, ok := s.status(r.Context())
		var err error
		if ok {
			p.Kinds, err = s.Appliance.JobKinds(r.Context())
		}
		if p.Silent = !ok || err != nil; p.Silent {
			p.Light = s.Light(r.Context())
			s.render(w, r, status, "machine.html", p)
			return
		}
		p.Changes = slices.ContainsFunc(p.Kinds, func(k report.JobKind) bool { return k.Page && k.Kind == report.KindChange })
		p.Kinds = slices.DeleteFunc(p.Kinds, func(k report.JobKind) bool { return !k.Page || k.Kind == report.KindChange }) // that one asks first
		p.Light, p.Jobs = lightOf(st, who, nil), st.Jobs                                                                    // what mends it stands with the finding
		p.Change = waitingOf(st, &p.Light)
		for _, c := range st.Checks {
			if c.Severity > report.OK {
				p.Findings = append(p.Findings, c)
			}
		}
		slices.SortStableFunc(p.Findings, func(a, b report.Result) int { return int(b.Severity) - int(a.Severity) })
		for _, e := range st.Lately[:min(len(st.Lately), latelyPage)] {
			p.Lately = append(p.Lately, told{e.When(), e.Said()})
		}
		if slices.ContainsFunc(p.Jobs, underWay) {
			p.Refresh = busyRefresh
		}
		s.render(w, r, status, "machine.html", p)
	}
	s.owner(http.MethodGet, "/machine", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		page(w, r, who, http.StatusOK, nil)
	})
	s.owner(http.MethodPost, "/machine/start", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		j, err := report.Job{}, form(w, r)
		if err == nil {
			args := map[string]string{}
			for name, values := range r.PostForm {
				if arg, ok := strings.CutPrefix(name, "arg."); ok && len(values) == 1 {
					args[arg] = values[0]
				}
			}
			j, err = s.Appliance.StartJobFor(r.Context(), r.PostForm.Get("kind"), args, carried(r))
		}
		if err != nil {
			if p := hint.Find(err); p != nil && p.Code == "signin-again" {
				see(w, r, "/signin?again=1&next="+url.QueryEscape("/machine"))
				return
			}
			problem, status := s.problem(w, err)
			page(w, r, who, status, problem)
			return
		}
		see(w, r, "/job?id="+url.QueryEscape(j.ID))
	})
}

// busyRefresh is how often, in seconds, a browser without scripts gets a page again that shows
// a job under way. Others it does not: somebody may be choosing something there.
const busyRefresh = 3

func underWay(j report.Job) bool { return !j.State.Ended() }

type jobTexts struct {
	Back, Asked, Cancel, Gone, People, Files, Buckets, Kinds, Free hint.Text
}

var jobSays = jobTexts{
	Back:    hint.T("Back to this server", "Retour à ce serveur"),
	Asked:   hint.T("Asked for by", "Demandé par"),
	Cancel:  hint.T("Cancel", "Annuler"),
	Gone:    hint.T("This is not known any more.", "Ceci n'est plus connu."),
	People:  hint.T("People", "Personnes"),
	Files:   hint.T("attached files", "fichiers joints"),
	Buckets: hint.T("Buckets", "Buckets"),
	Kinds:   hint.T("Kinds of objects", "Genres d'objets"),
	Free:    hint.T("free on the disk of the data", "libres sur le disque des données"),
}

type jobPage struct {
	frame
	Say  jobTexts
	Job  report.Job
	Used *report.Used // the result of what-takes-room
}

// job is /job?id=: one of them, as it goes on.
func (s machinePages) job() {
	page := func(w http.ResponseWriter, r *http.Request, who *people.Person, j report.Job, problem *hint.Error, status int) {
		p := jobPage{frame: s.frame(r, who, "/job?id="+url.QueryEscape(j.ID), j.Title, "live.js"), Say: jobSays, Job: j}
		p.wrong(problem)
		if underWay(j) {
			p.Refresh = busyRefresh
		}
		if j.Kind == "what-takes-room" && j.State == report.JobDone {
			var used report.Used
			if err := json.Unmarshal(j.Result, &used); err == nil { // else: what it said
				p.Used = &used
			}
		}
		s.render(w, r, status, "job.html", p)
	}
	with := func(w http.ResponseWriter, r *http.Request, who *people.Person, ask func(context.Context) (report.Job, error)) (j report.Job, ok bool) {
		j, err := ask(r.Context())
		if err != nil {
			s.failed(w, r, who, err)
		}
		return j, err == nil
	}
	s.owner(http.MethodGet, "/job", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		if j, ok := with(w, r, who, func(ctx context.Context) (report.Job, error) { return s.Appliance.Job(ctx, r.URL.Query().Get("id")) }); ok {
			page(w, r, who, j, nil, http.StatusOK)
		}
	})
	s.owner(http.MethodPost, "/job/cancel", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		if err := form(w, r); err != nil {
			s.failed(w, r, who, err)
			return
		}
		id := r.PostForm.Get("id")
		if _, ok := with(w, r, who, func(ctx context.Context) (report.Job, error) { return s.Appliance.CancelJobFor(ctx, id, carried(r)) }); ok {
			see(w, r, "/job?id="+url.QueryEscape(id))
		}
	})
}
