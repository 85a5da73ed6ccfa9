package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foyer-server/foyer/internal/changelog"
)

// A disk that is too small for what is loaded is named, and is as it was afterwards.
func TestLoadOnADiskThatIsFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") != "" {
			t.Fatalf("cannot mount a small disk: %v", err)
		}
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	var in strings.Builder
	l := changelog.Line{Kind: changelog.Object, Parent: "/buckets/b/collections/c", Of: "record", Data: []byte(`{"x":"` + strings.Repeat("x", 10_000) + `"}`)}
	for i := range 2000 {
		l.ID, l.Time = fmt.Sprint(i), int64(i+1)
		in.Write(l.Append(nil))
	}
	dir := filepath.Join(disk, "new")
	code, out, said := load(t, strings.NewReader(in.String()), dir)
	if code != 1 || out != "" || !strings.Contains(said, "[disk-full]") || !strings.Contains(said, dir) || left(t, dir) != nil {
		t.Errorf("%d %s %s, left %q", code, out, said, left(t, dir))
	}
}
