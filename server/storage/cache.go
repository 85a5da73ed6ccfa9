package storage

import (
	"sync"

	"github.com/foyer-server/foyer/server/kinto"
)

// cache remembers what nearly every request reads and few change: which lists
// there are, the objects above records and who is in which group. Whatever changes any of it empties it
// all, after the commit and before the writer hears of it; so what the cache
// holds is never older than the last answered write.
type cache struct {
	mu         sync.RWMutex
	generation uint64
	lists      map[kinto.List]int64
	objects    map[objectKey]*kinto.Object
	absent     map[objectKey]struct{} // objects that are asked for and not there
	in         map[string][]string    // members asked for → URIs of groups
}

type objectKey struct {
	list kinto.List
	id   string
}

// Bounds of the cache: entries, those of what is not there, which anybody can ask for, and
// bytes of one object.
const (
	cacheEntries = 2048
	cacheAbsent  = 1024
	cacheBytes   = 16 << 10
)

func newCache() *cache {
	return &cache{lists: map[kinto.List]int64{}, objects: map[objectKey]*kinto.Object{}, absent: map[objectKey]struct{}{}, in: map[string][]string{}}
}

// now is the generation to pass to the add functions: take it before the
// snapshot begins from which what is added will come.
func (c *cache) now() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation
}

func (c *cache) list(l kinto.List) int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.lists[l]
}

// object returns an object, nil if it is known not to be there.
func (c *cache) object(l kinto.List, id string) (o *kinto.Object, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, known = c.absent[objectKey{l, id}]
	o = c.objects[objectKey{l, id}]
	return o, known || o != nil
}

// addAbsent keeps that an object is not there.
func (c *cache) addAbsent(l kinto.List, id string, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if len(c.absent) >= cacheAbsent {
		clear(c.absent)
	}
	c.absent[objectKey{l, id}] = struct{}{}
}

func (c *cache) addList(l kinto.List, pk int64, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if len(c.lists) >= cacheEntries {
		clear(c.lists)
	}
	c.lists[l] = pk
}

func (c *cache) addObject(l kinto.List, o *kinto.Object, generation uint64) {
	if len(o.Data)+len(o.Permissions) > cacheBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if len(c.objects) >= cacheEntries {
		clear(c.objects)
	}
	c.objects[objectKey{l, o.ID}] = o
}

func (c *cache) groups(members string) ([]string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	uris, ok := c.in[members]
	return uris, ok
}

func (c *cache) addGroups(members string, uris []string, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if len(c.in) >= cacheEntries {
		clear(c.in)
	}
	c.in[members] = uris
}

// forget empties the cache after a change was committed.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.lists)
	clear(c.objects)
	clear(c.absent)
	clear(c.in)
}
