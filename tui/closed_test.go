package tui

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// A viewer ends when its terminal is closed, also where SIGHUP does not end it: a
// terminal that was closed answers every read with the end of the input.
func TestViewersEndWithTheirTerminal(t *testing.T) {
	t.Attr("shows", "mend")
	for _, c := range []struct {
		name string
		run  func(ctx context.Context, term Term, show func()) error
		want error
	}{
		{"the dashboard", func(ctx context.Context, term Term, show func()) error {
			d := &Dashboard{Term: term, Status: func(context.Context) (report.Status, error) { show(); return wellStatus(), nil }}
			return d.Run(ctx)
		}, nil},
		{"the wizard at a question", func(ctx context.Context, term Term, show func()) error {
			w := sample(hint.EN)
			w.Term = term
			w.Look = func(context.Context) Sight { show(); return Sight{} }
			_, err := w.Screens(ctx)
			return err
		}, ErrCancelled},
		{"the wizard while it installs", func(ctx context.Context, term Term, show func()) error {
			w := sample(hint.EN)
			w.Term, w.Running = term, true
			w.Apply = func(ctx context.Context, _ installer.Values, _ func(Progress)) (Outcome, error) {
				show()
				<-ctx.Done()
				return Outcome{}, ctx.Err()
			}
			_, err := w.Screens(ctx)
			return err
		}, ErrLeft},
	} {
		for _, kind := range []string{"file", "reader"} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				in, hand, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				term := Term{In: in, Out: io.Discard, Environ: []string{"TERM=xterm"}, Lang: hint.EN, UTF8: true}
				if kind == "reader" {
					term.In = struct{ io.Reader }{in}
				}
				ctx, cancel := context.WithCancel(t.Context())
				shown, ended := make(chan struct{}), make(chan error, 1)
				show := sync.OnceFunc(func() { close(shown) })
				go func() { ended <- c.run(ctx, term, show) }()
				<-shown
				hand.Close()
				select {
				case err := <-ended:
					if !errors.Is(err, c.want) {
						t.Errorf("it ended with %v, want %v", err, c.want)
					}
				case <-time.After(20 * time.Second): // of doing nothing: it would never end
					t.Error("it goes on without a terminal")
					cancel()
					<-ended
				}
				cancel()
			})
		}
	}
}
