package kinto_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// Where things are in the tests of privileges: of each kind there are two, of which one is
// where the caller may hold something.
var (
	buckets     = kinto.List{Kind: kinto.Bucket}
	groups      = kinto.List{Parent: "/buckets/mine", Kind: kinto.Group}
	collections = kinto.List{Parent: "/buckets/mine", Kind: kinto.Collection}
	records     = kinto.List{Parent: "/buckets/mine/collections/mine", Kind: kinto.Record}
	entries     = kinto.List{Parent: "/buckets/mine", Kind: kinto.History}
)

// held are the columns of the table: what the caller holds, and nothing else.
var held = []struct {
	on         kinto.List
	permission string
}{
	{buckets, "write"},
	{buckets, "read"},
	{buckets, "collection:create"},
	{buckets, "group:create"},
	{collections, "write"},
	{collections, "read"},
	{collections, "record:create"},
	{groups, "write"},
	{groups, "read"},
	{records, "write"},
	{records, "read"},
	{entries, "write"},
	{entries, "read"},
}

// privileges is the protocol's table (§4.2, §4.3), written out: what is asked, and what
// comes of it for each of held. y: it may be done; s: with that
// one object alone; e: the list is shown, and nothing in it; -: it is forbidden.
var privileges = []struct {
	what string
	ask  kinto.Request
	//          bucket colle gr re hi
	//          wrcg   wrc   wr wr wr
	want string
}{
	{"GET a bucket", get(buckets, "mine"), "yyyy --- -- -- --"},
	{"GET another bucket", get(buckets, "other"), "---- --- -- -- --"},
	{"GET no bucket", get(buckets, "none"), "---- --- -- -- --"},
	{"GET buckets", get(buckets, ""), "ssss --- -- -- --"},
	{"PUT a bucket", put(buckets, "mine"), "y--- --- -- -- --"},
	{"PUT another bucket", put(buckets, "other"), "---- --- -- -- --"},
	{"PUT a new bucket", put(buckets, "none"), "---- --- -- -- --"}, // by settings only
	{"PATCH a bucket", patch(buckets, "mine"), "y--- --- -- -- --"},
	{"DELETE a bucket", remove(buckets, "mine"), "y--- --- -- -- --"},
	{"DELETE buckets", remove(buckets, ""), "y--- --- -- -- --"},

	{"GET a group", get(groups, "mine"), "yy-- --- yy -- --"},
	{"GET another group", get(groups, "other"), "yy-- --- -- -- --"},
	{"GET no group", get(groups, "none"), "yy-- --- -- -- --"},
	{"GET groups", get(groups, ""), "yy-e --- ss -- --"},
	{"PUT a group", put(groups, "mine"), "y--- --- y- -- --"},
	{"PUT a group unless it is there", unless(groups, "mine"), "y--y --- -- -- --"},
	{"PUT a new group", put(groups, "none"), "y--y --- -- -- --"},
	{"POST a group that is there", post(groups, "mine"), "yy-- --- yy -- --"},
	{"POST a new group", post(groups, "none"), "y--y --- -- -- --"},
	{"PATCH a group", patch(groups, "mine"), "y--- --- y- -- --"},
	{"PATCH no group", patch(groups, "none"), "yy-- --- -- -- --"},
	{"DELETE a group", remove(groups, "mine"), "y--- --- y- -- --"},
	{"DELETE no group", remove(groups, "none"), "yy-- --- -- -- --"},
	{"DELETE groups", remove(groups, ""), "y--e --- y- -- --"},

	{"GET a collection", get(collections, "mine"), "yy-- yyy -- -- --"},
	{"GET another collection", get(collections, "other"), "yy-- --- -- -- --"},
	{"GET no collection", get(collections, "none"), "yy-- --- -- -- --"},
	{"GET collections", get(collections, ""), "yye- sss -- -- --"},
	{"PUT a collection", put(collections, "mine"), "y--- y-- -- -- --"},
	{"PUT a collection unless it is there", unless(collections, "mine"), "y-y- --- -- -- --"},
	{"PUT a new collection", put(collections, "none"), "y-y- --- -- -- --"},
	{"POST a collection that is there", post(collections, "mine"), "yy-- yy- -- -- --"},
	{"POST a new collection", post(collections, "none"), "y-y- --- -- -- --"},
	{"PATCH a collection", patch(collections, "mine"), "y--- y-- -- -- --"},
	{"PATCH no collection", patch(collections, "none"), "yy-- --- -- -- --"},
	{"DELETE a collection", remove(collections, "mine"), "y--- y-- -- -- --"},
	{"DELETE no collection", remove(collections, "none"), "yy-- --- -- -- --"},
	{"DELETE collections", remove(collections, ""), "y-e- y-- -- -- --"},

	{"GET a record", get(records, "mine"), "yy-- yy- -- yy --"},
	{"GET another record", get(records, "other"), "yy-- yy- -- -- --"},
	{"GET no record", get(records, "none"), "yy-- yy- -- -- --"},
	{"GET records", get(records, ""), "yy-- yye -- ss --"},
	{"PUT a record", put(records, "mine"), "y--- y-- -- y- --"},
	{"PUT a record unless it is there", unless(records, "mine"), "y--- y-y -- -- --"},
	{"PUT a new record", put(records, "none"), "y--- y-y -- -- --"},
	{"POST a record that is there", post(records, "mine"), "yy-- yy- -- yy --"},
	{"POST a new record", post(records, "none"), "y--- y-y -- -- --"},
	{"PATCH a record", patch(records, "mine"), "y--- y-- -- y- --"},
	{"PATCH no record", patch(records, "none"), "yy-- yy- -- -- --"},
	{"DELETE a record", remove(records, "mine"), "y--- y-- -- y- --"},
	{"DELETE no record", remove(records, "none"), "yy-- yy- -- -- --"},
	{"DELETE records", remove(records, ""), "y--- y-e -- y- --"},

	{"GET an entry of history", get(entries, "mine"), "yy-- --- -- -- yy"},
	{"GET another entry of history", get(entries, "other"), "yy-- --- -- -- --"},
	{"GET history", get(entries, ""), "yy-- --- -- -- ss"},
	{"DELETE an entry of history", remove(entries, "mine"), "y--- --- -- -- y-"},
	{"DELETE history", remove(entries, ""), "y--- --- -- -- y-"},
}

