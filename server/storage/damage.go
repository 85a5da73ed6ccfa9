package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// How long the check may take that follows an unclean end, and how long a disk that
// failed once is said to fail.
const (
	checkTime = 10 * time.Minute
	failing   = time.Minute
	trying    = 5 * time.Second // between two tries to write to it
)

// trouble is what the connections of a database met that is more than one request's:
// a file that is damaged, a disk that fails. It is safe for concurrent use.
type trouble struct {
	log    *slog.Logger
	wanted chan struct{} // one token: the whole file is to be checked

	mu      sync.Mutex
	damage  *hint.Error // nil: none is known
	gone    *hint.Error // the file is not where it was
	failure *hint.Error // of the disk
	failed  time.Time   // when that was last seen
	unkept  bool        // something could not be written since the last commit
	cleared bool        // a check found nothing where a request had: it is believed once
	clean   bool        // the end of this process is a clean one: nothing is left to check
}

func newTrouble(log *slog.Logger) *trouble {
	return &trouble{log: log, wanted: make(chan struct{}, 1), clean: true}
}

// noteWrite is note for the connection that writes.
func (t *trouble) noteWrite(err *codeError) {
	t.note(err)
	if err.ioError() || err.readOnly() {
		t.fails(err)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.unkept = true
	}
}

// note is told of every error of every connection.
func (t *trouble) note(err *codeError) {
	switch {
	case err.damaged():
		t.found(damaged(err), true)
	case err.ioError():
		t.fails(err)
	}
}

// fails keeps that the disk fails.
func (t *trouble) fails(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed.IsZero() || time.Since(t.failed) > failing {
		t.log.Error("the disk that holds the data fails", "err", err)
	}
	t.failed = time.Now()
	t.failure = hint.New("disk-failing",
		hint.T("The disk that holds the data fails: reading or writing went wrong.", "Le disque des données est défaillant : une lecture ou une écriture a échoué."),
		hint.T("What could not be read or stored was refused; Foyer keeps trying.", "Ce qui n'a pas pu être lu ou enregistré a été refusé ; Foyer continue d'essayer."),
		hint.T("Check that the disk is plugged in well and can be written to; copy the data folder to another one soon.", "Vérifiez que le disque est bien branché et accessible en écriture ; copiez bientôt le dossier des données sur un autre.")).Because(err)
}

// kept is told that something was written: the disk takes it again.
func (t *trouble) kept() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unkept {
		t.unkept, t.failure = false, nil
		t.log.Info("the disk that holds the data takes what is written again")
	}
}

// waits reports whether it is to be tried whether the disk can be written to again.
func (t *trouble) waits() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unkept
}

// away keeps that the file is not where it was.
func (t *trouble) away(path string) *hint.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone == nil {
		t.log.Error("the database file is not where it was; nothing more is written", "path", path)
		t.gone = hint.New("data-gone",
			hint.T("The data of this server are not where they were: %s is gone, empty or another file. Is a disk missing?", "Les données de ce serveur ne sont plus où elles étaient : %s a disparu, est vide ou est un autre fichier. Manque-t-il un disque ?", path),
			hint.T("Foyer writes nothing more, and starts the server anew when they are back.", "Foyer n'écrit plus rien, et relance le serveur quand elles sont de retour."),
			hint.T("Plug the disk in, or put a copy of the data back; Foyer goes on by itself.", "Branchez le disque, ou remettez une copie des données ; Foyer reprend de lui-même."))
	}
	return t.gone
}

// found keeps that the database is damaged, and asks for a check of all of it: what
// one request met may be over, and may be more.
func (t *trouble) found(damage *hint.Error, check bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clean = false
	if t.damage == nil {
		t.log.Error("the database is damaged; from now on it is only read", "err", damage.Err)
		t.damage = damage
	}
	if check && !t.cleared {
		t.ask()
	}
}

// ask has the whole file checked.
func (t *trouble) ask() {
	select {
	case t.wanted <- struct{}{}:
	default:
	}
}

// sound is nil while what is written is kept; else an error that is
// kinto.ErrUnavailable and *hint.Error, database-damaged or data-gone.
func (t *trouble) sound() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.gone != nil:
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, t.gone)
	case t.damage != nil:
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, t.damage)
	}
	return nil
}

// now is the trouble there is, nil for none.
func (t *trouble) now() *hint.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.gone != nil:
		return t.gone
	case t.damage != nil:
		return t.damage
	case t.failure != nil && (t.unkept || time.Since(t.failed) < failing):
		return t.failure
	}
	return nil
}

// Trouble is what is wrong with the database or its disk for more than one request, as
// far as it is known; nil: nothing. Its code is database-damaged, which holds until a
// check finds nothing; data-gone, which holds until the database is opened again; or
// disk-failing, until the disk does what it is asked. It does not block.
func (db *SQLite) Trouble() *hint.Error { return db.trouble.now() }

// Progress grows with each read and each commit that succeeds. It does not block.
func (db *SQLite) Progress() uint64 { return db.done.Load() + db.writer.done.Load() }

