package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/tidwall/gjson"
	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/server/kinto"
)

// accounts is the list an account is in: its own.
func accounts(name string) kinto.List { return kinto.List{Parent: name, Kind: kinto.Account} }

// checkAccount reports whether password is that of the account name.
func (a *Auth) checkAccount(ctx context.Context, name, password string) (bool, error) {
	if !kinto.Account.ValidID(name) {
		return false, nil
	}
	hash := ""
	err := a.store.Read(ctx, func(tx kinto.Reader) error {
		hash = ""
		o, err := tx.Get(accounts(name), name)
		if o != nil {
			hash = gjson.GetBytes(o.Data, "password").Str
		}
		return err
	})
	if err != nil {
		return false, err
	}
	if a.counts() {
		return a.guarded(ctx, name, password, hash, "")
	}
	return a.verifier.verify(ctx, name, password, hash)
}

// putAccount creates an account inside tx, or gives the existing one a new password.
func putAccount(tx kinto.Tx, name, hash string) error {
	l := accounts(name)
	old, err := tx.Get(l, name)
	if err != nil {
		return err
	}
	data, err := json.Marshal(map[string]string{"password": hash})
	if err != nil {
		return err
	}
	o := &kinto.Object{ID: name, Data: data, Permissions: kinto.Permissions{"write": {"account:" + name}}.Encode()}
	if o.Timestamp, err = tx.Tick(l, -1); err != nil {
		return err
	}
	return tx.Put(l, o, old)
}

// Hash is the hash of a new password, as an account keeps it. The error is an
// *kinto.InvalidError for what cannot be one, or kinto.ErrUnavailable when too many
// passwords are being checked.
func (a *Auth) Hash(ctx context.Context, password string) (string, error) {
	if len(password) > passwordBytes {
		return "", kinto.Invalid("body", "data.password", fmt.Sprintf("A password has at most %d bytes", passwordBytes))
	}
	var hash []byte
	var err error
	if e := a.verifier.slowly(ctx, func() { hash, err = bcrypt.GenerateFromPassword([]byte(password), a.verifier.cost) }); e != nil {
		return "", e
	}
	return string(hash), err
}

// SetCost makes new hashes cost so much (bcrypt), instead of bcrypt.DefaultCost. It is
// for tests, which have no time, and comes before anything else is done.
func (a *Auth) SetCost(cost int) error {
	dummy, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	a.verifier.cost, a.verifier.dummy = cost, dummy
	return err
}

// verifier compares passwords with bcrypt hashes, and remembers for a while what
// was right.
type verifier struct {
	rightFor time.Duration // what was right is remembered
	cost     int           // of new hashes
	dummy    []byte        // compared with when there is no account: a hash of that cost
	key      []byte        // of the cache's keys; never leaves memory
	slots    chan struct{} // one for each comparison at a time
	line     chan struct{} // one for each comparison that runs or waits

	mu    sync.Mutex
	right map[[sha256.Size]byte]right
	wrong map[[sha256.Size]byte]string // the hash these credentials did not match
}

// right says that credentials matched a hash. When the account's hash is no
// longer that one, the password was changed and this says nothing.
type right struct {
	hash  string
	until time.Time
}

const (
	rightMost  = 10_000
	waitingFor = 64 // comparisons that may wait
)

// dummy is a hash, of the cost that hashes have here, of random text nobody kept.
const dummy = "$2a$10$zE/dm/cddKKPRvkAyLPosuX6E5xMonGF8w8TyB8bDC8Nyv0DJM7SW"

func newVerifier(rightFor time.Duration) *verifier {
	v := &verifier{rightFor: rightFor, cost: bcrypt.DefaultCost, dummy: []byte(dummy), key: make([]byte, 32), right: map[[sha256.Size]byte]right{}, wrong: map[[sha256.Size]byte]string{}}
	rand.Read(v.key)
	v.slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	v.line = make(chan struct{}, waitingFor)
	return v
}

// keyOf is what credentials are remembered by.
func (v *verifier) keyOf(name, password string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, v.key)
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	return [sha256.Size]byte(mac.Sum(nil))
}

// verify compares password with hash; an empty hash takes as long and is wrong.
func (v *verifier) verify(ctx context.Context, name, password, hash string) (ok bool, err error) {
	key := v.keyOf(name, password)
	if v.remembers(key, hash) {
		return true, nil
	}
	err = v.slowly(ctx, func() { ok = v.compare(key, password, hash) })
	return ok, err
}

// compare does the slow comparison, unless somebody with the same credentials was
// in front of us, and remembers what was right.
func (v *verifier) compare(key [sha256.Size]byte, password, hash string) bool {
	if v.remembers(key, hash) {
		return true
	}
	if hash == "" {
		_ = bcrypt.CompareHashAndPassword(v.dummy, []byte(password)) // for the time it takes
		return false
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return false
	}
	v.remember(key, hash)
	return true
}

// slowly runs one piece of hashing when its turn comes.
func (v *verifier) slowly(ctx context.Context, hash func()) error {
	select {
	case v.line <- struct{}{}:
		defer func() { <-v.line }()
	default:
		return fmt.Errorf("%w: too many passwords are being checked", kinto.ErrUnavailable)
	}
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	hash()
	return nil
}

func (v *verifier) remembers(key [sha256.Size]byte, hash string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.right[key]
	return ok && hash != "" && r.hash == hash && time.Now().Before(r.until)
}

// wasRight reports whether credentials matched a hash at some time.
func (v *verifier) wasRight(key [sha256.Size]byte, hash string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.right[key]
	return ok && hash != "" && r.hash == hash
}

// knowsWrong reports whether credentials are known not to match a hash.
func (v *verifier) knowsWrong(key [sha256.Size]byte, hash string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	h, ok := v.wrong[key]
	return ok && h == hash
}

func (v *verifier) rememberWrong(key [sha256.Size]byte, hash string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.wrong) >= rightMost {
		clear(v.wrong)
	}
	v.wrong[key] = hash
}

func (v *verifier) remember(key [sha256.Size]byte, hash string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.right) >= rightMost {
		clear(v.right)
	}
	v.right[key] = right{hash, time.Now().Add(v.rightFor)}
}
