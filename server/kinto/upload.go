package kinto

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Contents that no record has any more stay on the disk for an hour or two, since they may
// be on their way to another record. So that nobody fills it by uploading and deleting in
// turn, what an owner's buckets take in has a pace, where attachments have a quota: twice
// the quota at once, and half of it in each hour. What is on the disk of an owner is then
// at most four times the quota: what was attached two hours ago, and what came since.

const (
	uploadsAtOnce = 2             // quotas
	uploadsRefill = 2 * time.Hour // for a whole quota
)

// uploaded is how much an owner's buckets took in and is not forgotten: what is noted, and
// when that was.
func (b *bill) uploaded(tx Reader, now time.Time) (int64, error) {
	raw, err := tx.Note(b.uploads())
	if err != nil || raw == nil {
		return 0, err
	}
	level, at, _ := strings.Cut(string(raw), " ")
	bytes, err := strconv.ParseInt(level, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read how much was uploaded: %w", err)
	}
	since, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read when that was: %w", err)
	}
	forgotten := float64(b.FileBytes) * float64(max(0, now.UnixMilli()-since)) / float64(uploadsRefill.Milliseconds())
	return max(0, bytes-int64(min(forgotten, float64(bytes)))), nil
}

// uploads is the name of the note.
func (b *bill) uploads() string { return "uploads:" + b.owner }

// upload notes what a record is given, or refuses it when too much came of late.
func (b *bill) upload(tx Tx, f *File) error {
	if b == nil || b.FileBytes == 0 || f == nil {
		return nil
	}
	now := time.Now()
	level, err := b.uploaded(tx, now)
	if err != nil {
		return err
	}
	if f.Size > b.FileBytes {
		return &QuotaError{What: "attachment_bytes", Limit: b.FileBytes, Used: b.before.FileBytes}
	}
	if most := uploadsAtOnce * b.FileBytes; level > most-f.Size {
		return b.tooFast(level, f.Size)
	}
	level += f.Size
	return tx.SetNote(b.uploads(), fmt.Appendf(nil, "%d %d", level, now.UnixMilli()), now.Add(b.forgets(level)))
}

// forgets is how long it takes until so many bytes are forgotten.
func (b *bill) forgets(bytes int64) time.Duration {
	return time.Duration(float64(bytes)/float64(b.FileBytes)*float64(uploadsRefill)) + time.Millisecond
}

func (b *bill) tooFast(level, size int64) *QuotaError {
	most := uploadsAtOnce * b.FileBytes
	return &QuotaError{What: "uploaded_bytes", Limit: most, Used: level, Wait: b.forgets(level + size - most)}
}

// room is how large the attachment of an object may be: what is left of the quota, and what
// the one that it replaces frees. Without any, that is an error.
func (b *bill) room(tx Reader, l List, id string) (Room, error) {
	if b.FileBytes == 0 {
		return Room{Bytes: -1}, nil
	}
	room := Room{max(0, b.FileBytes-b.before.FileBytes), &QuotaError{What: "attachment_bytes", Limit: b.FileBytes, Used: b.before.FileBytes}}
	f, err := tx.Attached(l, id)
	if err != nil {
		return room, err
	}
	if f != nil {
		room.Bytes += f.Size
	}
	level, err := b.uploaded(tx, time.Now())
	if err != nil {
		return room, err
	}
	if slower := uploadsAtOnce*b.FileBytes - level; slower < room.Bytes {
		room = Room{slower, b.tooFast(level, slower+1)}
	}
	if room.Bytes <= 0 {
		return room, room.Err
	}
	return room, nil
}
