package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/host"
)

// The supervisor's look through the public port is no visit: it is neither counted nor
// logged. Somebody else's is.
func TestTheLookOfThisMachineIsNoVisit(t *testing.T) {
	c := newCrowd(t, false, 64)
	before, _, err := c.Health()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		client, _ := c.visitor("127.0.0.1")
		get(t, client, http.MethodGet, c.URL+"/v1/__lbheartbeat__", "")
	}
	after, _, err := c.Health()
	if err != nil || after.Requests != before.Requests || after.Accepted[c.Addr(host.HTTPS)] < before.Accepted[c.Addr(host.HTTPS)]+3 || strings.Contains(c.Log(), "msg=request ") {
		t.Errorf("%+v, then %+v, %v\n%s", before, after, err, c.Log())
	}
	client, _ := c.visitor("127.0.0.2")
	get(t, client, http.MethodGet, c.URL+"/v1/__lbheartbeat__", "")
	if last, _, err := c.Health(); err != nil || last.Requests != before.Requests+1 {
		t.Errorf("%d requests, %v", last.Requests, err)
	}
}
