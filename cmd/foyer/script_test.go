package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/control"
)

// endsAtOnce is for the environment of each `foyer`: with the race detector a process that
// has ended sleeps for one more second, and so does each of its children. What is still
// running by then nobody waited for, and there is no such thing.
const endsAtOnce = "GORACE=atexit_sleep_ms=0"

// The command line is tested by scripts a user could read: testdata/script.
// `foyer` in them is this test binary, with the real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"foyer": func() {
		ctx, stop := signal.NotifyContext(context.Background(), host.Interrupts()...)
		defer stop()
		a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Environ())
		os.Exit(a.run(ctx, os.Args[1:]))
	}})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"waitfor": waitFor},
		Setup: func(e *testscript.Env) error {
			e.Setenv("LANG", "en_GB.UTF-8")
			e.Vars = append(e.Vars, endsAtOnce)
			return nil
		},
	})
}

// waitFor waits until somebody answers on the control socket in the script's
// folder and says that the server is healthy.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	c := control.Dial(filepath.Dir(ts.MkAbs(args[0])))
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if s, err := c.Status(context.Background()); err == nil && s.Server.State == "healthy" {
			return
		}
	}
	ts.Fatalf("%s: no healthy Foyer there", args[0])
}
