package people

import (
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

// TestAnotherPasswordEndsSessions, by whatever door it was given: what a cookie is worth is
// bound to the password it was opened with.
func TestAnotherPasswordEndsSessions(t *testing.T) {
	t.Attr("shows", "ground2")
	h := newHouse(t, nil)
	if err := h.claim(t.Context(), h.offer(), "jeannine", "correct horse"); err != nil {
		t.Fatal(err)
	}
	cookie, err := h.SignIn(t.Context(), "jeannine", "correct horse", From{Address: here}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	proved := func() (name string) {
		t.Helper()
		err := h.db.Read(t.Context(), func(tx kinto.Reader) (err error) {
			name, _, _, err = Proof(tx, cookie)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	if h.who(cookie) != "jeannine" || proved() != "jeannine" {
		t.Fatalf("who is signed in is %q, and proved %q", h.who(cookie), proved())
	}
	err = h.change(t.Context(), "jeannine", func(tx kinto.Tx, _ *person, _ string) error { // as the API does
		return putAccount(tx, "jeannine", h.quick("another horse"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.who(cookie) != "" || proved() != "" {
		t.Errorf("with another password %q is signed in, and proved %q", h.who(cookie), proved())
	}
}
