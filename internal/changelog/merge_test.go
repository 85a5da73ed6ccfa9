package changelog

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parsed are lines of text, one after the other.
func parsed(text string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for line := range strings.Lines(text) {
			if !yield(Parse([]byte(line))) {
				return
			}
		}
	}
}

func mergedText(lines func() iter.Seq2[Line, error]) (string, error) {
	var out []byte
	err := Merge(lines, func(l *Line) error {
		out = l.Append(out)
		return nil
	})
	return string(out), err
}

// What is left of a stretch is what nothing later in it says anew or takes away, in its
// order, as one commit, and where its lists stand.
func TestMerge(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing": {"", ""},
		"the last of each": {
			`{"seq":3,"at":30}
{"object":["/buckets/b/collections/c","record","r",7],"data":{"n":1}}
{"meta":"m","value":"1"}
{"note":"k","until":5,"value":"1"}
{"seq":4,"at":40}
{"meta":"m","value":"2"}
{"object":["/buckets/b/collections/c","record","r",8],"gone":true}
{"note":"k","gone":true}
`, `{"seq":4,"at":40}
{"meta":"m","value":"2"}
{"object":["/buckets/b/collections/c","record","r",8],"gone":true}
{"note":"k","gone":true}
`,
		},
		"a list stands where an object that is gone left it": {
			`{"seq":3,"at":30}
{"object":["/buckets/b/collections/c","record","r",9],"data":{}}
{"object":["/buckets/b/collections/c","record","r",4],"data":{}}
{"list":["/buckets/b","group",6]}
{"list":["/buckets/b","group",5]}
`, `{"seq":3,"at":30}
{"object":["/buckets/b/collections/c","record","r",4],"data":{}}
{"list":["/buckets/b","group",6]}
{"list":["/buckets/b/collections/c","record",9]}
`,
		},
		"a purge takes away what is below it": {
			`{"seq":3,"at":30}
{"object":["","bucket","b",1],"data":{}}
{"object":["/buckets/b","collection","c",2],"data":{}}
{"object":["/buckets/b/collections/c","record","r",3],"data":{}}
{"object":["/buckets/bb/collections/c","record","r",3],"data":{}}
{"file":"f1","of":["/buckets/b/collections/c","record","r"],"hash":"h","size":1,"type":"t","name":"n"}
{"file":"f2","gone":true}
{"owner":"/buckets/b","value":"a","bytes":1}
{"owner":"/buckets/bb","value":"a","bytes":1}
{"meta":"birth./buckets/b/collections/c","value":"1"}
{"meta":"birth./buckets/b","value":"1"}
{"floor":["/buckets/b","collection",2]}
{"purge":"/buckets/b"}
{"floor":["/buckets/b","collection",3]}
{"seq":5,"at":50}
{"purge":"/buckets/b"}
{"object":["/buckets/b","collection","c",9],"data":{}}
`, `{"seq":5,"at":50}
{"object":["","bucket","b",1],"data":{}}
{"object":["/buckets/bb/collections/c","record","r",3],"data":{}}
{"file":"f2","gone":true}
{"owner":"/buckets/bb","value":"a","bytes":1}
{"meta":"birth./buckets/b","value":"1"}
{"floor":["/buckets/b","collection",3]}
{"purge":"/buckets/b"}
{"object":["/buckets/b","collection","c",9],"data":{}}
`,
		},
		"a purge of everything leaves accounts": {
			`{"seq":3,"at":30}
{"object":["","bucket","b",1],"data":{}}
{"object":["ana","account","ana",2],"data":{}}
{"owner":"gone 61","value":"a","bytes":1}
{"list":["/buckets/b","group",4]}
{"purge":""}
`, `{"seq":3,"at":30}
{"object":["ana","account","ana",2],"data":{}}
{"purge":""}
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mergedText(func() iter.Seq2[Line, error] { return parsed(c.in) })
			// Lists that are told of at the end are in no order.
			if err != nil || !sameLines(got, c.want) {
				t.Errorf("error %v\n%s", err, cmp.Diff(c.want, got))
			}
			again, err := mergedText(func() iter.Seq2[Line, error] { return parsed(got) })
			if err != nil || !sameLines(again, got) {
				t.Errorf("merged again: %v\n%s", err, cmp.Diff(got, again))
			}
		})
	}
}

func sameLines(a, b string) bool {
	count := map[string]int{}
	for line := range strings.Lines(a) {
		count[line]++
	}
	for line := range strings.Lines(b) {
		count[line]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// Errors of whoever gives the lines, or takes them, come out; lines that are not the same
// twice are an error.
func TestMergeErrors(t *testing.T) {
	broke := errors.New("the target broke off")
	const text = "{\"seq\":1,\"at\":2}\n{\"meta\":\"m\",\"value\":\"v\"}\n"
	if err := Merge(func() iter.Seq2[Line, error] { return parsed(text) }, func(*Line) error { return broke }); !errors.Is(err, broke) {
		t.Errorf("whoever takes them broke off: %v", err)
	}
	for _, bad := range []int{1, 2} {
		pass := 0
		if _, err := mergedText(func() iter.Seq2[Line, error] {
			pass++
			if pass == bad {
				return parsed(text + "no line\n")
			}
			return parsed(text)
		}); !errors.Is(err, ErrNoLine) {
			t.Errorf("a line is none in pass %d: %v", bad, err)
		}
		pass = 0
		if _, err := mergedText(func() iter.Seq2[Line, error] {
			pass++
			if pass == bad {
				return parsed(text + "{\"meta\":\"n\",\"value\":\"v\"}\n")
			}
			return parsed(text)
		}); err == nil {
			t.Errorf("a line is there in pass %d alone: no error", bad)
		}
	}
}
