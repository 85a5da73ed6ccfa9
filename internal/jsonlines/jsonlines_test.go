package jsonlines

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func lines(t testing.TB, records ...any) (out []byte) {
	t.Helper()
	for _, r := range records {
		var err error
		if out, err = Append(out, r); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func read(data []byte) (records []string, whole, damaged int) {
	whole, damaged = Read(data, func(r json.RawMessage) error {
		if string(r) == `"unwanted"` {
			return errors.New("no")
		}
		records = append(records, string(r))
		return nil
	})
	return records, whole, damaged
}

// Whatever a power cut leaves of the last line, and whatever is spoilt before it, takes
// nothing else along.
func TestWhatIsSpoiltTakesNothingAlong(t *testing.T) {
	data := lines(t, "a", map[string]int{"b": 1}, "c")
	first := bytes.IndexByte(data, '\n') + 1
	for n := first; n <= len(data); n++ {
		records, whole, damaged := read(data[:n])
		if len(records) != bytes.Count(data[:n], []byte("\n")) || damaged != 0 || whole > n || data[whole-1] != '\n' {
			t.Fatalf("%d bytes: %v, whole to %d, %d damaged", n, records, whole, damaged)
		}
	}
	for i := range data {
		spoilt := slices.Clone(data)
		spoilt[i] ^= 1
		records, _, _ := read(spoilt)
		if len(records) < 1 || len(records) > 2 { // a spoilt end of a line takes two along
			t.Errorf("byte %d spoilt: %v", i, records)
		}
		for _, r := range records {
			if !slices.Contains([]string{`"a"`, `{"b":1}`, `"c"`}, r) {
				t.Errorf("byte %d spoilt, and taken for %s", i, r)
			}
		}
	}
	if records, whole, damaged := read(lines(t, "a", "unwanted", "b", "unwanted")); !slices.Equal(records, []string{`"a"`, `"b"`}) || damaged != 1 || whole != len(lines(t, "a", "unwanted", "b")) {
		t.Errorf("%v, whole to %d, %d damaged", records, whole, damaged)
	}
}

func FuzzRead(f *testing.F) {
	good := lines(f, "a", 1)
	f.Add(good)
	f.Add(append(good, good[:9]...))
	f.Add([]byte("{}\n{\"record\":null,\"sum\":\"00000000\"}\n\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, whole, damaged := read(data)
		if whole > len(data) || whole > 0 && data[whole-1] != '\n' || damaged > bytes.Count(data, []byte("\n")) {
			t.Errorf("whole to %d of %d bytes, %d damaged", whole, len(data), damaged)
		}
	})
}
