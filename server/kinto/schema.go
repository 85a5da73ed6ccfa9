package kinto

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schemas are JSON Schemas, from drafts 4 to 2020-12: attributes of collections
// and buckets that say what others may hold (protocol §8, records). The library
// reads one and finds what its references lead to; examine.go looks at values.
//
// Schemas are what strangers send. None leads to anything that is not in it or
// known here: nothing is ever fetched. What a schema and a look at it may cost is
// bounded, as is what is remembered of schemas.

// Bounds of one schema.
const (
	schemaBytes  = 256 << 10
	schemaValues = 10_000
	patternBytes = 2_000
	patternSteps = 5_000  // of a compiled pattern
	schemaSteps  = 20_000 // of all of them
)

// Bounds of what is remembered.
const (
	schemasKept     = 256
	schemaBytesKept = 4 << 20
)

// schemas remembers schemas that were read, by their text. It is safe for
// concurrent use.
type schemas struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]schema
	bytes int // of the texts of those known
}

// schema is one that was read, or why it cannot be.
type schema struct {
	root *jsonschema.Schema
	err  error
}

func newSchemas() *schemas { return &schemas{known: map[[sha256.Size]byte]schema{}} }

// read reads a schema; its error is one of package jsonschema, errSchemaSize or
// errSchemaPatterns.
func (ss *schemas) read(text []byte) (*jsonschema.Schema, error) {
	key := sha256.Sum256(text)
	ss.mu.Lock()
	found, ok := ss.known[key]
	ss.mu.Unlock()
	if ok {
		return found.root, found.err
	}
	found.root, found.err = readSchema(text)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.known) >= schemasKept || ss.bytes+len(text) > schemaBytesKept {
		clear(ss.known)
		ss.bytes = 0
	}
	if _, ok := ss.known[key]; !ok {
		ss.known[key] = found
		ss.bytes += len(text)
	}
	return found.root, found.err
}

var errSchemaSize = fmt.Errorf("a schema has at most %d bytes and %d values", schemaBytes, schemaValues)

var errSchemaPatterns = errors.New("the patterns of a schema are too many, or too large")

// dialects are the meta-schemas that $schema can name.
var dialects = []string{
	"json-schema.org/draft-04/schema", "json-schema.org/draft-06/schema", "json-schema.org/draft-07/schema",
	"json-schema.org/draft/2019-09/schema", "json-schema.org/draft/2020-12/schema",
}

func readSchema(text []byte) (*jsonschema.Schema, error) {
	left := schemaValues
	if len(text) > schemaBytes {
		return nil, errSchemaSize
	}
	doc, err := plain(text, &left)
	if err != nil {
		return nil, err
	}
	// Without a dialect it is the latest, and the one that was usual before if the
	// latest cannot be: lists of items are written otherwise there.
	root, err := compileSchema(doc, nil)
	if _, bad := errors.AsType[*jsonschema.SchemaValidationError](err); bad {
		return compileSchema(doc, jsonschema.Draft7)
	}
	return root, err
}

func compileSchema(doc any, draft *jsonschema.Draft) (*jsonschema.Schema, error) {
	const here = "foyer:///schema"
	left := schemaSteps
	c := newCompiler(&left)
	if draft != nil {
		c.DefaultDraft(draft)
	}
	if err := c.AddResource(here, doc); err != nil {
		return nil, err
	}
	root, err := c.Compile(here)
	if left < 0 {
		return nil, errSchemaPatterns
	}
	return root, err
}

// newCompiler returns one whose patterns have as many steps together as are left; fewer
// than none are left when there are more.
func newCompiler(left *int) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(nowhere{})
	c.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) {
		p, err := newSchemaPattern(text, *left)
		switch {
		case err == nil:
			*left -= p.steps
		case errors.Is(err, errSchemaPatterns):
			*left = -1
		}
		return p, err
	})
	return c
}

// nowhere loads nothing, from wherever.
type nowhere struct{}

func (nowhere) Load(string) (any, error) { return nil, errors.New("schemas elsewhere are not fetched") }

// plain is a value as the library takes it. A $schema that names nothing known is
// left out, as the reference passes over it.
func plain(v []byte, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, errSchemaSize
	}
	switch typeOf(v) {
	case isNull:
		return nil, nil
	case isBool:
		return v[0] == 't', nil
	case isString:
		return string(key(v)), nil
	case isNumber:
		return json.Number(moderate(v)), nil
	case isArray:
		out := []any{}
		for _, e := range elements(v) {
			one, err := plain(e, left)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		return out, nil
	}
	out := map[string]any{}
	for _, f := range fields(v) {
		one, err := plain(f.raw, left)
		if err != nil {
			return nil, err
		}
		name := string(f.key)
		if uri, ok := one.(string); ok && name == "$schema" && !isDialect(uri) {
			continue
		}
		out[name] = one
	}
	return out, nil
}

