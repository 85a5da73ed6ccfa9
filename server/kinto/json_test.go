package kinto

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompact(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{` { "a" : 1 , "b" : [ 1 , { } , [ ] ] } `, `{"a":1,"b":[1,{},[]]}`},
		{`{"n":1.0,"m":-0,"o":1E+2,"p":12345678901234567890123}`, `{"n":1.0,"m":-0,"o":1E+2,"p":12345678901234568000000}`},
		{`{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{`{"a":1,"\u0061":3}`, `{"a":3}`},
		{`{"\u0061\u0026\u003c":"\u0061"}`, `{"a&<":"\u0061"}`},
		{`{"\ud83d\ude00":"\ud83d\ude00"}`, `{"😀":"\ud83d\ude00"}`},
		{`[1e308,-1e-400,0.1E+5]`, `[1e308,-1e-400,0.1E+5]`},
		{`{"a":{"x":1,"x":[2,{"y":1,"y":2}]},"a":{"z":1}}`, `{"a":{"z":1}}`},
		{`{"o":{"x":1,"x":[2,{"y":1,"y":2}]}}`, `{"o":{"x":[2,{"y":2}]}}`},
		{`{"é\n\"\\\/\u00e9":"\u0041"}`, `{"é\n\"\\/é":"\u0041"}`},
		{`[true,false,null,"x"]`, `[true,false,null,"x"]`},
		{`""`, `""`},
		{"\t3\r\n", `3`},
	} {
		got, err := compact([]byte(c.in))
		if string(got) != c.want || err != nil {
			t.Errorf("%s: %s, %v", c.in, got, err)
		}
	}
	for _, bad := range []string{
		"", " ", "{", "}", "[", "]", `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{'a':1}`, `[1,]`, `[1 2]`, `{"a":1 "b":2}`, `{} {}`, `nul`, `NaN`, `Infinity`, `-`, `01`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`,
		`"\ud83d"`, `"\ude00\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ud83d\n"`, `{"\ud83d":1}`, `1e309`, `[-1e400]`, `1E999999999999`, "1" + strings.Repeat("0", 309), `"a`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\ufeff{}", `/**/1`, strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		if got, err := compact([]byte(bad)); err == nil {
			t.Errorf("%q was taken as %s", bad, got)
		}
	}
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	if _, err := compact([]byte(deep)); err != nil {
		t.Errorf("a depth of 100: %v", err)
	}
}

func TestManyDuplicateKeys(t *testing.T) {
	in := `{` + strings.Repeat(`"a":1,"b":{"c":1,"c":2},`, 5000) + `"z":0}`
	got, err := compact([]byte(in))
	if string(got) != `{"a":1,"b":{"c":2},"z":0}` || err != nil {
		t.Errorf("%.100s, %v", got, err)
	}
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ old, change, want string }{
		{`{}`, `{"a":1}`, `{"a":1}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
		{`{"a":1,"b":{"c":1}}`, `{"b":{"d":2},"e":null}`, `{"a":1,"b":{"d":2},"e":null}`},
		{`{"a":"x,}\"]","b":[{},"}"]}`, `{"\u0061":1}`, `{"\u0061":1,"b":[{},"}"]}`},
	} {
		if got := string(merge([]byte(c.old), []byte(c.change))); got != c.want {
			t.Errorf("%s + %s = %s, want %s", c.old, c.change, got, c.want)
		}
	}
}

func TestParseBody(t *testing.T) {
	b, err := ParseBody(Record, []byte(`{"data":{"id":"a\u0062","x":1,"last_modified":12},"permissions":{"read":["\u0061","b"],"write":null}}`))
	want := Body{HasData: true, Data: []byte(`{"x":1}`), ID: "ab", HasID: true, Modified: 12, Permissions: Permissions{"read": {"a", "b"}}}
	if diff := cmp.Diff(want, b, cmp.AllowUnexported(Body{}, operation{})); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for _, empty := range []string{"", " \n", "{}"} {
		b, err := ParseBody(Record, []byte(empty))
		if diff := cmp.Diff(NoBody(), b, cmp.AllowUnexported(Body{}, operation{})); diff != "" || err != nil {
			t.Errorf("%q: %v %s", empty, err, diff)
		}
	}
	_, err = ParseBody(Record, []byte(`{"zz":1,"data":3,"permissions":{"read":[1],"nope":[]}}`))
	var names []string
	for _, p := range err.(*InvalidError).Problems {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"", "data", "permissions", "permissions.read.0"}, names); diff != "" {
		t.Error(diff)
	}
}

// FuzzParseBody: what is taken is JSON, means what encoding/json says it means,
// and comes out as a whole answer.
func FuzzParseBody(f *testing.F) {
	for _, s := range []string{
		`{"data":{"id":"a","last_modified":1,"x":[1,2,{"y":null}]},"permissions":{"write":["a"]}}`, `{"data":{"a":1,"a":{"b":"\u0000\\\""}}}`, `{"data":{}}`, `{"permissions":{}}`, `[]`, `3`, ``,
		`{"data":{"id":1}}`, `{"data":{"last_modified":1e3}}`, `{"\u0064ata":{"\u0069d":"x"}}`, `{"data":{"":0}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := compact(text)
		if err != nil {
			return
		}
		var want, got any
		if err := json.Unmarshal(text, &want); err != nil {
			if strings.Contains(err.Error(), "cannot unmarshal number") {
				return // greater than a float64; its digits are kept
			}
			t.Fatalf("%q was taken: %v", text, err)
		}
		if err := json.Unmarshal(doc, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %q: %v", text, doc, err)
		}
		again, err := compact(doc)
		if string(again) != string(doc) || err != nil {
			t.Fatalf("%q is not stable: %q, %v", doc, again, err)
		}
		b, err := ParseBody(Record, text)
		if err != nil || !b.HasData {
			return
		}
		o := &Object{ID: "x", Timestamp: 1, Data: merge(b.Data, b.Data)}
		var out map[string]any
		if err := json.Unmarshal(o.AppendJSON(nil), &out); err != nil {
			t.Fatalf("%q: the answer %q: %v", text, o.AppendJSON(nil), err)
		}
		top, _ := want.(map[string]any)
		data, _ := top["data"].(map[string]any)
		data["id"], data["last_modified"] = "x", 1.0
		if !reflect.DeepEqual(out, data) {
			t.Fatalf("%q: the answer %q", text, o.AppendJSON(nil))
		}
	})
}

func BenchmarkParseBody(b *testing.B) {
	body := []byte(`{"data":{"title":"Buy milk and bread","done":false,"tags":["home","shop"],"position":12.5,"notes":"` + strings.Repeat("x", 80) + `","due":{"day":"2026-03-01","hour":null}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseBody(Record, body); err != nil {
			b.Fatal(err)
		}
	}
}

func TestValuesAreBounded(t *testing.T) {
	list := func(n int) []byte { return []byte("[" + strings.Repeat("1,", n-2) + "1]") }
	if _, err := compact(list(maxValues)); err != nil {
		t.Error(err)
	}
	if _, err := compact(list(maxValues + 1)); err == nil || !strings.Contains(err.Error(), "at most 100000 values") {
		t.Errorf("too many: %v", err)
	}
}
