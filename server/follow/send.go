package follow

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
)

// sender is an answer that waits for its reader, but not for ever: each piece has its time,
// and when the request ends nobody waits any more.
type sender struct {
	http.ResponseWriter
	ctx     context.Context
	control *http.ResponseController
	began   bool
	end     func() // of the request, after which it is used no more
}

const piece = 64 << 10

// pieceTime is for whoever takes in what others send on, by a slow line.
const pieceTime = 5 * time.Minute

func newSender(ctx context.Context, w http.ResponseWriter) *sender {
	s := &sender{ResponseWriter: w, ctx: ctx, control: http.NewResponseController(w)}
	w.Header().Set("Connection", "close") // what is left of its time is nobody else's
	stop := context.AfterFunc(ctx, s.now)
	s.end = func() { stop() }
	return s
}

// now has whatever is being written fail.
func (s *sender) now() { _ = s.control.SetWriteDeadline(time.Unix(1, 0)) } // what cannot is a recorder of a test

// Unwrap is for http.ResponseController.
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *sender) WriteHeader(status int) {
	s.began = true
	s.ResponseWriter.WriteHeader(status)
}

func (s *sender) Write(p []byte) (n int, err error) {
	s.began = true
	for len(p) > 0 {
		_ = s.control.SetWriteDeadline(time.Now().Add(pieceTime)) // as in now
		if err := s.ctx.Err(); err != nil {
			s.now()
			return n, err
		}
		m, err := s.ResponseWriter.Write(p[:min(len(p), piece)])
		if n += m; err != nil {
			return n, err
		}
		p = p[m:]
	}
	return n, nil
}

// sendLines sends lines, and that this is all of them.
func sendLines(w http.ResponseWriter, lines []byte, end changelog.End) error {
	last, err := end.Append(nil)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Length", strconv.Itoa(len(lines)+len(last)))
	if _, err := w.Write(lines); err != nil {
		return err
	}
	_, err = w.Write(last)
	return err
}

// send sends v as JSON.
func send(w http.ResponseWriter, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sendText(w, http.StatusOK, text)
	return nil
}

func sendText(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that is gone is nobody to tell
}
