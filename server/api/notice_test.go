package api

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// However often something goes wrong, the log is told once a minute, and how often it was.
func TestTroubleIsToldOnceAMinute(t *testing.T) {
	t.Attr("shows", "mend2")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := newNotices(slog.New(slog.NewTextHandler(&log, nil)))
		for range 10 * 60 * 100 { // 100 a second for ten minutes
			n.error("the disk is full", errors.New("no space left"))
			time.Sleep(10 * time.Millisecond)
		}
		n.error("something else", errors.New("at once"))
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 11 || !strings.Contains(lines[0], "times=1\n") && !strings.HasSuffix(lines[0], "times=1") || !strings.HasSuffix(lines[1], "times=6000") || !strings.Contains(lines[10], "something else") {
			t.Errorf("%d lines:\n%s", len(lines), log.String())
		}
	})
}

// Whoever is turned away since others guess passwords is told so, and when to come again;
// the log is not told that anything is wrong.
func TestBusyIsNotBroken(t *testing.T) {
	t.Attr("shows", "mend2")
	var log bytes.Buffer
	s := withUsers(t, withAccounts)
	a := s.Handler.(*api)
	a.notices = newNotices(slog.New(slog.NewTextHandler(&log, nil)))
	for n := range 25 {
		r := httptest.NewRequest("GET", "/v1/buckets", nil)
		r.SetBasicAuth("alice", fmt.Sprint("guess ", n))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	r := httptest.NewRequest("GET", "/v1/buckets", nil)
	r.RemoteAddr = "198.51.100.7:1"
	r.SetBasicAuth("alice", "another guess")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "Too many wrong passwords") || w.Header().Get("Retry-After") != "60" || strings.Contains(w.Body.String(), "overload") {
		t.Errorf("%d, Retry-After %s: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if log.Len() > 0 {
		t.Errorf("the log: %s", log.String())
	}
}

// An error is what it is, whatever is wrapped around it.
func TestWrappedErrorsAreKnown(t *testing.T) {
	t.Attr("shows", "mend2")
	a := newServer(t, nil).(*api)
	for _, c := range []struct {
		err    error
		status int
	}{
		{kinto.Invalid("body", "x", "y"), 400},
		{&kinto.NotFoundError{Kind: kinto.Bucket, ID: "b"}, 404},
		{&kinto.ModifiedError{Timestamp: 1}, 412},
		{&kinto.NotModifiedError{Timestamp: 1}, 304},
		{&kinto.QuotaError{What: "records"}, 507},
		{&kinto.BusyError{What: "passwords"}, 503},
		{kinto.ErrForbidden, 403},
		{kinto.ErrFull, 507},
		{kinto.ErrOwner, 403},
		{kinto.ErrConflict, 409},
		{errTooLarge, 413},
	} {
		for _, err := range []error{c.err, fmt.Errorf("in a batch: %w", c.err), errors.Join(errors.New("also"), c.err)} {
			w := httptest.NewRecorder()
			(&call{api: a, w: w, r: httptest.NewRequest("GET", "/v1/", nil), kinto: a.Kinto}).fail(err)
			if w.Code != c.status {
				t.Errorf("%v: %d, want %d", err, w.Code, c.status)
			}
		}
	}
}

// Damage is told as damage, by every way to an answer; what else is not available is busy.
func TestDamageIsNotOverload(t *testing.T) {
	t.Attr("shows", "mend2")
	a := newServer(t, nil).(*api)
	damage := hint.New("database-damaged", hint.T("The database is damaged.", "La base est endommagée."), hint.Text{}, hint.Text{})
	for err, says := range map[error]string{
		fmt.Errorf("%w: %w", kinto.ErrUnavailable, damage): "The database is damaged.",
		kinto.ErrUnavailable: refusal.Busy.Message,
		fmt.Errorf("%w: %w", kinto.ErrUnavailable, hint.New("data-gone", hint.T("/srv/data.db is gone.", ""), hint.Text{}, hint.Text{})): refusal.Busy.Message,
	} {
		w := httptest.NewRecorder()
		(&call{api: a, w: w, r: httptest.NewRequest("GET", "/v1/", nil), kinto: a.Kinto}).fail(err)
		if w.Code != 503 || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%v: %d %s, want %q", err, w.Code, w.Body, says)
		}
	}
}
