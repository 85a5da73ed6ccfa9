package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/server/kinto"
)

// A state opens for the browser that began, on the server that sealed it, in time, until
// it was used.
func TestStates(t *testing.T) {
	h, other := newHouse(t, nil), newHouse(t, nil)
	seal := func(until time.Duration) (state, string) {
		s := state{"google", "https://app.example/#é", time.Now().Add(until).UTC().Truncate(time.Second)}
		text, err := h.sealState(t.Context(), s, "cookie")
		if err != nil {
			t.Fatal(err)
		}
		return s, text
	}
	want, text := seal(time.Hour)
	got, err := h.openState(t.Context(), text, "cookie")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	_, over := seal(-time.Second)
	_, used := seal(time.Hour)
	err = h.db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		return tx.SetNote(stateKey(used), []byte("1"), time.Now().Add(time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		at            *house
		text, browser string
	}{
		{"another browser", h, text, "another"},
		{"no browser", h, text, ""},
		{"another server", other, text, "cookie"},
		{"too late", h, over, "cookie"},
		{"used", h, used, "cookie"},
		{"cut", h, text[:20], "cookie"},
		{"changed", h, string(text[0]^1) + text[1:], "cookie"},
		{"nothing", h, "", "cookie"},
		{"no text", h, "é", "cookie"},
	} {
		if s, err := c.at.openState(t.Context(), c.text, c.browser); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v, %v", c.name, s, err)
		}
	}
}
