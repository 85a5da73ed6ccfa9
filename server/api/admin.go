package api

import (
	"net/http"
	"strings"

	"github.com/foyer-server/foyer/server/kinto"
)

func joinMethods(methods []string) string { return strings.Join(methods, ", ") }

// special finds the endpoints for those who look after a server (§8): the list of a
// caller's permissions, flush, counters, and the deletion of a user's data. It
// reports false when rest, the path after /v1/, is none of them.
func special(c *call, rest string) bool {
	principal, isUser := strings.CutPrefix(rest, "__user_data__/")
	switch {
	case rest == "permissions" && permissionsOn(c.api):
		permissions(c)
	case rest == "__flush__" && plugin("flush")(c.api):
		flush(c)
	case rest == "__counters__" && plugin("counters")(c.api):
		counters(c)
	case isUser && principal != "":
		userData(c, principal)
	default:
		return false
	}
	return true
}

// flush empties the server. Anybody may: a server for tests alone includes the
// plugin.
func flush(c *call) {
	methods := []string{"POST", "OPTIONS"}
	if c.readonly {
		methods = methods[1:]
	}
	if !c.offered(methods) {
		return
	}
	if err := c.kinto.Flush(c.r.Context()); err != nil {
		c.fail(err)
		return
	}
	document(c, http.StatusAccepted, struct{}{})
}

// counters counts what there is.
func counters(c *call) {
	if !c.offered([]string{"GET", "HEAD", "OPTIONS"}) {
		return
	}
	objects, tombstones, err := c.kinto.Counters(c.r.Context())
	if err != nil {
		c.fail(err)
		return
	}
	document(c, http.StatusOK, map[string]map[kinto.Kind]int{"objects": objects, "tombstones": tombstones})
}

// userData deletes what is a user's alone.
func userData(c *call, principal string) {
	methods := []string{"DELETE", "OPTIONS"}
	if c.readonly {
		methods = methods[1:]
	}
	if !c.offered(methods) {
		return
	}
	who, err := c.who()
	if err == nil {
		err = c.kinto.ForgetUser(c.r.Context(), who, principal)
	}
	if err != nil {
		c.fail(c.refused(who, err))
		return
	}
	document(c, http.StatusOK, map[string]map[string]string{"data": {"principal": principal}})
}
