//go:build unix

package api

import (
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

// An owner of this server may bring people's buckets here.
func TestOwnersBringDataOfOthers(t *testing.T) {
	t.Attr("shows", "mend3")
	settings := map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone"}
	onBothStores(t, settings, func(s *server, db kinto.Store) {
		makeOwner(t, s, db)
		s.must(201, "", "PUT "+accounts+"/alice", `{"data":{"password":"pass"}}`)
		export(s, "jeannine", bucketOfAlice, "account:alice")
		found(s, "alice", bucketOfAlice)
	})
}

// Whoever knows a person's name knows what the reference calls their default bucket. A
// bucket that somebody else makes by that id is not taken for theirs, neither before nor
// after they have one.
func TestADefaultBucketIsNotSomebodyElses(t *testing.T) {
	t.Attr("shows", "mend3")
	onBothStores(t, withAccounts, func(s *server, _ kinto.Store) {
		for _, name := range []string{"alice", "eve"} {
			s.must(201, "", "PUT "+accounts+"/"+name, `{"data":{"password":"pass"}}`)
		}
		s.must(201, "eve", "PUT /v1/buckets/"+bucketOfAlice, `{"permissions":{"write":["account:alice","system.Everyone"]}}`)
		s.must(201, "alice", "PUT "+notesByDefault+"/a", `{"data":{"x":1}}`)
		own := bucketIn(s, "alice")
		if own == bucketOfAlice {
			t.Fatal("alice writes to what eve made")
		}
		s.must(403, "eve", "GET /v1/buckets/"+own+"/collections/notes/records", "")
		// It stays hers when the other one goes.
		s.must(200, "eve", "DELETE /v1/buckets/"+bucketOfAlice, "")
		s.must(200, "alice", "GET "+notesByDefault+"/a", "")
		s.must(201, "", "PUT "+accounts+"/bob", `{"data":{"password":"pass"}}`)
		s.must(201, "bob", "PUT "+notesByDefault+"/b", "")
		s.must(403, "eve", "PUT /v1/buckets/"+bucketOfBob, "")
		if got := bucketIn(s, "bob"); got != bucketOfBob {
			t.Errorf("bob's bucket is %s", got)
		}
	})
}

// Buckets that were named by the secret of user ids, as Foyer did before, are still found.
func TestDefaultBucketsOfBeforeAreFound(t *testing.T) {
	t.Attr("shows", "mend3")
	settings := map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone", "userid_hmac_secret": "s"}
	onBothStores(t, settings, func(s *server, _ kinto.Store) {
		s.must(201, "", "PUT "+accounts+"/alice", `{"data":{"password":"pass"}}`)
		s.must(201, "alice", "PUT /v1/buckets/"+keyedOfAlice, "")
		s.must(201, "alice", "PUT /v1/buckets/"+keyedOfAlice+"/collections/notes", "")
		s.must(201, "alice", "PUT /v1/buckets/"+keyedOfAlice+"/collections/notes/records/a", "")
		if got := bucketIn(s, "alice"); got != keyedOfAlice {
			t.Errorf("hello says %s", got)
		}
		s.must(200, "alice", "GET "+notesByDefault+"/a", "")
	})
}
