package api

import (
	"net/http"
	"strings"
)

// A browser that was asked for a name and a password (HTTP Basic) sends them along with
// whatever any site makes it send here. A page of another site may use this server by
// scripts that name their credentials themselves, which browsers ask us about before
// (CORS); forms, links and images may not change anything, and neither may what passes
// for one.

// forged reports whether another site made a browser send a request that changes
// something, by other means than a script that may read the answer (Fetch Metadata,
// W3C; browsers since 2023 send it).
func forged(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "cors"
}

// untyped reports whether a request brings a body and does not say what it is: a script
// can have a browser send that without asking us.
func untyped(r *http.Request) bool {
	return r.Method == http.MethodPost && r.ContentLength != 0 && strings.TrimSpace(r.Header.Get("Content-Type")) == ""
}

// challenges are what to ask a caller for who is nobody yet (RFC 9110 §11.6.1). A browser
// that opens an address is not asked for a name and a password: it would keep them, and
// send them along with what other sites make it send. People sign in on the pages.
func (c *call) challenges() []string {
	all := c.Auth.Realms()
	if c.r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return all
	}
	out := make([]string, len(all))
	for i, c := range all {
		out[i] = c
		if strings.HasPrefix(c, "Basic ") {
			out[i] = "x-" + c // a scheme that no browser asks people for
		}
	}
	return out
}
