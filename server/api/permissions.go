package api

import (
	"net/http"
	"strconv"

	"github.com/foyer-server/foyer/server/kinto"
)

// permissionsOn reports whether callers are told what they hold: when the setting
// says so, or for the administration page (§8, permissions endpoint).
func permissionsOn(a *api) bool {
	k := a.Settings.Kinto
	return k.Bool("experimental_permissions_endpoint") || k.Includes("admin")
}

// permissions tells callers what they may do with which object.
func (a *api) permissions(w http.ResponseWriter, r *http.Request) {
	list := kinto.List{Kind: kinto.Permission}
	if !a.offered(w, r, a.offers.methods(list, "")) {
		return
	}
	if !accepts(r.Header["Accept"]) {
		a.fail(w, r, errAccept)
		return
	}
	who, err := a.who(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	req := kinto.Request{Op: listOps[r.Method], Who: who, List: list}
	req.Invalid = a.parameters(w.Header(), r.URL.RawQuery, &req)
	if req.Fields != nil {
		req.Fields["id"] = nil
	}
	answer, err := a.Kinto.PermissionsOf(r.Context(), &req)
	if err != nil {
		a.fail(w, r, a.refused(who, err))
		return
	}
	h := w.Header()
	validators(h, answer.Timestamp)
	h["Cache-Control"] = headerNoStore
	if req.Op == kinto.Count {
		total := []string{strconv.Itoa(answer.Total)}
		h["Total-Objects"], h["Total-Records"] = total, total
		w.WriteHeader(http.StatusOK)
		return
	}
	if answer.Next != nil {
		h["Next-Page"] = []string{a.nextPage(r, &req, answer)}
	}
	buf, free := a.buffer()
	defer free()
	*buf = append(*buf, `{"data":[`...)
	for i := range answer.Objects {
		if i > 0 {
			*buf = append(*buf, ',')
		}
		*buf = answer.Objects[i].AppendData(*buf, req.Fields)
	}
	*buf = append(*buf, "]}"...)
	a.write(w, r, http.StatusOK, *buf)
}

// offered answers requests whose method is not one of methods, and preflights; it
// reports false when it did.
func (a *api) offered(w http.ResponseWriter, r *http.Request, methods []string) bool {
	for _, m := range methods {
		if m == r.Method && m != http.MethodOptions {
			return true
		}
	}
	if r.Method == http.MethodOptions {
		a.cors.preflight(a, w, r, methods)
		return false
	}
	w.Header()["Allow"] = []string{joinMethods(methods)}
	a.fail(w, r, errMethod)
	return false
}
