//go:build e2e && linux

package backup

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/packaging/faultfs"
)

// Sides are the folders that can be on a disk with faults.
const (
	onTarget = "target"
	onState  = "state" // of the supervisor: what is known of the chain, and what is sealed
	onData   = "data"
)

// fault is something that a disk does, for a while.
type fault struct {
	side, name string
	op         faultfs.Op
	delay      time.Duration
	errno      syscall.Errno
	times      int    // until it has happened so often, or Always: until it is ended
	code       string // that the backup says meanwhile, if it lasts; "": it need not
	small      bool   // part of the small dose
}

var faults = []fault{
	{side: onTarget, name: "slow writes", op: faultfs.Write, delay: 300 * time.Millisecond},
	{side: onTarget, name: "slow syncs", op: faultfs.Fsync, delay: 500 * time.Millisecond},
	{side: onTarget, name: "one sync fails", op: faultfs.Fsync, errno: syscall.EIO, times: 1, small: true},
	{side: onTarget, name: "syncs fail", op: faultfs.Fsync, errno: syscall.EIO, times: faultfs.Always, code: "target-failing"},
	{side: onTarget, name: "one write fails", op: faultfs.Write, errno: syscall.EIO, times: 1},
	{side: onTarget, name: "three writes fail", op: faultfs.Write, errno: syscall.EIO, times: 3},
	{side: onTarget, name: "writes fail", op: faultfs.Write, errno: syscall.EIO, times: faultfs.Always, code: "target-failing"},
	{side: onTarget, name: "reads fail", op: faultfs.Read, errno: syscall.EIO, times: faultfs.Always, code: "target-failing"},
	{side: onTarget, name: "full", op: faultfs.Write, errno: syscall.ENOSPC, times: faultfs.Always, code: "target-full", small: true},
	{side: onTarget, name: "full when synced", op: faultfs.Fsync, errno: syscall.ENOSPC, times: faultfs.Always, code: "target-full"},
	{side: onState, name: "slow writes", op: faultfs.Write, delay: 100 * time.Millisecond},
	{side: onState, name: "slow syncs", op: faultfs.Fsync, delay: 300 * time.Millisecond},
	{side: onState, name: "writes fail", op: faultfs.Write, errno: syscall.EIO, times: faultfs.Always, code: "backup-folder"},
	{side: onState, name: "syncs fail", op: faultfs.Fsync, errno: syscall.EIO, times: faultfs.Always},
	{side: onState, name: "full", op: faultfs.Write, errno: syscall.ENOSPC, times: faultfs.Always, code: "backup-no-room", small: true},
	{side: onData, name: "slow writes", op: faultfs.Write, delay: 20 * time.Millisecond},
	{side: onData, name: "slow syncs", op: faultfs.Fsync, delay: 200 * time.Millisecond},
	{side: onData, name: "some writes fail", op: faultfs.Write, errno: syscall.EIO, times: 20},
	{side: onData, name: "some syncs fail", op: faultfs.Fsync, errno: syscall.EIO, times: 5},
	{side: onData, name: "syncs fail", op: faultfs.Fsync, errno: syscall.EIO, times: faultfs.Always, small: true},
	{side: onData, name: "writes fail", op: faultfs.Write, errno: syscall.EIO, times: faultfs.Always},
	{side: onData, name: "full", op: faultfs.Write, errno: syscall.ENOSPC, times: faultfs.Always},
}

// faulty is a Foyer whose folders are on disks with faults, and people who write to it.
type faulty struct {
	*foyer
	disks map[string]*faultfs.Folder
	l     *ledger
	chain string
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	dir := home(t)
	f := &faulty{disks: map[string]*faultfs.Folder{}, l: newLedger()}
	for _, side := range []string{onTarget, onState, onData} {
		f.disks[side] = faultfs.NewFolder(t, dir)
	}
	f.foyer = foyerAt(t, dir, places{
		data: filepath.Join(f.disks[onData].Path, "data"), state: filepath.Join(f.disks[onState].Path, "foyer-supervisor"), target: filepath.Join(f.disks[onTarget].Path, "backup"),
	}, map[string]string{"backup.interval": "1"})
	f.start()
	f.claim()
	f.begin(false)
	f.wait("the first backup", func() bool { return !f.backup().Complete.IsZero() })
	f.chain = f.backup().Chain
	return f
}

// copied is the target without its faults.
func (f *faulty) copied() string { return filepath.Join(f.disks[onTarget].Backing, "backup") }

