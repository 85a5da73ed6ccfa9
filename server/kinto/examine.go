package kinto

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// examine looks at a checked value with a schema and returns the first thing that
// is wrong with it, or nil. Keywords come in the order in which the reference's
// database keeps them, the shortest first, and messages have the reference's words.
func examine(s *jsonschema.Schema, value []byte) *fault {
	e := examination{left: examineSteps}
	f := e.look(s, value, nil, 0)
	if e.left < 0 {
		return &fault{keyword: "schema", message: "The schema takes too long to check"}
	}
	return f
}

// fault is what is wrong with a value.
type fault struct {
	path    []string // from the value that was examined to the one that is wrong
	keyword string
	last    string // of the keyword's own list; empty: it has none
	message string
}

// name is what the reference calls the culprit.
func (f *fault) name() string {
	switch {
	case len(f.path) > 0:
		return f.path[len(f.path)-1]
	case f.last != "":
		return f.last
	}
	return f.keyword
}

// Bounds of one examination: a step is some hundred nanoseconds.
const (
	examineSteps = 1_000_000
	examineDepth = 1_000
)

// examination is one look; when left is negative it has come to no end.
type examination struct{ left int }

// spend counts steps, and reports whether there are any left.
func (e *examination) spend(steps int) bool {
	e.left -= steps
	return e.left >= 0
}

type looker = jsonschema.Schema

func (e *examination) look(s *looker, v []byte, path []string, depth int) *fault {
	if depth > examineDepth {
		e.left = -1
	}
	if !e.spend(1 + len(v)/64) {
		return nil
	}
	fail := func(keyword, format string, args ...any) *fault {
		return &fault{path: slices.Clone(path), keyword: keyword, message: fmt.Sprintf(format, args...)}
	}
	if s.Bool != nil {
		if *s.Bool {
			return nil
		}
		return fail("False", "False schema does not allow %s", repr(v))
	}
	same := func(to *looker) *fault { return e.look(to, v, path, depth+1) }
	below := func(to *looker, name string, at []byte) *fault {
		return e.look(to, at, append(path, name), depth+1)
	}
	fits := func(to *looker) bool { return e.look(to, v, path, depth+1) == nil }
	t := typeOf(v)
	var members []field
	var items [][]byte
	var text string
	switch t {
	case isObject:
		members = fields(v)
	case isArray:
		items = elements(v)
	case isString:
		text = string(key(v))
	}
	if s.Not != nil && fits(s.Not) {
		return fail("not", "%s should not be valid under the given schema", repr(v))
	}
	if s.If != nil {
		branch := s.Else
		if fits(s.If) {
			branch = s.Then
		}
		if branch != nil {
			if f := same(branch); f != nil {
				return f
			}
		}
	}
	if s.Ref != nil {
		f := same(s.Ref)
		if f != nil || s.DraftVersion < 2019 {
			return f
		}
	}
	if f := e.kind(s, v, t, fail); f != nil {
		return f
	}
	for _, to := range s.AllOf {
		if f := same(to); f != nil {
			return f
		}
	}
	if len(s.AnyOf) > 0 && !slices.ContainsFunc(s.AnyOf, fits) {
		return fail("anyOf", "%s is not valid under any of the given schemas", repr(v))
	}
	if s.Const != nil {
		want := rawOf(*s.Const)
		if compare(v, want) != 0 {
			return fail("const", "%s was expected", repr(want))
		}
	}
	rest, whole := s.PrefixItems, s.Items2020
	if list, ok := s.Items.([]*looker); ok {
		rest = list
		whole, _ = s.AdditionalItems.(*looker)
	} else if one, ok := s.Items.(*looker); ok {
		whole = one
	}
	if s.DraftVersion >= 2020 && whole != nil && whole.Bool != nil && !*whole.Bool && len(items) > len(rest) && len(rest) > 0 {
		return fail("items", "Expected at most %d items but found %d extra", len(rest), len(items)-len(rest))
	}
	for i, item := range items {
		to := whole
		if i < len(rest) {
			to = rest[i]
		}
		if to == nil {
			break
		}
		if f := below(to, strconv.Itoa(i), item); f != nil {
			return f
		}
	}
	if no, ok := s.AdditionalItems.(bool); ok && !no && len(items) > len(rest) {
		return fail("additionalItems", "Additional items are not allowed (%s)", unexpected(items[len(rest):]))
	}
	if len(s.OneOf) > 0 {
		n := 0
		for _, to := range s.OneOf {
			if fits(to) {
				n++
			}
		}
		switch {
		case n == 0:
			return fail("oneOf", "%s is not valid under any of the given schemas", repr(v))
		case n > 1:
			return fail("oneOf", "%s is valid under each of %d of the given schemas", repr(v), n)
		}
	}
	if s.Format != nil && t == isString && !hasFormat(s.Format.Name, text) {
		return fail("format", "%s is not a '%s'", repr(v), s.Format.Name)
	}
	switch t {
	case isNumber:
		if f := e.number(s, v, fail); f != nil {
			return f
		}
	case isString:
		if f := e.text(s, v, text, fail); f != nil {
			return f
		}
	case isArray:
		if f := e.array(s, v, items, below, fail); f != nil {
			return f
		}
	case isObject:
		if f := e.object(s, v, members, same, below, fail); f != nil {
			return f
		}
	}
	for _, to := range []*looker{s.RecursiveRef, dynamic(s)} {
		if to != nil {
			if f := same(to); f != nil {
				return f
			}
		}
	}
	return e.unevaluated(s, v, members, items, path, depth, fail)
}

