package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup"
)

// Served is where the data are that a server of this machine serves. All fields are needed
// unless said otherwise.
type Served struct {
	Data  string // the folder
	State string // the supervisor's own folder; "": none
	Mark  string // file that says which data are this server's; "": none
}

// Over is the data of this machine that those of a backup take the place of.
type Over struct {
	Served
	// Files go along with the data: certificates and keys, as a manifest names them (Beside).
	Files []backup.File
	// Stop ends the server. Until Run returns no other is started: Resume says so.
	Stop func(context.Context) error
}

// Done is a switch that has happened.
type Done struct {
	Moment time.Time `json:"moment"` // of the data that are served now
	Former string    `json:"former"` // folder with what was served before
}

// Files of a switch. They are in the folder of the data, but for the last, which is in State.
const (
	switchFile = "restoring.json" // there: it has happened, and is to be ended
	switchLock = "restoring.lock" // held: it is about to happen, or happening
	noteFile   = "restored.json"  // one has ended that nobody has told of
)

// served are the names in the folder of the data that are always part of what is served, and
// database begins those of the rest.
var served = []string{"attachments", "data.id", "claim.json"}

const database = "data.db"

// beside is below which name in a manifest files are that lie beside the database.
const beside = "data/"

// plan is what restoring.json says.
type plan struct {
	Format int       `json:"format"` // 1
	Moment time.Time `json:"moment"`
	Side   string    `json:"side"`   // folder in that of the data
	Former string    `json:"former"` // likewise
	Leave  []string  `json:"leave"`  // names that go to Former
	Come   []string  `json:"come"`   // names that come from Side
}

// switching is a switch at work. at is told of each of its steps before it is taken, for tests.
type switching struct {
	Served
	at func(step string) error
}

// Pending reports whether a switch has happened in a folder of data and is to be ended.
func Pending(data string) bool {
	_, err := os.Lstat(filepath.Join(data, switchFile))
	return err == nil
}

// Resume ends a switch that was begun, if there is one: whoever was killed or lost power in the
// middle of it. It is called before each start of the server. The error has the code restore-switch,
// or restore-under-way while somebody else is at it; then the server must not be started.
//
// tell is called of a switch that ended since it was last called, by whomever: it is told once
// more where this process was cut off. It may be nil: then it is told another time.
//
// What restores left that were cut off before a switch is removed, too.
func Resume(s Served, tell func(Done)) error {
	w := switching{s, func(string) error { return nil }}
	if err := w.resume(); err != nil {
		return notSwitched(err)
	}
	if data, err := place(s.Data); err == nil {
		sweep(data, within(data)) //nolint:errcheck // it takes room, and no more; the next restore says what is in the way
	}
	return w.note(tell)
}

// notSwitched is what people are told of a switch that cannot go on.
func notSwitched(err error) error {
	if hint.Find(err) != nil {
		return err
	}
	return hint.New("restore-switch",
		hint.T("The data of a backup could not all be put in their place.", "Les données d'une sauvegarde n'ont pas toutes pu être mises à leur place."),
		hint.T("Nothing is lost: the server is started once they are.", "Rien n'est perdu : le serveur démarre dès que c'est fait."),
		hint.T("Look whether the disk can be written to; Foyer tries again by itself.", "Vérifiez que le disque accepte l'écriture ; Foyer réessaie de lui-même.")).Because(err)
}

// note tells of what is in restored.json.
func (w switching) note(tell func(Done)) error {
	if w.State == "" || tell == nil {
		return nil
	}
	path := filepath.Join(w.State, noteFile)
	text, err := os.ReadFile(path)
	if err != nil { // none, or it cannot be read: the data are in their place all the same
		return nil
	}
	var d Done
	if json.Unmarshal(text, &d) == nil {
		tell(d)
	}
	return atomicfile.Remove(path)
}

// resume rolls a switch forward.
func (w switching) resume() error {
	if !w.concerns() {
		return nil
	}
	lock, err := w.lock()
	if err != nil {
		return err
	}
	return errors.Join(w.roll(), w.unlock(lock))
}

