package web

import (
	"net/http"
	"net/url"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

// peopleMost is how many people one page lists.
const peopleMost = 100

type peopleTexts struct {
	Title, Owner, Member, Seen, NotSeen, Further, Invite, InviteHow, For, ForHelp, Role, AsMember, AsOwner, Make,
	Waiting, MemberFor, OwnerFor, ResetFor, Somebody, Until, Withdraw hint.Text
}

var peopleSays = peopleTexts{
	Title:     hint.T("People", "Personnes"),
	Owner:     hint.T("owner", "propriétaire"),
	Member:    hint.T("member", "membre"),
	Seen:      hint.T("last here", "dernière visite le"),
	NotSeen:   hint.T("not signed in now", "aucune connexion en cours"),
	Further:   hint.T("More people", "Plus de personnes"),
	Invite:    hint.T("Invite somebody", "Inviter quelqu'un"),
	InviteHow: hint.T("You get a link to pass on. Who opens it chooses a name and a password, or a passkey.", "Vous obtenez un lien à transmettre. Qui l'ouvre choisit un nom et un mot de passe, ou une clé d'accès."),
	For:       hint.T("Who is it for?", "Pour qui est-ce ?"),
	ForHelp:   hint.T("For you to know it again; it may stay empty.", "Pour vous y retrouver ; peut rester vide."),
	Role:      hint.T("They will be", "Cette personne sera"),
	AsMember:  hint.T("a member: stores and shares their own data", "membre : garde et partage ses propres données"),
	AsOwner:   hint.T("an owner: also invites and removes people", "propriétaire : invite et retire aussi des personnes"),
	Make:      hint.T("Make the link", "Créer le lien"),
	Waiting:   hint.T("Links that wait", "Liens en attente"),
	MemberFor: hint.T("Invitation for", "Invitation pour"),
	OwnerFor:  hint.T("Invitation as an owner for", "Invitation comme propriétaire pour"),
	ResetFor:  hint.T("New password for", "Nouveau mot de passe pour"),
	Somebody:  hint.T("somebody", "quelqu'un"),
	Until:     hint.T("until", "jusqu'au"),
	Withdraw:  hint.T("Take back", "Reprendre"),
}

type peoplePage struct {
	frame
	passOn
	Say     peopleTexts
	People  []people.Member
	More    string // the name to go on after
	Waiting []people.Invitation
}

// peoplePages are where an owner looks after those who have an account.
type peoplePages struct{ *Site }

// people is /people: who has an account, and invitations.
func (s peoplePages) people() {
	page := func(w http.ResponseWriter, r *http.Request, who *people.Person, status int, link passOn, problem *hint.Error) {
		p := peoplePage{frame: s.frame(r, who, "/people", peopleSays.Title, "form.js"), passOn: link, Say: peopleSays}
		p.wrong(problem)
		var err error
		var more bool
		if p.People, more, err = s.People.People(r.Context(), r.URL.Query().Get("after"), peopleMost); err == nil {
			p.Waiting, err = s.People.Invitations(r.Context())
		}
		if err != nil {
			s.failed(w, r, who, err)
			return
		}
		if more {
			p.More = p.People[len(p.People)-1].Name
		}
		s.render(w, r, status, "people.html", p)
	}
	s.owner(http.MethodGet, "/people", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		page(w, r, who, http.StatusOK, passOn{}, nil)
	})
	s.owner(http.MethodPost, "/people", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		link, err := passOn{}, form(w, r)
		if err == nil {
			_, err = s.passOn(r, "/join", "") // before a code is made that nobody gets
		}
		if err == nil {
			var code string
			if code, err = s.People.Invite(r.Context(), who, r.PostForm.Get("for"), r.PostForm.Get("role") == "owner"); err == nil {
				link, err = s.passOn(r, "/join", code)
			}
		}
		if err != nil {
			problem, status := s.problem(w, err)
			page(w, r, who, status, passOn{}, problem)
			return
		}
		page(w, r, who, http.StatusCreated, link, nil)
	})
	s.owner(http.MethodPost, "/people/withdraw", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		err := form(w, r)
		if err == nil {
			err = s.People.Withdraw(r.Context(), r.PostForm.Get("id"))
		}
		if err != nil {
			s.failed(w, r, who, err)
			return
		}
		see(w, r, "/people")
	})
}

type personTexts struct {
	Title, Name, Role, Owner, Member, Since, Apps, Reset, ResetHow, MakeReset, Remove, RemoveHow, Data, Keep, Forget, Sure, DoRemove, FirstStays, Back hint.Text
}