// dynamic is where $dynamicRef leads: to its first target, since no schema here
// is extended by another.
func dynamic(s *looker) *looker {
	if s.DynamicRef == nil {
		return nil
	}
	return s.DynamicRef.Ref
}

type failing func(keyword, format string, args ...any) *fault

// kind checks enum and type.
func (e *examination) kind(s *looker, v []byte, t int, fail failing) *fault {
	if s.Enum != nil {
		found := false
		var all []string
		for _, one := range s.Enum.Values {
			raw := rawOf(one)
			if !e.spend(1 + len(raw)/64) {
				return nil
			}
			if compare(v, raw) == 0 {
				found = true
				break
			}
			if len(all) < 100 {
				all = append(all, repr(raw))
			}
		}
		if !found {
			f := fail("enum", "%s is not one of [%s]", repr(v), strings.Join(all, ", "))
			if n := len(s.Enum.Values); n > 0 {
				f.last = strings.Trim(repr(rawOf(s.Enum.Values[n-1])), "'")
			}
			return f
		}
	}
	if s.Types == nil || s.Types.IsEmpty() {
		return nil
	}
	names := s.Types.ToStrings()
	is := []string{"null", "string", "number", "boolean", "array", "object"}[t]
	if slices.Contains(names, is) || is == "number" && slices.Contains(names, "integer") && isWhole(v) {
		return nil
	}
	f := fail("type", "%s is not of type '%s'", repr(v), strings.Join(names, "', '"))
	if len(names) > 1 {
		f.last = names[len(names)-1]
	}
	return f
}

func isWhole(v []byte) bool {
	d := newDecimal(v)
	return d.sign == 0 || int64(len(d.digits)) <= d.exponent
}

func (e *examination) number(s *looker, v []byte, fail failing) *fault {
	if s.Maximum == nil && s.Minimum == nil && s.MultipleOf == nil && s.ExclusiveMaximum == nil && s.ExclusiveMinimum == nil {
		return nil
	}
	if !e.spend(100) {
		return nil
	}
	n, ok := new(big.Rat).SetString(moderate(v))
	if !ok {
		panic("kinto: a checked number is none")
	}
	switch {
	case s.Maximum != nil && n.Cmp(s.Maximum) > 0:
		return fail("maximum", "%s is greater than the maximum of %s", repr(v), ratio(s.Maximum))
	case s.Minimum != nil && n.Cmp(s.Minimum) < 0:
		return fail("minimum", "%s is less than the minimum of %s", repr(v), ratio(s.Minimum))
	case s.MultipleOf != nil && s.MultipleOf.Sign() != 0 && !new(big.Rat).Quo(n, s.MultipleOf).IsInt():
		return fail("multipleOf", "%s is not a multiple of %s", repr(v), ratio(s.MultipleOf))
	case s.ExclusiveMaximum != nil && n.Cmp(s.ExclusiveMaximum) >= 0:
		return fail("exclusiveMaximum", "%s is greater than or equal to the maximum of %s", repr(v), ratio(s.ExclusiveMaximum))
	case s.ExclusiveMinimum != nil && n.Cmp(s.ExclusiveMinimum) <= 0:
		return fail("exclusiveMinimum", "%s is less than or equal to the minimum of %s", repr(v), ratio(s.ExclusiveMinimum))
	}
	return nil
}

