package people

import (
	"bytes"
	"context"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

type members struct{ *core }

// Member is somebody who has an account, as the list of people shows them.
type Member struct {
	Name         string
	Owner, First bool // First: the one who claimed the server
	Joined, Seen time.Time
	Apps         int
}

// People lists who has an account, by name, after one and at most so many; more
// says that there are more.
func (ms members) People(ctx context.Context, after string, most int) (all []Member, more bool, err error) {
	err = ms.store.Read(ctx, func(tx kinto.Reader) error {
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
func (ms members) Member(ctx context.Context, name string) (m *Member, err error) {
	err = ms.store.Read(ctx, func(tx kinto.Reader) error {
		m, err = member(tx, name)
		return err
	})
	return m, err
}

// Remove takes somebody's account away, and with it their sessions, passkeys and
// apps. What they stored stays where it is; their name is kept for them, since
// whoever had it would find it. The one who claimed the server cannot be removed.
func (ms members) Remove(ctx context.Context, by *Person, name string) error {
	return ms.store.Write(ctx, []kinto.List{accounts(name)}, func(tx kinto.Tx) error {
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
		return removed(tx, name, by.Name)
	})
}

// Release frees the name of somebody who was removed, once what they stored is gone.
func (ms members) Release(ctx context.Context, name string) error {
	return ms.store.Write(ctx, nil, func(tx kinto.Tx) error { return freeName(tx, name) })
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
func (ms members) Account(ctx context.Context, name string) (acc *Account, err error) {
	err = ms.store.Read(ctx, func(tx kinto.Reader) error {
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
