//go:build e2e && linux

package faultfs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/packaging/faultfs"
	"golang.org/x/sys/unix"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f *os.File, s string) {
	t.Helper()
	_, err := f.WriteString(s)
	check(t, err)
}

// writeSynced leaves a file on the disk for good, with its name.
func writeSynced(t *testing.T, path string, data []byte) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	_, err = f.Write(data)
	check(t, err)
	check(t, f.Sync())
	dir, err := os.Open(filepath.Dir(path))
	check(t, err)
	defer dir.Close()
	check(t, dir.Sync())
}

// writeAndSync is writeSynced for where it may fail or hang.
func writeAndSync(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("text"); err != nil {
		return err
	}
	return f.Sync()
}

// cutQuietly cuts the power after what was done unsynced, and sees to it that no Fsync
// came in between: ext4 syncs every 5 seconds by itself, and any sync(1) on the machine
// reaches it. Where one did, everything is done again.
func cutQuietly(d *faultfs.Disk, cut, synced, unsynced func()) {
	for {
		synced()
		before := d.Count(faultfs.Fsync)
		unsynced()
		cut()
		after := d.Count(faultfs.Fsync)
		d.Mount()
		if after == before {
			return
		}
	}
}

// Each fsync of a file becomes an Fsync of the device before it returns, and a sync
// is what makes a write last: on an ext4 told to send none, even a synced file is lost.
func TestFsyncReachesTheDevice(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		options string
		reaches bool
	}{
		{"", true},
		{"barrier=0", false},
	} {
		t.Run("options "+tc.options, func(t *testing.T) {
			t.Parallel()
			d := faultfs.NewDisk(t, faultfs.DiskConfig{MountOptions: tc.options})
			path := filepath.Join(d.Path, "file")
			f := create(t, path)
			for range 5 {
				before := d.Count(faultfs.Fsync)
				write(t, f, "text")
				check(t, f.Sync())
				if reached := d.Count(faultfs.Fsync) > before; reached != tc.reaches {
					t.Fatalf("fsync reached the device: %t, want %t", reached, tc.reaches)
				}
			}
			check(t, f.Close())
			d.PowerCut()
			d.Mount()
			if got, err := os.ReadFile(path); (string(got) == "texttexttexttexttext") != tc.reaches {
				t.Errorf("the file is %q, %v; should it survive: %t", got, err, tc.reaches)
			}
		})
	}
}

func TestDelayedFsync(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{})
	f := create(t, filepath.Join(d.Path, "file"))
	d.Delay(faultfs.Fsync, 10*time.Millisecond)
	start := time.Now()
	for range 20 {
		write(t, f, "text")
		check(t, f.Sync())
	}
	took := time.Since(start)
	if took < 200*time.Millisecond {
		t.Errorf("20 fsyncs with 10 ms each took %s", took)
	}
	t.Logf("20 fsyncs took %s", took)
}

func TestDelayedWrite(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{})
	f := create(t, filepath.Join(d.Path, "file"))
	d.Delay(faultfs.Write, 20*time.Millisecond)
	start := time.Now()
	for range 5 {
		write(t, f, "text")
		check(t, f.Sync())
	}
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("5 synced writes with 20 ms each took %s", took)
	}
}

// The disk says once that it could not flush; ext4 gives up its journal, and is well
// again after it was mounted anew.
func TestFailedFsync(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{})
	path := filepath.Join(d.Path, "file")
	d.Fail(faultfs.Fsync, syscall.EIO, 1)
	err := writeAndSync(path)
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
		t.Errorf("fsync returned %v, want EIO, or EROFS if another sync came first", err)
	}
	t.Logf("first: %v", err)
	t.Logf("then: %v", writeAndSync(path))
	d.Unmount()
	d.Mount()
	writeSynced(t, path, []byte("again"))
}

// A write of data that failed is told to one fsync, once. The kernel takes the
// page for written, so the next fsync succeeds, and the data is lost all the same.
func TestFailedWrite(t *testing.T) {
	t.Parallel()
	// A commit of the journal may not come between and take the error.
	d := faultfs.NewDisk(t, faultfs.DiskConfig{MountOptions: "commit=300"})
	path := filepath.Join(d.Path, "file")
	writeSynced(t, path, []byte("old"))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	check(t, unix.Syncfs(int(f.Fd()))) // nothing else is left to be written
	d.Fail(faultfs.Write, syscall.EIO, 1)
	write(t, f, "new")
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("fsync returned %v, want EIO", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("the second fsync returned %v, want success", err)
	}
	check(t, f.Close())
	d.PowerCut()
	d.Mount()
	if got, err := os.ReadFile(path); string(got) != "old" {
		t.Errorf("the file is %q, %v; its only write failed", got, err)
	}
}

func TestFailedRead(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{})
	path := filepath.Join(d.Path, "file")
	writeSynced(t, path, []byte("text"))
	aligned, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	check(t, err)
	defer func() { check(t, unix.Munmap(aligned)) }()
	uncached, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	check(t, err)
	d.Fail(faultfs.Read, syscall.EIO, 1)
	if n, err := uncached.Read(aligned); !errors.Is(err, syscall.EIO) {
		t.Errorf("read %d bytes past the cache, %v; want EIO", n, err)
	}
	check(t, uncached.Close())

	d.Unmount() // and forget what is cached
	d.Mount()
	d.Fail(faultfs.Read, syscall.EIO, faultfs.Always)
	if got, err := os.ReadFile(path); !errors.Is(err, syscall.EIO) {
		t.Errorf("read %q, %v; want EIO", got, err)
	}
	d.Clear()
	if got, err := os.ReadFile(path); string(got) != "text" {
		t.Errorf("after Clear: read %q, %v", got, err)
	}
}

