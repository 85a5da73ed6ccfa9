package web

import (
	"net/http"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

type homeTexts struct {
	Title, Lead, Owned, API, Waiting, Claim, SignIn, Trust, TrustWhy, Addresses, Connect, Lately, Nothing hint.Text
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
	Lately:    hint.T("Lately", "Dernièrement"),
	Nothing:   hint.T("Nothing happened yet.", "Rien ne s'est encore passé."),
}

// Light is how the server is, in one word and one sentence.
type Light struct {
	OK   bool
	What hint.Text
	Do   hint.Text // the one thing to do; may be zero
}

type homePage struct {
	frame
	Say             homeTexts
	Claimed, Trusts bool
	URL             string
	Light           Light
	Addresses       []string
	Lately          []told
}

type told struct {
	At   time.Time
	Text hint.Text
}

// latelyMost is how much of what happened the page tells.
const latelyMost = 8

// home is / for browsers.
func (s *Site) home() {
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
			p.Light, p.Addresses = s.Light(r.Context()), s.Addresses(r)
			happened, err := s.People.Lately(r.Context(), who)
			if err != nil {
				s.failed(w, r, who, err)
				return
			}
			for _, e := range happened[:min(len(happened), latelyMost)] {
				p.Lately = append(p.Lately, told{e.At, eventText(e)})
			}
			p.Lately = append(p.Lately, told{s.started, hint.T("Foyer %s started.", "Foyer %s a démarré.", s.Config.Version)})
		}
		s.render(w, r, http.StatusOK, "home.html", p)
	})
}

// eventText is what happened, as a sentence.
func eventText(e people.Event) hint.Text {
	on := e.Note
	if on == "" {
		on = "?"
	}
	switch e.What {
	case people.Claimed:
		return hint.T("%s became the owner.", "%s est maintenant propriétaire.", e.Who)
	case people.Invited:
		return hint.T("%s made an invitation.", "%s a créé une invitation.", e.Who)
	case people.Joined:
		return hint.T("%s came in, invited by %s.", "%s est là, sur invitation de %s.", e.Who, e.By)
	case people.Removed:
		return hint.T("%s removed %s.", "%s a retiré %s.", e.By, e.Who)
	case people.SignedIn:
		return hint.T("%s signed in (%s).", "Connexion de %s (%s).", e.Who, on)
	case people.PasswordChanged:
		return hint.T("%s changed their password.", "%s a changé de mot de passe.", e.Who)
	case people.PasswordReset:
		return hint.T("%s chose a new way to sign in.", "%s a choisi une nouvelle façon de se connecter.", e.Who)
	case people.ResetOffered:
		return hint.T("%[2]s made a reset link for %[1]s.", "%[2]s a créé un lien de mot de passe pour %[1]s.", e.Who, e.By)
	case people.AppAdded:
		return hint.T("%s made a password for the app “%s”.", "%s a créé un mot de passe pour l'application « %s ».", e.Who, on)
	case people.AppRevoked:
		return hint.T("%s took back the password of the app “%s”.", "%s a retiré le mot de passe de l'application « %s ».", e.Who, on)
	case people.PasskeyAdded:
		return hint.T("%s made a passkey (%s).", "%s a créé une clé d'accès (%s).", e.Who, on)
	case people.PasskeyRemoved:
		return hint.T("%s removed a passkey (%s).", "%s a retiré une clé d'accès (%s).", e.Who, on)
	}
	return hint.T("Something happened to %s.", "Quelque chose est arrivé à %s.", e.Who)
}
