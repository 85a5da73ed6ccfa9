//go:build e2e && linux

package backup

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/packaging/faultfs"
	"github.com/foyer-server/foyer/supervisor/job"
)

// The power is cut at any moment while people write: of the disk with the backups, of the machine, or of
// both. The disks forget what was not synced, all of it or some; half of them had failed to sync
// before, and said so. What the backup said was in it comes back, and it goes on in the same chain.
func TestBackupThroughPowerCuts(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	began := time.Now()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	dir := home(t)
	machine := faultfs.NewDisk(t, faultfs.DiskConfig{Base: dir, Size: 2 << 30})
	stick := faultfs.NewDisk(t, faultfs.DiskConfig{Base: dir, Size: 2 << 30})
	f := foyerAt(t, dir, places{data: filepath.Join(machine.Path, "data"), state: filepath.Join(machine.Path, "foyer-supervisor"), target: filepath.Join(stick.Path, "backup")}, map[string]string{"backup.interval": "1"})
	f.start()
	f.claim()
	f.begin(false)
	f.wait("the first backup", func() bool { return !f.backup().Complete.IsZero() })
	chain := f.backup().Chain
	l := newLedger()
	met := map[string]int{}
	restores := 0
	for cut := range dose(36, 3) {
		side := []string{"target", "machine", "both"}[cut%3]
		end := l.keepWriting(f)
		f.goesOn()
		time.Sleep(time.Duration(r.IntN(2500)) * time.Millisecond)
		if fails := r.IntN(2) == 0; whole && fails || !whole && side != "both" {
			disk, of := stick, "target"
			if side == "machine" {
				disk, of = machine, "machine"
			}
			f.failsToSync(disk, r.IntN(4))
			met["an fsync fails before, "+of]++
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
		}
		complete := f.backup().Complete
		kill := func() {}
		if side != "target" {
			kill = f.kill
		}
		steps := []func(){kill}
		if side != "target" {
			steps = append(steps, func() { powerCut(machine, r) })
		}
		if side != "machine" {
			steps = append(steps, func() { powerCut(stick, r) })
		}
		r.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			step()
		}
		if side == "target" {
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
		}
		end()
		met["power cut, "+side]++
		machine.Clear()
		stick.Clear()
		if side != "target" {
			machine.Mount()
		}
		if side != "machine" {
			stick.Mount()
		}
		needs := l.newest(complete)
		l.restored(t, f.restore(f.to), needs)
		restores++
		if side != "target" {
			f.start()
			l.served(f)
		}
		f.goesOn()
		if b := f.backup(); b.Chain != chain || b.Problem != nil {
			t.Errorf("after cut %d (%s): %+v", cut, side, b)
		}
		if t.Failed() {
			t.Fatalf("after cut %d, %s", cut, side)
		}
	}
	f.attach("letter", "Dear Paul")
	f.command("backup", "now")
	f.command("backup", "check")
	into := f.restore(f.to)
	l.restored(t, into, l.newest(time.Now()))
	same := f.same(t, into)
	acked, _ := l.count()
	show(t, "power cuts under a backup: %v; %d writes acknowledged, %d points restored, holes 0, the export in the end the same, by digest %.16s; %.1f min", met, acked, restores+1, same, time.Since(began).Minutes())
}

// goesOn waits until the backup does so by itself; in a small dose it is asked to at once.
func (f *foyer) goesOn() {
	f.t.Helper()
	now := time.Now()
	if !whole {
		f.command("backup", "now")
	}
	f.wait("the backup to go on", func() bool { return f.backup().Complete.After(now) })
}

// tryNow has everything backed up at once, if that can be done, and says whether it could.
func (f *foyer) tryNow() bool {
	f.t.Helper()
	r, err := f.control.StartJob(f.t.Context(), "backup-now", nil)
	if err == nil {
		r, err = f.control.FollowJob(f.t.Context(), r.ID, func(job.Record) {})
	}
	return err == nil && r.State == job.Done
}

// failsToSync has a disk fail to sync, so many syncs from now.
func (f *foyer) failsToSync(disk *faultfs.Disk, after int) {
	f.t.Helper()
	for range after {
		held := disk.Hang(faultfs.Fsync)
		f.wait("a sync", func() bool { return isClosed(held) })
		disk.Release(faultfs.Fsync)
	}
	before := disk.Count(faultfs.Fsync)
	disk.Fail(faultfs.Fsync, syscall.EIO, 1)
	f.wait("a sync that fails", func() bool { return disk.Count(faultfs.Fsync) > before })
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func powerCut(disk *faultfs.Disk, r *rand.Rand) {
	if r.IntN(3) == 0 {
		disk.PowerCut()
	} else {
		disk.PowerCutKeepSome(r.Uint64())
	}
}

// A disk fails to sync an object, and says so; whatever it says of what is tried after that, it then
// loses its power. What the backup said was in it is in it.
func TestBackupAfterASyncThatFailed(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	dir := home(t)
	stick := faultfs.NewDisk(t, faultfs.DiskConfig{Base: dir, Size: 2 << 30})
	f := foyerAt(t, dir, places{target: filepath.Join(stick.Path, "backup")}, map[string]string{"backup.interval": "1"})
	f.start()
	f.claim()
	f.begin(false)
	f.wait("the first backup", func() bool { return !f.backup().Complete.IsZero() })
	chain := f.backup().Chain
	l := newLedger()
	r := rand.New(rand.NewPCG(1, rand.Uint64()))
	goesWrong := 0
	const syncs = 1 // of an object, that fail: its file is synced first
	for n := range 2 * syncs {
		after, anew := n/2, n%2 == 1 // anew: the program is started again before the power is cut
		l.write(f, fmt.Sprintf("w%d", n), r)
		tried := make(chan bool, 1)
		go func() { tried <- f.tryNow() }()
		f.failsToSync(stick, after)
		if !<-tried {
			goesWrong++
		}
		if anew {
			f.kill()
			f.start()
		}
		for range 2 {
			f.tryNow()
		}
		complete := f.backup().Complete
		stick.PowerCut()
		stick.Mount()
		l.restored(t, f.restore(f.to), l.newest(complete))
		f.goesOn()
		if b := f.backup(); b.Chain != chain || b.Problem != nil {
			t.Errorf("after %d syncs, anew %t: %+v", after, anew, b)
		}
		l.restored(t, f.restore(f.to), l.newest(time.Now()))
	}
	if goesWrong == 0 {
		t.Error("no backup met a sync that failed")
	}
	f.command("backup", "check")
	show(t, "a sync of the target fails, what is tried again is told to be done, the power is cut: %d times, met by %d backups; holes 0", 2*syncs, goesWrong)
}
