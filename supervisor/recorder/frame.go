package recorder

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
)

// A file is a ring of blocks; each that was written is one frame, which stands alone. All numbers
// are little-endian:
//
//	 0  magic      "FyrR"
//	 4  version    uint16   of the records
//	 6  blocks     uint16   in the ring
//	 8  sequence   uint64   grows by one from frame to frame; the frame lies in block sequence mod blocks
//	16  boot       uint64   a hash: the same until the machine is restarted
//	24  run        uint32   grows with each process that writes
//	28  dropped    uint32   records that were lost before this frame, since the disk did not take them
//	32  at         int64    what the records' times are counted from: milliseconds since 1970,
//	40  up         int64    and since the machine was started
//	48  length     uint16   of the records
//	50  reserved   uint16   0
//	52  sum        uint32   CRC-32C of the whole block with zeros in this place
//	56  records
const (
	block     = 4096
	header    = 56
	atSum     = 52
	version   = 1
	magic     = "FyrR"
	mostBytes = block - header // of the records of a frame
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is the header of a frame.
type head struct {
	version  uint16
	blocks   uint16
	sequence uint64
	boot     uint64
	run      uint32
	dropped  uint32
	base     base
	length   uint16
}

// block is the frame with these records.
func (h head) block(records []byte) []byte {
	out := make([]byte, block)
	copy(out, magic)
	le := binary.LittleEndian
	le.PutUint16(out[4:], version)
	le.PutUint16(out[6:], h.blocks)
	le.PutUint64(out[8:], h.sequence)
	le.PutUint64(out[16:], h.boot)
	le.PutUint32(out[24:], h.run)
	le.PutUint32(out[28:], h.dropped)
	le.PutUint64(out[32:], uint64(h.base.at))
	le.PutUint64(out[40:], uint64(h.base.up))
	le.PutUint16(out[48:], uint16(len(records)))
	copy(out[header:], records)
	le.PutUint32(out[atSum:], sum(out))
	return out
}

func sum(b []byte) uint32 {
	c := crc32.Update(0, castagnoli, b[:atSum])
	c = crc32.Update(c, castagnoli, make([]byte, 4))
	return crc32.Update(c, castagnoli, b[atSum+4:])
}

// readHead reads the header of the frame in the at-th block; false: it is none, or not whole.
func readHead(b []byte, at int) (h head, ok bool) {
	le := binary.LittleEndian
	if len(b) != block || string(b[:len(magic)]) != magic || le.Uint32(b[atSum:]) != sum(b) {
		return h, false
	}
	h = head{
		version: le.Uint16(b[4:]), blocks: le.Uint16(b[6:]), sequence: le.Uint64(b[8:]), boot: le.Uint64(b[16:]), run: le.Uint32(b[24:]), dropped: le.Uint32(b[28:]),
		base: base{int64(le.Uint64(b[32:])), int64(le.Uint64(b[40:]))}, length: le.Uint16(b[48:]),
	}
	return h, h.blocks > 0 && h.length <= mostBytes && h.sequence < math.MaxUint64-math.MaxUint16 && h.sequence%uint64(h.blocks) == uint64(at)
}

// found is a frame in a file.
type found struct {
	head
	at int // its block
}

// scan finds the frames of the newest round of a ring, oldest first. What is older lies where a
// newer one did not arrive, and is not believed. damaged are blocks that were written, and hold
// no frame.
func scan(data []byte) (frames []found, damaged int) {
	blank := make([]byte, block)
	newest := uint64(0)
	for at := range len(data) / block {
		b := data[at*block : (at+1)*block]
		h, ok := readHead(b, at)
		switch {
		case ok && (len(frames) == 0 || h.blocks == frames[0].blocks):
			frames = append(frames, found{h, at})
			newest = max(newest, h.sequence)
		case string(b) != string(blank):
			damaged++
		}
	}
	frames = slices.DeleteFunc(frames, func(f found) bool { return newest-f.sequence >= uint64(f.blocks) })
	slices.SortFunc(frames, func(a, b found) int {
		if a.sequence < b.sequence {
			return -1
		}
		return 1
	})
	return frames, damaged
}
