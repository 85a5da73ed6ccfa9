package people

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// Event is something that happened, for the page that tells what did.
type Event struct {
	N    uint64    `json:"n,omitempty"` // grows from one to the next
	At   time.Time `json:"at"`
	What What      `json:"what"`
	Who  string    `json:"who"`            // to whom it happened
	By   string    `json:"by,omitempty"`   // who did it, when it was somebody else
	Note string    `json:"note,omitempty"` // the name of an app, say
}

// What happened.
type What string

// What happens to people.
const (
	Claimed         What = "claimed"
	Invited         What = "invited" // Note: for whom
	Joined          What = "joined"
	Removed         What = "removed"
	SignedIn        What = "signed-in" // Note: the device
	PasswordChanged What = "password-changed"
	PasswordReset   What = "password-reset"
	ResetOffered    What = "reset-offered"
	AppAdded        What = "app-added" // Note: the app
	AppRevoked      What = "app-revoked"
	PasskeyAdded    What = "passkey-added"
	PasskeyRemoved  What = "passkey-removed"
)

const (
	metaLately = "auth.lately"
	latelyMost = 40
)

// tell keeps an event, and forgets the oldest.
func tell(tx kinto.Tx, e Event) error {
	e.At = time.Now().UTC().Truncate(time.Second)
	all, err := lately(tx)
	if err != nil {
		return err
	}
	e.N = 1
	if len(all) > 0 {
		e.N = all[0].N + 1
	}
	all = append([]Event{e}, all...)
	text, err := json.Marshal(all[:min(len(all), latelyMost)])
	if err != nil {
		return err
	}
	return tx.SetMeta(metaLately, text)
}

func lately(tx kinto.Reader) (all []Event, err error) {
	text, err := tx.Meta(metaLately)
	if err != nil || text == nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("cannot read what happened lately: %w", err)
	}
	return all, nil
}

// Happened lists what happened to everybody lately, newest first: for the memory of the
// whole machine, which keeps it longer.
func (c *core) Happened(ctx context.Context) (all []Event, err error) {
	err = c.store.Read(ctx, func(tx kinto.Reader) error {
		all, err = lately(tx)
		return err
	})
	return all, err
}

// Lately lists what happened, newest first: to everybody for an owner, and for
// others to themselves.
func (c *core) Lately(ctx context.Context, who *Person) (all []Event, err error) {
	all, err = c.Happened(ctx)
	if !who.Owner {
		all = slices.DeleteFunc(all, func(e Event) bool { return e.Who != who.Name })
	}
	return all, err
}

// Text is what happened, as a sentence.
func (e Event) Text() hint.Text {
	on := e.Note
	if on == "" {
		on = "?"
	}
	switch e.What {
	case Claimed:
		return hint.T("%s became the owner.", "%s est maintenant propriétaire.", e.Who)
	case Invited:
		return hint.T("%s made an invitation.", "%s a créé une invitation.", e.Who)
	case Joined:
		return hint.T("%s came in, invited by %s.", "%s est là, sur invitation de %s.", e.Who, e.By)
	case Removed:
		return hint.T("%s removed %s.", "%s a retiré %s.", e.By, e.Who)
	case SignedIn:
		return hint.T("%s signed in (%s).", "Connexion de %s (%s).", e.Who, on)
	case PasswordChanged:
		return hint.T("%s changed their password.", "%s a changé de mot de passe.", e.Who)
	case PasswordReset:
		return hint.T("%s chose a new way to sign in.", "%s a choisi une nouvelle façon de se connecter.", e.Who)
	case ResetOffered:
		return hint.T("%[2]s made a reset link for %[1]s.", "%[2]s a créé un lien de mot de passe pour %[1]s.", e.Who, e.By)
	case AppAdded:
		return hint.T("%s made a password for the app “%s”.", "%s a créé un mot de passe pour l'application « %s ».", e.Who, on)
	case AppRevoked:
		return hint.T("%s took back the password of the app “%s”.", "%s a retiré le mot de passe de l'application « %s ».", e.Who, on)
	case PasskeyAdded:
		return hint.T("%s made a passkey (%s).", "%s a créé une clé d'accès (%s).", e.Who, on)
	case PasskeyRemoved:
		return hint.T("%s removed a passkey (%s).", "%s a retiré une clé d'accès (%s).", e.Who, on)
	}
	return hint.T("Something happened to %s.", "Quelque chose est arrivé à %s.", e.Who)
}
