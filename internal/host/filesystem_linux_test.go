package host

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// plantFile makes a file of a machine that is made up.
func plantFile(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// On which device a file system is, what udev says of that, and whether it is still plugged in.
func TestDevicesOfFilesystems(t *testing.T) {
	root := t.TempDir()
	plantFile(t, root, "sys/class/block/sdb1/dev", "8:17\n")
	plantFile(t, root, "sys/dev/block/8:17/size", "1")
	plantFile(t, root, "run/udev/data/b8:17", "S:disk/by-label/BACKUP\nE:ID_FS_TYPE=vfat\nE:ID_FS_UUID=6A3C-9E01\nE:ID_FS_UUID_ENC=6A3C-9E01\n")
	for _, c := range []struct {
		name, source string
		major, minor uint32
		number, uuid string
		gone         bool
	}{
		{"a stick", "/dev/sdb1", 8, 17, "8:17", "6A3C-9E01", false},
		{"btrfs", "/dev/sdb1", 0, 53, "8:17", "6A3C-9E01", false},
		{"a stick that was pulled out", "/dev/sdc1", 8, 33, "8:33", "", true},
		{"NFS", "nas:/backup", 0, 54, "", "", false},
		{"memory", "tmpfs", 0, 55, "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			number := deviceNumber(root, unix.Mkdev(c.major, c.minor), mount{source: c.source})
			if uuid, gone := udevUUID(root, number), unplugged(root, number); number != c.number || uuid != c.uuid || gone != c.gone {
				t.Errorf("device %q, UUID %q, gone %v", number, uuid, gone)
			}
		})
	}
	if unplugged(t.TempDir(), "8:17") {
		t.Error("where nobody tells what devices there are, one is gone")
	}
}

func TestSameFilesystem(t *testing.T) {
	a := Filesystem{Device: 1, UUID: "x"}
	for _, c := range []struct {
		b    Filesystem
		same bool
	}{
		{Filesystem{Device: 1, UUID: "x"}, true},
		{Filesystem{Device: 2, UUID: "x"}, true}, // another subvolume
		{Filesystem{Device: 2, UUID: "y"}, false},
		{Filesystem{Device: 2}, false},
	} {
		if a.Same(c.b) != c.same {
			t.Errorf("%v is the same: %v", c.b, !c.same)
		}
	}
	if (Filesystem{Device: 1}).Same(Filesystem{Device: 2}) {
		t.Error("two without a UUID are the same")
	}
}

// What is mounted somewhere begins there, and its folders are on it.
func TestMountPoint(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk")
	inside := filepath.Join(disk, "a", "b")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	before, err := MountPoint(disk)
	if err != nil {
		t.Fatal(err)
	}
	if before == disk {
		t.Error("something begins where nothing is mounted")
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") != "" {
			t.Fatalf("cannot mount a small disk: %v", err)
		}
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{disk, inside} {
		if at, err := MountPoint(path); err != nil || at != disk {
			t.Errorf("%s is mounted at %q, %v", path, at, err)
		}
	}
	if at, err := MountPoint(dir); err != nil || at != before {
		t.Errorf("%s is mounted at %q, %v", dir, at, err)
	}
	fs, err := FilesystemAt(inside)
	if err != nil || fs.UUID != "" || fs.Gone {
		t.Errorf("what is kept in memory: %+v, %v", fs, err)
	}
}
