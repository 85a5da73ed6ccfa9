package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

type frameTexts struct {
	Skip, Pages, Languages, SignOut, Home hint.Text
}

var frameSays = frameTexts{
	Skip:      hint.T("To the page", "Vers la page"),
	Pages:     hint.T("Pages", "Pages"),
	Languages: hint.T("Language", "Langue"),
	SignOut:   hint.T("Sign out", "Se déconnecter"),
	Home:      hint.T("Back to the beginning", "Retour au début"),
}

// frame is what every page shows.
type frame struct {
	Lang      hint.Lang
	Name      string // of the server
	Version   string // of the static files, as a query
	Title     hint.Text
	Scripts   []string // files in static
	Frame     frameTexts
	Who       *people.Person // who is signed in, or nobody
	Nav       []navLink
	Languages []langLink
	Problem   *hint.Error // what went wrong with what was sent
	Field     string      // the one the problem is about
	Refresh   int         // seconds after which a browser without scripts gets the page again; 0: it does not
}

type navLink struct {
	Path    string
	Text    hint.Text
	Current bool
}

type langLink struct {
	Path    string
	Lang    hint.Lang
	Name    string
	Current bool
}

var (
	navSays = []struct {
		path   string
		text   hint.Text
		owners bool
	}{
		{"/", hint.T("Home", "Accueil"), false},
		{"/machine", hint.T("Server", "Serveur"), true},
		{"/people", hint.T("People", "Personnes"), true},
		{"/apps", hint.T("Apps", "Applis"), false},
		{"/account", hint.T("Account", "Compte"), false},
	}
	langNames = map[hint.Lang]string{hint.EN: "English", hint.FR: "Français"}
)

// frame is that of a page for who is signed in, or for anybody. path is where the
// page is got, with its query.
func (s *Site) frame(r *http.Request, who *people.Person, path string, title hint.Text, scripts ...string) frame {
	f := frame{Lang: s.lang(r), Name: s.Name, Version: s.css, Title: title, Scripts: scripts, Frame: frameSays, Who: who}
	if who != nil {
		for _, n := range navSays {
			if (who.Owner || !n.owners) && s.paths[n.path] != 0 {
				f.Nav = append(f.Nav, navLink{n.path, n.text, n.path == path})
			}
		}
	}
	if s.Language == "" {
		u, err := url.Parse(path)
		if err != nil {
			panic("web: a page has no path: " + err.Error())
		}
		for _, l := range hint.Langs {
			q := u.Query()
			q.Set("lang", string(l))
			f.Languages = append(f.Languages, langLink{u.Path + "?" + q.Encode(), l, langNames[l], l == f.Lang})
		}
	}
	return f
}

// wrong puts what went wrong into the page.
func (f *frame) wrong(err *hint.Error) {
	if err != nil {
		f.Problem, f.Field = err, fieldOf[err.Code]
	}
}

// fieldOf is the field of a form that a problem is about.
var fieldOf = map[string]string{
	"claim-wrong": "code", "claim-expired": "code", "claim-paused": "code", "invite-gone": "code",
	"name-malformed": "name", "name-taken": "name", "password-weak": "password", "password-differs": "again",
	"signin-wrong": "old", "signin-paused": "old", "label-missing": "label",
}

// langCookie holds the language somebody chose. It says nothing else, and is for
// the pages that come over plain HTTP, too.
const langCookie = "foyer-lang"

// lang is the language a page is shown in: that of the settings, the one chosen
// here, or the one the browser asks for.
func (s *Site) lang(r *http.Request) hint.Lang {
	if s.Language != "" {
		return s.Language
	}
	if l, ok := chosen(r); ok {
		return l
	}
	if c, err := r.Cookie(langCookie); err == nil && slices.Contains(hint.Langs, hint.Lang(c.Value)) {
		return hint.Lang(c.Value)
	}
	l, _ := hint.Accepted(r.Header.Get("Accept-Language"))
	return l
}

// chosen is the language that the switch at the foot of a page asks for.
func chosen(r *http.Request) (hint.Lang, bool) {
	l := hint.Lang(r.URL.Query().Get("lang"))
	return l, slices.Contains(hint.Langs, l)
}

// unbroken keeps French punctuation from beginning a line.
var unbroken = strings.NewReplacer(" :", "\u00a0:", " ;", "\u00a0;", " ?", "\u00a0?", " !", "\u00a0!", " »", "\u00a0»", "« ", "«\u00a0")

// say is a sentence as a page shows it.
func say(t hint.Text, l hint.Lang) string {
	if l == hint.FR {
		return unbroken.Replace(t.FR)
	}
	return t.In(l)
}

var months = map[hint.Lang][]string{
	hint.EN: {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	hint.FR: {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
}

// day is a date as people write it.
func day(t time.Time, l hint.Lang) string {
	t = t.Local()
	d := strconv.Itoa(t.Day())
	if l == hint.FR && t.Day() == 1 {
		d = "1er"
	}
	return d + " " + months[l][t.Month()-1] + " " + strconv.Itoa(t.Year())
}
