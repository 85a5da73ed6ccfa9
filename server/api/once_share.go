package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// What is kept for the keys of a day is bounded for all together, and each caller may have
// a part of what is left: who asks for little finds room after others asked for much.
// Callers whose name costs nothing, since anybody may make one up, share by the address
// they come from, and have a bound apart from those whom the owner of the server knows.
// Nothing goes before its day is over: a key beyond the bound is refused, with all that
// came with it.
//
// What is taken is counted in two notes, so that no write looks through what is kept. A
// count begins anew a day after it began; at most twice the bound is on the disk.

const (
	onceAll    = 128 << 20 // bytes, for each of the two sorts of callers
	oncePart   = 8         // a caller has at most one such part of what is left
	onceBeside = 512       // bytes that an answer counts for besides itself
)

// share is whose room an answer takes.
type share struct{ all, own string } // notes

// shareOf is that of a caller.
func (c *call) shareOf(who kinto.Caller) share {
	makers := c.Settings.Kinto.List("account_create_principals")
	open := slices.Contains(makers, kinto.Everyone) || slices.Contains(makers, kinto.Authenticated)
	if strings.HasPrefix(who.ID, "basicauth:") || open && strings.HasPrefix(who.ID, "account:") {
		return share{"once-sum:anybody", "once-sum:anybody:" + front.Origin(c.r)}
	}
	return share{"once-sum:known", "once-sum:known:" + who.ID}
}

// take counts what is kept of an answer, in the transaction that keeps it.
func (s share) take(ctx context.Context, k *kinto.Service, bytes int64) error {
	bytes += onceBeside
	now := time.Now()
	all, err := readSum(ctx, k, s.all, now)
	if err != nil {
		return err
	}
	own, err := readSum(ctx, k, s.own, now)
	if err != nil {
		return err
	}
	if own.bytes+bytes > (onceAll-all.bytes)/oncePart {
		wait := own.until.Sub(now)
		if bytes > (onceAll-all.bytes)/oncePart { // whatever the caller has
			wait = all.until.Sub(now)
		}
		return noShare(wait)
	}
	if err := all.write(ctx, k, s.all, bytes); err != nil {
		return err
	}
	return own.write(ctx, k, s.own, bytes)
}

// sum is what was kept since a count began, which ends a day later.
type sum struct {
	bytes int64
	until time.Time
}

func readSum(ctx context.Context, k *kinto.Service, name string, now time.Time) (sum, error) {
	raw, err := k.Note(ctx, name)
	if err != nil || raw == nil {
		return sum{0, now.Add(onceFor)}, err
	}
	var bytes, until int64
	if _, err := fmt.Sscanf(string(raw), "%d %d", &bytes, &until); err != nil {
		return sum{}, fmt.Errorf("cannot read how much is kept for keys: %w", err)
	}
	return sum{bytes, time.UnixMilli(until)}, nil
}

func (s sum) write(ctx context.Context, k *kinto.Service, name string, more int64) error {
	return k.SetNote(ctx, name, fmt.Appendf(nil, "%d %d", s.bytes+more, s.until.UnixMilli()), s.until)
}

// noShare: so much is kept for keys that there is no room for another. Few clients know
// what to do about it: a person reads it.
func noShare(wait time.Duration) error {
	return refusal.Tell(http.StatusTooManyRequests, 117, hint.T(
		"This server keeps as many answers for Idempotency-Keys as it can for now: nothing was written. Try again later, or without a key.",
		"Ce serveur conserve pour l'instant autant de réponses pour des Idempotency-Key qu'il peut : rien n'a été écrit. Réessayez plus tard, ou sans clé.")).After(max(wait, 1))
}
