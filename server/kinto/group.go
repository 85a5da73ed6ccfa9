package kinto

import (
	"fmt"
	"slices"
	"strings"
)

// A group is a principal, by its URI, that its members have; groups are in no
// groups (protocol §8, groups).

// Members lists who is in a group.
func Members(o *Object) []string {
	raw := lookup(o.Data, Field{"members"})
	if o.Deleted || typeOf(raw) != isArray {
		return nil
	}
	var out []string
	for _, e := range elements(raw) {
		if typeOf(e) == isString {
			out = append(out, string(key(e)))
		}
	}
	return out
}

// groupsOfEverybody is how many groups may have everybody who is known as a member: each
// of them is a principal of every request.
const groupsOfEverybody = 200

// everybody refuses one more group of everybody than there may be.
func (s writer) everybody(tx Reader, o, old *Object) error {
	if !slices.Contains(Members(o), Authenticated) || old != nil && slices.Contains(Members(old), Authenticated) {
		return nil
	}
	there, err := tx.Groups(Authenticated)
	if err == nil && len(there) >= groupsOfEverybody {
		err = Invalid("body", "data.members", fmt.Sprintf("There are %d groups that everybody is in already; that is all a server has", groupsOfEverybody))
	}
	return err
}

// shapeGroup checks members; a group that has data has some, if only none.
func shapeGroup(_ *schemas, data []byte) ([]byte, error) {
	raw := attribute(data, "members")
	switch typeOf(raw) {
	case isMissing:
		const none = `"members":[]`
		if len(data) <= len("{}") {
			return []byte("{" + none + "}"), nil
		}
		return append(append(make([]byte, 0, len(data)+len(none)+1), "{"+none+","...), data[1:]...), nil
	case isArray:
	default:
		return nil, Invalid("body", "data.members", pyText(raw)+" is not iterable")
	}
	var bad []Problem
	for i, e := range elements(raw) {
		p := Problem{Location: "body", Name: fmt.Sprintf("data.members.%d", i)}
		switch who := string(key(stringOr(e))); {
		case typeOf(e) != isString:
			p.Description = python(e) + " is not a string: {'': ''}"
		case strings.HasPrefix(who, "/buckets/"), who == Everyone:
			p.Description = "'" + short([]byte(who)) + "' is not a valid user ID."
		default:
			continue
		}
		bad = append(bad, p)
	}
	if len(bad) > 0 {
		return nil, problems(bad...)
	}
	return data, nil
}

// stringOr is v, or the empty string when v is none.
func stringOr(v []byte) []byte {
	if typeOf(v) != isString {
		return []byte(`""`)
	}
	return v
}
