package health

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/diskroom"
)

// Filling remembers how much room a disk had each day, in a file that is written once a day,
// and foretells when there will be none. It is safe for concurrent use.
type Filling struct {
	path  string // empty: nothing outlasts this process
	built time.Time
	log   *slog.Logger

	mu   sync.Mutex
	days []dayRoom // in order of time
	told bool      // that it will be full soon
}

// dayRoom is how it was when a day was first looked at.
type dayRoom struct {
	At    time.Time `json:"at"`
	Free  uint64    `json:"free"`
	Total uint64    `json:"total"`
}

// Forecast is when a disk will be full.
type Forecast struct {
	Full   time.Time // what grows is refused from then on
	PerDay uint64    // bytes that are taken each day
	Over   int       // days that were looked at
}

// How a forecast is made.
const (
	mostDays  = 60             // that are remembered
	looksBack = 14             // days
	leastDays = 3              // between the first and the last, or nothing is foretold
	foretold  = 14 * day       // what is later is nobody's concern yet
	longer    = 3 * day        // than that, and it is not told any more: it is not to come and go
	day       = 24 * time.Hour // of the clock: a forecast does not mind an hour
	mostBytes = 64 << 10       // of the file
)

// FillingFile is the file of it in a folder.
const FillingFile = "disk-by-day.json"

// OpenFilling reads what is remembered in folder dir, if anything is; empty: it remembers for as
// long as this process lasts. What is damaged there is forgotten: it costs a forecast for some
// days. A clock that is before built is not believed.
func OpenFilling(dir string, built time.Time, log *slog.Logger) *Filling {
	f := &Filling{built: built, log: log}
	if dir == "" {
		return f
	}
	f.path = filepath.Join(dir, FillingFile)
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	if err == nil && len(text) > mostBytes {
		err = errors.New("it is too large")
	}
	if err == nil {
		err = json.Unmarshal(text, &f.days)
	}
	if err != nil {
		f.days = nil
		log.Warn("how full the disk was is not known any more", "file", f.path, "err", err)
	}
	slices.SortFunc(f.days, func(a, b dayRoom) int { return a.At.Compare(b.At) })
	f.days = f.days[max(0, len(f.days)-mostDays):]
	return f
}

// Note takes in how much room there is. The first of a day is written, by whoever calls.
func (f *Filling) Note(room diskroom.Room, now time.Time) {
	if now.Before(f.built) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	today := now.UTC().Truncate(day)
	i, known := slices.BinarySearchFunc(f.days, today, func(d dayRoom, t time.Time) int { return d.At.UTC().Truncate(day).Compare(t) })
	if known {
		return
	}
	f.days = slices.Insert(f.days, i, dayRoom{now.UTC(), room.Free, room.Total})
	if len(f.days) > mostDays { // the one that is farthest from now: clocks may have been wrong
		if first, last := f.days[0], f.days[len(f.days)-1]; last.At.Sub(now) > now.Sub(first.At) {
			f.days = f.days[:mostDays]
		} else {
			f.days = f.days[1:]
		}
	}
	if f.path == "" {
		return
	}
	text, err := json.Marshal(f.days)
	if err == nil {
		err = atomicfile.Write(f.path, append(text, '\n'), 0o600)
	}
	if err != nil { // a disk that is full, perhaps; there is another day
		f.log.Warn("how full the disk is cannot be remembered", "err", err)
	}
}

// Foretell says when the disk will be full, by how it went in the last two weeks, if that is
// within two weeks from now. What was deleted or added at once does not mislead it: it goes by
// the median of what any two days tell (Theil and Sen).
func (f *Filling) Foretell(room diskroom.Room, now time.Time) (Forecast, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var days []dayRoom
	for _, d := range f.days {
		if d.Total == room.Total && now.Sub(d.At) <= looksBack*day && now.After(d.At) { // another disk is another story
			days = append(days, d)
		}
	}
	told := f.told
	f.told = false
	if len(days) < leastDays || now.Sub(days[0].At) < leastDays*day {
		return Forecast{}, false
	}
	days = append(days, dayRoom{now, room.Free, room.Total})
	var slopes []float64 // bytes taken in a day
	for i, a := range days {
		for _, b := range days[i+1:] {
			if apart := b.At.Sub(a.At).Hours() / 24; apart > 0.5 {
				slopes = append(slopes, (float64(a.Free)-float64(b.Free))/apart)
			}
		}
	}
	slices.Sort(slopes)
	if len(slopes) == 0 {
		return Forecast{}, false
	}
	perDay := slopes[len(slopes)/2]
	left := float64(room.Free) - float64(diskroom.Begins(diskroom.Full, room.Total))
	within := foretold
	if told {
		within += longer
	}
	if f.told = perDay > 0 && left/perDay <= within.Hours()/24; !f.told {
		return Forecast{}, false
	}
	in := time.Duration(max(0, left/perDay) * float64(day))
	return Forecast{Full: now.Add(in), PerDay: uint64(perDay), Over: int(now.Sub(days[0].At).Hours()/24 + 0.5)}, true
}
