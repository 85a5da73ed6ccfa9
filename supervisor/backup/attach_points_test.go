package backup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// At every point that is kept, every attachment that the data of it refer to comes back:
// whatever was replaced and removed since, with a server that clears away what nobody refers
// to, a target that is away or whose answers are lost, processes that die, and with what is
// known of attachments, or of everything, lost. What no point needs goes.
func TestAttachmentsOfEveryPoint(t *testing.T) {
	t.Attr("shows", "backups")
	seeds, steps := uint64(3), 400
	switch {
	case watched:
		seeds, steps = 1, 200
	case os.Getenv("SHOW_WHOLE") != "":
		seeds, steps = 100, 1500
	}
	points, checked, most, left := 0, 0, 0, 0
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 9))
		h := newHouse(t, 1000+seed)
		model := map[int64][]Attachment{} // by the sequence of a point
		last := map[string]time.Time{}    // when something was last attached, and is on the disk
		lives := map[string][2]time.Time{}
		away, forgetful := time.Time{}, false
		h.memory.deny = func(string, string) error {
			if h.now.Before(away) || forgetful && r.IntN(9) == 0 {
				return fmt.Errorf("%w: unplugged", target.ErrAway)
			}
			return nil
		}
		h.memory.after = func(string, string) error {
			if forgetful && r.IntN(9) == 0 {
				return fmt.Errorf("%w: no answer", target.ErrAway)
			}
			return nil
		}
		check := func() {
			b, err := Find(t.Context(), h.memory, h.Keys.expect())
			if err != nil {
				for _, ent := range h.st.Objects {
					t.Logf("%d %s %s left %s", ent.N, ent.Kind, ent.At, ent.Left)
				}
				t.Fatalf("seed %d: %v; newest manifest %d; bases %+v", seed, err, h.st.manifest(), h.st.Bases)
			}
			for _, p := range b.Problems {
				t.Errorf("seed %d: object %d, attachment %q: %v", seed, p.N, p.Attachment, p.Err)
			}
			for _, p := range b.Points() {
				files, known := model[p.Position.Seq]
				if points++; !known {
					continue
				}
				for _, at := range files {
					if checked++; !b.has(at) {
						t.Fatalf("seed %d: at %s the data refer to %.8s, which is not at the target", seed, p.At, at.Hash)
					}
					if r.IntN(20) == 0 {
						if err := fetch(t, b, at.Hash, at.Size); err != nil {
							t.Fatalf("seed %d: %.8s: %v", seed, at.Hash, err)
						}
					}
				}
			}
		}
		for step := range steps {
			for range r.IntN(3) {
				var text []byte
				switch r.IntN(5) {
				case 0: // removed
				case 1:
					text = fmt.Appendf(nil, "shared %d", r.IntN(4))
				default:
					text = fmt.Appendf(nil, "%d", r.Uint64())
				}
				h.attach(t, fmt.Sprint(r.IntN(8)), text)
			}
			switch r.IntN(60) {
			case 0:
				away = h.now.Add(time.Duration(r.IntN(20)) * time.Hour)
			case 1:
				forgetful = !forgetful
			case 2, 3:
				h.restart(t)
			case 4:
				if err := h.Stop(); err != nil {
					t.Fatal(err)
				}
				h.restart(t)
			case 5:
				if seed%3 == 1 {
					if err := removed(filepath.Join(h.Dir, "contents.json")); err != nil {
						t.Fatal(err)
					}
					h.restart(t)
				}
			case 6:
				if seed%3 == 2 && step%10 == 0 && !h.now.Before(away) && !forgetful && h.st.manifest() > 0 {
					h.Engine = h.engine(t, h.Keys, t.TempDir())
				}
			}
			var now []Attachment
			if err := h.db.Files(t.Context(), func(hash string, size int64) error {
				now = append(now, Attachment{hash, size})
				last[hash] = h.now
				if _, known := lives[hash]; !known {
					lives[hash] = [2]time.Time{h.now, h.now}
				}
				lives[hash] = [2]time.Time{lives[hash][0], h.now}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			err := h.Cycle(t.Context())
			if err != nil && !errors.Is(err, target.ErrAway) {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if _, at, err := h.db.Summarize(t.Context(), h.now); err != nil {
				t.Fatal(err)
			} else if h.opened && h.st.Position == at {
				model[at.Seq] = now
			}
			for hash, at := range last { // as the server does with what nobody refers to
				if h.now.Sub(at) > 48*time.Hour {
					delete(h.disk.files, hash)
					delete(last, hash)
				}
			}
			h.now = h.now.Add(time.Duration(r.IntN(6*60)) * time.Minute)
			if step%100 == 99 && !h.now.Before(away) && !forgetful {
				h.cycles(t, 1)
				check()
			}
			most = max(most, len(h.memory.contents()))
		}
		away, forgetful = time.Time{}, false
		for range 80 { // what is left longest is a day
			h.now = h.now.Add(time.Hour)
			h.cycles(t, 1)
		}
		check()
		h.tidied(t)
		if seed%3 != 0 {
			continue // what was lost counts as needed for longer
		}
		// What is attached is compared once a day, and later where the target is away.
		const slack = 48 * time.Hour
		needed, almost := map[string]bool{}, map[string]bool{}
		for _, p := range h.found(t).Points() {
			for _, at := range model[p.Position.Seq] {
				needed[h.of(t, at.Hash, 0)] = true
			}
			for hash, life := range lives {
				if !p.At.Before(life[0].Add(-slack)) && !p.At.After(life[1].Add(slack)) {
					almost[h.of(t, hash, 0)] = true
				}
			}
		}
		for hash, life := range lives {
			name := h.of(t, hash, 0)
			if _, there := h.memory.objects[name]; there && !almost[name] {
				t.Errorf("seed %d: no point needs what was attached from %s to %s, nor did one nearly: %+v", seed, life[0], life[1], h.files.known[h.files.key.Name(hash)])
			}
		}
		for _, name := range h.memory.contents() {
			if !needed[name] {
				left++
			}
		}
		if kept := len(h.memory.contents()); kept > len(lives)*2/3 && steps >= 400 { // weeks, of which not all is kept
			t.Errorf("seed %d: of %d contents %d are still there", seed, len(lives), kept)
		}
	}
	t.Logf("SHOW attachments: at %d points of %d seeds %d references, each of whose contents is at the target (at most %d at once, %d of them longer than need be)", points, seeds, checked, most, left)
}
