package web

import (
	"net/http"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

type accountTexts struct {
	Title, You, Owner, Passkeys, PasskeysWhy, NoPasskey, NoPasskeysHere, AddPasskey, NoPassword, Made, Used, Remove,
	Change, Old, New, ChangeEnds, Sessions, Device, This, Since, Seen, End, EndOthers hint.Text
}

var accountSays = accountTexts{
	Title:          hint.T("Your account", "Votre compte"),
	You:            hint.T("You are", "Vous êtes"),
	Owner:          hint.T("owner", "propriétaire"),
	Passkeys:       hint.T("Passkeys", "Clés d'accès"),
	PasskeysWhy:    hint.T("With a passkey you sign in by finger, face or PIN. Make one on each of your devices.", "Avec une clé d'accès, vous vous connectez par le doigt, le visage ou un code. Créez-en une sur chacun de vos appareils."),
	NoPasskey:      hint.T("None yet.", "Aucune pour l'instant."),
	NoPasskeysHere: hint.T("Open this server by its name, not by a number, to make one.", "Ouvrez ce serveur par son nom, pas par un numéro, pour en créer une."),
	AddPasskey:     hint.T("Make one on this device", "En créer une sur cet appareil"),
	NoPassword:     hint.T("You have none: you sign in by passkey. For one as well, ask an owner for a reset link.", "Vous n'en avez pas : vous vous connectez par clé d'accès. Pour en avoir un aussi, demandez un lien à un propriétaire."),
	Made:           hint.T("made", "créée le"),
	Used:           hint.T("last used", "utilisée le"),
	Remove:         hint.T("Remove", "Retirer"),
	Change:         hint.T("Change the password", "Changer le mot de passe"),
	Old:            hint.T("Password until now", "Mot de passe actuel"),
	New:            hint.T("New password", "Nouveau mot de passe"),
	ChangeEnds:     hint.T("Your other devices will be signed out. Apps with a password of their own stay connected.", "Vos autres appareils seront déconnectés. Les applications qui ont leur propre mot de passe restent connectées."),
	Sessions:       hint.T("Where you are signed in", "Vos connexions"),
	Device:         hint.T("A browser", "Un navigateur"),
	This:           hint.T("here", "ici"),
	Since:          hint.T("since", "depuis le"),
	Seen:           hint.T("last seen", "vu le"),
	End:            hint.T("Sign out", "Déconnecter"),
	EndOthers:      hint.T("Sign out all others", "Déconnecter tous les autres"),
}

type accountPage struct {
	frame
	Say      accountTexts
	Choose   choosing
	Account  *people.Account
	Passkeys bool
}

// accountPages are where people look after their own account.
type accountPages struct{ *Site }

// account is /account: one's own password, passkeys and sessions.
func (s accountPages) account() {
	page := func(w http.ResponseWriter, r *http.Request, who *people.Person, status int, problem *hint.Error) {
		p := accountPage{frame: s.frame(r, who, "/account", accountSays.Title, "form.js", "passkey.js"), Say: accountSays, Choose: s.choose()}
		var err error
		if p.Account, err = s.People.Account(r.Context(), who.Name); err != nil || p.Account == nil {
			s.failed(w, r, who, err)
			return
		}
		_, p.Passkeys = s.place(r)
		p.wrong(problem)
		s.render(w, r, status, "account.html", p)
	}
	// do is a form of the page that does something, and leads back to it.
	do := func(path string, act func(w http.ResponseWriter, r *http.Request, who *people.Person) error) {
		s.member(http.MethodPost, path, func(w http.ResponseWriter, r *http.Request, who *people.Person) {
			err := form(w, r)
			if err == nil {
				err = act(w, r, who)
			}
			if err != nil {
				problem, status := s.problem(w, err)
				page(w, r, who, status, problem)
				return
			}
			see(w, r, "/account")
		})
	}
	s.member(http.MethodGet, "/account", func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		page(w, r, who, http.StatusOK, nil)
	})
	do("/account/password", func(w http.ResponseWriter, r *http.Request, who *people.Person) error {
		secret, err := s.secret(r)
		if err != nil {
			return err
		}
		value, err := s.People.ChangePassword(r.Context(), who, r.PostForm.Get("old"), secret.Password, from(r), device(r))
		if err == nil {
			s.welcome(w, r, value)
		}
		return err
	})
	do("/account/passkey", func(_ http.ResponseWriter, r *http.Request, who *people.Person) error {
		place, err := s.mustPlace(r)
		if err != nil {
			return err
		}
		key, err := s.People.TakePasskey(r.Context(), place, r.PostForm.Get("state"), []byte(r.PostForm.Get("answer")), device(r))
		if err != nil {
			return err
		}
		return s.People.AddPasskey(r.Context(), who.Name, key)
	})
	do("/account/passkey/remove", func(_ http.ResponseWriter, r *http.Request, who *people.Person) error {
		return s.People.RemovePasskey(r.Context(), who.Name, r.PostForm.Get("id"))
	})
	do("/account/session", func(_ http.ResponseWriter, r *http.Request, who *people.Person) error {
		if r.PostForm.Get("others") == "yes" {
			return s.People.EndSession(r.Context(), who.Name, who.Session, true)
		}
		return s.People.EndSession(r.Context(), who.Name, r.PostForm.Get("id"), false)
	})
}
