//go:build unix

package api

import (
	"fmt"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

// What the reference calls the default buckets of these callers, without a setting for it:
// UUIDs of HMAC-SHA256 with an empty key, worked out by another program (protocol §8).
const (
	bucketOfAlice  = "73141b75-6d02-0c03-6aee-82ad1ea55d41" // account:alice
	bucketOfBob    = "320816bc-8da6-73b7-ade4-0ea30681953c" // account:bob
	bucketOfBasic  = "8d8bf98f-06c7-8bbc-2ab3-fd5588f320b9" // alice:pass by basicauth, with "s" as userid_hmac_secret
	basicOfAlice   = "basicauth:06c2c92fc1d0aa23746a913d969fcf40a3e689662e51398546deebaf74864ab0"
	keyedOfAlice   = "537200e8-eb91-8673-55d9-aa29509750f5" // account:alice, by the key "s"
	keyedOfBasic   = "164afcc5-8ea3-89f0-a8e2-56d4366e497a" // the basicauth one, by the key "b"
	notesByDefault = "/v1/buckets/default/collections/notes/records"
)

// bucketIn is what hello says a user's default bucket is called.
func bucketIn(s *server, user string) string {
	s.t.Helper()
	return s.must(200, user, "GET /v1/", "").body["user"].(map[string]any)["bucket"].(string)
}

// export puts somebody's bucket here as it was elsewhere.
func export(s *server, by, bucket, whose string) {
	s.t.Helper()
	s.must(201, by, "PUT /v1/buckets/"+bucket, `{"permissions":{"write":["`+whose+`"]}}`)
	s.must(201, by, "PUT /v1/buckets/"+bucket+"/collections/notes", `{"permissions":{"write":["`+whose+`"]}}`)
	s.must(201, by, "PUT /v1/buckets/"+bucket+"/collections/notes/records/old", `{"data":{"text":"from elsewhere","last_modified":1400000000000}}`)
}

// found wants what was exported where a user looks for it.
func found(s *server, user, bucket string) {
	s.t.Helper()
	if r := s.must(200, user, "GET "+notesByDefault+"/old", ""); r.data()["last_modified"] != 1400000000000.0 {
		s.t.Error(r.text)
	}
	s.must(201, user, "PUT "+notesByDefault+"/new", `{"data":{}}`)
	if got := bucketIn(s, user); got != bucket {
		s.t.Errorf("%s's bucket is %s, want %s", user, got, bucket)
	}
}

// Default buckets are called what the reference calls them.
func TestDefaultBucketsHaveTheReferencesIDs(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, c := range []struct {
		settings map[string]string
		want     string
	}{
		{map[string]string{"multiauth.policies": "account"}, bucketOfAlice},
		{map[string]string{"multiauth.policies": "account", "userid_hmac_secret": "s"}, bucketOfAlice},
		{map[string]string{"multiauth.policies": "account", "userid_hmac_secret": "s", "default_bucket_hmac_secret": ""}, bucketOfAlice},
		{map[string]string{"multiauth.policies": "account", "default_bucket_hmac_secret": "s"}, keyedOfAlice},
		{map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "s"}, bucketOfBasic},
		{map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "s", "default_bucket_hmac_secret": "b"}, keyedOfBasic},
	} {
		t.Run(fmt.Sprint(c.settings), func(t *testing.T) {
			c.settings["account_create_principals"] = "system.Everyone"
			onBothStores(t, c.settings, func(s *server, _ kinto.Store) {
				if c.settings["multiauth.policies"] == "account" {
					s.must(201, "", "PUT "+accounts+"/alice", `{"data":{"password":"pass"}}`)
				}
				s.must(201, "alice", "PUT "+notesByDefault+"/a", `{"data":{"x":1}}`)
				if got := bucketIn(s, "alice"); got != c.want {
					t.Errorf("hello says %s, want %s", got, c.want)
				}
				s.must(200, "alice", "GET /v1/buckets/"+c.want+"/collections/notes/records/a", "")
			})
		})
	}
}

// What a reference server exports is found by its people once its administrator has put
// it here: buckets by their ids, with the permissions they had.
func TestPeopleWhoMoveFindTheirData(t *testing.T) {
	t.Attr("shows", "mend3")
	t.Run("accounts", func(t *testing.T) {
		onBothStores(t, withAccounts, func(s *server, _ kinto.Store) {
			for _, name := range []string{"admin", "alice", "bob"} {
				s.must(201, "", "PUT "+accounts+"/"+name, `{"data":{"password":"pass"}}`)
			}
			export(s, "admin", bucketOfAlice, "account:alice")
			export(s, "admin", bucketOfBob, "account:bob")
			found(s, "alice", bucketOfAlice)
			found(s, "bob", bucketOfBob)
		})
	})
	t.Run("basicauth", func(t *testing.T) {
		onBothStores(t, map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "s"}, func(s *server, _ kinto.Store) {
			export(s, "administrator", bucketOfBasic, basicOfAlice)
			found(s, "alice", bucketOfBasic)
		})
	})
	t.Log("SHOW data of who moves here: three people's default buckets, by account and basicauth, are found on both stores")
}
