package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// What the overview names can be restored, and it names all that can.
func (h *house) overviewed(t *testing.T) Overview {
	t.Helper()
	o := h.Overview()
	want := h.found(t).Points()
	slices.Reverse(want)
	same := func(a, b Point) bool { return a.Position == b.Position && a.At.Equal(b.At) }
	if !slices.EqualFunc(o.Points, want, same) {
		t.Errorf("the overview names %d points, and %d can be restored:\n%v\n%v", len(o.Points), len(want), o.Points, want)
	}
	if o.Chain != h.Keys.Chain.ID || o.Head != h.st.Head.N || o.Position != h.st.Position {
		t.Errorf("%+v", o)
	}
	return o
}

// The overview says how the backup stands: from the first copy on, through hours of merges, while
// the target is away, when the log was cut, and in the next process before its first cycle.
func TestOverview(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	h := newHouse(t, 31)
	if o := h.Overview(); o.Chain != h.Keys.Chain.ID || !o.Complete.IsZero() || len(o.Points) > 0 || o.Head != 0 {
		t.Errorf("before the first cycle: %+v", o)
	}
	h.writes(t, 30)
	began := h.now
	h.cycles(t, 1)
	first := h.overviewed(t)
	if !first.Complete.Equal(began) || !first.First.Equal(began) || !first.Cut.IsZero() || first.Copying != 0 || first.Bytes == 0 || len(first.Points) == 0 {
		t.Errorf("after the first copy: %+v", first)
	}
	h.attach(t, "r", []byte("something"))
	for range 12 {
		h.now = h.now.Add(25 * time.Minute)
		h.writes(t, 1)
		h.cycles(t, 1)
		if o := h.overviewed(t); !o.Complete.Equal(h.now) {
			t.Fatalf("at %s it is complete of %s", h.now, o.Complete)
		}
	}
	last := h.overviewed(t)
	sealed := int64(0)
	for _, name := range h.memory.contents() {
		sealed += int64(len(h.memory.objects[name]))
	}
	if last.Attachments != sealed || sealed == 0 {
		t.Errorf("contents of %d bytes are %d", sealed, last.Attachments)
	}
	// Of what cannot be brought there, nobody says that it is there; nor after a death.
	h.memory.deny = func(string, string) error { return fmt.Errorf("%w: unplugged", target.ErrAway) }
	for range 3 {
		h.now = h.now.Add(25 * time.Minute)
		h.writes(t, 1)
		if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
			t.Fatal(err)
		}
		if o := h.Overview(); !o.Complete.Equal(last.Complete) {
			t.Errorf("the target is away, and it is complete of %s", o.Complete)
		}
	}
	h.restart(t)
	for _, when := range []string{"before", "after"} {
		o := h.Overview()
		if !o.Complete.Equal(last.Complete) || !o.First.Equal(first.First) || len(o.Points) == 0 || o.Points[0] != last.Points[0] || o.Head != last.Head {
			t.Errorf("%s a cycle of the next process, without a target: %+v, not %+v", when, o, last)
		}
		if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
			t.Fatal(err)
		}
	}
	// The log is cut: what was there stays, and nothing is complete before all was copied anew.
	h.memory.deny = nil
	if err := h.db.Unfollow(t.Context(), Follower(h.Keys.Chain.ID)); err != nil {
		t.Fatal(err)
	}
	h.writes(t, 3)
	h.now = h.now.Add(time.Minute)
	h.memory.deny = func(op, name string) error {
		if op == "put" && strings.HasSuffix(name, ".seg") {
			return fmt.Errorf("%w: unplugged", target.ErrAway)
		}
		return nil
	}
	if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
		t.Fatal(err)
	}
	if o := h.Overview(); !o.Cut.Equal(h.now) || o.Copying < 1 || o.CopyingFirst || len(o.Points) == 0 || !o.Complete.Equal(last.Complete) {
		t.Errorf("while all is copied anew: %+v", o)
	}
	h.memory.deny = nil
	h.cycles(t, 1)
	cut := h.now
	h.now = h.now.Add(time.Minute)
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	h.restart(t)
	if o := h.Overview(); !o.Cut.Equal(cut) || !o.Complete.Equal(cut) || o.Copying != 0 {
		t.Errorf("after all was copied anew: %+v", o)
	}
	h.cycles(t, 1)
	h.overviewed(t)
}

