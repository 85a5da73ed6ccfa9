package recorder

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Figure says what a number is of. Its value is in files: new ones are added at the end.
type Figure uint8

// Figures, of samples and of decisions.
const (
	Requests         Figure = iota + 1 // tenths, a minute
	ServerMemory                       // KiB
	SupervisorMemory                   // KiB
	Free                               // KiB, on the disk of the data
	Load                               // hundredths
	ServerCPU                          // milliseconds, since the last sample
	SupervisorCPU                      // as above
	OpenFiles                          // of the supervisor
	Temperature                        // tenths of a degree
	WaitsCPU                           // tenths of a percent
	WaitsMemory                        // as above
	WaitsIO                            // as above
	Process                            // the number of one
	ExitStatus
	Signal
	Lasted // milliseconds
	Times
	Jump    // milliseconds, forwards or back
	Errno   // as the kernel says it
	figures // how many there are, and one
)

// described is a figure for people and programs.
type described struct {
	name  string                  // in JSON
	scale float64                 // of the number in JSON
	title hint.Text               // before the number
	show  func(n int64) hint.Text // the number
}

func plainly(n int64) hint.Text    { return hint.T("%d", "%d", n) }
func kib(n int64) hint.Text        { return report.Size(uint64(max(0, n)) << 10) }
func tenths(n int64) hint.Text     { return hint.T("%.1f", "%.1f", float64(n)/10) }
func hundredths(n int64) hint.Text { return hint.T("%.2f", "%.2f", float64(n)/100) }
func percent(n int64) hint.Text    { return hint.T("%.1f %%", "%.1f %%", float64(n)/10) }
func degrees(n int64) hint.Text    { return hint.T("%.1f °C", "%.1f °C", float64(n)/10) }
func millis(n int64) hint.Text {
	d := time.Duration(n) * time.Millisecond
	if d.Abs() < 100*time.Second {
		return hint.T("%.1f s", "%.1f s", d.Seconds())
	}
	return hint.T("%s", "%s", d.Round(time.Second).String())
}

// table describes the figures.
var table = [figures]described{
	Requests:         {"requests_per_minute", 0.1, hint.T("requests a minute", "demandes par minute"), tenths},
	ServerMemory:     {"server_memory_bytes", 1024, hint.T("memory of the server", "mémoire du serveur"), kib},
	SupervisorMemory: {"supervisor_memory_bytes", 1024, hint.T("memory of the supervisor", "mémoire du superviseur"), kib},
	Free:             {"free_bytes", 1024, hint.T("free", "libre"), kib},
	Load:             {"load", 0.01, hint.T("load", "charge"), hundredths},
	ServerCPU:        {"server_cpu_seconds", 0.001, hint.T("CPU of the server", "processeur du serveur"), millis},
	SupervisorCPU:    {"supervisor_cpu_seconds", 0.001, hint.T("CPU of the supervisor", "processeur du superviseur"), millis},
	OpenFiles:        {"open_files", 1, hint.T("open files", "fichiers ouverts"), plainly},
	Temperature:      {"celsius", 0.1, hint.T("temperature", "température"), degrees},
	WaitsCPU:         {"waits_cpu_percent", 0.1, hint.T("waits for the CPU", "attente du processeur"), percent},
	WaitsMemory:      {"waits_memory_percent", 0.1, hint.T("for memory", "de la mémoire"), percent},
	WaitsIO:          {"waits_io_percent", 0.1, hint.T("for disks", "des disques"), percent},
	Process:          {"process", 1, hint.T("process", "processus"), plainly},
	ExitStatus:       {"exit_status", 1, hint.T("exit status", "code de sortie"), plainly},
	Signal:           {"signal", 1, hint.T("signal", "signal"), plainly},
	Lasted:           {"lasted_seconds", 0.001, hint.T("lasted", "durée"), millis},
	Times:            {"times", 1, hint.T("times", "fois"), plainly},
	Jump:             {"jump_seconds", 0.001, hint.T("by", "de"), millis},
	Errno:            {"errno", 1, hint.T("error", "erreur"), plainly},
}

// isKnown reports whether this program knows the figure; a newer one may know more.
func (f Figure) isKnown() bool { return f > 0 && f < figures }
