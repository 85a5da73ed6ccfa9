// Package osupdate watches how the operating system below a Foyer gets its security
// updates: what is set up for that, what waits, what went wrong on the way, whether the
// machine has to be restarted, and until when there are updates at all.
//
// It does not install updates: the system's own programs do (apt, unattended-upgrades,
// needrestart). On Debian, Raspberry Pi OS and Ubuntu it reads what they leave on the disk,
// which every user may read, and asks apt-get what it would install; on other systems it
// says what it does not know. A machine whose updates are somebody else's affair gets no
// advice. What a package manager writes at this moment is not judged: dpkg's files have to
// be still for a while.
//
// What it reads may be of any size and was written by others: each file is read up to a
// bound, and what is not understood is passed over.
//
// Used by the supervisor's wiring, as a room.
package osupdate

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Config says which system to watch. Zero fields have the defaults of this machine, unless
// said otherwise.
type Config struct {
	Root   string      // what every path stands below; "/"
	State  string      // folder that remembers since when updates wait; empty: that is forgotten at each start
	Runner host.Runner // runs apt-get
	Kernel string      // the release that runs
	// Status is how all of Foyer is: it is asked after updates, and before a restart. nil: nobody
	// is asked, nothing is told of updates that came, and the machine is not restarted.
	Status func(context.Context) report.Status
	// Restarts: there is somebody who can restart the machine.
	Restarts bool
	// LeftAlone: the person sees to the updates. That nothing installs them, and how long they
	// wait, is no finding then.
	LeftAlone bool
	Now       func() time.Time // what time it is
	Log       *slog.Logger     // needed
	Timing    Timing
}

// Timing sets how often to look, and for how long nothing is said. Zero fields have defaults.
type Timing struct {
	Look    time.Duration // between two looks whether something changed; 20 s
	Ask     time.Duration // between two questions to apt-get while nothing changes; 6 h
	First   time.Duration // before the first question, if nothing changes; 5 min
	AskTime time.Duration // how long an answer may take; 3 min
	Settle  time.Duration // after updates, before Foyer is looked at; 1 min
	Still   time.Duration // what dpkg wrote has to stay for so long before it is judged; 10 min
}

// Watch is the room. Use New, then Run once. Checks may be run before and meanwhile.
type Watch struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	seen    observed
	waiting waiting
	told    []unsettled // packages half-way that were told of
	memory  memory
	restart decision

	tell   func(report.Event)
	began  time.Time
	before string // what a restart was made for, when this process began
}

