package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// utilities are the endpoints that are no resources (§8), by path after /v1/.
var utilities = map[string]func(*api, http.ResponseWriter, *http.Request){
	"":                (*api).hello,
	"__heartbeat__":   (*api).heartbeat,
	"__lbheartbeat__": (*api).alive,
	"__version__":     (*api).version,
	"__api__":         (*api).openAPI,
	"contribute.json": (*api).contribute,
}

// heartbeatPatience is heartbeat_timeout_seconds of the reference.
const heartbeatPatience = 10 * time.Second

// heartbeat reports whether a client would be served (§8).
func (a *api) heartbeat(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), heartbeatPatience)
	defer cancel()
	err := a.Kinto.Ping(ctx)
	status := http.StatusOK
	if err != nil {
		a.Log.Error("the database is not available", "err", err)
		status = http.StatusServiceUnavailable
		w.Header()["Retry-After"] = a.retryAfter
	}
	ok := err == nil
	said := map[string]bool{"storage": ok, "permission": ok, "cache": ok}
	if plugin("attachment")(a) {
		said["attachments"] = ok
	}
	a.document(w, r, status, said)
}

func (a *api) alive(w http.ResponseWriter, r *http.Request) {
	a.document(w, r, http.StatusOK, struct{}{})
}

func (a *api) version(w http.ResponseWriter, r *http.Request) {
	a.document(w, r, http.StatusOK, map[string]string{"name": "foyer", "version": a.Version, "source": "https://github.com/foyer-server/foyer"})
}

// contribute says where the program comes from (https://www.contributejson.org).
func (a *api) contribute(w http.ResponseWriter, r *http.Request) {
	a.document(w, r, http.StatusOK, map[string]any{
		"name": "foyer", "description": "A personal storage server that looks after itself. It speaks the Kinto HTTP API.",
		"repository": map[string]string{"url": "https://github.com/foyer-server/foyer", "license": "Apache-2.0"},
		"keywords":   []string{"storage", "self-hosting", "kinto", "JSON", "go"},
	})
}

// document answers with v as JSON.
func (a *api) document(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("api: an answer cannot be encoded: " + err.Error())
	}
	if wantsText(r) {
		w.Header()["Content-Type"] = headerText
	}
	a.write(w, r, status, body)
}

// wantsText reports whether a client takes text and no JSON: utilities say the same
// to it, and call it text (§1).
func wantsText(r *http.Request) bool {
	accept := r.Header["Accept"]
	return !accepts(accept) && slices.ContainsFunc(accept, func(h string) bool { return strings.Contains(strings.ToLower(h), "text/plain") })
}
