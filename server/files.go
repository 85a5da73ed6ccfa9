package server

import (
	"context"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/attachment"
)

// How often the contents of attachments are looked through for those that nobody
// refers to any more, and how long after an upload they are left alone: the record
// that will refer to them may still be on its way.
const (
	collectEvery = time.Hour
	collectAfter = time.Hour
)

// While a backup lags that has not brought away what changed since so long, nothing is collected,
// but for no longer than that: a record in between may refer to it.
const (
	lagsFrom = 10 * time.Minute
	lagsTo   = 72 * time.Hour
)

func openFiles(set *config.Settings) (*attachment.Folder, error) {
	dir := set.Kinto.String("attachment.base_path")
	if dir == "" {
		dir = filepath.Join(set.Data, "attachments")
	}
	return attachment.Open(dir)
}

// collector takes away the contents of attachments that no record refers to any more.
type collector struct{ *server }

// collect clears contents away until ctx ends.
func (s collector) collect(ctx context.Context) {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := time.Now(); !s.lags(ctx, now) {
			s.collectOnce(ctx, now.Add(-collectAfter))
		}
	}
}

// lags reports whether somebody who copies the data lags, and may still want contents that no
// record refers to any more.
func (s collector) lags(ctx context.Context, now time.Time) bool {
	followed, ok := s.store.(interface {
		Unshipped(context.Context) (time.Time, error)
	})
	if !ok {
		return false
	}
	since, err := followed.Unshipped(ctx)
	if err != nil {
		s.Log.Warn("whether a backup lags is not known", "err", err)
		return true // the next time tells
	}
	lag := now.Sub(since)
	return !since.IsZero() && lag > lagsFrom && lag < lagsTo
}

// collectOnce clears away what was not put since before and is in no record.
func (s collector) collectOnce(ctx context.Context, before time.Time) {
	files, bytes, err := s.files.Collect(ctx, before, func(hash string) (bool, error) { return s.kinto.Holds(ctx, hash) })
	switch {
	case ctx.Err() != nil:
	case err != nil:
		// Nothing is lost by it but room; the next time tries again.
		s.Log.Warn("attachments nobody refers to could not be cleared away", "err", err)
	case files > 0:
		s.Log.Info("attachments nobody refers to any more were cleared away", "files", files, "bytes", bytes)
	}
}