// concerns reports whether somebody is, or was, at a switch. What is wrong with the folder
// otherwise is for the server to say.
func (w switching) concerns() bool {
	_, err := os.Lstat(filepath.Join(w.Data, switchLock))
	return err == nil || Pending(w.Data)
}

func (w switching) lock() (*atomicfile.Lock, error) {
	lock, err := atomicfile.TryLock(filepath.Join(w.Data, switchLock))
	if errors.Is(err, atomicfile.ErrLocked) {
		return nil, hint.New("restore-under-way",
			hint.T("A backup is being put in the place of the data in %s.", "Une sauvegarde prend la place des données dans %s.", w.Data), hint.T("Visitors wait meanwhile.", "Les visiteurs patientent."),
			hint.T("Wait until that is done.", "Attendez la fin.")).Because(err)
	}
	return lock, err
}

// unlock lets go of the lock. Its file goes first, while nobody else can have it.
func (w switching) unlock(lock *atomicfile.Lock) error {
	return errors.Join(os.Remove(filepath.Join(w.Data, switchLock)), lock.Unlock())
}

// take has the data of a side take the place of those that are served. It has happened once
// restoring.json is on the disk: from there on it goes forward only, and begun is true.
func (w switching) take(ctx context.Context, side *side, moment time.Time, stop func(context.Context) error) (former string, begun bool, err error) {
	lock, err := w.lock()
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, w.unlock(lock)) }()
	if err := stop(ctx); err != nil {
		return "", false, err
	}
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	p, err := w.plan(filepath.Base(side.dir), moment)
	if err != nil {
		return "", false, err
	}
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return "", false, err
	}
	former = filepath.Join(w.Data, p.Former)
	if err := os.Mkdir(former, 0o700); err != nil { // where no room is left for it, it is found out now
		return "", false, err
	}
	if err := atomicfile.Write(filepath.Join(w.Data, switchFile), append(text, '\n'), 0o600); err != nil {
		if Pending(w.Data) {
			return former, true, err
		}
		return "", false, errors.Join(err, os.Remove(former))
	}
	return former, true, w.roll()
}

// plan is what is to go, and what is to come. Nobody works in the folder.
func (w switching) plan(side string, moment time.Time) (*plan, error) {
	p := &plan{Format: 1, Moment: moment, Side: side, Former: "before-restore-" + time.Now().Format("2006-01-02-150405")}
	come, err := os.ReadDir(filepath.Join(w.Data, side, sideData))
	if err != nil {
		return nil, err
	}
	for _, e := range come {
		p.Come = append(p.Come, e.Name())
	}
	there, err := os.ReadDir(w.Data)
	if err != nil {
		return nil, err
	}
	for _, e := range there {
		n := e.Name()
		if slices.Contains(served, n) || n == database || strings.HasPrefix(n, database+"-") || slices.Contains(p.Come, n) {
			p.Leave = append(p.Leave, n)
		}
	}
	for base, i := p.Former, 2; ; i++ {
		if _, err := os.Lstat(filepath.Join(w.Data, p.Former)); errors.Is(err, fs.ErrNotExist) {
			return p, nil
		} else if err != nil {
			return nil, err
		}
		p.Former = fmt.Sprintf("%s-%d", base, i)
	}
}

