package web

import (
	"net/http"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/people"
)

type appsTexts struct {
	Title, Lead, Address, CopyAddress, User, Secret, SecretHow, New, Label, LabelHelp, Make, Fresh, Once, Copy, Copied,
	Yours, Made, Used, Unused, Revoke, RevokeHow, Trust hint.Text
}

var appsSays = appsTexts{
	Title:       hint.T("Connect an app", "Connecter une application"),
	Lead:        hint.T("An app that keeps its data here asks for three things.", "Une application qui garde ses données ici demande trois choses."),
	Address:     hint.T("Server address", "Adresse du serveur"),
	CopyAddress: hint.T("Copy the address", "Copier l'adresse"),
	User:        hint.T("Name", "Nom"),
	Secret:      hint.T("Password", "Mot de passe"),
	SecretHow:   hint.T("One of its own, made below: it opens no page of this server, and can be taken back without touching anything else.", "Un mot de passe à elle, créé ci-dessous : il n'ouvre aucune page de ce serveur, et se retire sans toucher au reste."),
	New:         hint.T("A password for an app", "Un mot de passe pour une application"),
	Label:       hint.T("Which app?", "Quelle application ?"),
	LabelHelp:   hint.T("Such as: notes on my phone.", "Par exemple : notes sur mon téléphone."),
	Make:        hint.T("Make the password", "Créer le mot de passe"),
	Fresh:       hint.T("Password for", "Mot de passe pour"),
	Once:        hint.T("Put it into the app now: it is not shown again.", "Mettez-le dans l'application maintenant : il ne sera plus montré."),
	Copy:        hint.T("Copy the password", "Copier le mot de passe"),
	Copied:      hint.T("Copied", "Copié"),
	Yours:       hint.T("Your apps", "Vos applications"),
	Made:        hint.T("made", "créé le"),
	Used:        hint.T("last used", "utilisé le"),
	Unused:      hint.T("not used yet", "pas encore utilisé"),
	Revoke:      hint.T("Take back", "Retirer"),
	RevokeHow:   hint.T("An app whose password is taken back is shut out at once; its data stays.", "Une application dont le mot de passe est retiré n'entre plus, aussitôt ; ses données restent."),
	Trust:       hint.T("Does the app's device not trust this server yet? Here is how.", "L'appareil ne fait pas encore confiance à ce serveur ? Voici comment."),
}

type appsPage struct {
	frame
	Say             appsTexts
	URL             string
	Apps            []people.Thing
	Password, Label string // just made
	Trusts          bool
}

// appPages are where people make and take back passwords for apps.
type appPages struct{ *Site }

// apps is /apps: what an app needs, and the passwords of apps.
func (s appPages) apps() {
	page := func(w http.ResponseWriter, r *http.Request, who *people.Person, status int, p appsPage, problem *hint.Error) {
		p.frame, p.Say, p.URL, p.Trusts = s.frame(r, who, "/apps", appsSays.Title, "form.js"), appsSays, s.apiURL(r), s.Trust != nil
		acc, err := s.People.Account(r.Context(), who.Name)
		if err != nil || acc == nil {
			s.failed(w, r, who, err)
			return
		}
		p.Apps = acc.Apps
		p.wrong(problem)
		s.render(w, r, status, "apps.html", p)
	}
	s.member(http.MethodGet, "/apps", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		page(w, r, who, http.StatusOK, appsPage{}, nil)
	})
	s.member(http.MethodPost, "/apps", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		password, err := "", form(w, r)
		if err == nil {
			password, err = s.People.NewApp(r.Context(), who.Name, r.PostForm.Get("label"))
		}
		if err != nil {
			problem, status := s.problem(w, err)
			page(w, r, who, status, appsPage{}, problem)
			return
		}
		page(w, r, who, http.StatusCreated, appsPage{Password: password, Label: r.PostForm.Get("label")}, nil)
	})
	s.member(http.MethodPost, "/apps/revoke", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		err := form(w, r)
		if err == nil {
			err = s.People.RevokeApp(r.Context(), who.Name, r.PostForm.Get("id"))
		}
		if err != nil {
			problem, status := s.problem(w, err)
			page(w, r, who, status, appsPage{}, problem)
			return
		}
		see(w, r, "/apps")
	})
}

// apiURL is where apps find the API: by a name of ours, or by the one this visitor
// came by, which is shown to nobody else.
func (s *Site) apiURL(r *http.Request) string {
	if a := s.address(r); a != "" {
		return a + "/v1/"
	}
	return front.Scheme(r) + "://" + r.Host + "/v1/"
}
