package api

import (
	"net/http"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// What this door refuses itself; package refusal has what others refuse, too.
var (
	errVersion  = refusal.New(404, 116, "The requested API version is not available on this server.")
	errQuery    = refusal.New(400, 107, "Invalid query string.")
	errTooLarge = refusal.New(413, 113, "The request body is too large for this server.")
	errCut      = refusal.New(400, 107, "The request body could not be read.")
	errSignIn   = refusal.New(401, 104, "Please authenticate yourself to use this endpoint.")
	errRange    = refusal.New(416, 107, "No part of this file is in the range that was asked for.")
	errForged   = refusal.New(403, 121, "Another site made a browser send this. Nothing was changed.")
	errOver     = refusal.New(410, 202, "The service you are trying to connect no longer exists at this location.")
)

var (
	errAccept    = badHeader(406, "Accept", "Accept header should be one of ['application/json']")
	errType      = badHeader(415, "Content-Type", "Content-Type header should be one of ['application/json']")
	errPatchType = badHeader(415, "Content-Type", "Content-Type header should be one of ['application/json', 'application/merge-patch+json', 'application/json-patch+json']")
	errNoType    = badHeader(415, "Content-Type", "Content-Type header is missing")
	errEncoding  = badHeader(415, "Content-Encoding", "Content-Encoding is not supported; send the body as it is.")
)

func badHeader(status int, name, description string) *refusal.FormError {
	return &refusal.FormError{Status: status, Errno: 107, InvalidError: kinto.Invalid("header", name, description)}
}

// fail answers with what err comes to, and tells the log what an owner should know of.
func (c *call) fail(err error) {
	no := refusal.Of(err)
	switch {
	case no.Notice == "":
	case no.Status == http.StatusInternalServerError:
		c.Log.Error(no.Notice, "method", c.r.Method, "err", err)
	default: // it comes with many requests
		c.notices.error(no.Notice, err)
	}
	h := c.w.Header()
	h.Del("Cache-Control")
	if no.Stamped {
		validators(h, no.Timestamp)
	}
	if no.Status == http.StatusNotModified {
		h.Del("Content-Type")
		c.w.WriteHeader(no.Status)
		return
	}
	switch {
	case no.Wait > 0:
		h["Retry-After"] = []string{no.RetryAfter()}
	case no.Passes():
		h["Retry-After"] = c.retryAfter
	case no.Status == http.StatusUnauthorized:
		h["Www-Authenticate"] = c.challenges()
	}
	h["Content-Type"] = headerJSON
	c.write(no.Status, no.JSON(c.lang()))
}

// lang is the language a client asks for first, else the server's.
func (c *call) lang() hint.Lang { return refusal.Lang(c.r, c.Settings.Language) }
