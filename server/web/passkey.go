package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

// chooseTexts are for whoever chooses how to sign in.
type chooseTexts struct {
	Name, NameHelp, Passkey, PasskeyHelp, PasskeyFailed, Or, Password, PasswordHelp, Again, Show hint.Text
}

var chooseSays = chooseTexts{
	Name:          hint.T("Your name", "Votre nom"),
	NameHelp:      hint.T("Letters without accents and digits, such as jeannine.", "Lettres sans accent et chiffres, comme jeannine."),
	Passkey:       hint.T("Use a passkey", "Utiliser une clé d'accès"),
	PasskeyHelp:   hint.T("Your finger, your face or your device's PIN: nothing to remember.", "Votre doigt, votre visage ou le code de votre appareil : rien à retenir."),
	PasskeyFailed: hint.T("No passkey was made. Try again, or choose a password.", "Aucune clé d'accès n'a été créée. Réessayez, ou choisissez un mot de passe."),
	Or:            hint.T("or", "ou"),
	Password:      hint.T("Password", "Mot de passe"),
	PasswordHelp:  hint.T("At least 8 characters. Four words in a row are a good one.", "Au moins 8 caractères. Quatre mots à la suite, c'est bien."),
	Again:         hint.T("Password again", "Mot de passe, encore une fois"),
	Show:          hint.T("Show the password", "Afficher le mot de passe"),
}

// choosing is what a page needs on which somebody chooses how to sign in.
type choosing struct {
	chooseTexts
	Least int // characters of a password
}

// choose is that of this server.
func (s *Site) choose() choosing {
	c := choosing{chooseSays, 8}
	if s.People != nil {
		c.Least = s.People.PasswordChars()
		c.PasswordHelp = hint.T("At least %d characters. Four words in a row are a good one.", "Au moins %d caractères. Quatre mots à la suite, c'est bien.", c.Least)
	}
	return c
}

// place is where passkeys are made and used by who sent r: a name of ours that they
// called us by. false: they came by an address, or by a name we do not know.
func (s *Site) place(r *http.Request) (people.Place, bool) {
	u, err := url.Parse(s.address(r))
	if err != nil || u.Scheme != "https" || u.Host != r.Host {
		return people.Place{}, false
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil || s.Shared != nil && s.Shared(u.Hostname()) {
		return people.Place{}, false
	}
	return people.Place{Host: u.Hostname(), Origin: "https://" + u.Host, Server: "Foyer " + s.Name}, true
}

func (s *Site) mustPlace(r *http.Request) (people.Place, error) {
	place, ok := s.place(r)
	if !ok {
		return place, hint.New("passkeys-nowhere",
			hint.T("Passkeys work where this server is called by its name.", "Les clés d'accès marchent là où ce serveur est appelé par son nom."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Open it by its name, or use a password.", "Ouvrez-le par son nom, ou utilisez un mot de passe."))
	}
	return place, nil
}

// secret is how a form says that somebody is going to sign in.
func (s *Site) secret(r *http.Request) (people.Secret, error) {
	if answer := r.PostForm.Get("answer"); answer != "" {
		place, err := s.mustPlace(r)
		if err != nil {
			return people.Secret{}, err
		}
		key, err := s.People.TakePasskey(r.Context(), place, r.PostForm.Get("state"), []byte(answer), device(r))
		return people.Secret{Passkey: key}, err
	}
	password := r.PostForm.Get("password")
	if again, ok := r.PostForm["again"]; ok && again[0] != password {
		return people.Secret{}, hint.New("password-differs", hint.T("The two passwords are not the same.", "Les deux mots de passe ne sont pas les mêmes."), hint.Text{},
			hint.T("Type the same password twice.", "Tapez deux fois le même mot de passe."))
	}
	return people.Secret{Password: password}, nil
}

// passkeyPages are those with which browsers make and use passkeys.
type passkeyPages struct{ *Site }

// passkeys is what scripts ask before they ask a device: /passkey/make for a new
// one, /passkey/use for one there is.
func (s passkeyPages) passkeys() {
	s.handle(Unclaimed, http.MethodPost, "/passkey/make", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Name string `json:"name"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, formBytes)).Decode(&asked); err != nil || len(asked.Name) > 64 {
			s.failed(w, r, nil, hint.New("request-malformed", hint.T("This request cannot be read.", "Cette demande est illisible."), hint.Text{}, hint.T("Open the page again.", "Rouvrez la page.")))
			return
		}
		who, err := s.who(w, r)
		if err == nil && who != nil {
			asked.Name = who.Name
		}
		if asked.Name == "" { // who resets their password has not said their name
			asked.Name = s.Name
		}
		var place people.Place
		if err == nil {
			place, err = s.mustPlace(r)
		}
		var options []byte
		var state string
		if err == nil {
			options, state, err = s.People.OfferPasskey(r.Context(), place, asked.Name, who != nil)
		}
		s.question(w, r, options, state, err)
	})
	s.handle(0, http.MethodPost, "/passkey/use", func(w http.ResponseWriter, r *http.Request) {
		place, err := s.mustPlace(r)
		var options []byte
		var state string
		if err == nil {
			options, state, err = s.People.AskPasskey(r.Context(), place)
		}
		s.question(w, r, options, state, err)
	})
}

func (s passkeyPages) question(w http.ResponseWriter, r *http.Request, options []byte, state string, err error) {
	if err != nil {
		s.failed(w, r, nil, err)
		return
	}
	s.json(w, http.StatusOK, struct {
		Options json.RawMessage `json:"options"`
		State   string          `json:"state"`
	}{options, state})
}