var personSays = personTexts{
	Title:      hint.T("A person", "Une personne"),
	Name:       hint.T("Name", "Nom"),
	Role:       hint.T("Role", "Rôle"),
	Owner:      hint.T("owner", "propriétaire"),
	Member:     hint.T("member", "membre"),
	Since:      hint.T("Here since", "Ici depuis le"),
	Apps:       hint.T("Connected apps", "Applications connectées"),
	Reset:      hint.T("Lost password", "Mot de passe perdu"),
	ResetHow:   hint.T("You get a link to pass on, with which they choose a new one. Their data and apps stay as they are; other devices are signed out.", "Vous obtenez un lien à transmettre, avec lequel la personne en choisit un nouveau. Ses données et ses applications restent ; ses autres appareils sont déconnectés."),
	MakeReset:  hint.T("Make a reset link", "Créer un lien"),
	Remove:     hint.T("Remove this person", "Retirer cette personne"),
	RemoveHow:  hint.T("Their account, passkeys and apps end at once, and they are signed out everywhere.", "Son compte, ses clés d'accès et ses applications prennent fin aussitôt, et elle est déconnectée partout."),
	Data:       hint.T("What happens to their data?", "Que deviennent ses données ?"),
	Keep:       hint.T("It stays. Those it is shared with still reach it; what is theirs alone nobody can open. Their name is kept for them: invite them by this name, and they find everything again.", "Elles restent. Ceux avec qui elles sont partagées y accèdent toujours ; ce qui n'est qu'à elle, personne ne peut l'ouvrir. Son nom lui est réservé : invitez-la sous ce nom, et elle retrouve tout."),
	Forget:     hint.T("What only they could change is deleted, for good.", "Ce qu'elle seule pouvait changer est supprimé, définitivement."),
	Sure:       hint.T("Yes, remove", "Oui, retirer"),
	DoRemove:   hint.T("Remove", "Retirer"),
	FirstStays: hint.T("The server belongs to this person: their account stays.", "Le serveur appartient à cette personne : son compte reste."),
	Back:       hint.T("Back to all people", "Retour à toutes les personnes"),
}

type personPage struct {
	frame
	passOn
	Say    personTexts
	Member *people.Member
}

// person is /person?name=: one of them.
func (s peoplePages) person() {
	page := func(w http.ResponseWriter, r *http.Request, who *people.Person, name string, status int, link passOn, problem *hint.Error) {
		p := personPage{frame: s.frame(r, who, "/person?name="+url.QueryEscape(name), personSays.Title, "form.js"), passOn: link, Say: personSays}
		var err error
		if p.Member, err = s.People.Member(r.Context(), name); err != nil {
			s.failed(w, r, who, err)
			return
		}
		if p.Member == nil && problem == nil {
			status = http.StatusNotFound
			problem = hint.New("person-gone", hint.T("There is nobody of this name here.", "Il n'y a personne de ce nom ici."), hint.Text{}, hint.Text{})
		}
		p.wrong(problem)
		s.render(w, r, status, "person.html", p)
	}
	s.owner(http.MethodGet, "/person", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		page(w, r, who, r.URL.Query().Get("name"), http.StatusOK, passOn{}, nil)
	})
	s.owner(http.MethodPost, "/person/reset", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		link, err := passOn{}, form(w, r)
		name := r.PostForm.Get("name")
		if err == nil {
			_, err = s.passOn(r, "/reset", "")
		}
		if err == nil {
			var code string
			if code, err = s.People.OfferReset(r.Context(), who, name); err == nil {
				link, err = s.passOn(r, "/reset", code)
			}
		}
		if err != nil {
			problem, status := s.problem(w, err)
			page(w, r, who, name, status, passOn{}, problem)
			return
		}
		page(w, r, who, name, http.StatusCreated, link, nil)
	})
	s.owner(http.MethodPost, "/person/remove", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		if err := form(w, r); err != nil {
			s.failed(w, r, who, err)
			return
		}
		name := r.PostForm.Get("name")
		if r.PostForm.Get("sure") != "yes" || name == who.Name {
			see(w, r, "/person?name="+url.QueryEscape(name))
			return
		}
		forgets := r.PostForm.Get("data") == "forget"
		// First the account: what is forgotten is not to grow meanwhile. When
		// forgetting fails the name stays theirs, and inviting and removing them
		// again goes on with it.
		err := s.People.Remove(r.Context(), who, name)
		if err == nil && forgets {
			if err = s.Forget(r.Context(), who, name); err == nil {
				err = s.People.Release(r.Context(), name)
			}
		}
		if err != nil {
			problem, status := s.problem(w, err)
			page(w, r, who, name, status, passOn{}, problem)
			return
		}
		see(w, r, "/people")
	})
}
