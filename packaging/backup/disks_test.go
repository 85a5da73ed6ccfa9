//go:build e2e && linux

package backup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/backup/target/targettest"
)

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// device is a loop device of its own, with a file system.
func device(t *testing.T, mkfs ...string) string {
	t.Helper()
	for _, program := range append([]string{"losetup"}, mkfs[0]) {
		if _, err := exec.LookPath(program); err != nil || os.Geteuid() != 0 {
			if os.Getenv("CI") != "" {
				t.Fatalf("this test needs root and %s", program)
			}
			t.Skipf("this test needs root and %s", program)
		}
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 512<<20); err != nil {
		t.Fatal(err)
	}
	loop := run(t, "losetup", "--show", "-f", image)
	t.Cleanup(func() { run(t, "losetup", "-d", loop) })
	run(t, mkfs[0], append(mkfs[1:], loop)...)
	return loop
}

// mountAt makes a mount point, and mounts something at it until the test ends.
func mountAt(t *testing.T, mount ...string) string {
	t.Helper()
	at := t.TempDir()
	run(t, mount[0], append(mount[1:], at)...)
	t.Cleanup(func() { run(t, "umount", at) })
	return at
}

// What every target promises, on exFAT as a program serves it: it knows neither links nor a rename that
// does not replace, and has no modes.
func TestExFAT(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	stick := mountAt(t, "mount.exfat-fuse", device(t, "mkfs.exfat"))
	if err := os.WriteFile(filepath.Join(stick, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(stick, "file"), unix.AT_FDCWD, filepath.Join(stick, "other"), unix.RENAME_NOREPLACE); err != unix.EINVAL {
		t.Errorf("a rename that does not replace: %v", err)
	}
	if err := os.Link(filepath.Join(stick, "file"), filepath.Join(stick, "other")); err == nil {
		t.Error("there are links")
	}
	targettest.Run(t, func(t *testing.T) (one, other target.Target) {
		f, identity := folder(t, filepath.Join(stick, strings.ReplaceAll(filepath.Base(t.Name()), " ", "-")))
		return f, open(t, identity)
	})
	t.Logf("SHOW what every target promises holds on exFAT by FUSE, which has no links and no exclusive rename")
}

// Subvolumes of btrfs, which have device numbers of their own, are one disk; and none of them is a mount.
func TestBtrfs(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(known), "\tbtrfs\n") {
		t.Skip("this kernel has no btrfs")
	}
	const uuid = "36976f0d-926f-4217-8625-7e95939d07d3"
	disk := mountAt(t, "mount", device(t, "mkfs.btrfs", "-q", "-U", uuid))
	for _, name := range []string{"home", "var"} {
		run(t, "btrfs", "subvolume", "create", filepath.Join(disk, name))
	}
	o := target.FolderOptions{Data: filepath.Join(disk, "var")}
	if _, err := target.PrepareFolder(t.Context(), filepath.Join(disk, "home", "backups"), o); code(err) != "target-same-disk" {
		t.Errorf("beside the data: %v", err)
	}
	o.Data = t.TempDir()
	identity, err := target.PrepareFolder(t.Context(), filepath.Join(disk, "home", "backups"), o)
	if err != nil || identity.Mount != disk || identity.Filesystem != uuid {
		t.Errorf("it is known as %+v, %v", identity, err)
	}
	f := open(t, identity)
	if err := f.Put(t.Context(), "chain/1", targettest.Content(1, 10), 10); err != nil {
		t.Error(err)
	}
}
