package people

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/fair"
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
	strange  *fair.Queue   // passwords of whom nobody knows
	familiar *fair.Queue   // of devices that are known: strangers do not stand before them
	making   *fair.Queue   // new passwords

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

const rightMost = 10_000 // that are remembered

// dummy is a hash, of the cost that hashes have here, of random text nobody kept.
const dummy = "$2a$10$zE/dm/cddKKPRvkAyLPosuX6E5xMonGF8w8TyB8bDC8Nyv0DJM7SW"

func newVerifier(rightFor time.Duration) *verifier {
	v := &verifier{rightFor: rightFor, cost: bcrypt.DefaultCost, dummy: []byte(dummy), key: make([]byte, 32), right: map[digested]right{}, wrong: map[digested]string{}}
	rand.Read(v.key)
	v.strange = fair.NewQueue(max(1, runtime.GOMAXPROCS(0)/2), waitingFor, placesOfOne)
	v.familiar = fair.NewQueue(1, waitingFor, placesOfOne)
	v.making = fair.NewQueue(1, waitingFor, placesOfOne)
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

// How a queue for hashing is shared.
const (
	waitingFor  = 64 // comparisons that may wait
	placesOfOne = 4  // of one caller, running or waiting
)

// hashing runs one piece of hashing for a caller when its turn comes; an empty one is not
// counted by itself. The error is a *kinto.BusyError when too many wait.
func hashing(ctx context.Context, q *fair.Queue, caller string, hash func()) error {
	err := q.Do(ctx, caller, hash)
	if errors.Is(err, fair.ErrFull) {
		return &kinto.BusyError{What: "passwords"}
	}
	return err
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
