package postgres

import (
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// facts are what a transaction keeps beside objects: whose buckets are, and what they use;
// settings of the data, and notes.
type facts struct{ *jobView }

// Usage implements kinto.Reader. Those who ask wait for each other, so that two who
// would add something do not both find the same room; who adds without asking, or
// makes less of it, does not wait.
func (t facts) Usage(owner string) (kinto.Usage, error) {
	if err := t.b.lock(t.j, lockOf(lockOwner, owner)); err != nil {
		return kinto.Usage{}, err
	}
	u, ok := t.b.usage[owner]
	if !ok {
		var err error
		if u, err = t.view.Usage(owner); err != nil {
			return kinto.Usage{}, err
		}
		t.b.usage[owner] = u
	}
	for l := range t.b.pages.changed {
		bucket := bucketOf(l)
		if bucket == "" {
			continue
		}
		if who, err := t.Owner(bucket); err != nil {
			return kinto.Usage{}, err
		} else if who != owner {
			continue
		}
		p := t.b.pages.all[l]
		if l.Kind == kinto.Record {
			u.Records += int(p.live - p.sent.live)
		}
		u.Bytes += p.bytes - p.sent.bytes
		u.FileBytes += p.files - p.sent.files
	}
	return u, nil
}

// bucketOf is the URI of the bucket that a list is below.
func bucketOf(l kinto.List) string {
	const root = "/buckets/"
	rest, ok := strings.CutPrefix(l.Parent, root)
	if !ok || l.Kind == kinto.Account {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return root + id
}

// Owner implements kinto.Reader.
func (t facts) Owner(bucket string) (string, error) {
	if t.b.err != nil {
		return "", fail(t.b.err)
	}
	if who, ok := t.b.owners[bucket]; ok {
		return who, nil
	}
	who, err := t.view.Owner(bucket)
	if err == nil {
		t.b.owners[bucket] = who
	}
	return who, err
}

// SetOwner implements kinto.Tx.
func (t facts) SetOwner(bucket, owner string) error {
	if err := t.b.seclude(t.j); err != nil {
		return err
	}
	o, err := t.Get(kinto.List{Kind: kinto.Bucket}, strings.TrimPrefix(bucket, "/buckets/"))
	if err != nil {
		return err
	}
	bytes := int64(0)
	if o != nil {
		bytes = kinto.Weight(kinto.Bucket, o)
	}
	name, args := "owner_set", []any{bucket, []byte(owner), bytes}
	if owner == "" {
		name, args = "owner_forget", args[:1]
	}
	if err := t.b.write(name, args...); err != nil {
		return err
	}
	clear(t.b.owners)
	clear(t.b.usage)
	return nil
}

// Meta implements kinto.Reader.
func (t facts) Meta(name string) ([]byte, error) {
	if t.b.err != nil {
		return nil, fail(t.b.err)
	}
	if v, ok := t.b.meta.all[name]; ok {
		return v, nil
	}
	return t.view.Meta(name)
}

// SetMeta implements kinto.Tx.
func (t facts) SetMeta(name string, value []byte) error {
	if err := t.b.seclude(t.j); err != nil {
		return err
	}
	set(t.b, &t.b.meta, name, slices.Clone(value))
	return nil
}

// Note implements kinto.Reader.
func (t facts) Note(key string) ([]byte, error) {
	if err := t.b.lock(t.j, lockOf(lockNote, key)); err != nil {
		return nil, err
	}
	if n, ok := t.b.notes.all[key]; ok {
		if n.until <= time.Now().UnixMilli() {
			return nil, nil
		}
		return slices.Clone(n.value), nil
	}
	return t.view.Note(key)
}

// SetNote implements kinto.Tx.
func (t facts) SetNote(key string, value []byte, until time.Time) error {
	if err := t.b.lock(t.j, lockOf(lockNote, key)); err != nil {
		return err
	}
	set(t.b, &t.b.notes, key, note{slices.Clone(value), until.UnixMilli()})
	return nil
}
