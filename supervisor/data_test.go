package supervisor

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A server that has had an owner has one at every moment, also while its mark is looked at.
func TestTheMarkHoldsWhileItIsLookedAt(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	k := &keeper{dir: dir, data: data, log: slog.New(slog.DiscardHandler)}
	if err := os.WriteFile(filepath.Join(dir, markFile), []byte(`{"version":1,"id":"X"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	k.check()
	if k.known.Load() == nil {
		t.Fatal("the mark is not known")
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for range 2000 {
			k.check()
		}
	})
	for looking := true; looking; {
		select {
		case <-done:
			looking = false
		default:
		}
		if k.known.Load() == nil {
			t.Error("nobody owns it for a moment")
			break
		}
	}
	wg.Wait()
	if err := os.Remove(filepath.Join(dir, markFile)); err != nil {
		t.Fatal(err)
	}
	if k.check(); k.known.Load() != nil {
		t.Error("a mark that was taken away is still known")
	}
}
