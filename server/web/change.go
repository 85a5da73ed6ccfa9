package web

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/people"
)

// changePath is where an owner changes how the server is found. Its beginning says
// changeStart, which forgets what was answered so far.
const (
	changePath  = "/change"
	changeStart = changePath + "?from=start"
)

type changeTexts struct {
	Title, Lead, Next, More, Empty, Stays, Retype, Show, Further, See, StartOver                              hint.Text
	PlanTitle, Today, Steps, Notes, Addresses, Gone, Fresh, Begin, Back, Unfit, UnfitDo, Needed, Same, SameDo hint.Text
}

var changeSays = changeTexts{
	Title:     hint.T("Change how this server is reached", "Changer la façon de joindre ce serveur"),
	Lead:      hint.T("You see what your answers change before anything is done. And the change is undone by itself unless you confirm it.", "Vous verrez ce que vos réponses changent avant que rien ne soit fait. Et la modification s'annule d'elle-même si vous ne la confirmez pas."),
	Next:      hint.T("Next", "Suivant"),
	More:      hint.T("More settings", "Plus de réglages"),
	Empty:     hint.T("Left empty:", "Vide :"),
	Stays:     hint.T("There is one already. Left empty, it stays as it is.", "Il y en a déjà un. Vide : il reste comme il est."),
	Retype:    hint.T("Type it once more: it was not kept.", "Tapez-le encore une fois : il n'a pas été gardé."),
	Show:      hint.T("Show what is typed", "Afficher ce qui est tapé"),
	Further:   hint.T("With these answers there is more to ask.", "Avec ces réponses, il reste une question."),
	See:       hint.T("See what changes", "Voir ce qui change"),
	StartOver: hint.T("Start again with today's answers", "Recommencer avec les réponses d'aujourd'hui"),

	PlanTitle: hint.T("This is what changes", "Voici ce qui change"),
	Today:     hint.T("today:", "aujourd'hui :"),
	Steps:     hint.T("What is done", "Ce qui est fait"),
	Notes:     hint.T("Good to know", "Bon à savoir"),
	Addresses: hint.T("Where it answers then", "Où il répondra"),
	Gone:      hint.T("Where it no longer answers", "Où il ne répondra plus"),
	Fresh:     hint.T("If you signed in more than ten minutes ago, you are asked to sign in once more.", "Si votre connexion date de plus de dix minutes, vous devrez vous connecter encore une fois."),
	Begin:     hint.T("Change it now", "Changer maintenant"),
	Back:      hint.T("Change the answers", "Modifier les réponses"),

	Unfit:   hint.T("Not every answer is right yet.", "Toutes les réponses ne conviennent pas encore."),
	UnfitDo: hint.T("What is missing stands beside the question.", "Ce qui manque est écrit près de la question."),
	Needed:  hint.T("An answer is needed here.", "Il faut une réponse ici."),
	Same:    hint.T("With these answers everything stays as it is.", "Avec ces réponses, tout reste comme c'est."),
	SameDo:  hint.T("Change an answer, or leave this page.", "Changez une réponse, ou quittez cette page."),
}

// whereKey is the question on which it depends what else is asked.
const whereKey = "where"

// asking is a question on a page.
type asking struct {
	report.Question
	Say    changeTexts
	Retype bool // its secret was typed on a page before
}

type changePage struct {
	frame
	Say      changeTexts
	Standing *standing
	Where    *asking
	Chosen   hint.Text // the answer to Where
	Asked    []asking
	More     []asking // that nobody is asked unless they look for it
	MoreOpen bool
	Further  bool // there are questions that were not there before
	Veiled   bool // some answers are not shown
	Given    map[string]string
}

type changePlanPage struct {
	frame
	Say   changeTexts
	Plan  report.ChangePlan
	Lasts hint.Text
	Given map[string]string
	Typed []string
}

// changePages are where owners change how the server is found: the wizard's questions with
// today's answers, what other answers come to, and how the change goes.
type changePages struct {
	*Site
	drafts *drafts
}

