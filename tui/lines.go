package tui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// Lines runs the wizard as lines: everything is said once, top to bottom; answers
// are read line by line from In, of which nothing beyond is taken. An empty line
// is the answer in brackets, "<" goes back; the end of the input, Ctrl-C and the end of
// ctx are ErrCancelled while it asks, and ErrLeft while it installs.
func (w *Wizard) Lines(ctx context.Context) (Outcome, error) {
	l := newLines(w)
	if !w.Running {
		if err := l.askAll(ctx); err != nil {
			return Outcome{}, err
		}
	}
	if ctx.Err() != nil && !w.Running {
		return Outcome{}, ErrCancelled
	}
	o, err := w.Apply(ctx, l.values, func(p Progress) {
		if p.Done {
			l.tell("[%d/%d] %s … ok", p.N, p.Of, p.Title)
		}
	})
	return o, err
}

// lines is a wizard that speaks in lines.
type lines struct {
	*Wizard
	page
	in     *bufio.Reader
	values installer.Values
	agree  hint.Text // says yes to the plan
	quiet  bool      // nothing is looked at, so that nothing is said of it
}

func newLines(w *Wizard) *lines {
	l := &lines{Wizard: w, page: newPage(w.Term), in: bufio.NewReader(w.In), values: maps.Clone(w.Values), agree: hint.T("Install", "Installer")}
	if l.values == nil {
		l.values = installer.Values{}
	}
	return l
}

// errBack says that the person wants the question before.
var errBack = errors.New("back")

// tell says one thing; what is put into it may be of others.
func (l *lines) tell(format string, args ...any) {
	fmt.Fprintln(l.Out, l.page.plain(hint.Sprintf(l.lang, format, args...))) //nolint:errcheck // nobody reads any more: the next question finds out
}

// ReadLine reads one line that a person types, as text without white space around it. Every
// question that is no screen is answered here. Ctrl-C, whether it comes as a signal or, from
// a terminal that makes none of it, as a character; a closed terminal; the end of ctx and
// that of the input are ErrCancelled, and what is typed after the first of them is nobody's
// answer.
func ReadLine(ctx context.Context, in *bufio.Reader) (string, error) {
	text, err := host.Interruptible(ctx, func() (string, error) { return in.ReadString('\n') })
	if errors.Is(err, io.EOF) && text != "" {
		err = nil
	}
	if err != nil || strings.ContainsRune(text, endOfText) {
		return "", ErrCancelled
	}
	return strings.TrimSpace(ansi.Strip(text)), nil
}

// endOfText is the character of Ctrl-C.
const endOfText = '\x03'

// prompt shows that an answer is waited for.
func (l *lines) prompt(text string) error {
	if _, err := io.WriteString(l.Out, l.page.plain(text)); err != nil {
		return fmt.Errorf("cannot ask: %w", err)
	}
	return nil
}

// ask shows a prompt and reads one line.
func (l *lines) ask(ctx context.Context, prompt string) (string, error) {
	if err := l.prompt(prompt); err != nil {
		return "", err
	}
	text, err := ReadLine(ctx, l.in)
	if err != nil {
		l.tell("")
	}
	return text, err
}

// askAll asks what is on the way and then for the last word.
func (l *lines) askAll(ctx context.Context) error {
	if !l.LangSure {
		for _, q := range l.Questions {
			if q.Key == "language" {
				if err := l.question(ctx, q); err != nil && !errors.Is(err, errBack) {
					return err
				}
			}
		}
	}
	if !l.quiet {
		l.tell("%s", l.say(looking))
	}
	sight := l.Look(ctx)
	if ctx.Err() != nil {
		return ErrCancelled
	}
	for k, v := range sight.Values {
		if _, answered := l.values[k]; !answered {
			l.values[k] = v
		}
	}
	if l.Resumed {
		l.tell("%s", l.say(hint.T("Going on where you stopped.", "On reprend où vous en étiez.")))
	}
	for _, n := range sight.Notes {
		l.tell("! %s", l.say(n))
	}
	for at := 0; ; {
		way := installer.Way(l.Questions, l.values)
		if at < len(way) {
			l.tell("")
			l.tell("%d/%d", at+1, len(way)+1)
			switch err := l.question(ctx, way[at]); {
			case errors.Is(err, errBack):
				at = max(0, at-1)
			case err != nil:
				return err
			default:
				at++
			}
			continue
		}
		switch err := l.lastWord(ctx); {
		case errors.Is(err, errBack):
			at = max(0, len(way)-1)
		default:
			return err
		}
	}
}

