package certs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
)

// budget bounds how often a certificate is ordered for a name. It is kept where
// the certificates are, so that a server which is started again and again, or
// several that share them, stay within it. Let's Encrypt allows five failed
// validations an hour for a name, and an order may fail in two ways.
type budget struct {
	storage   certmagic.Storage
	hour, day int // orders of one name
	now       func() time.Time
}

// ordersKey is the key under which the times of orders are kept.
const ordersKey = "orders.json"

// spend counts an order for name, or returns a *Failure that says from when on
// there may be one.
func (b *budget) spend(ctx context.Context, name string) (err error) {
	if err := b.storage.Lock(ctx, ordersKey); err != nil {
		return fmt.Errorf("cannot count an order: %w", err)
	}
	defer func() { err = errors.Join(err, b.storage.Unlock(context.WithoutCancel(ctx), ordersKey)) }()
	orders := map[string][]time.Time{}
	data, err := b.storage.Load(ctx, ordersKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("cannot read how many orders there were: %w", err)
	case json.Unmarshal(data, &orders) != nil: // not ours, or torn: begin anew
		orders = map[string][]time.Time{}
	}
	now := b.now()
	for n, times := range orders {
		// What is ahead of the clock was written while it was wrong.
		times = slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) > day || t.After(now) })
		if orders[n] = times; len(times) == 0 {
			delete(orders, n)
		}
	}
	times := orders[name]
	if until := later(after(times, b.day, day), after(times, b.hour, time.Hour)); until.After(now) {
		return heldBackUntil(name, until)
	}
	orders[name] = append(times, now)
	if data, err = json.Marshal(orders); err != nil {
		return err
	}
	if err := b.storage.Store(ctx, ordersKey, data); err != nil {
		return fmt.Errorf("cannot count an order: %w", err)
	}
	return nil
}

// after is when fewer than most of times lie within the span; zero: now.
func after(times []time.Time, most int, span time.Duration) time.Time {
	if len(times) < most {
		return time.Time{}
	}
	return times[len(times)-most].Add(span)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