// change is /change: where the server lives, what else is asked, what it comes to, and then
// the link that confirms it.
func (s changePages) change() {
	s.owner(http.MethodGet, changePath, func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		last, err := s.last(r.Context())
		if err != nil {
			s.failed(w, r, who, err)
			return
		}
		if last != nil && last.Busy {
			s.begun(w, r, who, *last, "")
			return
		}
		if r.URL.Query().Get("from") == "start" {
			s.drafts.drop(who)
		}
		a := answers{}
		old, ok := s.drafts.get(who)
		if ok {
			a = old.answers
		}
		switch questions, err := s.questions(r, &a); {
		case err != nil:
			s.failed(w, r, who, err)
		case ok && old.planned && old.whole():
			s.plan(w, r, who, questions, a, nil)
		case ok:
			s.ask(w, r, who, questions, a, nil)
		default:
			s.begin(w, r, who, questions, last)
		}
	})
	post := func(path string, h func(w http.ResponseWriter, r *http.Request, who *people.Person, a answers)) {
		s.owner(http.MethodPost, path, func(w http.ResponseWriter, r *http.Request, who *people.Person) {
			if err := form(w, r); err != nil {
				s.failed(w, r, who, err)
				return
			}
			h(w, r, who, readAnswers(r.PostForm))
		})
	}
	post(changePath+"/questions", func(w http.ResponseWriter, r *http.Request, who *people.Person, a answers) {
		questions, err := s.questions(r, &a)
		if err != nil {
			s.failed(w, r, who, err)
			return
		}
		a.shown = nil // a page before this one
		s.drafts.keep(who, a, false)
		s.ask(w, r, who, questions, a, nil)
	})
	post(changePath+"/plan", func(w http.ResponseWriter, r *http.Request, who *people.Person, a answers) {
		questions, err := s.questions(r, &a)
		if err != nil {
			s.failed(w, r, who, err)
			return
		}
		s.drafts.keep(who, a, true)
		s.plan(w, r, who, questions, a, nil)
	})
	post(changePath, func(w http.ResponseWriter, r *http.Request, who *people.Person, a answers) {
		if !s.drafts.complete(who, &a) {
			s.drafts.keep(who, a, true)
			see(w, r, changePath)
			return
		}
		got, err := s.Appliance.ChangeFor(r.Context(), a.values(), carried(r))
		if err == nil {
			s.drafts.drop(who)
			s.begun(w, r, who, standingOf(got.Job), got.Code)
			return
		}
		switch p := hint.Find(err); {
		case p != nil && p.Code == "signin-again":
			s.drafts.keep(who, a, true)
			see(w, r, "/signin?again=1&next="+url.QueryEscape(changePath))
		case p != nil && p.Code == "change-under-way":
			see(w, r, changePath)
		default:
			problem, status := s.problem(w, err)
			questions, err := s.questions(r, &a)
			if err != nil {
				s.failed(w, r, who, problem)
				return
			}
			s.plan(w, r, who, questions, a, &rejection{problem, status})
		}
	})
	post(changePath+"/back", func(w http.ResponseWriter, r *http.Request, who *people.Person, _ answers) {
		if _, err := s.Appliance.CancelJobFor(r.Context(), r.PostForm.Get("id"), carried(r)); err != nil {
			if p := hint.Find(err); p != nil && p.Code == "signin-again" {
				see(w, r, "/signin?again=1&next="+url.QueryEscape(changePath))
				return
			}
			s.failed(w, r, who, err)
			return
		}
		see(w, r, changePath)
	})
}

// rejection is why something was not done, and the status for it.
type rejection struct {
	*hint.Error
	status int
}

// questions asks for the questions with answers, and leaves of these what belongs to them.
func (s changePages) questions(r *http.Request, a *answers) ([]report.Question, error) {
	questions, err := s.Appliance.ChangeQuestionsFor(r.Context(), a.values(), carried(r))
	if err == nil {
		a.about(questions)
	}
	return questions, err
}

func (s changePages) page(r *http.Request, who *people.Person, scripts ...string) changePage {
	return changePage{frame: s.frame(r, who, changePath, changeSays.Title, scripts...), Say: changeSays}
}

// begin shows the first question, and how the last change came out.
func (s changePages) begin(w http.ResponseWriter, r *http.Request, who *people.Person, questions []report.Question, last *standing) {
	i := slices.IndexFunc(questions, func(q report.Question) bool { return q.Key == whereKey })
	if i < 0 { // it is not asked: then there is nothing that depends on it
		s.ask(w, r, who, questions, answers{}, nil)
		return
	}
	p := s.page(r, who)
	p.Standing, p.Where = last, &asking{Question: questions[i], Say: changeSays}
	s.render(w, r, http.StatusOK, "change.html", p)
}

