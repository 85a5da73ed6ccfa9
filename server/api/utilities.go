package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// utilities are the endpoints that are no resources (§8), by path after /v1/.
var utilities = map[string]func(*api, http.ResponseWriter, *http.Request){
	"":                (*api).hello,
	"__heartbeat__":   (*api).heartbeat,
	"__lbheartbeat__": (*api).alive,
	"__version__":     (*api).version,
}

// heartbeatPatience is heartbeat_timeout_seconds of the reference.
const heartbeatPatience = 10 * time.Second

// hello is what a client asks first (§8).
func (a *api) hello(w http.ResponseWriter, r *http.Request) {
	who, err := a.who(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	type user struct {
		ID         string   `json:"id"`
		Principals []string `json:"principals"`
		Bucket     string   `json:"bucket"`
	}
	type settings struct {
		ReadOnly    bool `json:"readonly"`
		Explicit    bool `json:"explicit_permissions"`
		BatchAtMost int  `json:"batch_max_requests"`
	}
	type capability struct {
		Description string `json:"description"`
		URL         string `json:"url"`
	}
	body := struct {
		Name         string                `json:"project_name"`
		Version      string                `json:"project_version"`
		API          string                `json:"http_api_version"`
		Docs         string                `json:"project_docs"`
		URL          string                `json:"url"`
		Settings     settings              `json:"settings"`
		User         *user                 `json:"user,omitempty"`
		Capabilities map[string]capability `json:"capabilities"`
	}{
		Name: "foyer", Version: a.Version, API: "1.23", Docs: "https://kinto.readthedocs.io/", URL: a.url(r, "/v1/"),
		Settings: settings{a.readonly, a.Settings.Kinto.Bool("explicit_permissions"), a.Settings.Kinto.Int("batch_max_requests", 0)},
		Capabilities: map[string]capability{
			"default_bucket": {"The default bucket is an alias for a personal bucket where collections are created implicitly.", "https://kinto.readthedocs.io/en/latest/api/1.x/buckets.html#personal-bucket-default"},
		},
	}
	if who.ID != "" {
		bucket, err := a.Auth.DefaultBucket(r.Context(), who)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		body.User = &user{who.ID, who.Principals, bucket}
	}
	for _, p := range a.Auth.Policies() {
		if p == "basicauth" {
			body.Capabilities[p] = capability{"Very basic authentication sessions. Not for production use.", "https://kinto.readthedocs.io/en/stable/api/1.x/authentication.html"}
		}
	}
	a.document(w, r, http.StatusOK, body)
}

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
	a.document(w, r, status, map[string]bool{"storage": ok, "permission": ok, "cache": ok})
}

func (a *api) alive(w http.ResponseWriter, r *http.Request) {
	a.document(w, r, http.StatusOK, struct{}{})
}

func (a *api) version(w http.ResponseWriter, r *http.Request) {
	a.document(w, r, http.StatusOK, map[string]string{"name": "foyer", "version": a.Version, "source": "https://github.com/foyer-server/foyer"})
}

// document answers with v as JSON.
func (a *api) document(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("api: an answer cannot be encoded: " + err.Error())
	}
	a.write(w, r, status, body)
}
