package kinto

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestExamine: what is wrong, in the reference's words.
func TestExamine(t *testing.T) {
	ss := newSchemas()
	for _, c := range []struct{ schema, value, name, message string }{
		{`{}`, `{}`, "", ""},
		{`{"type":["string","null"]}`, `{}`, "string", "{} is not of type 'null', 'string'"},
		{`{"properties":{"a":{"enum":["x",1]}}}`, `{"a":2}`, "a", "2 is not one of ['x', 1]"},
		{`{"properties":{"a":{"enum":["x",1]}}}`, `{"a":1.0}`, "", ""},
		{`{"properties":{"a":{"const":{"b":[true,null]}}}}`, `{"a":2}`, "a", "{'b': [True, None]} was expected"},
		{`{"properties":{"a":{"pattern":"^\\u0061b"}}}`, `{"a":"ab"}`, "", ""},
		{`{"properties":{"a":{"pattern":"^a"}}}`, `{"a":"it's"}`, "a", `"it's" does not match '^a'`},
		{`{"properties":{"a":{"minLength":2}}}`, `{"a":"é"}`, "a", "'é' is too short"},
		{`{"properties":{"a":{"minLength":1}}}`, `{"a":""}`, "a", "'' should be non-empty"},
		{`{"properties":{"a":{"maximum":2.5}}}`, `{"a":3}`, "a", "3 is greater than the maximum of 2.5"},
		{`{"properties":{"a":{"exclusiveMaximum":3}}}`, `{"a":3}`, "a", "3 is greater than or equal to the maximum of 3"},
		{`{"properties":{"a":{"exclusiveMinimum":3}}}`, `{"a":3}`, "a", "3 is less than or equal to the minimum of 3"},
		{`{"properties":{"a":{"multipleOf":2}}}`, `{"a":7}`, "a", "7 is not a multiple of 2"},
		{`{"properties":{"a":{"multipleOf":0.1}}}`, `{"a":0.3}`, "", ""},
		{`{"properties":{"a":{"minItems":2}}}`, `{"a":[1]}`, "a", "[1] is too short"},
		{`{"properties":{"a":{"maxItems":1}}}`, `{"a":[1,"b"]}`, "a", "[1, 'b'] is too long"},
		{`{"properties":{"a":{"items":{"type":"string"}}}}`, `{"a":["x",1]}`, "1", "1 is not of type 'string'"},
		{`{"properties":{"a":{"items":[{"type":"string"}],"additionalItems":false}}}`, `{"a":["x",1]}`, "a", "Additional items are not allowed (1 was unexpected)"},
		{`{"properties":{"a":{"prefixItems":[{}],"items":false}}}`, `{"a":["x",1]}`, "a", "Expected at most 1 items but found 1 extra"},
		{`{"properties":{"a":{"contains":{"type":"string"}}}}`, `{"a":[1]}`, "a", "[1] does not contain items matching the given schema"},
		{`{"properties":{"a":{"format":"date"}}}`, `{"a":"tomorrow"}`, "a", "'tomorrow' is not a 'date'"},
		{`{"properties":{"a":{"format":"unheard-of"}}}`, `{"a":"tomorrow"}`, "", ""},
		{`{"properties":{"a":{"anyOf":[{"type":"string"},{"minimum":3}]}}}`, `{"a":2}`, "a", "2 is not valid under any of the given schemas"},
		{`{"properties":{"a":{"oneOf":[{"type":"string"},{"minimum":3}]}}}`, `{"a":2}`, "a", "2 is not valid under any of the given schemas"},
		{`{"properties":{"a":{"oneOf":[{"type":"number"},{"minimum":3}]}}}`, `{"a":4}`, "a", "4 is valid under each of 2 of the given schemas"},
		{`{"properties":{"a":{"allOf":[{"type":"number"},{"minimum":3}]}}}`, `{"a":2}`, "a", "2 is less than the minimum of 3"},
		{`{"properties":{"a":{"not":{"type":"number"}}}}`, `{"a":2}`, "a", "2 should not be valid under the given schema"},
		{`{"dependencies":{"a":["b"]}}`, `{"a":2}`, "dependencies", "'b' is a dependency of 'a'"},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":2}`, "dependentRequired", "'b' is a dependency of 'a'"},
		{`{"required":["b","a"]}`, `{"a":2}`, "a", "'b' is a required property"},
		{`{"patternProperties":{"^x":{"type":"string"}},"additionalProperties":false}`, `{"a":2}`, "additionalProperties", "'a' does not match any of the regexes: '^x'"},
		{`{"patternProperties":{"^x":{"type":"string"}}}`, `{"xa":2}`, "xa", "2 is not of type 'string'"},
		{`{"minProperties":2}`, `{"a":2}`, "minProperties", "{'a': 2} does not have enough properties"},
		{`{"if":{"required":["a"]},"then":{"required":["b"]}}`, `{"a":2}`, "b", "'b' is a required property"},
		{`{"definitions":{"s":{"type":"string"}},"properties":{"a":{"$ref":"#/definitions/s"}}}`, `{"a":2}`, "a", "2 is not of type 'string'"},
		{`{"$id":"https://example.com/x","$defs":{"s":{"$anchor":"s","type":"string"}},"properties":{"a":{"$ref":"#s"}}}`, `{"a":2}`, "a", "2 is not of type 'string'"},
		{`{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"a":{"maximum":3,"exclusiveMaximum":true}}}`, `{"a":3}`, "a", "3 is greater than or equal to the maximum of 3"},
		{`{"$schema":"https://example.com/own","type":"array"}`, `{}`, "type", "{} is not of type 'array'"},
		{`{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}`, `{"a":2}`, "", ""},
		{`{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}`, `{"a":2,"b":3}`, "unevaluatedProperties", "Unevaluated properties are not allowed ('b' was unexpected)"},
		{`{"properties":{"a":false}}`, `{"a":2}`, "a", "False schema does not allow 2"},
		{`{"properties":{"a":{"type":"integer"}}}`, `{"a":1e3}`, "", ""},
		{`{"properties":{"a":{"type":"integer"}}}`, `{"a":1.5}`, "a", "1.5 is not of type 'integer'"},
	} {
		root, err := ss.read([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		f := examine(root, []byte(c.value))
		if f == nil {
			f = &fault{}
		}
		if f.name() != c.name || f.message != c.message {
			t.Errorf("%s of %s: %q %q, want %q %q", c.schema, c.value, f.name(), f.message, c.name, c.message)
		}
	}
}

// TestSchemasEnd: what would take for ever is turned away in time.
func TestSchemasEnd(t *testing.T) {
	doubling := func(keyword string) string {
		var defs []string
		for i := range 60 {
			defs = append(defs, fmt.Sprintf(`"d%d":{"%s":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]}`, i, keyword, i+1, i+1))
		}
		return `{"definitions":{` + strings.Join(defs, ",") + `,"d60":{"type":"string"}},"not":{"$ref":"#/definitions/d0"}}`
	}
	for name, c := range map[string]struct{ schema, value string }{
		"doubling any":    {doubling("anyOf"), `{}`},
		"doubling one":    {doubling("oneOf"), `{}`},
		"in a circle":     {`{"$ref":"#"}`, `{}`},
		"in two circles":  {`{"allOf":[{"$ref":"#"},{"$ref":"#"}]}`, `{}`},
		"deep":            {`{"properties":{"a":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}}`, strings.Repeat(`{"a":`, 90) + `1` + strings.Repeat(`}`, 90)},
		"pattern":         {`{"properties":{"a":{"pattern":"` + strings.Repeat("(a|b|c|d)*", 100) + `$"}}}`, `{"a":"` + strings.Repeat("abcd", 200_000) + `e"}`},
		"huge exponents":  {`{"properties":{"a":{"multipleOf":1e-999999999,"maximum":1e999999999}}}`, `{"a":1e888888888}`},
		"too many values": {`{"enum":[` + strings.Repeat("1,", 10_000) + `1]}`, `{}`},
	} {
		began := time.Now()
		ss := newSchemas()
		root, err := ss.read([]byte(c.schema))
		if err == nil {
			examine(root, []byte(c.value))
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: took %v", name, took)
		} else {
			t.Logf("%s: %v, %v", name, took, err)
		}
	}
}

func TestSchemasForget(t *testing.T) {
	ss := newSchemas()
	for i := range 3 * schemasKept {
		if _, err := ss.read(fmt.Appendf(nil, `{"minLength":%d}`, i)); err != nil {
			t.Fatal(err)
		}
		if len(ss.known) > schemasKept {
			t.Fatalf("%d are remembered", len(ss.known))
		}
	}
}

// FuzzSchema: whatever is a schema, reading it and looking at a value ends, and what
// is well formed can be looked at.
func FuzzSchema(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type":"object","properties":{"a":{"$ref":"#/definitions/a"}},"definitions":{"a":{"type":["string","null"]}}}`, `{"a":1}`},
		{`{"$schema":"http://json-schema.org/draft-04/schema#","allOf":[{"maximum":1e9}],"not":{"enum":[1,[2]]}}`, `7`},
		{`{"patternProperties":{"^a\\u0062":{"multipleOf":0.01}},"additionalProperties":false,"unevaluatedProperties":false}`, `{"ab":0.5}`},
		{`{"$ref":"#","required":["a"],"dependencies":{"a":["b"],"c":{"minItems":1}}}`, `[[],{}]`},
		{`{"items":[{"uniqueItems":true}],"additionalItems":{"contains":{"const":null}},"if":true,"then":{"$dynamicRef":"#x"}}`, `[[1,1.0],[null]]`},
		{`{"$id":"https://a.example/x","$defs":{"b":{"$anchor":"b","format":"date"}},"$ref":"#b","propertyNames":{"maxLength":3}}`, `"2020-01-01"`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		schema, err := compact([]byte(text))
		if err != nil || schema[0] != '{' {
			return
		}
		v, err := compact([]byte(value))
		if err != nil {
			return
		}
		ss := newSchemas()
		_ = ss.wellFormed(append(append([]byte(`{"schema":`), schema...), '}'), "schema")
		root, err := ss.read(schema)
		if err != nil {
			return
		}
		if f := examine(root, v); f != nil && f.message == "" {
			t.Errorf("%s of %s: nothing is said", schema, v)
		}
	})
}
