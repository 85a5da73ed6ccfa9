package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// refusal is an error of this door itself: a row of the table in §2.
type refusal struct {
	status, errno int
	title         string // empty: the status text
	message       string
}

func (e *refusal) Error() string { return e.message }

var (
	errNotHere   = &refusal{404, 111, "", "The resource you are looking for could not be found."}
	errVersion   = &refusal{404, 116, "", "The requested API version is not available on this server."}
	errMethod    = &refusal{405, 115, "", "Method not allowed on this endpoint."}
	errPath      = &refusal{400, 107, "", "Invalid URL path."}
	errQuery     = &refusal{400, 107, "", "Invalid query string."}
	errTooLarge  = &refusal{413, 113, "", "The request body is too large for this server."}
	errCut       = &refusal{400, 107, "", "The request body could not be read."}
	errBusy      = &refusal{503, 201, "", unavailable}
	errBug       = &refusal{500, 999, "", "A programmatic error occurred, developers have been informed."}
	errSignIn    = &refusal{401, 104, "", "Please authenticate yourself to use this endpoint."}
	errForbidden = &refusal{403, 121, "", "This user cannot access this resource."}
	errAccounts  = &refusal{401, 999, "Cannot read accounts.", ""}
	errRange     = &refusal{416, 107, "", "No part of this file is in the range that was asked for."}
	errForged    = &refusal{403, 121, "", "Another site made a browser send this. Nothing was changed."}
	errOver      = &refusal{410, 202, "", "The service you are trying to connect no longer exists at this location."}
	errConflict  = &refusal{409, 122, "", "Integrity constraint violated, please retry."}
)

// formError is a validation error with a status and an errno of its own.
type formError struct {
	status, errno int
	*kinto.InvalidError
}

func (e *formError) Unwrap() error { return e.InvalidError }

var (
	errAccept    = &formError{406, 107, kinto.Invalid("header", "Accept", "Accept header should be one of ['application/json']")}
	errType      = &formError{415, 107, kinto.Invalid("header", "Content-Type", "Content-Type header should be one of ['application/json']")}
	errPatchType = &formError{415, 107, kinto.Invalid("header", "Content-Type", "Content-Type header should be one of ['application/json', 'application/merge-patch+json', 'application/json-patch+json']")}
	errNoType    = &formError{415, 107, kinto.Invalid("header", "Content-Type", "Content-Type header is missing")}
	errEncoding  = &formError{415, 107, kinto.Invalid("header", "Content-Encoding", "Content-Encoding is not supported; send the body as it is.")}
)

// issues is where faults of the program are told.
const issues = "https://github.com/foyer-server/foyer/issues"

const unavailable = "Service temporary unavailable due to overloading or maintenance, please retry later."

// diskFull is told to a person: no client knows the status 507.
var diskFull = hint.T(
	"The disk of this server is full: nothing was written, what is there can still be read. Free some room on it, then try again.",
	"Le disque de ce serveur est plein : rien n'a été écrit, ce qui s'y trouve reste lisible. Libérez de la place, puis réessayez.")

// ownerStays is told to whoever would take the owner's account, or leave the server
// without an owner.
var ownerStays = hint.T(
	"The account of this server's owner is theirs alone, and cannot be deleted: nobody could look after the server any more.",
	"Le compte du propriétaire de ce serveur n'est qu'à lui, et ne peut pas être supprimé : plus personne ne pourrait s'occuper du serveur.")

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

// errorBody is the error body of §2.
type errorBody struct {
	Code    int    `json:"code"`
	Errno   int    `json:"errno"`
	Error   string `json:"error"`
	Message string `json:"message,omitempty"`
	Info    string `json:"info,omitempty"` // where to go with it
	Details any    `json:"details,omitempty"`
}

// where names an object in details.
type where struct {
	ID   string `json:"id"`
	Kind string `json:"resource_name"`
}

// problem is one entry of details of a validation error; a name may be null.
type problem struct {
	Location    string  `json:"location"`
	Name        *string `json:"name"`
	Description string  `json:"description"`
}

