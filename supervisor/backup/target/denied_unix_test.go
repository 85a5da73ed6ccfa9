//go:build unix

package target_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/backup/target/targettest"
)

// useAsNobody uses a target as an account that may not, and says what it is told.
func useAsNobody(t *testing.T, known string) {
	var identity target.FolderIdentity
	if err := json.Unmarshal([]byte(known), &identity); err != nil {
		t.Fatal(err)
	}
	told := func(err error) string {
		if e := hint.Find(err); e != nil {
			return e.Code
		}
		return fmt.Sprint(err)
	}
	f, err := target.OpenFolder(t.Context(), identity, "/")
	put := "nothing"
	if err == nil {
		put = told(f.Put(t.Context(), "chain/x", targettest.Content(1, 10), 10))
	}
	_, perr := target.PrepareFolder(t.Context(), identity.Path, target.FolderOptions{Data: "/", SameDisk: true})
	fmt.Printf("TOLD open %s, put %s, prepare %s\n", told(err), put, told(perr))
}

// Who may not use a folder is told so, whether they can read it or not; and nothing is made in it.
func TestDenied(t *testing.T) {
	if known := os.Getenv("FOYER_TEST_DENIED"); known != "" {
		useAsNobody(t, known)
		return
	}
	for _, c := range []struct {
		name         string
		folder, file os.FileMode
		want         string
	}{
		{"it is closed", 0o700, 0o600, "open target-denied, put nothing, prepare target-denied"},
		{"its identity is closed", 0o755, 0o600, "open target-denied, put nothing, prepare target-denied"},
		{"it can be read", 0o755, 0o644, "open <nil>, put target-denied, prepare target-denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			base, err := os.MkdirTemp("", "denied-") // that of the test is closed to others
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(base) })
			if base, err = filepath.EvalSymlinks(base); err != nil {
				t.Fatal(err)
			}
			dir, program := filepath.Join(base, "backups"), filepath.Join(base, "program")
			text, err := os.ReadFile(os.Args[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(program, text, 0o700); err != nil {
				t.Fatal(err)
			}
			identity, err := target.PrepareFolder(t.Context(), dir, target.FolderOptions{Data: t.TempDir(), SameDisk: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := open(t, identity, t.TempDir()).Put(t.Context(), "chain/1", targettest.Content(1, 10), 10); err != nil {
				t.Fatal(err)
			}
			for _, now := range []struct {
				path string
				mode os.FileMode
			}{{base, 0o755}, {program, 0o755}, {filepath.Join(dir, "foyer-target.json"), c.file}, {filepath.Join(dir, "chain"), c.folder}, {dir, c.folder}} {
				if os.Geteuid() != 0 && strings.HasPrefix(now.path, dir) { // nobody is this account, then
					now.mode &^= 0o700
					now.mode |= now.mode << 6 & 0o700
				}
				if err := os.Chmod(now.path, now.mode); err != nil {
					t.Fatal(err)
				}
			}
			known, err := json.Marshal(identity)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "-test.run", "^TestDenied$", "-test.v")
			cmd.Dir, cmd.Env = "/", append(os.Environ(), "FOYER_TEST_DENIED="+string(known), "TMPDIR=/tmp")
			if os.Geteuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), "TOLD "+c.want+"\n") {
				t.Errorf("%v: %s", err, out)
			}
			for _, path := range []string{dir, filepath.Join(dir, "chain")} {
				if err := os.Chmod(path, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if got := tree(t, dir); strings.Join(got, " ") != "chain/1" {
				t.Errorf("there are %q", got)
			}
		})
	}
}
