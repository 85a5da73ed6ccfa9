package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/refusal"
	"github.com/foyer-server/foyer/server/web"
)

// The paths by which programs ask whether the server is there, and whether the storage
// works (protocol §8).
const (
	heartbeat    = "/v1/__lbheartbeat__"
	apiHeartbeat = "/v1/__heartbeat__"
)

// route is the claim gate and the way to the rooms behind it. Until there is an
// owner it lets through what is needed to become one, and answers everything
// else in one and the same way.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	where := s.site.Where(path)
	claimed, err := s.owner.Claimed(r.Context())
	switch {
	case (claimed || err != nil) && path == apiHeartbeat && reads(r) && s.trouble() != nil:
		w.Header().Set("Retry-After", "30")
		s.beatless(w)
	case err != nil:
		s.Log.Error("cannot tell whether there is an owner", "err", err)
		fail(w, s.lang(r), refusal.Busy.After(3*time.Second))
	case claimed && where != 0 && (path != "/" || browser(r)):
		s.site.ServeHTTP(w, r)
	case claimed && s.dial.Here(path):
		s.dial.ServeHTTP(w, r)
	case claimed:
		s.api.ServeHTTP(w, r)
	case where&web.Unclaimed != 0:
		s.site.ServeHTTP(w, r)
	case path == heartbeat && reads(r):
		beat(w)
	case path == "/" && browser(r):
		lead(w, http.StatusSeeOther, "/claim")
	default:
		fail(w, s.lang(r), unowned)
	}
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// browser reports whether a person's browser asks for a page.
func browser(r *http.Request) bool {
	return reads(r) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// lead redirects a visitor, in a way that browsers do not remember.
func lead(w http.ResponseWriter, status int, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
}

// beat answers __lbheartbeat__.
func beat(w http.ResponseWriter) { send(w, http.StatusOK, struct{}{}) }

// beatless is the answer of __heartbeat__ while the storage is in trouble.
func (s *server) beatless(w http.ResponseWriter) {
	said := map[string]bool{"storage": false, "permission": false, "cache": false}
	if s.Settings.Kinto.Includes("attachment") {
		said["attachments"] = false
	}
	send(w, http.StatusServiceUnavailable, said)
}

// unowned is told to everybody before the claim.
var unowned = refusal.New(http.StatusServiceUnavailable, 201, "This server has no owner yet.").After(30 * time.Second)

// fail refuses, in the form Kinto clients know.
func fail(w http.ResponseWriter, l hint.Lang, no *refusal.Refusal) {
	if no.Wait > 0 {
		w.Header().Set("Retry-After", no.RetryAfter())
	}
	sendText(w, no.Status, no.JSON(l))
}

// lang is the language a client asks for first, else the server's.
func (s *server) lang(r *http.Request) hint.Lang { return refusal.Lang(r, s.Settings.Language) }

func send(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("server: an answer cannot be encoded: " + err.Error())
	}
	sendText(w, status, text)
}

// sendText sends JSON.
func sendText(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that is gone is nobody to tell
}
