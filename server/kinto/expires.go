package kinto

import "strings"

// expires is for how many seconds an anonymous caller may keep what is read;
// negative: nothing is said (protocol §2, caching).
func (s reader) expires(tx Reader, r *Request) (int, error) {
	if r.Who.ID != "" {
		return -1, nil
	}
	const setting = "_cache_expires_seconds"
	names := []string{string(r.List.Kind) + setting}
	if r.List.Kind != Record {
		return s.settings.Int(names[0], -1), nil
	}
	up, collection, _ := Locate(r.List.Parent)
	bucket := strings.TrimPrefix(up.Parent, "/buckets/")
	for _, by := range []string{".", "_"} {
		names = append(names, bucket+by+collection+by+"record"+setting, bucket+by+"record"+setting)
	}
	// The narrowest first, the one for all records after those with dots.
	names = []string{names[1], names[2], names[0], names[3], names[4]}
	seconds := -1
	for _, name := range names {
		if seconds = s.settings.Int(name, -1); seconds >= 0 {
			break
		}
	}
	o, err := tx.Get(up, collection)
	if err != nil || o == nil {
		return seconds, err
	}
	if raw := attribute(o.Data, "cache_expires"); raw != nil {
		if n, ok := integer(raw); ok {
			seconds = max(seconds, int(min(n, 1<<31-1)))
		}
	}
	return seconds, nil
}
