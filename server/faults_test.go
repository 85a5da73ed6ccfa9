//go:build !windows

package server

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/refusal"
)

// A fault of the program is told in the same words at the outer door as by api, and where
// to go with it.
func TestFaultsAreToldAlike(t *testing.T) {
	t.Attr("shows", "ground2")
	h := newHouse(t, "", nil, nil)
	w := httptest.NewRecorder()
	h.s.chain(func(http.ResponseWriter, *http.Request) { panic("a bug") }).ServeHTTP(w, httptest.NewRequest("GET", "/v1/", nil))
	if want := string(refusal.Bug.JSON(hint.EN)); w.Code != 500 || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
}
