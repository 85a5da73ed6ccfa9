package kinto

import (
	"bytes"
	"context"
	"strings"
)

// attaching is what a request does to the attachment of a record.
type attaching struct {
	file  *File  // nil: none from now on
	shown []byte // the attribute, as a JSON object
}

const attachmentName = "attachment"

// FileScheme begins the address of an attachment as a record keeps it: what follows is
// its location, as in a URL. Clients are shown it below the base URL of the server by
// the name they call that now.
const FileScheme = "foyer-attachment:"

// Attach makes f, whose contents are kept already, the attachment of the record
// that r names, and shown the attribute that tells of it; with a nil f the record
// has none any more. A record that is not there is created, one that is there is
// patched, with r's body (protocol §8, attachments). The answer is that of a Put or
// a Patch. r is a Put.
func (s *Service) Attach(ctx context.Context, r *Request, f *File, shown []byte) (*Answer, error) {
	if f == nil {
		shown = []byte("null")
	}
	r.attach = &attaching{f, shown}
	if !r.Body.HasData {
		r.Body.HasData, r.Body.Data = true, []byte("{}")
	}
	return s.Do(ctx, r)
}

// Allowed does all of a request's checks but those of preconditions, and nothing
// else: whoever may not make it, or asks nonsense, learns that before they send
// something large.
func (s *Service) Allowed(ctx context.Context, r *Request) error {
	if s.readonly {
		return ErrReadOnly
	}
	return s.store.Read(ctx, func(tx Reader) error { return s.rights().check(tx, r) })
}

// Room is how large an attachment may be.
type Room struct {
	Bytes int64 // -1: as large as it likes
	Err   error // that of Attach for a larger one
}

// Room is how large the attachment may be that r brings, as things are now. The error is
// one of Attach, also when there is no room at all: it is told before anything large is
// sent.
func (s *Service) Room(ctx context.Context, r *Request) (room Room, err error) {
	if s.readonly {
		return room, ErrReadOnly
	}
	err = s.store.Read(ctx, func(tx Reader) error {
		room = Room{Bytes: -1}
		sc, old, err := s.rights().allowObject(tx, r)
		if err != nil {
			return err
		}
		if err := r.Cond.object(old); err != nil {
			return s.reader().modified(tx, r, &sc, old, err)
		}
		b, err := s.writer().bill(tx, r.Who, r.List, r.ID, old == nil)
		if err != nil || b == nil {
			return err
		}
		if old == nil {
			if err := b.affords(Usage{Records: 1}); err != nil {
				return err
			}
		}
		room, err = b.room(tx, r.List, r.ID)
		return err
	})
	return room, err
}

// show gives data the attribute.
func (a *attaching) show(data []byte) []byte {
	return merge(data, append(append([]byte(`{"`+attachmentName+`":`), a.shown...), '}'))
}

// mayAttach refuses what a request may not do to the attachment of a record. The
// attribute is the server's: a client may only take it away.
func (s writer) mayAttach(tx Tx, r *Request, o, old *Object) error {
	before := attachmentBefore(old)
	if r.attach != nil {
		return nil
	}
	after := attachmentOf(o)
	if before == nil || after == nil || compare(before, after) == 0 {
		return nil
	}
	// A client that sends back what it was shown sends the whole address.
	if compare(before, keptAs(after, before)) != 0 {
		return ErrAttached
	}
	o.Data = (&attaching{shown: before}).show(o.Data)
	return nil
}

// keptAs is what tells of an attachment with its address as another says it, if that is
// the end of it.
func keptAs(after, before []byte) []byte {
	kept, shown := stringOr(attribute(before, "location")), stringOr(attribute(after, "location"))
	location, ok := strings.CutPrefix(string(key(kept)), FileScheme)
	if !ok || !strings.HasSuffix(string(key(shown)), "/"+location) {
		return after
	}
	return merge(after, append(append([]byte(`{"location":`), kept...), '}'))
}

// attach keeps the attachment of a record in step with its attribute.
func (s writer) attach(tx Tx, r *Request, o, old *Object, bill *bill) error {
	if a := r.attach; a != nil {
		if err := bill.upload(tx, a.file); err != nil {
			return err
		}
		return tx.Attach(r.List, o.ID, a.file)
	}
	if attachmentBefore(old) != nil && attachmentOf(o) == nil {
		return tx.Attach(r.List, o.ID, nil)
	}
	return nil
}

func attachmentBefore(old *Object) []byte {
	if old == nil {
		return nil
	}
	return attachmentOf(old)
}

// attachmentOf is the attribute of a record that has an attachment; nil: it has none.
func attachmentOf(o *Object) []byte {
	if o.Deleted || !bytes.Contains(o.Data, []byte(`"`+attachmentName+`"`)) && bytes.IndexByte(o.Data, '\\') < 0 {
		return nil
	}
	if raw := attribute(o.Data, attachmentName); typeOf(raw) != isNull && raw != nil {
		return raw
	}
	return nil
}

// File returns the attachment at a location, or nil.
func (s *Service) File(ctx context.Context, location string) (f *File, err error) {
	err = s.store.Read(ctx, func(tx Reader) error {
		f, err = tx.File(location)
		return err
	})
	return f, err
}

// Holds reports whether a record has an attachment with these contents.
func (s *Service) Holds(ctx context.Context, hash string) (there bool, err error) {
	err = s.store.Read(ctx, func(tx Reader) error {
		there, err = tx.Holds(hash)
		return err
	})
	return there, err
}
