package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is a pseudo-terminal, as the program sees it and as a person does.
type screen struct {
	hand *os.File // what is written here is typed
	tty  *os.File

	mu   sync.Mutex
	said bytes.Buffer
}

func openScreen(t *testing.T) *screen {
	t.Helper()
	hand, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	n, err := unix.IoctlGetInt(int(hand.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(hand.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{hand: hand, tty: tty}
	t.Cleanup(func() { tty.Close(); hand.Close() })
	return s
}

// start starts the command at this terminal, in a session of its own.
func (s *screen) start(t *testing.T, dir string, args ...string) (ended <-chan int) {
	t.Helper()
	foyer, err := exec.LookPath("foyer") // so that what it starts is foyer, too, and not these tests
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(foyer, args...)
	cmd.Dir, cmd.Env = dir, []string{"LANG=en_GB.UTF-8", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm", "TMPDIR=" + dir, endsAtOnce}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.tty, s.tty, s.tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := s.hand.Read(buf)
			s.mu.Lock()
			s.said.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	code := make(chan int, 1)
	go func() {
		cmd.Wait() //nolint:errcheck // its exit code says it
		code <- cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() { cmd.Process.Kill() }) //nolint:errcheck // most often it is over
	return code
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// waiting waits until the command has come to where it reads.
func waiting(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// A setting that is typed, since nobody else is to read it: Ctrl-C ends that, and nothing
// is changed.
func TestCtrlCEndsTheWaitForASetting(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "foyer.toml"), []byte("name = \"attic\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openScreen(t)
	ended := s.start(t, dir, "settings", "set", "dns.credentials", "-", "--settings", "foyer.toml")
	waiting(t, "the question", func() bool { return strings.Contains(s.text(), "dns.credentials") })
	io.WriteString(s.hand, "\x03token=x\n")
	select {
	case code := <-ended:
		if code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("it goes on: %s", s.text())
	}
	waiting(t, "what it says", func() bool { return strings.Contains(s.text(), "[cancelled]") })
	if text, err := os.ReadFile(filepath.Join(dir, "foyer.toml")); err != nil || string(text) != "name = \"attic\"\n" {
		t.Errorf("the file: %q, %v", text, err)
	}
}

// Answers, a password and the settings may come from a terminal or a pipe. Ctrl-C ends
// the wait for them, and what is typed behind it is not used.
func TestCtrlCEndsTheWaitForAnswers(t *testing.T) {
	t.Attr("shows", "mend2")
	for _, c := range []struct {
		name string
		args []string
		pipe string // that is waited for; empty: the terminal
		then string // what is typed behind Ctrl-C
	}{
		{"try, answers typed", []string{"try", "--http", "--listen", "127.0.0.1:0", "--answers", "-"}, "", "owner = \"jeannine\"\nowner_password = \"correct horse\"\n\x04"},
		{"try, answers from a pipe", []string{"try", "--http", "--listen", "127.0.0.1:0", "--answers", "pipe"}, "pipe", "x\n"},
		{"try, a password from a pipe", []string{"try", "--http", "--listen", "127.0.0.1:0", "--answers", "answers.toml"}, "pipe", "x\n"},
		{"try, settings from a pipe", []string{"try", "--http", "--listen", "127.0.0.1:0", "--settings", "pipe"}, "pipe", "x\n"},
		{"install, answers typed", []string{"install", "--print-answers", "--answers", "-"}, "", "name = \"jeannine\"\n\x04"},
		{"install, answers from a pipe", []string{"install", "--print-answers", "--answers", "pipe"}, "pipe", "x\n"},
		{"settings from a pipe", []string{"settings", "--settings", "pipe"}, "pipe", "x\n"},
		{"proxy, settings from a pipe", []string{"proxy", "caddy", "--settings", "pipe"}, "pipe", "x\n"},
		{"restore, the words typed", []string{"restore", "--from", ".", "--into", "new"}, "", "x\n"},
		{"trust, settings from a pipe", []string{"trust", "--print", "--settings", "pipe"}, "pipe", "x\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
				os.WriteFile(filepath.Join(dir, "answers.toml"), []byte("owner = \"jeannine\"\nowner_password = \"@file:pipe\"\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
			s := openScreen(t)
			ended := s.start(t, dir, c.args...)
			var hand *os.File
			if c.pipe == "" {
				// Canonical input: a line is taken from the terminal only when it is read.
				io.WriteString(s.hand, "# first\n")
				waiting(t, "the terminal to be read", func() bool {
					n, err := unix.IoctlGetInt(int(s.tty.Fd()), unix.TIOCINQ)
					return err == nil && n == 0 && strings.Contains(s.text(), "# first")
				})
			} else {
				waiting(t, "the pipe to be opened", func() bool {
					var err error
					hand, err = os.OpenFile(filepath.Join(dir, c.pipe), os.O_WRONLY|syscall.O_NONBLOCK, 0)
					return err == nil
				})
				defer hand.Close()
			}
			io.WriteString(s.hand, "\x03"+c.then)
			select {
			case code := <-ended:
				if code != 1 {
					t.Errorf("exit code %d, want 1", code)
				}
			case <-time.After(2 * time.Minute):
				t.Fatalf("it goes on: %s", s.text())
			}
			waiting(t, "what it says", func() bool { return strings.Contains(s.text(), "]\r\n") })
			if said := s.text(); !strings.Contains(said, "Stopped.") || !strings.Contains(said, "Nothing was changed.") || !strings.Contains(said, "[cancelled]") || strings.Contains(said, "jeannine\r\n#") {
				t.Errorf("it says %q", said)
			}
			left, _ := filepath.Glob(filepath.Join(dir, "*"))
			if len(left) != 2 {
				t.Errorf("left: %v", left)
			}
		})
		if t.Failed() {
			return // where one goes on all do, and each takes long
		}
	}
}
