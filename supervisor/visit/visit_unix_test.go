//go:build unix

package visit_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foyer-server/foyer/supervisor/visit"
)

// A pipe, or a file of any size, in the place of the root certificate stops nobody.
func TestVisitorsReadACertificateAndNothingElse(t *testing.T) {
	t.Attr("shows", "mend")
	dir := t.TempDir()
	pipe, huge := filepath.Join(dir, "pipe"), filepath.Join(dir, "huge")
	if err := errors.Join(unix.Mkfifo(pipe, 0o644), os.WriteFile(huge, nil, 0o644), os.Truncate(huge, 16<<20)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, huge} {
		done := make(chan error, 1)
		go func() {
			_, err := visit.Visitor{Name: "foyer.local", Address: "127.0.0.1:1", Root: path}.Visit(t.Context())
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), map[string]string{pipe: "no ordinary file", huge: "too large"}[path]) {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: it reads for ever", path)
			f, err := os.OpenFile(pipe, os.O_RDWR, 0) // let go
			if err == nil {
				f.Close()
			}
		}
	}
}
