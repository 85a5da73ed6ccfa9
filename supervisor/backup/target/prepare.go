package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// FolderOptions say what PrepareFolder may do.
type FolderOptions struct {
	Data string // the folder that the data are in; must be set
	// SameDisk allows a folder on the file system of the data: its backups survive mistakes,
	// and not the end of the disk.
	SameDisk bool
}

// PrepareFolder makes a folder a target, and returns what it is known by from then on. A folder that is not
// there is made, in one that is. One that is a target already stays what it is, with its id and what
// is in it. It is refused, and left as it was, when it is of no use, with an error for people.
func PrepareFolder(ctx context.Context, dir string, o FolderOptions) (FolderIdentity, error) {
	var identity FolderIdentity // of the turn, unless it ended well
	err := newTurns().take(ctx, func() (err error) {
		identity, err = prepare(dir, o)
		return err
	}, nil)
	if err != nil {
		return FolderIdentity{}, fmt.Errorf("cannot set up a folder for backups: %w", explain(dir, err))
	}
	return identity, nil
}

func prepare(dir string, o FolderOptions) (identity FolderIdentity, err error) {
	dir, fresh, err := locate(dir)
	if err != nil {
		return FolderIdentity{}, err
	}
	there := dir
	if fresh {
		there = filepath.Dir(dir)
	}
	identity, err = place(dir, there, o)
	if err != nil {
		return FolderIdentity{}, err
	}
	if fresh {
		if err := makeDir(dir); err != nil {
			return FolderIdentity{}, err
		}
		defer func() {
			if err != nil {
				os.Remove(dir) //nolint:errcheck // err says what is wrong; it goes if it is empty
			}
		}()
	}
	in, err := os.OpenRoot(dir)
	if err != nil {
		return FolderIdentity{}, err
	}
	defer in.Close() //nolint:errcheck // a folder, opened to be worked in
	known, why := readIdentity(in)
	switch {
	case why == nil, errors.Is(why, errDamaged):
	case errors.Is(why, errNewer):
		return FolderIdentity{}, newer(dir, why)
	case !errors.Is(why, fs.ErrNotExist):
		return FolderIdentity{}, why
	default:
		if err := checkEmpty(dir, in); err != nil {
			return FolderIdentity{}, err
		}
	}
	if err := tryOut(dir, in); err != nil {
		return FolderIdentity{}, err
	}
	if why != nil {
		known = newIdentity()
		if err := writeIdentity(in, known, errors.Is(why, errDamaged)); err != nil {
			return FolderIdentity{}, err
		}
	}
	identity.ID = known.ID
	return identity, nil
}

// locate finds the folder, without links on the way; fresh: it has to be made.
func locate(dir string) (real string, fresh bool, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", false, err
	}
	real, err = filepath.EvalSymlinks(dir)
	if missing(err) {
		above, aerr := filepath.EvalSymlinks(filepath.Dir(dir))
		if missing(aerr) {
			return "", false, away(dir, err)
		}
		real, fresh, err = filepath.Join(above, filepath.Base(dir)), true, aerr
	}
	if err != nil {
		return "", false, err
	}
	there := real
	if fresh {
		there = filepath.Dir(real)
	}
	if fi, err := os.Stat(there); err == nil && !fi.IsDir() {
		return "", false, away(dir, fmt.Errorf("%s is no folder", there))
	}
	return real, fresh, nil
}

