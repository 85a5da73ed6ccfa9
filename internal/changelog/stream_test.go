package changelog

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// Lines are read as they are, however long they are and however they come.
func TestReader(t *testing.T) {
	lines := []string{"a\n", strings.Repeat("b", 300<<10) + "\n", "\n", strings.Repeat("c", 256<<10-1) + "\n", strings.Repeat("d", 6<<20) + "\n", "e\n", "the last"}
	for name, in := range map[string]io.Reader{
		"whole": strings.NewReader(strings.Join(lines, "")), "in halves": iotest.HalfReader(strings.NewReader(strings.Join(lines, ""))),
		"with the end": iotest.DataErrReader(strings.NewReader(strings.Join(lines, ""))),
	} {
		r := NewReader(in)
		for i, want := range lines {
			got, err := r.Next()
			if err != nil || string(got) != want {
				t.Fatalf("%s, line %d: %d bytes instead of %d, error %v", name, i, len(got), len(want), err)
			}
		}
		if got, err := r.Next(); !errors.Is(err, io.EOF) || len(got) > 0 {
			t.Errorf("%s: behind the end: %q, %v", name, got, err)
		}
	}
	broke := errors.New("the pipe broke")
	r := NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broke)))
	if got, err := r.Next(); err != nil || string(got) != "a\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := r.Next(); !errors.Is(err, broke) || len(got) > 0 {
		t.Errorf("half a line: %q, %v", got, err)
	}
	r = NewReader(strings.NewReader(strings.Repeat("x", 400<<10) + "\n" + strings.Repeat("x", 1<<20)))
	r.most = 500 << 10
	if got, err := r.Next(); err != nil || len(got) != 400<<10+1 {
		t.Errorf("a line that is just short enough: %d bytes, %v", len(got), err)
	}
	if got, err := r.Next(); !errors.Is(err, ErrNoLine) || len(got) > 0 {
		t.Errorf("a line that is too long: %d bytes, %v", len(got), err)
	}
}

// The last line of an answer is told from all others, and half of it is none.
func TestEnd(t *testing.T) {
	for _, want := range []End{{}, {More: true}, {More: true, Next: "floors:/buckets/b\x00record\"\n", Position: &Position{Seq: 7, Sum: "ab"}}} {
		text, err := want.Append([]byte("before\n"))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.TrimPrefix(text, []byte("before\n"))
		got, is, err := ParseEnd(text)
		if !is || err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s was read as %+v, %v, %v", text, got, is, err)
		}
		if _, err := Parse(text); !errors.Is(err, ErrNoLine) {
			t.Errorf("%s is a line of the log, too: %v", text, err)
		}
		for n := len(endBegins); n < len(text); n++ {
			if _, is, err := ParseEnd(text[:n]); !is || !errors.Is(err, ErrNoLine) {
				t.Errorf("%q, cut short, is an end: %v, %v", text[:n], is, err)
			}
		}
	}
	for _, l := range all() {
		if _, is, err := ParseEnd(l.Append(nil)); is || err != nil {
			t.Errorf("%s is an end", l.Append(nil))
		}
	}
}

// ParseEnd meets texts from a socket: what it takes it would write so that it is taken again.
func FuzzParseEnd(f *testing.F) {
	for _, text := range []string{`{"end":{"more":true,"next":"objects:8","position":{"seq":1,"sum":"ab"}}}` + "\n", `{"end":{}}` + "\n", `{"end":`, `{"meta":"m","value":"v"}` + "\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, is, err := ParseEnd(text)
		if !is || err != nil {
			return
		}
		again, err := e.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, is, err := ParseEnd(again); !is || err != nil || !reflect.DeepEqual(back, e) {
			t.Fatalf("%q is read as %+v, then as %+v, %v", text, e, back, err)
		}
	})
}
