package web

import (
	"net/http"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/front"
)

type joinTexts struct {
	Title, Lead, Code, CodeHelp, Submit, Note hint.Text
}

var joinSays = joinTexts{
	Title:    hint.T("Come in", "Entrez"),
	Lead:     hint.T("You are invited to this server. Choose a name, and how you will sign in.", "Vous avez une invitation pour ce serveur. Choisissez un nom, et comment vous vous connecterez."),
	Code:     hint.T("Code of the invitation", "Code de l'invitation"),
	CodeHelp: hint.T("It is what stands at the end of the link, after the equals sign.", "C'est ce qui se trouve à la fin du lien, après le signe égal."),
	Submit:   hint.T("Come in", "Entrer"),
	Note:     hint.T("What you store here is yours: the owner keeps the server, you decide with whom you share.", "Ce que vous gardez ici est à vous : le propriétaire tient le serveur, vous décidez avec qui vous partagez."),
}

var resetSays = joinTexts{
	Title:    hint.T("A new password", "Un nouveau mot de passe"),
	Lead:     hint.T("Choose how you will sign in from now on. Your data and your apps stay as they are.", "Choisissez comment vous vous connecterez désormais. Vos données et vos applications restent comme elles sont."),
	Code:     hint.T("Code", "Code"),
	CodeHelp: hint.T("Of the link you were given, or the one that sudo foyer claim --reset shows on the server.", "Celui du lien que vous avez reçu, ou celui que sudo foyer claim --reset affiche sur le serveur."),
	Submit:   hint.T("Sign in", "Se connecter"),
	Note:     hint.T("Your other devices will be signed out.", "Vos autres appareils seront déconnectés."),
}

type joinPage struct {
	frame
	Say        joinTexts
	Choose     choosing
	Path       string
	Joins      bool
	Passkeys   bool
	Code, User string // typed before; never the password
}

// joinPages are for whoever was sent a link: an invitation, or a way back in.
type joinPages struct{ *Site }

// join is /join, for who was invited, and /reset, for who lost their password.
func (s joinPages) join() {
	s.taking("/join", joinSays, true, func(r *http.Request) (string, error) {
		secret, err := s.secret(r)
		if err != nil {
			return "", err
		}
		return s.People.Join(r.Context(), r.PostForm.Get("code"), r.PostForm.Get("name"), secret, device(r), carried(r))
	})
	s.taking("/reset", resetSays, false, func(r *http.Request) (string, error) {
		secret, err := s.secret(r)
		if err != nil {
			return "", err
		}
		_, value, err := s.People.Reset(r.Context(), r.PostForm.Get("code"), secret, front.Origin(r), device(r), carried(r))
		return value, err
	})
}

// taking is a page that takes a code for a session.
func (s joinPages) taking(path string, say joinTexts, joins bool, take func(*http.Request) (cookie string, err error)) {
	page := func(w http.ResponseWriter, r *http.Request, status int, p joinPage, problem *hint.Error) {
		p.frame, p.Say, p.Choose, p.Path, p.Joins = s.frame(r, nil, path, say.Title, "form.js", "passkey.js"), say, s.choose(), path, joins
		_, p.Passkeys = s.place(r)
		p.wrong(problem)
		s.render(w, r, status, "join.html", p)
	}
	s.handle(0, http.MethodGet, path, func(w http.ResponseWriter, r *http.Request) {
		page(w, r, http.StatusOK, joinPage{}, nil)
	})
	s.handle(0, http.MethodPost, path, func(w http.ResponseWriter, r *http.Request) {
		if err := form(w, r); err != nil {
			s.failed(w, r, nil, err)
			return
		}
		value, err := take(r)
		if err != nil {
			problem, status := s.problem(w, err)
			page(w, r, status, joinPage{Code: r.PostForm.Get("code"), User: r.PostForm.Get("name")}, problem)
			return
		}
		s.welcome(w, r, value)
		see(w, r, "/")
	})
}