// A device that is full though ext4 has room, as thin volumes can be.
func TestDeviceWithoutSpace(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{})
	d.Fail(faultfs.Write, syscall.ENOSPC, faultfs.Always)
	err := writeAndSync(filepath.Join(d.Path, "file"))
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
		t.Errorf("fsync returned %v, want ENOSPC, EIO from an older kernel, or EROFS if another sync came first", err)
	}
	t.Logf("fsync: %v", err)
}

func TestSmallDiskFillsUp(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{Size: 8 << 20})
	f := create(t, filepath.Join(d.Path, "file"))
	n, err := f.Write(make([]byte, 9<<20))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d bytes to a disk of 8 MiB, %v; want ENOSPC", n, err)
	}
}

func TestHangingDisk(t *testing.T) {
	t.Parallel()
	read := func(path string) error { _, err := os.ReadFile(path); return err }
	for _, tc := range []struct {
		name string
		op   faultfs.Op
		do   func(path string) error
	}{
		{"fsync", faultfs.Fsync, writeAndSync},
		{"write", faultfs.Write, writeAndSync},
		{"read", faultfs.Read, read},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := faultfs.NewDisk(t, faultfs.DiskConfig{})
			path := filepath.Join(d.Path, "file")
			writeSynced(t, path, []byte("old"))
			d.Unmount() // and forget what is cached
			d.Mount()
			held, returned := d.Hang(tc.op), make(chan error, 1)
			go func() { returned <- tc.do(path) }()
			<-held
			select {
			case err := <-returned:
				t.Errorf("not held: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			d.Release(tc.op)
			check(t, <-returned)
		})
	}
}

// What was synced is there, what was not is as if it had never been.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{})
	data := bytes.Repeat([]byte("text"), 5000)
	synced, unsynced := filepath.Join(d.Path, "synced"), filepath.Join(d.Path, "unsynced")
	for range 2 {
		cutQuietly(d, d.PowerCut, func() { writeSynced(t, synced, data) }, func() {
			check(t, os.WriteFile(unsynced, data, 0o644))
			check(t, os.Rename(synced, synced+"-renamed"))
		})
		if got, err := os.ReadFile(synced); !bytes.Equal(got, data) {
			t.Errorf("the synced file has %d bytes, %v; want %d", len(got), err, len(data))
		}
		for _, path := range []string{unsynced, synced + "-renamed"} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s was not synced and survived: %v", filepath.Base(path), err)
			}
		}
	}
}

// Data that has reached the device but was not flushed is lost by PowerCut, and kept
// in part by PowerCutKeepSome, each block old or new; what was synced is always there.
func TestPowerCutWithDataInTheCache(t *testing.T) {
	t.Parallel()
	const block, blocks = 4096, 64
	for _, tc := range []struct {
		name  string
		seeds []uint64 // none is PowerCut
	}{
		{"PowerCut", nil},
		{"PowerCutKeepSome", []uint64{1, 2, 3, 4, 5, 6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := faultfs.NewDisk(t, faultfs.DiskConfig{})
			path, other := filepath.Join(d.Path, "file"), filepath.Join(d.Path, "other")
			cuts := []func(){d.PowerCut}
			if tc.seeds != nil {
				cuts = nil
			}
			for _, seed := range tc.seeds {
				cuts = append(cuts, func() { d.PowerCutKeepSome(seed) })
			}
			old, kept := 0, 0
			for _, cut := range cuts {
				cutQuietly(d, cut, func() {
					writeSynced(t, path, bytes.Repeat([]byte("a"), block*blocks))
					writeSynced(t, other, []byte("text"))
				}, func() {
					f, err := os.OpenFile(path, os.O_WRONLY, 0)
					check(t, err)
					defer f.Close()
					write(t, f, strings.Repeat("b", block*blocks))
					check(t, unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER))
				})
				got, err := os.ReadFile(path)
				check(t, err)
				if len(got) != block*blocks {
					t.Fatalf("the file has %d bytes", len(got))
				}
				for b := range slices.Chunk(got, block) {
					switch string(b) {
					case strings.Repeat("a", block):
						old++
					case strings.Repeat("b", block):
						kept++
					default:
						t.Fatal("a block is torn")
					}
				}
				if got, err := os.ReadFile(other); string(got) != "text" {
					t.Errorf("a synced file is %q, %v", got, err)
				}
			}
			t.Logf("%d blocks old, %d new", old, kept)
			if old == 0 || (kept > 0) != (tc.seeds != nil) {
				t.Errorf("%d blocks are old, %d new", old, kept)
			}
		})
	}
}

// A program that hung when the power was cut gets an error, and nothing it does
// later reaches the disk.
func TestPowerCutWhileHanging(t *testing.T) {
	t.Parallel()
	d := faultfs.NewDisk(t, faultfs.DiskConfig{})
	path := filepath.Join(d.Path, "file")
	writeSynced(t, path, []byte("old"))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	held, returned := d.Hang(faultfs.Write), make(chan error, 1)
	go func() {
		if _, err := f.WriteString("new"); err != nil {
			t.Error(err)
		}
		returned <- f.Sync()
	}()
	<-held
	d.PowerCut()
	if err := <-returned; err == nil {
		t.Error("fsync succeeded, after the power was cut")
	} else {
		t.Log(err)
	}
	d.Clear()
	if err := f.Sync(); err == nil {
		t.Error("fsync on the old mount succeeded")
	}
	d.Mount()
	if got, err := os.ReadFile(path); string(got) != "old" {
		t.Errorf("the file is %q, %v", got, err)
	}
	check(t, f.Close())
}