// New returns a Watch that has looked at nothing yet.
func New(cfg Config) *Watch {
	cfg.Root = cmp.Or(cfg.Root, "/")
	if cfg.Runner == nil {
		cfg.Runner = host.Exec{}
	}
	if cfg.Kernel == "" {
		cfg.Kernel, _, _ = host.Kernel()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Timing.Look = cmp.Or(cfg.Timing.Look, 20*time.Second)
	cfg.Timing.Ask = cmp.Or(cfg.Timing.Ask, 6*time.Hour)
	cfg.Timing.First = cmp.Or(cfg.Timing.First, 5*time.Minute)
	cfg.Timing.AskTime = cmp.Or(cfg.Timing.AskTime, 3*time.Minute)
	cfg.Timing.Settle = cmp.Or(cfg.Timing.Settle, time.Minute)
	cfg.Timing.Still = cmp.Or(cfg.Timing.Still, 10*time.Minute)
	w := &Watch{cfg: cfg, began: cfg.Now(), tell: func(report.Event) {}}
	w.memory = readMemory(cfg.State)
	w.waiting.since, w.before = w.memory.Since, w.memory.RestartedFor
	w.waiting.signature = w.look().signature // what changes from now on is news
	return w
}

// UseHost implements supervisor.Guest.
func (w *Watch) UseHost(tell func(report.Event), _ func(kind string) (job.Record, error), _ func(why string)) {
	w.tell = tell
}

// Run asks apt-get what waits, each time something has changed, until ctx ends; has Foyer
// looked at after updates, and tells of them; and finds out when the machine may be restarted
// for them. Nothing is asked while dpkg writes, nor where there is no apt.
func (w *Watch) Run(ctx context.Context) {
	for pause.For(ctx, w.cfg.Timing.Look) {
		o := w.look()
		if o.system.Apt && w.toAsk(o) {
			w.ask(ctx, o)
		}
		if w.cfg.Status != nil && o.system.Apt && ctx.Err() == nil {
			w.follow(ctx, o)
			w.decide(ctx, o)
		}
	}
}

// observed is what the files of a system say.
type observed struct {
	signature string
	system    System
	automatic automatic
	packages  packages
	runs      []Run     // of apt, oldest first
	changed   time.Time // when dpkg or apt last wrote something
	lists     time.Time // when apt last got its lists; zero: never, or nobody knows
	restart   restart
}

// look reads the files of the system, if one of them has changed since the last look.
func (w *Watch) look() observed {
	w.mu.Lock()
	defer w.mu.Unlock()
	root := tree(w.cfg.Root)
	signature := root.signature(watched...)
	if w.seen.signature == signature {
		return w.seen
	}
	o := observed{signature: signature, system: readSystem(root), restart: readRestart(root, w.cfg.Kernel)}
	if o.system.Apt {
		o.packages = readPackages(root)
		o.automatic = readAutomatic(root, o.packages)
		o.runs = readHistory(root)
		o.changed = root.newest(written...)
		o.lists = root.newest("var/lib/apt/periodic/update-success-stamp", "var/lib/apt/periodic/update-stamp", listsDir)
	}
	w.seen = o
	return o
}

// still reports whether dpkg and apt have written nothing for a while, at a time. What has
// been written in the future, by a clock that was wrong, is as it is.
func (w *Watch) still(o observed, now time.Time) bool {
	age := now.Sub(o.changed)
	return age >= w.cfg.Timing.Still || age < 0
}

// What is read, below the root.
const (
	statusFile  = "var/lib/dpkg/status"
	updatesDir  = "var/lib/dpkg/updates"
	historyFile = "var/log/apt/history.log"
	listsDir    = "var/lib/apt/lists"
	confDir     = "etc/apt/apt.conf.d"
)

var (
	// written is what dpkg and apt write to while they work: term.log grows with what they
	// print, and may be seen, not read.
	written = []string{statusFile, updatesDir, historyFile, "var/log/apt/term.log", "var/log/dpkg.log"}
	watched = append([]string{
		"etc/os-release", "usr/lib/os-release", confDir, "etc/apt/apt.conf", "etc/apt/preferences.d", "etc/apt/sources.list", "etc/apt/sources.list.d", listsDir, "var/lib/apt/periodic/update-stamp",
		"var/lib/apt/periodic/update-success-stamp", "etc/systemd/system", "etc/systemd/system/timers.target.wants", restartFile, restartFile + ".pkgs", "boot",
	}, written...)
)

// tree is a folder with the files of a system.
type tree string

func (t tree) path(name string) string { return filepath.Join(string(t), filepath.FromSlash(name)) }

func (t tree) has(name string) bool {
	_, err := os.Lstat(t.path(name))
	return err == nil
}

// read returns the end of a file, of so many bytes at most; cut: there was more before that.
func (t tree) read(name string, most int64) (text []byte, cut bool) {
	f, err := os.Open(t.path(name))
	if err != nil {
		return nil, false
	}
	defer f.Close() //nolint:errcheck // it was only read
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return nil, false
	}
	from := max(0, fi.Size()-most)
	text = make([]byte, min(fi.Size(), most))
	n, _ := f.ReadAt(text, from) // of one that became shorter meanwhile, what is left
	return text[:n], from > 0
}

// mostNames is how many names of a folder are read.
const mostNames = 2000

// names are those in a folder, in their order.
func (t tree) names(dir string) (out []string) {
	f, err := os.Open(t.path(dir))
	if err != nil {
		return nil
	}
	defer f.Close()                    //nolint:errcheck // it was only read
	out, _ = f.Readdirnames(mostNames) // those that could be read
	slices.Sort(out)
	return out
}

// newest is when one of some files or folders was last written to; zero: none is there.
func (t tree) newest(names ...string) (at time.Time) {
	for _, name := range names {
		if fi, err := os.Stat(t.path(name)); err == nil && fi.ModTime().After(at) {
			at = fi.ModTime()
		}
	}
	return at
}

// signature changes when one of some files or folders does.
func (t tree) signature(names ...string) string {
	var out []byte
	for _, name := range names {
		if fi, err := os.Stat(t.path(name)); err == nil {
			out = fi.ModTime().AppendFormat(out, time.RFC3339Nano)
			out = append(out, ' ')
			if !fi.IsDir() {
				out = append(out, byte(fi.Size()), byte(fi.Size()>>8), byte(fi.Size()>>16), byte(fi.Size()>>24))
			}
		}
		out = append(out, '\n')
	}
	return string(out)
}
