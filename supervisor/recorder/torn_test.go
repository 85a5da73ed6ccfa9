package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// written is a ring that notes what its file was before each write, and what was written.
type written struct {
	*ring
	disk   *fakeDisk
	each   [][]byte // each frame, by its sequence
	before [][]byte // images; nil where nobody wants them
	images bool
	first  []uint64 // sequences
	frames [][]byte
	n      int64
}

func newWritten(blocks int) *written {
	d := &fakeDisk{data: make([]byte, blocks*block)}
	return &written{ring: &ring{to: d, blocks: uint16(blocks), run: 1, boot: 1, known: map[reported]int64{}}, disk: d}
}

// write writes so many frames together.
func (w *written) write(t *testing.T, frames int) {
	t.Helper()
	var image []byte
	if w.images {
		image = w.disk.image()
	}
	w.before, w.first = append(w.before, image), append(w.first, w.next)
	var all []byte
	for range frames {
		d := Decision{Code: "a-code", Numbers: []Value{{Times, w.n}}}
		all = append(all, w.ring.frames([]Record{{At: time.UnixMilli(1e12 + w.n), Up: time.Hour, Decision: &d}}, 0)...)
		w.n++
	}
	w.frames = append(w.frames, all)
	w.each = slices.AppendSeq(w.each, slices.Chunk(all, block))
	if err := w.ring.write(all, w.first[len(w.first)-1]); err != nil {
		t.Fatal(err)
	}
}

// torn is the file when only the first bytes of the i-th write arrived.
func (w *written) torn(i, until int) []byte {
	out := slices.Clone(w.before[i])
	at := int(w.first[i]%uint64(w.blocks)) * block
	end := min(until, len(out)-at)
	copy(out[at:], w.frames[i][:end])
	copy(out, w.frames[i][end:until])
	return out
}

func all(r *Recording) (out []Frame) {
	for f := range r.Frames() {
		out = append(out, f)
	}
	return out
}

// Whatever a power cut leaves of a write, at whatever byte: all frames before it are there, in order,
// and those of it that are whole. In the second round what is replaced is not taken for what should
// be there.
func TestTornAtEveryByte(t *testing.T) {
	t.Attr("shows", "health")
	step := 41
	if os.Getenv("SHOW_WHOLE") != "" {
		step = 1
	}
	cuts := 0
	for _, round := range []struct {
		name  string
		until uint64
	}{{"the first round", 10}, {"the second round, across the end", 64 + 62}} {
		w := newWritten(64)
		for w.next < round.until {
			w.write(t, 2)
		}
		w.images = true
		w.write(t, 1)
		w.write(t, 3)
		for i := len(w.frames) - 2; i < len(w.frames); i++ {
			for until := 0; until <= len(w.frames[i]); until++ {
				if near := until % block; until%step != 0 && near > 2 && near < block-2 && (near < header-8 || near > header+30) {
					continue
				}
				cuts++
				image := w.torn(i, until)
				got := all(Decode(image))
				if diff := cmp.Diff(w.whole(image), sequences(got)); diff != "" {
					t.Fatalf("%s, write %d, cut at byte %d: %s", round.name, i, until, diff)
				}
				if n := len(got); got[n-1].Sequence < w.first[i]-1+uint64(until/block) {
					t.Fatalf("%s, write %d, cut at byte %d: the newest is %d", round.name, i, until, got[n-1].Sequence)
				}
				for _, f := range got {
					if f.Records[0].Decision.Numbers[0].N != int64(f.Sequence) {
						t.Fatalf("%s, cut at byte %d: frame %d holds %+v", round.name, until, f.Sequence, f.Records[0])
					}
				}
			}
		}
	}
	t.Logf("SHOW the flight recorder, torn at %d bytes of its last two writes, in the first round and across the end: all whole frames in order, no torn and no older one", cuts)
}

// whole are the frames that are in an image to the last byte, and not of an earlier round than the
// newest of them.
func (w *written) whole(image []byte) (out []uint64) {
	newest := 0
	for s, b := range w.each {
		if bytes.Equal(b, image[s%int(w.blocks)*block:][:block]) {
			out = append(out, uint64(s))
			newest = s
		}
	}
	return slices.DeleteFunc(out, func(s uint64) bool { return newest-int(s) >= int(w.blocks) })
}

func sequences(frames []Frame) (out []uint64) {
	for _, f := range frames {
		out = append(out, f.Sequence)
	}
	return out
}

// Round after round: there are always the newest frames, without a gap.
func TestRoundAfterRound(t *testing.T) {
	w := newWritten(64)
	rng := rand.New(rand.NewPCG(1, 2))
	for w.next < 400 {
		w.write(t, 1+rng.IntN(5))
		r := Decode(w.disk.image())
		frames := all(r)
		first := max(0, int(w.next)-64)
		if len(frames) != int(w.next)-first || frames[0].Sequence != uint64(first) || r.Damaged != 0 {
			t.Fatalf("at %d: %d frames from %d, %d damaged", w.next, len(frames), frames[0].Sequence, r.Damaged)
		}
		for _, f := range frames {
			if f.Missing != 0 {
				t.Fatalf("at %d: %d missing before %d", w.next, f.Missing, f.Sequence)
			}
		}
	}
}