// read reads restoring.json; nil: there is none.
func (w switching) read() (*plan, error) {
	text, err := os.ReadFile(filepath.Join(w.Data, switchFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p := &plan{}
	if err == nil {
		err = json.Unmarshal(text, p)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", switchFile, err)
	}
	if p.Format != 1 {
		return nil, fmt.Errorf("%s is of a newer Foyer", switchFile)
	}
	for _, name := range slices.Concat([]string{p.Side, p.Former}, p.Leave, p.Come) {
		if name != filepath.Base(name) || !filepath.IsLocal(name) || name == "." {
			return nil, fmt.Errorf("%s names %q, which is no name", switchFile, name)
		}
	}
	return p, nil
}

// roll does what is left to be done of a switch. Each step can be done twice.
func (w switching) roll() error {
	p, err := w.read()
	if err != nil || p == nil {
		return err
	}
	dir, err := os.Open(w.Data)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // a folder, opened to be worked in
	side, former := filepath.Join(p.Side, sideData), p.Former
	if err := w.step("make the folder for what was served", func() error {
		if err := os.Mkdir(filepath.Join(w.Data, former), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return atomicfile.SyncDir(w.Data)
	}); err != nil {
		return err
	}
	for _, name := range p.Leave {
		if slices.Contains(p.Come, name) && !w.there(filepath.Join(side, name)) {
			continue // it has left, and what came is in its place
		}
		if err := w.move(dir, name, filepath.Join(former, name)); err != nil {
			return err
		}
	}
	if err := w.sync(former, "."); err != nil {
		return err
	}
	for _, name := range p.Come {
		if err := w.move(dir, filepath.Join(side, name), name); err != nil {
			return err
		}
	}
	if err := w.sync(side, "."); err != nil {
		return err
	}
	return w.end(p)
}

// end does what is left once all is in its place.
func (w switching) end(p *plan) error {
	remove := func(path string) func() error { return func() error { return atomicfile.Remove(path) } }
	if w.Mark != "" {
		if err := w.step("have what is there taken for this server's", remove(w.Mark)); err != nil {
			return err
		}
	}
	if w.State != "" {
		if err := w.step("note it", func() error {
			text, err := json.Marshal(Done{p.Moment, filepath.Join(w.Data, p.Former)})
			if err != nil {
				return err
			}
			atomicfile.Write(filepath.Join(w.State, noteFile), append(text, '\n'), 0o600) //nolint:errcheck // that the data are served matters more than that it is told
			return nil
		}); err != nil {
			return err
		}
	}
	if err := w.step("remove the place at the side", func() error { return removeAll(filepath.Join(w.Data, p.Side)) }); err != nil {
		return err
	}
	return w.step("end", remove(filepath.Join(w.Data, switchFile)))
}

// move gives something in the folder another name, which nothing has; where it is gone that was
// done before.
func (w switching) move(dir *os.File, from, to string) error {
	return w.step("move "+from, func() error {
		err := atomicfile.RenameNew(dir, from, to)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !w.there(from):
			return nil
		case errors.Is(err, fs.ErrExist): // a file system that renames by a second name was cut off
			a, err1 := os.Lstat(filepath.Join(w.Data, from))
			b, err2 := os.Lstat(filepath.Join(w.Data, to))
			if err1 == nil && err2 == nil && !a.IsDir() && os.SameFile(a, b) {
				return os.Remove(filepath.Join(w.Data, from))
			}
		}
		return err
	})
}

func (w switching) there(name string) bool {
	_, err := os.Lstat(filepath.Join(w.Data, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// sync makes the names in folders durable; a side that is gone has none.
func (w switching) sync(names ...string) error {
	for _, name := range names {
		if err := w.step("sync "+name, func() error {
			err := atomicfile.SyncDir(filepath.Join(w.Data, name))
			if errors.Is(err, fs.ErrNotExist) && !w.there(name) {
				return nil
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w switching) step(what string, do func() error) error {
	if err := w.at(what); err != nil {
		return err
	}
	if err := do(); err != nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	return nil
}

// Beside are those files of a manifest that belong beside the database and that wanted says yes
// to, by the first part of their names there: certificates, router.secret.
func Beside(files []backup.File, wanted func(name string) bool) (out []backup.File) {
	for _, f := range files {
		name, ok := strings.CutPrefix(f.Name, beside)
		top, _, _ := strings.Cut(name, "/")
		if ok && filepath.IsLocal(filepath.FromSlash(name)) && (top == "certificates" || top == "router.secret") && wanted(top) {
			out = append(out, f)
		}
	}
	return out
}

// bring writes files of a manifest beside a database.
func bring(files []backup.File, data string) error {
	for _, f := range Beside(files, func(string) bool { return true }) {
		path := filepath.Join(data, filepath.FromSlash(strings.TrimPrefix(f.Name, beside)))
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, f.Data, 0o600)
		}
		if err == nil {
			err = os.Chmod(path, fs.FileMode(f.Mode)&0o755)
		}
		if err != nil {
			return fmt.Errorf("cannot bring certificates and keys back: %w", err)
		}
	}
	return nil
}
