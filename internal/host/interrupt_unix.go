//go:build unix

package host

import (
	"os"
	"os/signal"
	"syscall"
)

// delivered returns once the signals that were sent to this process before have come to
// those who asked for them. It sends one more, which otherwise means nothing, and waits
// for it: of several the kernel delivers the one with the lowest number first, and so does
// package signal.
func delivered() {
	last := make(chan os.Signal, 1)
	signal.Notify(last, syscall.SIGWINCH)
	defer signal.Stop(last)
	if syscall.Kill(syscall.Getpid(), syscall.SIGWINCH) == nil {
		<-last
	}
}
