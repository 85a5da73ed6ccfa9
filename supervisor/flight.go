package supervisor

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/supervisor/recorder"
)

// flight has the flight recorder note what its supervisor sees and does. Only codes and numbers
// are handed on: what a person, a program or the server wrote ends here.
type flight struct {
	*recorder.Recorder
	clocks func() clocks
	vitals func() host.Vitals

	// Of the sample before; sample is called by one goroutine at a time.
	last        clocks
	server, own time.Duration // of processor time
	by          int           // the server that had used it
}

// clocks are those of a machine at one moment.
type clocks struct {
	at    time.Time     // which people and the network set
	up    time.Duration // since the machine was started, with the time that it slept
	awake time.Duration // since some moment, without that time
	known bool          // up is
}

// machineClocks reads the clocks of this machine.
func machineClocks() func() clocks {
	began := time.Now()
	return func() clocks {
		up, ok := host.SinceBoot()
		return clocks{time.Now().Round(0), up, time.Since(began), ok} // on Linux Go's own clock stands still while the machine sleeps
	}
}

// newFlight records in folder dir; empty: nowhere.
func newFlight(dir string, log *slog.Logger) *flight {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // elsewhere the clock since then tells
	f := &flight{clocks: machineClocks(), vitals: host.ReadVitals}
	f.Recorder = recorder.New(recorder.Config{Dir: dir, Boot: string(boot), Log: log, Clock: func() (time.Time, time.Duration) {
		c := f.clocks()
		return c.at, c.up
	}})
	return f
}

// RecordingIn is the flight recorder's file in the supervisor's own folder.
func RecordingIn(state string) string { return filepath.Join(state, recorder.File) }

// begin has the recorder at work until ended is called with what the supervisor ends with.
func (f *flight) begin() (ended func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	f.Decide(recorder.Started())
	f.Soon()
	return func(err error) {
		if err == nil {
			f.Decide(recorder.Stopped())
		} else {
			f.Decide(recorder.Decision{Code: "foyer-failed", Severity: health.Error})
		}
		cancel()
		running.Wait()
	}
}

func (f *flight) serverStarted(pid int) {
	f.Decide(recorder.ServerStarted(pid))
	f.Soon()
}

// serverEnded notes that a server ended; state is nil where none was started.
func (f *flight) serverEnded(how string, state *os.ProcessState, lasted time.Duration) {
	numbers := []recorder.Value{{Of: recorder.Lasted, N: lasted.Milliseconds()}}
	if state != nil {
		numbers = append(numbers, recorder.Value{Of: recorder.Process, N: int64(state.Pid())})
		if wait, ok := state.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
			numbers = append(numbers, recorder.Value{Of: recorder.Signal, N: int64(wait.Signal())})
			if how == recorder.ByItself {
				how = recorder.Killed
			}
		} else {
			numbers = append(numbers, recorder.Value{Of: recorder.ExitStatus, N: int64(state.ExitCode())})
		}
	}
	f.Decide(recorder.ServerEnded(how, numbers...))
	f.Soon()
}

// replaces notes that Foyer is about to kill a server, and why.
func (f *flight) replaces(pid int, why string) {
	f.Decide(recorder.Decision{Code: "server-replaced", Severity: health.Warning, Cause: why, Numbers: []recorder.Value{{Of: recorder.Process, N: int64(pid)}}})
}

// found notes that a finding came or went.
func (f *flight) found(r health.Result) {
	f.Decide(recorder.Decision{Code: "finding", Severity: r.Severity, About: r.Code, Cause: r.Cause})
}

// repaired notes that a repair helped, or is given up.
func (f *flight) repaired(e event.Event) {
	f.Decide(recorder.Decision{Code: e.Code, Severity: e.Severity, About: e.Subject})
}

// jobBegins notes that a job, which may be a repair, begins.
func (f *flight) jobBegins(r job.Record) {
	d := recorder.Decision{Code: "job-begun", About: r.Kind}
	if r.By == health.ByItself {
		d = recorder.Decision{Code: "repair-begun", About: r.Kind}
	}
	f.Decide(d)
}

