package kinto

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// TestMergePatch: the examples of RFC 7396 that are objects, and bytes that stay.
func TestMergePatch(t *testing.T) {
	for _, c := range []struct{ old, change, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":1.0,"o":{"x":1}}`, `{"o":{"y":2}}`, `{"n":1.0,"o":{"x":1,"y":2}}`},
	} {
		if got := string(mergePatch([]byte(c.old), []byte(c.change))); got != c.want {
			t.Errorf("%s + %s = %s, want %s", c.old, c.change, got, c.want)
		}
	}
}

func FuzzMergePatch(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"b":null,"c":{"d":null}}}`)
	f.Fuzz(func(t *testing.T, old, change string) {
		a, err := compact([]byte(old))
		b, err2 := compact([]byte(change))
		if err != nil || err2 != nil || a[0] != '{' || b[0] != '{' {
			return
		}
		var x, y, got any
		if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
			return
		}
		out := mergePatch(a, b)
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(got, rfc7396(x, y)) {
			t.Fatalf("%s + %s = %s, %v", a, b, out, err)
		}
	})
}

// rfc7396 is the pseudo code of the RFC.
func rfc7396(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := map[string]any{}
	if t, ok := target.(map[string]any); ok {
		maps.Copy(out, t)
	}
	for k, v := range p {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = rfc7396(out[k], v)
		}
	}
	return out
}

func patched(t *testing.T, ops string) (Body, error) {
	t.Helper()
	b, err := ParseJSONPatch(Collection, []byte(ops))
	if err != nil {
		return b, err
	}
	old := &Object{ID: "r", Timestamp: 7, Data: []byte(`{"a":1,"l":[1,2,3],"o":{"x":{"y":"z"}},"q/~":0}`), Permissions: Permissions{"read": {"ann", "bob"}}.Encode()}
	return b.patch(Collection, old)
}

func TestJSONPatch(t *testing.T) {
	for _, c := range []struct{ ops, data, permissions string }{
		{`[]`, `{"a":1,"l":[1,2,3],"o":{"x":{"y":"z"}},"q/~":0}`, `{"read":["ann","bob"]}`},
		{`[{"op":"add","path":"/data/b","value":{"c":[null]}},{"op":"add","path":"/data/b/c/0","value":0},{"op":"add","path":"/data/b/c/-","value":9}]`, `{"a":1,"l":[1,2,3],"o":{"x":{"y":"z"}},"q/~":0,"b":{"c":[0,null,9]}}`, ""},
		{`[{"op":"remove","path":"/data/l/1"},{"op":"remove","path":"/data/o"},{"op":"remove","path":"/data/q~1~0"}]`, `{"a":1,"l":[1,3]}`, ""},
		{`[{"op":"replace","path":"/data","value":{"new":true}}]`, `{"new":true}`, ""},
		{`[{"op":"test","path":"/data/a","value":1.0},{"op":"move","from":"/data/o/x","path":"/data/x"},{"op":"copy","from":"/data/x","path":"/data/l/0"}]`, `{"a":1,"l":[{"y":"z"},1,2,3],"o":{},"q/~":0,"x":{"y":"z"}}`, ""},
		{`[{"op":"test","path":"/data/id","value":"r"},{"op":"test","path":"/data/last_modified","value":7},{"op":"remove","path":"/data/a"}]`, `{"l":[1,2,3],"o":{"x":{"y":"z"}},"q/~":0}`, ""},
		{`[{"op":"add","path":"/permissions/read/eve"},{"op":"remove","path":"/permissions/read/ann"}]`, "", `{"read":["bob","eve"]}`},
		{`[{"op":"add","path":"/permissions/write/~1buckets~1b~1groups~1g","value":3}]`, "", `{"read":["ann","bob"],"write":["/buckets/b/groups/g"]}`},
		{`[{"op":"add","path":"/permissions/record:create/eve"}]`, "", `{"read":["ann","bob"],"record:create":["eve"]}`},
		{`[{"op":"add","path":"/permissions/record:create","value":{"alice":"alice"}}]`, "", `{"read":["ann","bob"],"record:create":["alice"]}`},
		{`[{"op":"replace","path":"/permissions/read","value":["zoe","a\"b","zoe"]},{"op":"add","path":"/permissions/read/eve"}]`, "", `{"read":["a\"b","eve","zoe"]}`},
		{`[{"op":"replace","path":"/permissions","value":{"read":["eve"],"write":{"ann":true}}}]`, "", `{"read":["eve"],"write":["ann"]}`},
	} {
		b, err := patched(t, c.ops)
		if err != nil {
			t.Errorf("%s: %v", c.ops, err)
			continue
		}
		if c.data != "" && string(b.Data) != c.data {
			t.Errorf("%s: %s", c.ops, b.Data)
		}
		if c.permissions != "" && string(b.Permissions.Encode()) != c.permissions {
			t.Errorf("%s: %s", c.ops, b.Permissions.Encode())
		}
	}
	for _, c := range []struct{ ops, why string }{
		{`{}`, "is not iterable"},
		{``, "is not iterable"},
		{`3`, "Should be a JSON object or an array"},
		{`[`, "Invalid JSON"},
		{`[1]`, "is not a mapping type"},
		{`[{"op":"zz","path":"/data/a"}]`, "is not one of"},
		{`[{"path":"/data/a"}]`, "Required"},
		{`[{"op":"remove"}]`, "Required"},
		{`[{"op":"move","path":"/data/a"}]`, "failed: The operation does not contain a 'from' member"},
		{`[{"op":"remove","path":"data"}]`, "expected pattern"},
		{`[{"op":"remove","path":""}]`, "expected pattern"},
		{`[{"op":"remove","path":1}]`, "is not a string"},
		{`[{"op":"remove","path":"/data/a","x":1}]`, "Unrecognized keys"},
		{`[{"op":"add","path":"/data/b"}]`, "failed: The operation does not contain a 'value' member"},
		{`[{"op":"remove","path":"/data/zz"}]`, "JSON Patch operation failed"},
		{`[{"op":"replace","path":"/data/zz","value":1}]`, "failed"},
		{`[{"op":"test","path":"/data/a","value":"1"}]`, "failed"},
		{`[{"op":"add","path":"/data/l/4","value":1}]`, "failed"},
		{`[{"op":"add","path":"/data/l/01","value":1}]`, "failed"},
		{`[{"op":"add","path":"/data/a/b","value":1}]`, "failed"},
		{`[{"op":"move","from":"/data","path":"/data/x"}]`, "into itself"},
		{`[{"op":"remove","path":"/permissions/read/eve"}]`, "failed"},
		{`[{"op":"remove","path":"/data"}]`, "failed"},
		{`[{"op":"replace","path":"/permissions/read","value":["a",1]}]`, "failed"},
		{`[{"op":"replace","path":"/permissions","value":["a"]}]`, "failed"},
		{`[{"op":"add","path":"/permissions/zz","value":{}}]`, "is not one of"},
		{`[{"op":"add","path":"/permissions/read//buckets/b/groups/g"}]`, ""},
		{`[{"op":"add","path":"/more","value":1}]`, "failed"},
		{`[{"op":"add","path":"/data/b","value":[]}` + strings.Repeat(`,{"op":"copy","from":"/data","path":"/data/b/-"}`, 100) + `]`, "too large"},
		{`[` + strings.Repeat(`{"op":"test","path":"/data/a","value":1},`, 1000) + `{"op":"test","path":"/data/a","value":1}]`, "at most 1000"},
	} {
		if b, err := patched(t, c.ops); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%.200s: %v, %s", c.ops, err, b.Data)
		}
	}
}

// FuzzJSONPatch: whatever is patched, the object is whole, or nothing is said.
func FuzzJSONPatch(f *testing.F) {
	f.Add(`[{"op":"add","path":"/data/b","value":{"c":[null]}},{"op":"move","from":"/data/b/c","path":"/data/l/-"},{"op":"copy","from":"/data","path":"/data/o/d"}]`)
	f.Add(`[{"op":"add","path":"/permissions/record:create/eve"},{"op":"replace","path":"/data","value":{"id":"r"}}]`)
	f.Fuzz(func(t *testing.T, ops string) {
		b, err := patched(t, ops)
		if err != nil {
			return
		}
		o := &Object{ID: "r", Timestamp: 1, Data: b.Data, Permissions: b.Permissions.Encode()}
		if text := o.AppendJSON(nil); !b.HasData || !json.Valid(text) {
			t.Fatalf("%s: %s", ops, text)
		}
		if _, err := DecodePermissions(o.Permissions); err != nil {
			t.Fatalf("%s: %s", ops, o.Permissions)
		}
	})
}
