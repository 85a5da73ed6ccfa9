package postgres

import (
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/server/kinto"
)

// Most rows and bytes in one statement.
const (
	sendRows  = 5000
	sendBytes = 16 << 20
)

// queue queues what was changed, in an order in which no timestamp is twice in a
// list at any time: objects whose timestamps are of the past go away first.
func (b *book) queue(batch *pgx.Batch) {
	b.queueLists(batch)
	var fresh, past []place
	for _, p := range ordered(b.objects.changed, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.list, b.list), cmp.Compare(a.id, b.id))
	}) {
		if b.objects.all[p].past {
			past = append(past, p)
		} else {
			fresh = append(fresh, p)
		}
	}
	if len(past) > 0 {
		lists, ids := make([]int64, len(past)), make([]string, len(past))
		for i, p := range past {
			lists[i], ids[i] = p.list, p.id
		}
		batch.Queue(statement("remove"), lists, ids)
	}
	b.queueObjects(batch, fresh)
	b.queueObjects(batch, past)
	b.queueGrants(batch)
	b.queueMembers(batch)
	b.queueFacts(batch)
}

func (b *book) queueLists(batch *pgx.Batch) {
	var added, changed [7][]int64 // by column; only numbers
	var parents, kinds, formerParents, formerKinds []string
	var formers []int64
	for _, l := range ordered(b.pages.changed, func(a, b kinto.List) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Parent, b.Parent))
	}) {
		p := b.pages.all[l]
		to := &changed
		if !p.stored {
			to = &added
			parents, kinds = append(parents, l.Parent), append(kinds, string(l.Kind))
			p.stored = true
			if p.former > 0 {
				formerParents, formerKinds, formers = append(formerParents, l.Parent), append(formerKinds, string(l.Kind)), append(formers, p.former)
			}
		}
		p.sent = p.tally
		b.pages.all[l] = p
		for i, n := range []int64{p.pk, p.ts, p.live, p.tombstones, p.bytes, p.attached, p.files} {
			to[i] = append(to[i], n)
		}
	}
	clear(b.pages.changed)
	if len(parents) > 0 {
		batch.Queue(statement("lists_add"), added[0], parents, kinds, added[1], added[2], added[3], added[4], added[5], added[6])
		batch.Queue(statement("floors_forget"), parents, kinds)
	}
	if len(formers) > 0 {
		batch.Queue(statement("formers_keep"), formerParents, formerKinds, formers)
	}
	if len(changed[0]) > 0 {
		batch.Queue(statement("lists_set"), changed[0], changed[1], changed[2], changed[3], changed[4], changed[5], changed[6])
	}
}

func (b *book) queueObjects(batch *pgx.Batch, places []place) {
	for len(places) > 0 {
		var lists, stamps []int64
		var ids, data, permissions []string
		var deleted []bool
		bytes := 0
		for len(places) > 0 && len(lists) < sendRows && bytes < sendBytes {
			p := places[0]
			places = places[1:]
			o := b.objects.all[p].o
			bytes += len(o.Data) + len(o.Permissions)
			lists, ids, stamps, deleted = append(lists, p.list), append(ids, p.id), append(stamps, o.Timestamp), append(deleted, o.Deleted)
			data, permissions = append(data, string(o.Data)), append(permissions, string(o.Permissions))
		}
		batch.Queue(statement("put"), lists, ids, stamps, deleted, data, permissions)
	}
	clear(b.objects.changed)
}

func (b *book) queueGrants(batch *pgx.Batch) {
	var columns [2]struct {
		lists            []int64
		ids, permissions []string
		principals       [][]byte
	}
	for _, g := range ordered(b.grants.changed, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.list, b.list), cmp.Compare(a.id, b.id), cmp.Compare(a.principal, b.principal), cmp.Compare(a.permission, b.permission))
	}) {
		c := &columns[0]
		if b.grants.all[g] {
			c = &columns[1]
		}
		c.lists, c.ids, c.principals, c.permissions = append(c.lists, g.list), append(c.ids, g.id), append(c.principals, []byte(g.principal)), append(c.permissions, g.permission)
	}
	clear(b.grants.changed)
	for i, name := range []string{"revoke", "grant"} {
		if c := &columns[i]; len(c.lists) > 0 {
			batch.Queue(statement(name), c.lists, c.ids, c.principals, c.permissions)
		}
	}
}

func (b *book) queueMembers(batch *pgx.Batch) {
	var lists, inLists []int64
	var ids, inIDs []string
	var in [][]byte
	for p := range b.members.changed {
		lists, ids = append(lists, p.list), append(ids, p.id)
		for _, m := range b.members.all[p] {
			inLists, inIDs, in = append(inLists, p.list), append(inIDs, p.id), append(in, []byte(m))
		}
	}
	clear(b.members.changed)
	if len(lists) > 0 {
		batch.Queue(statement("leave"), lists, ids)
	}
	if len(in) > 0 {
		batch.Queue(statement("join"), inLists, inIDs, in)
	}
}

func (b *book) queueFacts(batch *pgx.Batch) {
	var names, gone []string
	var values [][]byte
	for name := range b.meta.changed {
		if v := b.meta.all[name]; v == nil {
			gone = append(gone, name)
		} else {
			names, values = append(names, name), append(values, v)
		}
	}
	clear(b.meta.changed)
	if len(gone) > 0 {
		batch.Queue(statement("meta_forget"), gone)
	}
	if len(names) > 0 {
		batch.Queue(statement("meta_set"), names, values)
	}
	var keys, over, notes [][]byte
	var untils []int64
	for _, key := range sorted(b.notes.changed) {
		if n := b.notes.all[key]; n.value == nil {
			over = append(over, []byte(key))
		} else {
			keys, notes, untils = append(keys, []byte(key)), append(notes, n.value), append(untils, n.until)
		}
	}
	clear(b.notes.changed)
	if len(over) > 0 {
		batch.Queue(statement("notes_forget"), over)
	}
	if len(keys) > 0 {
		batch.Queue(statement("notes_set"), keys, notes, untils)
	}
}

// ordered are keys in an order that all nodes share.
func ordered[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return ordered(m, cmp.Compare[K]) }
