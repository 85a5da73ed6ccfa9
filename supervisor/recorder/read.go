package recorder

import (
	"errors"
	"io/fs"
	"iter"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/safepath"
)

// mostRead is how long a file may be that is read.
const mostRead = 16 << 20

// Recording is what a file holds.
type Recording struct {
	Damaged int // blocks that cannot be read: torn by a power cut, or by a bad disk
	Newer   int // frames of a newer Foyer

	data   []byte
	frames []found
}

// Frame is what was written together.
type Frame struct {
	Sequence uint64
	Boot     uint64 // the same until the machine is restarted
	Run      uint32 // grows with each process that wrote
	Missing  uint64 // frames that are missing before this one
	Dropped  uint32 // records that the disk did not take before this one
	Records  []Record
}

// Read reads the file at path; as root it follows no link that somebody else could have made
// (package safepath).
func Read(path string) (*Recording, error) {
	data, err := safepath.ReadFile(path, mostRead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.New("recorder-none", hint.T("There is no flight recorder at %s.", "Il n'y a pas d'enregistreur de bord à %s.", path), hint.Text{},
			hint.T("On a card of another machine it is var/lib/foyer-supervisor/recorder.", "Sur la carte d'une autre machine, c'est var/lib/foyer-supervisor/recorder.")).Because(err)
	}
	if err != nil {
		return nil, err
	}
	r := Decode(data)
	if len(r.frames) == 0 && (r.Damaged > 0 || len(data) == 0 || len(data)%block > 0) {
		return nil, hint.New("recorder-unreadable", hint.T("%s is no flight recorder of Foyer, or nothing in it is whole.", "%s n'est pas un enregistreur de bord de Foyer, ou rien n'y est intact.", path), hint.Text{},
			hint.T("On a card of another machine it is var/lib/foyer-supervisor/recorder.", "Sur la carte d'une autre machine, c'est var/lib/foyer-supervisor/recorder."))
	}
	return r, nil
}

// Decode reads what a file holds, whatever its bytes are.
func Decode(data []byte) *Recording {
	r := &Recording{data: data}
	r.frames, r.Damaged = scan(data)
	for _, f := range r.frames {
		if f.version > version {
			r.Newer++
		}
	}
	return r
}

// Frames are those that are whole, the oldest first; each is decoded when its turn comes.
func (r *Recording) Frames() iter.Seq[Frame] {
	return func(yield func(Frame) bool) {
		for i := range r.frames {
			if !yield(r.frame(i)) {
				return
			}
		}
	}
}

// Len is how many frames there are.
func (r *Recording) Len() int { return len(r.frames) }

// frame decodes the i-th frame, up to what makes no sense.
func (r *Recording) frame(i int) Frame {
	f := r.frames[i]
	out := Frame{Sequence: f.sequence, Boot: f.boot, Run: f.run, Dropped: f.dropped}
	if i > 0 {
		out.Missing = f.sequence - r.frames[i-1].sequence - 1
	}
	if f.version > version {
		return out
	}
	at := f.at*block + header
	c := cursor{left: r.data[at : at+int(f.length)]}
	for len(c.left) > 0 {
		record, err := c.record(f.base)
		if err != nil {
			break
		}
		out.Records = append(out.Records, record)
	}
	return out
}
