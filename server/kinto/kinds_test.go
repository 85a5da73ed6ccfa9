package kinto

import (
	"regexp"
	"strings"
	"testing"
)

func TestLocate(t *testing.T) {
	for _, c := range []struct {
		path string
		list List
		id   string
		ok   bool
	}{
		{"/buckets", List{"", Bucket}, "", true},
		{"/buckets/b", List{"", Bucket}, "b", true},
		{"/buckets/b/collections", List{"/buckets/b", Collection}, "", true},
		{"/buckets/b/collections/c", List{"/buckets/b", Collection}, "c", true},
		{"/buckets/b/groups/g", List{"/buckets/b", Group}, "g", true},
		{"/buckets/b/collections/c/records", List{"/buckets/b/collections/c", Record}, "", true},
		{"/buckets/b/collections/c/records/r", List{"/buckets/b/collections/c", Record}, "r", true},
		{"/buckets/b/collections/c/records/r/more", List{}, "", false},
		{"/buckets/", List{}, "", false},
		{"/buckets//collections", List{}, "", false},
		{"/buckets/b/collections/", List{}, "", false},
		{"/buckets/b/records", List{}, "", false},
		{"/collections", List{}, "", false},
		{"/records/r", List{}, "", false},
		{"//buckets", List{}, "", false},
		{"buckets", List{}, "", false},
		{"/", List{}, "", false},
		{"", List{}, "", false},
	} {
		list, id, ok := Locate(c.path)
		if list != c.list || id != c.id || ok != c.ok {
			t.Errorf("%s: %v %q %v", c.path, list, id, ok)
		}
		if ok && id != "" && list.URI(id) != c.path {
			t.Errorf("%s is called %s", c.path, list.URI(id))
		}
	}
}

func TestIDs(t *testing.T) {
	plain, account := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`), regexp.MustCompile(`^[a-zA-Z0-9][+.@a-zA-Z0-9_-]*$`)
	for _, id := range []string{"", "a", "A-_9", "-a", "_a", "a.b", "a@b", ".a", "a+", "é", "aé", "a b", "a/b", "a\x00", "a\n", strings.Repeat("a", idBytes)} {
		if Record.ValidID(id) != plain.MatchString(id) || Account.ValidID(id) != account.MatchString(id) {
			t.Errorf("%q: %v, %v", id, Record.ValidID(id), Account.ValidID(id))
		}
	}
	if Record.ValidID(strings.Repeat("a", idBytes+1)) || Account.ValidID(strings.Repeat("a", idBytes+1)) {
		t.Error("an id of 256 bytes is one")
	}
	for range 1000 {
		if id := shortID(); !Bucket.ValidID(id) || len(id) != 8 {
			t.Fatalf("made %q", id)
		}
		if id := longID(); !Record.ValidID(id) {
			t.Fatalf("made %q", id)
		}
	}
}

func FuzzLocate(f *testing.F) {
	f.Add("/buckets/b/collections/c/records/r")
	f.Fuzz(func(t *testing.T, path string) {
		list, id, ok := Locate(path)
		if !ok {
			return
		}
		// The objects above can be found, and lead to the root.
		if err := list.parents(func(List, string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if id != "" && list.URI(id) != path {
			t.Fatalf("%q is called %q", path, list.URI(id))
		}
	})
}
