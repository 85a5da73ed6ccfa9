package api

import (
	"net/http"
	"strconv"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// permissionsOn reports whether callers are told what they hold: when the setting
// says so, or for the administration page (§8, permissions endpoint).
func permissionsOn(a *api) bool {
	k := a.Settings.Kinto
	return k.Bool("experimental_permissions_endpoint") || k.Includes("admin")
}

// permissions tells callers what they may do with which object.
func permissions(c *call) {
	list := kinto.List{Kind: kinto.Permission}
	if !c.offered(c.offers.methods(list, "")) {
		return
	}
	if !accepts(c.r.Header["Accept"]) {
		c.fail(errAccept)
		return
	}
	who, err := c.who()
	if err != nil {
		c.fail(err)
		return
	}
	req := kinto.Request{Op: listOps[c.r.Method], Who: who, List: list}
	req.Invalid = readParameters(c.w.Header(), c.r.URL.RawQuery, &req)
	if req.Fields != nil {
		req.Fields["id"] = nil
	}
	leave, err := c.turn(c.searches, "searches")
	if err != nil {
		c.fail(err)
		return
	}
	answer, err := c.kinto.PermissionsOf(c.r.Context(), &req)
	leave()
	if err != nil {
		c.fail(c.refused(who, err))
		return
	}
	release, err := c.hold(sizeOf(answer.Objects...))
	if err != nil {
		c.fail(err)
		return
	}
	defer release()
	h := c.w.Header()
	validators(h, answer.Timestamp)
	h["Cache-Control"] = headerNoStore
	if req.Op == kinto.Count {
		total := []string{strconv.Itoa(answer.Total)}
		h["Total-Objects"], h["Total-Records"] = total, total
		c.w.WriteHeader(http.StatusOK)
		return
	}
	if answer.Next != nil {
		h["Next-Page"] = []string{c.nextPage(&req, answer)}
	}
	buf, free := c.buffer()
	defer free()
	*buf = append(*buf, `{"data":[`...)
	for i := range answer.Objects {
		if i > 0 {
			*buf = append(*buf, ',')
		}
		*buf = answer.Objects[i].AppendData(*buf, req.Fields)
	}
	*buf = append(*buf, "]}"...)
	c.write(http.StatusOK, *buf)
}

// offered answers requests whose method is not one of methods, and preflights; it
// reports false when it did.
func (c *call) offered(methods []string) bool {
	for _, m := range methods {
		if m == c.r.Method && m != http.MethodOptions {
			return true
		}
	}
	if c.r.Method == http.MethodOptions {
		c.preflight(methods)
		return false
	}
	c.w.Header()["Allow"] = []string{joinMethods(methods)}
	c.fail(refusal.Method)
	return false
}
