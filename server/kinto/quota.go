package kinto

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/config"
)

// Quotas bound what the buckets of one owner may hold together: whoever created a
// bucket owns it, and answers for what others put there. 0 is no bound. They are
// not of the Kinto protocol.
type Quotas struct {
	Records   int64
	Bytes     int64 // what objects and tombstones weigh (Weight)
	FileBytes int64 // of attachments
}

func quotasOf(k config.Kinto) Quotas {
	of := func(name string) int64 { return min(max(0, k.Int64("quotas.owner_max_"+name, 0)), 1<<60) } // twice that is a number still
	return Quotas{of("records"), of("bytes"), of("attachment_bytes")}
}

// QuotaError: the owner of a bucket has no room for what a request would add.
// Nothing was kept; what makes less of it goes on.
type QuotaError struct {
	What  string // records, bytes, attachment_bytes or uploaded_bytes
	Limit int64
	Used  int64         // before the request
	Wait  time.Duration // of uploaded_bytes: how long until there is room; 0: nobody knows
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the quota of %s is %d, of which %d are used", e.What, e.Limit, e.Used)
}

// bill is what one write costs the owner of a bucket. The nil bill is paid by nobody.
type bill struct {
	Quotas
	owner  string
	before Usage
}

// bill begins that of a write of who to an object of a list, in a bucket that is there,
// or to a bucket, which is there or is made.
func (s writer) bill(tx Reader, who Caller, l List, id string, isNew bool) (*bill, error) {
	b := &bill{Quotas: s.quotas}
	var err error
	switch {
	case s.quotas == (Quotas{}) || l.Kind == Account:
		return nil, nil
	case l.Kind == Bucket && isNew:
		b.owner = who.payer()
	case l.Kind == Bucket:
		b.owner, err = tx.Owner(l.URI(id))
	default:
		b.owner, err = tx.Owner(bucketOf(l))
	}
	if err != nil || b.owner == "" {
		return nil, err
	}
	b.before, err = tx.Usage(b.owner)
	return b, err
}

// payer is whose quota a bucket counts for that a caller makes: those of callers whom nobody
// knows count together.
func (c Caller) payer() string { return cmp.Or(c.Principal(), Everyone) }

// affords refuses, before anything is written, what surely does not fit: more is at most
// what is going to be there more. What is refused later costs others, who are written in
// the same transaction.
func (b *bill) affords(more Usage) error {
	if b == nil {
		return nil
	}
	return b.check(Usage{Records: b.before.Records + more.Records, Bytes: b.before.Bytes + more.Bytes, FileBytes: b.before.FileBytes + more.FileBytes})
}

// settle refuses what was written when the owner holds more than they may, and more than
// before: as the store counts it, with all that a write leaves elsewhere. A batch it is
// part of comes to nothing.
func (b *bill) settle(tx Tx) error {
	if b == nil {
		return nil
	}
	after, err := tx.Usage(b.owner)
	if err != nil {
		return err
	}
	return b.check(after)
}

func (b *bill) check(after Usage) error {
	for _, c := range []struct {
		what                 string
		limit, before, after int64
	}{
		{"records", b.Records, int64(b.before.Records), int64(after.Records)},
		{"bytes", b.Bytes, b.before.Bytes, after.Bytes},
		{"attachment_bytes", b.FileBytes, b.before.FileBytes, after.FileBytes},
	} {
		if c.limit > 0 && c.after > c.limit && c.after > c.before {
			return &QuotaError{What: c.what, Limit: c.limit, Used: c.before}
		}
	}
	return nil
}

// more is at most what there is more once o is kept over old, or anew.
func more(l List, o, old *Object, story *chronicle) Usage {
	u := Usage{}
	if old == nil {
		old = &Object{ID: o.ID, Deleted: true} // there may be one
		if l.Kind == Record {
			u.Records = 1
		}
	}
	u.Bytes = Weight(l.Kind, o) - Weight(l.Kind, old) + story.weighs(o)
	return u
}

// bucketOf is the URI of the bucket a list is in.
func bucketOf(l List) string {
	const root = "/buckets/"
	if id, _, more := strings.Cut(strings.TrimPrefix(l.Parent, root), "/"); more {
		return root + id
	}
	return l.Parent
}
