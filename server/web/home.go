package web

import (
	"context"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/people"
)

type homeTexts struct {
	Title, Lead, Owned, API, Waiting, Claim, SignIn, Trust, TrustWhy, Addresses, Connect, Backup, Lately, Nothing hint.Text
}

var homeSays = homeTexts{
	Title:     hint.T("Foyer", "Foyer"),
	Lead:      hint.T("This is a Foyer: a server at home that keeps the data of its people's apps.", "Voici un Foyer : un serveur à la maison, qui garde les données des applications de ses habitants."),
	Owned:     hint.T("It has an owner and is at work.", "Il a un propriétaire et il est au travail."),
	API:       hint.T("Apps reach it at this address:", "Les applications le trouvent à cette adresse :"),
	Waiting:   hint.T("It waits for its owner.", "Il attend son propriétaire."),
	Claim:     hint.T("Become its owner", "En devenir propriétaire"),
	SignIn:    hint.T("Sign in", "Se connecter"),
	Trust:     hint.T("Trust this server on this device", "Faire confiance à ce serveur sur cet appareil"),
	TrustWhy:  hint.T("Each phone and computer needs it once.", "À faire une fois sur chaque téléphone et ordinateur."),
	Addresses: hint.T("Addresses", "Adresses"),
	Connect:   hint.T("Connect an app", "Connecter une application"),
	Backup:    hint.T("Backup", "Sauvegarde"),
	Lately:    hint.T("Lately", "Dernièrement"),
	Nothing:   hint.T("Nothing happened yet.", "Rien ne s'est encore passé."),
}

type homePage struct {
	frame
	Say             homeTexts
	Claimed, Trusts bool
	URL             string
	Light           Light
	Addresses       []string
	Lately          []told
	Backup          []hint.Text  // how it stands, in lines
	Jobs            []report.Job // under way, for owners
	Change          *standing    // one of the settings that is under way, for owners
}

type told struct {
	At   time.Time
	Text hint.Text
}

// latelyMost is how much of what happened the page tells.
const latelyMost = 8

// homePages are the first page: how the machine is, and what happened.
type homePages struct{ *Site }

// home is / for browsers.
func (s homePages) home() {
	s.handle(0, http.MethodGet, "/", func(w http.ResponseWriter, r *http.Request) {
		claimed, err := s.Claimer.Claimed(r.Context())
		var who *people.Person
		if err == nil {
			who, err = s.who(w, r)
		}
		if err != nil {
			s.failed(w, r, nil, err)
			return
		}
		p := homePage{frame: s.frame(r, who, "/", homeSays.Title), Say: homeSays, Claimed: claimed, Trusts: s.Trust != nil, URL: s.apiURL(r)}
		if who != nil {
			p.Addresses = s.Addresses(r)
			if err := s.tell(r.Context(), &p, who); err != nil {
				s.failed(w, r, who, err)
				return
			}
		}
		s.render(w, r, http.StatusOK, "home.html", p)
	})
}

// tell puts on the page how the machine is and what happened: by the supervisor, who
// knows all of it, or by the server, where there is no supervisor to ask.
func (s homePages) tell(ctx context.Context, p *homePage, who *people.Person) error {
	p.Scripts = []string{"live.js"}
	if st, ok := s.status(ctx); ok {
		var kinds []report.JobKind
		if worst, _ := report.Worst(st.Checks); who.Owner && worst.Repair != nil {
			var err error
			if kinds, err = s.Appliance.JobKinds(ctx); err != nil {
				s.Log.Warn("the supervisor does not say what can be mended", "err", err) // the light is shown all the same
			}
		}
		p.Light = lightOf(st, who, kinds)
		for _, line := range []hint.Text{st.Backup.Word(time.Now()), st.Backup.ProvenWord(time.Now())} {
			if !line.IsZero() {
				p.Backup = append(p.Backup, line)
			}
		}
		happened := mayRead(st.Lately, who)
		for _, e := range happened[:min(len(happened), latelyMost)] {
			p.Lately = append(p.Lately, told{e.When(), e.Said()})
		}
		if who.Owner {
			if p.Change = waitingOf(st, &p.Light); p.Change != nil || p.Light.Change != nil {
				p.Refresh = busyRefresh
			}
		}
		for _, j := range st.Jobs {
			if who.Owner && underWay(j) && j.Kind != report.KindChange { // that one is told of above
				p.Jobs, p.Refresh = append(p.Jobs, j), busyRefresh
			}
		}
		return nil
	}
	p.Light = s.Light(ctx)
	happened, err := s.People.Lately(ctx, who)
	if err != nil {
		return err
	}
	for _, e := range happened[:min(len(happened), latelyMost)] {
		p.Lately = append(p.Lately, told{e.At, e.Text()})
	}
	p.Lately = append(p.Lately, told{s.started, hint.T("Foyer %s started.", "Foyer %s a démarré.", s.Config.Version)})
	return nil
}
