//go:build !windows

package server

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// What the protocol says of who may do what, as a table and a judge of its own: §1 and §4
// of docs/kinto-protocol.md, transcribed. Nothing here is taken from the product, so that
// a rule that is broken there is not broken here.

// sufficing is §4.2: what it takes to get a permission, each as "KIND PERMISSION". What
// is on no object (the root) can be had by settings only.
var sufficing = map[string][]string{
	"bucket create":         {"root bucket:create"},
	"bucket read":           {"bucket write", "bucket read"},
	"bucket attributes":     {"bucket write", "bucket read", "bucket collection:create", "bucket group:create"},
	"bucket write":          {"bucket write"},
	"collection create":     {"bucket write", "bucket collection:create"},
	"collection attributes": {"bucket write", "bucket read", "collection write", "collection read", "collection record:create"},
	"collection read":       {"bucket write", "bucket read", "collection write", "collection read"},
	"collection write":      {"bucket write", "collection write"},
	"group create":          {"bucket write", "bucket group:create"},
	"group attributes":      {"bucket write", "bucket read", "group write", "group read"},
	"group read":            {"bucket write", "bucket read", "group write", "group read"},
	"group write":           {"bucket write", "group write"},
	"record create":         {"bucket write", "collection write", "collection record:create"},
	"record attributes":     {"bucket write", "bucket read", "collection write", "collection read", "record write", "record read"},
	"record read":           {"bucket write", "bucket read", "collection write", "collection read", "record write", "record read"},
	"record write":          {"bucket write", "collection write", "record write"},
	"history read":          {"bucket write", "bucket read", "history write", "history read"},
	"history write":         {"bucket write", "history write"},
	"account create":        {"root account:create"},
	"account attributes":    {"account write", "account read"},
	"account read":          {"account write", "account read"},
	"account write":         {"account write"},
}

// parentOf is what an object of a kind is in; nothing: the root.
var parentOf = map[string]string{"collection": "bucket", "group": "bucket", "history": "bucket", "record": "collection"}

// permissionsOf is §4.1: what an object of a kind can grant.
var permissionsOf = map[string][]string{
	"bucket":     {"read", "write", "collection:create", "group:create"},
	"collection": {"read", "write", "record:create"},
	"group":      {"read", "write"},
	"record":     {"read", "write"},
	"account":    {"read", "write"},
}

// methodsOf is §1: what an endpoint of a form takes.
func methodsOf(p *spot) []string {
	switch {
	case p.form == "snapshot":
		return []string{"GET", "HEAD", "OPTIONS"}
	case p.form == "attachment":
		return []string{"POST", "DELETE", "OPTIONS"}
	case p.form == "list" && p.kind == "history":
		return []string{"GET", "HEAD", "DELETE", "OPTIONS"}
	case p.form == "list":
		return []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"}
	}
	return []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}
}

// The acts of the matrix: methods, and two that say more. brew is a method nobody has.
const (
	brew        = "BREW"
	postOfThere = "POST of one that is there"
	putIfNone   = "PUT if there is none"
)

var acts = []string{"GET", "HEAD", "OPTIONS", brew, postOfThere, putIfNone, "POST", "PUT", "PATCH", "DELETE"}

func methodOf(act string) string {
	method, _, _ := strings.Cut(act, " ")
	return method
}

// caller is who makes a request, and what of it is known.
type caller struct {
	name       string
	auth       string
	cookie     string
	principals []string // §3
	account    string   // the name of the account they are, or are an app of; empty: nobody
	owner      bool     // of the server
	app        bool     // with a password of its own: accounts are no business of its
}

// thing is an object that is there.
type thing struct {
	kind, id, uri string
	in            *thing
	perms         map[string][]string
	mark          string // among its attributes, so that whoever sees them is seen
}

// above are the things it is in, and itself, by kind.
func (o *thing) above() map[string]*thing {
	all := map[string]*thing{}
	for ; o != nil; o = o.in {
		all[o.kind] = o
	}
	return all
}