// ask shows the questions that belong to the answers so far, but for the first one.
func (s changePages) ask(w http.ResponseWriter, r *http.Request, who *people.Person, questions []report.Question, a answers, refused *rejection) {
	p, status := s.page(r, who, "form.js"), http.StatusOK
	if refused != nil {
		p.wrong(refused.Error)
		status = refused.status
	}
	p.Given = maps.Clone(a.given)
	for _, q := range questions {
		ask := asking{q, changeSays, slices.Contains(a.typed, q.Key) && a.secrets[q.Key] == ""}
		if q.Key == whereKey {
			p.Where, p.Chosen = &ask, chosenOf(q)
			if !q.Wrong.IsZero() {
				p.wrong(hint.New("settings-malformed", q.Wrong, hint.Text{}, hint.Text{}))
			}
			continue
		}
		delete(p.Given, q.Key) // its field says it
		if _, ok := a.given[q.Key]; ok {
			p.Given[q.Key] = q.Value
		}
		p.Veiled = p.Veiled || q.Secret
		if q.OnWay || q.Needed && q.Value == "" {
			p.Asked = append(p.Asked, ask)
			p.Further = p.Further || len(a.shown) > 0 && !a.shown[q.Key]
			continue
		}
		p.More = append(p.More, ask)
		p.MoreOpen = p.MoreOpen || !q.Wrong.IsZero()
	}
	p.MoreOpen = p.MoreOpen || len(p.Asked) == 0
	s.render(w, r, status, "change_answers.html", p)
}

func chosenOf(q report.Question) hint.Text {
	for _, o := range q.Options {
		if o.Value == q.Value {
			return o.Title
		}
	}
	return hint.Verbatim(q.Value)
}

// plan shows what answers come to, or the questions again where they are not all answered.
func (s changePages) plan(w http.ResponseWriter, r *http.Request, who *people.Person, questions []report.Question, a answers, refused *rejection) {
	unfit, further := false, false
	for i, q := range questions {
		missing := q.Needed && q.Value == "" && !q.Set && a.secrets[q.Key] == ""
		if unseen := len(a.shown) > 0 && !a.shown[q.Key] && q.Key != whereKey && a.given[q.Key] == ""; unseen && (q.OnWay || missing) {
			further = true
			continue
		}
		if missing && q.Wrong.IsZero() {
			questions[i].Wrong = changeSays.Needed
		}
		unfit = unfit || !questions[i].Wrong.IsZero()
	}
	if unfit {
		s.ask(w, r, who, questions, a, &rejection{hint.New("settings-malformed", changeSays.Unfit, hint.Text{}, changeSays.UnfitDo), http.StatusBadRequest})
		return
	}
	if further {
		s.ask(w, r, who, questions, a, nil)
		return
	}
	plan, err := s.Appliance.ChangePlanFor(r.Context(), a.values(), carried(r))
	if err != nil {
		problem, status := s.problem(w, err)
		s.ask(w, r, who, questions, a, &rejection{problem, status})
		return
	}
	if len(plan.Differs) == 0 {
		s.ask(w, r, who, questions, a, &rejection{hint.New("change-nothing", changeSays.Same, hint.Text{}, changeSays.SameDo), http.StatusOK})
		return
	}
	p := changePlanPage{frame: s.frame(r, who, changePath, changeSays.PlanTitle), Say: changeSays, Plan: plan, Given: a.given, Typed: slices.Sorted(maps.Keys(a.secrets))}
	age := report.Age(time.Duration(plan.Seconds) * time.Second)
	p.Lasts = hint.T("Once it is in force you have %s to confirm it, by a link that you get next. Otherwise everything goes back to what it was, by itself.", "Une fois en vigueur, vous avez %s pour la confirmer, par un lien que vous recevrez ensuite. Sinon tout redevient comme avant, de soi-même.", age)
	status := http.StatusOK
	if refused != nil {
		p.wrong(refused.Error)
		status = refused.status
	}
	s.render(w, r, status, "change_plan.html", p)
}

// last is the change under way, or how the last one came out within an hour; nil: there was
// none.
func (s changePages) last(ctx context.Context) (*standing, error) {
	jobs, err := s.Appliance.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	return lastOf(jobs), nil
}

// lastOf is last, of jobs with the newest first.
func lastOf(jobs []report.Job) *standing {
	for _, j := range jobs {
		if j.Kind == report.KindChange && (underWay(j) || time.Since(j.Ended) < time.Hour) {
			st := standingOf(j)
			return &st
		}
	}
	return nil
}

// changeOf is what the record of a change says of it.
func changeOf(j report.Job) (ch report.Change) {
	if json.Unmarshal(j.Result, &ch) != nil {
		return report.Change{}
	}
	return hint.Clean(ch)
}