func get(l kinto.List, id string) kinto.Request {
	return kinto.Request{Op: kinto.Get, List: l, ID: id, Query: kinto.Everything()}
}

// Whoever may write is told that the precondition does not hold: permissions come first, and
// nothing is changed.
func write(op kinto.Op, l kinto.List, id string) kinto.Request {
	return kinto.Request{Op: op, List: l, ID: id, Modified: -1, Cond: kinto.Cond{Match: kinto.Tag{Set: true, Timestamp: 7}}, Body: kinto.Body{Data: []byte(`{}`)}}
}

func put(l kinto.List, id string) kinto.Request   { return write(kinto.Put, l, id) }
func patch(l kinto.List, id string) kinto.Request { return write(kinto.Patch, l, id) }
func remove(l kinto.List, id string) kinto.Request {
	r := write(kinto.Delete, l, id)
	r.Query = kinto.Everything()
	return r
}

func post(l kinto.List, id string) kinto.Request {
	r := write(kinto.Create, l, "")
	r.Body.ID, r.Body.HasID = id, true
	return r
}

func unless(l kinto.List, id string) kinto.Request {
	r := write(kinto.Put, l, id)
	r.Cond = kinto.Cond{NoneMatch: kinto.Tag{Set: true, Any: true}}
	return r
}