func ratio(r *big.Rat) string {
	if r.IsInt() {
		return short([]byte(r.Num().String()))
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// matches spends what a pattern costs.
func (e *examination) matches(p jsonschema.Regexp, text string) bool {
	if own, ok := p.(*schemaPattern); ok && !e.spend(1+len(text)*own.steps/32) {
		return true
	}
	return p.MatchString(text)
}

func (e *examination) text(s *looker, v []byte, text string, fail failing) *fault {
	if s.Pattern != nil && !e.matches(s.Pattern, text) {
		return fail("pattern", "%s does not match %s", repr(v), repr(quote(s.Pattern.String())))
	}
	n := utf8.RuneCountInString(text)
	switch {
	case s.MaxLength != nil && n > *s.MaxLength:
		return fail("maxLength", "%s %s", repr(v), tooLong(*s.MaxLength))
	case s.MinLength != nil && n < *s.MinLength:
		return fail("minLength", "%s %s", repr(v), tooShort(*s.MinLength))
	}
	return nil
}

func tooLong(most int) string {
	if most == 0 {
		return "is expected to be empty"
	}
	return "is too long"
}

func tooShort(least int) string {
	if least == 1 {
		return "should be non-empty"
	}
	return "is too short"
}

func (e *examination) array(s *looker, v []byte, items [][]byte, below func(*looker, string, []byte) *fault, fail failing) *fault {
	if s.Contains != nil {
		n := 0
		for i, item := range items {
			if below(s.Contains, strconv.Itoa(i), item) == nil {
				n++
			}
		}
		least := 1
		if s.MinContains != nil {
			least = *s.MinContains
		}
		switch {
		case s.MaxContains != nil && n > *s.MaxContains:
			return fail("contains", "Too many items match the given schema (expected at most %d)", *s.MaxContains)
		case n < least && n == 0:
			return fail("contains", "%s does not contain items matching the given schema", repr(v))
		case n < least:
			return fail("contains", "Too few items match the given schema (expected at least %d but only %d matched)", least, n)
		}
	}
	switch n := len(items); {
	case s.MaxItems != nil && n > *s.MaxItems:
		return fail("maxItems", "%s %s", repr(v), tooLong(*s.MaxItems))
	case s.MinItems != nil && n < *s.MinItems:
		return fail("minItems", "%s %s", repr(v), tooShort(*s.MinItems))
	}
	if s.UniqueItems && len(items) > 1 {
		// Sorting compares each about this often.
		if !e.spend((len(items) + len(v)/16) * 20) {
			return nil
		}
		sorted := slices.Clone(items)
		slices.SortFunc(sorted, compare)
		if len(slices.CompactFunc(sorted, func(a, b []byte) bool { return compare(a, b) == 0 })) < len(items) {
			return fail("uniqueItems", "%s has non-unique elements", repr(v))
		}
	}
	return nil
}

func (e *examination) object(s *looker, v []byte, members []field, same func(*looker) *fault, below func(*looker, string, []byte) *fault, fail failing) *fault {
	has := make(map[string][]byte, len(members))
	for _, m := range members {
		has[string(m.key)] = m.raw
	}
	for _, name := range s.Required {
		if has[name] == nil {
			f := fail("required", "%s is a required property", repr(quote(name)))
			f.last = s.Required[len(s.Required)-1]
			return f
		}
	}
	if !e.spend(len(s.Required) + len(s.Properties)) {
		return nil
	}
	for _, name := range inOrder(s.Properties) {
		if raw := has[name]; raw != nil {
			if f := below(s.Properties[name], name, raw); f != nil {
				return f
			}
		}
	}
	for _, name := range inOrder(s.Dependencies) {
		if has[name] == nil {
			continue
		}
		switch needs := s.Dependencies[name].(type) {
		case []string:
			for _, other := range needs {
				if has[other] == nil {
					return fail("dependencies", "%s is a dependency of %s", repr(quote(other)), repr(quote(name)))
				}
			}
		case *looker:
			if f := same(needs); f != nil {
				return f
			}
		}
	}
	switch n := len(members); {
	case s.MaxProperties != nil && n > *s.MaxProperties:
		return fail("maxProperties", "%s has too many properties", repr(v))
	case s.MinProperties != nil && n < *s.MinProperties && *s.MinProperties == 1:
		return fail("minProperties", "%s should be non-empty", repr(v))
	case s.MinProperties != nil && n < *s.MinProperties:
		return fail("minProperties", "%s does not have enough properties", repr(v))
	}
	if s.PropertyNames != nil {
		for _, m := range members {
			if f := e.look(s.PropertyNames, quote(string(m.key)), nil, 1); f != nil {
				return f
			}
		}
	}
	for _, name := range inOrder(s.DependentSchemas) {
		if has[name] != nil {
			if f := same(s.DependentSchemas[name]); f != nil {
				return f
			}
		}
	}
	for _, name := range inOrder(s.DependentRequired) {
		if has[name] == nil {
			continue
		}
		for _, other := range s.DependentRequired[name] {
			if has[other] == nil {
				return fail("dependentRequired", "%s is a dependency of %s", repr(quote(other)), repr(quote(name)))
			}
		}
	}
	patterns := inPatternOrder(s.PatternProperties)
	for _, p := range patterns {
		for _, m := range members {
			if e.matches(p, string(m.key)) {
				if f := below(s.PatternProperties[p], string(m.key), m.raw); f != nil {
					return f
				}
			}
		}
	}
	if s.AdditionalProperties == nil {
		return nil
	}
	var extra [][]byte
	for _, m := range members {
		if _, ok := s.Properties[string(m.key)]; ok || slices.ContainsFunc(patterns, func(p jsonschema.Regexp) bool { return e.matches(p, string(m.key)) }) {
			continue
		}
		if to, ok := s.AdditionalProperties.(*looker); ok {
			if f := below(to, string(m.key), m.raw); f != nil {
				return f
			}
		}
		extra = append(extra, quote(string(m.key)))
	}
	if no, ok := s.AdditionalProperties.(bool); !ok || no || len(extra) == 0 {
		return nil
	}
	if len(patterns) == 0 {
		return fail("additionalProperties", "Additional properties are not allowed (%s)", unexpected(extra))
	}
	var regexes []string
	for _, p := range patterns {
		regexes = append(regexes, repr(quote(p.String())))
	}
	verb := "do"
	if len(extra) == 1 {
		verb = "does"
	}
	return fail("additionalProperties", "%s %s not match any of the regexes: %s", listed(extra), verb, strings.Join(regexes, ", "))
}

// inOrder lists names, the shortest first.
func inOrder[T any](m map[string]T) []string {
	if len(m) == 0 {
		return nil
	}
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int { return compareKeys(field{key: []byte(a)}, field{key: []byte(b)}) })
	return out
}

func inPatternOrder(m map[jsonschema.Regexp]*looker) []jsonschema.Regexp {
	out := make([]jsonschema.Regexp, 0, len(m))
	for p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b jsonschema.Regexp) int {
		return compareKeys(field{key: []byte(a.String())}, field{key: []byte(b.String())})
	})
	return out
}

