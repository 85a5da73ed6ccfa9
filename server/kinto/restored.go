package kinto

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A backup brings a store back to an earlier moment, and what was written after that is
// lost. Devices have seen it, though, and come back with timestamps that these data never
// gave. Asked what changed since such a one, a list cannot know what a device has to forget:
// it has to look at all of it. So the store keeps which timestamps were lost, gives none of
// them again (Resume), and a list says so to whoever comes with one (Service.lost).

// MetaLost is the fact that says which timestamps were lost by restores, as a JSON array of
// spans, the oldest first.
const MetaLost = "kinto.lost"

// mostLost is how many restores are remembered.
const mostLost = 20

// span is the timestamps that a restore took away: later than From, and before To.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Open: nobody was served yet since, and others may still be served what will be lost.
	Open bool `json:"open,omitempty"`
}

// spans are those of a store, the oldest first.
type spans []span

// Lose notes that a store was brought back to a moment, in milliseconds since 1970, and
// everything later is lost. It is called before anybody is served; done twice it is the same.
func Lose(tx Tx, moment int64) error {
	all, err := lostSpans(tx)
	if err != nil {
		return err
	}
	from := int64(0)
	for i := range kinds {
		lists, err := tx.Lists(kinds[i].name)
		if err != nil {
			return err
		}
		for _, l := range lists {
			// What a client moved ahead of the clock says nothing of when that was.
			ts, _, err := tx.Timestamp(l)
			if err != nil {
				return err
			}
			if ts <= moment {
				from = max(from, ts)
			}
		}
	}
	one := span{From: from, To: max(time.Now().UnixMilli(), moment, from+1), Open: true}
	if n := len(all); n > 0 && all[n-1].Open {
		one.From, one.To = min(one.From, all[n-1].From), max(one.To, all[n-1].To)
		all = all[:n-1]
	}
	return all.keep(tx, one)
}

// lostSpans are those that a store keeps.
func lostSpans(tx Reader) (all spans, err error) {
	text, err := tx.Meta(MetaLost)
	if err != nil || text == nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("cannot read what restores took away: %w", err)
	}
	return all, nil
}

// keep keeps them, and a last one.
func (all spans) keep(tx Tx, last span) error {
	all = append(all, last)
	text, err := json.Marshal(all[max(0, len(all)-mostLost):])
	if err != nil {
		return err
	}
	return tx.SetMeta(MetaLost, text)
}

// after is the timestamp after which all begin that are given now.
func (all spans) after() (ts int64) {
	for _, s := range all {
		ts = max(ts, s.To)
	}
	return ts
}

// Resume is called before anybody is served of a store, and returns the store to use then.
// Where it was brought back from a backup, what is lost ends here, and timestamps of each
// list go on after that, whatever the clock says. Any other store is returned as it is.
func Resume(ctx context.Context, store Store) (Store, error) {
	var all spans
	if err := store.Read(ctx, func(tx Reader) (err error) {
		all, err = lostSpans(tx)
		return err
	}); err != nil {
		return nil, err
	}
	n := len(all)
	if n == 0 {
		return store, nil
	}
	if all[n-1].Open {
		all[n-1].To, all[n-1].Open = max(all[n-1].To, time.Now().UnixMilli()), false
		// On a full disk it goes without: then it ends at the next start, and a few devices
		// more look at all of a list.
		_ = store.Write(ctx, nil, func(tx Tx) error {
			kept, err := lostSpans(tx)
			if n := len(kept); err != nil || n == 0 || !kept[n-1].Open {
				if err == nil && n > 0 {
					all = kept // another node was quicker
				}
				return err
			}
			return all[:n-1:n-1].keep(tx, all[n-1])
		})
	}
	return &resumed{store, all}, nil
}

// resumed is a store that was brought back from a backup.
type resumed struct {
	Store
	lost spans
}

// Write implements Store.
func (r *resumed) Write(ctx context.Context, about []List, fn func(Tx) error) error {
	return r.Store.Write(ctx, about, func(tx Tx) error { return fn(&later{tx, r.lost.after()}) })
}

// later is a transaction that gives no timestamp which was lost.
type later struct {
	Tx
	after int64
}

// Tick implements Tx.
func (t *later) Tick(l List, want int64) (int64, error) {
	if err := t.pass(l); err != nil {
		return 0, err
	}
	return t.Tx.Tick(l, want)
}

// Touch implements Tx. A list that has a timestamp keeps it: nothing is written to it.
func (t *later) Touch(l List) (int64, error) {
	_, ok, err := t.Timestamp(l)
	if err == nil && !ok {
		err = t.pass(l)
	}
	if err != nil {
		return 0, err
	}
	return t.Tx.Touch(l)
}

// pass moves a list that is about to be written to past what was lost.
func (t *later) pass(l List) error {
	ts, ok, err := t.Timestamp(l)
	if err != nil || ok && ts > t.after {
		return err
	}
	_, err = t.Tx.Tick(l, t.after+1)
	return err
}

// lost reports whether a request for what changed in a list, which stands at ts, comes with
// a timestamp that a restore took away, and which timestamp to answer it with, beside no
// object at all. That is later than what the client has, which kinto.js understands: a list
// that has a later timestamp, and nothing in it, was flushed, and the app is told to look at
// all of it (ServerWasFlushedError). Other clients ask next since the timestamp they got, and
// are shown everything.
func (s *Service) lost(r *Request, q *Query, ts int64) (to int64, lost bool) {
	since := r.Query.Since
	if r.Op == Delete || r.Began > 0 && q.Oldest() { // a page after that of an object
		return 0, false
	}
	for _, one := range s.spans {
		if since == one.To {
			q.Since = -1
			return 0, false
		}
	}
	if r.Began > 0 || r.Query.Before >= 0 {
		return 0, false
	}
	for _, one := range s.spans {
		// A list that was ahead of the clock, and that nobody has written to since, gave
		// what it stands at.
		kept := ts <= one.To && since <= ts
		if since > one.From && since < one.To && !kept {
			return one.To, true
		}
	}
	return 0, false
}
