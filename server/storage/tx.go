package storage

import (
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// tx is a view that writes.
type tx struct {
	view
	swept bool // there are dead lists to sweep
}

var _ kinto.Tx = (*tx)(nil)

// add makes a list with a timestamp.
func (t *tx) add(l kinto.List, ts int64) (int64, error) {
	t.own = true
	s := t.c.do("list_add").text(1, l.Parent).text(2, string(l.Kind)).int(3, ts)
	if _, err := s.one(); err != nil {
		return 0, err
	}
	pk := s.number(0)
	s.reset()
	return pk, nil
}

// Tick implements kinto.Tx. The one writer is all the lock there need be.
func (t *tx) Tick(l kinto.List, want int64) (int64, error) {
	now := time.Now().UnixMilli()
	pk, err := t.list(l)
	if err != nil {
		return 0, err
	}
	if pk == 0 {
		if want < 0 {
			want = now
		}
		_, err := t.add(l, max(now, want))
		return want, err
	}
	if want >= 0 {
		s := t.c.do("list_ts").int(1, pk)
		if _, err := s.one(); err != nil {
			return 0, err
		}
		ts := s.number(0)
		s.reset()
		switch {
		case want > ts:
			return want, t.c.do("list_set").int(1, pk).int(2, want).run()
		case want < ts:
			return want, nil
		}
	}
	s := t.c.do("list_tick").int(1, pk).int(2, now)
	if _, err := s.one(); err != nil {
		return 0, err
	}
	ts := s.number(0)
	s.reset()
	return ts, nil
}

// Touch implements kinto.Tx.
func (t *tx) Touch(l kinto.List) (int64, error) {
	pk, ts, err := t.row(l)
	if pk == 0 && err == nil {
		ts = time.Now().UnixMilli()
		_, err = t.add(l, ts)
	}
	return ts, err
}

// Put implements kinto.Tx.
func (t *tx) Put(l kinto.List, o, old *kinto.Object) error {
	pk, err := t.list(l)
	if err != nil {
		return err
	}
	if l.Kind.Structural() {
		t.own = true
	}
	deleted, data, permissions := int64(0), o.Data, o.Permissions
	if o.Deleted {
		deleted, data, permissions = 1, nil, nil
	}
	err = t.c.do("put").int(1, pk).text(2, o.ID).int(3, o.Timestamp).int(4, deleted).bytes(5, data).bytes(6, permissions).run()
	if err != nil {
		return err
	}
	if l.Kind == kinto.Group {
		if err := t.members(pk, o); err != nil {
			return err
		}
	}
	if old != nil && string(old.Permissions) == string(permissions) {
		return nil
	}
	if old != nil {
		if err := t.each("revoke", pk, o.ID, old.Permissions); err != nil {
			return err
		}
	}
	return t.each("grant", pk, o.ID, permissions)
}

// members keeps who is in a group.
func (t *tx) members(pk int64, o *kinto.Object) error {
	if err := t.c.do("leave").int(1, pk).text(2, o.ID).run(); err != nil {
		return err
	}
	for _, m := range kinto.Members(o) {
		if err := t.c.do("join").text(1, m).int(2, pk).text(3, o.ID).run(); err != nil {
			return err
		}
	}
	return nil
}

// each runs grant or revoke for every permission in raw.
func (t *tx) each(name string, pk int64, id string, raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	permissions, err := kinto.DecodePermissions(raw)
	if err != nil {
		return err
	}
	for permission, principals := range permissions {
		for _, p := range principals {
			if err := t.c.do(name).text(1, p).int(2, pk).text(3, id).text(4, permission).run(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Purge implements kinto.Tx: the lists are cut off at once and swept bit by bit
// later, so that a large one holds nobody up.
func (t *tx) Purge(uri string) error {
	t.own, t.swept = true, true
	return t.c.do("purge").text(1, uri).run()
}

// SetMeta implements kinto.Tx.
func (t *tx) SetMeta(name string, value []byte) error {
	if value == nil {
		return t.c.do("meta_forget").text(1, name).run()
	}
	return t.c.do("meta_set").text(1, name).blob(2, value).run()
}
