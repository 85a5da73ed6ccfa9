package auth

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// Member is somebody who has an account, as the list of people shows them.
type Member struct {
	Name         string
	Owner, First bool // First: the one who claimed the server
	Joined, Seen time.Time
	Apps         int
}

// People lists who has an account, by name, after one and at most so many; more
// says that there are more.
func (a *Auth) People(ctx context.Context, after string, most int) (all []Member, more bool, err error) {
	err = a.store.Read(ctx, func(tx kinto.Reader) error {
		all, more = nil, false
		lists, err := tx.Lists(kinto.Account)
		if err != nil {
			return err
		}
		for _, l := range lists {
			if l.Parent == "" || l.Parent <= after {
				continue
			}
			m, err := member(tx, l.Parent)
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			if len(all) == most {
				more = true
				break
			}
			all = append(all, *m)
		}
		return nil
	})
	return all, more, err
}

func member(tx kinto.Reader, name string) (*Member, error) {
	p, _, err := find(tx, name)
	if err != nil || p == nil {
		return nil, err
	}
	m := &Member{Name: name, Joined: p.Joined, Apps: len(p.Apps)}
	for _, s := range p.Sessions {
		if s.Seen.After(m.Seen) {
			m.Seen = s.Seen
		}
	}
	first, err := tx.Meta(metaOwner)
	m.First = first != nil && string(first) == name
	m.Owner = p.Owner || m.First
	return m, err
}

// Member is somebody who has an account; nil: nobody has this name.
func (a *Auth) Member(ctx context.Context, name string) (m *Member, err error) {
	err = a.store.Read(ctx, func(tx kinto.Reader) error {
		m, err = member(tx, name)
		return err
	})
	return m, err
}

// Remove takes somebody's account away, and with it their sessions, passkeys and
// apps. What they stored stays where it is; their name is kept for them, since
// whoever had it would find it. The one who claimed the server cannot be removed.
func (a *Auth) Remove(ctx context.Context, by *Person, name string) error {
	return a.store.Write(ctx, []kinto.List{accounts(name)}, func(tx kinto.Tx) error {
		m, err := member(tx, name)
		if err != nil {
			return err
		}
		switch {
		case m == nil:
			return personGone()
		case m.First:
			return firstStays()
		}
		if err := kinto.Bury(tx, accounts(name), name); err != nil {
			return err
		}
		all, err := invitations(tx)
		if err != nil {
			return err
		}
		if err := keepInvitations(tx, slices.DeleteFunc(all, func(i Invitation) bool { return i.Reset && i.For == name })); err != nil {
			return err
		}
		if err := tx.SetMeta(kinto.MetaReserved+name, []byte("1")); err != nil {
			return err
		}
		return tell(tx, Event{Who: name, What: Removed, By: by.Name})
	})
}

// Release frees the name of somebody who was removed, once what they stored is gone.
func (a *Auth) Release(ctx context.Context, name string) error {
	return a.store.Write(ctx, nil, func(tx kinto.Tx) error { return tx.SetMeta(kinto.MetaReserved+name, nil) })
}

// Account is what somebody's own pages show.
type Account struct {
	Member
	Password bool // they have one that somebody knows
	Sessions []Thing
	Apps     []Thing
	Passkeys []Thing
}

// Thing is one session, app or passkey.
type Thing struct {
	ID, Name   string
	Made, Used time.Time
}

// Account is that of a name; nil: there is none.
func (a *Auth) Account(ctx context.Context, name string) (acc *Account, err error) {
	err = a.store.Read(ctx, func(tx kinto.Reader) error {
		acc = nil
		p, hash, err := find(tx, name)
		if err != nil || p == nil {
			return err
		}
		m, err := member(tx, name)
		if err != nil {
			return err
		}
		acc = &Account{Member: *m, Password: !bytes.Equal(p.Unknown, digest(hash))}
		now := time.Now()
		for _, s := range p.Sessions {
			if !s.over(hash, now) {
				acc.Sessions = append(acc.Sessions, Thing{s.ID, s.Device, s.Made, s.Seen})
			}
		}
		for _, x := range p.Apps {
			acc.Apps = append(acc.Apps, Thing{x.ID, x.Name, x.Made, x.Used})
		}
		for _, k := range p.Passkeys {
			acc.Passkeys = append(acc.Passkeys, Thing{k.ID, k.Label, k.Made, k.Used})
		}
		return nil
	})
	return acc, err
}

func firstStays() *hint.Error {
	return hint.New("owner-stays",
		hint.T("This is whom the server belongs to: their account stays.", "C'est à cette personne que le serveur appartient : son compte reste."), hint.T("Nothing was changed.", "Rien n'a été changé."), hint.Text{})
}