// spot is an endpoint.
type spot struct {
	path  string
	form  string            // list, object, attachment, snapshot
	kind  string            // of what is asked for
	self  *thing            // the object; nil: it is missing, or it is a list
	above map[string]*thing // what it is in, as far as that is there
	lost  bool              // what it is directly in is missing
	list  []*thing          // of a list
	pick  []string          // ids that a deletion in it is for; nil: all
}

// verdict is what the protocol says of a request.
type verdict struct {
	status int
	lists  bool // the answer is a list
	ids    []string
}

// bySettings is §4.4: asked is the kind of what a request is for.
func (m *matrix) bySettings(c *caller, asked, permission string) bool {
	name := asked + "_" + permission
	if what, ok := strings.CutPrefix(permission, asked+":"); ok {
		name = asked + "_" + what
	}
	return overlap(m.settings[name], c.principals)
}

// holds says whether a caller holds a permission ("KIND PERMISSION") where a request is
// for something of the kind asked.
func (m *matrix) holds(c *caller, asked, permission string, on map[string]*thing) bool {
	if asked == "account" {
		if c.app {
			return false
		}
		if c.owner {
			return true
		}
	}
	for _, one := range sufficing[permission] {
		kind, name, _ := strings.Cut(one, " ")
		if m.bySettings(c, asked, name) {
			return true
		}
		if o := on[kind]; o != nil && overlap(o.perms[name], c.principals) {
			return true
		}
	}
	return false
}

// sees says whether a caller may know the attributes of a thing.
func (m *matrix) sees(c *caller, o *thing) bool {
	return m.holds(c, o.kind, o.kind+" attributes", o.above())
}

// readsFile says whether a caller may know the address of a record's attachment.
func (m *matrix) readsFile(c *caller, o *thing) bool {
	return m.holds(c, "record", "record read", o.above())
}

// partly are the things of a list on which a caller holds a permission by themselves.
func (m *matrix) partly(c *caller, kind, permission string, list []*thing) (some []*thing) {
	for _, o := range list {
		for _, one := range sufficing[kind+" "+permission] {
			if on, name, _ := strings.Cut(one, " "); on == kind && overlap(o.perms[name], c.principals) {
				some = append(some, o)
				break
			}
		}
	}
	return some
}

// with is what is above a spot, and the thing itself.
func (p *spot) with(o *thing) map[string]*thing {
	on := maps.Clone(p.above)
	if on == nil {
		on = map[string]*thing{}
	}
	if o != nil {
		on[o.kind] = o
	}
	return on
}

// judge is what the protocol says of an act at a spot: in §1's order the method, the
// missing collection of a record, the right, what is missing.
func (m *matrix) judge(c *caller, p *spot, act string) verdict {
	method := methodOf(act)
	refused := verdict{status: http.StatusForbidden}
	if c.account == "" {
		refused.status = http.StatusUnauthorized
	}
	missing := verdict{status: http.StatusNotFound}
	switch {
	case !slices.Contains(methodsOf(p), method):
		return verdict{status: http.StatusMethodNotAllowed}
	case method == http.MethodOptions:
		return verdict{status: http.StatusOK}
	case p.kind == "account":
		return m.judgeAccount(c, p, act, refused)
	case p.kind == "record" && p.lost && (p.form != "list" && slices.Contains([]string{"PUT", "PATCH", "POST", "DELETE"}, method) || p.form == "list" && method == "POST"):
		return missing
	case p.form == "snapshot":
		if !m.holds(c, "record", "record read", p.above) {
			return refused
		}
		return verdict{status: http.StatusOK}
	case p.form == "list" && method != http.MethodPost:
		return m.judgeList(c, p, method, refused)
	case p.form == "list":
		status, ok := http.StatusCreated, m.holds(c, p.kind, p.kind+" create", p.above)
		if act == postOfThere {
			status, ok = http.StatusOK, m.holds(c, p.kind, p.kind+" read", p.with(p.existing()))
		}
		switch {
		case !ok:
			return refused
		case p.lost:
			return missing
		}
		return verdict{status: status}
	}
	create := m.holds(c, p.kind, p.kind+" create", p.above)
	write := m.holds(c, p.kind, p.kind+" write", p.with(p.self))
	switch {
	case p.form == "attachment":
		switch {
		case p.self == nil && !create || p.self != nil && !write:
			return refused
		case method == http.MethodDelete:
			return verdict{status: http.StatusNoContent}
		case p.self == nil:
			return verdict{status: http.StatusCreated}
		}
		return verdict{status: http.StatusOK}
	case method == http.MethodGet || method == http.MethodHead:
		if !m.holds(c, p.kind, p.kind+" attributes", p.with(p.self)) {
			return refused
		}
	case act == putIfNone && p.self != nil:
		if !create {
			return refused
		}
		return verdict{status: http.StatusPreconditionFailed}
	case method == http.MethodPut && p.self == nil:
		switch {
		case !create:
			return refused
		case p.lost:
			return missing
		}
		return verdict{status: http.StatusCreated}
	default:
		parent := parentOf[p.kind]
		mayKnow := p.self == nil && parent != "" && m.holds(c, p.kind, parent+" read", p.above)
		if !write && !mayKnow {
			return refused
		}
	}
	if p.self == nil {
		return missing
	}
	return verdict{status: http.StatusOK}
}

