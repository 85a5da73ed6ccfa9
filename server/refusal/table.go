package refusal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// errnoForbidden is that of what the caller may not do, and of a quota that is reached.
const errnoForbidden = 121

// Issues is where faults of the program are told.
const Issues = "https://github.com/foyer-server/foyer/issues"

// Refusals of more than one door.
var (
	Absent    = New(404, 111, "The resource you are looking for could not be found.")
	Method    = New(405, 115, "Method not allowed on this endpoint.")
	Path      = New(400, 107, "Invalid URL path.")
	Forbidden = New(403, errnoForbidden, "This user cannot access this resource.")
	Busy      = New(503, 201, "Service temporary unavailable due to overloading or maintenance, please retry later.")
	Bug       = &Refusal{Status: 500, Errno: 999, Message: "A programmatic error occurred, developers have been informed.", Info: Issues}
)

var (
	conflict = New(409, 122, "Integrity constraint violated, please retry.")
	accounts = &Refusal{Status: 401, Errno: 999, Title: "Cannot read accounts."}
	attached = New(400, 999, "Attachment metadata cannot be modified.")

	// ownerStays is told to whoever would take the owner's account, or leave the server
	// without an owner.
	ownerStays = Tell(403, errnoForbidden, hint.T(
		"The account of this server's owner is theirs alone, and cannot be deleted: nobody could look after the server any more.",
		"Le compte du propriétaire de ce serveur n'est qu'à lui, et ne peut pas être supprimé : plus personne ne pourrait s'occuper du serveur."))

	// diskFull is told to a person: no client knows the status 507.
	diskFull = &Refusal{Status: 507, Errno: 201, Notice: "the disk is full; writes are refused", Text: hint.T(
		"The disk of this server is full: nothing was written, what is there can still be read. Free some room on it, then try again.",
		"Le disque de ce serveur est plein : rien n'a été écrit, ce qui s'y trouve reste lisible. Libérez de la place, puis réessayez.")}
)

// Of is what err comes to.
func Of(err error) *Refusal {
	var (
		own        *Refusal
		form       *FormError
		unmodified *kinto.NotModifiedError
		modified   *kinto.ModifiedError
		missing    *kinto.NotFoundError
		invalid    *kinto.InvalidError
		quota      *kinto.QuotaError
		busy       *kinto.BusyError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &unmodified):
		return &Refusal{Status: http.StatusNotModified, Stamped: true, Timestamp: unmodified.Timestamp}
	case errors.As(err, &modified):
		return ofModified(modified)
	case errors.As(err, &missing):
		return ofMissing(missing)
	case errors.As(err, &form):
		return ofInvalid(form.Status, form.Errno, form.InvalidError)
	case errors.As(err, &invalid):
		return ofInvalid(400, 107, invalid)
	case errors.As(err, &quota):
		return &Refusal{
			Status: 507, Errno: errnoForbidden, Text: quotaReached(quota), Wait: quota.Wait,
			Details: map[string]any{"quota": quota.What, "limit": quota.Limit, "used": quota.Used},
		}
	case errors.As(err, &busy):
		return &Refusal{Status: 503, Errno: 201, Text: tooBusy(busy), Wait: busy.Wait}
	case errors.Is(err, kinto.ErrForbidden):
		return Forbidden
	case errors.Is(err, kinto.ErrReadOnly):
		return Method
	case errors.Is(err, kinto.ErrConflict):
		return conflict
	case errors.Is(err, kinto.ErrAccounts):
		return accounts
	case errors.Is(err, kinto.ErrOwner):
		return ownerStays
	case errors.Is(err, kinto.ErrAttached):
		return attached
	case errors.Is(err, kinto.ErrFull):
		return diskFull
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Busy // the client is gone, or the server is going
	case errors.Is(err, kinto.ErrUnavailable):
		return ofUnavailable(err)
	}
	unknown := *Bug
	unknown.Notice = "a request could not be done"
	return &unknown
}

func ofModified(e *kinto.ModifiedError) *Refusal {
	r := New(412, 114, "Resource was modified meanwhile")
	r.Stamped, r.Timestamp = e.Timestamp >= 0, e.Timestamp
	if e.Existing != nil {
		r.Details = map[string]json.RawMessage{"existing": e.Existing.AppendJSON(nil)}
	}
	return r
}

