package kinto

import (
	"fmt"
	"time"
)

// Timestamps are milliseconds since 1970 (protocol §6). Everything a list ever stands at
// is an integer that JavaScript counts exactly, a date of HTTP, whose years have four
// digits (RFC 9110 §5.6.7), and is taken wherever a client sends it back.

const (
	// MaxTimestamp is the latest timestamp that a client may choose, the end of the year
	// 8999: from there a list counts on for a thousand years, whatever is written to it
	// each millisecond, before its dates are none.
	MaxTimestamp = 221845391999999

	// LatestDate is the last timestamp that is a date of HTTP.
	LatestDate = 253402300799999

	// SharedAhead is how far ahead of the clock, in milliseconds, a client may move a
	// list that belongs to nobody: that of the buckets.
	SharedAhead = 24 * 60 * 60 * 1000

	// near is how far ahead of the clock a list may have been to go on from there when
	// it is made again: all that shared lists, bursts and clocks that are set come to.
	near = 2 * SharedAhead

	// clockSet is a moment, November 2026, before which no clock is right.
	clockSet = 1793491200000
)

// Next is §6 for a list that stands at ts: where it stands after a write at now, and the
// timestamp of what is written. A want greater than ts is taken, and the list moves
// there; a smaller one is taken and leaves the list alone; with a negative one, or ts
// itself, both are max(now, ts+1), so that clocks that go back do no harm.
func Next(ts, now, want int64) (list, object int64) {
	switch {
	case want > ts:
		return want, want
	case want >= 0 && want < ts:
		return ts, want
	}
	ts = max(now, ts+1)
	return ts, ts
}

// Begin is Next for a list that has no timestamp. former is the greatest that it had
// before it was purged; negative: it is new. It begins at now, and after former, so that
// whoever knew the former list sees that this is another, and all of it. Only where that
// lies days ahead, to which somebody moved it, it begins at now nonetheless; the store
// keeps former then (Reader.Former). A clock that was not set yet moves nothing back.
func Begin(former, now, want int64) (list, object int64) {
	list = now
	if former >= now && (former <= now+near || now < clockSet) {
		list = former + 1
	}
	list = max(list, want)
	if want < 0 {
		return list, list
	}
	return list, want
}

// chosen is what Tick is asked for when a client wants a timestamp for an object of a
// list: negative, none, when that is not later than the object's own (§6). Nobody moves
// what strangers share far ahead: in the list of buckets, what is later than SharedAhead
// from now is none. Accounts have a list each and one ETag together: none of them is
// moved ahead at all, or changes of the others would go unseen. Beyond MaxTimestamp only
// what the list itself came to is taken; else the error is an *InvalidError that names
// location and name.
func chosen(tx Reader, l List, want int64, old *Object, location, name string) (int64, error) {
	latest := int64(MaxTimestamp)
	switch l.Kind {
	case Bucket:
		latest = time.Now().UnixMilli() + SharedAhead
	case Account:
		latest = time.Now().UnixMilli()
	}
	switch {
	case want < 0 || old != nil && want <= old.Timestamp:
		return -1, nil
	case want <= latest:
		return want, nil
	}
	switch ts, _, err := tx.Timestamp(l); {
	case err != nil:
		return -1, err
	case want <= ts: // it came from here
		return want, nil
	case want > MaxTimestamp:
		return -1, Invalid(location, name, fmt.Sprintf("%d is greater than maximum value %d", want, int64(MaxTimestamp)))
	}
	return -1, nil
}

// Asked is a timestamp that a parameter of a query names.
type Asked struct {
	Parameter string
	Timestamp int64
}

// recognise makes sense of the timestamps that r names, for lists that stand at ts: what
// they gave before they were made again can be later than all they have now. A client that
// has been told of changes since such a one knows nothing of these lists, and is shown
// all of them. A timestamp a day ahead that no list gave is refused, as the reference
// does (§7, filters).
func (s *Service) recognise(tx Reader, r *Request, q *Query, ts int64, lists ...List) error {
	if q.Since <= ts && len(r.Ahead) == 0 {
		return nil
	}
	former := int64(-1)
	for _, l := range lists {
		was, err := tx.Former(l)
		if err != nil {
			return err
		}
		former = max(former, was)
	}
	for _, a := range r.Ahead {
		if a.Timestamp > max(ts, former, s.spans.after()) {
			return Invalid("querystring", a.Parameter, "Invalid value for "+a.Parameter)
		}
	}
	if r.Op != Delete && q.Since > ts && q.Since <= former && (q.Before < 0 || q.Before <= q.Since) {
		q.Since = -1
	}
	return nil
}
