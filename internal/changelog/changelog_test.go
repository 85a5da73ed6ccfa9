package changelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// all is one line of every kind, and of those that can be gone, two.
func all() []Line {
	return []Line{
		{Kind: Commit, Seq: 7, Time: 1795803600000},
		{Kind: Commit, Seq: 8, Time: 1795803600001, Sum: strings.Repeat("0f", 16)},
		{Kind: Object, Parent: "/buckets/b/collections/c", Of: "record", ID: "r\"1", Time: 1795803600001, Permissions: []byte(`{"write":["account:ana"]}`), Data: []byte(`{"n":` + strings.Repeat("9", 5000) + `,"lone":"\ud800","e":1.0E+2}`)},
		{Kind: Object, Parent: "", Of: "bucket", ID: "b", Time: 3, Data: []byte(`{}`)},
		{Kind: Object, Gone: true, Parent: "/buckets/b", Of: "collection", ID: "é", Time: 4},
		{Kind: List, Parent: "/buckets/b", Of: "group", Time: 5},
		{Kind: Purge, ID: "/buckets/b"},
		{Kind: Purge, ID: ""},
		{Kind: Meta, ID: "text", Value: []byte("{\"a\":\"\x01\n\"}")},
		{Kind: Meta, ID: "bytes", Value: []byte{0xff, 0, 1}},
		{Kind: Meta, ID: "empty", Value: []byte{}},
		{Kind: Meta, Gone: true, ID: "text"},
		{Kind: Owner, ID: "/buckets/b", Value: []byte("account:ana"), Size: 120},
		{Kind: Owner, Gone: true, ID: "/buckets/b"},
		{Kind: Note, ID: "k", Value: []byte("v"), Time: 6},
		{Kind: Note, Gone: true, ID: "k"},
		{Kind: File, Location: "b/c/x.png", Parent: "/buckets/b/collections/c", Of: "record", ID: "r", Hash: strings.Repeat("a", 64), Size: 3, Type: "image/png\xff", Name: "\xfe.png"},
		{Kind: File, Location: "b/c/y", Parent: "/buckets/b/collections/c", Of: "record", ID: "s", Hash: strings.Repeat("b", 64), Size: 0, Type: "text/plain", Name: "y"},
		{Kind: File, Gone: true, Location: "b/c/y"},
		{Kind: Floor, Parent: "/buckets/b", Of: "collection", Time: 8},
		{Kind: Floor, Parent: "#", Time: 9},
		{Kind: Floor, Gone: true, Parent: "/buckets/b", Of: "collection"},
		{Kind: Former, Parent: "/buckets/b", Of: "collection", Time: 10},
	}
}

// Every kind of line is read back as it was written, is one line of JSON, and cannot be cut
// short without being refused.
func TestLines(t *testing.T) {
	seen := map[Kind]int{}
	for _, want := range all() {
		seen[want.Kind]++
		text := want.Append(nil)
		if bytes.Count(text, []byte("\n")) != 1 || text[len(text)-1] != '\n' || !json.Valid(text) {
			t.Errorf("%q is not one line of JSON", text)
		}
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		// No bytes and none of them are one for all fields but Value.
		if len(want.Permissions) == 0 {
			want.Permissions, got.Permissions = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nwas read as %+v\ninstead of  %+v", text, got, want)
		}
		if again := got.Append(nil); !bytes.Equal(again, text) {
			t.Errorf("%s\nwas written again as\n%s", text, again)
		}
		for n := 0; n < len(text)-1; n += 1 + n/40 {
			if l, err := Parse(text[:n]); !errors.Is(err, ErrNoLine) {
				t.Errorf("%q, cut short, is read as %+v", text[:n], l)
			}
		}
	}
	for k := Commit; int(k) < len(kindNames); k++ {
		if seen[k] == 0 {
			t.Errorf("no line of kind %s", k)
		}
	}
}

// alike compares two lines, for which no bytes and none of them are one.
func alike(a, b Line) bool {
	for _, l := range []*Line{&a, &b} {
		if len(l.Permissions) == 0 {
			l.Permissions = nil
		}
		if len(l.Data) == 0 {
			l.Data = nil
		}
	}
	return reflect.DeepEqual(a, b)
}

// Lines that Append writes and there are many of are read fast, and what is read either way
// is the same.
func TestFastAndSlowAgree(t *testing.T) {
	fast := 0
	odd := []string{
		`{"object":["p","record","i",1],"permissions":{"read":["}\"}"]},"data":{"a":"}","b":{"c":[{}]}}}`, `{"object":["p","record","i",1],"permissions":{},"data":{},"data":{}}`,
		`{"object":["p","record","i",1],"permissions":{}}`, `{"object":["p","record","i",1],"permissions":{"a":"b","data":{}}`, `{"object":["p","record","i",1], "data":{}}`,
		`{"object":["p","record","i",01],"data":{}}`, `{"object":["p","record","i",-1],"data":{}}`, `{"object":["p","record","i",9223372036854775807],"data":{}}`, `{"object":["p","record","i",92233720368547758070],"data":{}}`,
		"{\"object\":[\"\xff\",\"record\",\"i\",1],\"data\":{}}", "{\"object\":[\"p\",\"record\",\"i\",1],\"data\":{\"a\":\"\xff\"}}", `{"object":["p","record","i",1],"data":{"a":tru}}`, `{"object":["p","record","i",1],"data":{}}}`,
		`{"object":["p","record","i",1],"gone":true,"data":{}}`, `{"object":["p","record","i",1],"permissions":{}],"data":{}}`, `{"object":["p","record","i",1],"permissions":[],"data":{}}`, `{"list":["p","record",1]} `, `{"seq":1,"at":2,"sum":"","at":3}`, `{"seq":,"at":2}`,
	}
	for _, text := range odd {
		fastLine, ok := canonical([]byte(text))
		slow, err := parse([]byte(text))
		if ok && (err != nil || !alike(fastLine, slow)) {
			t.Errorf("%s is read as %+v, or slowly as %+v, %v", text, fastLine, slow, err)
		}
	}
	for _, l := range all() {
		text := l.Append(nil)
		got, ok := canonical(text)
		slow, err := parse(text)
		if err != nil || ok && !alike(got, slow) {
			t.Errorf("%s is read as %+v, or slowly as %+v, %v", text, got, slow, err)
		}
		if ok {
			fast++
		}
		if often := l.Kind == Commit || l.Kind == List || l.Kind == Object && !strings.ContainsAny(l.ID, `"`); often && !ok {
			t.Errorf("%s is read slowly", text)
		}
	}
	if fast < 5 {
		t.Errorf("%d lines are read fast", fast)
	}
}

