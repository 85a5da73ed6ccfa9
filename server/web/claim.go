package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/people"
)

// claimBytes bounds a claim: code, name and password, as a form or as JSON.
const claimBytes = 16 << 10

type claimTexts struct {
	Title, Lead, Code, CodeHelp, Submit, Home, Taken hint.Text
}

var claimSays = claimTexts{
	Title:    hint.T("Become the owner", "Devenir propriétaire"),
	Lead:     hint.T("This server has no owner yet. Type the code it shows, then choose your name and how you will sign in.", "Ce serveur n'a pas encore de propriétaire. Tapez le code qu'il affiche, puis choisissez votre nom et comment vous vous connecterez."),
	Code:     hint.T("Code", "Code"),
	CodeHelp: hint.T("8 letters and digits, such as K7QX-9M2P. Lost? On the server, type: sudo foyer claim", "8 lettres et chiffres, comme K7QX-9M2P. Perdu ? Sur le serveur, tapez : sudo foyer claim"),
	Submit:   hint.T("Become the owner", "Devenir propriétaire"),
	Home:     hint.T("Go on", "Continuer"),
	Taken:    hint.T("This server already has an owner.", "Ce serveur a déjà un propriétaire."),
}

type claimPage struct {
	frame
	Say        claimTexts
	Choose     choosing
	State      string // form, taken
	Code, User string // typed before; never the password
	Passkeys   bool
}

// claimPages are those by which somebody becomes the owner.
type claimPages struct{ *Site }

// claim is /claim: the form, and its answer as a page or as JSON.
func (s claimPages) claim() {
	s.handle(Unclaimed, http.MethodGet, "/claim", func(w http.ResponseWriter, r *http.Request) {
		state := "form"
		if claimed, err := s.Claimer.Claimed(r.Context()); err == nil && claimed {
			state = "taken"
		}
		s.claimPage(w, r, http.StatusOK, claimPage{State: state}, nil)
	})
	s.handle(Unclaimed, http.MethodPost, "/claim", func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		c := claimRequest{json: kind == "application/json"}
		secret, err := s.readClaim(w, r, &c, kind)
		var value string
		if err == nil {
			value, err = s.Claimer.Claim(r.Context(), c.Code, c.Name, secret, front.Origin(r), device(r))
		}
		s.claimAnswer(w, r, c, value, err)
	})
}

func (s claimPages) claimPage(w http.ResponseWriter, r *http.Request, status int, p claimPage, problem *hint.Error) {
	p.frame, p.Say, p.Choose = s.frame(r, nil, "/claim", claimSays.Title, "form.js", "passkey.js"), claimSays, s.choose()
	_, p.Passkeys = s.place(r)
	p.wrong(problem)
	s.render(w, r, status, "claim.html", p)
}

// claimRequest is who wants to be the owner.
type claimRequest struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Password string `json:"password"`
	json     bool
}

// readClaim reads a form, or JSON, as kind says.
func (s claimPages) readClaim(w http.ResponseWriter, r *http.Request, c *claimRequest, kind string) (people.Secret, error) {
	r.Body = http.MaxBytesReader(w, r.Body, claimBytes)
	malformed := hint.New("request-malformed", hint.T("This claim cannot be read.", "Cette demande est illisible."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T(`Send a form, or JSON such as {"code": "K7QX-9M2P", "name": "jeannine", "password": "…"}.`, `Envoyez un formulaire, ou du JSON comme {"code": "K7QX-9M2P", "name": "jeannine", "password": "…"}.`))
	switch kind {
	case "application/json":
		// The decoder would make other characters of bytes that are none, and its own words
		// may quote a password.
		text, err := io.ReadAll(r.Body)
		if err != nil || !utf8.Valid(text) || json.Unmarshal(text, c) != nil {
			return people.Secret{}, malformed.Because(errors.New("not JSON"))
		}
		return people.Secret{Password: c.Password}, nil
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return people.Secret{}, malformed
		}
		c.Code, c.Name = r.PostForm.Get("code"), r.PostForm.Get("name")
		return s.secret(r)
	}
	return people.Secret{}, malformed
}

// claimAnswer says how it went.
func (s claimPages) claimAnswer(w http.ResponseWriter, r *http.Request, c claimRequest, value string, err error) {
	switch {
	case err == nil && c.json:
		s.json(w, http.StatusCreated, map[string]string{"owner": c.Name})
		return
	case err == nil:
		s.welcome(w, r, value)
		see(w, r, "/")
		return
	}
	problem, status := s.problem(w, err)
	if c.json {
		s.jsonProblem(w, r, problem, status)
		return
	}
	state := "form"
	if problem.Code == "claim-done" {
		state = "taken"
	}
	s.claimPage(w, r, status, claimPage{State: state, Code: c.Code, User: c.Name}, problem)
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
