//go:build unix

package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Whoever took over user foyer can send what they like: what is not few, short and named
// like a setting does not even come to the installer's rules, and what these refuse does
// nothing. Nothing of it is repeated.
func TestHostileValues(t *testing.T) {
	t.Attr("shows", "ground2")
	many := map[string]string{}
	for n := range mostValues + 1 {
		many[fmt.Sprintf("k%d", n)] = "x"
	}
	const mark = "x-hostile-x"
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		h := p.inhabit()
		var logged bytes.Buffer
		p.cfg.Log = slog.New(slog.NewTextHandler(&logged, nil))
		checked := 0
		p.cfg.Check[VerbChangeSettings] = func(_ context.Context, values map[string]string) error {
			checked++
			if _, ok := values["data"]; ok {
				return hint.New("settings-malformed", hint.T("The data stay.", "Les données restent."), hint.Text{}, hint.Text{})
			}
			panic(values["dns.credentials"])
		}
		cases := []struct {
			name string
			r    request
			want string
		}{
			{"none", request{Verb: VerbChangeSettings}, "failed job-malformed"},
			{"too many", request{Verb: VerbChangeSettings, Values: many}, "failed job-malformed"},
			{"too long", request{Verb: VerbChangeSettings, Values: map[string]string{"name": strings.Repeat("x", valuesBytes)}}, "failed job-malformed"},
			{"a path for a name", request{Verb: VerbChangeSettings, Values: map[string]string{"../../etc/" + mark: "x"}}, "failed job-malformed"},
			{"a line for a name", request{Verb: VerbChangeSettings, Values: map[string]string{"name\n[evil]": mark}}, "failed job-malformed"},
			{"no text", request{Verb: VerbChangeSettings, Values: map[string]string{"name": mark + "\x00"}}, "failed job-malformed"},
			{"the data", request{Verb: VerbChangeSettings, Values: map[string]string{"data": "/etc/" + mark}}, "failed settings-malformed"},
			{"what breaks the rules", request{Verb: VerbChangeSettings, Values: map[string]string{"dns.credentials": mark}}, "failed failed"},
			{"an argument", request{Verb: VerbChangeSettings, Args: map[string]string{"file": mark}, Values: toNew}, "failed job-malformed"},
			{"values for another verb", request{Verb: VerbApplySettings, Values: map[string]string{"data": mark}}, "failed job-malformed"},
			{"an end of nothing", request{Verb: VerbEndTrial, Args: map[string]string{ArgTrial: id(1), ArgDo: DoKeep, ArgWhy: WhyAsked}}, "failed change-none"},
			{"an end of a path", request{Verb: VerbEndTrial, Args: map[string]string{ArgTrial: "../../" + mark, ArgDo: DoKeep, ArgWhy: WhyAsked}}, "failed job-malformed"},
			{"another end", request{Verb: VerbEndTrial, Args: map[string]string{ArgTrial: id(1), ArgDo: mark, ArgWhy: WhyAsked}}, "failed job-malformed"},
		}
		for n, c := range cases {
			c.r.ID = id(n)
			p.askFor(c.r)
			p.serve()
			if got := outcome(p.record(id(n))); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
		if h.is() != "old" || p.total() != 0 || checked != 2 {
			t.Errorf("it is %s, %d things were done, %d values came to the rules", h.is(), p.total(), checked)
		}
		for where, text := range written(t, p.cfg.State, &logged) {
			if strings.Contains(text, mark) && !strings.Contains(text, "is not among what it takes") {
				t.Errorf("%s repeats what was sent: %s", where, text)
			}
		}
		fmt.Printf("SHOW %d kinds of hostile values and ends: %d things were done\n", len(cases), p.total())
	})
}

// logBook is a log that is read while it is written.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// written is all that was written below dir, and the log.
func written(t *testing.T, dir string, logged fmt.Stringer) map[string]string {
	t.Helper()
	out := map[string]string{"the log": logged.String()}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A secret among the values is in the request alone: not in the record, journal or log,
// whatever the installer says, and however it comes out.
func TestSecretsAreNowhere(t *testing.T) {
	t.Attr("shows", "ground2")
	const token = "s3cr3t-0123456789abcdef"
	values := map[string]string{"to": "new", "dns.credentials": "token=" + token + ", user=jeannine"}
	talk := func(t *Task) error {
		all := t.Values()["dns.credentials"]
		t.Say(hint.T("Signing in with %s.", "Connexion avec %s.", all))
		t.Progress(1, 2, hint.Verbatim(token))
		return errors.New("the provider does not know " + token)
	}
	looked, found := 0, 0
	for name, do := range map[string]func(change func(context.Context, *Task) error) func(context.Context, *Task) error{
		"it works": func(change func(context.Context, *Task) error) func(context.Context, *Task) error {
			return func(ctx context.Context, t *Task) error {
				talk(t) //nolint:errcheck // it is to talk
				return errors.Join(change(ctx, t), t.Result(report.Change{Plan: report.ChangePlan{Seconds: 90, Notes: []hint.Text{hint.Verbatim(token)}}}))
			}
		},
		"it fails": func(change func(context.Context, *Task) error) func(context.Context, *Task) error {
			return func(ctx context.Context, t *Task) error { return errors.Join(change(ctx, t), talk(t)) }
		},
		"it breaks off": func(change func(context.Context, *Task) error) func(context.Context, *Task) error {
			return func(ctx context.Context, t *Task) error { change(ctx, t); panic(talk(t)) } //nolint:errcheck // it panics
		},
		"the rules break off": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t)
				h := p.inhabit()
				var logged logBook
				p.cfg.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
				if do != nil {
					p.cfg.Do[VerbChangeSettings] = do(h.change)
				} else {
					p.cfg.Check[VerbChangeSettings] = func(_ context.Context, values map[string]string) error { return errors.New(values["dns.credentials"]) }
				}
				ask := p.askChange(1, maps.Clone(values))
				stop := p.keepServing()
				defer stop()
				look := func() {
					t.Helper()
					for _, dir := range []string{p.cfg.State, p.cfg.Run} {
						for where, text := range written(t, dir, &logged) {
							looked++
							if strings.Contains(text, token) {
								found++
								t.Errorf("%s has it: %s", where, text)
							}
						}
					}
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				look()
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				look()
				if r := p.record(ask); !r.State.Ended() || h.is() != "old" {
					t.Errorf("it is %s: %+v", h.is(), r)
				}
			})
		})
	}
	fmt.Printf("SHOW a secret among the values: in %d of %d files and logs of root's\n", found, looked)
}
