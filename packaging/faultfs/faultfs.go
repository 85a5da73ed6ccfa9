// Package faultfs gives a test a disk that can be slow, hang, fail, fill up or lose
// its power, at any moment the test chooses. It hides FUSE, loop devices and mounts;
// the program under test sees an ordinary folder and needs no change.
//
// A Disk is an ext4 whose device has the faults: a power cut takes back every write
// that was not synced, with the real ext4 between the program and the device. A
// Folder is a FUSE folder whose files have the faults: there the program itself gets
// the error, and statfs can hang. Everything is released, unmounted and removed when
// the test ends, also when it failed, panicked or was killed with a fault active.
//
// Used by the tests in packaging/. They need root, /dev/fuse, and for a Disk loop
// devices and mkfs.ext4. Without these a test is skipped, or fails where CI is set.
//
// The faults are served by the test's own process, so run the program under test as
// another one. Keep neither its executable nor its working folder (exec.Cmd.Dir) on
// a Disk or Folder, and map no file of theirs into the test's own memory, as SQLite
// does: while the Go runtime waits for such an access it may be unable to serve it.
//
// While something hangs, a killed program stays until it is released, and sync(1)
// and df(1) anywhere on the machine may wait too.
//
// What this cannot prove: what the firmware of a real disk or SD card does; whether
// a file system other than ext4 survives; that a sync reaches past the device.
package faultfs

import (
	"sync"
	"syscall"
	"time"
)

// Op is a kind of operation that can have a fault.
type Op int

// On a Disk these arrive at the device: the kernel caches reads and delays writes,
// and a program's fsync becomes an Fsync here because ext4 flushes the device. It has
// no Statfs: ext4 answers that from memory. On a Folder they are the program's own
// calls, but for reads of what is in the page cache.
const (
	Read   Op = iota
	Write     // also fallocate
	Fsync     // also fdatasync, and the fsync of a directory
	Statfs    // of a Folder
	opCount
)

// Always is for Fail: every time, until Clear.
const Always = -1

// Faults are the faults of one Disk or Folder, which embed it. The zero value has
// none. Its methods may be called at any moment from any goroutine. An operation
// that has several faults is delayed, then hangs, then fails.
type Faults struct {
	mu      sync.Mutex
	ops     [opCount]opFaults
	cleared chan struct{} // closed by Clear; made when first needed
	ended   bool
}

type opFaults struct {
	count int
	delay time.Duration
	hang  *hang
	err   syscall.Errno
	times int // how often err is still to be returned; negative is always
}

// hang holds operations back until it is released.
type hang struct {
	held     chan struct{} // closed when the first operation is held
	released chan struct{}
	once     sync.Once
}

// Delay makes each op take longer by d. Zero ends it.
func (f *Faults) Delay(op Op, d time.Duration) {
	f.change(func() { f.ops[op].delay = d })
}

// Fail makes the next operations of this kind fail with err, so many times or
// Always, without being carried out. Zero times ends it. A Read that fails once may go
// unnoticed: the kernel tries again what it failed to read ahead.
//
// The kernel passes on what a Folder says. Through a Disk a program gets what ext4
// makes of it: usually EIO once from fsync, then a read-only file system if ext4
// could not write its journal.
func (f *Faults) Fail(op Op, err syscall.Errno, times int) {
	f.change(func() { f.ops[op].err, f.ops[op].times = err, times })
}

// Hang holds every operation of this kind until Release or Clear, whatever signal its
// caller gets, as a disk does that no longer answers. The channel is closed when the
// first operation is held.
func (f *Faults) Hang(op Op) (held <-chan struct{}) {
	h := &hang{held: make(chan struct{}), released: make(chan struct{})}
	f.change(func() {
		if f.ops[op].hang != nil {
			h = f.ops[op].hang
		}
		f.ops[op].hang = h
	})
	return h.held
}

// Release ends Hang: the operations that were held go on.
func (f *Faults) Release(op Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release(op)
}

func (f *Faults) release(op Op) {
	if h := f.ops[op].hang; h != nil {
		close(h.released)
		f.ops[op].hang = nil
	}
}

// Clear ends all faults and lets everything that is delayed or held go on.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for op := range f.ops {
		f.release(Op(op))
		f.ops[op] = opFaults{count: f.ops[op].count}
	}
	if f.cleared != nil {
		close(f.cleared)
		f.cleared = nil
	}
}

// Count says how many operations of this kind have arrived so far, among them those
// that failed or are held.
func (f *Faults) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops[op].count
}

// end is Clear for good: later faults are ignored, so that nothing that still runs
// after the test can keep it from being cleaned up.
func (f *Faults) end() {
	f.change(func() { f.ended = true })
	f.Clear()
}

func (f *Faults) change(set func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		set()
	}
}

// enter is called by each operation before it is carried out: it returns when the
// operation may go on, or with the error it is to fail with. Once dead is closed it
// waits no longer; what then becomes of the operation is up to the caller.
func (f *Faults) enter(op Op, dead <-chan struct{}) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := &f.ops[op]
	o.count++
	if o.delay > 0 {
		if f.cleared == nil {
			f.cleared = make(chan struct{})
		}
		f.wait(o.delay, f.cleared, dead)
	}
	if h := o.hang; h != nil {
		h.once.Do(func() { close(h.held) })
		f.wait(0, h.released, dead)
	}
	if o.times == 0 {
		return 0
	}
	if o.times > 0 {
		o.times--
	}
	return o.err
}

// wait gives up the lock until a channel is closed, or until d has passed unless d
// is 0.
func (f *Faults) wait(d time.Duration, a, b <-chan struct{}) {
	f.mu.Unlock()
	defer f.mu.Lock()
	var after <-chan time.Time
	if d > 0 {
		after = time.After(d)
	}
	select {
	case <-after:
	case <-a:
	case <-b:
	}
}