// What is no line is refused, whatever it is.
func TestWhatIsNoLine(t *testing.T) {
	for _, text := range []string{
		"", "\n", "{}", "[]", "null", `{"seq":"1"}`, `{"seq":1,"at":2}{"seq":2,"at":3}`, `{"seq":1,"purge":""}`,
		`{"object":["p","record","i"],"data":{}}`, `{"object":["p","record",1],"data":{}}`, `{"object":["p","record","i",1]}`, `{"object":["p","record","i",1],"data":[]}`,
		`{"object":["p","record","i",1.5],"data":{}}`, `{"object":[1,"record","i",1],"data":{}}`, `{"list":["p","record"]}`, `{"list":["p","record","x",1]}`,
		`{"meta":"m"}`, `{"meta":"m","value64":"?"}`, `{"note":"n","until":3}`, `{"owner":"o"}`, `{"file":"f"}`, `{"file":"f","of":["p","record"]}`,
		`{"meta":"m","value":"v","later":1}`, `{"later":1}`, `{"gone":true}`,
	} {
		if l, err := Parse([]byte(text)); !errors.Is(err, ErrNoLine) {
			t.Errorf("%s is read as %+v, error %v", text, l, err)
		}
	}
}

// Lines have a key each that others of the same thing share, and no other thing has.
func TestKeys(t *testing.T) {
	keys := map[string]Line{}
	for _, l := range all() {
		key := l.Key()
		if key == "" != (l.Kind == Commit || l.Kind == Purge) {
			t.Errorf("%s has key %q", l.Append(nil), key)
		}
		before, there := keys[key]
		if key != "" && there && !l.Gone {
			t.Errorf("%s and %s share the key %q", before.Append(nil), l.Append(nil), key)
		}
		keys[key] = l
	}
	if len(keys) < 12 {
		t.Errorf("%d keys", len(keys))
	}
}

// summaryOf counts lines in, in some order.
func summaryOf(lines []Line, order []int) *Summary {
	s := &Summary{}
	for _, i := range order {
		s.Add(&lines[i], lines[i].Append(nil))
	}
	return s
}

// A summary depends on every line and on no order; it survives JSON.
func TestSummary(t *testing.T) {
	var lines []Line
	for _, l := range all() {
		if !l.Gone || l.Kind == Object {
			lines = append(lines, l)
		}
	}
	forward := summaryOf(lines, rand.Perm(len(lines)))
	shuffled := summaryOf(lines, rand.Perm(len(lines)))
	if d := forward.Differences(shuffled, 99); len(d) > 0 {
		t.Errorf("in another order: %q", d)
	}
	text, err := json.Marshal(forward)
	var back Summary
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := forward.Differences(&back, 99); len(d) > 0 {
		t.Errorf("through JSON: %q", d)
	}
	if again, err := json.Marshal(&back); err != nil || !bytes.Equal(again, text) {
		t.Errorf("through JSON twice: %s, %v", again, err)
	}
	for i := range lines {
		if lines[i].Kind == Commit || lines[i].Kind == Purge {
			continue
		}
		changed := append([]Line(nil), lines...)
		changed[i].Time += 1 << 40
		changed[i].Size++
		changed[i].Value = append([]byte("x"), changed[i].Value...)
		if d := forward.Differences(summaryOf(changed, rand.Perm(len(lines))), 99); len(d) != 1 {
			t.Errorf("another %s: %q", changed[i].Append(nil), d)
		}
		without := append(append([]Line(nil), lines[:i]...), lines[i+1:]...)
		if d := forward.Differences(summaryOf(without, rand.Perm(len(without))), 99); len(d) != 1 {
			t.Errorf("without %s: %q", lines[i].Append(nil), d)
		}
	}
	if got := forward.Of(Object).Lines; got != 3 {
		t.Errorf("%d objects", got)
	}
}

// Parse meets texts from a target: whatever they are, it returns, and what it takes it
// would write as it is.
func FuzzParse(f *testing.F) {
	for _, l := range all() {
		f.Add(l.Append(nil))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Parse(text)
		slow, slowErr := parse(text)
		if fast, ok := canonical(text); ok && (slowErr != nil || !alike(fast, slow)) {
			t.Fatalf("%q is read as %+v, or slowly as %+v, %v", text, fast, slow, slowErr)
		}
		if err != nil {
			return
		}
		again, err := Parse(l.Append(nil))
		if err != nil {
			t.Fatalf("%q is read as %+v, which is not read again: %v", text, l, err)
		}
		if !bytes.Equal(again.Append(nil), l.Append(nil)) {
			t.Fatalf("%q is read as %+v, then as %+v", text, l, again)
		}
	})
}
