package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// codes are those of problems.
func codes(v Verified) []string {
	var out []string
	for _, p := range v.Problems {
		out = append(out, p.Hint().Code)
	}
	return out
}

// verified is a chain with all kinds of objects and attachments, and the keys that open it.
func verified(t *testing.T, seed uint64) *house {
	t.Helper()
	h := newHouse(t, seed)
	keys, err := Begin(t.Context(), h.memory, t.TempDir(), newKit(t))
	if err != nil {
		t.Fatal(err)
	}
	h.Engine = h.engine(t, keys, filepath.Join(t.TempDir(), "state"))
	h.writes(t, 40)
	h.attach(t, "small", []byte("a few bytes"))
	h.hours(t, dose(3, 1))
	if _, err := h.Say(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.writes(t, 2)
	h.cycles(t, 1)
	return h
}

// All of a backup that is whole is verified, whatever fits into memory; progress grows up to all of it.
func TestVerify(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	h := verified(t, 91)
	want := len(h.memory.segments())
	sealed := int64(0)
	for _, name := range h.memory.names() {
		if !strings.HasSuffix(name, "/key.1") {
			sealed += int64(len(h.memory.objects[name]))
		}
	}
	contents := len(h.memory.contents())
	for _, atOnce := range []int{1, 3, atOnce} {
		last, of := int64(0), int64(0)
		v, err := verify(t.Context(), h.memory, h.Keys, func(done, all int64) {
			if done < last || done > all {
				t.Errorf("%d of %d bytes after %d", done, all, last)
			}
			last, of = done, all
		}, atOnce)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Problems) > 0 || v.Objects != want || v.Attachments+v.Unneeded != contents || v.Unneeded > 0 || v.Bytes != sealed || v.Points != len(h.found(t).Points()) || v.Lines == 0 || !v.At.Equal(h.now) {
			t.Errorf("%d at once: %+v, of %d objects, %d contents, %d bytes", atOnce, v, want, contents, sealed)
		}
		if last != sealed || of != sealed {
			t.Errorf("%d at once: in the end %d of %d bytes were read", atOnce, last, of)
		}
	}
	v, err := Verify(t.Context(), h.memory, h.Keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("SHOW verified: %d objects with %d lines and %d attachments, %d bytes, %d points", v.Objects, v.Lines, v.Attachments, v.Bytes, v.Points)
}

// Whatever is wrong with anything at the target, a problem names it, with its code.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	h := verified(t, 92)
	names := h.memory.names()
	said := map[string]int{}
	for i, name := range names {
		whole := h.memory.objects[name]
		n, isObject := number(name)
		key := strings.HasSuffix(name, "/key.1")
		ent, _ := h.st.object(n)
		if i%dose(1, 7) != 0 && !key {
			continue
		}
		for what, bad := range map[string][]byte{
			"flipped": slices.Concat(whole[:len(whole)/2], []byte{whole[len(whole)/2] ^ 1}, whole[len(whole)/2+1:]),
			"cut":     whole[:len(whole)-1],
			"missing": nil,
			"other":   h.memory.objects[names[(i+1)%len(names)]],
		} {
			switch {
			case bad == nil && isObject && (!ent.live() || n == h.st.Head.N): // may be gone; the newest shows to its machine
				continue
			case bad == nil && !isObject && !key: // as above: which contents are needed, a restore shows
				continue
			case bad == nil:
				delete(h.memory.objects, name)
			default:
				h.memory.objects[name] = bad
			}
			v, err := Verify(t.Context(), h.memory, h.Keys, nil)
			if err != nil {
				t.Fatalf("%s %s: %v", name, what, err)
			}
			named := slices.ContainsFunc(v.Problems, func(p Problem) bool {
				switch {
				case isObject:
					return p.N == n
				case key:
					return p.Hint().Code == "backup-keys-older"
				}
				return h.of(t, p.Attachment, 0) == name
			})
			if !named || slices.Contains(codes(v), "") {
				t.Errorf("%s %s: %v", name, what, v.Problems)
			}
			for _, code := range codes(v) {
				said[code]++
			}
			h.memory.objects[name] = whole
		}
	}
	if v, err := Verify(t.Context(), h.memory, h.Keys, nil); err != nil || len(v.Problems) > 0 {
		t.Errorf("mended: %v %v", v.Problems, err)
	}
	t.Logf("SHOW damage: each of %d files flipped, cut, taken away and swapped is named: %v", len(names), said)
}

// Of very many problems the first are named, and the others counted; a backup of which nothing is left is one.
func TestVerifyOfRuins(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 93)
	h.cycles(t, 1)
	for n := range uint64(130) {
		h.memory.objects[h.name(n+1)] = nil
	}
	for _, name := range h.memory.segments() {
		h.memory.objects[name] = []byte("nothing")
	}
	all := len(h.memory.segments())
	v, err := Verify(t.Context(), h.memory, h.Keys, nil)
	if err != nil || len(v.Problems) != mostProblems || v.More+mostProblems != all+1 || v.Objects != 0 {
		t.Errorf("%d problems and %d more of %d objects, %v", len(v.Problems), v.More, all, err)
	}
	clear(h.memory.objects)
	if v, err = Verify(t.Context(), h.memory, h.Keys, nil); err != nil || !slices.Equal(codes(v), []string{"backup-none"}) {
		t.Errorf("%v %v", codes(v), err)
	}
}

