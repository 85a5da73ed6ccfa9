package kinto

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

// TestOrderOfValues: null < string < number < boolean < array < object < missing.
func TestOrderOfValues(t *testing.T) {
	var raw [][]byte
	for _, s := range []string{
		`null`, `""`, `"A"`, `"Z"`, `"a"`, `"a\u0062"`, `"b"`, `"é"`,
		`-1e400`, `-20`, `-3.5`, `-3`, `0`, `0.1e-5`, `0.1`, `1`, `9007199254740992`, `9007199254740993`, `1e20`, `123456789012345678901`, `1e400`,
		`false`, `true`, `[]`, `[9]`, `["a",null]`, `[1,2]`, `[1,3]`, `{}`, `{"b":1}`, `{"b":"x","c":1}`, `{"aa":1,"b":[]}`,
	} {
		raw = append(raw, []byte(s))
	}
	raw = append(raw, nil)
	for i, a := range raw {
		for j, b := range raw {
			if got, want := compare(a, b), i-j; got < 0 != (want < 0) || got > 0 != (want > 0) {
				// objects of two keys: the shorter key first, whatever its value
				if string(a) == `{"b":"x","c":1}` && string(b) == `{"aa":1,"b":[]}` || string(b) == `{"b":"x","c":1}` && string(a) == `{"aa":1,"b":[]}` {
					continue
				}
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{`1`, `1.0`}, {`1`, `10e-1`}, {`0`, `-0.00`}, {`100`, `1E+2`}, {`"a"`, `"\u0061"`}, {`{"a":1,"b":[2]}`, `{"b":[2.0],"\u0061":1}`}} {
		if compare([]byte(same[0]), []byte(same[1])) != 0 {
			t.Errorf("%s is not %s", same[0], same[1])
		}
	}
	if compare([]byte(`{"b":9,"c":1}`), []byte(`{"aa":1,"b":[]}`)) >= 0 {
		t.Error("a shorter key comes first")
	}
}

func FuzzCompareNumbers(f *testing.F) {
	f.Add("1", "1.0")
	f.Add("-12.50e3", "1e-7")
	f.Add("123456789012345678", "1234567890123456789")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := compact([]byte(a))
		y, err2 := compact([]byte(b))
		if err != nil || err2 != nil || typeOf(x) != isNumber || typeOf(y) != isNumber || len(a)+len(b) > 60 {
			return
		}
		if exponentOf(a) > 300 || exponentOf(b) > 300 {
			return
		}
		m, ok := new(big.Rat).SetString(string(x))
		n, ok2 := new(big.Rat).SetString(string(y))
		if ok && ok2 && m.Cmp(n) != compare(x, y) {
			t.Fatalf("%s and %s: %d", x, y, compare(x, y))
		}
	})
}

// exponentOf is the size of a number's exponent, 999 when it is long.
func exponentOf(s string) int {
	_, e, ok := strings.Cut(strings.ToLower(s), "e")
	if !ok {
		return 0
	}
	n := 0
	for _, c := range strings.Trim(e, "+- ") {
		if n = 10*n + int(c-'0'); n > 999 {
			return 999
		}
	}
	return n
}

