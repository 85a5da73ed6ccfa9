package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// How passwords may be guessed, by the name they are for and by where they come
// from: so often, then a pause that doubles. What was wrong is forgotten some time
// after the last of it. The same wrong password again is no further guess: an app
// that was not told of a new password pauses nobody.
const (
	wrongAtOnce  = 20
	wrongFrom    = 60 // from one address, whatever the names
	longestWrong = 15 * time.Minute
	wrongForget  = time.Hour
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

// limit is one count of wrong passwords. It is a note in the store, so that a
// restart forgets nothing.
type limit struct {
	key    string
	atOnce int
}

func limits(name, from string) []limit {
	all := []limit{{"limit:name:" + name, wrongAtOnce}}
	if from != "" {
		all = append(all, limit{"limit:from:" + from, wrongFrom})
	}
	return all
}

func (l limit) read(tx kinto.Reader) (g guesses, err error) {
	text, err := tx.Note(l.key)
	if err != nil || text == nil {
		return g, err
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("cannot read how often a password was tried: %w", err)
	}
	return g, nil
}

// paused is how long to wait before a password may be tried again.
func (a *Auth) paused(ctx context.Context, all []limit) (wait time.Duration, err error) {
	now := time.Now()
	err = a.store.Read(ctx, func(tx kinto.Reader) error {
		wait = 0
		for _, l := range all {
			g, err := l.read(tx)
			if err != nil {
				return err
			}
			wait = max(wait, g.Until.Sub(now))
		}
		return nil
	})
	return wait, err
}

// wrong counts a wrong password.
func (a *Auth) wrong(ctx context.Context, all []limit) error {
	return a.store.Write(ctx, nil, func(tx kinto.Tx) error {
		now := time.Now()
		for _, l := range all {
			g, err := l.read(tx)
			if err != nil {
				return err
			}
			g.Tries++
			if pause := pauseAfter(g.Tries, l.atOnce, longestWrong); pause > 0 {
				g.Until = now.Add(pause)
			}
			text, err := json.Marshal(g)
			if err != nil {
				return err
			}
			if err := tx.SetNote(l.key, text, now.Add(longestWrong+wrongForget)); err != nil {
				return err
			}
		}
		return nil
	})
}

// guarded compares a password with a hash as verify does, and counts what is wrong
// before it says so. While there is a pause nothing is compared, but who was right
// since this server started is let in: a stranger's guesses keep nobody out whose
// device is known.
func (a *Auth) guarded(ctx context.Context, name, password, hash, from string) (ok bool, err error) {
	all := limits(short(name, nameBytes), from)
	v := a.verifier
	key := v.keyOf(name, password)
	switch {
	case v.remembers(key, hash):
		return true, nil
	case v.knowsWrong(key, hash):
		return false, nil
	}
	var outcome error
	err = v.slowly(ctx, func() {
		wait, e := a.paused(ctx, all)
		switch {
		case e != nil:
			outcome = e
			return
		case wait > 0 && v.wasRight(key, hash):
			ok = true
			return
		case wait > 0:
			outcome = signinPaused(wait).Because(kinto.ErrUnavailable)
			return
		}
		if ok = v.compare(key, password, hash); !ok {
			outcome = a.wrong(ctx, all)
			v.rememberWrong(key, hash)
		}
	})
	return ok, errors.Join(err, outcome)
}

// counts reports whether wrong passwords of API requests are counted: not where
// anybody may be somebody by any password.
func (a *Auth) counts() bool { return !slices.Contains(a.policies, "basicauth") }