// place tells where a folder is, and whether that is a place for backups; there is it, or the one
// that it is to be made in.
func place(dir, there string, o FolderOptions) (FolderIdentity, error) {
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return FolderIdentity{}, err
	}
	if real, err := filepath.EvalSymlinks(data); err == nil {
		data = real
	}
	if dir == data || strings.HasPrefix(dir, data+string(filepath.Separator)) {
		return FolderIdentity{}, hint.New("target-inside",
			hint.T("The folder %s is in the folder of the data, %s.", "Le dossier %s se trouve dans le dossier des données, %s.", dir, data),
			hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Choose a folder on another disk.", "Choisissez un dossier sur un autre disque."))
	}
	here, err := host.FilesystemAt(there)
	if err != nil {
		return FolderIdentity{}, err
	}
	if here.Gone {
		return FolderIdentity{}, away(dir, errors.New("its device was unplugged"))
	}
	of, err := host.FilesystemAt(host.Existing(data))
	if err != nil {
		return FolderIdentity{}, err
	}
	if here.Same(of) && !o.SameDisk {
		return FolderIdentity{}, hint.New("target-same-disk",
			hint.T("The folder %s is on the disk of the data: whatever happens to the disk happens to both.", "Le dossier %s est sur le disque des données : ce qui arrive au disque arrive aux deux.", dir),
			hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Choose a folder on another disk, and look whether that is mounted; or confirm that you want the same disk.", "Choisissez un dossier sur un autre disque, et vérifiez qu'il est monté ; ou confirmez que vous voulez le même disque."))
	}
	mount, err := host.MountPoint(there)
	if err != nil {
		return FolderIdentity{}, err
	}
	return FolderIdentity{Path: dir, Mount: mount, Filesystem: here.UUID, SameDisk: o.SameDisk}, nil
}

func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(dir))
}

// ofTheDisk are names of what systems put on a disk by themselves.
var ofTheDisk = []string{"lost+found", "System Volume Information", "$RECYCLE.BIN", ".Spotlight-V100", ".fseventsd", ".Trashes", ".TemporaryItems", ".apdisk", ".DS_Store"}

// checkEmpty refuses a folder with something in it that may be somebody's.
func checkEmpty(path string, in *os.Root) error {
	dir, err := in.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // a folder, opened to be read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.Contains(ofTheDisk, name) && !strings.HasPrefix(name, temporary) && !strings.HasPrefix(name, ".Trash-") {
			return hint.New("target-occupied",
				hint.T("In the folder %s there is something else already, as %s.", "Le dossier %s contient déjà autre chose, comme %s.", path, name),
				hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("Choose an empty folder, for instance %s.", "Choisissez un dossier vide, par exemple %s.", filepath.Join(path, "foyer")))
		}
	}
	return nil
}

// tryOut looks whether the folder can do what a target promises.
func tryOut(path string, in *os.Root) (err error) {
	text := []byte("Foyer looks whether this folder can keep backups.\n")
	var made []string
	defer func() {
		for _, name := range made {
			if rerr := in.Remove(name); err == nil && !missing(rerr) {
				err = rerr
			}
		}
	}()
	for range 2 {
		name, err := writeTemporary(in, bytes.NewReader(text))
		if err != nil {
			return unfit(path, err)
		}
		made = append(made, name)
	}
	name := made[0] + "-named"
	if err := rename(in, made[0], name); err != nil {
		return unfit(path, err)
	}
	made = append(made, name)
	if err := syncNames(in); err != nil {
		return unfit(path, err)
	}
	if err := rename(in, made[1], name); !errors.Is(err, fs.ErrExist) {
		return unfit(path, join(errors.New("a name that is taken is given again"), err))
	}
	f, err := in.Open(name)
	if err != nil {
		return unfit(path, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, text) {
		return unfit(path, join(errors.New("it does not keep what is written"), err))
	}
	return nil
}

// unfit is what is wrong with a folder in which something cannot be done; what the disk says of itself goes first.
func unfit(path string, cause error) error {
	if err := explain(path, cause); hint.Find(err) != nil {
		return err
	}
	return hint.New("target-unfit",
		hint.T("The folder %s cannot keep backups safely: its file system lacks what that takes.", "Le dossier %s ne peut pas garder des sauvegardes de façon sûre : son système de fichiers ne le permet pas.", path),
		hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Choose a folder on a disk formatted as ext4 or exFAT.", "Choisissez un dossier sur un disque formaté en ext4 ou exFAT.")).Because(cause)
}
