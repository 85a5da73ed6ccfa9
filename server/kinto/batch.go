package kinto

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Together runs fn in one transaction: the requests done by the Service it gets are
// all kept, or none of them when fn returns an error. Each sees what those before
// it did. Like the function of Store.Write, fn may be run more than once, and
// other writes wait for it; about is as there. Since they wait, what the requests may read
// is bounded.
func (s *Service) Together(ctx context.Context, about []List, fn func(*Service) error) error {
	return s.store.Write(ctx, about, func(tx Tx) error {
		in := *s
		in.store = within{tx}
		in.reading = &allowance{ReadTogether, ReadTogetherBytes}
		return fn(&in)
	})
}

// What the requests of one transaction may read together: others who write wait meanwhile.
const (
	ReadTogether      = 10_000 // objects of lists that are looked through
	ReadTogetherBytes = 4 << 20
)

// allowance is how much more may be read.
type allowance struct{ objects, bytes int }

// plain reports whether a store finds what a query wants without looking at more.
func (q *Query) plain() bool {
	return len(q.Filters) == 0 && len(q.Sort) <= 1 && q.Granted == nil
}

// afford counts what is about to be looked through in a list, where that is bounded; of
// plain queries what is found counts.
func (s reader) afford(tx Reader, l List, q *Query) error {
	if err := s.spend(0, 0); err != nil || s.reading == nil || q.plain() {
		return err // when it is used up, nothing more is read
	}
	objects, bytes, err := tx.Size(l)
	if err != nil {
		return err
	}
	return s.spend(objects, bytes)
}

// found counts what a plain query has found, where that is bounded.
func (s reader) found(q *Query, found []Object) error {
	if s.reading == nil || !q.plain() {
		return nil
	}
	bytes := 0
	for i := range found {
		bytes += found[i].size()
	}
	return s.spend(len(found), bytes)
}

// spend counts what was read, where that is bounded.
func (s reader) spend(objects, bytes int) error {
	left := s.reading
	if left == nil {
		return nil
	}
	left.objects -= objects
	left.bytes -= bytes
	switch {
	case left.objects < 0:
		return Invalid("body", "requests", fmt.Sprintf("The requests of a batch that writes may look through %d objects of lists together; send this one by itself", ReadTogether))
	case left.bytes < 0:
		return Invalid("body", "requests", fmt.Sprintf("The requests of a batch that writes may read %d bytes together; send this one by itself", ReadTogetherBytes))
	}
	return nil
}

// within is a Store inside a transaction.
type within struct{ tx Tx }

func (w within) Read(_ context.Context, fn func(Reader) error) error        { return fn(w.tx) }
func (w within) Write(_ context.Context, _ []List, fn func(Tx) error) error { return fn(w.tx) }

// Step is one request of a batch.
type Step struct {
	Method  string
	Path    string // as sent, with the query string
	Headers []Header
	Body    []byte // checked and compact; nil: none
}

// Header is one header of a Step.
type Header struct{ Name, Value string }

// batchBytes bounds what a batch grows to when its defaults are spelt out.
const batchBytes = 32 << 20

// ParseBatch reads the body of a batch of at most so many requests, 0 for any
// number, and lays each over the defaults (protocol §8, batch).
func ParseBatch(text []byte, most int) ([]Step, error) {
	doc, err := document(text)
	switch {
	case err != nil:
		return nil, err
	case doc[0] != '{':
		return nil, problems(notMapping("", doc))
	}
	var unknown []field
	var defaults, requests []byte
	var bad []Problem
	for _, f := range fields(doc) {
		switch string(f.key) {
		case "defaults":
			defaults = f.raw
			if defaults[0] != '{' {
				bad = append(bad, notMapping("defaults", defaults))
			}
		case "requests":
			requests = f.raw
			if requests[0] != '[' {
				bad = append(bad, Problem{Location: "body", Name: "requests", Description: pyText(requests) + " is not iterable"})
			}
		default:
			unknown = append(unknown, f)
		}
	}
	bad = append(bad, unrecognized("", unknown)...)
	if requests == nil {
		bad = append(bad, Problem{Location: "body", Name: "requests", Description: "Required"})
	}
	if len(bad) > 0 {
		return nil, problems(bad...)
	}
	all := elements(requests)
	if most > 0 && len(all) > most {
		return nil, Invalid("body", "requests", fmt.Sprintf("Number of requests is limited to %d", most))
	}
	if len(all)*len(defaults) > batchBytes {
		return nil, Invalid("body", "requests", "The batch is too large")
	}
	steps := make([]Step, len(all))
	for i, raw := range all {
		name := "requests." + strconv.Itoa(i)
		if raw[0] != '{' {
			bad = append(bad, notMapping(name, raw))
			continue
		}
		if defaults != nil {
			raw = overlay(defaults, raw)
		}
		bad = append(bad, steps[i].parse(name, raw)...)
	}
	if len(bad) > 0 {
		return nil, problems(bad...)
	}
	return steps, nil
}

