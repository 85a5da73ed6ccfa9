//go:build e2e && linux

package backup

import (
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/packaging/faultfs"
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
		side := []string{"machine", "both", "target"}[cut%3]
		end := l.keepWriting(f)
		f.shipped()
		time.Sleep(time.Duration(r.IntN(2500)) * time.Millisecond)
		if r.IntN(2) == 0 {
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
	if !whole {
		f.command("backup", "now")
	}
	f.shipped()
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
