package kinto

import (
	"testing"
	"time"
)

// TestClockOfAList is §6 in one place: where a list goes, and what is written gets.
func TestClockOfAList(t *testing.T) {
	const now, hour, year = clockSet + 1_000_000, 3_600_000, 365 * 24 * 3_600_000
	for _, c := range []struct {
		name          string
		ts, now, want int64
		list, object  int64
		begins        bool // ts is where the list was when it was purged
	}{
		{name: "a write", ts: now - 5, now: now, want: -1, list: now, object: now},
		{name: "two in a millisecond", ts: now, now: now, want: -1, list: now + 1, object: now + 1},
		{name: "the clock went back", ts: now, now: now - hour, want: -1, list: now + 1, object: now + 1},
		{name: "a later one is taken", ts: now, now: now, want: now + year, list: now + year, object: now + year},
		{name: "an earlier one is taken", ts: now, now: now, want: 0, list: now, object: 0},
		{name: "the same is none", ts: now + year, now: now, want: now + year, list: now + year + 1, object: now + year + 1},
		{name: "room at the end", ts: MaxTimestamp, now: now, want: -1, list: MaxTimestamp + 1, object: MaxTimestamp + 1},

		{name: "a new list", ts: -1, now: now, want: -1, list: now, object: now, begins: true},
		{name: "a new list with the past in it", ts: -1, now: now, want: 7, list: now, object: 7, begins: true},
		{name: "a new list ahead", ts: -1, now: now, want: now + year, list: now + year, object: now + year, begins: true},
		{name: "again, later", ts: now - hour, now: now, want: -1, list: now, object: now, begins: true},
		{name: "again, at once", ts: now, now: now, want: -1, list: now + 1, object: now + 1, begins: true},
		{name: "again, an hour ahead", ts: now + hour, now: now, want: -1, list: now + hour + 1, object: now + hour + 1, begins: true},
		{name: "again, as far ahead as shared lists go and count", ts: now + SharedAhead + hour, now: now, want: -1, list: now + SharedAhead + hour + 1, object: now + SharedAhead + hour + 1, begins: true},
		{name: "again, years ahead", ts: now + year, now: now, want: -1, list: now, object: now, begins: true},
		{name: "again, with the past in it", ts: now + year, now: now, want: 7, list: now, object: 7, begins: true},
		{name: "again, ahead of that", ts: now + year, now: now, want: now + 2*year, list: now + 2*year, object: now + 2*year, begins: true},
		{name: "again, of before there was a bound", ts: 1<<53 - 1, now: now, want: -1, list: now, object: now, begins: true},
		{name: "again, the clock not set", ts: now, now: 1000, want: -1, list: now + 1, object: now + 1, begins: true},
	} {
		next := Next
		if c.begins {
			next = Begin
		}
		if list, object := next(c.ts, c.now, c.want); list != c.list || object != c.object {
			t.Errorf("%s: the list at %d, the object at %d; want %d and %d", c.name, list, object, c.list, c.object)
		}
	}
}

// TestRoomToCount: who chooses the latest there is leaves a thousand years of writes, one
// each millisecond, that have dates of HTTP, and numbers that JavaScript tells apart.
func TestRoomToCount(t *testing.T) {
	end := int64(MaxTimestamp + 1000*365*24*3_600_000)
	if at := time.UnixMilli(end).UTC(); at.Year() > 9999 || end >= 1<<53 {
		t.Errorf("it comes to %v", at)
	}
	if at := time.UnixMilli(MaxTimestamp).UTC(); at.Format("2006-01-02 15:04:05.000") != "8999-12-31 23:59:59.999" {
		t.Errorf("the bound is %v", at)
	}
	if at := time.UnixMilli(clockSet).UTC(); at.Format(time.DateTime) != "2026-11-01 00:00:00" {
		t.Errorf("clocks are set after %v", at)
	}
}
