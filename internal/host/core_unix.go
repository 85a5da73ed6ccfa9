//go:build unix && !linux

package host

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func noCoreFiles() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot keep memory out of core files: %w", err)
	}
	return nil
}

func program() (string, error) { return os.Executable() }