// slow is a store that takes its time to say what everything comes to.
type slow struct {
	changelog.Source
	asked, answer chan struct{}
}

func (s slow) Summarize(ctx context.Context, notes time.Time) (*changelog.Summary, changelog.Position, error) {
	close(s.asked)
	<-s.answer
	return s.Source.Summarize(ctx, notes)
}

// Nobody waits for a cycle to be told how the backup stands, and a base that no manifest names yet is
// nothing to restore from.
func TestOverviewDuringACycle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 32)
	h.writes(t, 30)
	s := slow{h.db, make(chan struct{}), make(chan struct{})}
	h.Source = s
	ended := make(chan error, 1)
	go func() { ended <- h.Cycle(t.Context()) }()
	<-s.asked
	if o := h.Overview(); len(o.Points) > 0 || !o.Complete.IsZero() || o.Copying < 1 || !o.CopyingFirst {
		t.Errorf("before the first manifest: %+v", o)
	}
	close(s.answer)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	h.overviewed(t)
	// Nor after a cycle that could not say what there is.
	h = newHouse(t, 35)
	h.writes(t, 30)
	h.memory.deny = func(op, name string) error {
		if op == "put" && name == h.name(2) {
			return fmt.Errorf("%w: unplugged", target.ErrAway)
		}
		return nil
	}
	if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) || len(h.st.Bases) != 1 {
		t.Fatal(err)
	}
	if o := h.Overview(); len(o.Points) > 0 || !o.Complete.IsZero() {
		t.Errorf("without a manifest: %+v", o)
	}
}

// Nothing is complete while attachments wait.
func TestNotCompleteWithoutAttachments(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 33)
	h.writes(t, 10)
	h.cycles(t, 1)
	was := h.Overview().Complete
	h.now = h.now.Add(time.Minute)
	for i := range 3 {
		text := make([]byte, 40<<20)
		text[0] = byte(i)
		h.attach(t, fmt.Sprint(i), text)
	}
	h.cycles(t, 1)
	if o := h.Overview(); !o.Complete.Equal(was) {
		t.Errorf("attachments wait, and it is complete of %s", o.Complete)
	}
	p, err := h.Say(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o := h.Overview(); !o.Complete.Equal(h.now) || len(h.found(t).Manifest.Missing) > 0 || h.found(t).Manifest.Point != p.Position {
		t.Errorf("it was said, and is complete of %s; missing are %v", o.Complete, h.found(t).Manifest.Missing)
	}
}

// What is said at once is a point with what everything comes to: of the first backup, too.
func TestSay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 34)
	h.writes(t, 30)
	for range 3 {
		p, err := h.Say(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := h.found(t)
		if b.Manifest.Point != p.Position || !b.Manifest.At.Equal(p.At) || !p.At.Equal(h.now) {
			t.Errorf("%+v was said, and the manifest is of %+v", p, b.Manifest.Point)
		}
		h.same(t, restored(t, b, p, h.now), h.now)
		h.overviewed(t)
		h.now = h.now.Add(time.Minute)
		h.writes(t, 3)
	}
	// What cannot be read here is told, and does not keep it from being said.
	h.attach(t, "r", []byte("to be lost"))
	clear(h.disk.files)
	p, err := h.Say(t.Context())
	if !errors.Is(err, ErrAttachment) || code(err) != "backup-attachments" || p.Position.Seq == 0 || len(h.found(t).Manifest.Missing) == 0 {
		t.Errorf("without contents: %+v %v", p, err)
	}
	h.memory.deny = func(string, string) error { return fmt.Errorf("%w: unplugged", target.ErrAway) }
	if _, err := h.Say(t.Context()); !errors.Is(err, target.ErrAway) {
		t.Errorf("without a target: %v", err)
	}
}
