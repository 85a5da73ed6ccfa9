package recorder

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/supervisor/health"
)

// fakeDisk is a file in memory whose syncs a test can fail or hold.
type fakeDisk struct {
	mu    sync.Mutex
	data  []byte
	fails int
	held  chan struct{} // nil: nothing hangs; else until it is closed
	syncs int
	bytes int
}

var errDisk = errors.New("input/output error")

func (d *fakeDisk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes += len(p)
	return copy(d.data[off:], p), nil
}

func (d *fakeDisk) SyncData() error {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held != nil {
		<-held
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
	if d.fails != 0 {
		d.fails--
		return errDisk
	}
	return nil
}

func (d *fakeDisk) Close() error { return nil }

func (d *fakeDisk) image() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.data)
}

// on is a Recorder that writes to a fake disk of so many blocks.
func on(blocks int) (*Recorder, *fakeDisk) {
	d := &fakeDisk{data: make([]byte, blocks*block)}
	began := time.Now()
	r := New(Config{Dir: "a disk in memory", Log: slog.New(slog.DiscardHandler), Clock: func() (time.Time, time.Duration) {
		return time.Now(), time.Hour + time.Since(began)
	}})
	r.open = func() (*ring, error) {
		return &ring{to: d, blocks: uint16(blocks), boot: 7, run: 1, known: map[reported]int64{}}, nil
	}
	return r, d
}

// run runs a Recorder until the function that it returns is called.
func run(t *testing.T, r *Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := contextOf(t)
	var all sync.WaitGroup
	all.Go(func() { r.Run(ctx) })
	return func() {
		cancel()
		all.Wait()
	}
}

// counted are the values of Times in a recording, in order.
func counted(r *Recording) (out []int64) {
	for f := range r.Frames() {
		for _, record := range f.Records {
			for _, v := range slices.Concat(record.Figures, numbersOf(record)) {
				if v.Of == Times {
					out = append(out, v.N)
				}
			}
		}
	}
	return out
}

func numbersOf(r Record) []Value {
	if r.Decision == nil {
		return nil
	}
	return r.Decision.Numbers
}

func count(from, to int64) (out []int64) {
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

// Figures wait for each other, what matters waits for nothing, and takes along what came before.
func TestWhatMattersIsWrittenAtOnce(t *testing.T) {
	t.Attr("shows", "health")
	synctest.Test(t, func(t *testing.T) {
		r, d := on(64)
		stop := run(t, r)
		synctest.Wait()
		r.Figures(Value{Times, 0})
		time.Sleep(gather - time.Second)
		synctest.Wait()
		if d.syncs != 0 {
			t.Errorf("%d syncs for a figure", d.syncs)
		}
		r.Decide(Decision{Code: "server-ended", Severity: health.Warning, Numbers: []Value{{Times, 1}}})
		synctest.Wait()
		if got := counted(Decode(d.image())); d.syncs != 1 || !slices.Equal(got, count(0, 2)) {
			t.Errorf("after a decision: %d syncs, %v", d.syncs, got)
		}
		r.Figures(Value{Times, 2})
		time.Sleep(gather + time.Second)
		synctest.Wait()
		if got := counted(Decode(d.image())); d.syncs != 2 || !slices.Equal(got, count(0, 3)) {
			t.Errorf("after some minutes: %d syncs, %v", d.syncs, got)
		}
		r.Figures(Value{Times, 3})
		stop()
		if got := counted(Decode(d.image())); !slices.Equal(got, count(0, 4)) {
			t.Errorf("after the end: %v", got)
		}
	})
}

// A disk that hangs holds up nobody: what it does not take is counted, decisions stay, and the end
// does not wait for it.
func TestADiskThatHangsHoldsUpNobody(t *testing.T) {
	t.Attr("shows", "health")
	synctest.Test(t, func(t *testing.T) {
		r, d := on(256)
		held := make(chan struct{})
		d.held = held
		stop := run(t, r)
		r.Decide(Decision{Code: "disk-hangs", Severity: health.Error, Numbers: []Value{{Times, 0}}})
		synctest.Wait()
		began := time.Now()
		const figures = 5000
		for n := range int64(figures) {
			r.Figures(Value{Times, n + 2})
		}
		r.Decide(Decision{Code: "server-ended", Severity: health.Warning, Numbers: []Value{{Times, 1}}})
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it waited for %s", waited)
		}
		if n := len(r.records); n > mostRecords {
			t.Errorf("%d records wait", n)
		}
		d.mu.Lock()
		d.held = nil
		d.mu.Unlock()
		close(held)
		synctest.Wait()
		time.Sleep(gather)
		synctest.Wait()
		all := Decode(d.image())
		got, dropped := counted(all), uint32(0)
		for f := range all.Frames() {
			dropped += f.Dropped
		}
		if len(got)+int(dropped) != figures+2 || got[0] != 0 || got[len(got)-1] != 1 || got[1] < 2000 {
			t.Errorf("%d records and %d that were dropped, of %d: from %d, %d to %d", len(got), dropped, figures+2, got[0], got[1], got[len(got)-1])
		}
		d.mu.Lock()
		d.held = make(chan struct{})
		held = d.held
		d.mu.Unlock()
		r.Decide(Decision{Code: "disk-hangs", Severity: health.Error})
		synctest.Wait()
		ends := time.Now()
		ended := make(chan struct{})
		go func() { stop(); close(ended) }()
		<-ended
		if waited := time.Since(ends); waited > time.Minute {
			t.Errorf("its end waited for %s", waited)
		}
		close(held)
		t.Logf("SHOW the flight recorder, while its disk hangs: %d entries taken without waiting, %d kept, %d dropped and counted; the end waits for %s at most", figures+2, len(got), dropped, parting)
	})
}

