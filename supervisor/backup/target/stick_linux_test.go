package target_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/backup/target/targettest"
	"golang.org/x/sys/unix"
)

// mount mounts something until the test ends, or skips the test where that is not possible; in CI it is.
func mount(t *testing.T, from, at, kind string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount(from, at, kind, flags, options); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") != "" {
			t.Fatalf("cannot mount at %s: %v", at, err)
		}
		t.Skipf("cannot mount at %s: %v", at, err)
	}
	t.Cleanup(func() { unmount(t, at) })
}

// unmount takes away what is mounted there, whoever uses it; nothing is no error.
func unmount(t *testing.T, at string) {
	if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL {
		t.Errorf("cannot unmount %s: %v", at, err)
	}
}

// stick is a disk of its own, plugged in nowhere at first.
type stick struct{ at string }

func newStick(t *testing.T, megabytes int) stick {
	t.Helper()
	s := stick{t.TempDir()}
	mount(t, "stick", s.at, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=755", megabytes))
	return s
}

// plug has the stick at a mount point.
func (s stick) plug(t *testing.T, at string) {
	t.Helper()
	mount(t, s.at, at, "", unix.MS_BIND, "")
}

// machine has a data folder and a mount point, both on its root disk.
func machine(t *testing.T) (data, mountPoint string) {
	t.Helper()
	data, mountPoint = t.TempDir(), filepath.Join(t.TempDir(), "usb")
	if err := os.Mkdir(mountPoint, 0o755); err != nil {
		t.Fatal(err)
	}
	return data, mountPoint
}

func prepare(t *testing.T, dir, data string) target.FolderIdentity {
	t.Helper()
	identity, err := target.PrepareFolder(t.Context(), dir, target.FolderOptions{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// everything is each file and folder below a folder, itself not.
func everything(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// code is that of the error for people.
func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return ""
}

// every does everything that a target does, and returns the errors by what was done.
func every(t *testing.T, f target.Target, name string) map[string]error {
	t.Helper()
	errs := map[string]error{"put": f.Put(t.Context(), name, targettest.Content(1, 10), 10), "delete": f.Delete(t.Context(), name)}
	r, err := f.Get(t.Context(), name, 0)
	if err == nil {
		r.Close()
	}
	errs["get"] = err
	errs["list"] = f.List(t.Context(), "", func(target.Object) error { return nil })
	_, _, _, errs["room"] = f.Room(t.Context())
	return errs
}

// refused fails the test unless every call fails in this way, with this code.
func refused(t *testing.T, f target.Target, want error, wantCode string) {
	t.Helper()
	for what, err := range every(t, f, "chain/x") {
		if !errors.Is(err, want) || code(err) != wantCode {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What every target promises, on a disk of its own.
func TestStick(t *testing.T) {
	t.Attr("shows", "backups")
	targettest.Run(t, func(t *testing.T) (one, other target.Target) {
		data, usb := machine(t)
		newStick(t, 200).plug(t, usb)
		identity := prepare(t, usb, data)
		return open(t, identity, data), open(t, identity, data)
	})
}

// A stick that is missing is never the disk below its mount point, not even where
// somebody has copied it there: nothing is made on it, and the target says what is wrong.
func TestMissingStick(t *testing.T) {
	t.Attr("shows", "backups")
	for _, c := range []struct {
		name, sub string
		dataDisk  bool // the data are on a disk of their own
	}{{"at its mount point", "", false}, {"in a folder on it", "backups/foyer", false}, {"the data are on a third disk", "", true}} {
		t.Run(c.name, func(t *testing.T) {
			data, usb := machine(t)
			if c.dataDisk {
				newStick(t, 1).plug(t, data)
			}
			s := newStick(t, 20)
			s.plug(t, usb)
			dir := filepath.Join(usb, c.sub)
			if c.sub != "" {
				if err := os.Mkdir(filepath.Dir(dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			identity := prepare(t, dir, data) // makes it, where it is missing
			if identity.Mount != usb || identity.Path != dir {
				t.Errorf("it is known as %+v", identity)
			}
			f := open(t, identity, data)
			if err := f.Put(t.Context(), "chain/1", targettest.Content(1, 1000), 1000); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, "foyer-target.json"))
			if err != nil {
				t.Fatal(err)
			}

			unmount(t, usb)
			check := func(what string) {
				t.Helper()
				before := everything(t, usb)
				refused(t, f, target.ErrAway, "target-away")
				if _, err := target.OpenFolder(t.Context(), identity, data); !errors.Is(err, target.ErrAway) {
					t.Errorf("open: %v", err)
				}
				after := everything(t, usb)
				if !slices.Equal(before, after) {
					t.Errorf("%s: on the root disk there were %q, there are %q", what, before, after)
				}
				t.Logf("SHOW a stick that is missing (%s, %s): 6 calls refused with target-away; files made on the root disk: %d", c.name, what, len(after)-len(before))
			}
			check("nothing in its place")
			if err := os.MkdirAll(filepath.Join(dir, "chain"), 0o755); err != nil {
				t.Fatal(err)
			}
			check("an empty folder in its place")
			if err := os.WriteFile(filepath.Join(dir, "foyer-target.json"), text, 0o600); err != nil {
				t.Fatal(err)
			}
			check("a copy in its place")

			s.plug(t, usb)
			if err := f.Put(t.Context(), "chain/2", targettest.Content(2, 10), 10); err != nil {
				t.Errorf("it is back: %v", err)
			}
			if got := tree(t, dir); !slices.Equal(got, []string{"chain/1", "chain/2"}) {
				t.Errorf("it has %q", got)
			}
		})
	}
}

// The disk of the data is no place for backups, wherever it is mounted and whatever was copied to it.
func TestDataDiskInPlaceOfTheStick(t *testing.T) {
	data, usb := machine(t)
	disk := newStick(t, 20)
	disk.plug(t, data)
	newStick(t, 20).plug(t, usb)
	identity := prepare(t, usb, data)
	f := open(t, identity, data)
	text, err := os.ReadFile(filepath.Join(usb, "foyer-target.json"))
	if err != nil {
		t.Fatal(err)
	}
	unmount(t, usb)
	disk.plug(t, usb)
	if err := os.WriteFile(filepath.Join(usb, "foyer-target.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, f, target.ErrAway, "target-away")
	if got := tree(t, data); len(got) > 0 {
		t.Errorf("beside the data there are %q", got)
	}
}

// A folder can be prepared where no stick is only if the same disk is wanted.
func TestPrepareWithoutTheStick(t *testing.T) {
	data, usb := machine(t)
	for _, dir := range []string{usb, filepath.Join(usb, "foyer")} {
		if _, err := target.PrepareFolder(t.Context(), dir, target.FolderOptions{Data: data}); code(err) != "target-same-disk" {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if all := everything(t, usb); len(all) > 0 {
		t.Errorf("made: %q", all)
	}
}

// Another stick in the same place is another, with a target on it or without.
func TestOtherStick(t *testing.T) {
	t.Attr("shows", "backups")
	data, usb := machine(t)
	s := newStick(t, 20)
	s.plug(t, usb)
	identity := prepare(t, usb, data)
	f := open(t, identity, data)
	unmount(t, usb)

	second := newStick(t, 20)
	second.plug(t, usb)
	if err := os.WriteFile(filepath.Join(usb, "photo.jpg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, f, target.ErrOther, "target-other")
	if got := tree(t, usb); !slices.Equal(got, []string{"photo.jpg"}) {
		t.Errorf("on the other stick there are %q", got)
	}
	unmount(t, usb)
	newStick(t, 20).plug(t, usb)
	if again := prepare(t, usb, data); again.ID == identity.ID {
		t.Error("two targets have one id")
	}
	refused(t, f, target.ErrOther, "target-other")
	if _, err := target.OpenFolder(t.Context(), identity, data); !errors.Is(err, target.ErrOther) {
		t.Errorf("open: %v", err)
	}
	if all := everything(t, usb); len(all) != 1 {
		t.Errorf("on the other target there are %q", all)
	}
}

// at is a reader that does something when it is read from, in the middle of others.
type at func()

func (do at) Read([]byte) (int, error) {
	do()
	return 0, io.EOF
}

// While an object is written its stick is unmounted, or another mounted over it: the object goes on
// that stick, and nothing elsewhere.
func TestStickGoesWhileAnObjectIsWritten(t *testing.T) {
	t.Attr("shows", "backups")
	const size = 3 << 20
	for _, c := range []struct {
		name    string
		instead bool
	}{{"nothing in its place", false}, {"another in its place", true}} {
		t.Run(c.name, func(t *testing.T) {
			data, usb := machine(t)
			s, second := newStick(t, 20), newStick(t, 20)
			s.plug(t, usb)
			identity := prepare(t, usb, data)
			f := open(t, identity, data)
			r := io.MultiReader(targettest.Content(1, size/2), at(func() {
				unmount(t, usb)
				if c.instead {
					second.plug(t, usb)
				}
			}), skip(targettest.Content(1, size), size/2))
			if err := f.Put(t.Context(), "chain/b/1", r, size); err != nil {
				t.Errorf("put: %v", err)
			}
			if all := everything(t, usb); len(all) > 0 {
				t.Errorf("at the mount point there are %q", all)
			}
			refused(t, f, map[bool]error{false: target.ErrAway, true: target.ErrOther}[c.instead], map[bool]string{false: "target-away", true: "target-other"}[c.instead])
			if c.instead {
				unmount(t, usb)
			}
			s.plug(t, usb)
			got, err := f.Get(t.Context(), "chain/b/1", 0)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			if err := targettest.Same(got, 1, size, 0); err != nil {
				t.Error(err)
			}
			if got := tree(t, usb); !slices.Equal(got, []string{"chain/b/1"}) {
				t.Errorf("on the stick there are %q", got)
			}
		})
	}
}

// skip reads r from there on.
func skip(r io.Reader, n int64) io.Reader {
	io.CopyN(io.Discard, r, n)
	return r
}

// What is mounted read-only is read, and not written to.
func TestReadOnlyStick(t *testing.T) {
	t.Attr("shows", "backups")
	data, usb := machine(t)
	s := newStick(t, 20)
	s.plug(t, usb)
	identity := prepare(t, usb, data)
	f := open(t, identity, data)
	if err := f.Put(t.Context(), "chain/1", targettest.Content(1, 10), 10); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", s.at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for what, err := range every(t, f, "chain/x") {
		switch what {
		case "put":
			if !errors.Is(err, target.ErrReadOnly) || code(err) != "target-readonly" {
				t.Errorf("put: %v", err)
			}
		case "get":
			if !errors.Is(err, target.ErrNotFound) {
				t.Errorf("get: %v", err)
			}
		default:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if err := f.Delete(t.Context(), "chain/1"); !errors.Is(err, target.ErrReadOnly) {
		t.Errorf("delete: %v", err)
	}
	again := open(t, identity, data)
	r, err := again.Get(t.Context(), "chain/1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := targettest.Same(r, 1, 10, 0); err != nil {
		t.Error(err)
	}
	if _, err := target.PrepareFolder(t.Context(), usb, target.FolderOptions{Data: data}); code(err) != "target-readonly" {
		t.Errorf("prepare: %v", err)
	}
}

// On a disk that is full nothing is left of what did not fit, and what is there stays.
func TestFullStick(t *testing.T) {
	t.Attr("shows", "backups")
	data, usb := machine(t)
	newStick(t, 4).plug(t, usb)
	f := open(t, prepare(t, usb, data), data)
	if err := f.Put(t.Context(), "chain/1", targettest.Content(1, 2<<20), 2<<20); err != nil {
		t.Fatal(err)
	}
	before, total, known, err := f.Room(t.Context())
	if err != nil || !known || total != 4<<20 || before > 2<<20 {
		t.Errorf("free %d of %d, %v, %v", before, total, known, err)
	}
	for range 3 {
		if err := f.Put(t.Context(), "chain/2", targettest.Content(2, 3<<20), 3<<20); !errors.Is(err, target.ErrFull) || code(err) != "target-full" {
			t.Errorf("put: %v", err)
		}
	}
	if after, _, _, err := f.Room(t.Context()); err != nil || after != before {
		t.Errorf("%d bytes were free, %d are, %v", before, after, err)
	}
	if got := tree(t, usb); !slices.Equal(got, []string{"chain/1"}) {
		t.Errorf("there are %q", got)
	}
	if err := f.Put(t.Context(), "chain/2", targettest.Content(2, 1<<20), 1<<20); err != nil {
		t.Errorf("what fits: %v", err)
	}
}

// ext4 makes a file system on a loop device.
func ext4(t *testing.T, uuid string) (image string) {
	t.Helper()
	image = filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-U", uuid, image)
	return image
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") != "" {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		t.Skipf("%s: %v\n%s", name, err, out)
	}
}

// A file system is known by its UUID: a copy of a target on another disk is another, until it is prepared itself; the same one
// is known again wherever it is mounted by.
func TestFilesystemIsKnown(t *testing.T) {
	t.Attr("shows", "backups")
	data, usb := machine(t)
	const uuid = "0b6a1c9e-51d2-4a58-9d6e-2f0c7b1a4e33"
	first, second := ext4(t, uuid), ext4(t, "7c1f0d52-8f4b-4c1e-9f6a-5a3d9e0b2c11")
	loop := func(image string) {
		t.Helper()
		run(t, "mount", "-o", "loop", image, usb)
		t.Cleanup(func() { unmount(t, usb) })
	}
	loop(first)
	identity := prepare(t, usb, data)
	if identity.Filesystem == "" {
		t.Skip("this kernel does not tell UUIDs (it is older than Linux 6.9), and udev did not look")
	}
	if identity.Filesystem != uuid {
		t.Errorf("it is known as %q", identity.Filesystem)
	}
	f := open(t, identity, data)
	if err := f.Put(t.Context(), "chain/1", targettest.Content(1, 10), 10); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(usb, "foyer-target.json"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, "umount", usb)
	loop(second)
	if err := os.WriteFile(filepath.Join(usb, "foyer-target.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, f, target.ErrOther, "target-other")
	if got := tree(t, usb); len(got) > 0 {
		t.Errorf("on the copy there are %q", got)
	}
	moved := prepare(t, usb, data)
	if moved.ID != identity.ID || moved.Filesystem == uuid {
		t.Errorf("the copy is known as %+v", moved)
	}
	if err := open(t, moved, data).Put(t.Context(), "chain/1", targettest.Content(1, 10), 10); err != nil {
		t.Error(err)
	}
	run(t, "umount", usb)
	loop(first)
	if all := strings.Join(tree(t, usb), " "); all != "chain/1" {
		t.Errorf("on the first there are %s", all)
	}
	if _, err := target.OpenFolder(t.Context(), identity, data); err != nil {
		t.Error(err)
	}
}
