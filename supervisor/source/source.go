// Package source is the log of changes of the server's data, copies of them and the contents
// of attachments, as the supervisor gets them over the socket of those two
// (docs/control.md#the-log-of-changes).
//
// It hides that the server has them: a Source is a changelog.Source like the store itself,
// and its errors are the same. What is asked for at once may be as large as one likes: the
// server is asked for a small part of it at a time.
//
// Promises: an answer that was cut short is an error, and a commit of which not all came is
// passed on to nobody. When the server goes, or is too busy, the error is ErrAway, and
// asking again later helps. What is kept in memory is one line, or of the log one commit.
// Nothing has a time limit but its context.
//
// Used by whoever makes backups.
package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
)

// Errors that callers tell apart, besides changelog.ErrCut, ErrNoPlace and ErrDamaged, and fs.ErrNotExist
// of File.
var (
	// ErrAway: the server is not there, went away, or has something else to do: asking again
	// later helps.
	ErrAway = errors.New("the server is away, or busy")
	// ErrUnsupported: the server's kind of database cannot be followed.
	ErrUnsupported = errors.New("this kind of database cannot be followed")
)

// Source asks a server. It is safe for concurrent use.
type Source struct{ client http.Client }

var _ changelog.Source = (*Source)(nil)

// Dial asks the server behind a socket. Nothing is asked before the first call.
func Dial(socket string) *Source {
	return &Source{http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
		DisableKeepAlives:  true, // the server may be another one the next time
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// partBytes is how many bytes of lines are asked for at a time.
const partBytes = 4 << 20

// Follow implements changelog.Source.
func (s *Source) Follow(ctx context.Context, name string) (at changelog.Position, err error) {
	err = s.get(ctx, http.MethodPost, followers+url.PathEscape(name), &at)
	return at, err
}

const followers = "/log/followers/"

// Unfollow implements changelog.Source.
func (s *Source) Unfollow(ctx context.Context, name string) error {
	return s.tell(ctx, http.MethodDelete, followers+url.PathEscape(name), nil)
}

// Acknowledge implements changelog.Source.
func (s *Source) Acknowledge(ctx context.Context, name string, upTo changelog.Position) error {
	return s.tell(ctx, http.MethodPost, followers+url.PathEscape(name)+"/acknowledge", upTo)
}

// Changes implements changelog.Source.
func (s *Source) Changes(ctx context.Context, after changelog.Position, bytes int, each func(changelog.Entry) error) error {
	for left := max(bytes, 0); ; {
		q := url.Values{"seq": {strconv.FormatInt(after.Seq, 10)}, "sum": {after.Sum}, "bytes": {strconv.Itoa(min(left, partBytes))}}
		e := entries{after: after, each: each}
		end, err := s.lines(ctx, "/log?"+q.Encode(), e.take)
		if err == nil {
			err = e.pass()
		}
		if err != nil {
			return err
		}
		if left -= e.passed; left <= 0 || !end.More {
			return nil
		}
		after = e.after
	}
}

// entries makes commits of lines.
type entries struct {
	each   func(changelog.Entry) error
	after  changelog.Position // of the last one that was begun
	open   changelog.Entry
	is     bool // open is one
	passed int  // bytes of lines
}

// take takes in one line.
func (e *entries) take(text []byte) error {
	if !bytes.HasPrefix(text, []byte(`{"seq":`)) {
		if !e.is {
			return fmt.Errorf("%w: a change belongs to no commit", changelog.ErrNoLine)
		}
		e.open.Lines = append(e.open.Lines, text...)
		return nil
	}
	if err := e.pass(); err != nil {
		return err
	}
	l, err := changelog.Parse(text)
	if err != nil {
		return err
	}
	if l.Seq <= e.after.Seq || l.Sum == "" {
		return fmt.Errorf("%w: commit %d follows %d", changelog.ErrNoLine, l.Seq, e.after.Seq)
	}
	e.after = changelog.Position{Seq: l.Seq, Sum: l.Sum}
	e.open, e.is = changelog.Entry{Position: e.after, Time: l.Time, Lines: e.open.Lines[:0]}, true
	return nil
}

// pass passes on the commit whose lines have all come.
func (e *entries) pass() error {
	if !e.is {
		return nil
	}
	e.is = false
	e.passed += len(e.open.Lines)
	return e.each(e.open)
}

// Copy implements changelog.Source.
func (s *Source) Copy(ctx context.Context, after string, bytes int, each func(line []byte) error) (next string, at changelog.Position, err error) {
	for left := max(bytes, 0); ; {
		q := url.Values{"after": {after}, "bytes": {strconv.Itoa(min(left, partBytes))}}
		end, err := s.lines(ctx, "/base?"+q.Encode(), func(text []byte) error {
			left -= len(text)
			return each(text)
		})
		if err == nil && (end.Position == nil || end.More != (end.Next != "")) {
			err = fmt.Errorf("%w: an end without a place", changelog.ErrNoLine)
		}
		if err != nil {
			return "", changelog.Position{}, err
		}
		if left <= 0 || !end.More {
			return end.Next, *end.Position, nil
		}
		after = end.Next
	}
}

// Summarize implements changelog.Source.
func (s *Source) Summarize(ctx context.Context, notes time.Time) (*changelog.Summary, changelog.Position, error) {
	var out changelog.Summarized
	err := s.get(ctx, http.MethodGet, "/summary?notes="+strconv.FormatInt(notes.UnixMilli(), 10), &out)
	if err == nil && out.Summary == nil {
		err = errors.New("the server's summary says nothing")
	}
	return out.Summary, out.Position, err
}

// Files implements changelog.Source.
func (s *Source) Files(ctx context.Context, each func(hash string, size int64) error) error {
	for after := ""; ; {
		end, err := s.lines(ctx, "/files?after="+url.QueryEscape(after), func(text []byte) error {
			c, err := changelog.ParseContents(text)
			if err == nil && c.Hash <= after {
				err = fmt.Errorf("%w: %.80q comes after %.80q", changelog.ErrNoLine, c.Hash, after)
			}
			if err != nil {
				return err
			}
			after = c.Hash
			return each(c.Hash, c.Size)
		})
		if err != nil || !end.More {
			return err
		}
	}
}

// File opens the contents of an attachment by their hash, from an offset on, and returns how
// many bytes they have in all. A read that ends before that is an error. Nothing kept under
// that hash is fs.ErrNotExist. Whoever keeps the contents compares them with the hash.
func (s *Source) File(ctx context.Context, hash string, offset int64) (body io.ReadCloser, size int64, err error) {
	if offset < 0 {
		return nil, 0, fmt.Errorf("an attachment has no byte %d", offset)
	}
	resp, err := s.ask(ctx, http.MethodGet, "/file/"+url.PathEscape(hash), nil, "bytes="+strconv.FormatInt(offset, 10)+"-")
	if err != nil {
		return nil, 0, err
	}
	_, all, ranged := strings.Cut(resp.Header.Get("Content-Range"), "/")
	size, err = strconv.ParseInt(all, 10, 64)
	switch {
	case ranged && err == nil && resp.StatusCode == http.StatusPartialContent && resp.ContentLength == size-offset:
		return &contents{resp.Body, ctx}, size, nil
	case ranged && err == nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset == size:
		return http.NoBody, size, resp.Body.Close()
	case resp.StatusCode == http.StatusOK && resp.ContentLength == 0 && offset == 0: // of nothing there is no part
		return resp.Body, 0, nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		err = fmt.Errorf("an attachment has no byte %d: %s", offset, resp.Header.Get("Content-Range"))
	default:
		err = fmt.Errorf("the server answered %s instead of a part of an attachment", resp.Status)
	}
	return nil, 0, errors.Join(err, resp.Body.Close())
}
