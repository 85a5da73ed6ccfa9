package storage

import (
	"context"
	"os"
	"testing"
)

// A database that is closed while it is checked is checked by the next start.
func TestACheckThatWasCutIsMadeAgain(t *testing.T) {
	path := file(t)
	db := open(t, path)
	fill(t, db, 10)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"-open", nil, 0o600); err != nil { // torn
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	db = open(t, path)
	db.examine(ctx)
	db.trouble.mu.Lock()
	db.trouble.clean = false // the other one may have come to its end
	db.trouble.mu.Unlock()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-open"); err != nil {
		t.Errorf("the mark after a check that was cut: %v", err)
	}
}
