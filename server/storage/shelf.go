package storage

import (
	"sync"

	"github.com/foyer-server/foyer/server/kinto"
)

// shelf keeps what was selected from lists for as long as they do not change: apps
// that start, and phones that ask what is new, ask the same thing again and again.
// What is kept belongs to a version of its list, which the row of the list tells
// within the reader's snapshot; so it is exact, whoever wrote in between.
type shelf struct {
	mu    sync.Mutex
	lists map[int64]*shelved // by pk
	bytes int
}

// shelved is what is kept of one list, all of one version.
type shelved struct {
	version int64
	pages   map[string]selected // by query
	bytes   int
}

// selected is the outcome of one Select; nobody changes it.
type selected struct {
	found []kinto.Object
	more  bool
}

// Bounds of the shelf: bytes altogether and of one page, and the objects below
// which a page is sooner read than looked up.
const (
	shelfBytes = 16 << 20
	shelfPage  = 2 << 20
	shelfFew   = 8
)

func newShelf() *shelf { return &shelf{lists: map[int64]*shelved{}} }

func (s *shelf) get(p *page, key string) (selected, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lists[p.pk]; l != nil && l.version == p.version {
		found, ok := l.pages[key]
		return found, ok
	}
	return selected{}, false
}

// put keeps what was selected from a list at a version. An older version than the
// one that is kept, as a reader who began earlier finds it, is not.
func (s *shelf) put(p *page, key string, found selected) {
	size := len(key) + 128
	for i := range found.found {
		o := &found.found[i]
		size += len(o.ID) + len(o.Data) + len(o.Permissions) + 96
	}
	if size > shelfPage {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[p.pk]
	switch {
	case l == nil:
		l = &shelved{version: p.version, pages: map[string]selected{}}
		s.lists[p.pk] = l
	case l.version > p.version:
		return
	case l.version < p.version:
		s.bytes -= l.bytes
		*l = shelved{version: p.version, pages: map[string]selected{}}
	}
	if _, ok := l.pages[key]; ok {
		return
	}
	for pk, other := range s.lists {
		if s.bytes+size <= shelfBytes {
			break
		}
		s.bytes -= other.bytes
		if other == l {
			*l = shelved{version: p.version, pages: map[string]selected{}}
		} else {
			delete(s.lists, pk)
		}
	}
	l.pages[key] = found
	l.bytes += size
	s.bytes += size
}