// The words of protocol §7, each a row.
func TestFilters(t *testing.T) {
	live := &Object{ID: "r1", Timestamp: 50, Data: []byte(`{"n":1,"f":1.0,"s":"Hello","e":"","z":null,"t":true,"o":{"p":{"q":"x"}},"a":[1,"2",{"k":1},null],"o.p":3,"w":"50% off","min_x":7,"deep":{"a":[1]}}`)}
	dead := &Object{ID: "r2", Timestamp: 60, Deleted: true}
	for _, c := range []struct {
		name, value string
		live, dead  bool
	}{
		{"n", "1", true, false},
		{"n", "1.0", true, false},
		{"f", "1", true, false},
		{"n", `"1"`, false, false},
		{"t", "1", false, false},
		{"t", "true", true, false},
		{"s", "Hello", true, false},
		{"s", `"Hello"`, true, false},
		{"s", "hello", false, false},
		{"e", "", true, false},
		{"z", "null", true, false},
		{"no", "null", false, false},
		{"a", `[1,"2",{"k":1},null]`, true, false},
		{"o", `{"p":{"q":"x"}}`, true, false},
		{"o.p.q", "x", true, false},
		{"o.p", "3", false, false},
		{"s.x", "1", false, false},
		{"eq_min_x", "7", true, false},
		{"min_x", "7", true, true},
		{"lt_a-b", "1", false, false},
		{"not_n", "1", false, true},
		{"not_n", "2", true, true},
		{"not_no", "1", true, true},
		{"gt_n", "0", true, true},
		{"gt_n", "1", false, true},
		{"min_n", "1", true, true},
		{"max_n", "1", true, false},
		{"lt_n", "1", false, false},
		{"lt_n", "2", true, false},
		{"gt_no", "1", true, true},
		{"min_no", "1", true, true},
		{"lt_no", "1", false, false},
		{"max_no", "1", false, false},
		{"gt_n", "zzz", true, true},
		{"lt_n", "true", true, false},
		{"gt_z", "1", false, true},
		{"lt_s", "World", true, false},
		{"gt_t", "false", true, true},
		{"in_n", "3,1", true, false},
		{"in_n", `"1",2`, false, false},
		{"in_s", "x,Hello", true, false},
		{"in_no", "null", false, false},
		{"exclude_n", "3,1", false, true},
		{"exclude_n", "2", true, true},
		{"exclude_no", "1", true, true},
		{"id", "r1", true, false},
		{"id", "r2", false, true},
		{"in_id", "r1,r2", true, true},
		{"exclude_id", "r1,x", false, true},
		{"not_id", "1", true, true},
		{"gt_id", "r1", false, true},
		{"like_s", "ELL", true, false},
		{"like_s", "h*o", true, false},
		{"like_s", "h*l", false, false},
		{"like_s", "*", true, false},
		{"like_n", `"1"`, true, false},
		{"like_a", "k*", false, false},
		{"like_a", "k", true, false},
		{"like_w", "50%", true, false},
		{"like_s", "h_llo", true, false},
		{"like_no", "*", false, false},
		{"like_id", "R1", true, false},
		{"has_n", "true", true, false},
		{"has_z", "true", true, false},
		{"has_no", "true", false, false},
		{"has_no", "false", true, true},
		{"has_n", "", false, true},
		{"has_n", "0.0", false, true},
		{"has_n", "no", true, false},
		{"contains_a", "1", true, false},
		{"contains_a", `["2",1]`, true, false},
		{"contains_a", `[1,3]`, false, false},
		{"contains_a", `{"k":1}`, true, false},
		{"contains_a", "[]", true, false},
		{"contains_s", "Hello", false, false},
		{"contains_any_a", `[3,1]`, true, false},
		{"contains_any_a", `[3]`, false, false},
		{"contains_any_a", `"2"`, true, false},
		{"contains_deep.a", "1", true, false},
		{"deleted", "true", false, true},
		{"not_deleted", "true", true, false},
		{"has_deleted", "true", false, true},
	} {
		f, err := ParseFilter(c.name, []string{c.value})
		if err != nil {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
			continue
		}
		if got, gone := f.matches(live), f.matches(dead); got != c.live || gone != c.dead {
			t.Errorf("%s=%s: %v, of a tombstone %v", c.name, c.value, got, gone)
		}
	}
	for _, bad := range [][]string{{"id", "1"}, {"in_id", "a,1"}, {"like_x", "1"}, {"contains_id", "a"}, {"contains_any_id", "a"}, {"x", `"\u0000"`}, {"x", "\x00"}, {"in_x", "a", "b"}, {"like_x", "a", "b"}, {"like_x", strings.Repeat("a*", 300)}} {
		if f, err := ParseFilter(bad[0], bad[1:]); err == nil {
			t.Errorf("%v was taken: %v", bad, f)
		}
	}
	f, err := ParseFilter("a", []string{"1", "2"})
	if err != nil || string(f.Values[0]) != `["1","2"]` {
		t.Errorf("twice: %s, %v", f.Values, err)
	}
}

