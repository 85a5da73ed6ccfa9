package web

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// keepPath is where a change is confirmed.
const keepPath = changePath + "/keep"

type keepTexts struct {
	Title, Lead, What, Code, CodeHelp, Keep, Missing, MissingDo, Kept, KeptTitle, KeptHow, Home hint.Text
}

var keepSays = keepTexts{
	Title:     hint.T("Keep the change?", "Garder la modification ?"),
	Lead:      hint.T("You see this page, so this server can be reached by this address.", "Vous voyez cette page : ce serveur peut donc être joint par cette adresse."),
	What:      hint.T("Confirm it, and the change of the settings stays. Otherwise everything goes back to what it was, by itself.", "Confirmez, et la modification des réglages reste. Sinon tout redevient comme avant, de soi-même."),
	Code:      hint.T("Code", "Code"),
	CodeHelp:  hint.T("It is the end of the link you were given, after code=.", "C'est la fin du lien reçu, après code=."),
	Keep:      hint.T("Keep the change", "Garder la modification"),
	Missing:   hint.T("The code is missing.", "Le code manque."),
	MissingDo: hint.T("Open the link you were given when the change began, or type its code.", "Ouvrez le lien reçu au début de la modification, ou tapez son code."),
	KeptTitle: hint.T("It stays", "Elle reste"),
	Kept:      hint.T("The change is confirmed: it stays.", "La modification est confirmée : elle reste."),
	KeptHow:   hint.T("This is an address of your server now. Sign in here to see the others.", "C'est maintenant une adresse de votre serveur. Connectez-vous ici pour voir les autres."),
	Home:      hint.T("Go to your server", "Aller sur votre serveur"),
}

type keepPage struct {
	frame
	Say   keepTexts
	Code  string
	Typed bool // the code has to be typed: the link brought none, or a wrong one
	Kept  bool
}

// keepPages are where a change is confirmed.
type keepPages struct{ *Site }

// keep is /change/keep: a button that confirms a change, for whoever has the link. Nobody has
// to be signed in: a browser at a new address is not. Getting the page does nothing, since
// messengers get what a link in a message leads to.
func (s keepPages) keep() {
	page := func(w http.ResponseWriter, r *http.Request, code string, problem *hint.Error, status int) {
		path := keepPath
		if code != "" {
			path += "?code=" + url.QueryEscape(code)
		}
		p := keepPage{frame: s.frame(r, nil, path, keepSays.Title), Say: keepSays, Code: code, Typed: code == ""}
		p.wrong(problem)
		s.render(w, r, status, "keep.html", p)
	}
	s.handle(0, http.MethodGet, keepPath, func(w http.ResponseWriter, r *http.Request) {
		page(w, r, strings.TrimSpace(r.URL.Query().Get("code")), nil, http.StatusOK)
	})
	s.handle(0, http.MethodPost, keepPath, func(w http.ResponseWriter, r *http.Request) {
		if err := form(w, r); err != nil {
			s.failed(w, r, nil, err)
			return
		}
		code := strings.TrimSpace(r.PostForm.Get("code"))
		if code == "" {
			page(w, r, "", hint.New("code-wrong", keepSays.Missing, hint.Text{}, keepSays.MissingDo), http.StatusForbidden)
			return
		}
		if _, err := s.Appliance.KeepChange(r.Context(), code, s.reachedBy(r)); err != nil {
			problem, status := s.problem(w, err)
			if problem.Code == "code-wrong" {
				code = ""
			}
			page(w, r, code, problem, status)
			return
		}
		s.render(w, r, http.StatusOK, "keep.html", keepPage{frame: s.frame(r, nil, "/", keepSays.KeptTitle), Say: keepSays, Kept: true})
	})
}

// nowhere is the origin of what has none (RFC 6454, section 6.1): it is no address.
const nowhere = "null"

// reachedBy is the origin by which a request reached this server, https://HOST[:PORT], or
// nowhere: where the request calls the server by what is none of its names, and not by the
// address it came to. The port is the one it came to; the name and the scheme are those of the
// request, or what a proxy that is trusted says of them.
func (s *Site) reachedBy(r *http.Request) string {
	own := s.address(r)
	u, err := url.Parse(own)
	if err != nil || own == "" || u.Hostname() != hostOf(r.Host) {
		return nowhere // address tells another one of ours then, which this did not come by
	}
	return own
}

// hostOf is the host of what a request calls a server, without the port.
func hostOf(called string) string {
	if host, _, err := net.SplitHostPort(called); err == nil {
		called = host
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(called, "[]"), "."))
}
