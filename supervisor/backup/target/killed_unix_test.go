//go:build unix

package target_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/backup/target/targettest"
)

// sizeOf is the size of an object that the process puts which is killed.
func sizeOf(n int) int64 { return []int64{0, 1, 70_000, 3 << 20}[n%4] + int64(n) }

// putUntilKilled is that process: it says which objects were taken, and puts on.
func putUntilKilled(t *testing.T, known string) {
	var identity target.FolderIdentity
	if err := json.Unmarshal([]byte(known), &identity); err != nil {
		t.Fatal(err)
	}
	f := open(t, identity, t.TempDir())
	var from int
	if _, err := fmt.Sscan(os.Getenv("FOYER_TEST_FROM"), &from); err != nil {
		t.Fatal(err)
	}
	fmt.Println("BEGUN")
	for n := from; ; n++ {
		name := fmt.Sprintf("chain/b/%d", n)
		if n%2 == 1 {
			name = fmt.Sprintf("chain/%d", n)
		}
		if err := f.Put(t.Context(), name, targettest.Content(uint64(n), sizeOf(n)), sizeOf(n)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("TAKEN %s\n", name)
	}
}

// However a process is killed while it puts objects, each is whole or not there, all that were
// taken are there, and what it left behind is collected, a day later.
func TestKilledWhilePutting(t *testing.T) {
	if known := os.Getenv("FOYER_TEST_FOLDER"); known != "" {
		putUntilKilled(t, known)
	}
	t.Attr("shows", "backups")
	identity := here(t)
	known, err := json.Marshal(identity)
	if err != nil {
		t.Fatal(err)
	}
	const kills = 25
	all := map[string]bool{}
	for kill := range kills {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledWhilePutting$", "-test.v")
		cmd.Env = append(os.Environ(), "FOYER_TEST_FOLDER="+string(known), fmt.Sprintf("FOYER_TEST_FROM=%d", kill*1_000_000), "TMPDIR="+t.TempDir()) // its folders are left behind
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "BEGUN" {
				time.AfterFunc(time.Duration(rand.IntN(120_000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
			if name, ok := strings.CutPrefix(lines.Text(), "TAKEN "); ok {
				all[name] = true
			} else if strings.Contains(lines.Text(), "FAIL") {
				t.Error(lines.Text())
			}
		}
		cmd.Wait() // killed, as was wanted
	}
	f, listed := open(t, identity, t.TempDir()), 0
	err = f.List(t.Context(), "", func(o target.Object) error {
		listed++
		delete(all, o.Name)
		var n int
		if _, err := fmt.Sscan(filepath.Base(o.Name), &n); err != nil {
			return err
		}
		r, err := f.Get(t.Context(), o.Name, 0)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := targettest.Same(r, uint64(n), sizeOf(n), 0); err != nil || o.Size != sizeOf(n) {
			t.Errorf("%s is not whole: %v", o.Name, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range all {
		t.Errorf("%s was taken, and is not there", name)
	}
	temporary := func() (names []string) {
		for _, name := range tree(t, identity.Path) {
			if strings.Contains(name, ".foyer-tmp-") {
				names = append(names, filepath.Join(identity.Path, name))
			}
		}
		return names
	}
	left := len(temporary())
	write(t, filepath.Join(identity.Path, "chain", "b", ".foyer-tmp-SOMEBODYS"), "at work")
	for i, path := range temporary() {
		old := time.Now().Add(-25 * time.Hour)
		if filepath.Base(path) == ".foyer-tmp-SOMEBODYS" {
			old = time.Now().Add(-23 * time.Hour)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(i, err)
		}
	}
	open(t, identity, t.TempDir())
	if names := temporary(); len(names) != 1 || filepath.Base(names[0]) != ".foyer-tmp-SOMEBODYS" {
		t.Errorf("after a day there are %q", names)
	}
	t.Logf("SHOW killed %d times while putting: %d objects, each whole, none missing; %d left behind half, collected after a day", kills, listed, left)
}
