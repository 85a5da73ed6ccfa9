package service

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notify tells the service manager state, in the words of sd_notify(3):
// "READY=1", "WATCHDOG=1", "STOPPING=1", "STATUS=…", several of them one a line.
// It does nothing when no service manager asked to be told. Sockets in the
// abstract namespace are reached too.
func Notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	if address[0] != '/' && address[0] != '@' { // package net turns @ into the NUL of the abstract namespace
		return fmt.Errorf("cannot notify the service manager: NOTIFY_SOCKET is %q", address)
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot notify the service manager: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("cannot notify the service manager: %w", err)
	}
	return nil
}

// WatchdogInterval returns within what time the service manager wants to hear
// WATCHDOG=1, each time; 0 when it does not watch this process
// (sd_watchdog_enabled(3)). Tell it twice as often.
func WatchdogInterval() time.Duration {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	if pid, ok := os.LookupEnv("WATCHDOG_PID"); ok && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// oneLine makes text fit for a status: one line, not too long.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		text = text[:200]
	}
	return strings.ToValidUTF8(text, "")
}
