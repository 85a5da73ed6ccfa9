package host

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMain lets the test binary be the child that takes over listeners.
func TestMain(m *testing.M) {
	if os.Getenv("FOYER_TEST_CHILD") != "" {
		ls, err := Inherited(nil)
		if err != nil || len(ls) != 2 {
			os.Exit(10)
		}
		for _, l := range ls {
			c, err := l.Accept()
			if err != nil {
				os.Exit(11)
			}
			io.WriteString(c, l.Name)
			c.Close()
		}
		if _, still := os.LookupEnv(passEnv); still {
			os.Exit(12)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestChildAnswersOnListenersOfItsParent(t *testing.T) {
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tcp, err := Listen(HTTPS, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unix, err := Listen(Local, "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer Close([]Listener{tcp, unix})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FOYER_TEST_CHILD=1")
	done, err := Pass(cmd, []Listener{tcp, unix})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done()
	for _, l := range []Listener{tcp, unix} {
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || string(got) != l.Name {
			t.Errorf("%s answered %q, %v", l.Name, got, err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(unix.Addr().String()); err != nil {
		t.Errorf("the child took the socket away: %v", err)
	}
}

func TestRunTellsExitFromNotFound(t *testing.T) {
	out, err := Exec{}.Run(context.Background(), "sh", "-c", "echo out; echo err >&2; exit 3")
	e, ok := errors.AsType[*RunError](err)
	if !ok || e.Code != 3 || out != "out\n" || e.Output != "err" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := (Exec{}).Run(context.Background(), "no-such-command-here"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
