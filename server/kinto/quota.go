package kinto

import (
	"fmt"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
)

// Quotas bound what the buckets of one owner may hold together: whoever created a
// bucket owns it, and answers for what others put there. 0 is no bound. They are
// not of the Kinto protocol.
type Quotas struct {
	Records   int64
	Bytes     int64 // of the attributes of objects
	FileBytes int64 // of attachments
}

func quotasOf(k config.Kinto) Quotas {
	return Quotas{k.Int64("quotas.owner_max_records", 0), k.Int64("quotas.owner_max_bytes", 0), k.Int64("quotas.owner_max_attachment_bytes", 0)}
}

// QuotaError: the owner of a bucket has no room for what a request would add.
// Nothing was kept; what makes less of it goes on.
type QuotaError struct {
	What  string // records, bytes or attachment_bytes
	Limit int64
	Used  int64 // before the request
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the quota of %s is %d, of which %d are used", e.What, e.Limit, e.Used)
}

// charge refuses what would make the owner of a list's bucket hold more records and bytes
// than they may. What makes less is never refused.
func (s *Service) charge(tx Tx, l List, more Usage) error {
	q := s.quotas
	if q == (Quotas{}) || l.Parent == "" || l.Kind == Account {
		return nil
	}
	if (q.Records == 0 || more.Records <= 0) && (q.Bytes == 0 || more.Bytes <= 0) {
		return nil
	}
	owner, err := tx.Owner(bucketOf(l))
	if err != nil || owner == "" {
		return err
	}
	used, err := tx.Usage(owner)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what              string
		limit, used, more int64
	}{
		{"records", q.Records, int64(used.Records), int64(more.Records)},
		{"bytes", q.Bytes, used.Bytes, more.Bytes},
	} {
		if c.limit > 0 && c.more > 0 && c.used+c.more > c.limit {
			return &QuotaError{c.what, c.limit, c.used}
		}
	}
	return nil
}

// bucketOf is the URI of the bucket a list is in.
func bucketOf(l List) string {
	const root = "/buckets/"
	if id, _, more := strings.Cut(strings.TrimPrefix(l.Parent, root), "/"); more {
		return root + id
	}
	return l.Parent
}

// chargeFor is charge for keeping o over old, or anew.
func (s *Service) chargeFor(tx Tx, l List, o, old *Object) error {
	if s.quotas == (Quotas{}) {
		return nil
	}
	more := Usage{Bytes: int64(len(o.Data))}
	if old != nil {
		more.Bytes -= int64(len(old.Data))
	} else if l.Kind == Record {
		more.Records = 1
	}
	return s.charge(tx, l, more)
}

// chargeFile does what gives a record of a list another attachment, and refuses it when
// the owner of the list's bucket holds more than they may afterwards, and more than
// before. What attachments take is what the store says: what a record says of its own can
// have come from a client.
func (s *Service) chargeFile(tx Tx, l List, attach func() error) error {
	if s.quotas.FileBytes == 0 {
		return attach()
	}
	owner, err := tx.Owner(bucketOf(l))
	if err != nil {
		return err
	}
	if owner == "" {
		return attach()
	}
	before, err := tx.Usage(owner)
	if err != nil {
		return err
	}
	if err := attach(); err != nil {
		return err
	}
	after, err := tx.Usage(owner)
	if err != nil {
		return err
	}
	if after.FileBytes > s.quotas.FileBytes && after.FileBytes > before.FileBytes {
		return &QuotaError{"attachment_bytes", s.quotas.FileBytes, before.FileBytes}
	}
	return nil
}
