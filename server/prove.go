package server

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/people"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/postgres"
)

// Prove says which owner's session a cookie of the pages is, and when they signed in. It
// reads the data of a server with these settings itself, beside whatever serves them, and
// changes nothing: who decides what a page may do on the machine does not take the server's
// word. The error is a *hint.Error with code signin-again where the cookie is nobody's, and
// owners-only where it is somebody else's.
func Prove(ctx context.Context, set *config.Settings, cookie string, log *slog.Logger) (owner string, signedIn time.Time, err error) {
	var name string
	var owns bool
	look := func(tx kinto.Reader) (err error) {
		name, owns, signedIn, err = people.Proof(tx, cookie)
		return err
	}
	if address := set.PostgreSQL(); address != "" {
		db, err := postgres.Open(ctx, address, log)
		if err != nil {
			return "", time.Time{}, unreachable(err)
		}
		defer db.Close() //nolint:errcheck // it was only read
		err = db.Read(ctx, look)
		if err != nil {
			return "", time.Time{}, err
		}
	} else if err := storage.Peek(ctx, filepath.Join(set.Data, "data.db"), look); err != nil {
		return "", time.Time{}, err
	}
	switch {
	case name == "":
		return "", time.Time{}, hint.New("signin-again", hint.T("You are not signed in any more.", "Vous n'êtes plus connecté."), hint.T("Nothing was begun.", "Rien n'a été commencé."),
			hint.T("Sign in, then ask again.", "Connectez-vous, puis redemandez."))
	case !owns:
		return "", time.Time{}, hint.New("owners-only", hint.T("This is for owners of this server.", "Ceci est pour les propriétaires de ce serveur."), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.Text{})
	}
	return name, signedIn, nil
}
