// Package update looks after the versions of the program on disk.
//
//	OPT/versions/1.4.2/foyer     never modified once it has its name
//	OPT/current -> versions/1.4.2
//
// Stage puts a version beside the others, verified and on disk, without using
// it; Switch makes it the current one in a single step. After a power cut between
// any two writes `current` names one whole version, the old one or the new one.
//
// Staging goes through github.com/minio/selfupdate with an explicit target and a
// checksum, which verifies and writes. The rest is done here, because that library
// syncs nothing to disk, keeps the mode of a stale file, and moves the old program
// away before the new one has its name.
//
// Threat model: OPT belongs to root; who may write there owns the machine. What is
// staged is exactly the bytes whose SHA-256 the caller gave.
package update

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/minio/selfupdate"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
)

// Program is the name of the program's file in a version's folder.
const Program = "foyer"

var versionRE = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}$`)

// CheckVersion reports whether version can be the name of a version: letters,
// digits and . + ~ _ -, beginning with a letter or digit, at most 64 of them.
func CheckVersion(version string) error {
	if !versionRE.MatchString(version) {
		return fmt.Errorf("%q cannot be a version", version)
	}
	return nil
}

// Released reports whether version names a release, whose bytes never change:
// 1.4.2. Anything after a dash (1.4.2-dev, 1.4.2-3-gabcdef-dirty) is a development
// build, which may be built again under the same name.
func Released(version string) bool { return !strings.Contains(version, "-") }

// Path is the program of a version in optDir.
func Path(optDir, version string) string {
	return filepath.Join(optDir, "versions", version, Program)
}

// Sum returns the SHA-256 of the file at path; nil and no error when there is none.
func Sum(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return h.Sum(nil), nil
}

// Stage puts the program read from src, whose SHA-256 is sum, into optDir as
// version. It is whole and on disk when Stage returns. A version that is there
// with the same bytes is left as it is, with other bytes it is an error with code
// version-differs: a release never changes. A development build (see Released) is
// replaced in one step instead, and so is an empty file.
func Stage(ctx context.Context, optDir, version string, src io.Reader, sum []byte) error {
	if err := CheckVersion(version); err != nil {
		return fmt.Errorf("cannot stage: %w", err)
	}
	if len(sum) != sha256.Size {
		return fmt.Errorf("cannot stage version %s: a SHA-256 is needed", version)
	}
	target := Path(optDir, version)
	if err := stage(ctx, target, version, src, sum); err != nil {
		return fmt.Errorf("cannot stage version %s: %w", version, err)
	}
	// Names, from the inside out: the file, its folder's, its folder's folder's.
	for _, dir := range []string{filepath.Dir(target), filepath.Dir(filepath.Dir(target)), optDir} {
		if err := atomicfile.SyncDir(dir); err != nil {
			return fmt.Errorf("cannot stage version %s: %w", version, err)
		}
	}
	return nil
}

func stage(ctx context.Context, target, version string, src io.Reader, sum []byte) error {
	there, err := Sum(target)
	if err != nil {
		return err
	}
	if string(there) == string(sum) {
		return finish(target, target)
	}
	if fi, err := os.Stat(target); err == nil && fi.Size() > 0 && Released(version) {
		return hint.New("version-differs",
			hint.T("Version %s is installed already, with another content.", "La version %s est déjà installée, avec un autre contenu.", version),
			hint.T("The installed one was left as it is.", "Celle qui est installée n'a pas été touchée."),
			hint.T("Check where this program came from; `sudo foyer uninstall` (your data stays) makes room for it.", "Vérifiez d'où vient ce programme ; `sudo foyer uninstall` (vos données restent) lui fait place."))
	}
	dir := filepath.Dir(target)
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Mkdir(d, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Chmod(d, 0o755); err != nil { // whatever the umask
			return err
		}
	}
	fresh := filepath.Join(dir, "."+Program+".new") // where selfupdate writes
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := selfupdate.PrepareAndCheckBinary(reader{ctx, src}, selfupdate.Options{TargetPath: target, TargetMode: 0o755, Checksum: sum}); err != nil {
		os.Remove(fresh) //nolint:errcheck // err says why; what is left is taken away before the next one
		return err
	}
	// What is on disk is what counts, not what was read.
	written, err := Sum(fresh)
	if err == nil && string(written) != string(sum) {
		err = errors.New("it was not written as it was read")
	}
	if err == nil {
		err = finish(fresh, target)
	}
	if err != nil {
		os.Remove(fresh) //nolint:errcheck // as above
	}
	return err
}

// finish gives a verified file its mode, its place on the disk and its name.
func finish(file, target string) error {
	if err := os.Chmod(file, 0o755); err != nil {
		return err
	}
	if err := atomicfile.SyncFile(file); err != nil {
		return err
	}
	if file == target {
		return nil
	}
	return os.Rename(file, target)
}

// reader stops reading when its context ends.
type reader struct {
	ctx context.Context
	src io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.src.Read(p)
}

// Switch makes a staged version the current one, in a single durable step.
func Switch(optDir, version string) error {
	if err := CheckVersion(version); err != nil {
		return fmt.Errorf("cannot switch: %w", err)
	}
	if fi, err := os.Stat(Path(optDir, version)); err != nil || fi.Size() == 0 {
		return fmt.Errorf("cannot switch to version %s: it is not staged", version)
	}
	return atomicfile.Symlink("versions/"+version, filepath.Join(optDir, "current"))
}

// Current returns the current version; the error is fs.ErrNotExist when there is none.
func Current(optDir string) (version string, err error) {
	link := filepath.Join(optDir, "current")
	target, err := os.Readlink(link)
	if err != nil {
		return "", fmt.Errorf("cannot tell the current version: %w", err)
	}
	version, ok := strings.CutPrefix(filepath.ToSlash(target), "versions/")
	if !ok || CheckVersion(version) != nil {
		return "", fmt.Errorf("cannot tell the current version: %s leads to %s", link, target)
	}
	return version, nil
}