func ofMissing(e *kinto.NotFoundError) *Refusal {
	r := &Refusal{Status: 404, Errno: 110, Details: object{e.ID, string(e.Kind)}}
	if e.Parent {
		r.Errno = 111
	}
	return r
}

// object names one in details.
type object struct {
	ID   string `json:"id"`
	Kind string `json:"resource_name"`
}

func ofInvalid(status, errno int, e *kinto.InvalidError) *Refusal {
	r := &Refusal{Status: status, Errno: errno, Title: "Invalid parameters", Message: e.Problems[0].Text()}
	var list []problem
	for _, p := range e.Problems {
		one := problem{p.Location, &p.Name, p.Description}
		if p.NoName {
			one.Name = nil
		}
		list = append(list, one)
	}
	r.Details = list
	return r
}

// problem is one entry of details of a validation error; a name may be null.
type problem struct {
	Location    string  `json:"location"`
	Name        *string `json:"name"`
	Description string  `json:"description"`
}

func ofUnavailable(err error) *Refusal {
	r := *Busy
	if h := hint.Find(err); h != nil && h.Code == "database-damaged" { // that is no overload
		r = *Tell(503, 201, h.What)
	}
	r.Notice = "what is needed for requests is not available"
	return &r
}

// tooBusy is told to whoever is turned away for a while.
func tooBusy(e *kinto.BusyError) hint.Text {
	if e.Wait > time.Second {
		return hint.T("Too many wrong passwords were tried. Try again later; an app password works meanwhile.", "Trop de mauvais mots de passe ont été essayés. Réessayez plus tard ; le mot de passe d'une application marche entre-temps.")
	}
	with, ok := busyWith[e.What]
	if !ok {
		with = hint.T("requests", "demandes")
	}
	return hint.T("This server has as many %s as it can take at once. Try again in a moment.", "Ce serveur a autant de %s qu'il peut en prendre à la fois. Réessayez dans un instant.", with)
}

// busyWith are the kinds of what there can be too much of (kinto.BusyError).
var busyWith = map[string]hint.Text{
	"passwords":     hint.T("passwords to check", "mots de passe à vérifier"),
	"tokens":        hint.T("tokens to check", "jetons à vérifier"),
	"searches":      hint.T("searches", "recherches"),
	"feeds":         hint.T("change feeds", "flux de changements"),
	"feeds of one":  hint.T("change feeds of one address or account", "flux de changements d'une même adresse ou d'un même compte"),
	"attachments":   hint.T("attachments to send and to receive", "pièces jointes à envoyer et à recevoir"),
	"large answers": hint.T("large answers", "grandes réponses"),
}

// quotaReached is told to a person: few clients know the status 507.
func quotaReached(e *kinto.QuotaError) hint.Text {
	switch e.What {
	case "records":
		return hint.T("The owner of this bucket may keep %d records and has %d: nothing was written. Delete some, or ask whoever runs this server for more.",
			"Le propriétaire de ce bucket peut garder %d enregistrements et en a %d : rien n'a été écrit. Supprimez-en, ou demandez-en plus à qui gère ce serveur.", e.Limit, e.Used)
	case "attachment_bytes":
		return hint.T("The owner of this bucket may keep %d bytes of attachments and has %d: nothing was written. Delete some, or ask whoever runs this server for more.",
			"Le propriétaire de ce bucket peut garder %d octets de pièces jointes et en a %d : rien n'a été écrit. Supprimez-en, ou demandez-en plus à qui gère ce serveur.", e.Limit, e.Used)
	case "uploaded_bytes":
		minutes := int64((e.Wait + time.Minute - 1) / time.Minute)
		return hint.T("The owner of this bucket was sent many attachments of late, and what was deleted of them is not cleared away yet: nothing was written. Try again in %d minutes.",
			"Le propriétaire de ce bucket a reçu beaucoup de pièces jointes récemment, et ce qui en a été supprimé n'est pas encore effacé : rien n'a été écrit. Réessayez dans %d minutes.", minutes)
	}
	return hint.T("The owner of this bucket may keep %d bytes and has %d: nothing was written. Delete something, or ask whoever runs this server for more.",
		"Le propriétaire de ce bucket peut garder %d octets et en a %d : rien n'a été écrit. Supprimez quelque chose, ou demandez-en plus à qui gère ce serveur.", e.Limit, e.Used)
}