func isDialect(uri string) bool {
	uri = strings.TrimSuffix(uri, "#")
	for _, d := range dialects {
		if uri == "http://"+d || uri == "https://"+d {
			return true
		}
	}
	return false
}

// moderate is a number of few digits with a small exponent, near or equal to n:
// exact arithmetic with any other could take for ever.
func moderate(n []byte) string {
	const digitsAtMost, exponentAtMost = 400, 400
	d := newDecimal(n)
	if d.sign == 0 || d.exponent < -exponentAtMost {
		return "0"
	}
	sign := ""
	if d.sign < 0 {
		sign = "-"
	}
	if d.exponent > exponentAtMost {
		return sign + "1e" + strconv.Itoa(exponentAtMost)
	}
	if len(n) > digitsAtMost {
		return sign + "0." + string(d.digits[:min(len(d.digits), digitsAtMost)]) + "e" + strconv.FormatInt(d.exponent, 10)
	}
	return string(n)
}

// schemaPattern is a regular expression of a schema. It takes time in proportion
// to the text and to steps.
type schemaPattern struct {
	text  string
	re    *regexp.Regexp
	steps int
}

func (p *schemaPattern) String() string            { return p.text }
func (p *schemaPattern) MatchString(s string) bool { return p.re.MatchString(s) }

// unicodeEscape is how other languages write a character by its number.
var unicodeEscape = regexp.MustCompile(`(^|[^\\])((?:\\\\)*)\\u([0-9A-Fa-f]{4})`)