// jobEnded notes that a job has ended, how, and what root read of the kernel's log by it.
func (f *flight) jobEnded(r job.Record) {
	d := recorder.Decision{Code: "job-ended", About: r.Kind, Cause: string(r.State)}
	if r.By == health.ByItself {
		d = recorder.Decision{Code: "repair-ended", About: r.Kind, Cause: string(r.State)}
	}
	if r.State == job.Failed || r.State == job.CutOff {
		d.Severity = health.Warning
	}
	if !r.Started.IsZero() && r.Ended.After(r.Started) {
		d.Numbers = []recorder.Value{{Of: recorder.Lasted, N: r.Ended.Sub(r.Started).Milliseconds()}}
	}
	f.Decide(d)
	var read host.Readings
	if r.Kind != helper.VerbReadMachine || r.Result == nil || json.Unmarshal(r.Result, &read) != nil {
		return
	}
	for _, line := range read.KernelLog.Lines {
		if k, ok := recorder.ReadKernel(line.At, line.Text); ok {
			f.Kernel(k)
			f.Hurry()
		}
	}
}

// By how much clocks that agree may differ from one sample to the next.
const clocksDiffer = 2 * time.Second

// From here on how things are is written sooner: it may be the last.
const (
	strainedMemory = 10 // percent of the time something waited for it
	strainedIO     = 40
	strainedHeat   = 80 // degrees Celsius
)

// sample notes how things are: what was taken, of the server pid, and memory of this process.
func (f *flight) sample(taken report.Sample, pid int, memory int64) {
	c := f.clocks()
	f.clocksSince(c)
	v := f.vitals()
	figures := []recorder.Value{
		{Of: recorder.Requests, N: int64(math.Round(10 * taken.Requests))},
		{Of: recorder.ServerMemory, N: (taken.Memory - memory) >> 10},
		{Of: recorder.SupervisorMemory, N: memory >> 10},
		{Of: recorder.Free, N: int64(taken.Free >> 10)},
	}
	if used, ok := host.CPUTime(pid); ok {
		if pid != f.by {
			f.by, f.server = pid, 0
		}
		figures = append(figures, recorder.Value{Of: recorder.ServerCPU, N: (used - f.server).Milliseconds()})
		f.server = used
	}
	if own, ok := host.CPUTime(os.Getpid()); ok {
		figures = append(figures, recorder.Value{Of: recorder.SupervisorCPU, N: (own - f.own).Milliseconds()})
		f.own = own
	}
	if n, ok := host.FilesOpen(); ok {
		figures = append(figures, recorder.Value{Of: recorder.OpenFiles, N: int64(n)})
	}
	for _, said := range []struct {
		of recorder.Figure
		n  float64
	}{{recorder.Load, 100 * v.Load}, {recorder.Temperature, 10 * v.Celsius}, {recorder.WaitsCPU, 10 * v.WaitsCPU}, {recorder.WaitsMemory, 10 * v.WaitsMemory}, {recorder.WaitsIO, 10 * v.WaitsIO}} {
		if !math.IsNaN(said.n) {
			figures = append(figures, recorder.Value{Of: said.of, N: int64(math.Round(said.n))})
		}
	}
	f.Figures(figures...)
	if v.WaitsMemory >= strainedMemory || v.WaitsIO >= strainedIO || v.Celsius >= strainedHeat {
		f.Hurry()
	}
}

// clocksSince notes when a clock was set, or the machine slept, since the sample before.
func (f *flight) clocksSince(c clocks) {
	before := f.last
	f.last = c
	if !before.known || !c.known {
		return
	}
	passed := c.up - before.up
	if jump := c.at.Sub(before.at) - passed; jump.Abs() > clocksDiffer {
		f.Decide(recorder.Decision{Code: "clock-set", Severity: health.Info, Numbers: []recorder.Value{{Of: recorder.Jump, N: jump.Milliseconds()}}})
	}
	if slept := passed - (c.awake - before.awake); slept > clocksDiffer {
		f.Decide(recorder.Decision{Code: "machine-slept", Severity: health.Info, Numbers: []recorder.Value{{Of: recorder.Lasted, N: slept.Milliseconds()}}})
	}
}
