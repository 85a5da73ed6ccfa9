package api

import (
	"net/http"
	"strings"

	"github.com/foyer-server/foyer/server/kinto"
)

// hashPassword hashes the password that a request gives an account, for callers who may
// make the request at all. bad is what is wrong with its body. A request to the list
// of accounts is for the account that its body names (§8, accounts).
func hashPassword(c *call, req *kinto.Request, bad *error) error {
	if req.Op == kinto.Create {
		if !req.Body.HasID && *bad == nil {
			*bad = kinto.Invalid("body", "data.id", "Required")
		}
		req.List.Parent = req.Body.ID
	}
	password, ok := req.Body.Password()
	if !ok || *bad != nil {
		return nil
	}
	if c.within != nil {
		// Hashing takes too long for a transaction; what was not hashed ahead is refused.
		hash, ok := c.within.hashes[password]
		if !ok {
			*bad = kinto.Invalid("body", "data.password", "A password cannot be set in this way; use a request of its own")
			return nil
		}
		req.SetPassword(hash)
		return nil
	}
	if c.kinto.Allowed(c.r.Context(), req) != nil {
		return nil // and is told so by whoever does the request
	}
	hash, err := c.kinto.HashPassword(c.r.Context(), password)
	if invalid, ok := err.(*kinto.InvalidError); ok {
		*bad = invalid
		return nil
	}
	if err == nil {
		req.SetPassword(hash)
	}
	return err
}

// hashAhead hashes the password that a request of a batch is going to give an
// account, before the transaction begins.
func hashAhead(c *call, body []byte) error {
	path := strings.TrimRight(strings.TrimPrefix(c.r.URL.Path, "/v1"), "/")
	p, ok := c.locate(path)
	op, carries := map[string]kinto.Op{http.MethodPut: kinto.Put, http.MethodPost: kinto.Create, http.MethodPatch: kinto.Patch}[c.r.Method]
	if !ok || !carries || p.list.Kind != kinto.Account {
		return nil
	}
	b, err := kinto.ParseBody(kinto.Account, body)
	password, ok := b.Password()
	if err != nil || !ok || c.within.hashes[password] != "" {
		return nil
	}
	who, err := c.who()
	if err != nil {
		return err
	}
	req := kinto.Request{Op: op, Who: who, List: p.list, ID: p.id, Body: b, Modified: -1}
	if op == kinto.Create {
		req.List.Parent = b.ID
	}
	if c.kinto.Allowed(c.r.Context(), &req) != nil {
		return nil
	}
	hash, err := c.kinto.HashPassword(c.r.Context(), password)
	if _, invalid := err.(*kinto.InvalidError); invalid {
		return nil
	}
	c.within.hashes[password] = hash
	return err
}
