package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// StateName is the last part of the name of the supervisor's own folder, which the
// service manager makes.
const StateName = "foyer-supervisor"

// Files of the mark: outside the data, and in their folder (package server reads that).
const (
	markFile = "claimed.json"
	idFile   = "data.id"
)

// mark says that this server has had an owner, and which data are theirs. It lies outside
// the data, so that data that are gone do not look like a new server.
type mark struct {
	Version int       `json:"version"` // 1
	ID      string    `json:"id"`      // of the data
	Data    string    `json:"data"`    // the folder they were in
	Shared  bool      `json:"shared"`  // they are in a database server; the folder has the id and certificates alone
	Since   time.Time `json:"since"`   // when the mark was made
}

// keeper knows which data are this server's. Without a folder of its own it knows
// nothing and stands in nobody's way. It is safe for concurrent use; what touches the
// disk blocks as long as the disk does.
type keeper struct {
	dir    string // the supervisor's own folder; empty: none
	data   string
	log    *slog.Logger
	mounts func() []string // on the way to the data, as this process sees them
	began  []string        // those at the beginning

	known atomic.Pointer[mark] // as last read or written

	mu   sync.Mutex // one check or lesson at a time; guards what follows
	said string     // the last complaint in the log
}

// StateDir is the folder of the supervisor's own among those that the service manager
// made (STATE_DIRECTORY, systemd.exec(5)); empty: there is none.
func StateDir(getenv func(string) string) string {
	for dir := range strings.SplitSeq(getenv("STATE_DIRECTORY"), ":") {
		if filepath.Base(dir) == StateName {
			return dir
		}
	}
	return ""
}

func (k *keeper) path() string { return MarkIn(k.dir) }

// MarkIn is the file in the supervisor's own folder that says which data are this server's. Without
// it those that are there are taken for its own.
func MarkIn(state string) string { return filepath.Join(state, markFile) }

// remounted reports whether a disk came or went on the way to the data since this process
// began. It has a view of its own of the machine's disks where a service manager gave it
// one, and one that comes later is not seen by it.
func (k *keeper) remounted() bool { return k.dir != "" && !slices.Equal(k.mounts(), k.began) }

// complain logs trouble with the mark, each once.
func (k *keeper) complain(what string, err error) {
	if said := what + err.Error(); said != k.said {
		k.said = said
		k.log.Warn(what, "err", err)
	}
}

// check is nil when the server may be started: its data are where they were, or it has
// none yet. Else it says why not. It tells the server, by a file in the data folder, which
// data it is to find; where there is no mark, that it may find any.
func (k *keeper) check() *report.Problem {
	if k.dir == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	text, err := os.ReadFile(k.path())
	if errors.Is(err, fs.ErrNotExist) {
		k.known.Store(nil)
		if err := atomicfile.Remove(filepath.Join(k.data, idFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.complain("the id of the data cannot be taken back", err)
		}
		return nil
	}
	var m mark
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && m.ID == "" {
		err = errors.New("it names no data")
	}
	if err != nil { // nothing is concluded from what cannot be read
		k.complain("the mark of this server's data cannot be read", err)
		return nil
	}
	k.known.Store(&m)
	there, err := os.ReadFile(filepath.Join(k.data, idFile))
	id := strings.TrimSpace(string(there))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		k.complain("the id of the data cannot be read", err) // the server says what is wrong with the folder
		return nil
	case id != "" && id != m.ID:
		return k.advise(&report.Problem{
			Code: "data-other",
			What: hint.T("The data in %s are those of another server.", "Les données dans %s sont celles d'un autre serveur.", k.data), Did: k.stopped(),
		})
	case !m.Shared && !holds(filepath.Join(k.data, "data.db")), m.Shared && !isFolder(k.data):
		return k.advise(&report.Problem{
			Code: "data-gone",
			What: hint.T("The data of this server are not where they were, in %s: is a disk missing?", "Les données de ce serveur ne sont plus où elles étaient, dans %s : manque-t-il un disque ?", k.data), Did: k.stopped(),
		})
	case id == "":
		if err := k.tell(m.ID); err != nil {
			k.complain("the id of the data cannot be written", err)
		}
	}
	return nil
}

func (k *keeper) stopped() hint.Text {
	return hint.T("Foyer did not start the server, and made nothing in their place.", "Foyer n'a pas démarré le serveur, et n'a rien créé à leur place.")
}

// advise says what to do about data that are gone, or are others.
func (k *keeper) advise(t *report.Problem) *report.Problem {
	if k.known.Load() != nil && (t.Code == "data-gone" || t.Code == "data-other") {
		t.Do = hint.T("Plug the disk in, or put the data back: Foyer goes on by itself. Only if this is to be a new server: sudo rm %s",
			"Branchez le disque, ou remettez les données : Foyer reprend de lui-même. Seulement si ce doit être un nouveau serveur : sudo rm %s", k.path())
	}
	return t
}

// learn keeps which data the server has, once it has an owner. What it found differs from
// what is kept only where that is kept for the first time.
func (k *keeper) learn(f facts) {
	if k.dir == "" || !f.Claimed || f.Data == "" {
		return
	}
	if known := k.known.Load(); known != nil && known.ID == f.Data && known.Shared == f.Shared {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	m := mark{Version: 1, ID: f.Data, Data: k.data, Shared: f.Shared, Since: time.Now().UTC()}
	text, err := json.MarshalIndent(m, "", "\t")
	if err == nil {
		err = atomicfile.Write(k.path(), append(text, '\n'), 0o600)
	}
	if err == nil {
		err = k.tell(m.ID)
	}
	if err != nil { // the next answer brings it here again
		k.complain("the mark of this server's data cannot be made", err)
		return
	}
	k.known.Store(&m)
	k.log.Info("the data of this server are known from now on", "mark", k.path())
}

// tell writes which data the server is to find.
func (k *keeper) tell(id string) error {
	if err := atomicfile.Write(filepath.Join(k.data, idFile), []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot tell the server which data are its own: %w", err)
	}
	return nil
}

// holds reports whether there is a file that is not empty, or that nobody can tell.
func holds(path string) bool {
	is, err := os.Stat(path)
	return err == nil && is.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist)
}

func isFolder(path string) bool {
	is, err := os.Stat(path)
	return err == nil && is.IsDir()
}
