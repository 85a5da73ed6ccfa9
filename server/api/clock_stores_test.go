//go:build !windows

package api

import (
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

// What holds of timestamps holds on both stores.
func TestClocksOfBothStores(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings map[string]string
		begin    func(*server)
		fn       func(*server)
	}{
		{"taken back", withClocks, fill, takenBack},
		{"may choose", withClocks, fill, mayChoose},
		{"shared", withClocks, nil, sharedClock},
		{"accounts", withAccounts, enrol, accountClocks},
		{"made again", withClocks, nil, madeAgain},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBothStores(t, c.settings, func(s *server, _ kinto.Store) {
				if c.begin != nil {
					c.begin(s)
				}
				c.fn(s)
			})
		})
	}
}

func fill(s *server) {
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	s.must(201, "alice", "PUT "+collections+"/c", "")
	s.must(201, "alice", "PUT "+records+"/r", `{"data":{"n":1}}`)
}

func enrol(s *server) {
	for _, name := range []string{"alice", "bob", "admin"} {
		s.must(201, "", "PUT "+accounts+"/"+name, `{"data":{"password":"pass","age":3}}`)
	}
}
