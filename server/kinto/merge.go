package kinto

import "slices"

// merge lays change over old: the shallow merge of a plain PATCH (protocol §7).
func merge(old, change []byte) []byte {
	if len(change) <= len("{}") {
		return old
	}
	if len(old) <= len("{}") {
		return change
	}
	out := fields(old)
	at := make(map[string]int, len(out))
	for i, f := range out {
		at[string(f.key)] = i
	}
	for _, f := range fields(change) {
		if i, ok := at[string(f.key)]; ok {
			out[i] = f
		} else {
			out = append(out, f)
		}
	}
	return join(out)
}

// mergePatch lays change over old as RFC 7396 says: null removes, objects merge.
func mergePatch(old, change []byte) []byte {
	var out []field
	at := map[string]int{}
	if typeOf(old) == isObject {
		out = fields(old)
		for i, f := range out {
			at[string(f.key)] = i
		}
	}
	gone := map[int]bool{}
	for _, f := range fields(change) {
		i, there := at[string(f.key)]
		switch typeOf(f.raw) {
		case isNull:
			if there {
				gone[i] = true
			}
			continue
		case isObject:
			var below []byte
			if there {
				below = out[i].raw
			}
			name := f.text[:len(f.text)-len(f.raw)]
			f.raw = mergePatch(below, f.raw)
			f.text = append(slices.Clip(name), f.raw...)
		}
		if there {
			out[i] = f
		} else {
			out = append(out, f)
		}
	}
	keep := out[:0]
	for i, f := range out {
		if !gone[i] {
			keep = append(keep, f)
		}
	}
	return join(keep)
}

// Behavior is how much of the object the answer to a Patch has.
type Behavior int

// The behaviors, by the header Response-Behavior.
const (
	Full  Behavior = iota
	Light          // only what was sent and has changed
	Diff           // of that, only what is not as it was sent
)

// part is what a behavior shows of data that sent, laid over old, has become.
func (b Behavior) part(old, sent, data []byte) []byte {
	var keep []field
	for _, f := range fields(sent) {
		now := attribute(data, string(f.key))
		if now == nil || compare(attribute(old, string(f.key)), now) == 0 || b == Diff && compare(f.raw, now) == 0 {
			continue
		}
		text := append(slices.Clip(f.text[:len(f.text)-len(f.raw)]), now...)
		keep = append(keep, field{key: f.key, text: text, raw: now})
	}
	return join(keep)
}