// privileged is a store in which everything is there, and the caller's principal holds a
// permission on one object named mine; with an empty one nothing at all.
func privileged(t *testing.T, principal string, on kinto.List, permission string, settings map[string]string, more ...func(kinto.Tx) error) *kinto.Service {
	db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	err = db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for _, l := range []kinto.List{buckets, groups, collections, records, entries} {
			for _, id := range []string{"mine", "other"} {
				may := kinto.Permissions{"write": {"account:somebody"}}
				if l == on && id == "mine" {
					may[permission] = append(may[permission], principal)
				}
				ts, err := tx.Tick(l, -1)
				if err != nil {
					return err
				}
				if err := tx.Put(l, &kinto.Object{ID: id, Timestamp: ts, Data: []byte(`{}`), Permissions: may.Encode()}, nil); err != nil {
					return err
				}
			}
		}
		for _, f := range more {
			if err := f(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinto.New(db, config.NewKinto(settings), owners{})
}

// cameOf is what came of a request: a letter as in the table, or what went wrong.
func cameOf(s *kinto.Service, r kinto.Request, t *testing.T) string {
	a, err := s.Do(t.Context(), &r)
	var (
		modified *kinto.ModifiedError
		missing  *kinto.NotFoundError
	)
	switch {
	case errors.Is(err, kinto.ErrForbidden):
		return "-"
	case errors.As(err, &modified), errors.As(err, &missing) && !missing.Parent:
		return "y"
	case err != nil:
		return fmt.Sprintf("(%v)", err)
	case r.ID == "" && r.Op != kinto.Create:
		return map[int]string{0: "e", 1: "s", 2: "y"}[len(a.Objects)]
	}
	return "y"
}

// TestPrivileges asks for everything, holding one permission at a time, as oneself, as
// anybody who is known and as anybody at all; and by settings, which hold for all objects.
func TestPrivileges(t *testing.T) {
	t.Attr("shows", "ground2")
	anna := kinto.Caller{ID: "account:anna", Principals: []string{"account:anna", "/buckets/mine/groups/mine", kinto.Authenticated, kinto.Everyone}}
	asked := 0
	for _, principal := range []string{"account:anna", "/buckets/mine/groups/mine", kinto.Authenticated, kinto.Everyone, "account:ann", "account:anna#2", ""} {
		nobody := principal == "account:ann" || principal == "account:anna#2" || principal == ""
		for i, h := range held {
			s := privileged(t, principal, h.on, h.permission, map[string]string{"bucket_create_principals": ""})
			for _, p := range privileges {
				want := string(strings.ReplaceAll(p.want, " ", "")[i])
				if nobody {
					want = "-"
				}
				r := p.ask
				r.Who = anna
				if want == "e" { // done for real: it finds nothing to remove
					r.Cond = kinto.Cond{}
				}
				asked++
				if got := cameOf(s, r, t); got != want {
					t.Errorf("%s, where %q holds %s on a %s: %s, want %s", p.what, principal, h.permission, h.on.Kind, got, want)
				}
				if principal != kinto.Everyone && want != "-" { // of somebody else it is no business
					r.Who = kinto.Anonymous()
					if got := cameOf(s, r, t); got != "-" {
						t.Errorf("%s by nobody known, where %q holds %s on a %s: %s", p.what, principal, h.permission, h.on.Kind, got)
					}
				}
			}
		}
	}
	fmt.Printf("SHOW privileges: %d questions (what is asked × what is held × who holds it), %d kinds of questions, answered as the protocol's table says\n", asked, len(privileges))
}

// TestAccountsArePeoples: an account is its own, and the owner's of the server; never an app's.
func TestAccountsArePeoples(t *testing.T) {
	t.Attr("shows", "ground2")
	account := func(name string) kinto.List { return kinto.List{Parent: name, Kind: kinto.Account} }
	caller := func(name string, owner, app bool) kinto.Caller {
		return kinto.Caller{ID: "account:" + name, Principals: []string{"account:" + name, kinto.Authenticated, kinto.Everyone}, Owner: owner, App: app}
	}
	who := []kinto.Caller{caller("anna", false, false), caller("paul", false, false), caller("jeannine", true, false), caller("anna", false, true), caller("jeannine", true, true), kinto.Anonymous()}
	s := privileged(t, "", kinto.List{}, "", map[string]string{"includes": "kinto.plugins.accounts", "account_create_principals": ""}, func(tx kinto.Tx) error {
		for _, name := range []string{"anna", "paul"} {
			ts, err := tx.Tick(account(name), -1)
			if err != nil {
				return err
			}
			o := &kinto.Object{ID: name, Timestamp: ts, Data: []byte(`{"password":"$2a$10$x"}`), Permissions: kinto.Permissions{"write": {"account:" + name}}.Encode()}
			if err := tx.Put(account(name), o, nil); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []struct {
		what string
		ask  kinto.Request
		want string // anna, paul, the owner, anna's app, the owner's app, nobody known
	}{
		{"GET anna", get(account("anna"), "anna"), "y-y---"},
		{"PATCH anna", patch(account("anna"), "anna"), "y-y---"},
		{"PUT anna", put(account("anna"), "anna"), "y-y---"},
		{"DELETE anna", remove(account("anna"), "anna"), "y-y---"},
		{"GET paul", get(account("paul"), "paul"), "-yy---"},
		{"PATCH nobody", patch(account("none"), "none"), "--y---"},
	} {
		for i, w := range who {
			r := c.ask
			r.Who = w
			if got, want := cameOf(s, r, t), string(c.want[i]); got != want {
				t.Errorf("%s by %s (owner %v, app %v): %s, want %s", c.what, w.ID, w.Owner, w.App, got, want)
			}
		}
	}
}