func listed(values [][]byte) string {
	var out []string
	for _, v := range values[:min(len(values), 20)] {
		out = append(out, repr(v))
	}
	return strings.Join(out, ", ")
}

func unexpected(values [][]byte) string {
	if len(values) == 1 {
		return listed(values) + " was unexpected"
	}
	return listed(values) + " were unexpected"
}

// unevaluated checks what no other keyword has looked at.
func (e *examination) unevaluated(s *looker, v []byte, members []field, items [][]byte, path []string, depth int, fail failing) *fault {
	if s.UnevaluatedItems != nil && items != nil {
		seen := map[string]bool{}
		e.seen(s, v, path, depth, seen)
		var extra [][]byte
		for i, item := range items {
			if name := strconv.Itoa(i); !seen[name] && e.look(s.UnevaluatedItems, item, append(path, name), depth+1) != nil {
				extra = append(extra, item)
			}
		}
		if len(extra) > 0 {
			return fail("unevaluatedItems", "Unevaluated items are not allowed (%s)", unexpected(extra))
		}
	}
	if s.UnevaluatedProperties != nil && members != nil {
		seen := map[string]bool{}
		e.seen(s, v, path, depth, seen)
		var extra [][]byte
		for _, m := range members {
			if !seen[string(m.key)] && e.look(s.UnevaluatedProperties, m.raw, append(path, string(m.key)), depth+1) != nil {
				extra = append(extra, quote(string(m.key)))
			}
		}
		if len(extra) > 0 {
			return fail("unevaluatedProperties", "Unevaluated properties are not allowed (%s)", unexpected(extra))
		}
	}
	return nil
}