// question asks until there is an answer that is right.
func (l *lines) question(ctx context.Context, q installer.Question) error {
	now := l.values.Get(q.Key)
	if q.Key == "language" && now == "" {
		now = string(l.lang)
	}
	l.tell("%s", l.say(q.Title))
	if !q.Help.IsZero() {
		l.tell("%s", l.say(q.Help))
	}
	shown := l.say(q.Shown(l.values))
	for i, o := range q.Options {
		l.tell("  %d. %s", i+1, l.say(o.Title))
		if !o.Help.IsZero() {
			l.tell("     %s", l.say(o.Help))
		}
		if o.Value == now {
			shown = strconv.Itoa(i + 1)
		}
	}
	for {
		text, err := l.ask(ctx, fmt.Sprintf("[%s]> ", shown))
		if err != nil {
			return err
		}
		switch {
		case text == "<":
			return errBack
		case text == "":
			text = now
		case text == "-" && len(q.Options) == 0: // nothing, where there was something
			text = ""
		case len(q.Options) > 0:
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > len(q.Options) {
				l.tell("! %s", l.say(hint.T("A number from 1 to %d is needed.", "Il faut un nombre de 1 à %d.", len(q.Options))))
				continue
			}
			text = q.Options[n-1].Value
		}
		if wrong := q.Check(l.values, text); !wrong.IsZero() {
			l.tell("! %s", l.say(wrong))
			continue
		}
		l.values[q.Key] = text
		if text == "" {
			delete(l.values, q.Key)
		}
		if lang, ok := hint.ParseLang(text); ok && q.Key == "language" {
			l.lang = lang
		}
		l.values = l.values.Complete(q.Key)
		l.Remember(maps.Clone(l.values))
		return nil
	}
}

// lastWord shows the plan and lets the person decide.
func (l *lines) lastWord(ctx context.Context) error {
	l.tell("")
	plan, err := l.Plan(ctx, maps.Clone(l.values))
	if ctx.Err() != nil {
		return ErrCancelled
	}
	yes := l.agree
	if err != nil {
		for i, sentence := range strings.Split(hint.Describe(err, l.lang), "\n") {
			l.tell("%s%s", []string{"! ", ""}[min(i, 1)], sentence)
		}
		yes = buttonAgain
	} else if plan.Nothing {
		yes = buttonAgain
		for _, t := range plan.Summary {
			l.tell("- %s", l.say(t))
		}
	} else {
		for _, t := range plan.Summary {
			l.tell("- %s", l.say(t))
		}
		for _, t := range plan.Notes {
			l.tell("! %s", l.say(t))
		}
		if len(plan.Changes)+len(plan.Steps) > 0 {
			l.tell("%s", l.say(forThat))
		}
		for _, t := range plan.Steps {
			l.tell("  %s", l.say(t))
		}
		for _, c := range plan.Changes {
			l.tell("  %s %s: %s", c.Mark, c.What, l.say(c.Why))
		}
	}
	for i, t := range []hint.Text{yes, buttonChange, buttonLater} {
		l.tell("  %d. %s", i+1, l.say(t))
	}
	for {
		text, askErr := l.ask(ctx, "[1]> ")
		switch {
		case askErr != nil:
			return askErr
		case text == "<":
			return errBack
		case text == "2":
			if err := l.change(ctx); err != nil && !errors.Is(err, errBack) {
				return err
			}
			return l.lastWord(ctx)
		case text == "3":
			return ErrCancelled
		case text != "" && text != "1":
			l.tell("! %s", l.say(hint.T("A number from 1 to %d is needed.", "Il faut un nombre de 1 à %d.", 3)))
		case err != nil || plan.Nothing:
			return l.lastWord(ctx)
		default:
			return nil
		}
	}
}

// change lets the person pick one answer and give it anew.
func (l *lines) change(ctx context.Context) error {
	choices := installer.Choices(l.Questions, l.values)
	for i, q := range choices {
		l.tell("  %d. %s: %s", i+1, l.say(q.Title), l.say(q.Shown(l.values)))
	}
	text, err := l.ask(ctx, "[<]> ")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > len(choices) {
		return nil //nolint:nilerr // anything else is "back"
	}
	return l.question(ctx, choices[n-1])
}
