package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/jsonlines"
)

// The journal is a file of lines with sums (internal/jsonlines). They are only ever
// appended, and synced before what they announce is done. A line that is torn or
// damaged is passed over: what it told is then not undone, which does no harm.
//
// It says what was made, for Undo, and the SHA-256 of files as they were written,
// by which one that was edited by hand is told. It is not asked how the machine is:
// the machine is.
const journalVersion = 1

// What a record says.
const (
	opBegin    = "begin"    // the journal was begun; Folders were made for it
	opIntent   = "intent"   // Changes are about to be made
	opDone     = "done"     // the step of the last intent is done
	opUndone   = "undone"   // Changes were taken back
	opFinished = "finished" // a run came to its end
)

// record is one line.
type record struct {
	V       int       `json:"v"`
	Op      string    `json:"op"`
	At      time.Time `json:"at"`
	Run     string    `json:"run,omitempty"`
	Step    string    `json:"step,omitempty"`
	Changes []Change  `json:"changes,omitempty"`
	Folders []string  `json:"folders,omitempty"`
	// Part: what was taken back was not wanted any more, and the rest stays as it is.
	Part bool `json:"part,omitempty"`
}

// parse reads a journal. It returns the records that are whole, how many bytes
// they reach to (a torn end is to be cut off there), and how many lines before
// that were damaged. A record of a later version is an error: that Foyer must be
// used to undo it.
func parse(data []byte) (records []record, whole, damaged int, err error) {
	whole, damaged = jsonlines.Read(data, func(raw json.RawMessage) error {
		var r record
		if err := json.Unmarshal(raw, &r); err != nil {
			return err
		}
		if r.V > journalVersion && err == nil {
			err = &NewerError{r.V}
		}
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, 0, 0, err
	}
	return records, whole, damaged, nil
}

// History is what the journal tells. The zero value is that of one that was never begun.
type History struct {
	folders  []string            // made for the journal itself, the outermost first
	made     []Change            // by us and not taken back, oldest first
	sums     map[string][]string // path → hashes of all that we ever wrote there
	open     map[string]bool     // steps begun and not done
	finished bool                // a run came to its end, and was not undone since
	last     string              // the last run that announced something
	cut      []Change            // that it announced, while it did not come to its end
	acted    map[string]bool     // steps that made something, all of which was not taken back since
}

// readHistory follows the records.
func readHistory(records []record) *History {
	h := &History{}
	for _, r := range records {
		h.follow(r)
	}
	return h
}

// follow takes in one more record.
func (h *History) follow(r record) {
	switch r.Op {
	case opBegin:
		h.folders = r.Folders
	case opIntent:
		if h.open == nil {
			h.open = map[string]bool{}
		}
		h.open[r.Step] = true
		if h.acted == nil {
			h.acted = map[string]bool{}
		}
		h.acted[r.Step] = h.acted[r.Step] || len(r.Changes) > 0
		h.add(r.Changes)
		if r.Run != h.last {
			h.last, h.cut = r.Run, nil
		}
		h.cut = append(h.cut, r.Changes...)
	case opDone:
		delete(h.open, r.Step)
	case opUndone:
		if !r.Part {
			delete(h.open, r.Step)
			delete(h.acted, r.Step)
			h.finished = false
		}
		undone := func(c Change) bool { return slices.ContainsFunc(r.Changes, c.same) }
		h.made, h.cut = slices.DeleteFunc(h.made, undone), slices.DeleteFunc(h.cut, undone)
	case opFinished:
		h.finished, h.cut = true, nil
	}
}

// add remembers changes. Of several to the same thing the first one says how it
// was before, and whether it was us who made it.
func (h *History) add(changes []Change) {
	for _, c := range changes {
		if c.SHA256 != "" {
			if h.sums == nil {
				h.sums = map[string][]string{}
			}
			h.sums[c.What] = append(h.sums[c.What], c.SHA256)
		}
		if !slices.ContainsFunc(h.made, c.same) {
			h.made = append(h.made, c)
		}
	}
}

// Made are the changes that were announced and not taken back, the oldest first.
func (h *History) Made() []Change { return slices.Clone(h.made) }

// MadeBy are those of one step.
func (h *History) MadeBy(step string) []Change {
	return slices.DeleteFunc(h.Made(), func(c Change) bool { return c.Step != step })
}

// Acted reports whether a step has made something since it was last taken back as a whole:
// what it made may not be wanted any more, and may have been taken back by parts.
func (h *History) Acted(step string) bool { return h.acted[step] }

// Open reports whether a step was begun and is not known to be done.
func (h *History) Open(step string) bool { return h.open[step] }

// Finished reports whether a run came to its end, of which nothing was taken back since.
func (h *History) Finished() bool { return h.finished }

// Wrote are the hashes, SHA-256 in hexadecimal, of all that was ever written to a path.
func (h *History) Wrote(path string) []string { return slices.Clone(h.sums[path]) }

// CutOff are the changes that the last run announced, if it did not come to its end:
// those that a list which is to be whole or not at all takes back (Run.Undo).
func (h *History) CutOff() []Change { return slices.Clone(h.cut) }

// NewerError says that a later version wrote the journal.
type NewerError struct{ Version int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("cannot read the journal: it is of version %d, this Foyer knows %d", e.Version, journalVersion)
}

// Disk makes durable what was written. Tests watch it, and have it fail.
type Disk struct {
	File   func(*os.File) error    // the bytes of a file
	Folder func(path string) error // the names in a folder
}

// RealDisk is the kernel's.
func RealDisk() Disk { return Disk{(*os.File).Sync, atomicfile.SyncDir} }

// Journal is the file, open for appending by the only run at work.
type Journal struct {
	*History
	path string
	file *os.File
	disk Disk
}

// Path is where the journal of a folder lies.
func Path(dir string) string { return filepath.Join(dir, "journal") }

// Peek reads the history of the journal in a folder without making anything; an empty
// one when there is none. It may be a *NewerError.
func Peek(dir string, log *slog.Logger) (*History, error) {
	records, _, err := read(dir, log)
	if err != nil {
		return nil, err
	}
	return readHistory(records), nil
}

func read(dir string, log *slog.Logger) (records []record, whole int, err error) {
	data, err := os.ReadFile(Path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read the journal: %w", err)
	}
	records, whole, damaged, err := parse(data)
	if damaged > 0 {
		log.Warn("lines of a journal are damaged", "path", Path(dir), "lines", damaged)
	}
	return records, whole, err
}

// OpenJournal opens the journal in folder dir for appending, cutting off a torn
// end. A missing one is begun: its folder, with the parents that are missing, is
// put together under another name and renamed, so that what was made for it is
// always told in it. It may be a *NewerError.
func OpenJournal(dir string, log *slog.Logger, on Disk) (*Journal, error) {
	records, whole, err := read(dir, log)
	if err != nil {
		return nil, err
	}
	h := readHistory(records)
	if len(records) == 0 {
		if h, err = begin(dir, on); err != nil {
			return nil, fmt.Errorf("cannot begin the journal: %w", err)
		}
	}
	f, err := os.OpenFile(Path(dir), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal: %w", err)
	}
	if len(records) > 0 {
		err = f.Truncate(int64(whole))
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err == nil {
		err = on.File(f)
	}
	if err != nil {
		f.Close() //nolint:errcheck // err says what is wrong
		return nil, fmt.Errorf("cannot open the journal: %w", err)
	}
	return &Journal{h, Path(dir), f, on}, nil
}

// begin makes dir and the journal in it.
func begin(dir string, on Disk) (*History, error) {
	missing := []string{}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); err == nil || filepath.Dir(d) == d {
			break
		}
		missing = append([]string{d}, missing...)
	}
	r := record{V: journalVersion, Op: opBegin, At: time.Now().UTC(), Folders: missing}
	text, err := jsonlines.Append(nil, r)
	if err != nil {
		return nil, err
	}
	if len(missing) == 0 { // the folder is there and holds no journal that could be read
		return readHistory([]record{r}), atomicfile.Write(Path(dir), text, 0o600)
	}
	top, tmp := missing[0], Besides(missing[0])
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	inside, err := filepath.Rel(top, dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(tmp, inside), 0o755); err != nil {
		return nil, err
	}
	for _, d := range missing {
		rel, err := filepath.Rel(top, d)
		if err != nil {
			return nil, err
		}
		mode := fs.FileMode(0o755)
		if d == dir {
			mode = 0o700
		}
		if err := os.Chmod(filepath.Join(tmp, rel), mode); err != nil { // whatever the umask
			return nil, err
		}
	}
	if err := atomicfile.Write(Path(filepath.Join(tmp, inside)), text, 0o600); err != nil {
		return nil, err
	}
	for d := filepath.Join(tmp, inside); d != filepath.Dir(tmp); d = filepath.Dir(d) {
		if err := on.Folder(d); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(tmp, top); err != nil {
		return nil, err
	}
	return readHistory([]record{r}), on.Folder(filepath.Dir(top))
}

// Besides is the name under which a folder is put together or taken apart.
func Besides(dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".foyer-install")
}