// damaged is the error of a database that is not what was written there.
func damaged(cause error) *hint.Error {
	return hint.New("database-damaged",
		hint.T("The database of this server is damaged: a disk that fails, or another program, has changed it.", "La base de données de ce serveur est endommagée : un disque défaillant ou un autre programme l'a modifiée."),
		hint.T("Foyer changes nothing in it any more, and reads what can be read.", "Foyer n'y modifie plus rien, et lit ce qui peut l'être."),
		hint.T("Copy the data folder to another disk before anything else; then put an older copy of it back, if you have one.", "Avant tout, copiez le dossier des données sur un autre disque ; remettez ensuite une copie plus ancienne, si vous en avez une.")).
		Because(cause)
}

// damage is what Check finds.
type damage struct{ text string }

func (d *damage) Error() string { return d.text }

// explain makes an error that says the database is damaged one that a person can
// act on; others stay what they are.
func explain(err error) error {
	if hint.Find(err) != nil {
		return err
	}
	code, isCode := errors.AsType[*codeError](err)
	_, found := errors.AsType[*damage](err)
	if !found && !(isCode && code.damaged()) {
		return err
	}
	return damaged(err)
}

// mark is a file beside the database that is there while it is open, so that an
// unclean end is known at the next start; and that holds what is damaged, so that a
// start forgets it only when a check finds nothing.
type mark struct{ path string }

// Words of the mark. What follows the second is what was found.
const (
	markOpen    = "open\n"
	markDamaged = "damaged: "
)

func markOf(database string) mark { return mark{database + "-open"} }

// read tells how the last process that had the database open ended.
func (m mark) read() (unclean bool, damage string, err error) {
	text, err := os.ReadFile(m.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, "", nil
	}
	damage, _ = strings.CutPrefix(string(text), markDamaged)
	if damage == string(text) {
		damage = ""
	}
	return true, strings.TrimSpace(damage), err
}

func (m mark) write(text string) error { return atomicfile.Write(m.path, []byte(text), 0o600) }

func (m mark) remove() error { return atomicfile.Remove(m.path) }

// begin makes the mark, and asks for a check when the last end was unclean. A disk that
// takes no mark keeps nobody from the data.
func (db *SQLite) begin() {
	unclean, was, err := db.mark.read()
	if err == nil && !unclean {
		err = db.mark.write(markOpen)
	}
	if err != nil {
		db.log.Warn("that the database is open could not be marked", "err", err)
	}
	if was != "" {
		db.trouble.found(damaged(errors.New(was)), false)
	}
	if unclean {
		db.log.Info("the database was not closed in good order; it is checked while it is in use")
		db.trouble.mu.Lock()
		db.trouble.clean = false
		db.trouble.mu.Unlock()
		db.trouble.ask()
	}
	ctx, cancel := context.WithCancel(context.Background())
	db.stop = cancel
	db.helpers.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-db.trouble.wanted:
				db.examine(ctx)
			}
		}
	})
	db.helpers.Go(func() { db.try(ctx) })
}

// try writes something small now and then while the disk takes nothing, so that it is
// known when it does again, until ctx ends.
func (db *SQLite) try(ctx context.Context) {
	clock := time.NewTicker(trying)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
		if !db.trouble.waits() {
			continue
		}
		err := db.Write(ctx, nil, func(tx kinto.Tx) error {
			return tx.SetMeta("disk.tried", []byte(time.Now().UTC().Format(time.RFC3339Nano)))
		})
		if err != nil {
			db.log.Debug("the disk still takes nothing", "err", err)
		}
	}
}

// end takes the mark away when nothing is left to check.
func (db *SQLite) end() error {
	db.trouble.mu.Lock()
	clean := db.trouble.clean
	db.trouble.mu.Unlock()
	if !clean {
		return nil
	}
	return db.mark.remove()
}

// examine checks the whole database beside what goes on, on a connection of its own,
// for no longer than checkTime, and keeps what it found.
func (db *SQLite) examine(ctx context.Context) {
	if err := db.trouble.sound(); err != nil {
		db.remember(err)
	}
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	start := time.Now()
	err := db.Check(limited)
	t := db.trouble
	switch e := hint.Find(err); {
	case ctx.Err() != nil: // closed: the next start checks again
	case e != nil && e.Code == "database-damaged":
		t.found(e, false)
		db.remember(e)
	case err != nil && limited.Err() == nil:
		db.log.Warn("the database could not be checked; the next start does so again", "err", err)
	default:
		t.mu.Lock()
		was := t.damage != nil
		if err == nil {
			t.cleared, t.damage = t.cleared || was, nil
		}
		t.clean = t.damage == nil
		t.mu.Unlock()
		if err != nil {
			db.log.Info("the check of the database was given up: it is large", "after", checkTime)
			return
		}
		db.log.Info("the database was checked, and nothing is damaged", "took", time.Since(start).Round(time.Millisecond))
		if was {
			if err := db.mark.write(markOpen); err != nil {
				db.log.Warn("that the database is sound could not be kept", "err", err)
			}
		}
	}
}

// remember has the next start know of damage before it has checked anything.
func (db *SQLite) remember(damage error) {
	text := strings.Join(strings.Fields(hint.Short(cause(damage), 2000)), " ")
	if err := db.mark.write(markDamaged + text + "\n"); err != nil {
		db.log.Warn("that the database is damaged could not be kept for the next start", "err", err)
	}
}

// cause is why there is a hint, in the words of SQLite.
func cause(err error) string {
	if e := hint.Find(err); e != nil && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
