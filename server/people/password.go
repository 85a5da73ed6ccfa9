package people

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/server/kinto"
)

// SetCost makes new hashes cost so much (bcrypt), instead of bcrypt.DefaultCost. It is
// for tests, which have no time, and comes before anything else is done.
func (p *passwords) SetCost(cost int) error {
	dummy, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	p.verifier.cost, p.verifier.dummy = cost, dummy
	return err
}

// verifier compares passwords with bcrypt hashes, and remembers for a while what
// was right, by who showed it.
type verifier struct {
	rightFor time.Duration // what was right is remembered
	cost     int           // of new hashes
	dummy    []byte        // compared with when there is no account: a hash of that cost
	key      []byte        // of the cache's keys; never leaves memory
	strange  *turns        // passwords of whom nobody knows
	familiar *turns        // of devices that are known: strangers do not stand before them
	making   *turns        // new passwords

	mu    sync.Mutex
	right map[digested]right
	wrong map[digested]string // the hash these credentials did not match
}

type digested [sha256.Size]byte

// right says that a password matched a hash. When the account's hash is no longer that
// one, the password was changed and this says nothing.
type right struct {
	password digested
	hash     string
	until    time.Time
}

const (
	rightMost  = 10_000
	waitingFor = 64 // comparisons that may wait
)

// dummy is a hash, of the cost that hashes have here, of random text nobody kept.
const dummy = "$2a$10$zE/dm/cddKKPRvkAyLPosuX6E5xMonGF8w8TyB8bDC8Nyv0DJM7SW"

func newVerifier(rightFor time.Duration) *verifier {
	v := &verifier{rightFor: rightFor, cost: bcrypt.DefaultCost, dummy: []byte(dummy), key: make([]byte, 32), right: map[digested]right{}, wrong: map[digested]string{}}
	rand.Read(v.key)
	v.strange = newTurns(max(1, runtime.GOMAXPROCS(0)/2), placesOfOne)
	v.familiar = newTurns(1, placesOfOne)
	v.making = newTurns(1, placesOfOne)
	return v
}

// of is what texts are remembered by.
func (v *verifier) of(texts ...string) digested {
	mac := hmac.New(sha256.New, v.key)
	for _, text := range texts {
		fmt.Fprintf(mac, "%d:%s", len(text), text)
	}
	return digested(mac.Sum(nil))
}

// compare reports whether password is that of a hash; of an empty one, which nobody
// has, it takes as long.
func (v *verifier) compare(password, hash string) bool {
	if hash == "" {
		_ = bcrypt.CompareHashAndPassword(v.dummy, []byte(password)) // for the time it takes
		return false
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

// turns is a queue for slow hashing. Nobody holds more than a few places of it, so that
// one caller leaves room for the others. It is safe for concurrent use.
type turns struct {
	slots chan struct{} // one for each that runs
	line  chan struct{} // one for each that runs or waits

	each int // places that one caller may hold

	mu     sync.Mutex
	places map[string]int // those that each caller holds
}

// placesOfOne is how many places of a queue for passwords one caller holds at most.
const placesOfOne = 4

func newTurns(slots, each int) *turns {
	return &turns{slots: make(chan struct{}, slots), line: make(chan struct{}, waitingFor), each: each, places: map[string]int{}}
}

// do runs one piece of hashing for a caller when its turn comes; an empty one is not
// counted. The error is a *kinto.BusyError when too many wait, or too many of the
// caller's do.
func (t *turns) do(ctx context.Context, caller string, hash func()) error {
	if !t.enter(caller) {
		return &kinto.BusyError{What: "passwords"}
	}
	defer t.leave(caller)
	select {
	case t.line <- struct{}{}:
		defer func() { <-t.line }()
	default:
		return &kinto.BusyError{What: "passwords"}
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	hash()
	return nil
}

func (t *turns) enter(caller string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if caller == "" {
		return true
	}
	if t.places[caller] >= t.each {
		return false
	}
	t.places[caller]++
	return true
}

func (t *turns) leave(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.places[caller]--; t.places[caller] <= 0 {
		delete(t.places, caller)
	}
}

// remembers reports whether somebody showed this password a moment ago, and it was right.
func (v *verifier) remembers(who, password digested, hash string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.right[who]
	return ok && hash != "" && r.hash == hash && hmac.Equal(r.password[:], password[:]) && time.Now().Before(r.until)
}

func (v *verifier) remember(who, password digested, hash string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.right) >= rightMost {
		clear(v.right)
	}
	v.right[who] = right{password, hash, time.Now().Add(v.rightFor)}
}

// forget makes whom one was take the long way again.
func (v *verifier) forget(who digested) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.right, who)
}

// knowsWrong reports whether credentials are known not to match a hash.
func (v *verifier) knowsWrong(credentials digested, hash string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	h, ok := v.wrong[credentials]
	return ok && h == hash
}

func (v *verifier) rememberWrong(credentials digested, hash string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.wrong) >= rightMost {
		clear(v.wrong)
	}
	v.wrong[credentials] = hash
}
