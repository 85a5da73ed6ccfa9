package attachment

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// How long contents that were found damaged, and a disk that failed, are told of, unless
// they are seen to be well before. All contents are read once a week.
const (
	damagedFor = 8 * 24 * time.Hour
	failsFor   = time.Minute
	mostLost   = 100
)

// trouble is what requests met in a Folder. It is safe for concurrent use.
type trouble struct {
	mu     sync.Mutex // guards what follows
	lost   map[string]loss
	failed time.Time // when the disk last failed
	cause  error     // of that
}

// loss is contents that are not there as they were put.
type loss struct {
	at    time.Time
	bytes bool // they are there, and other ones
}

// Lost notes that contents a record refers to are missing, or not as they were put.
func (f *Folder) Lost(hash string) { f.note(hash, false) }

func (f *Folder) note(hash string, bytes bool) {
	f.met.mu.Lock()
	defer f.met.mu.Unlock()
	if f.met.lost == nil {
		f.met.lost = map[string]loss{}
	}
	if was, known := f.met.lost[hash]; known || len(f.met.lost) < mostLost {
		f.met.lost[hash] = loss{time.Now(), bytes || was.bytes}
	}
}

// There notes that contents are there, and as large as they were put.
func (f *Folder) There(hash string) {
	f.met.mu.Lock()
	defer f.met.mu.Unlock()
	if !f.met.lost[hash].bytes {
		delete(f.met.lost, hash)
	}
}

// whole notes that contents are as they were put.
func (f *Folder) whole(hash string) {
	f.met.mu.Lock()
	defer f.met.mu.Unlock()
	delete(f.met.lost, hash)
}

// fails notes that the disk failed, if err says so, and returns err.
func (f *Folder) fails(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); !ok || errors.Is(err, fs.ErrNotExist) || errors.Is(err, kinto.ErrFull) || errors.Is(err, os.ErrClosed) {
		return err
	}
	f.met.mu.Lock()
	defer f.met.mu.Unlock()
	f.met.failed, f.met.cause = time.Now(), err
	return err
}

// Reads is what contents that are open hold; a disk that fails meanwhile is noted.
func (f *Folder) Reads(file *os.File) io.ReadSeeker { return &reading{file, f} }

type reading struct {
	*os.File
	folder *Folder
}

// Read implements io.Reader.
func (r *reading) Read(p []byte) (int, error) {
	n, err := r.File.Read(p)
	if err != nil && err != io.EOF {
		r.folder.fails(err) //nolint:errcheck // it is the same one
	}
	return n, err
}

// WriteTo hides that of the file, which notes nothing.
func (r *reading) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{r}) }

// Trouble is what is wrong with attachments for more than one request, as far as requests
// met it; nil: nothing. Its code is attachment-damaged, or disk-failing. It does not block.
func (f *Folder) Trouble() *hint.Error {
	f.met.mu.Lock()
	defer f.met.mu.Unlock()
	for hash, l := range f.met.lost {
		if time.Since(l.at) > damagedFor {
			delete(f.met.lost, hash)
		}
	}
	switch {
	case !f.met.failed.IsZero() && time.Since(f.met.failed) < failsFor:
		return hint.New("disk-failing",
			hint.T("The disk that holds attached files fails: reading or writing went wrong.", "Le disque des fichiers joints est défaillant : une lecture ou une écriture a échoué."),
			hint.T("What could not be read or stored was refused; Foyer keeps trying.", "Ce qui n'a pas pu être lu ou enregistré a été refusé ; Foyer continue d'essayer."),
			hint.T("Check that the disk is plugged in well and can be written to; copy the data folder to another one soon.", "Vérifiez que le disque est bien branché et accessible en écriture ; copiez bientôt le dossier des données sur un autre.")).Because(f.met.cause)
	case len(f.met.lost) > 0:
		return hint.New("attachment-damaged",
			hint.T("Attached files are damaged or missing on this disk: %d so far.", "Des fichiers joints sont abîmés ou absents sur ce disque : %d jusqu'ici.", len(f.met.lost)),
			hint.T("Foyer sends nothing of them, and goes on with everything else.", "Foyer n'en envoie rien, et continue tout le reste."),
			hint.T("Restore the folder of attachments from a backup; `sudo foyer logs` names the files. Then `sudo foyer check --full` looks again.", "Restaurez le dossier des fichiers joints depuis une sauvegarde ; `sudo foyer logs` nomme les fichiers. Ensuite, `sudo foyer check --full` vérifie de nouveau."))
	}
	return nil
}
