package faultfs

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Folder is a FUSE folder that passes everything through to another one, with the
// faults. It knows no power cut: that needs a Disk.
type Folder struct {
	Faults
	// Path is the folder with the faults.
	Path string
	// Backing is the folder that holds the files. What a test does there meets no
	// fault.
	Backing string

	lacks lacks
}

// lacks are what the file system of a Folder does not know.
type lacks struct{ renameFlags, links atomic.Bool }

// LackRenameFlags has the Folder know rename(2), and of renameat2(2) no flag, as NFS and most of
// what is on FUSE do.
func (f *Folder) LackRenameFlags() { f.lacks.renameFlags.Store(true) }

// LackLinks has the Folder know no link(2), as FAT and exFAT do.
func (f *Folder) LackLinks() { f.lacks.links.Store(true) }

// NewFolder makes an empty folder in base, or in t.TempDir() if base is empty, and
// mounts it until the test ends. As for a Disk, only this user can enter t.TempDir(),
// and all faults are ended just before the test's Cleanup functions begin.
func NewFolder(t testing.TB, base string) *Folder {
	t.Helper()
	require(t, []string{"/dev/fuse"}, nil)
	base = workFolder(t, base)
	f := &Folder{Path: filepath.Join(base, "folder"), Backing: filepath.Join(base, "backing")}
	for _, dir := range []string{f.Path, f.Backing} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := fs.NewLoopbackRoot(f.Backing)
	if err != nil {
		t.Fatal(err)
	}
	node := &folderNode{LoopbackNode: root.(*fs.LoopbackNode), faults: &f.Faults, lacks: &f.lacks}
	node.RootData.RootNode = node
	serve(t, &f.Faults, f.Path, node)
	return f
}

// folderNode is a file or directory of a Folder.
type folderNode struct {
	*fs.LoopbackNode
	faults *Faults
	lacks  *lacks
}

var (
	_ fs.NodeWrapChilder    = (*folderNode)(nil)
	_ fs.NodeStatfser       = (*folderNode)(nil)
	_ fs.NodeOpener         = (*folderNode)(nil)
	_ fs.NodeCreater        = (*folderNode)(nil)
	_ fs.NodeOpendirHandler = (*folderNode)(nil)
	_ fs.NodeRenamer        = (*folderNode)(nil)
	_ fs.NodeLinker         = (*folderNode)(nil)
)

func (n *folderNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &folderNode{LoopbackNode: child.(*fs.LoopbackNode), faults: n.faults, lacks: n.lacks}
}

func (n *folderNode) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 && n.lacks.renameFlags.Load() {
		return syscall.EINVAL
	}
	return n.LoopbackNode.Rename(ctx, name, to, newName, flags)
}

func (n *folderNode) Link(ctx context.Context, of fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.lacks.links.Load() {
		return nil, syscall.EPERM
	}
	return n.LoopbackNode.Link(ctx, of, name, out)
}

func (n *folderNode) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	if errno := n.faults.enter(Statfs, nil); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Statfs(ctx, out)
}

func (n *folderNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	file, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags|syscall.O_CLOEXEC)
	if errno != 0 {
		return nil, 0, errno
	}
	return &folderFile{file.(loopbackFile), n.faults}, fuseFlags, 0
}

func (n *folderNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, file, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags|syscall.O_CLOEXEC, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return inode, &folderFile{file.(loopbackFile), n.faults}, fuseFlags, 0
}

func (n *folderNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	dir, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &folderDir{dir.(loopbackDir), n.faults}, fuseFlags, 0
}

// loopbackFile is what a folderFile passes through. PassthroughFd must not be among
// it: with it the kernel would read and write without asking.
type loopbackFile interface {
	fs.FileReader
	fs.FileWriter
	fs.FileFsyncer
	fs.FileAllocater
	fs.FileGetattrer
	fs.FileSetattrer
	fs.FileLseeker
	fs.FileReleaser
}

type folderFile struct {
	loopbackFile
	faults *Faults
}

func (f *folderFile) Read(ctx context.Context, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := f.faults.enter(Read, nil); errno != 0 {
		return nil, errno
	}
	return f.loopbackFile.Read(ctx, p, off)
}

func (f *folderFile) Write(ctx context.Context, p []byte, off int64) (uint32, syscall.Errno) {
	if errno := f.faults.enter(Write, nil); errno != 0 {
		return 0, errno
	}
	return f.loopbackFile.Write(ctx, p, off)
}

func (f *folderFile) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if errno := f.faults.enter(Write, nil); errno != 0 {
		return errno
	}
	return f.loopbackFile.Allocate(ctx, off, size, mode)
}

func (f *folderFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := f.faults.enter(Fsync, nil); errno != 0 {
		return errno
	}
	return f.loopbackFile.Fsync(ctx, flags)
}

// Flush is as for a device.
func (f *folderFile) Flush(context.Context) syscall.Errno { return syscall.ENOSYS }

type loopbackDir interface {
	fs.FileReaddirenter
	fs.FileFsyncdirer
	fs.FileSeekdirer
	fs.FileReleasedirer
}

type folderDir struct {
	loopbackDir
	faults *Faults
}

func (d *folderDir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if errno := d.faults.enter(Fsync, nil); errno != 0 {
		return errno
	}
	return d.loopbackDir.Fsyncdir(ctx, flags)
}
