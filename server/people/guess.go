package people

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// How passwords may be guessed, by the name they are for and by where they come
// from: so often, then a pause that doubles. What was wrong is forgotten some time
// after the last of it. The same wrong password again is no further guess: an app
// that was not told of a new password pauses nobody.
//
// A device that showed the right password before is known: a browser by a signed
// cookie (a device cookie, as OWASP calls it), an API client by name and address. It
// has a few tries of its own, which strangers cannot use up; when they are gone it is a
// stranger like others for the rest of the day.
//
// A try is counted before it is compared, in memory, and where it was wrong in the
// store before the answer: of any number made at once no more are compared than there
// are tries. Nodes that share a store count what is under way each for itself.
const (
	wrongAtOnce  = 20
	wrongFrom    = 60 // from one address, whatever the names
	wrongKnown   = 5  // of a known device, in wrongDay
	wrongDay     = 24 * time.Hour
	firstPause   = time.Minute
	longestWrong = 15 * time.Minute
	wrongForget  = time.Hour

	knownFor   = 90 * 24 * time.Hour // since an API client was last right
	knownAgain = 24 * time.Hour      // how exactly that is known
)

// pauseAfter is the pause after so many tries: none, but after each atOnce of them.
func pauseAfter(tries, atOnce int, longest time.Duration) time.Duration {
	if tries%atOnce != 0 {
		return 0
	}
	pause := firstPause
	for i := tries / atOnce; i > 1 && pause < longest; i-- {
		pause *= 2
	}
	return min(pause, longest)
}

// From is where a password was typed.
type From struct {
	// Address is where the request came from, as guesses are counted by it (front.Origin);
	// empty: it is not known.
	Address string
	// Device is the device cookie the browser came with; empty: none.
	Device string
}

// passwords checks passwords of accounts, and limits how they are guessed.
type passwords struct {
	store    kinto.Store
	verifier *verifier
	anybody  bool // any name and password is somebody (the policy basicauth)

	mu       sync.Mutex
	underway map[string]int // tries being compared, by limit
	calls    map[digested]*call
}

// call is a comparison that several wait for.
type call struct {
	done chan struct{}
	ok   bool
	err  error
}

func newPasswords(store kinto.Store, k config.Kinto) *passwords {
	return &passwords{
		store: store, verifier: newVerifier(time.Duration(k.Int("account_cache_ttl_seconds", 30)) * time.Second),
		anybody: slices.Contains(k.List("multiauth.policies"), "basicauth"), underway: map[string]int{}, calls: map[digested]*call{},
	}
}

// limit is one count of wrong passwords. It is a note in the store, so that a
// restart forgets nothing.
type limit struct {
	key    string
	atOnce int
}

// guesses is what such a note holds.
type guesses struct {
	Tries int       `json:"tries"`
	Until time.Time `json:"until,omitzero"` // no further try before
}

// known is what is kept of a device that showed the right password.
type known struct {
	Seen  time.Time `json:"seen,omitzero"` // of an API client: when it was last right
	Tries int       `json:"tries,omitempty"`
	Day   time.Time `json:"day,omitzero"` // when those tries are forgotten
}

func (k known) left(now time.Time) int {
	if !now.Before(k.Day) {
		return wrongKnown
	}
	return wrongKnown - k.Tries
}

func readNote(tx kinto.Reader, key string, into any) (found bool, err error) {
	text, err := tx.Note(key)
	if err != nil || text == nil {
		return false, err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return false, fmt.Errorf("cannot read how often a password was tried: %w", err)
	}
	return true, nil
}

func writeNote(tx kinto.Tx, key string, value any, until time.Time) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.SetNote(key, text, until)
}

// lane is by what a try is counted: by a known device, or else by name and address.
type lane struct {
	device string // key of the known device; empty: a stranger's
	limits []limit
}

// enter counts a try that is about to be made, by its device where that is known and
// has tries left. wait is how long to wait instead, and then nothing is counted. What is
// under way is counted first and what was wrong is read after that, so that every other
// try is in one of them; one may be in both, and then somebody is turned away for it.
func (p *passwords) enter(ctx context.Context, t try) (l lane, wait time.Duration, err error) {
	if t.device != "" {
		l = lane{device: t.device, limits: []limit{{t.device, wrongKnown}}}
		now := p.count(l)
		left := 0
		err = p.store.Read(ctx, func(tx kinto.Reader) error {
			var k known
			found, err := readNote(tx, t.device, &k)
			left = 0
			if found && !k.Seen.IsZero() || t.signed {
				left = k.left(time.Now())
			}
			return err
		})
		if err == nil && now[0] <= left {
			return l, 0, nil
		}
		p.uncount(l)
		if err != nil {
			return l, 0, err
		}
	}
	l = lane{limits: []limit{{"limit:name:" + short(t.name, nameBytes), wrongAtOnce}}}
	if t.address != "" && !p.anybody {
		l.limits = append(l.limits, limit{"limit:from:" + t.address, wrongFrom})
	}
	now := p.count(l)
	err = p.store.Read(ctx, func(tx kinto.Reader) error {
		wait = 0
		for i, one := range l.limits {
			var g guesses
			if _, err := readNote(tx, one.key, &g); err != nil {
				return err
			}
			wait = max(wait, time.Until(g.Until))
			if now[i] > one.atOnce-g.Tries%one.atOnce {
				wait = max(wait, time.Second) // for those that are being compared
			}
		}
		return nil
	})
	if err != nil || wait > 0 {
		p.uncount(l)
	}
	return l, wait, err
}

