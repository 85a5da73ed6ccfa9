package tui

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// The whole way: what Bubble Tea writes to a terminal has neither titles nor links nor
// colours that are not ours.
func TestTheTerminalGetsNothingHostile(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out := &shown{until: "[forged]", ended: cancel}
	d := &Dashboard{
		Term: Term{In: hold{ctx}, Out: out, Environ: []string{"TERM=xterm-256color"}, Lang: hint.EN, UTF8: true},
	}
	m := newDashboard(ctx, d)
	p := d.program(ctx, m)
	d.Status = func(context.Context) (report.Status, error) { // asked over and over: the first size may be overtaken by none
		p.Send(tea.WindowSizeMsg{Width: 200, Height: 50})
		return hostileStatus(), nil
	}
	p.Run() //nolint:errcheck // it is ended
	said := out.buf.String()
	if !strings.Contains(said, "[forged]") {
		t.Fatalf("it was not shown: %q", said)
	}
	for _, bad := range []string{"owned\x07", "\x1b]0;", "\x1b]8;", "\x1b[5;31m", "\u009b", "\x9b5n", "\u202e", "\u2066", "\U000e0041"} {
		if strings.Contains(said, bad) {
			t.Errorf("the terminal gets %q", bad)
		}
	}
}

// shown is a terminal that calls ended when something was written to it.
type shown struct {
	buf   bytes.Buffer
	until string
	ended func()
}

func (s *shown) Write(b []byte) (int, error) {
	n, err := s.buf.Write(b)
	if bytes.Contains(s.buf.Bytes(), []byte(s.until)) {
		s.ended()
	}
	return n, err
}

// hold is an input in which nothing comes until ctx ends.
type hold struct{ ctx context.Context }

func (h hold) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}
