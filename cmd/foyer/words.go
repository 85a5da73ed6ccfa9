package main

import (
	"bufio"
	"context"
	"errors"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/tui"
)

// typing reads what a person types line by line, or a pipe gives: the words of a recovery kit
// among it, which come by no other way.
type typing struct {
	*app
	typed *bufio.Reader
}

// asks reports whether somebody can be asked, more than once.
func (a *typing) asks() bool { return !a.json && (a.atTerminal() || a.plain) }

// words reads the twelve words. Typed or piped, they come by standard input alone.
func (a *typing) words(ctx context.Context) (*kit.Kit, error) {
	if a.asks() {
		a.say(hint.T("Type the %d words of your recovery kit, in one line:", "Tapez les %d mots de votre kit de secours, sur une ligne :", kit.Words))
	}
	text, err := a.readLine(ctx)
	if err != nil {
		return nil, err
	}
	words, err := kit.Read(text)
	if err != nil && !a.asks() {
		err = unquoted(err)
	}
	return words, err
}

// unquoted is what is wrong with words without any of them: what did not come from a
// terminal does not go to one either, but to a log.
func unquoted(err error) error {
	if e := hint.Find(err); e != nil && errors.Is(err, kit.ErrUnknown) {
		return hint.New("kit-word-unknown", e.What, hint.Text{}, hint.T("Compare it with the paper.", "Comparez-le avec le papier.")).Because(kit.ErrUnknown)
	}
	return err
}

// readLine reads a line that somebody types.
func (a *typing) readLine(ctx context.Context) (string, error) {
	if a.typed == nil {
		a.typed = bufio.NewReader(a.in)
	}
	text, err := tui.ReadLine(ctx, a.typed)
	if errors.Is(err, tui.ErrCancelled) {
		err = cancelled()
	}
	return text, err
}
