package web

import (
	"net/http"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

type startTexts struct {
	Title, Lead, First, Trust, Then, Go, Known hint.Text
}

var startSays = startTexts{
	Title: hint.T("Two steps", "Deux étapes"),
	Lead:  hint.T("You have found your server. Everything between you and it will be encrypted.", "Vous avez trouvé votre serveur. Tout entre vous et lui sera chiffré."),
	First: hint.T("Once on each device: make it trust this server.", "Une fois sur chaque appareil : faites-lui reconnaître ce serveur."),
	Trust: hint.T("Show me how", "Montrez-moi comment"),
	Then:  hint.T("Then go in by the secure address.", "Ensuite, entrez par l'adresse sûre."),
	Go:    hint.T("Go in", "Entrer"),
	Known: hint.T("When this device trusts the server, this page goes on by itself.", "Quand cet appareil reconnaît le serveur, cette page continue toute seule."),
}

type startPage struct {
	frame
	Say    startTexts
	Secure string
}

// startPages are for whoever comes without encryption.
type startPages struct{ *Site }

// start is /start: what the QR code of a home server opens over plain HTTP. Its
// script asks whether HTTPS is trusted already and then goes there.
func (s startPages) start() {
	s.handle(Unclaimed|Plain, http.MethodGet, "/start", func(w http.ResponseWriter, r *http.Request) {
		p := startPage{frame: s.frame(r, nil, "/start", startSays.Title, "start.js"), Say: startSays, Secure: s.Secure(r)}
		w.Header().Set("Content-Security-Policy", policy(strings.TrimSuffix(p.Secure, "/")))
		s.render(w, r, http.StatusOK, "start.html", p)
	})
}
