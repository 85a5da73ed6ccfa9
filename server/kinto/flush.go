package kinto

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Flush forgets everything but the account of the server's owner: objects,
// tombstones, timestamps and permissions (protocol §8, flush).
func (s *Service) Flush(ctx context.Context) error {
	if s.readonly {
		return ErrReadOnly
	}
	return s.store.Write(ctx, nil, func(tx Tx) error {
		if err := errors.Join(tx.Purge(""), GiveUp(tx, "")); err != nil {
			return err
		}
		lists, err := tx.Lists(Account)
		if err != nil {
			return err
		}
		for _, l := range lists {
			o, err := tx.Get(l, l.Parent)
			if err != nil {
				return err
			}
			if o == nil {
				continue
			}
			switch err := s.accounts.ForgetAccount(tx, o.ID); {
			case errors.Is(err, ErrOwner):
				continue
			case err != nil:
				return err
			}
			if _, err := bury(tx, l, o, -1); err != nil {
				return err
			}
		}
		return nil
	})
}

// Counters counts live objects and tombstones of each kind there is any of.
func (s *Service) Counters(ctx context.Context) (objects, tombstones map[Kind]int, err error) {
	err = s.store.Read(ctx, func(tx Reader) error {
		objects, tombstones, err = tx.Totals()
		return err
	})
	return objects, tombstones, err
}

// userData bounds how many objects one transaction of ForgetUser changes.
const userData = 1000

// ForgetUser deletes every object of which the principal is the only writer, and
// takes it out of the permissions of all others (protocol §8, user data). Who may:
// those whom the setting user-data_delete_principals names. It is done in steps, so
// that others can write meanwhile; when it fails, it can be done again.
func (s *Service) ForgetUser(ctx context.Context, who Caller, principal string) error {
	if !slices.ContainsFunc(s.settings.List("user-data_delete_principals"), who.is) {
		return ErrForbidden
	}
	return s.Forget(ctx, who, principal)
}

// Forget is ForgetUser for those who may do so by another right.
func (s *Service) Forget(ctx context.Context, who Caller, principal string) error {
	if s.readonly {
		return ErrReadOnly
	}
	name := principal
	for more := true; more; {
		err := s.store.Write(ctx, nil, func(tx Tx) error {
			principal, err := refer(tx, name)
			if err != nil {
				return err
			}
			grants, err := tx.Grants([]string{principal})
			if err != nil {
				return err
			}
			// From the first address on: what is above takes what is below along.
			slices.Reverse(grants)
			more = len(grants) > userData
			gone := "\x00"
			for _, g := range grants[:min(len(grants), userData)] {
				uri := g.List.URI(g.ID)
				if strings.HasPrefix(uri, gone+"/") {
					continue
				}
				deleted, err := s.writer().forget(tx, who, g, principal)
				if err != nil {
					return err
				}
				if deleted {
					gone = uri
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget deletes an object, or takes a principal out of its permissions.
func (s writer) forget(tx Tx, who Caller, g Granted, principal string) (deleted bool, err error) {
	old, err := tx.Get(g.List, g.ID)
	if err != nil || old == nil {
		return false, err
	}
	story, err := s.chronicle(tx, who, g.List)
	if err != nil {
		return false, err
	}
	held, err := DecodePermissions(old.Permissions)
	if err != nil {
		return false, err
	}
	if slices.Equal(held["write"], []string{principal}) {
		if g.List.Kind == Account {
			switch err := s.accounts.RemoveAccount(tx, who, g.ID); {
			case errors.Is(err, ErrOwner):
				return false, nil
			case err != nil:
				return false, err
			}
		}
		o, err := bury(tx, g.List, old, -1)
		if err == nil {
			err = story.add(o, old)
		}
		return true, err
	}
	for name := range held {
		held[name] = slices.DeleteFunc(held[name], func(p string) bool { return p == principal })
	}
	// The object is as it was, for those who are left: its timestamp stays.
	o := &Object{ID: old.ID, Timestamp: old.Timestamp, Data: old.Data, Permissions: held.encodeFor(old)}
	return false, tx.Put(g.List, o, old)
}
