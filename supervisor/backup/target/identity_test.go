package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// Whatever a foyer-target.json holds, it is an identity or refused; and an identity is
// written as it was read.
func FuzzIdentity(f *testing.F) {
	f.Add(newIdentity().text())
	f.Add([]byte(`{"foyer":"target","format":2}`))
	f.Add([]byte(`{"foyer":"target","format":1,"id":"00112233445566778899aabbccddeeff","made":"2026-11-27T12:00:00Z","sum":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		i, err := parseIdentity(text)
		if err != nil {
			if !errors.Is(err, errDamaged) && !errors.Is(err, errNewer) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := parseIdentity(i.text())
		if err != nil || again.ID != i.ID || !again.Made.Equal(i.Made) {
			t.Errorf("%+v became %+v, %v", i, again, err)
		}
	})
}

func TestIdentities(t *testing.T) {
	a, b := newIdentity(), newIdentity()
	if a.ID == b.ID {
		t.Error("two have one id")
	}
	if got, err := parseIdentity(a.text()); err != nil || got.ID != a.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if !bytes.HasPrefix(a.text(), []byte(`{"foyer":"target","format":1,"id":"`)) {
		t.Errorf("%s", a.text())
	}
}

// Each way in which a disk fails has its error for callers and for people.
func TestErrorsOfDisks(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind error
		code string
	}{
		{syscall.ENOSPC, ErrFull, "target-full"},
		{syscall.EDQUOT, ErrFull, "target-full"},
		{syscall.EROFS, ErrReadOnly, "target-readonly"},
		{syscall.EACCES, ErrDenied, "target-denied"},
		{syscall.EPERM, ErrDenied, "target-denied"},
		{syscall.EIO, ErrFailing, "target-failing"},
		{syscall.ENODEV, ErrAway, "target-away"},
		{syscall.ESTALE, ErrAway, "target-away"},
		{syscall.ENOTCONN, ErrAway, "target-away"},
		{fmt.Errorf("%w: %w", ErrSlow, context.DeadlineExceeded), ErrSlow, "target-slow"},
		{context.Canceled, context.Canceled, ""},
		{ErrExists, ErrExists, ""},
		{other("/mnt", nil), ErrOther, "target-other"},
	} {
		cause := c.err
		if errno, ok := cause.(syscall.Errno); ok {
			cause = fmt.Errorf("cannot write: %w", &fs.PathError{Op: "write", Path: "x", Err: errno})
		}
		err := explain("/mnt/usb", cause)
		if !errors.Is(err, c.kind) || !errors.Is(err, c.err) {
			t.Errorf("%v: %v", c.err, err)
		}
		e := hint.Find(err)
		if e == nil != (c.code == "") || e != nil && (e.Code != c.code || e.Do.IsZero()) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}
