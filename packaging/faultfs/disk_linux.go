package faultfs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// DiskConfig says what disk NewDisk makes. Its zero value will do.
type DiskConfig struct {
	// Base is the folder the disk works in. The default is t.TempDir(), which only
	// this user can enter: a program that runs as another user needs a Base that it
	// can enter.
	Base string
	// Size of the device in bytes, rounded up to whole sectors of 4 KiB. The default is
	// 64 MiB; it takes room on the host only as it fills up.
	Size int64
	// MountOptions are further options for mount(8), separated by commas.
	MountOptions string
}

// Disk is an ext4, mounted at Path, on a device that has the faults.
//
// The device has a volatile write cache, as real ones do: a write is in the cache
// when it returns and on the disk only after the next Fsync, which the kernel sends
// when ext4 asks for a flush of the device. An Fsync that fails leaves the cache as
// it was. The cache is memory of this process and grows until it is synced.
//
// NewDisk and the methods below must be called by the test's own goroutine, and those
// that fail end the test.
type Disk struct {
	Faults
	// Path is where the disk is mounted. It stays the same over power cuts.
	Path string

	t       testing.TB
	options string
	size    int64
	folder  string // FUSE mount that holds the device's file
	root    *fs.Inode

	mu     sync.Mutex // of the cache and the device
	cache  writeCache
	device *device
	plugs  int // devices there have been
}

// device is the disk for as long as it is mounted once. After that the kernel may go
// on using it, for a program that has files open or in a copy of the mount that
// another namespace holds; then it only fails.
type device struct {
	fs.Inode
	disk *Disk
	name string
	dead chan struct{}
}

// NewDisk makes a disk with an empty ext4 and mounts it until the test ends. Just
// before the test's Cleanup functions begin, all faults are ended, so that they can
// wait for a program that hangs on the disk. A process that has copied the mounts to a
// namespace of its own, as unshare(1) does, keeps the loop device until it ends.
func NewDisk(t testing.TB, c DiskConfig) *Disk {
	t.Helper()
	require(t, []string{"/dev/fuse", "/dev/loop-control"}, []string{"mkfs.ext4", "mount"})
	if c.Size == 0 {
		c.Size = 64 << 20
	}
	base := workFolder(t, c.Base)
	d := &Disk{
		Path:    filepath.Join(base, "disk"),
		t:       t,
		options: c.MountOptions,
		size:    (c.Size + sectorSize - 1) / sectorSize * sectorSize,
		folder:  filepath.Join(base, "device"),
		root:    new(fs.Inode),
	}
	for _, dir := range []string{d.Path, d.folder} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	image, err := os.OpenFile(filepath.Join(base, "image"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	if err := image.Truncate(d.size); err != nil {
		t.Fatal(err)
	}
	// Nothing is left for the kernel to initialize in the background: its writes
	// would be counted.
	d.run("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", image.Name())
	d.cache = writeCache{store: image, sectors: map[int64][][]byte{}}

	serve(t, &d.Faults, d.folder, d.root, d.Path)
	d.plug()
	d.Mount()
	return d
}

func (d *Disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("cannot run %s: %v\n%s", name, err, out)
	}
}

// plug replaces the device. The new one has a file of its own: of the same file
// mount(8) would use the old loop device again. The name is one of a kind, as that is
// all that losetup(8) shows of it in the end.
func (d *Disk) plug() {
	if d.device != nil {
		close(d.device.dead)
	}
	d.plugs++
	name := fmt.Sprintf("%s-%d", filepath.Base(filepath.Dir(d.Path)), d.plugs)
	d.device = &device{disk: d, name: name, dead: make(chan struct{})}
	node := d.root.NewPersistentInode(context.Background(), d.device, fs.StableAttr{Mode: syscall.S_IFREG})
	d.root.AddChild(name, node, true)
}

// Mount mounts the disk again, after Unmount or a power cut.
func (d *Disk) Mount() {
	d.t.Helper()
	options := "loop"
	if d.options != "" {
		options += "," + d.options
	}
	d.run("mount", "-t", "ext4", "-o", options, filepath.Join(d.folder, d.device.name), d.Path)
}

// Unmount syncs and unmounts the disk; whether the device reported errors on the way
// is not told. No program may have files open on it.
func (d *Disk) Unmount() {
	d.t.Helper()
	// Unmounting does not sync while another namespace has a copy of the mount.
	if dir, err := os.Open(d.Path); err == nil {
		_ = unix.Syncfs(int(dir.Fd()))
		dir.Close()
	}
	if err := unmount(d.Path); err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plug()
}

// PowerCut takes back every write that was not synced, and unmounts the disk: Mount
// shows what is left. A program that still has files open on it gets EIO for
// whatever needs the device, also where it hung; kill it, as it would have been.
// Faults stay set.
func (d *Disk) PowerCut() {
	d.t.Helper()
	d.powerCut(nil)
}

// PowerCutKeepSome is PowerCut for a disk that had written some of its cache, in an
// order of its own: each sector of 4 KiB holds what was last synced or anything
// written to it since, by chance. The same writes and the same seed leave the same.
func (d *Disk) PowerCutKeepSome(seed uint64) {
	d.t.Helper()
	d.powerCut(rand.New(rand.NewPCG(seed, 0)))
}

func (d *Disk) powerCut(rng *rand.Rand) {
	d.t.Helper()
	d.mu.Lock()
	err := d.cache.powerCut(rng)
	d.plug()
	d.mu.Unlock()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := unix.Unmount(d.Path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL {
		d.t.Fatalf("cannot unmount %s: %v", d.Path, err)
	}
}

var (
	_ fs.NodeGetattrer = (*device)(nil)
	_ fs.NodeOpener    = (*device)(nil)
	_ fs.NodeReader    = (*device)(nil)
	_ fs.NodeWriter    = (*device)(nil)
	_ fs.NodeFsyncer   = (*device)(nil)
	_ fs.NodeFlusher   = (*device)(nil)
)

// Getattr answers once and for all, so that mkfs.ext4 and losetup(8), which ask this of
// every loop device on the machine, wait for no other test.
func (v *device) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.SetTimeout(time.Hour)
	out.Mode = syscall.S_IFREG | 0o600
	out.Size = uint64(v.disk.size)
	return 0
}

// Open keeps the page cache out: every read of the loop device arrives.
func (v *device) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (v *device) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	p = p[:max(0, min(int64(len(p)), v.disk.size-off))]
	errno := v.do(Read, func(c *writeCache) error { return c.readAt(p, off) })
	return fuse.ReadResultData(p), errno
}

func (v *device) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	if off+int64(len(p)) > v.disk.size {
		return 0, syscall.ENOSPC
	}
	errno := v.do(Write, func(c *writeCache) error { return c.writeAt(p, off) })
	return uint32(len(p)), errno
}

func (v *device) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return v.do(Fsync, (*writeCache).sync)
}

// Flush tells the kernel not to ask again. A close between fork and exec would ask,
// while the Go runtime may be unable to answer.
func (v *device) Flush(context.Context, fs.FileHandle) syscall.Errno { return syscall.ENOSYS }

// do carries an operation out after its faults, unless the device is dead by then.
func (v *device) do(op Op, what func(*writeCache) error) syscall.Errno {
	select {
	case <-v.dead:
		return syscall.EIO
	default:
	}
	if errno := v.disk.enter(op, v.dead); errno != 0 {
		return errno
	}
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	if v.disk.device != v || what(&v.disk.cache) != nil {
		return syscall.EIO
	}
	return 0
}
