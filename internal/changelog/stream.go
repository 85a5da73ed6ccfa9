package changelog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// MaxLine bounds one line: the largest object that a store keeps, and what stands around it.
const MaxLine = 1<<30 + 64<<20

// Reader reads texts of lines one after the other.
type Reader struct {
	in   *bufio.Reader
	long []byte // a line that does not fit into the buffer of in
	most int    // bytes of a line
}

// NewReader reads from in.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, 256<<10), most: MaxLine}
}

// Next returns the next line with its line feed, which is missing where the text breaks off
// in the last one. It is good until the next call. The error is io.EOF at the end,
// ErrNoLine for a line longer than MaxLine, and else that of what is read.
func (r *Reader) Next() (text []byte, err error) {
	r.long = r.long[:0]
	if cap(r.long) > 4<<20 {
		r.long = nil
	}
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.long) == 0 && err == nil {
			return part, nil
		}
		if len(r.long)+len(part) > r.most {
			return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrNoLine, r.most)
		}
		r.long = append(r.long, part...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(r.long) > 0:
			return r.long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// End is the last line of an answer that consists of lines: what does not end with it has
// broken off.
//
//	{"end":{"more":true,"next":"objects:812","position":{"seq":12,"sum":"…"}}}
type End struct {
	// More: there is more of what was asked for.
	More bool `json:"more"`
	// Next and Position are what Copy returns; of the log they are empty.
	Next     string    `json:"next,omitempty"`
	Position *Position `json:"position,omitempty"`
}

const endBegins = `{"end":`

// Append appends the line and a line feed to b.
func (e *End) Append(b []byte) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	b = append(append(b, endBegins...), text...)
	return append(b, "}\n"...), nil
}

// ParseEnd reads the last line of an answer. is: text is one, whole or not; any other
// belongs to what was asked for.
func ParseEnd(text []byte) (e End, is bool, err error) {
	inner, is := bytes.CutPrefix(text, []byte(endBegins))
	if !is {
		return e, false, nil
	}
	inner, whole := bytes.CutSuffix(inner, []byte("}\n"))
	if !whole {
		return e, true, fmt.Errorf("%w: the last one breaks off", ErrNoLine)
	}
	if err := json.Unmarshal(inner, &e); err != nil {
		return e, true, fmt.Errorf("%w: %w", ErrNoLine, err)
	}
	return e, true, nil
}

// Contents are those of one or more attachments, as a line of an answer:
//
//	{"contents":"SHA-256, in hexadecimal","size":120}
type Contents struct {
	Hash string `json:"contents"`
	Size int64  `json:"size"`
}

// Append appends the line and a line feed to b.
func (c *Contents) Append(b []byte) []byte {
	b = appendString(append(b, `{"contents":`...), c.Hash)
	b = strconv.AppendInt(append(b, `,"size":`...), c.Size, 10)
	return append(b, "}\n"...)
}

// ParseContents reads a line that Append wrote.
func ParseContents(text []byte) (c Contents, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrNoLine, err)
	}
	if again := c.Append(nil); !bytes.Equal(again, text) || c.Size < 0 {
		return c, fmt.Errorf("%w: %.200q names no contents", ErrNoLine, text)
	}
	return c, nil
}

// Summarized is what Summarize returns, as JSON.
type Summarized struct {
	Summary  *Summary `json:"summary"`
	Position Position `json:"position"`
}
