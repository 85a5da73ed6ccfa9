package web

import (
	"net/http"
	"net/url"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

type signinTexts struct {
	Title, Passkey, PasskeyFailed, Submit, Lost, LostMember, LostOwner, LostCode hint.Text
}

var signinSays = signinTexts{
	Title:         hint.T("Sign in", "Se connecter"),
	Passkey:       hint.T("Sign in with a passkey", "Se connecter avec une clé d'accès"),
	PasskeyFailed: hint.T("No passkey was used. Try again, or use the password.", "Aucune clé d'accès n'a servi. Réessayez, ou utilisez le mot de passe."),
	Submit:        hint.T("Sign in", "Se connecter"),
	Lost:          hint.T("I have lost my password", "J'ai perdu mon mot de passe"),
	LostMember:    hint.T("Ask an owner of this server for a reset link.", "Demandez un lien à un propriétaire de ce serveur."),
	LostOwner:     hint.T("You are the owner? On the server, type: sudo foyer claim --reset. It shows a code, and nothing of your data is touched.", "Vous êtes propriétaire ? Sur le serveur, tapez : sudo foyer claim --reset. Un code s'affiche, et rien de vos données n'est touché."),
	LostCode:      hint.T("I have a code", "J'ai un code"),
}

type signinPage struct {
	frame
	Say        signinTexts
	Choose     choosing
	User, Next string
	Passkeys   bool
}

// signinPages are where people sign in.
type signinPages struct{ *Site }

// signin is /signin and /signout.
func (s signinPages) signin() {
	page := func(w http.ResponseWriter, r *http.Request, next, name string, problem *hint.Error, status int) {
		path := "/signin"
		if next != "/" {
			path += "?next=" + url.QueryEscape(next)
		}
		p := signinPage{frame: s.frame(r, nil, path, signinSays.Title, "form.js", "passkey.js"), Say: signinSays, Choose: s.choose(), User: name, Next: next}
		_, p.Passkeys = s.place(r)
		p.wrong(problem)
		s.render(w, r, status, "signin.html", p)
	}
	s.handle(0, http.MethodGet, "/signin", func(w http.ResponseWriter, r *http.Request) {
		next := s.next(r.URL.Query().Get("next"))
		again := r.URL.Query().Get("again") != ""
		who, err := s.who(w, r)
		switch {
		case err != nil:
			s.failed(w, r, nil, err)
		case who != nil && again:
			page(w, r, next, who.Name, signInAgain, http.StatusOK)
		case who != nil:
			see(w, r, next)
		default:
			page(w, r, next, "", nil, http.StatusOK)
		}
	})
	s.handle(0, http.MethodPost, "/signin", func(w http.ResponseWriter, r *http.Request) {
		if err := form(w, r); err != nil {
			s.failed(w, r, nil, err)
			return
		}
		name, next := r.PostForm.Get("name"), s.next(r.PostForm.Get("next"))
		var value string
		var err error
		if answer := r.PostForm.Get("answer"); answer != "" {
			var place people.Place
			if place, err = s.mustPlace(r); err == nil {
				value, err = s.People.SignInByPasskey(r.Context(), place, r.PostForm.Get("state"), []byte(answer), device(r), carried(r))
			}
		} else {
			value, err = s.People.SignIn(r.Context(), name, r.PostForm.Get("password"), from(r), device(r), carried(r))
		}
		if err != nil {
			problem, status := s.problem(w, err)
			page(w, r, next, name, problem, status)
			return
		}
		s.welcome(w, r, value)
		see(w, r, next)
	})
	s.handle(0, http.MethodPost, "/signout", func(w http.ResponseWriter, r *http.Request) {
		if value := carried(r); value != "" {
			if err := s.People.SignOut(r.Context(), value); err != nil {
				s.failed(w, r, nil, err)
				return
			}
		}
		forget(w)
		see(w, r, "/signin")
	})
}

// signInAgain asks somebody who is signed in already, for what touches the machine.
var signInAgain = hint.New("signin-again", hint.T("This touches the machine itself: it wants to know that it is really you.", "Ceci touche à la machine elle-même : elle veut être sûre que c'est bien vous."), hint.Text{},
	hint.T("Sign in once more, then ask again within ten minutes.", "Connectez-vous encore une fois, puis redemandez dans les dix minutes."))

// next is where to go after signing in: a page of ours that is known, and nothing
// that a link from elsewhere could make of it.
func (s *Site) next(path string) string {
	for _, n := range navSays {
		if n.path == path {
			return path
		}
	}
	if path == changePath {
		return path
	}
	return "/"
}
