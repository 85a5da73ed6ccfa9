package web

import (
	"net/http"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/front"
)

type homeTexts struct {
	Title, Lead, Owned, API, Waiting, Claim, Trust, TrustWhy hint.Text
}

var homeSays = homeTexts{
	Title:    hint.T("Foyer", "Foyer"),
	Lead:     hint.T("This is a Foyer: a server at home that keeps the data of its people's apps.", "Voici un Foyer : un serveur à la maison, qui garde les données des applications de ses habitants."),
	Owned:    hint.T("It has an owner and is at work.", "Il a un propriétaire et il est au travail."),
	API:      hint.T("Apps reach it at this address:", "Les applications le trouvent à cette adresse :"),
	Waiting:  hint.T("It waits for its owner.", "Il attend son propriétaire."),
	Claim:    hint.T("Become its owner", "En devenir propriétaire"),
	Trust:    hint.T("Trust this server on this device", "Faire confiance à ce serveur sur cet appareil"),
	TrustWhy: hint.T("Each phone and computer needs it once.", "À faire une fois sur chaque téléphone et ordinateur."),
}

type homePage struct {
	frame
	Say             homeTexts
	Claimed, Trusts bool
	URL             string
}

// home is / for browsers.
func (s *Site) home() {
	s.handle(0, http.MethodGet, "/", func(w http.ResponseWriter, r *http.Request) {
		claimed, err := s.Claimer.Claimed(r.Context())
		if err != nil {
			s.Log.Error("cannot tell whether there is an owner", "err", err)
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
			return
		}
		p := homePage{frame: s.frame(r, homeSays.Title), Say: homeSays, Claimed: claimed, Trusts: s.Trust != nil}
		p.URL = front.Scheme(r) + "://" + r.Host + "/v1/"
		s.render(w, r, http.StatusOK, "home.html", p)
	})
}
