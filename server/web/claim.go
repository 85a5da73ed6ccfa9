package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/foyer-server/foyer/internal/hint"
)

// claimBytes bounds a claim: code, name and password, as a form or as JSON.
const claimBytes = 16 << 10

type claimTexts struct {
	Title, Lead, Code, CodeHelp, Name, NameHelp, Password, PasswordHelp, Again, Show, Submit,
	DoneTitle, Done, Next, Home, Taken hint.Text
}

var claimSays = claimTexts{
	Title:        hint.T("Become the owner", "Devenir propriétaire"),
	Lead:         hint.T("This server has no owner yet. Type the code it shows, then choose your name and password.", "Ce serveur n'a pas encore de propriétaire. Tapez le code qu'il affiche, puis choisissez votre nom et votre mot de passe."),
	Code:         hint.T("Code", "Code"),
	CodeHelp:     hint.T("8 letters and digits, such as K7QX-9M2P. Lost? On the server, type: sudo foyer claim", "8 lettres et chiffres, comme K7QX-9M2P. Perdu ? Sur le serveur, tapez : sudo foyer claim"),
	Name:         hint.T("Your name", "Votre nom"),
	NameHelp:     hint.T("Letters without accents and digits, such as jeannine.", "Lettres sans accent et chiffres, comme jeannine."),
	Password:     hint.T("Password", "Mot de passe"),
	PasswordHelp: hint.T("At least 8 characters. Four words in a row are a good one.", "Au moins 8 caractères. Quatre mots à la suite, c'est bien."),
	Again:        hint.T("Password again", "Mot de passe, encore une fois"),
	Show:         hint.T("Show the password", "Afficher le mot de passe"),
	Submit:       hint.T("Become the owner", "Devenir propriétaire"),
	DoneTitle:    hint.T("Welcome home", "Bienvenue chez vous"),
	Done:         hint.T("You are the owner of this server now.", "Vous êtes maintenant propriétaire de ce serveur."),
	Next:         hint.T("Keep your name and password: your apps will ask for them.", "Gardez votre nom et votre mot de passe : vos applications les demanderont."),
	Home:         hint.T("Go on", "Continuer"),
	Taken:        hint.T("This server already has an owner.", "Ce serveur a déjà un propriétaire."),
}

type claimPage struct {
	frame
	Say        claimTexts
	State      string // form, done, taken
	Code, User string // typed before; never the password
	Problem    *hint.Error
	Field      string // the one the problem is about
}

// claimStatus is the status for what package auth says.
var claimStatus = map[string]int{
	"claim-done": http.StatusConflict, "claim-expired": http.StatusForbidden, "claim-wrong": http.StatusForbidden,
	"claim-paused": http.StatusTooManyRequests, "name-malformed": http.StatusBadRequest, "password-weak": http.StatusBadRequest,
	"password-differs": http.StatusBadRequest, "request-malformed": http.StatusBadRequest, "request-foreign": http.StatusForbidden,
}

// claimField is the field of the form that a problem is about.
var claimField = map[string]string{
	"claim-wrong": "code", "claim-expired": "code", "claim-paused": "code",
	"name-malformed": "name", "password-weak": "password", "password-differs": "again",
}

// claim is /claim: the form, and its answer as a page or as JSON.
func (s *Site) claim() {
	s.handle(Unclaimed, http.MethodGet, "/claim", func(w http.ResponseWriter, r *http.Request) {
		state := "form"
		if claimed, err := s.Claimer.Claimed(r.Context()); err == nil && claimed {
			state = "taken"
		}
		s.claimPage(w, r, http.StatusOK, claimPage{State: state})
	})
	foreign := http.NewCrossOriginProtection()
	s.handle(Unclaimed, http.MethodPost, "/claim", func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		c := claimRequest{json: kind == "application/json"}
		err := foreign.Check(r)
		if err != nil {
			err = hint.New("request-foreign", hint.T("Another site sent this.", "Un autre site a envoyé ceci."), hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("Open this server's own address and type it there.", "Ouvrez l'adresse de ce serveur et tapez-le là.")).Because(err)
		} else if err = c.read(w, r, kind); err == nil {
			err = s.Claimer.Claim(r.Context(), c.Code, c.Name, c.Password)
		}
		s.claimAnswer(w, r, c, err)
	})
}

func (s *Site) claimPage(w http.ResponseWriter, r *http.Request, status int, p claimPage) {
	title := claimSays.Title
	if p.State == "done" {
		title = claimSays.DoneTitle
	}
	p.frame, p.Say = s.frame(r, title), claimSays
	p.Script = "claim.js"
	s.render(w, r, status, "claim.html", p)
}

// claimRequest is who wants to be the owner.
type claimRequest struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Password string `json:"password"`
	json     bool
}

// read reads a form or JSON, as kind says.
func (c *claimRequest) read(w http.ResponseWriter, r *http.Request, kind string) error {
	r.Body = http.MaxBytesReader(w, r.Body, claimBytes)
	malformed := hint.New("request-malformed", hint.T("This claim cannot be read.", "Cette demande est illisible."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T(`Send a form, or JSON such as {"code": "K7QX-9M2P", "name": "jeannine", "password": "…"}.`, `Envoyez un formulaire, ou du JSON comme {"code": "K7QX-9M2P", "name": "jeannine", "password": "…"}.`))
	switch kind {
	case "application/json":
		dec := json.NewDecoder(r.Body)
		if err := dec.Decode(c); err != nil {
			return malformed.Because(errors.New("not JSON")) // the decoder's own words may quote a password
		}
		if _, err := dec.Token(); err != io.EOF {
			return malformed
		}
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return malformed
		}
		c.Code, c.Name, c.Password = r.PostForm.Get("code"), r.PostForm.Get("name"), r.PostForm.Get("password")
		if again, ok := r.PostForm["again"]; ok && again[0] != c.Password {
			return hint.New("password-differs", hint.T("The two passwords are not the same.", "Les deux mots de passe ne sont pas les mêmes."), hint.Text{},
				hint.T("Type the same password twice.", "Tapez deux fois le même mot de passe."))
		}
	default:
		return malformed
	}
	return nil
}

// claimAnswer says how it went.
func (s *Site) claimAnswer(w http.ResponseWriter, r *http.Request, c claimRequest, err error) {
	if err == nil {
		if c.json {
			s.json(w, http.StatusCreated, map[string]string{"owner": c.Name})
			return
		}
		s.claimPage(w, r, http.StatusCreated, claimPage{State: "done"})
		return
	}
	problem, status := hint.Find(err), 0
	if problem != nil {
		status = claimStatus[problem.Code]
	}
	if status == 0 {
		s.Log.Error("a claim could not be done", "err", err)
		status = http.StatusServiceUnavailable
		problem = hint.New("claim-failed", hint.T("Something on this server went wrong.", "Quelque chose s'est mal passé sur ce serveur."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Try again in a minute.", "Réessayez dans une minute."))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60")
	}
	if c.json {
		l := s.lang(r)
		s.json(w, status, map[string]string{"code": problem.Code, "message": problem.What.In(l), "todo": problem.Do.In(l)})
		return
	}
	state := "form"
	if problem.Code == "claim-done" {
		state = "taken"
	}
	s.claimPage(w, r, status, claimPage{State: state, Code: c.Code, User: c.Name, Problem: problem, Field: claimField[problem.Code]})
}

func (s *Site) json(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("web: an answer cannot be encoded: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Add("Vary", "Accept-Language")
	s.write(w, status, body)
}
