package tui

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
)

// prompts is what a wizard writes; it tells of each prompt.
type prompts struct {
	mu   sync.Mutex
	all  strings.Builder
	came chan struct{}
	last string // another end of what is written that is a prompt
}

func (p *prompts) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all.Write(b)
	if strings.HasSuffix(string(b), "]> ") || p.last != "" && strings.HasSuffix(p.all.String(), p.last) {
		p.came <- struct{}{}
	}
	return len(b), nil
}

func (p *prompts) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

// At every question that is asked in lines the end of ctx, which is what a signal comes
// to, and Ctrl-C as a character are the end: the line after it is no answer. The questions
// are those there are (installer.Questions), each put first, and those about the plan.
func TestEveryQuestionInLinesIsCancelled(t *testing.T) {
	t.Attr("shows", "mend2")
	type place struct {
		name  string
		lead  []string // what is answered before
		first *installer.Question
	}
	places := []place{
		{"the plan", []string{"1\n"}, nil},
		{"what to change", []string{"1\n", "2\n"}, nil},
		{"an answer that is changed", []string{"1\n", "2\n", "1\n"}, nil},
	}
	for _, q := range installer.Questions() {
		places = append(places, place{"the question " + q.Key, nil, &q})
	}
	if len(places) < 8 {
		t.Fatalf("only %d questions", len(places))
	}
	for _, how := range []string{"signal", "character"} {
		for _, at := range places {
			ok := t.Run(how+", "+at.name, func(t *testing.T) {
				in, hand, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				out := &prompts{came: make(chan struct{}, 20)}
				w := sample(hint.EN)
				w.In, w.Out = in, out
				if at.first != nil {
					q := *at.first
					if w.LangSure = q.Key != "language"; w.LangSure {
						q.When, q.Fits = func(installer.Values) bool { return true }, nil
						w.Questions = append([]installer.Question{q}, slices.DeleteFunc(slices.Clone(w.Questions), func(o installer.Question) bool { return o.Key == q.Key })...)
					}
				}
				before := maps.Clone(w.Values)
				var remembered installer.Values
				w.Remember = func(v installer.Values) { remembered = v }
				w.Apply = func(context.Context, installer.Values, func(Progress)) (Outcome, error) {
					t.Error("it was obeyed")
					return Outcome{}, nil
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan error, 1)
				go func() {
					_, err := w.Lines(ctx)
					ended <- err
				}()
				wait := func() {
					t.Helper()
					select {
					case <-out.came:
					case <-time.After(2 * time.Minute):
						t.Fatalf("it does not ask:\n%s", out)
					}
				}
				wait()
				for _, line := range at.lead {
					io.WriteString(hand, line)
					wait()
				}
				remembered = nil
				if how == "signal" {
					cancel()
				} else {
					io.WriteString(hand, "\x03")
				}
				for range 5 { // whatever it asks next, this would do
					io.WriteString(hand, "1\n")
				}
				select {
				case err := <-ended:
					if !errors.Is(err, ErrCancelled) {
						t.Errorf("it ended with %v\n%s", err, out)
					}
				case <-time.After(2 * time.Minute):
					t.Errorf("it goes on:\n%s", out)
				}
				hand.Close()
				if remembered != nil {
					t.Errorf("remembered after that: %v, before: %v", remembered, before)
				}
			})
			if !ok {
				t.FailNow() // where one goes on all do, and each takes long
			}
		}
	}
}
