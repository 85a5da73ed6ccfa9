package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// answerBytes bounds an answer that is one JSON value: a summary has some 200 bytes for each
// list.
const answerBytes = 512 << 20

// ask asks the server, and returns an answer that is one, whose body is to be closed.
func (s *Source) ask(ctx context.Context, method, path string, body any, part string) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://local"+path, in)
	if err != nil {
		return nil, err
	}
	if part != "" {
		req.Header.Set("Range", part)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, away(ctx, err)
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return resp, nil
	}
	return nil, errors.Join(refused(resp), resp.Body.Close())
}

// away is the error of a request that broke off.
func away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// refused is the error of an answer that is none.
func refused(resp *http.Response) error {
	var p report.Problem
	err := fmt.Errorf("the server answered %s", resp.Status)
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p) == nil && p.Code != "" {
		p = hint.Clean(p)
		err = p.Err()
	}
	switch {
	case p.Code == "database-damaged":
		return fmt.Errorf("%w: %w", changelog.ErrDamaged, err)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %w", ErrAway, err)
	case p.Code == "log-cut":
		return fmt.Errorf("%w: %w", changelog.ErrCut, err)
	case p.Code == "copy-place":
		return fmt.Errorf("%w: %w", changelog.ErrNoPlace, err)
	case p.Code == "log-unsupported":
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	case p.Code == "attachment-gone":
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// get asks for one JSON value.
func (s *Source) get(ctx context.Context, method, path string, v any) error {
	resp, err := s.ask(ctx, method, path, nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if err != nil {
		return away(ctx, fmt.Errorf("its answer broke off: %w", err))
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read what the server says: %w", err)
	}
	return nil
}

// tell tells the server something.
func (s *Source) tell(ctx context.Context, method, path string, body any) error {
	resp, err := s.ask(ctx, method, path, body, "")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// lines asks for lines, calls each for all but the last, and returns that.
func (s *Source) lines(ctx context.Context, path string, each func(text []byte) error) (end changelog.End, err error) {
	resp, err := s.ask(ctx, http.MethodGet, path, nil, "")
	if err != nil {
		return end, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	for r := changelog.NewReader(resp.Body); ; {
		text, err := r.Next()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil && text[len(text)-1] != '\n' {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return end, away(ctx, fmt.Errorf("its answer broke off: %w", err))
		}
		end, is, err := changelog.ParseEnd(text)
		if is || err != nil {
			return end, err
		}
		if err := each(text); err != nil {
			return end, err
		}
	}
}

// contents are those of an attachment on their way.
type contents struct {
	io.ReadCloser
	ctx context.Context
}

func (c *contents) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = away(c.ctx, fmt.Errorf("its answer broke off: %w", err))
	}
	return n, err
}