// What a disk did not take is written again in its place: nothing is lost, and nothing is there
// twice.
func TestADiskThatFailsGetsTheSameAgain(t *testing.T) {
	t.Attr("shows", "health")
	synctest.Test(t, func(t *testing.T) {
		r, d := on(64)
		d.fails = 5
		stop := run(t, r)
		for n := range int64(100) {
			if n%10 == 0 {
				r.Decide(Decision{Code: "disk-fails", Severity: health.Error, Numbers: []Value{{Times, n}}})
			} else {
				r.Figures(Value{Times, n})
			}
			time.Sleep(10 * time.Second)
		}
		stop()
		all := Decode(d.image())
		if got := counted(all); !slices.Equal(got, count(0, 100)) || all.Damaged != 0 {
			t.Errorf("%v, %d damaged", got, all.Damaged)
		}
	})
}

// How much is written on a day on which nothing happens, and on one on which something happens
// each second; and by a Foyer that is started again and again.
func TestHowMuchIsWritten(t *testing.T) {
	t.Attr("shows", "health")
	sample := func(r *Recorder, n int64) {
		r.Figures(Value{Requests, 30 + n%7}, Value{ServerMemory, 80_000 + n%100}, Value{SupervisorMemory, 30_000 + n%50}, Value{Free, 20_000_000 - n}, Value{Load, 12 + n%5},
			Value{ServerCPU, 20}, Value{SupervisorCPU, 30}, Value{OpenFiles, 25}, Value{Temperature, 482 + n%20}, Value{WaitsCPU, n % 9}, Value{WaitsMemory, 0}, Value{WaitsIO, n % 17})
	}
	day := func(t *testing.T, each func(r *Recorder, second int64)) (written int) {
		synctest.Test(t, func(t *testing.T) {
			r, d := on(2048)
			stop := run(t, r)
			for second := range int64(24 * 60 * 60 / 10) {
				each(r, second)
				time.Sleep(10 * time.Second)
			}
			stop()
			written = d.bytes
		})
		return written
	}
	idle := day(t, sample)
	busy := day(t, func(r *Recorder, n int64) {
		sample(r, n)
		for range 10 {
			r.Decide(ServerEnded(Killed, Value{Signal, 9}))
			r.Decide(ServerStarted(int(n)))
		}
	})
	if idle > 5_000_000 || busy > 20_000_000 || idle == 0 || idle%block != 0 {
		t.Errorf("%d bytes on an idle day, %d on one full of trouble", idle, busy)
	}
	t.Logf("SHOW the flight recorder writes %.1f MB on an idle day, %.1f MB on a day with a death each second, in whole blocks of 4 KiB", float64(idle)/1e6, float64(busy)/1e6)
}

// The file is made once, with all its room, and gone on with; what cannot be used is made anew.
func TestTheFileIsGoneOnWith(t *testing.T) {
	t.Attr("shows", "health")
	dir := t.TempDir()
	path := filepath.Join(dir, File)
	write := func(n int64) *ring {
		t.Helper()
		r, err := openRing(dir, "boot", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		first := r.next
		frames := r.frames([]Record{{At: time.Now(), Figures: []Value{{Times, n}}}}, 0)
		if err := errors.Join(r.write(frames, first), r.to.Close()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for n := range int64(3) {
		write(n)
	}
	all, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	runs := []uint32{}
	for f := range all.Frames() {
		runs = append(runs, f.Run)
	}
	is, err := os.Stat(path)
	if err != nil || is.Mode().Perm() != 0o600 || is.Size() > mostSize || is.Size() < fewestSize {
		t.Errorf("%v, %v", is, err)
	}
	if got := counted(all); !slices.Equal(got, count(0, 3)) || !slices.Equal(runs, []uint32{1, 2, 3}) {
		t.Errorf("%v by runs %v", got, runs)
	}
	for name, spoil := range map[string]func() error{
		"cut off":    func() error { return os.Truncate(path, is.Size()-1) },
		"half of it": func() error { return os.Truncate(path, is.Size()/2) },
		"empty":      func() error { return os.Truncate(path, 0) },
		"gone":       func() error { return os.Remove(path) },
		"a link":     func() error { return errors.Join(os.Remove(path), os.Symlink("/dev/null", path)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		write(9)
		all, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := counted(all); !slices.Equal(got, []int64{9}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A line of the kernel is recorded once, though it is read again and again, by another process too.
func TestALineOfTheKernelIsRecordedOnce(t *testing.T) {
	dir := t.TempDir()
	at := time.Now().Add(-time.Hour)
	var lines []Kernel
	for n := range 5 {
		lines = append(lines, Kernel{Class: IOError, Device: "sda", At: at.Add(time.Duration(n) * time.Second)})
	}
	for _, upTo := range []int{3, 3, 5} {
		r := New(Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		stop := run(t, r)
		r.Kernel(lines[:upTo]...)
		r.Kernel(lines[:upTo]...)
		stop()
	}
	all, err := Read(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for f := range all.Frames() {
		for _, r := range f.Records {
			got = append(got, fmt.Sprint(r.Kernel.At.UnixMilli()-at.UnixMilli()))
		}
	}
	if diff := cmp.Diff([]string{"0", "1000", "2000", "3000", "4000"}, got); diff != "" {
		t.Error(diff)
	}
}