// meet has one fault happen, and end.
func (f *faulty) meet(t *testing.T, w fault) {
	t.Helper()
	disk := f.disks[w.side]
	complete := f.backup().Complete
	disk.Delay(w.op, w.delay)
	disk.Fail(w.op, w.errno, w.times)
	before, refused := disk.Count(w.op), f.refused()
	if !whole || w.side == onState {
		f.tryNow() // the record of the job is synced in the state, or cannot be
	}
	f.wait(w.name+" to be met", func() bool { return disk.Count(w.op)-before >= max(1, w.times) })
	switch {
	case w.times > 0: // each was told to whoever it met; it may be over by now
	case w.code != "":
		f.wait(w.code, func() bool { b := f.backup(); return b.Problem != nil && b.Problem.Code == w.code })
	case w.side == onData && w.errno != 0:
		f.wait("writes to be refused", func() bool { return f.refused() > refused })
	case w.side == onTarget:
		f.shipped() // although people go on writing
		needs := f.l.newest(time.Now())
		f.wait("it to be there", func() bool { return f.l.restored(t, f.restore(f.copied()), 0) >= needs })
	}
	if w.code != "" {
		f.wait("the status to say "+w.code, func() bool { return f.finding("backup").Cause == w.code })
	}
	// What was there before comes back meanwhile.
	f.l.restored(t, f.restore(f.copied()), f.l.newest(complete))
	disk.Clear()
	if w.side == onData {
		acked, _ := f.l.count()
		f.wait("writes to go on", func() bool { now, _ := f.l.count(); return now > acked })
	}
	f.goesOn()
	complete = f.backup().Complete
	f.l.restored(t, f.restore(f.to), f.l.newest(complete))
	if b := f.backup(); b.Chain != f.chain || b.Problem != nil {
		t.Errorf("after it the backup is %+v", b)
	}
}

func (f *faulty) refused() int { _, refused := f.l.count(); return refused }

// finding is what a check last found.
func (f *foyer) finding(code string) report.Finding {
	f.t.Helper()
	s, err := f.control.Status(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range s.Checks {
		if r.Code == code {
			return r.Finding
		}
	}
	return report.Finding{}
}

// The disk of the target hangs, while people write. Who asks how things are is answered, and who writes
// too; what was there before can be restored from a copy. When the disk is back the backup goes on by itself.
func TestBackupOnADiskThatHangs(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	f := newFaulty(t)
	end := f.l.keepWriting(f.foyer)
	disk := f.disks[onTarget]
	ops := map[string]faultfs.Op{"fsync": faultfs.Fsync, "write": faultfs.Write, "read": faultfs.Read, "statfs": faultfs.Statfs}
	asked := 0
	for name, op := range ops {
		if !whole && op != faultfs.Fsync {
			continue
		}
		complete := f.backup().Complete
		held := disk.Hang(op)
		f.wait(name+" to hang", func() bool { return isClosed(held) })
		acked, _ := f.l.count()
		f.wait("writes to go on", func() bool {
			f.finding("backup")
			asked++
			now, _ := f.l.count()
			return now >= acked+dose(600, 50)
		})
		if whole { // after two minutes
			f.wait("the status to say so", func() bool { return f.finding("backup").Cause == "target-slow" })
		}
		f.l.restored(t, f.restore(f.copied()), f.l.newest(complete))
		disk.Clear()
		f.goesOn()
		if b := f.backup(); b.Chain != f.chain || b.Problem != nil {
			t.Errorf("after %s the backup is %+v", name, b)
		}
	}
	end()
	f.command("backup", "now")
	f.command("backup", "check")
	into := f.restore(f.to)
	f.l.restored(t, into, f.l.newest(time.Now()))
	same := f.same(t, into)
	acked, _ := f.l.count()
	show(t, "a target that hangs at %d kinds of operations: asked %d times how things are, and answered each time; %d writes acknowledged, holes 0, the export in the end the same, by digest %.16s", dose(len(ops), 1), asked, acked, same)
}

// The disks of the target, of the supervisor's state and of the data are slow, fail or are full for a
// while, one after the other, while people write. The last point of before can be restored meanwhile;
// afterwards the backup goes on by itself in the same chain, and nothing is missing.
func TestBackupOnDisksWithFaults(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	began := time.Now()
	f := newFaulty(t)
	end := f.l.keepWriting(f.foyer)
	met := map[string]int{}
	all := slices.Clone(faults)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, w := range all {
		if !whole && !w.small {
			continue
		}
		t.Logf("%s: %s", w.side, w.name)
		f.meet(t, w)
		if t.Failed() {
			t.Fatalf("%s: %s", w.side, w.name)
		}
		met[w.side+": "+w.name]++
	}
	end()
	f.l.served(f.foyer)
	f.attach("letter", "Dear Paul")
	f.command("backup", "now")
	f.command("backup", "check")
	into := f.restore(f.to)
	f.l.restored(t, into, f.l.newest(time.Now()))
	same := f.same(t, into)
	acked, refused := f.l.count()
	show(t, "faults under a backup, each met: %s; %d writes acknowledged, %d refused, %d points restored, holes 0, the export in the end the same, by digest %.16s; %.1f min",
		strings.Join(slices.Sorted(maps.Keys(met)), ", "), acked, refused, 2*len(met)+1, same, time.Since(began).Minutes())
}
