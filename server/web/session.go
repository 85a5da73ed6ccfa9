package web

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/foyer-server/foyer/server/admission"
	"github.com/foyer-server/foyer/server/kinto"

	"github.com/foyer-server/foyer/server/front"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

// cookie is the name of the one that says who is signed in. With this beginning a
// browser takes it over HTTPS only and for this host alone, so that no neighbour by
// a similar name can plant one. Lax: it comes along when somebody follows a link
// to a page, and with nothing that another site sends.
const cookie = "__Host-foyer"

func (s *Site) remember(w http.ResponseWriter, value string) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(people.SessionIdle.Seconds())})
}

// deviceCookie is the name of the one that says on which names' devices a browser is: it
// opens nothing, and stays when somebody signs out. Who has it types passwords by tries
// of their own, which strangers cannot use up.
const deviceCookie = "__Host-foyer-device"

// welcome gives a browser the cookies of a session that began.
func (s *Site) welcome(w http.ResponseWriter, r *http.Request, value string) {
	s.remember(w, value)
	if s.People == nil {
		return
	}
	name, _, _ := strings.Cut(value, ":")
	known, err := s.People.DeviceCookie(r.Context(), carriedDevice(r), name)
	if err != nil {
		s.Log.Warn("a browser cannot be made known", "err", err) // they are signed in all the same
		return
	}
	http.SetCookie(w, &http.Cookie{Name: deviceCookie, Value: known, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(people.DeviceFor.Seconds())})
}

// from is where a password was typed.
func from(r *http.Request) people.From {
	return people.From{Address: front.Origin(r), Device: carriedDevice(r)}
}

