//go:build unix

package atomicfile

import (
	"errors"
	"os"
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

// A process that a lock was lent to dies, and a command that it ran goes on: the lock is free.
func TestABorrowedLockIsNotPassedOn(t *testing.T) {
	if os.Getenv("FOYER_TEST_BORROWS") != "" { // the process that it is lent to
		Borrow()
		cmd := exec.Command("cat")
		cmd.Stdin = os.Stdin
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		os.Exit(0) // without waiting for it
	}
	path := filepath.Join(t.TempDir(), "lock")
	l, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestABorrowedLockIsNotPassedOn$")
	cmd.Env, cmd.Stdin = append(os.Environ(), "FOYER_TEST_BORROWS=1"), r
	l.Lend(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	r.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if l, err = TryLock(path); err != nil { // while the command still reads
		t.Errorf("whoever it was lent to has died: %v", err)
	} else {
		l.Unlock()
	}
	w.Close()
}
