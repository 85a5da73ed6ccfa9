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
func (a *api) special(w http.ResponseWriter, r *http.Request, rest string) bool {
	principal, isUser := strings.CutPrefix(rest, "__user_data__/")
	switch {
	case rest == "permissions" && permissionsOn(a):
		a.permissions(w, r)
	case rest == "__flush__" && plugin("flush")(a):
		a.flush(w, r)
	case rest == "__counters__" && plugin("counters")(a):
		a.counters(w, r)
	case isUser && principal != "":
		a.userData(w, r, principal)
	default:
		return false
	}
	return true
}

// flush empties the server. Anybody may: a server for tests alone includes the
// plugin.
func (a *api) flush(w http.ResponseWriter, r *http.Request) {
	methods := []string{"POST", "OPTIONS"}
	if a.readonly {
		methods = methods[1:]
	}
	if !a.offered(w, r, methods) {
		return
	}
	if err := a.Kinto.Flush(r.Context()); err != nil {
		a.fail(w, r, err)
		return
	}
	a.document(w, r, http.StatusAccepted, struct{}{})
}

// counters counts what there is.
func (a *api) counters(w http.ResponseWriter, r *http.Request) {
	if !a.offered(w, r, []string{"GET", "HEAD", "OPTIONS"}) {
		return
	}
	objects, tombstones, err := a.Kinto.Counters(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.document(w, r, http.StatusOK, map[string]map[kinto.Kind]int{"objects": objects, "tombstones": tombstones})
}

// userData deletes what is a user's alone.
func (a *api) userData(w http.ResponseWriter, r *http.Request, principal string) {
	methods := []string{"DELETE", "OPTIONS"}
	if a.readonly {
		methods = methods[1:]
	}
	if !a.offered(w, r, methods) {
		return
	}
	who, err := a.who(r)
	if err == nil {
		err = a.Kinto.ForgetUser(r.Context(), who, principal)
	}
	if err != nil {
		a.fail(w, r, a.refused(who, err))
		return
	}
	a.document(w, r, http.StatusOK, map[string]map[string]string{"data": {"principal": principal}})
}
