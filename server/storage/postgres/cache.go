package postgres

import (
	"sync"

	"github.com/foyer-server/foyer/server/kinto"
)

// cache remembers what nearly every request reads and few change: the objects above
// records and who is in which group. What it holds is of one generation: a number in
// the database that every transaction which changes any of it sets anew, at random,
// so that none comes back, not even when a standby takes over that had not heard of
// the last ones. Only whoever has a snapshot of that generation may use it.
type cache struct {
	mu         sync.RWMutex
	generation int64
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
	return &cache{objects: map[objectKey]*kinto.Object{}, absent: map[objectKey]struct{}{}, in: map[string][]string{}}
}

// now is the generation the cache is of.
func (c *cache) now() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation
}

// hasObject reports whether it may be worth asking for the generation.
func (c *cache) hasObject(l kinto.List, id string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, absent := c.absent[objectKey{l, id}]
	return absent || c.objects[objectKey{l, id}] != nil
}

// object returns an object, nil if it is known not to be there.
func (c *cache) object(l kinto.List, id string, generation int64) (o *kinto.Object, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if generation != c.generation {
		return nil, false
	}
	_, known = c.absent[objectKey{l, id}]
	o = c.objects[objectKey{l, id}]
	return o, known || o != nil
}

// addAbsent keeps that an object is not there.
func (c *cache) addAbsent(l kinto.List, id string, generation int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(generation)
	if len(c.absent) >= cacheAbsent {
		clear(c.absent)
	}
	c.absent[objectKey{l, id}] = struct{}{}
}

func (c *cache) addObject(l kinto.List, o *kinto.Object, generation int64) {
	if len(o.Data)+len(o.Permissions) > cacheBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(generation)
	if len(c.objects) >= cacheEntries {
		clear(c.objects)
	}
	c.objects[objectKey{l, o.ID}] = o
}

func (c *cache) hasGroups(members string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.in[members]
	return ok
}

func (c *cache) groups(members string, generation int64) ([]string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if generation != c.generation {
		return nil, false
	}
	uris, ok := c.in[members]
	return uris, ok
}

func (c *cache) addGroups(members string, uris []string, generation int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(generation)
	if len(c.in) >= cacheEntries {
		clear(c.in)
	}
	c.in[members] = uris
}

// at moves the cache to a generation, emptying it when it was at another.
func (c *cache) at(generation int64) {
	if generation != c.generation {
		c.generation = generation
		clear(c.objects)
		clear(c.absent)
		clear(c.in)
	}
}
