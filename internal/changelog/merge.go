package changelog

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"strings"
)

// Merge makes one stretch of a log of several that follow each other, with nothing in it
// that later lines of it say anew or purge: whoever takes it in, after what is before it,
// has what they had after the last of them. It is one commit, at the time of the last. The
// lines are read twice and must be the same both times; what emit is given is good until it
// returns. Memory is about 50 bytes for each key that the lines have.
func Merge(lines func() iter.Seq2[Line, error], emit func(*Line) error) error {
	m := merge{last: map[keyHash]int{}, purged: map[string]int{}, lists: map[listName]*reached{}}
	if err := m.learn(lines()); err != nil || m.commit.Kind == 0 {
		return err
	}
	if err := emit(&m.commit); err != nil {
		return err
	}
	if err := m.pass(lines(), emit); err != nil {
		return err
	}
	for name, r := range m.lists {
		if r.all > r.emitted {
			if err := emit(&Line{Kind: List, Parent: name.parent, Of: name.of, Time: r.all}); err != nil {
				return err
			}
		}
	}
	return nil
}

// merge is what is known of the lines that are to become one stretch. Lines are counted
// from 0.
type merge struct {
	commit Line                  // the last
	last   map[keyHash]int       // the last line of each key
	purged map[string]int        // the last purge of each URI
	lists  map[listName]*reached // where lists stand
	count  int
}

// keyHash stands for a key: two never share one.
type keyHash [16]byte

func hashOf(key string) (h keyHash) {
	sum := sha256.Sum256([]byte(key))
	copy(h[:], sum[:])
	return h
}

// reached is how far the lines move a list, and how far those that are kept do.
type reached struct{ all, emitted int64 }

// learn reads all lines once.
func (m *merge) learn(lines iter.Seq2[Line, error]) error {
	for l, err := range lines {
		if err != nil {
			return err
		}
		switch l.Kind {
		case Commit:
			m.commit = l
		case Purge:
			m.purged[l.ID] = m.count
		case List:
		default:
			m.last[hashOf(l.Key())] = m.count
		}
		m.count++
	}
	return nil
}

// pass reads them again and passes on what holds.
func (m *merge) pass(lines iter.Seq2[Line, error], emit func(*Line) error) error {
	n := -1
	for l, err := range lines {
		if err != nil {
			return err
		}
		n++
		keep := false
		switch l.Kind {
		case Commit, List:
		case Purge:
			keep = m.purged[l.ID] == n
		default:
			keep = m.last[hashOf(l.Key())] == n
		}
		gone := m.isPurged(&l, n)
		if (l.Kind == Object || l.Kind == List) && !gone {
			m.reach(&l, keep)
		}
		if !keep || gone {
			continue
		}
		if err := emit(&l); err != nil {
			return err
		}
	}
	if n+1 != m.count {
		return fmt.Errorf("the log had %d lines, then %d", m.count, n+1)
	}
	return nil
}

// reach notes where an object or the list itself moves a list to.
func (m *merge) reach(l *Line, kept bool) {
	name := listName{l.Parent, l.Of}
	r := m.lists[name]
	if r == nil {
		r = &reached{}
		m.lists[name] = r
	}
	r.all = max(r.all, l.Time)
	if kept {
		r.emitted = max(r.emitted, l.Time)
	}
}

// isPurged reports whether a later purge takes away what line n says.
func (m *merge) isPurged(l *Line, n int) bool {
	if len(m.purged) == 0 {
		return false
	}
	later := func(uri string) bool {
		at, ok := m.purged[uri]
		return ok && at > n
	}
	switch l.Kind {
	case Object, List:
		return later(l.Parent) || above(l.Parent, later)
	case File:
		return !l.Gone && (later(l.Parent) || above(l.Parent, later))
	case Owner:
		return later(l.ID) || later("")
	case Meta:
		rest, birth := strings.CutPrefix(l.ID, "birth.")
		return birth && above(rest, later)
	}
	return false
}

// above reports whether is holds for one of the URIs that something lies below, by its path.
func above(path string, is func(string) bool) bool {
	for i := range len(path) - 1 {
		if path[i] == '/' && is(path[:i]) {
			return true
		}
	}
	return false
}
