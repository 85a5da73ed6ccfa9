//go:build unix

package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/storagetest"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// victim is the environment variable that makes the test binary a process which makes
// backups until it is killed: the folder it works in.
const victim = "FOYER_TEST_BACKUP_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		fmt.Fprintln(os.Stderr, works(context.Background(), dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// site is a folder with all that a machine has: data, a target, keys, a clock that goes fast.
type site struct {
	dir      string
	db       *storage.SQLite
	files    *attachment.Folder
	target   *target.Folder
	engine   *Engine
	now      time.Time
	identity target.FolderIdentity
	keys     Keys
}

// siteKeys is what of a site's keys is kept.
type siteKeys struct {
	Identity target.FolderIdentity
	Chain    string
	Secrets  [2][]byte // the chain's, the machine's, the signer's
}

func openSite(ctx context.Context, dir string, log *slog.Logger) (s *site, err error) {
	s = &site{dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	var k siteKeys
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	if s.keys, err = keysOf(k.Chain, k.Secrets); err != nil {
		return nil, err
	}
	s.identity = k.Identity
	if s.target, err = target.OpenFolder(ctx, s.identity, filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	if s.db, err = storage.Open(ctx, filepath.Join(dir, "data", "data.db"), log); err != nil {
		return nil, err
	}
	if s.files, err = attachment.Open(filepath.Join(dir, "data", "attachments")); err != nil {
		return nil, err
	}
	text, err = os.ReadFile(filepath.Join(dir, "clock"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	n, _ := strconv.Atoi(string(text)) //nolint:errcheck // it begins at 0
	s.now = time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	s.engine = &Engine{Source: s.db, Contents: onDisk{s.files}, Target: s.target, Keys: s.keys, Dir: filepath.Join(dir, "state"), Version: "test", Schema: 9, Now: func() time.Time { return s.now }, Log: log, copies: copySizes{part: 3000, once: 1000}}
	return s, nil
}

// onDisk is the contents of attachments as a server keeps them.
type onDisk struct{ *attachment.Folder }

func (d onDisk) File(_ context.Context, hash string, offset int64) (io.ReadCloser, int64, error) {
	f, err := d.Open(hash)
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// later lets time pass.
func (s *site) later(d time.Duration) error {
	s.now = s.now.Add(d)
	seconds := int(s.now.Sub(time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC)).Seconds())
	return os.WriteFile(filepath.Join(s.dir, "clock"), []byte(strconv.Itoa(seconds)), 0o600)
}

// works is the life of a victim: it writes, makes backups, and says what it begins.
func works(ctx context.Context, dir string) error {
	s, err := openSite(ctx, dir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	s.engine.Begins = func(step string) { fmt.Println(step) }
	w := storagetest.NewWriter(s.db, uint64(time.Now().UnixNano()))
	var kept error
	w.Contents = func(r *rand.Rand) (string, int64) {
		u, err := s.files.Put(strings.NewReader(fmt.Sprint(r.Uint64()>>(r.IntN(2)*60))), -1)
		kept = errors.Join(kept, err)
		return u.Hash, u.Size
	}
	for i := 0; ; i++ {
		for range 1 + w.Rand.IntN(4) {
			if err := errors.Join(w.Write(ctx), kept); err != nil {
				return err
			}
		}
		if err := s.engine.Cycle(ctx); err != nil {
			return err
		}
		if err := s.later(25 * time.Minute); err != nil {
			return err
		}
		if i%40 == 39 { // and now and then the log is cut, and all is copied again
			if err := s.db.Unfollow(ctx, Follower(s.engine.Keys.Chain.ID)); err != nil {
				return err
			}
		}
	}
}

// A process that is killed at any moment of any step, again and again, leaves a backup that
// the next goes on with: nothing that is missing, nothing twice, and all of it comes back.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Attr("shows", "backups")
	kills, whole, each := 40, 12, 1 // each: in every step at least; in between a copy goes on from one to the next
	switch {
	case watched:
		kills, whole, each = 6, 3, 0
	case os.Getenv("SHOW_WHOLE") != "":
		kills, whole, each = 400, 5, 25
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	identity, err := target.PrepareFolder(t.Context(), filepath.Join(dir, "target"), target.FolderOptions{Data: filepath.Join(dir, "data"), SameDisk: true})
	if err != nil {
		t.Fatal(err)
	}
	keys := newKeys(t)
	text, err := json.Marshal(siteKeys{identity, keys.Chain.ID, secretsOf(keys)})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "keys"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	hit := map[string]int{}
	rarest := func() string {
		return slices.MinFunc(steps, func(a, b string) int { return hit[a] - hit[b] })
	}
	// Short steps are hard to hit: it goes on until each was.
	for n := 0; n < kills || hit[rarest()] < each && n < 10*kills; n++ {
		last := killOne(t, exe, dir, rarest())
		hit[last]++
		s, err := openSite(t.Context(), dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
		if err != nil {
			t.Fatal(err)
		}
		check := func() {
			looks := n%whole == 0 || n >= kills-1
			for i := 0; i < 3 || looks && s.engine.st.Copying != nil; i++ {
				if err := s.engine.Cycle(t.Context()); err != nil || i > 10_000 {
					t.Fatalf("kill %d, in %q: %v", n, last, err)
				}
			}
			b, err := Find(t.Context(), s.target, s.keys.expect())
			if err != nil {
				t.Fatalf("kill %d, in %q: %v", n, last, err)
			}
			for _, p := range b.Problems {
				t.Errorf("kill %d, in %q: object %d: %v", n, last, p.N, p.Err)
			}
			if !looks {
				return
			}
			want, _, err := s.db.Summarize(t.Context(), s.now)
			if err != nil {
				t.Fatal(err)
			}
			if d := want.Differences(restored(t, b, newest(t, b), s.now), 5); len(d) > 0 {
				t.Fatalf("kill %d, in %q: what comes back differs:\n%s", n, last, strings.Join(d, "\n"))
			}
			// And of every other point something comes back.
			for i, p := range b.Points() {
				if i%10 == 0 {
					restored(t, b, p, s.now)
				}
			}
		}
		check()
		if err := errors.Join(s.later(time.Minute), s.engine.Stop(), s.db.Close()); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	for _, step := range steps {
		if hit[step] < each {
			t.Errorf("too few processes were killed in %q: %v", step, hit)
		}
	}
	var told []string
	for _, step := range slices.Sorted(maps.Keys(hit)) {
		told = append(told, fmt.Sprintf("%s %d", step, hit[step]))
	}
	t.Logf("SHOW killed in the middle of a backup (%s times): 0 holes, all that was written comes back, with its attachments", strings.Join(told, ", "))
}

// steps are those of a backup, as the engine tells them.
var steps = []string{"follow", "ship", "copy", "attach", "say", "merge", "delete"}

// killOne starts a victim, kills it in the middle of a step, the one that is wanted if may be, and
// returns which it was.
func killOne(t *testing.T, exe, dir, want string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), victim+"="+dir, "TMPDIR="+t.TempDir())
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	begun := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		last = lines.Text()
		if begun++; last == want && begun > rand.IntN(20) || begun > 400 {
			time.Sleep(time.Duration(rand.Int64N(int64(3*time.Millisecond))) * time.Duration(rand.IntN(2)))
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatalf("the process ended by itself: %s", &errs)
	}
	for lines.Scan() {
		last = lines.Text()
	}
	err = cmd.Wait()
	if state := cmd.ProcessState; state.Exited() {
		t.Fatalf("the process ended by itself: %v: %s", err, &errs)
	}
	return last
}

func secretsOf(k Keys) [2][]byte {
	return [2][]byte{[]byte(k.Chain.Identity.Secret()), k.Machine.Signer.Secret()}
}

func keysOf(chain string, secrets [2][]byte) (Keys, error) {
	ofChain, err := kit.ParseIdentity(string(secrets[0]))
	if err != nil {
		return Keys{}, err
	}
	signer, err := kit.ParseSigner(secrets[1])
	return Keys{
		Machine: &object.Machine{Signer: signer}, Chain: &object.Chain{ID: chain, Identity: ofChain},
		Authors: object.Authors{{From: 1, Key: signer.Public()}},
	}, err
}
