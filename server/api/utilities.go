package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/server/refusal"
)

// utilities are the endpoints that are no resources (§8), by path after /v1/.
var utilities = map[string]func(*call){
	"":                hello,
	"__heartbeat__":   heartbeat,
	"__lbheartbeat__": alive,
	"__version__":     version,
	"__api__":         openAPI,
	"contribute.json": contribute,
}

// heartbeatPatience is heartbeat_timeout_seconds of the reference.
const heartbeatPatience = 10 * time.Second

// heartbeat reports whether a client would be served (§8).
func heartbeat(c *call) {
	ctx, cancel := context.WithTimeout(c.r.Context(), heartbeatPatience)
	defer cancel()
	err := c.kinto.Ping(ctx)
	status := http.StatusOK
	if err != nil {
		c.notices.error("what is needed for requests is not available", err)
		status = http.StatusServiceUnavailable
		c.w.Header()["Retry-After"] = c.retryAfter
	}
	ok := err == nil
	said := map[string]bool{"storage": ok, "permission": ok, "cache": ok}
	if plugin("attachment")(c.api) {
		said["attachments"] = ok
	}
	document(c, status, said)
}

func alive(c *call) {
	document(c, http.StatusOK, struct{}{})
}

func version(c *call) {
	document(c, http.StatusOK, map[string]string{"name": "foyer", "version": c.Version, "source": "https://github.com/foyer-server/foyer"})
}

// contribute says where the program comes from (https://www.contributejson.org).
func contribute(c *call) {
	document(c, http.StatusOK, map[string]any{
		"name": "foyer", "description": "A personal storage server that looks after itself. It speaks the Kinto HTTP API.",
		"repository": map[string]string{"url": "https://github.com/foyer-server/foyer", "license": "Apache-2.0"},
		"participate": map[string]string{
			"home": "https://github.com/foyer-server/foyer", "docs": "https://github.com/foyer-server/foyer/tree/main/docs",
		},
		"bugs": map[string]string{
			"list": refusal.Issues, "report": refusal.Issues + "/new",
		},
		"keywords": []string{"storage", "self-hosting", "kinto", "JSON", "go"},
	})
}

// document answers with v as JSON.
func document(c *call, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("api: an answer cannot be encoded: " + err.Error())
	}
	if wantsText(c.r) {
		c.w.Header()["Content-Type"] = headerText
	}
	c.write(status, body)
}

// wantsText reports whether a client would rather have text than JSON: utilities say the
// same to it, and call it text (§1).
func wantsText(r *http.Request) bool {
	accept := r.Header["Accept"]
	return len(accept) > 0 && quality(accept, "text/plain") > quality(accept, "application/json")
}
