package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// An app signs in to the Kinto API with the name of its person and a password of
// its own, which can be taken back without touching anything else. It opens no
// page, and no account: a stolen one cannot make itself more.

type apps struct{ *core }

// appPrefix tells the passwords of apps from those people choose, so that they are
// looked for only where they can be.
const (
	appPrefix = "app-"
	appUsed   = time.Hour // how exactly it is known when one was used
	appsMost  = 50
	labelMost = 60
)

// app is the password of one app.
type app struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Hash []byte    `json:"hash"` // digest
	Made time.Time `json:"made"`
	Used time.Time `json:"used,omitzero"`
}

func (p *person) app(password string) *app {
	want := digest(password)
	for i := range p.Apps {
		if subtle.ConstantTimeCompare(p.Apps[i].Hash, want) == 1 {
			return &p.Apps[i]
		}
	}
	return nil
}

// NewApp makes a password for an app of somebody. It is told once.
func (a apps) NewApp(ctx context.Context, name, label string) (password string, err error) {
	if label = short(label, labelMost); label == "" {
		return "", labelMissing()
	}
	text := strings.ToLower(rand.Text()[:25]) // 125 bits
	password = appPrefix + text[:5] + "-" + text[5:10] + "-" + text[10:15] + "-" + text[15:20] + "-" + text[20:]
	err = a.change(ctx, name, func(tx kinto.Tx, p *person, _ string) error {
		if len(p.Apps) >= appsMost {
			return tooMany()
		}
		p.Apps = append(p.Apps, app{ID: newID(), Name: label, Hash: digest(password), Made: time.Now().UTC().Truncate(time.Second)})
		return tell(tx, Event{Who: name, What: AppAdded, Note: label})
	})
	return password, err
}

// RevokeApp ends the password of an app, at once.
func (a apps) RevokeApp(ctx context.Context, name, id string) error {
	return a.change(ctx, name, func(tx kinto.Tx, p *person, _ string) error {
		i := byID(p.Apps, id, func(x *app) string { return x.ID })
		if i < 0 {
			return thingGone()
		}
		label := p.Apps[i].Name
		p.Apps = slices.Delete(p.Apps, i, i+1)
		return tell(tx, Event{Who: name, What: AppRevoked, Note: label})
	})
}

// ByApp reports whether password is that of an app of somebody. It is made of small
// letters, digits and hyphens, so that however it is typed (a telephone begins with a
// capital letter) only one can be meant.
func (a apps) ByApp(ctx context.Context, name, password string) (ok bool, err error) {
	password = strings.ToLower(strings.Join(strings.Fields(password), ""))
	if !strings.HasPrefix(password, appPrefix) {
		return false, nil
	}
	stale := false
	err = a.store.Read(ctx, func(tx kinto.Reader) error {
		ok, stale = false, false
		p, _, err := find(tx, name)
		if err != nil || p == nil {
			return err
		}
		if x := p.app(password); x != nil {
			ok, stale = true, time.Since(x.Used) > appUsed
		}
		return nil
	})
	if err != nil || !ok || !stale {
		return ok, err
	}
	err = a.change(ctx, name, func(_ kinto.Tx, p *person, _ string) error {
		if x := p.app(password); x != nil {
			x.Used = time.Now().UTC().Truncate(time.Second)
		}
		return nil
	})
	// When it was used is a courtesy: a full disk does not keep apps from reading.
	if errors.Is(err, kinto.ErrFull) || errors.Is(err, kinto.ErrUnavailable) {
		err = nil
	}
	return err == nil, err
}

func labelMissing() *hint.Error {
	return hint.New("label-missing",
		hint.T("This needs a name.", "Il faut un nom."), hint.Text{},
		hint.T("Type a word by which you will know it again.", "Tapez un mot auquel vous le reconnaîtrez."))
}

func tooMany() *hint.Error {
	return hint.New("too-many",
		hint.T("There are too many of these already.", "Il y en a déjà trop."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Remove one that is no longer used.", "Retirez-en un qui ne sert plus."))
}
