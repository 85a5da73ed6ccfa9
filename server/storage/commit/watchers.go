package commit

import (
	"sync"

	"github.com/foyer-server/foyer/server/kinto"
)

// Watchers are those who wait for lists to change.
type Watchers struct {
	mu  sync.Mutex
	all map[kinto.List]map[chan struct{}]struct{}
}

// NewWatchers has nobody who waits.
func NewWatchers() *Watchers {
	return &Watchers{all: map[kinto.List]map[chan struct{}]struct{}{}}
}

// Watch gets a token whenever a list has changed, until stop is called. One that nobody
// took stands for all that came after it.
func (w *Watchers) Watch(l kinto.List) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[l] == nil {
		w.all[l] = map[chan struct{}]struct{}{}
	}
	w.all[l][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all[l], ch)
		if len(w.all[l]) == 0 {
			delete(w.all, l)
		}
	}
}

// Changed wakes those who watch one of these lists, or a list below one of the objects with
// these URIs.
func (w *Watchers) Changed(lists []kinto.List, below []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range lists {
		w.poke(l)
	}
	for _, uri := range below {
		for l := range w.all {
			if Below(l, uri) {
				w.poke(l)
			}
		}
	}
}

// Everything wakes all.
func (w *Watchers) Everything() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.all {
		w.poke(l)
	}
}

func (w *Watchers) poke(l kinto.List) {
	for ch := range w.all[l] {
		Poke(ch)
	}
}

// Below reports whether a list lies below the object uri, as the statement purge of both
// stores does.
func Below(l kinto.List, uri string) bool {
	return l.Parent == uri || len(l.Parent) > len(uri) && l.Parent[:len(uri)] == uri && l.Parent[len(uri)] == '/'
}