// existing is the one that a POST of one that is there names.
func (p *spot) existing() *thing { return p.list[0] }

// judgeList is §4.3, lists and partial access.
func (m *matrix) judgeList(c *caller, p *spot, method string, refused verdict) verdict {
	permission := "read"
	if method == http.MethodDelete {
		permission = "write"
	}
	shown := p.list
	if !m.holds(c, p.kind, p.kind+" "+permission, p.above) {
		one := permission
		if permission == "read" && (p.kind == "bucket" || p.kind == "collection") {
			one = "attributes" // a list shows of an object what its own address does
		}
		shown = m.partly(c, p.kind, one, p.list)
		if len(shown) == 0 && !m.holds(c, p.kind, p.kind+" create", p.above) {
			return refused
		}
	}
	if p.lost {
		return verdict{status: http.StatusNotFound}
	}
	return verdict{http.StatusOK, true, picked(shown, method, p.pick)}
}

func picked(shown []*thing, method string, pick []string) []string {
	ids := []string{}
	for _, o := range shown {
		if method != http.MethodDelete || pick == nil || slices.Contains(pick, o.id) {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// judgeAccount is §8, accounts: the list of accounts is one's own, or all for whom the
// settings name and for the owner of the server; an app of somebody reaches none.
func (m *matrix) judgeAccount(c *caller, p *spot, act string, refused verdict) verdict {
	method := methodOf(act)
	manages := func(permission string) bool { return m.holds(c, "account", "account "+permission, nil) }
	if p.form == "list" && method != http.MethodPost {
		permission := "read"
		if method == http.MethodDelete {
			permission = "write"
		}
		switch {
		case c.account == "" || c.app:
			return refused
		case manages(permission):
			return verdict{http.StatusOK, true, picked(p.list, method, p.pick)}
		}
		own := slices.DeleteFunc(slices.Clone(p.list), func(o *thing) bool { return o.id != c.account })
		return verdict{http.StatusOK, true, picked(own, method, p.pick)}
	}
	self := p.self
	if act == postOfThere {
		self = p.existing()
	}
	on := p.with(self)
	switch {
	case self == nil && (method == http.MethodPost || method == http.MethodPut):
		if !manages("create") {
			return refused
		}
		if !manages("write") {
			return verdict{status: http.StatusBadRequest} // the name is not the caller's
		}
		return verdict{status: http.StatusCreated}
	case act == putIfNone:
		if !manages("create") {
			return refused
		}
		return verdict{status: http.StatusPreconditionFailed}
	case method == http.MethodGet || method == http.MethodHead || method == http.MethodPost:
		if !m.holds(c, "account", "account read", on) {
			return refused
		}
	case !m.holds(c, "account", "account write", on):
		return refused
	}
	if self == nil {
		return verdict{status: http.StatusNotFound}
	}
	return verdict{status: http.StatusOK}
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
