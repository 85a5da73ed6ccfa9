package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Runner runs commands of the operating system. Exec is the real one; tests of
// rare machines bring their own.
type Runner interface {
	// Run runs name with args, without a shell and without standard input, and
	// returns what it printed on standard output. The error is a *RunError when
	// the command was found and ended with another status than 0, and wraps
	// exec.ErrNotFound when there is no such command.
	Run(ctx context.Context, name string, args ...string) (stdout string, err error)
}

// RunError says that a command ended badly.
type RunError struct {
	Command string // as a person would type it
	Code    int    // exit status; -1 when a signal ended it
	Output  string // the end of what it complained of on standard error, else of what it printed
}

func (e *RunError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", e.Command, e.Code, e.Output)
}

// Exec is the Runner of this machine. Commands run in the C locale.
type Exec struct{}

// Run implements Runner.
func (Exec) Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		text := strings.TrimSpace(complaint.String())
		if text == "" {
			text = strings.TrimSpace(out.String())
		}
		if len(text) > 500 {
			text = "…" + text[len(text)-500:]
		}
		return out.String(), &RunError{strings.Join(append([]string{name}, args...), " "), exit.ExitCode(), text}
	}
	if err != nil {
		return out.String(), fmt.Errorf("cannot run %s: %w", name, err)
	}
	return out.String(), nil
}