func carriedDevice(r *http.Request) string {
	c, err := r.Cookie(deviceCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

func forget(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}

// carried is the cookie a request came with; empty: none.
func carried(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// who says who is signed in; nil: nobody.
func (s *Site) who(w http.ResponseWriter, r *http.Request) (*people.Person, error) {
	value := carried(r)
	if value == "" || s.People == nil {
		return nil, nil
	}
	who, renew, err := s.People.Session(r.Context(), value)
	switch {
	case err != nil:
	case who == nil:
		forget(w)
	case renew:
		s.remember(w, value)
	}
	if who != nil {
		admission.Of(r.Context()).Known()
	}
	return who, err
}

// signedIn is a handler that knows who is signed in.
type signedIn func(w http.ResponseWriter, r *http.Request, who *people.Person)

// member makes a page known that is for people who are signed in. Others are led
// to where they can do so.
func (s *Site) member(method, path string, h signedIn) {
	s.handle(0, method, path, func(w http.ResponseWriter, r *http.Request) {
		who, err := s.who(w, r)
		switch {
		case err != nil:
			s.failed(w, r, nil, err)
		case who == nil && method == http.MethodGet:
			see(w, r, "/signin?next="+path)
		case who == nil:
			see(w, r, "/signin")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, formBytes)
			h(w, r, who)
		}
	})
}

// owner is member for pages that are for owners.
func (s *Site) owner(method, path string, h signedIn) {
	s.member(method, path, func(w http.ResponseWriter, r *http.Request, who *people.Person) {
		if !who.Owner {
			s.failed(w, r, who, hint.New("owners-only",
				hint.T("This page is for owners of this server.", "Cette page est pour les propriétaires de ce serveur."), hint.Text{}, hint.Text{}))
			return
		}
		h(w, r, who)
	})
}

// see sends a visitor on to another page of ours.
func see(w http.ResponseWriter, r *http.Request, path string) {
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// statusOf is the status for what packages people and control say.
var statusOf = map[string]int{
	"claim-done": http.StatusConflict, "claim-expired": http.StatusForbidden, "claim-wrong": http.StatusForbidden,
	"claim-paused": http.StatusTooManyRequests, "name-malformed": http.StatusBadRequest, "password-weak": http.StatusBadRequest,
	"password-differs": http.StatusBadRequest, "request-malformed": http.StatusBadRequest, "request-foreign": http.StatusForbidden,
	"signin-wrong": http.StatusForbidden, "signin-paused": http.StatusTooManyRequests, "passkey-refused": http.StatusForbidden,
	"passkeys-nowhere": http.StatusBadRequest, "invite-gone": http.StatusForbidden, "name-taken": http.StatusConflict, "label-missing": http.StatusBadRequest, "too-many": http.StatusConflict,
	"person-gone": http.StatusNotFound, "thing-gone": http.StatusNotFound, "owner-stays": http.StatusForbidden, "owners-only": http.StatusForbidden,
	"job-unknown": http.StatusNotFound, "job-malformed": http.StatusBadRequest, "jobs-many": http.StatusConflict, "job-not-by-page": http.StatusForbidden,
	"signin-again": http.StatusForbidden, "not-running": http.StatusServiceUnavailable,
	"change-none": http.StatusConflict, "change-nothing": http.StatusConflict, "change-under-way": http.StatusConflict, "change-elsewhere": http.StatusConflict,
	"code-wrong": http.StatusForbidden, "code-paused": http.StatusTooManyRequests,
	"settings-malformed": http.StatusBadRequest, "settings-by-hand": http.StatusConflict, "settings-unreadable": http.StatusConflict, "settings-ini": http.StatusConflict,
	"helper-missing": http.StatusConflict, "helper-limit": http.StatusConflict, "helper-silent": http.StatusServiceUnavailable, "need-root": http.StatusForbidden,
	"address-unknown": http.StatusConflict, "busy": http.StatusServiceUnavailable,
}

// problem is what to tell a person about an error, and the status for it. What is
// not theirs to know goes to the log.
func (s *Site) problem(w http.ResponseWriter, err error) (*hint.Error, int) {
	p := hint.Find(err)
	status := 0
	if _, busy := errors.AsType[*kinto.BusyError](err); busy && p == nil {
		p = hint.New("busy", hint.T("Many people are signing in at this moment.", "Beaucoup de personnes se connectent en ce moment."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Try again in a moment.", "Réessayez dans un instant."))
	}
	if p != nil {
		status = statusOf[p.Code]
	}
	if status == 0 {
		s.Log.Error("a page could not do what was asked", "err", err)
		status = http.StatusServiceUnavailable
		p = hint.New("page-failed", hint.T("Something on this server went wrong.", "Quelque chose s'est mal passé sur ce serveur."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Try again in a minute.", "Réessayez dans une minute."))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60")
	}
	return p, status
}

var problemTitle = hint.T("That did not work", "Cela n'a pas marché")

// failed answers with an error and nothing else, as JSON to who sent JSON.
func (s *Site) failed(w http.ResponseWriter, r *http.Request, who *people.Person, err error) {
	p, status := s.problem(w, err)
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		s.jsonProblem(w, r, p, status)
		return
	}
	f := s.frame(r, who, "/", problemTitle)
	f.wrong(p)
	s.render(w, r, status, "problem.html", f)
}

func (s *Site) jsonProblem(w http.ResponseWriter, r *http.Request, p *hint.Error, status int) {
	l := s.lang(r)
	s.json(w, status, map[string]string{"code": p.Code, "message": p.What.In(l), "todo": p.Do.In(l)})
}

// foreign refuses what another site made a browser send. Sec-Fetch-Site or Origin
// is on every form and script request of every browser since 2020, so that no token
// in forms is needed; what has neither does not come from a browser, and carries
// nobody's cookie.
func foreign(r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return hint.New("request-foreign", hint.T("Another site sent this.", "Un autre site a envoyé ceci."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Open this server's own address and type it there.", "Ouvrez l'adresse de ce serveur et tapez-le là.")).Because(err)
	}
	return nil
}

// formBytes bounds what a form may send.
const formBytes = 32 << 10

// form reads a form.
func form(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, formBytes)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		return hint.New("request-malformed", hint.T("This form cannot be read.", "Ce formulaire est illisible."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Open the page again.", "Rouvrez la page."))
	}
	return nil
}

// device says in two words what browser a request came from.
func device(r *http.Request) string {
	agent := r.UserAgent()
	first := func(pairs [][2]string) string {
		for _, p := range pairs {
			if strings.Contains(agent, p[0]) {
				return p[1]
			}
		}
		return ""
	}
	browser := first([][2]string{{"Firefox/", "Firefox"}, {"FxiOS", "Firefox"}, {"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser", "Samsung Internet"}, {"Chrome/", "Chrome"}, {"CriOS", "Chrome"}, {"Safari/", "Safari"}})
	system := first([][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Macintosh", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}})
	return strings.TrimSpace(browser + " " + system)
}
