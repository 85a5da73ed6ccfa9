package host

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func noCoreFiles() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep memory out of core files: %w", err)
	}
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) //nolint:errcheck // the same once more; a unit has done it, and forbids it
	return nil
}

// program: the link leads to what runs, not to what has its name now (proc_pid_exe(5)).
func program() (string, error) {
	const running = "/proc/self/exe"
	_, err := os.Stat(running)
	return running, err
}
