package safepath

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// exchange swaps two names at once.
func exchange(a, b string) { unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) }

// What is mounted in the folder is somebody's: a disk, or a folder a second time.
func TestEmptyCrossesNoMount(t *testing.T) {
	asRoot(t)
	ways(t, func(t *testing.T, h how) {
		dir := t.TempDir()
		plant(t, dir, 0, "outside/", "outside/secret", "data/", "data/file", "data/sub/bound/", "data/disk/", "data/one")
		for at, from := range map[string]string{"sub/bound": filepath.Join(dir, "outside"), "one": filepath.Join(dir, "outside/secret"), "disk": ""} {
			at, kind, flags := filepath.Join(data(dir), at), "", uintptr(unix.MS_BIND)
			if from == "" {
				from, kind, flags = "disk", "tmpfs", 0
			}
			if err := unix.Mount(from, at, kind, flags, ""); err == unix.EPERM {
				t.Skip("root may not mount here")
			} else if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(at, 0); err != nil {
					t.Error(err)
				}
			})
		}
		plant(t, filepath.Join(data(dir), "disk"), 0, "theirs")
		before := listing(t, filepath.Join(dir, "outside"))
		left, err := mustOpen(t, h, data(dir)).Empty(nothing)
		slices.Sort(left)
		want := []string{filepath.Join(data(dir), "disk"), filepath.Join(data(dir), "one"), filepath.Join(data(dir), "sub/bound")}
		if err != nil || !slices.Equal(left, want) {
			t.Errorf("left %q, %v", left, err)
		}
		if diff := cmp.Diff(before, listing(t, filepath.Join(dir, "outside"))); diff != "" {
			t.Errorf("outside: %s", diff)
		}
		if now := listing(t, data(dir)); now["disk/theirs"] == "" || now["file"] != "" {
			t.Errorf("inside: %v", now)
		}
		if err := mustOpen(t, h, data(dir)).TakeOver(foyer, foyer, nothing); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, listing(t, filepath.Join(dir, "outside"))); diff != "" {
			t.Errorf("outside, taken over: %s", diff)
		}
	})
}