// batchMethods are those a batch may have.
var batchMethods = []string{"GET", "HEAD", "DELETE", "TRACE", "POST", "PUT", "PATCH"}

func (s *Step) parse(name string, raw []byte) (bad []Problem) {
	wrong := func(field, description string) {
		bad = append(bad, Problem{Location: "body", Name: name + field, Description: description})
	}
	s.Method = "GET"
	var unknown []field
	for _, f := range fields(raw) {
		isText := typeOf(f.raw) == isString
		switch string(f.key) {
		case "method":
			s.Method = string(key(stringOr(f.raw)))
			if !slices.Contains(batchMethods, s.Method) {
				wrong(".method", fmt.Sprintf("%s is not one of %s", pyText(f.raw), strings.Join(batchMethods, ", ")))
			}
		case "path":
			s.Path = string(key(stringOr(f.raw)))
			switch {
			case !isText:
				wrong(".path", python(f.raw)+" is not a string: {'': ''}")
			case !strings.HasPrefix(s.Path, "/"):
				wrong(".path", "String does not match expected pattern")
			case isBatch(s.Path):
				bad = append(bad, Problem{Location: "body", Name: "requests", Description: "Recursive call on /batch endpoint is forbidden."})
			}
		case "headers":
			if f.raw[0] != '{' {
				bad = append(bad, notMapping(name+".headers", f.raw))
				continue
			}
			for _, h := range fields(f.raw) {
				if typeOf(h.raw) != isString {
					wrong(".headers."+short(h.key), python(h.raw)+" is not a string: {'': ''}")
					continue
				}
				s.Headers = append(s.Headers, Header{string(h.key), string(key(h.raw))})
			}
		case "body":
			s.Body = f.raw
			if f.raw[0] != '{' {
				bad = append(bad, notMapping(name+".body", f.raw))
			}
		default:
			unknown = append(unknown, f)
		}
	}
	bad = append(bad, unrecognized(name, unknown)...)
	if s.Path == "" && len(bad) == 0 {
		wrong(".path", "Required")
	}
	return bad
}

// isBatch reports whether a path is that of the batch endpoint itself; one that is
// spelt in another way leads nowhere in a batch. The reference refuses whatever has
// "/batch" in it, so that a collection "batches" could not be written in batches.
func isBatch(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	path = strings.TrimRight(path, "/")
	return path == "/batch" || path == "/v1/batch"
}

// overlay lays an object over another; objects in both are laid over each other.
func overlay(under, over []byte) []byte {
	out := fields(under)
	at := map[string]int{}
	for i, f := range out {
		at[string(f.key)] = i
	}
	for _, f := range fields(over) {
		i, there := at[string(f.key)]
		if !there {
			out = append(out, f)
			continue
		}
		if f.raw[0] == '{' && out[i].raw[0] == '{' {
			name := f.text[:len(f.text)-len(f.raw)]
			f.raw = overlay(out[i].raw, f.raw)
			f.text = append(slices.Clip(name), f.raw...)
		}
		out[i] = f
	}
	return join(out)
}

// Watch implements Store: nobody waits inside a transaction.
func (w within) Watch(List) (<-chan struct{}, func()) { return nil, func() {} }
