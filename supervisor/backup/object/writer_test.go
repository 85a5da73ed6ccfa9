package object

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// What a writer cannot write it refuses, and ends no object then.
func TestWhatIsNotWritten(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Header){
		"no number":          func(h *Header) { h.N = 0 },
		"no kind":            func(h *Header) { h.Kind = "" },
		"another kind":       func(h *Header) { h.Kind = "diary" },
		"nothing before it":  func(h *Header) { h.Prev = "" },
		"half a sum before":  func(h *Header) { h.Prev = h.Prev[:62] },
		"a sum in capitals":  func(h *Header) { h.Prev = strings.ToUpper(h.Prev) },
		"a time beyond time": func(h *Header) { h.At = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a version of bytes": func(h *Header) { h.Version = "\xff" },
		"a long position":    func(h *Header) { h.To.Sum = strings.Repeat("a", maxHeader) },
	} {
		h := header(2, strings.Repeat("ab", 32))
		change(&h)
		if o, err := w.sealer.New(io.Discard, h); err == nil || o != nil {
			t.Errorf("%s: %v", name, o)
		}
	}
	if _, err := w.sealer.New(io.Discard, Header{N: 1, Prev: strings.Repeat("ab", 32), Kind: Log, At: at}); err == nil {
		t.Error("the first has one before it")
	}

	begin := func() *Writer {
		o, err := w.sealer.New(io.Discard, header(1, ""))
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := begin()
	if err := o.Lines([]byte("no end")); err == nil {
		t.Error("a line without an end")
	}
	if _, err := o.Close(); err == nil {
		t.Error("an object with half a line has an end")
	}
	o = begin()
	if err := o.Lines(nil); err != nil {
		t.Error(err)
	}
	begin()
	if _, err := o.Close(); err == nil {
		t.Error("an object that was given up has an end")
	}
	o = begin()
	if _, err := o.Close(); err != nil {
		t.Error(err)
	}
	if _, err := o.Close(); err == nil {
		t.Error("an object has two ends")
	}
	if err := o.Lines([]byte("{}\n")); err == nil {
		t.Error("there is more after the end")
	}
	w.sealer.most = 4096
	o = begin()
	for n := 0; ; n++ {
		if err := o.Lines([]byte(strings.Repeat("a", 99) + "\n")); errors.Is(err, ErrTooLarge) {
			break
		} else if err != nil || n > 100 {
			t.Fatal(n, err)
		}
	}
	full := errors.New("the disk is full")
	for after := range 7 {
		out := &limited{left: after * 100, err: full}
		o, err := w.sealer.New(out, header(1, ""))
		if err == nil {
			err = o.Lines([]byte(record(1)))
		}
		if err == nil {
			_, err = o.Close()
		}
		if !errors.Is(err, full) {
			t.Errorf("after %d bytes: %v", after*100, err)
		}
	}
}

// limited takes so many bytes.
type limited struct {
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return l.left, l.err
	}
	l.left -= len(p)
	return len(p), nil
}
