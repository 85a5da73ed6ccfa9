//go:build unix

package atomicfile

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestLentLockHoldsUntilTheOtherEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat") // ends with its input
	end, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.Lend(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("while the other runs: %v", err)
	}
	end.Close()
	cmd.Wait()
	l, err = TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Unlock()
}
