package kinto

import (
	"fmt"
	"time"
)

// Timestamps are milliseconds since 1970 (protocol §6). Everything a list ever stands at
// is an integer that JavaScript counts exactly, and a date of HTTP, whose years have four
// digits (RFC 9110 §5.6.7).

const (
	// MaxTimestamp is the latest timestamp that a client may choose, the end of the year
	// 8999: from there a list counts on for a thousand years, whatever is written to it
	// each millisecond, before its dates are none.
	MaxTimestamp = 221845391999999

	// SharedAhead is how far ahead of the clock, in milliseconds, a client may move a
	// list that belongs to nobody: that of the buckets.
	SharedAhead = 24 * 60 * 60 * 1000
)

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