// A disk that forgets some sectors of what was not synced: what was synced is there, what is not
// whole is not, and where something is missing that is said. No frame of an earlier round stands for
// one that was lost.
func TestADiskThatForgets(t *testing.T) {
	t.Attr("shows", "health")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	tries, gaps := 100, 0
	if os.Getenv("SHOW_WHOLE") != "" {
		tries = 2000
	}
	for try := range tries {
		w := newWritten(64)
		for rounds := rng.Uint64N(200); w.next < rounds; {
			w.write(t, 1+rng.IntN(4))
		}
		w.write(t, 1+rng.IntN(4)) // synced
		w.images = true
		w.write(t, 2+rng.IntN(6)) // not synced
		i := len(w.frames) - 1
		image := w.before[i]
		for at := 0; at < len(w.frames[i]); at += 512 {
			if rng.IntN(12) > 0 {
				copy(image[(int(w.first[i])*block+at)%len(image):], w.frames[i][at:at+512])
			}
		}
		newest := w.first[i] + uint64(len(w.frames[i])/block) - 1
		var last uint64
		got := all(Decode(image))
		for n, f := range got {
			if n > 0 && f.Sequence != last+1+f.Missing {
				t.Fatalf("try %d: frame %d after %d, and %d missing", try, f.Sequence, last, f.Missing)
			}
			if f.Missing > 0 {
				gaps++
			}
			last = f.Sequence
			if f.Records[0].Decision.Numbers[0].N != int64(f.Sequence) {
				t.Fatalf("try %d: frame %d holds %+v", try, f.Sequence, f.Records[0])
			}
		}
		if diff := cmp.Diff(w.whole(image), sequences(got)); diff != "" {
			t.Fatalf("try %d: %s", try, diff)
		}
		// What was synced, and no write has begun to replace.
		for s := max(0, int(newest)-63); s < int(w.first[i]); s++ {
			if !slices.ContainsFunc(got, func(f Frame) bool { return f.Sequence == uint64(s) }) {
				t.Fatalf("try %d: frame %d was synced, and is gone; the last write has %d to %d", try, s, w.first[i], newest)
			}
		}
	}
	if gaps == 0 {
		t.Error("nothing was missing in the middle")
	}
	t.Logf("SHOW the flight recorder on a disk that forgets sectors of what was not synced: %d power cuts, what was synced is there, %d gaps named, no frame that is not whole", tries, gaps)
}

// A frame of an earlier round that lies where a newer one should be is not believed.
func TestAnOlderFrameIsNotBelieved(t *testing.T) {
	w := newWritten(64)
	w.images = true
	for w.next < 80 {
		w.write(t, 1)
	}
	image := w.disk.image()
	older := w.before[70] // before frame 70, frame 6 lay in its place
	copy(image[6*block:7*block], older[6*block:7*block])
	frames := all(Decode(image))
	for _, f := range frames {
		if f.Sequence < 16 || f.Sequence == 70 {
			t.Errorf("frame %d is believed", f.Sequence)
		}
	}
	if len(frames) != 63 || frames[len(frames)-9].Missing != 1 {
		t.Errorf("%d frames: %v", len(frames), sequences(frames))
	}
}

// A frame that lies in the place of another one, as a disk may put it there, is none.
func TestAFrameInAnotherPlaceIsNone(t *testing.T) {
	w := newWritten(64)
	for w.next < 10 {
		w.write(t, 1)
	}
	image := w.disk.image()
	copy(image[8*block:9*block], image[7*block:8*block])
	r := Decode(image)
	if got := sequences(all(r)); !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 5, 6, 7, 9}) || r.Damaged != 1 {
		t.Errorf("%v, %d damaged", got, r.Damaged)
	}
}

// Whatever a file holds, reading it ends, and what comes out is of the forms that are promised.
func FuzzDecode(f *testing.F) {
	kernel := Record{At: time.UnixMilli(1e12), Up: time.Hour, Kernel: &Kernel{Class: IOError, Device: "sda1", At: time.UnixMilli(1e12), Numbers: []Value{{Errno, -5}}}}
	records := baseOf(kernel).append(nil, kernel)
	for _, r := range []Record{{Figures: []Value{{Free, 1}, {Load, 2}}}, decided(ServerEnded(Killed, Value{Signal, 9})), decided(ServerStarted(12))} {
		records = baseOf(r).append(records, r)
	}
	f.Add(records)
	f.Add([]byte{2, 0, 0, 9, 1, 'a', 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		records := data[:min(len(data), mostBytes)]
		h := head{blocks: 1, base: base{1 << 62, -1 << 62}}
		for _, file := range [][]byte{data, h.block(records)} {
			r := Decode(file)
			if r.Len() > len(file)/block {
				t.Errorf("%d frames in %d bytes", r.Len(), len(file))
			}
			for f := range r.Frames() {
				for _, record := range f.Records {
					if err := fits(record); err != nil {
						t.Error(err)
					}
				}
			}
			for l := range r.Lines() {
				if l.Said.IsZero() && l.Data["kind"] != "figures" {
					t.Errorf("nothing is said of %v", l.Data)
				}
				if _, err := json.Marshal(l.Data); err != nil {
					t.Error(err)
				}
			}
			r.Summary(false)
		}
	})
}

// fits says what of a record is not of the form that is promised.
func fits(r Record) error {
	switch {
	case r.Decision != nil:
		for _, word := range []string{r.Decision.Code, r.Decision.About, r.Decision.Cause} {
			if word != "" && !codeRE.MatchString(word) {
				return fmt.Errorf("%q is no code", word)
			}
		}
	case r.Kernel != nil:
		if r.Kernel.Device != "" && !wholeRE.MatchString(r.Kernel.Device) {
			return fmt.Errorf("%q is no disk", r.Kernel.Device)
		}
	}
	return nil
}