// newSchemaPattern reads a pattern of as many steps as are left, or less.
func newSchemaPattern(text string, left int) (*schemaPattern, error) {
	if left <= 0 {
		return nil, errSchemaPatterns
	}
	if len(text) > patternBytes {
		return nil, fmt.Errorf("a pattern has at most %d characters", patternBytes)
	}
	ours := text
	for unicodeEscape.MatchString(ours) {
		ours = unicodeEscape.ReplaceAllString(ours, `${1}${2}\x{${3}}`)
	}
	tree, err := syntax.Parse(ours, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > patternSteps {
		return nil, errors.New("the pattern is too large")
	}
	if len(program.Inst) > left {
		return nil, errSchemaPatterns
	}
	re, err := regexp.Compile(ours)
	if err != nil {
		return nil, err
	}
	return &schemaPattern{text, re, len(program.Inst)}, nil
}

// readAhead reads the schemas that a request brings before its transaction begins, which
// finds them read: other writes do not wait for that. What is wrong with them is told
// there.
func (s writer) readAhead(r *Request) {
	if r.List.Kind != Collection && r.List.Kind != Bucket || !r.Body.HasData || r.Invalid != nil {
		return
	}
	if shape := r.List.Kind.row().shape; shape != nil {
		shape(s.schemas, r.Body.Data) //nolint:errcheck // told in the transaction
	}
}

// metaSchema is what a schema is checked against when it is written.
func (ss *schemas) metaSchema() (*jsonschema.Schema, error) {
	const url = "http://json-schema.org/draft-07/schema#"
	key := sha256.Sum256([]byte(url))
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if found, ok := ss.known[key]; ok {
		return found.root, nil
	}
	left := schemaSteps
	root, err := newCompiler(&left).Compile(url)
	if err == nil {
		ss.known[key] = schema{root: root}
	}
	return root, err
}

// wellFormed checks the attribute name of an object, if it has one, to be a schema.
func (ss *schemas) wellFormed(data []byte, name string) error {
	text := attribute(data, name)
	if text == nil {
		return nil
	}
	name = "data." + name
	if typeOf(text) != isObject {
		return problems(notMapping(name, text))
	}
	left := schemaValues
	if _, err := plain(text, &left); err != nil || len(text) > schemaBytes {
		return Invalid("body", name, errSchemaSize.Error())
	}
	if _, err := ss.read(text); errors.Is(err, errSchemaPatterns) {
		return Invalid("body", name, errSchemaPatterns.Error())
	}
	meta, err := ss.metaSchema()
	if err != nil {
		return err
	}
	if f := examine(meta, text); f != nil {
		return Invalid("body", name, f.message)
	}
	return nil
}

// shapeBucket checks the schemas of a bucket.
func shapeBucket(ss *schemas, data []byte) ([]byte, error) {
	var bad []error
	for _, k := range []Kind{Collection, Group, Record} {
		bad = append(bad, ss.wellFormed(data, string(k)+":schema"))
	}
	return data, Problems(bad...)
}

// shapeCollection checks the schema of a collection, and makes cache_expires a
// whole number.
func shapeCollection(ss *schemas, data []byte) ([]byte, error) {
	bad := ss.wellFormed(data, "schema")
	const name = "cache_expires"
	raw := attribute(data, name)
	if raw == nil {
		return data, bad
	}
	var fs []field
	for _, f := range fields(data) {
		if string(f.key) != name {
			fs = append(fs, f)
			continue
		}
		n, none, ok := wholeNumber(raw)
		switch {
		case none:
		case !ok:
			bad = Problems(bad, Invalid("body", "data."+name, pyText(raw)+" is not a number"))
		default:
			text := strconv.AppendInt([]byte(`"`+name+`":`), n, 10)
			fs = append(fs, field{key: f.key, text: text})
		}
	}
	return join(fs), bad
}

// wholeNumber coerces a value to an integer; none: it says nothing.
func wholeNumber(raw []byte) (n int64, none, ok bool) {
	text := string(raw)
	switch typeOf(raw) {
	case isNull:
		return 0, true, true
	case isBool:
		if raw[0] == 't' {
			n = 1
		}
		return n, false, true
	case isString:
		text = strings.TrimSpace(string(key(raw)))
		if text == "" {
			return 0, true, true
		}
		n, err := strconv.ParseInt(text, 10, 64)
		return n, false, err == nil
	case isNumber:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.Abs(f) >= 1<<53 {
			return 0, false, false
		}
		return int64(f), false, true
	}
	return 0, false, false
}

// conform checks what an object of a list is about to hold against the schemas
// above it, when that is asked for. A record is given the version of its
// collection's schema (protocol §8, records).
func (s writer) conform(sc *scope, o *Object) error {
	k := sc.list.Kind
	if !s.validate || k != Record && k != Collection && k != Group {
		return nil
	}
	ignored := []string{"last_modified"}
	if k == Record {
		ignored = append(ignored, "schema")
		collection := sc.at(Collection)
		if text := attribute(collection.Data, "schema"); typeOf(text) == isObject {
			if err := s.schemas.conform(text, o, ignored); err != nil {
				return err
			}
			o.Data = merge(o.Data, append(strconv.AppendInt([]byte(`{"schema":`), collection.Timestamp, 10), '}'))
		}
	}
	if bucket := sc.at(Bucket); bucket != nil {
		if text := attribute(bucket.Data, string(k)+":schema"); typeOf(text) == isObject {
			return s.schemas.conform(text, o, ignored)
		}
	}
	return nil
}

// conform checks an object against one schema, but for its ignored attributes.
func (ss *schemas) conform(text []byte, o *Object, ignored []string) error {
	var keep []field
	if attribute(attribute(text, "properties"), "id") == nil {
		ignored = append(ignored, "id")
	} else {
		name := []byte(`"id":`)
		keep = append(keep, field{text: append(name, quote(o.ID)...)})
	}
	skips := func(name []byte) bool {
		return slices.Contains(ignored, string(name))
	}
	for _, f := range fields(o.Data) {
		if !skips(f.key) {
			keep = append(keep, f)
		}
	}
	root, err := ss.read(unrequire(text, skips))
	if err != nil {
		return Invalid("body", "schema", "The schema cannot be used: "+short([]byte(err.Error())))
	}
	if f := examine(root, join(keep)); f != nil {
		return Invalid("body", f.name(), f.message)
	}
	return nil
}

// unrequire leaves names out of what a schema requires.
func unrequire(text []byte, skips func([]byte) bool) []byte {
	list := attribute(text, "required")
	if typeOf(list) != isArray {
		return text
	}
	var stay [][]byte
	all := elements(list)
	for _, e := range all {
		if typeOf(e) != isString || !skips(key(e)) {
			stay = append(stay, e)
		}
	}
	if len(stay) == len(all) {
		return text
	}
	var out []field
	for _, f := range fields(text) {
		if string(f.key) != "required" {
			out = append(out, f)
		} else if len(stay) > 0 {
			f.text = append([]byte(`"required":[`), bytes.Join(stay, []byte{','})...)
			f.text = append(f.text, ']')
			out = append(out, f)
		}
	}
	return join(out)
}
