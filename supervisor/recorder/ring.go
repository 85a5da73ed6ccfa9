package recorder

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
)

// How long a file is: as much of mostSize as leaves the disk nearly all of its room.
const (
	mostSize   = 8 << 20
	fewestSize = 256 << 10
	share      = 50 // of what is free, one part in so many
)

// disk is what a ring writes to; tests put another one in its place.
type disk interface {
	WriteAt(p []byte, off int64) (int, error)
	SyncData() error
	Close() error
}

type diskFile struct{ *os.File }

func (f diskFile) SyncData() error { return atomicfile.SyncData(f.File) }

// ring is a file that is written to, round after round.
type ring struct {
	to     disk
	blocks uint16
	next   uint64 // sequence of the next frame
	boot   uint64
	run    uint32
	// What was written before.
	recent int                // frames of the last minutes
	known  map[reported]int64 // lines of the kernel
}

// reported tells one line of the kernel from another.
type reported struct {
	class  Class
	device string
	at     int64
}

// hashed is a name of a time since the machine was started, of which nothing else can be learned.
func hashed(boot string) uint64 {
	sum := sha256.Sum256([]byte("foyer recorder " + boot))
	return binary.LittleEndian.Uint64(sum[:])
}

// openRing opens the file in folder dir, and makes it where there is none that can be used. It
// blocks as long as the disk does.
func openRing(dir, boot string, now time.Time) (*ring, error) {
	path := filepath.Join(dir, File)
	r, err := continueRing(path, boot, now)
	if !errors.Is(err, errNoRing) {
		return r, err
	}
	free, _, err := atomicfile.FreeSpace(dir)
	if err != nil {
		return nil, err
	}
	size := int64(mostSize)
	for size > fewestSize && uint64(size) > free/share {
		size /= 2
	}
	if uint64(size) > free/share {
		return nil, fmt.Errorf("the disk has no room for the flight recorder: %d bytes are free", free)
	}
	if err := makeRing(path, size); err != nil {
		return nil, err
	}
	return continueRing(path, boot, now)
}

// makeRing makes a file of zeros. Its blocks are written once, since a file system notes of each
// block that is promised only when it is written first, which would be a second write each time.
func makeRing(path string, size int64) (err error) {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot make the flight recorder: %w", err)
	}
	if err := atomicfile.Allocate(tmp, size); err != nil { // which says at once whether there is room
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot make the flight recorder: %w", errors.Join(err, os.Remove(tmp)))
		}
	}()
	f, err := os.OpenFile(tmp, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<18)
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// errNoRing: there is no file that can be gone on with.
var errNoRing = errors.New("there is no flight recorder that can be used")

// continueRing opens a file that is there, after its newest frame.
func continueRing(path, boot string, now time.Time) (*ring, error) {
	is, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoRing
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look at the flight recorder: %w", err)
	}
	size := is.Size()
	if !is.Mode().IsRegular() || size < fewestSize || size > mostRead || size%block != 0 {
		return nil, errNoRing
	}
	data, err := os.ReadFile(path)
	if err != nil || int64(len(data)) != size {
		return nil, errors.Join(err, fmt.Errorf("cannot read the flight recorder, of %d bytes: %d were read", size, len(data)))
	}
	r := &ring{blocks: uint16(size / block), boot: hashed(boot), run: 1, known: map[reported]int64{}}
	before := Decode(data)
	if n := len(before.frames); n > 0 {
		if before.frames[0].blocks != r.blocks {
			return nil, errNoRing
		}
		r.next, r.run = before.frames[n-1].sequence+1, before.frames[n-1].run+1
	}
	for i, f := range before.frames {
		if age := now.Sub(time.UnixMilli(f.base.at)); age.Abs() < recently {
			r.recent++
		}
		for _, record := range before.frame(i).Records {
			if record.Kernel != nil {
				r.isNew(*record.Kernel, int64(f.sequence))
			}
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the flight recorder: %w", err)
	}
	r.to = diskFile{f}
	return r, nil
}

// mostKnown is how many lines of the kernel are known again.
const mostKnown = 2000

// isNew notes a line of the kernel, and reports whether it was not known; order grows.
func (r *ring) isNew(k Kernel, order int64) bool {
	id := reported{k.Class, k.Device, k.At.UnixMilli()}
	if _, known := r.known[id]; known {
		return false
	}
	if len(r.known) >= mostKnown { // the older half goes
		oldest := order
		for _, o := range r.known {
			oldest = min(oldest, o)
		}
		for id, o := range r.known {
			if o <= oldest+(order-oldest)/2 {
				delete(r.known, id)
			}
		}
	}
	r.known[id] = order
	return true
}

// frames makes frames of records, to follow each other. Those of the kernel that were recorded
// before are left out. dropped is told by the first frame, if there is one.
func (r *ring) frames(records []Record, dropped uint32) (out []byte) {
	var content []byte
	var from base
	end := func() {
		if len(content) == 0 {
			return
		}
		h := head{blocks: r.blocks, sequence: r.next, boot: r.boot, run: r.run, dropped: dropped, base: from}
		out = append(out, h.block(content)...)
		r.next++
		content, dropped = nil, 0
	}
	for _, record := range records {
		if record.Kernel != nil && !r.isNew(*record.Kernel, int64(r.next)) {
			continue
		}
		if len(content) == 0 {
			from = baseOf(record)
		}
		longer := from.append(content, record)
		if len(longer) > mostBytes {
			end()
			from = baseOf(record)
			longer = from.append(nil, record)
		}
		content = longer
	}
	end()
	return out
}

// write writes frames, of which the first has this sequence, and makes them durable: in one piece,
// or in two where the end of the file is between them.
func (r *ring) write(frames []byte, first uint64) error {
	if over := len(frames)/block - int(r.blocks); over > 0 { // after a disk that hung
		frames, first = frames[over*block:], first+uint64(over)
	}
	at := int64(first%uint64(r.blocks)) * block
	until := min(int64(len(frames)), int64(r.blocks)*block-at)
	if _, err := r.to.WriteAt(frames[:until], at); err != nil {
		return fmt.Errorf("cannot write the flight recorder: %w", err)
	}
	if rest := frames[until:]; len(rest) > 0 {
		if _, err := r.to.WriteAt(rest, 0); err != nil {
			return fmt.Errorf("cannot write the flight recorder: %w", err)
		}
	}
	return r.to.SyncData()
}
