package osupdate

import (
	"context"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// waiting are the updates that apt would install.
type waiting struct {
	asked     time.Time // when apt-get answered last; zero: never yet
	tried     time.Time // when it was asked last
	signature string    // of what was there to be asked about
	security  []Pending
	others    int
	refused   string               // what apt-get says instead of an answer
	since     map[string]time.Time // security updates, by name and version, and since when they wait
	refuses   time.Time            // since when it refuses; zero: it does not
}

// Pending is an update that waits.
type Pending struct {
	Name    string    `json:"name"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Since   time.Time `json:"since"` // when Foyer first saw it
	sources string    // where it comes from, as apt-get says it
}

// key is by what it is remembered.
func (p Pending) key() string { return p.Name + " " + p.To }

// toAsk reports whether apt-get is to be asked: something has changed and is still now, or it
// is long ago. A machine that was just started has more to do.
func (w *Watch) toAsk(o observed) bool {
	now := w.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	last, every := w.waiting.tried, w.cfg.Timing.Ask
	if last.IsZero() {
		last, every = w.began, w.cfg.Timing.First
	}
	if age := now.Sub(last); age >= every || age < 0 {
		return true
	}
	wrote := now.Sub(o.changed)
	return w.waiting.signature != o.signature && (wrote >= stillToAsk || wrote < 0)
}

// stillToAsk is for how long nothing has been written before apt-get is asked anew.
const stillToAsk = 30 * time.Second

// ask has apt-get say what it would install, which any user may ask, without its locks.
func (w *Watch) ask(ctx context.Context, o observed) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timing.AskTime)
	defer cancel()
	args := []string{"-s", "-q", "-o", "Debug::NoLocking=1", "-o", "APT::Get::Show-User-Simulation-Note=false"}
	if w.cfg.Root != "/" {
		args = append(args, aptIn(w.cfg.Root)...)
	}
	out, err := w.cfg.Runner.Run(ctx, "apt-get", append(args, "dist-upgrade")...)
	now := w.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil && err != nil {
		w.waiting.tried, w.waiting.signature = now, o.signature
		w.cfg.Log.Warn("apt-get does not say what waits", "err", err)
		return
	}
	w.waiting.tried, w.waiting.signature = now, o.signature
	if err != nil {
		if w.waiting.refuses.IsZero() {
			w.waiting.refuses = now
		}
		w.waiting.refused = complaint(err)
		w.cfg.Log.Warn("apt-get does not say what waits", "err", err)
		return
	}
	w.waiting.asked, w.waiting.refused, w.waiting.refuses = now, "", time.Time{}
	all := parsePending(out)
	w.waiting.security, w.waiting.others = nil, 0
	since := map[string]time.Time{}
	for _, p := range all {
		if !p.security(o.system) {
			w.waiting.others++
			continue
		}
		p.Since = w.waiting.since[p.key()]
		if p.Since.IsZero() || p.Since.After(now) {
			p.Since = now
		}
		since[p.key()] = p.Since
		w.waiting.security = append(w.waiting.security, p)
	}
	if !maps.Equal(since, w.waiting.since) {
		w.waiting.since = since
		w.remember()
	}
}

// aptIn are the options of apt-get for the system in a folder.
func aptIn(root string) []string {
	return []string{"-o", "Dir=" + root, "-o", "Dir::State::status=" + filepath.Join(root, filepath.FromSlash(statusFile))}
}

// complaint is what a command that failed says, in short.
func complaint(err error) string {
	if errors.Is(err, exec.ErrNotFound) {
		return "apt-get is not there"
	}
	text := err.Error()
	if run, ok := errors.AsType[*host.RunError](err); ok {
		text = run.Output
	}
	return hint.Short(text, 200)
}

// mostPending is how many updates are counted.
const mostPending = 5000

// pendingRE is "Inst libssl3 [3.0.11-1] (3.0.14-1 Debian-Security:12/oldstable-security [amd64])",
// where the version that is installed is missing for a new package.
var pendingRE = regexp.MustCompile(`^Inst (\S+) \[([^\]\s]+)\] \((\S+) (.*?) ?\[[^\]]*\]\)`)

// parsePending reads what apt-get -s prints. Packages that are new come along with others.
func parsePending(out string) (all []Pending) {
	for line := range strings.Lines(out) {
		m := pendingRE.FindStringSubmatch(line)
		if m == nil || len(all) == mostPending {
			continue
		}
		all = append(all, Pending{Name: hint.Short(m[1], 60), From: hint.Short(m[2], 60), To: hint.Short(m[3], 60), sources: m[4]})
	}
	return all
}

// securityRE is an archive of security updates among those that have a version.
var securityRE = regexp.MustCompile(`(^|, )(Debian-Security:|\S+/[a-z]+-security(,|$))`)

// security reports whether an update is one of security. Raspbian, of 32 bits, has all of its
// updates in one archive.
func (p Pending) security(s System) bool {
	return securityRE.MatchString(p.sources) || s.ID == "raspbian" && strings.Contains(p.sources, "Raspbian:")
}

// oldest is the security update that has waited for longest.
func (w waiting) oldest() time.Time {
	if len(w.security) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(w.security, func(a, b Pending) int { return a.Since.Compare(b.Since) }).Since
}

// names are those of the security updates, in short.
func (w waiting) names() string {
	var all []string
	for _, p := range w.security {
		all = append(all, p.Name)
	}
	return few(all)
}

// fewNames is how many names stand in a sentence.
const fewNames = 4

// few is a list of names that is short enough for a sentence.
func few(names []string) string {
	if len(names) > fewNames {
		return strings.Join(names[:fewNames], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
