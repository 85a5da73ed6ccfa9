package attachment

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/server/kinto"
)

// zeros has so many bytes to give, and looks at the disk meanwhile.
type zeros struct {
	left int
	look func()
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	z.look()
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

// Uploads leave the database beside them its reserve: whoever says how much comes is
// refused before, whoever does not, as soon as it is too much; and nothing stays of it.
func TestUploadsLeaveRoomOnTheDisk(t *testing.T) {
	t.Attr("shows", "mend2")
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=80m"); err != nil {
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
	f, err := Open(filepath.Join(disk, "attachments"))
	if err != nil {
		t.Fatal(err)
	}
	least := uint64(80 << 20)
	look := func() {
		free, _, err := atomicfile.FreeSpace(disk)
		if err != nil {
			t.Error(err)
		}
		least = min(least, free)
	}
	for _, c := range []struct {
		size int64
		err  error
	}{{-1, nil}, {0, nil}, {10 << 20, nil}, {17 << 20, kinto.ErrFull}, {1 << 62, kinto.ErrFull}} {
		if err := f.Fits(c.size); !errors.Is(err, c.err) {
			t.Errorf("%d bytes: %v", c.size, err)
		}
	}
	if free, _, err := atomicfile.FreeSpace(disk); err != nil || f.Fits(int64(free)-64<<20) != nil || f.Fits(int64(free)-64<<20+1) == nil {
		t.Errorf("not all but 64 MB of %d are for attachments: %v", free, err)
	}
	if _, err := f.Put(&zeros{40 << 20, look}, -1); !errors.Is(err, kinto.ErrFull) {
		t.Errorf("40 MB: %v", err)
	}
	if n := unfinished(t, f); n != 0 {
		t.Errorf("%d files are left over", n)
	}
	if _, err := f.Put(&zeros{10 << 20, look}, -1); err != nil {
		t.Errorf("10 MB: %v", err)
	}
	if least < diskroom.Begins(diskroom.Short, 80<<20)-2*looked {
		t.Errorf("%d bytes were left", least)
	}
}