// What is wrong with the way to the target is no problem of the backup.
func TestVerifyWithoutATarget(t *testing.T) {
	t.Parallel()
	h := verified(t, 94)
	r := rand.New(rand.NewPCG(1, 1))
	for n := range dose(20, 6) {
		left := r.IntN(2 * len(h.memory.objects))
		why := []error{fmt.Errorf("%w: unplugged", target.ErrAway), target.ErrSlow, context.Canceled}[n%3]
		h.memory.deny = func(string, string) error {
			if left--; left < 0 {
				return why
			}
			return nil
		}
		if v, err := Verify(t.Context(), h.memory, h.Keys, nil); left < 0 && !errors.Is(err, why) || len(v.Problems) > 0 {
			t.Errorf("%v: %v %v", why, v.Problems, err)
		}
	}
	h.memory.deny = nil
	// And what is deleted meanwhile is none either.
	deleted := false
	gets := 0
	h.memory.deny = func(op, _ string) error {
		if op != "get" {
			return nil
		}
		if gets++; gets == 3 && !deleted {
			deleted = true
			for _, ent := range h.st.Objects {
				if !ent.live() {
					delete(h.memory.objects, h.name(ent.N))
				}
			}
		}
		return nil
	}
	if v, err := Verify(t.Context(), h.memory, h.Keys, nil); err != nil || len(v.Problems) > 0 || !deleted {
		t.Errorf("while objects are deleted : %v %v", v.Problems, err)
	}
}

// What was found to be damaged is left out, and all is copied anew, if need be: then all that is there is good.
func TestLost(t *testing.T) {
	t.Parallel()
	for _, kind := range []object.Kind{object.Base, object.Log, object.Merge} {
		if watched && kind != object.Base {
			continue
		}
		h := verified(t, 95)
		var bad uint64
		for _, ent := range h.st.Objects {
			if ent.live() && ent.Kind == kind {
				bad = ent.N
			}
		}
		h.memory.spoil(h.name(bad))
		v, err := Verify(t.Context(), h.memory, h.Keys, nil)
		if err != nil || len(v.Problems) != 1 {
			t.Fatalf("%s %d: %v %v", kind, bad, v.Problems, err)
		}
		if err := h.Lost(t.Context(), v.Problems); code(err) != "backup-part-lost" {
			t.Errorf("%s: %v", kind, err)
		}
		if err := h.Lost(t.Context(), v.Problems); err != nil {
			t.Errorf("%s, a second time: %v", kind, err)
		}
		h.cycles(t, 2)
		h.whole(t)
		for range dose(2, 1) {
			h.now = h.now.Add(26 * time.Hour)
			h.writes(t, 1)
			h.cycles(t, 1)
		}
		if v, err = Verify(t.Context(), h.memory, h.Keys, nil); err != nil || len(v.Problems) > 0 {
			t.Errorf("%s, a day later: %v %v", kind, v.Problems, err)
		}
		// What is not damaged at all stays.
		h.writes(t, 1)
		h.cycles(t, 1)
		last := h.st.stretches()[0]
		if err := h.Lost(t.Context(), []Problem{{N: last.N, Err: object.ErrDamaged}}); err == nil || code(err) == "backup-part-lost" {
			t.Errorf("%s: what is whole is given up: %v", kind, err)
		}
		h.whole(t)
	}
}

// An object that the machine's own keys signed, and that is not the one which was put there, is out of place.
func TestVerifyOfAFork(t *testing.T) {
	t.Parallel()
	h := verified(t, 96)
	log := h.st.stretches()[0]
	before := ""
	if prev, known := h.st.object(log.N - 1); known {
		before = prev.Hash
	}
	if before == "" {
		before = strings.Repeat("0", 64)
	}
	path, forked, was := filepath.Join(t.TempDir(), "forked"), log, h.st
	h.st = state{Head: head{N: log.N - 1, Hash: before}}
	err := h.seal(&forked, path, func(*object.Writer) error { return nil })
	if h.st = was; err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.memory.objects[h.name(log.N)] = text
	v, err := Verify(t.Context(), h.memory, h.Keys, nil)
	if err != nil || !slices.ContainsFunc(v.Problems, func(p Problem) bool { return p.N == log.N && p.Hint().Code == "backup-out-of-place" }) {
		t.Errorf("%v %v", v.Problems, err)
	}
}

// What only moments of before need is left out by the next manifest, and nothing is copied anew for it.
func TestLostOfAnOlderBase(t *testing.T) {
	t.Parallel()
	h := verified(t, 97)
	h.st.Copying = &base{From: h.st.Position}
	h.cycles(t, 1)
	if len(h.st.Bases) != 2 {
		t.Fatalf("%d bases", len(h.st.Bases))
	}
	bad := h.st.Bases[0].Parts[0]
	h.memory.spoil(h.name(bad))
	if err := h.Lost(t.Context(), []Problem{{N: bad, Err: object.ErrDamaged}}); code(err) != "backup-part-lost" {
		t.Error(err)
	}
	if h.st.Copying != nil {
		t.Error("everything is copied anew")
	}
	h.cycles(t, 1)
	h.whole(t)
	if m := h.found(t).Manifest; len(m.bases) != 1 || slices.ContainsFunc(m.objects, func(ent entry) bool { return ent.N == bad }) {
		t.Errorf("the newest manifest names %d bases, and what is damaged", len(m.bases))
	}
}