// fail is the one place that knows the status and errno of an error.
func (c *call) fail(err error) {
	h := c.w.Header()
	h.Del("Cache-Control")
	var own *refusal
	var details any
	title := ""
	var (
		unmodified *kinto.NotModifiedError
		modified   *kinto.ModifiedError
		missing    *kinto.NotFoundError
		invalid    *kinto.InvalidError
		quota      *kinto.QuotaError
		busy       *kinto.BusyError
		noShare    *noShareError
	)
	switch {
	case errors.As(err, &own):
	case errors.As(err, &unmodified):
		validators(h, unmodified.Timestamp)
		h.Del("Content-Type")
		c.w.WriteHeader(http.StatusNotModified)
		return
	case errors.As(err, &modified):
		own = &refusal{412, 114, "", "Resource was modified meanwhile"}
		if modified.Timestamp >= 0 {
			validators(h, modified.Timestamp)
		}
		if modified.Existing != nil {
			details = map[string]json.RawMessage{"existing": modified.Existing.AppendJSON(nil)}
		}
	case errors.As(err, &missing):
		own = &refusal{404, 110, "", ""}
		if missing.Parent {
			own = &refusal{404, 111, "", ""}
		}
		details = where{missing.ID, string(missing.Kind)}
	case errors.As(err, &invalid):
		own = &refusal{400, 107, "Invalid parameters", invalid.Problems[0].Text()}
		if form, ok := errors.AsType[*formError](err); ok {
			own.status, own.errno = form.status, form.errno
		}
		var list []problem
		for _, p := range invalid.Problems {
			one := problem{p.Location, &p.Name, p.Description}
			if p.NoName {
				one.Name = nil
			}
			list = append(list, one)
		}
		details = list
	case errors.As(err, &quota):
		own = &refusal{507, 121, "", quotaReached(quota).In(c.lang())}
		details = map[string]any{"quota": quota.What, "limit": quota.Limit, "used": quota.Used}
	case errors.As(err, &busy):
		own = &refusal{503, 201, "", tooBusy(busy).In(c.lang())}
	case errors.As(err, &noShare):
		own = noShare.refusal(c.lang())
		h["Retry-After"] = inSeconds(noShare.wait)
	default:
		own = c.internal(err)
	}
	if title = own.title; title == "" {
		title = http.StatusText(own.status)
	}
	switch own.status {
	case http.StatusConflict, http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		if quota != nil && quota.Wait > 0 {
			h["Retry-After"] = inSeconds(quota.Wait)
		} else if own.errno != errForbidden.errno { // waiting makes no room in a quota
			h["Retry-After"] = c.retryAfter
			if busy != nil && busy.Wait > 0 {
				h["Retry-After"] = inSeconds(busy.Wait)
			}
		}
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = c.challenges()
	}
	info := ""
	if own == errBug {
		info = issues
	}
	body, err := json.Marshal(errorBody{own.status, own.errno, title, own.message, info, details})
	if err != nil {
		panic("api: an error body cannot be encoded: " + err.Error())
	}
	h["Content-Type"] = headerJSON
	c.write(own.status, body)
}

// inSeconds is a wait as Retry-After has it: whole seconds, at least one.
func inSeconds(wait time.Duration) []string {
	return []string{strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second)))}
}

// internal maps errors without a body of their own, and logs those that an owner
// should know of.
func (c *call) internal(err error) *refusal {
	switch {
	case errors.Is(err, kinto.ErrForbidden):
		return errForbidden
	case errors.Is(err, kinto.ErrReadOnly):
		return errMethod
	case errors.Is(err, kinto.ErrConflict):
		return errConflict
	case errors.Is(err, kinto.ErrAccounts):
		return errAccounts
	case errors.Is(err, kinto.ErrOwner):
		return &refusal{403, 121, "", ownerStays.In(c.lang())}
	case errors.Is(err, kinto.ErrAttached):
		return errAttached
	case errors.Is(err, kinto.ErrFull):
		c.notices.error("the disk is full; writes are refused", err)
		return &refusal{http.StatusInsufficientStorage, 201, "", diskFull.In(c.lang())}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errBusy // the client is gone, or the server is going
	case errors.Is(err, kinto.ErrUnavailable):
		c.notices.error("what is needed for requests is not available", err)
		if h := hint.Find(err); h != nil && h.Code == "database-damaged" { // that is no overload
			return &refusal{http.StatusServiceUnavailable, 201, "", h.What.In(c.lang())}
		}
		return errBusy
	}
	c.Log.Error("a request could not be done", "method", c.r.Method, "err", err)
	return errBug
}

// lang is the language a client asks for first, else the server's.
func (c *call) lang() hint.Lang {
	if l, ok := hint.Accepted(strings.Join(c.r.Header["Accept-Language"], ",")); ok {
		return l
	}
	l, _ := hint.ParseLang(c.Settings.Language)
	return l
}
