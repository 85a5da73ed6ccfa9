package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func listenForState(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", address)
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 1024)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestNotify(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "n"), fmt.Sprintf("@foyer-test-%d", os.Getpid())} {
		c := listenForState(t, address)
		if err := Notify("READY=1\nSTATUS=Serving"); err != nil {
			t.Fatal(err)
		}
		if got := heard(t, c); got != "READY=1\nSTATUS=Serving" {
			t.Errorf("%s heard %q", address, got)
		}
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("nobody listens: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", "vsock:2:1234")
	if err := Notify("READY=1"); err == nil {
		t.Error("an address of another kind is no error")
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"30000000", strconv.Itoa(os.Getpid()), 30 * time.Second},
		{"30000000", "1", 0},
		{"-5", "", 0},
		{"soon", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if c.pid == "" {
			os.Unsetenv("WATCHDOG_PID")
		}
		if got := WatchdogInterval(); got != c.want {
			t.Errorf("%q, %q: %s", c.usec, c.pid, got)
		}
	}
}

// A start that fails at once is held, with its reason as the unit's status.
func TestFailureAtOnceIsHeld(t *testing.T) {
	c := listenForState(t, filepath.Join(t.TempDir(), "n"))
	ctx, cancel := context.WithCancel(t.Context())
	failed := errors.New("the settings\nare wrong")
	done := make(chan error, 1)
	go func() { done <- Run(ctx, func(context.Context) error { return failed }) }()
	if got := heard(t, c); got != "STATUS=the settings are wrong" {
		t.Errorf("heard %q", got)
	}
	select {
	case err := <-done:
		t.Errorf("not held: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
}
