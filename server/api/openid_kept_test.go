package api

import (
	"context"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// noting counts the notes that are kept.
type noting struct {
	kinto.Store
	notes *int
}

type notingTx struct {
	kinto.Tx
	notes *int
}

func (s noting) Write(ctx context.Context, about []kinto.List, fn func(kinto.Tx) error) error {
	return s.Store.Write(ctx, about, func(tx kinto.Tx) error { return fn(notingTx{tx, s.notes}) })
}

func (tx notingTx) SetNote(key string, value []byte, until time.Time) error {
	*tx.notes++
	return tx.Tx.SetNote(key, value, until)
}

// Anybody may begin to sign in at a provider: nothing is kept for it until they are back
// with a token.
func TestNothingIsKeptForSignInsThatBegin(t *testing.T) {
	t.Attr("shows", "mend2")
	p := newIdentity(t)
	db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	notes := 0
	s := &server{t, houseOn(t, noting{db, &notes}, p.settings(nil))}
	const callback = "https://app.example/"
	var q url.Values
	var cookie string
	for range 10 {
		q, cookie = login(t, s, "google", callback+strings.Repeat("a", 1900))
	}
	for _, state := range []string{"x", q.Get("state") + "A", "A" + q.Get("state"), q.Get("state")[:20], ""} {
		s.must(400, "", "GET /v1/openid/google/token?code=the-code&state="+state, "", cookie)
	}
	s.must(400, "", "GET /v1/openid/google/token?code=the-code&state="+q.Get("state"), "")
	s.must(400, "", "GET /v1/openid/google/login?scope=openid&callback="+callback+strings.Repeat("a", 2000), "")
	if notes != 0 {
		t.Errorf("%d notes are kept for strangers", notes)
	}
	if state := q.Get("state"); len(state) > 4000 || strings.Contains(state, "app.example") {
		t.Errorf("a state of %d characters: %s", len(state), state)
	}
	// What one server began, another with the same database ends: once.
	again := &server{t, houseOn(t, noting{db, &notes}, p.settings(nil))}
	r := again.must(307, "", "GET /v1/openid/google/token?code=the-code&state="+q.Get("state"), "", cookie)
	if !strings.HasPrefix(r.header.Get("Location"), callback) || notes == 0 {
		t.Errorf("%v, %d notes", r.header, notes)
	}
	s.must(400, "", "GET /v1/openid/google/token?code=the-code&state="+q.Get("state"), "", cookie)
}