// count counts a try that is under way, and returns how many there are by each limit.
func (p *passwords) count(l lane) (now []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range l.limits {
		p.underway[one.key]++
		now = append(now, p.underway[one.key])
	}
	return now
}

// uncount takes back what count counted, once the outcome is in the store.
func (p *passwords) uncount(l lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range l.limits {
		if p.underway[one.key]--; p.underway[one.key] <= 0 {
			delete(p.underway, one.key)
		}
	}
}

// wrong keeps that a try was wrong.
func (p *passwords) wrong(ctx context.Context, l lane) error {
	return p.store.Write(ctx, nil, func(tx kinto.Tx) error {
		now := time.Now()
		if l.device != "" {
			var k known
			if _, err := readNote(tx, l.device, &k); err != nil {
				return err
			}
			if !now.Before(k.Day) {
				k.Tries, k.Day = 0, now.Add(wrongDay)
			}
			k.Tries++
			return writeNote(tx, l.device, k, later(k.Seen.Add(knownFor), k.Day))
		}
		for _, one := range l.limits {
			var g guesses
			if _, err := readNote(tx, one.key, &g); err != nil {
				return err
			}
			g.Tries++
			if pause := pauseAfter(g.Tries, one.atOnce, longestWrong); pause > 0 {
				g.Until = now.Add(pause)
			}
			if err := writeNote(tx, one.key, g, now.Add(longestWrong+wrongForget)); err != nil {
				return err
			}
		}
		return nil
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// met keeps that an API client was right.
func (p *passwords) met(ctx context.Context, device string) error {
	now := time.Now().UTC().Truncate(time.Second)
	var k known
	err := p.store.Read(ctx, func(tx kinto.Reader) error {
		k = known{}
		_, err := readNote(tx, device, &k)
		return err
	})
	if err != nil || now.Sub(k.Seen) < knownAgain {
		return err
	}
	err = p.store.Write(ctx, nil, func(tx kinto.Tx) error {
		k = known{}
		if _, err := readNote(tx, device, &k); err != nil {
			return err
		}
		k.Seen = now
		return writeNote(tx, device, k, now.Add(knownFor))
	})
	if errors.Is(err, kinto.ErrFull) || errors.Is(err, kinto.ErrUnavailable) {
		return nil // who can read is let in; the next time tries again
	}
	return err
}

// try is one password to check.
type try struct {
	name, password, hash string // hash: of the account; empty: there is none
	address              string
	device               string // key of the note about it; empty: none
	signed               bool   // the device is known whether there is a note or not
	client               bool   // of the API: it is known once it was right
}

// check reports whether a password is right. Errors are a *kinto.BusyError when too
// many are being checked, and in a pause a *hint.Error with code signin-paused which
// wraps one.
func (p *passwords) check(ctx context.Context, t try) (ok bool, err error) {
	v := p.verifier
	t.password = normal(t.password)
	who, password := v.of(t.name, t.address), v.of(t.password)
	credentials := v.of(t.name, t.password)
	if t.client && t.address != "" && v.remembers(who, password, t.hash) {
		return true, nil
	}
	if v.knowsWrong(credentials, t.hash) {
		return false, nil
	}
	same := v.of(t.name, t.password, t.hash, t.address, t.device)
	for {
		p.mu.Lock()
		c := p.calls[same]
		first := c == nil
		if first {
			c = &call{done: make(chan struct{})}
			p.calls[same] = c
		}
		p.mu.Unlock()
		if first {
			c.ok, c.err = p.checkOnce(ctx, t, who, password, credentials)
			p.mu.Lock()
			delete(p.calls, same)
			p.mu.Unlock()
			close(c.done)
			return c.ok, c.err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if !errors.Is(c.err, context.Canceled) && !errors.Is(c.err, context.DeadlineExceeded) {
			return c.ok, c.err
		}
		// Whoever was first went away; we are not.
	}
}

// checkOnce counts, compares, and keeps what came of it.
func (p *passwords) checkOnce(ctx context.Context, t try, who, password, credentials digested) (ok bool, err error) {
	v := p.verifier
	counted := !p.anybody || t.hash != "" // where anybody is somebody, by accounts alone
	l := lane{}
	if counted {
		var wait time.Duration
		if l, wait, err = p.enter(ctx, t); err != nil {
			return false, err
		}
		if wait > 0 {
			v.forget(who) // else the right one, and no other, would be let in
			return false, signinPaused(wait).Because(&kinto.BusyError{What: "wrong passwords", Wait: wait})
		}
		defer p.uncount(l)
	}
	queue, caller := v.strange, t.address
	if l.device != "" {
		queue, caller = v.familiar, t.name
	}
	if err := hashing(ctx, queue, caller, func() { ok = v.compare(t.password, t.hash) }); err != nil {
		return false, err
	}
	// The outcome is kept even when whoever asked does not wait for it.
	ctx = context.WithoutCancel(ctx)
	if !ok {
		if counted {
			err = p.wrong(ctx, l)
		}
		v.rememberWrong(credentials, t.hash)
		return false, err
	}
	if t.client {
		if t.device != "" {
			if err := p.met(ctx, t.device); err != nil {
				return false, err
			}
		}
		v.remember(who, password, t.hash)
	}
	return true, nil
}

// deviceNames is how many names one browser is known for.
const deviceNames = 5

// knownDevice is one name in a device cookie.
type knownDevice struct {
	Name string    `json:"n"`
	ID   string    `json:"i"`
	Made time.Time `json:"m"`
}

// DeviceFor is how long a browser is to keep a device cookie.
const DeviceFor = 180 * 24 * time.Hour

// readDevice reads a device cookie: those parts of it that are ours.
func (c *core) readDevice(ctx context.Context, cookie string) (all []knownDevice, err error) {
	for part := range strings.SplitSeq(cookie, ".") {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || len(raw) < sha256.Size || len(all) >= deviceNames {
			continue
		}
		want, err := c.sign(ctx, "device", raw[sha256.Size:])
		if err != nil {
			return nil, err
		}
		var d knownDevice
		if !hmac.Equal(want, raw[:sha256.Size]) || json.Unmarshal(raw[sha256.Size:], &d) != nil || time.Since(d.Made) > DeviceFor {
			continue
		}
		all = append(all, d)
	}
	return all, nil
}

// DeviceCookie is what a browser is to be given as its device cookie, once name has
// signed in on it; old is the one it came with.
func (c *core) DeviceCookie(ctx context.Context, old, name string) (string, error) {
	all, err := c.readDevice(ctx, old)
	if err != nil {
		return "", err
	}
	d := knownDevice{Name: name, ID: newID()}
	for i := range all {
		if all[i].Name == name {
			d.ID = all[i].ID // with the tries it has left
		}
	}
	d.Made = time.Now().UTC().Truncate(time.Second)
	all = slices.DeleteFunc(all, func(o knownDevice) bool { return o.Name == name })
	all = append([]knownDevice{d}, all[:min(len(all), deviceNames-1)]...)
	var parts []string
	for _, d := range all {
		text, err := json.Marshal(d)
		if err != nil {
			return "", err
		}
		mac, err := c.sign(ctx, "device", text)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(append(mac, text...)))
	}
	return strings.Join(parts, "."), nil
}

// prove is nil when password is that of the account; session is the id of the session
// in which it was typed, or empty.
func (c *core) prove(ctx context.Context, name, password string, from From, session string) error {
	hash, err := c.hashOf(ctx, name)
	if err != nil {
		return err
	}
	t := try{name: name, password: password, hash: hash, address: from.Address}
	if session != "" {
		t.device, t.signed = "device:session:"+session, true
	} else {
		all, err := c.readDevice(ctx, from.Device)
		if err != nil {
			return err
		}
		for _, d := range all {
			if d.Name == name {
				t.device, t.signed = "device:browser:"+d.ID, true
			}
		}
	}
	ok, err := c.check(ctx, t)
	if err == nil && !ok {
		err = signinWrong()
	}
	return err
}

// ByPassword reports whether an API client that comes from an address may act as the
// account name: password is the one people choose. Errors are those of the store, and
// a *kinto.BusyError when too many are being checked and in a pause.
func (c *core) ByPassword(ctx context.Context, name, password, address string) (bool, error) {
	if !kinto.Account.ValidID(name) {
		return false, nil
	}
	hash, err := c.hashOf(ctx, name)
	if err != nil {
		return false, err
	}
	t := try{name: name, password: password, hash: hash, address: address, client: true}
	if address != "" && hash != "" {
		t.device = fmt.Sprintf("device:client:%x", digest(name + "\x00" + address)[:16])
	}
	return c.check(ctx, t)
}

func signinWrong() *hint.Error {
	return hint.New("signin-wrong",
		hint.T("This name and password do not belong together.", "Ce nom et ce mot de passe ne vont pas ensemble."), hint.Text{},
		hint.T("Try again. If the password is lost, ask the owner for a reset link; the owner types on the server: sudo foyer claim --reset", "Réessayez. Si le mot de passe est perdu, demandez un lien au propriétaire ; le propriétaire tape sur le serveur : sudo foyer claim --reset"))
}

func signinPaused(wait time.Duration) *hint.Error {
	minutes := int((wait + time.Minute - 1) / time.Minute)
	return hint.New("signin-paused",
		hint.T("Wrong passwords were tried too often.", "Trop de mauvais mots de passe ont été essayés."), hint.Text{},
		hint.T("Try again in %d min. A passkey works meanwhile.", "Réessayez dans %d min. Une clé d'accès marche entre-temps.", minutes))
}