// FuzzFilter: whatever is asked of whatever object, there is an answer; equality
// and its negation never agree.
func FuzzFilter(f *testing.F) {
	f.Add("n", "1", `{"n":1}`)
	f.Add("like_a.b", "x*y%_", `{"a":{"b":"xAAy"}}`)
	f.Add("contains_any_l", "[1,{}]", `{"l":[2,{}]}`)
	f.Add("min_q", "-1e999999999999", `{"q":[null,"\u00e9"]}`)
	f.Fuzz(func(t *testing.T, name, value, data string) {
		doc, err := compact([]byte(data))
		if err != nil || doc[0] != '{' {
			return
		}
		o := &Object{ID: "r", Timestamp: 1, Data: doc}
		filter, err := ParseFilter(name, []string{value})
		if err == nil {
			filter.matches(o)
		}
		if !isFieldName(name) {
			return
		}
		yes, err := ParseFilter("eq_"+name, []string{value})
		no, err2 := ParseFilter("not_"+name, []string{value})
		if err == nil && err2 == nil && yes.matches(o) == no.matches(o) {
			t.Fatalf("%s=%s on %s", name, value, data)
		}
	})
}

func TestSort(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "-last_modified": "", "last_modified": "last_modified", "a,-b, c": "a -b c -last_modified", "+a": "a -last_modified", "a,last_modified,b": "a last_modified", "é b,$,a.b": "a.b -last_modified", ",,": "",
	} {
		var got []string
		for _, k := range ParseSort(text) {
			name := strings.Join(k.Field, ".")
			if k.Falling {
				name = "-" + name
			}
			got = append(got, name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	o := &Object{ID: "r", Timestamp: 5, Data: []byte(`{"a":1,"b":{"c":2,"d":{"e":3}},"f":[1]}`)}
	for text, want := range map[string]string{
		"":             `{"id":"r","last_modified":5,"a":1,"b":{"c":2,"d":{"e":3}},"f":[1]}`,
		"a":            `{"id":"r","last_modified":5,"a":1}`,
		"no,id":        `{"id":"r","last_modified":5}`,
		"b.c,f.x":      `{"id":"r","last_modified":5,"b":{"c":2},"f":[1]}`,
		"b.d.e,b":      `{"id":"r","last_modified":5,"b":{"c":2,"d":{"e":3}}}`,
		"b,b.d.e":      `{"id":"r","last_modified":5,"b":{"c":2,"d":{"e":3}}}`,
		"b.d.zz,b.zzz": `{"id":"r","last_modified":5,"b":{"d":{}}}`,
	} {
		if got := string(o.AppendFields(nil, ParseFields(text))); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s", text, got)
		}
	}
	dead := &Object{ID: "r", Timestamp: 5, Deleted: true}
	if got := string(dead.AppendFields(nil, ParseFields("a"))); got != `{"id":"r","last_modified":5}` {
		t.Error(got)
	}
	if got := string(dead.AppendFields(nil, ParseFields("deleted"))); got != `{"id":"r","last_modified":5,"deleted":true}` {
		t.Error(got)
	}
}

// FuzzContinue: a position that is taken is one the query can be at.
func FuzzContinue(f *testing.F) {
	f.Add([]byte(`{"last_modified":5,"a.b":"x"}`), "a.b")
	f.Add([]byte(`{"last_modified":-1}`), "")
	f.Add([]byte(`{"a":1}`), "last_modified")
	f.Fuzz(func(t *testing.T, position []byte, sort string) {
		q := Everything()
		q.Sort = ParseSort(sort)
		if !q.Continue(position) {
			return
		}
		if len(q.After) > 0 && len(q.After) != len(q.Sort) {
			t.Fatalf("%d values for %d keys", len(q.After), len(q.Sort))
		}
		o := &Object{ID: "r", Timestamp: 3, Data: []byte(`{"a":{"b":[1]}}`)}
		NewPage(&q, false).Wants(o)
		if again := q.Position(o); !bytes.Contains(again, []byte(`"last_modified":3`)) {
			t.Fatalf("%s", again)
		}
	})
}