// write appends a record; it is on disk when write returns.
func (j *Journal) write(r record) error {
	r.V, r.At = journalVersion, r.At.UTC()
	text, err := jsonlines.Append(nil, r)
	if err != nil {
		return err
	}
	end, err := j.file.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = j.file.Write(text)
	}
	if err == nil {
		err = j.disk.File(j.file)
	}
	if err != nil { // half a line must not spoil the next one
		j.file.Truncate(end)           //nolint:errcheck // the write has failed already
		j.file.Seek(end, io.SeekStart) //nolint:errcheck // see above
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	j.follow(r)
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Remove takes the journal away, and the folders that were made for it as far as
// nothing else is in them. A crash on the way leaves nothing under a name that
// means something.
func (j *Journal) Remove() error {
	if err := j.Close(); err != nil {
		return err
	}
	dir := filepath.Dir(j.path)
	folders := j.folders
	if len(folders) == 0 {
		folders = []string{dir}
	}
	for i, top := range folders { // the outermost that holds nothing but the next
		alone := true
		for k, d := range folders[i:] {
			entries, err := os.ReadDir(d)
			if err != nil {
				return err
			}
			want := "journal"
			if i+k+1 < len(folders) {
				want = filepath.Base(folders[i+k+1])
			}
			alone = alone && len(entries) == 1 && entries[0].Name() == want
		}
		if !alone && top != dir {
			continue
		}
		if !alone {
			return atomicfile.Remove(j.path)
		}
		tmp := Besides(top)
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
		if err := os.Rename(top, tmp); err != nil {
			return err
		}
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
		return j.disk.Folder(filepath.Dir(top))
	}
	return nil
}