// seen gathers the members or items of a value that a schema, and those it applies
// to the same value, look at.
func (e *examination) seen(s *looker, v []byte, path []string, depth int, out map[string]bool) {
	if depth > examineDepth {
		e.left = -1
	}
	if s == nil || s.Bool != nil || !e.spend(1+len(v)/64) {
		return
	}
	switch typeOf(v) {
	case isObject:
		for _, m := range fields(v) {
			name := string(m.key)
			_, named := s.Properties[name]
			for p := range s.PatternProperties {
				named = named || e.matches(p, name)
			}
			if named || s.AdditionalProperties != nil {
				out[name] = true
			}
		}
		for name, to := range s.DependentSchemas {
			if attribute(v, name) != nil {
				e.seen(to, v, path, depth+1, out)
			}
		}
	case isArray:
		for i, item := range elements(v) {
			_, all := s.Items.(*looker)
			list, _ := s.Items.([]*looker)
			if all || s.Items2020 != nil || s.AdditionalItems != nil || i < len(list) || i < len(s.PrefixItems) ||
				s.Contains != nil && s.DraftVersion >= 2020 && e.look(s.Contains, item, path, depth+1) == nil {
				out[strconv.Itoa(i)] = true
			}
		}
	}
	fits := func(to *looker) bool { return e.look(to, v, path, depth+1) == nil }
	var into []*looker
	into = append(into, s.Ref, s.RecursiveRef, dynamic(s))
	into = append(into, s.AllOf...)
	for _, to := range slices.Concat(s.AnyOf, s.OneOf) {
		if fits(to) {
			into = append(into, to)
		}
	}
	if s.If != nil {
		if fits(s.If) {
			into = append(into, s.If, s.Then)
		} else {
			into = append(into, s.Else)
		}
	}
	for _, to := range into {
		e.seen(to, v, path, depth+1, out)
	}
}

// hasFormat knows the formats the reference knows; anything has any other.
func hasFormat(format, text string) bool {
	switch format {
	case "email":
		return strings.Contains(text, "@")
	case "date":
		_, err := time.Parse(time.DateOnly, text)
		return err == nil
	case "ipv4":
		a, err := netip.ParseAddr(text)
		return err == nil && a.Is4()
	case "ipv6":
		a, err := netip.ParseAddr(text)
		return err == nil && a.Is6()
	case "uuid":
		return len(text) == 36 && uuid.Validate(text) == nil
	case "regex":
		_, err := newSchemaPattern(text, patternSteps)
		return err == nil
	}
	return true
}

// rawOf is a value of a schema as JSON again.
func rawOf(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("kinto: a value of a schema cannot be encoded: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}

// repr shows a value as the reference's language writes it, cut to a length a
// person reads.
func repr(v []byte) string { return short(appendRepr(nil, v, 0)) }

func appendRepr(b, v []byte, depth int) []byte {
	const enough = 250
	if len(b) > enough || depth > maxDepth {
		return b
	}
	switch typeOf(v) {
	case isString:
		text := string(key(v))
		if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
			return append(append(append(b, '"'), text...), '"')
		}
		return append(append(append(b, '\''), strings.ReplaceAll(text, "'", `\'`)...), '\'')
	case isArray:
		b = append(b, '[')
		for i, e := range elements(v) {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b = appendRepr(b, e, depth+1); len(b) > enough {
				return b
			}
		}
		return append(b, ']')
	case isObject:
		b = append(b, '{')
		for i, f := range fields(v) {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendRepr(b, quote(string(f.key)), depth+1), ": "...)
			if b = appendRepr(b, f.raw, depth+1); len(b) > enough {
				return b
			}
		}
		return append(b, '}')
	}
	return append(b, python(v)...)
}
