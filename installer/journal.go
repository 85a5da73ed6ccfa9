package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
)

// The journal is a file of lines, each a JSON object {"record": …, "sum": …} where
// sum is the CRC-32C of the record's bytes, in hexadecimal. Lines are only ever
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
	opFinished = "finished" // an install came to its end
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
}

type line struct {
	Record json.RawMessage `json:"record"`
	Sum    string          `json:"sum"`
}

func sum(data []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// format returns r as a line of the journal.
func (r record) format() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(line{data, sum(data)})
	return append(out, '\n'), err
}

// parse reads a journal. It returns the records that are whole, how many bytes
// they reach to (a torn end is to be cut off there), and how many lines before
// that were damaged. A record of a later version is an error: that Foyer must be
// used to undo it.
func parse(data []byte) (records []record, whole, damaged int, err error) {
	bad := 0
	for rest := data; len(rest) > 0; {
		text, after, ended := bytes.Cut(rest, []byte("\n"))
		if !ended {
			break
		}
		rest = after
		var l line
		var r record
		if json.Unmarshal(text, &l) != nil || sum(l.Record) != l.Sum || json.Unmarshal(l.Record, &r) != nil {
			bad++
			continue
		}
		if r.V > journalVersion {
			return nil, 0, 0, fmt.Errorf("cannot read the journal: it is of version %d, this Foyer knows %d", r.V, journalVersion)
		}
		records, whole, damaged = append(records, r), len(data)-len(rest), bad
	}
	return records, whole, damaged, nil
}

// history is what the journal tells.
type history struct {
	folders  []string            // made for the journal itself, the outermost first
	made     []Change            // by us and not taken back, oldest first
	sums     map[string][]string // path → hashes of all that we ever wrote there
	open     map[string]bool     // steps begun and not done
	finished bool                // an install came to its end, and was not undone since
}

// readHistory follows the records.
func readHistory(records []record) *history {
	h := &history{sums: map[string][]string{}, open: map[string]bool{}}
	for _, r := range records {
		h.follow(r)
	}
	return h
}

// follow takes in one more record.
func (h *history) follow(r record) {
	switch r.Op {
	case opBegin:
		h.folders = r.Folders
	case opIntent:
		h.open[r.Step] = true
		h.add(r.Changes)
	case opDone:
		delete(h.open, r.Step)
	case opUndone:
		delete(h.open, r.Step)
		h.finished = false
		h.made = slices.DeleteFunc(h.made, func(c Change) bool { return slices.ContainsFunc(r.Changes, c.same) })
	case opFinished:
		h.finished = true
	}
}

// add remembers changes. Of several to the same thing the first one says how it
// was before, and whether it was us who made it.
func (h *history) add(changes []Change) {
	for _, c := range changes {
		if c.SHA256 != "" {
			h.sums[c.What] = append(h.sums[c.What], c.SHA256)
		}
		if !slices.ContainsFunc(h.made, c.same) {
			h.made = append(h.made, c)
		}
	}
}

// madeBy are the changes of a step that were made and not taken back.
func (h *history) madeBy(step string) []Change {
	var out []Change
	for _, c := range h.made {
		if c.Step == step {
			out = append(out, c)
		}
	}
	return out
}

// disk makes durable what was written. Tests watch it, and have it fail.
type disk struct {
	file   func(*os.File) error    // the bytes of a file
	folder func(path string) error // the names in a folder
}

func realDisk() disk { return disk{(*os.File).Sync, atomicfile.SyncDir} }

// journal is the file, open for appending, with the machine's only install at work.
type journal struct {
	path    string
	f       *os.File
	disk    disk
	history *history
}

// peek reads the history without making anything; an empty one when there is none.
func peek(path string, log *slog.Logger) (*history, []record, int, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return readHistory(nil), nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, fmt.Errorf("cannot read the journal: %w", err)
	}
	records, whole, damaged, err := parse(data)
	if err != nil {
		return nil, nil, 0, hint.New("journal-newer",
			hint.T("A newer version of Foyer was installed on this machine.", "Une version plus récente de Foyer a été installée sur cette machine."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Use that version.", "Utilisez cette version.")).Because(err)
	}
	if damaged > 0 {
		log.Warn("lines of the install journal are damaged", "path", path, "lines", damaged)
	}
	return readHistory(records), records, whole, nil
}

// openJournal opens the journal in folder dir for appending, cutting off a torn
// end. A missing one is begun: its folder, with the parents that are missing, is
// put together under another name and renamed, so that what was made for it is
// always told in it.
func openJournal(dir string, log *slog.Logger, now time.Time, on disk) (*journal, error) {
	path := filepath.Join(dir, "journal")
	h, records, whole, err := peek(path, log)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		if h, err = beginJournal(dir, now, on); err != nil {
			return nil, fmt.Errorf("cannot begin the journal: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
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
		err = on.file(f)
	}
	if err != nil {
		f.Close() //nolint:errcheck // err says what is wrong
		return nil, fmt.Errorf("cannot open the journal: %w", err)
	}
	return &journal{path, f, on, h}, nil
}

// beginJournal makes dir and the journal in it.
func beginJournal(dir string, now time.Time, on disk) (*history, error) {
	missing := []string{}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); err == nil || filepath.Dir(d) == d {
			break
		}
		missing = append([]string{d}, missing...)
	}
	r := record{V: journalVersion, Op: opBegin, At: now.UTC(), Folders: missing}
	text, err := r.format()
	if err != nil {
		return nil, err
	}
	if len(missing) == 0 { // the folder is there and holds no journal that could be read
		return readHistory([]record{r}), atomicfile.Write(filepath.Join(dir, "journal"), text, 0o600)
	}
	top, tmp := missing[0], besides(missing[0])
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
	if err := atomicfile.Write(filepath.Join(tmp, inside, "journal"), text, 0o600); err != nil {
		return nil, err
	}
	for d := filepath.Join(tmp, inside); d != filepath.Dir(tmp); d = filepath.Dir(d) {
		if err := on.folder(d); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(tmp, top); err != nil {
		return nil, err
	}
	return readHistory([]record{r}), on.folder(filepath.Dir(top))
}

// besides is the name under which a folder is put together or taken apart.
func besides(dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".foyer-install")
}

// write appends a record; it is on disk when write returns.
func (j *journal) write(r record) error {
	r.V, r.At = journalVersion, r.At.UTC()
	text, err := r.format()
	if err != nil {
		return err
	}
	end, err := j.f.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = j.f.Write(text)
	}
	if err == nil {
		err = j.disk.file(j.f)
	}
	if err != nil { // half a line must not spoil the next one
		j.f.Truncate(end)           //nolint:errcheck // the write has failed already
		j.f.Seek(end, io.SeekStart) //nolint:errcheck // see above
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	j.history.follow(r)
	return nil
}

func (j *journal) close() error { return j.f.Close() }

// remove takes the journal away, and the folders that were made for it as far as
// nothing else is in them. A crash on the way leaves nothing under a name that
// means something.
func (j *journal) remove() error {
	if err := j.close(); err != nil {
		return err
	}
	dir := filepath.Dir(j.path)
	folders := j.history.folders
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
		tmp := besides(top)
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
		if err := os.Rename(top, tmp); err != nil {
			return err
		}
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
		return j.disk.folder(filepath.Dir(top))
	}
	return nil
}
