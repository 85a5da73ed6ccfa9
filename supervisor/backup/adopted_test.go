package backup

import (
	"errors"
	"fmt"
	"testing"

	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// An object whose putting failed may be there all the same, until the power is cut. It counts once it
// is there to stay, for the same process and for the next one.
func TestAnAdoptedObjectIsThereToStay(t *testing.T) {
	for name, dies := range map[string]bool{"the same process": false, "the next one": true} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 11)
			h.writes(t, 20)
			h.cycles(t, 2)
			failing := fmt.Errorf("%w: input/output error", target.ErrFailing)
			synced := map[string]int{}
			h.memory.after = func(op, name string) error {
				if op == "sync" {
					synced[name]++
				}
				if op == "put" && len(synced) == 0 || op == "sync" && synced[name] < 3 {
					return failing
				}
				return nil
			}
			h.writes(t, 3)
			next := h.name(h.st.Head.N + 1)
			was := h.acked
			for tries := 0; ; tries++ {
				err := h.Cycle(t.Context())
				if err == nil {
					break
				}
				if !errors.Is(err, target.ErrFailing) || tries > 5 {
					t.Fatal(err)
				}
				if h.name(h.st.Head.N+1) != next && h.opened || h.acked != was && h.acked.Seq > was.Seq {
					t.Fatal("an object counts that may go with the power")
				}
				if dies {
					h.restart(t)
				}
			}
			if synced[next] != 3 {
				t.Errorf("it was synced %d times", synced[next])
			}
			h.memory.after = nil
			h.cycles(t, 1)
			h.whole(t)
		})
	}
}
