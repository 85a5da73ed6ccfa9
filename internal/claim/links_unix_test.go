//go:build unix

package claim

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foyer-server/foyer/internal/safepath"
)

// As root a note is left in a folder of that account, not in what others put in its
// place, and replaces a link instead of following it.
func TestANoteGoesNowhereElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	const bob, foyer = 65534, 4321
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	_, offer, err := NewCode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.MkdirAll(at("bob/foyers"), 0o700), os.MkdirAll(at("bob/own"), 0o700), os.MkdirAll(at("bob/roots"), 0o700), os.Chown(at("bob"), bob, bob),
		os.Chown(at("bob/foyers"), foyer, foyer), os.Chown(at("bob/own"), bob, bob), os.Symlink("foyers", at("bob/link")),
		os.WriteFile(at("secret"), []byte("secret"), 0o600), os.Symlink("../../secret", at("bob/foyers/claim.json")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]safepath.Why{"foyers": 0, "own": safepath.Foreign, "roots": safepath.Foreign, "link": safepath.Link} {
		err := Leave(at("bob/"+name), offer, foyer, foyer)
		if e, _ := errors.AsType[*safepath.Error](err); (err == nil) != (want == 0) || e != nil && e.Why != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(at("bob/foyers/claim.json"), &st); err != nil || st.Mode != unix.S_IFREG|0o600 || st.Uid != foyer {
		t.Errorf("the note: %o of %d, %v", st.Mode, st.Uid, err)
	}
	if text, err := os.ReadFile(at("secret")); err != nil || string(text) != "secret" {
		t.Errorf("what the link led to: %q, %v", text, err)
	}
	if _, err := os.Lstat(at("bob/own/claim.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in bob's folder: %v", err)
	}
	// What stands there is read by nobody who could not read it.
	if err := errors.Join(os.Remove(at("bob/foyers/claim.json")), os.Symlink("../../secret", at("bob/foyers/claim.json"))); err != nil {
		t.Fatal(err)
	}
	if o, err := Pending(at("bob/foyers")); o != nil || err == nil {
		t.Errorf("a link is an offer: %v, %v", o, err)
	}
	if err := Withdraw(at("bob/foyers")); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(at("secret")); err != nil || string(text) != "secret" {
		t.Errorf("what the link led to: %q, %v", text, err)
	}
}
