//go:build e2e

package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

// writings are ways in which others write a longer text, by the packages that do.
var writings = map[string]func(text string) []byte{
	"as it is":       func(text string) []byte { return []byte(text) },
	"small letters":  func(text string) []byte { return []byte(strings.ToLower(text)) },
	"capitals":       func(text string) []byte { return []byte(strings.ToUpper(text)) },
	"hex":            func(text string) []byte { return []byte(hex.EncodeToString([]byte(text))) },
	"hex, capitals":  func(text string) []byte { return fmt.Appendf(nil, "%X", text) },
	"hex dump":       func(text string) []byte { return []byte(broken(hex.EncodeToString([]byte(text)), 32)) },
	"base64":         func(text string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte(text))) },
	"base64 for URL": func(text string) []byte { return []byte(base64.RawURLEncoding.EncodeToString([]byte(text))) },
	"base64 in lines": func(text string) []byte {
		return []byte(broken(base64.StdEncoding.EncodeToString([]byte(text)), 19))
	},
	"JSON in base64": func(text string) []byte {
		return []byte(base64.StdEncoding.EncodeToString(asJSON(map[string]string{"text": text})))
	},
	"UTF-16LE": func(text string) []byte { return wide(text, 0) },
	"UTF-16BE": func(text string) []byte { return wide(text, 1) },
	"query":    func(text string) []byte { return []byte("/v1?" + url.Values{"a": {text}}.Encode()) },
	"path":     func(text string) []byte { return []byte((&url.URL{Path: "/v1/" + text}).String()) },
	"segment":  func(text string) []byte { return []byte(url.PathEscape(text)) },
	"percent": func(text string) []byte { // all but letters and digits
		return []byte(strings.NewReplacer("+", "%20", "-", "%2D", ".", "%2E", "_", "%5F", "~", "%7E").Replace(url.QueryEscape(text)))
	},
	"JSON":          func(text string) []byte { return asJSON(map[string]string{text: "x"}) },
	"JSON in JSON":  func(text string) []byte { return asJSON(string(asJSON([]string{text}))) },
	"quoted":        func(text string) []byte { return fmt.Appendf(nil, "a=%q b=%+q", text, "x") },
	"quoted, ASCII": func(text string) []byte { return fmt.Appendf(nil, "%+q", text) },
	"HTML":          func(text string) []byte { return []byte(template.HTMLEscapeString(text)) },
	"struct of Go":  func(text string) []byte { return fmt.Appendf(nil, "%#v", struct{ Text []string }{[]string{text}}) },
	"lines of base64 in JSON": func(text string) []byte {
		return asJSON(broken(base64.StdEncoding.EncodeToString([]byte(text)), 19))
	},
	"XML, no quotes": func(text string) []byte { return asXML(strings.ReplaceAll(text, `"`, "")) },
}

func asJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func asXML(text string) []byte {
	out, err := xml.Marshal(text)
	if err != nil {
		panic(err)
	}
	return out
}

func wide(text string, big int) (out []byte) {
	for _, unit := range utf16.Encode([]rune(text)) {
		two := [2]byte{byte(unit), byte(unit >> 8)}
		out = append(out, two[big], two[1-big])
	}
	return out
}

// broken is a text in lines of so many bytes.
func broken(text string, every int) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(text), every) {
		b.Write(part)
		b.WriteByte('\n')
	}
	return b.String()
}

var gzipped = packing(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })

// packings put data into a file or stream.
var packings = map[string]func(data []byte) []byte{
	"gzip":    gzipped,
	"zlib":    packing(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }),
	"deflate": packing(func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 9); return z }),
	"zstd":    packing(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }),
	"zip": packing(func(w io.Writer) io.WriteCloser {
		z := zip.NewWriter(w)
		f, err := z.Create("folder/name.json")
		if err != nil {
			panic(err)
		}
		return both{f, z}
	}),
	"tar": func(data []byte) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range []string{"first", "second"} {
			if w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data))}) != nil {
				panic("a header of tar")
			}
			w.Write(data)
		}
		w.Close()
		return b.Bytes()
	},
	"gzip in the middle of something": func(data []byte) []byte {
		return slices.Concat(random(1000), gzipped(data), random(1000))
	},
	"two gzips, one behind the other": func(data []byte) []byte {
		return slices.Concat(gzipped([]byte("nothing")), gzipped(data))
	},
	"gzip that is cut short": func(data []byte) []byte {
		whole := gzipped(slices.Concat(data, random(70_000)))
		return whole[:len(whole)-100]
	},
}

// both writes to one, and closes the other.
type both struct {
	io.Writer
	io.Closer
}

func packing(to func(io.Writer) io.WriteCloser) func([]byte) []byte {
	return func(data []byte) []byte {
		var b bytes.Buffer
		w := to(&b)
		w.Write(data)
		if err := w.Close(); err != nil {
			panic(err)
		}
		return b.Bytes()
	}
}

func random(n int) []byte {
	out := make([]byte, n)
	rand.Read(out)
	return out
}

// What looks for phrases finds each of them, however it is written and packed, and nothing where
// there is nothing.
func TestPhrasesAreFoundInEveryForm(t *testing.T) {
	t.Attr("shows", "backups")
	texts := []string{
		rand.Text(), "a “" + rand.Text()[:9] + "” & <é> / % + \"" + rand.Text()[:9] + "\" \\ it's 🏡 ünd", strings.ToLower(rand.Text())[:8], string(random(32)),
	}
	odd, key := 1, len(texts)-1
	nested := [][]string{nil}
	for _, a := range slices.Sorted(maps.Keys(packings)) {
		nested = append(nested, []string{a})
		for _, b := range []string{"gzip", "zip", "tar"} {
			if a != "deflate" || b != "tar" { // nothing says where it begins in there
				nested = append(nested, []string{a, b})
			}
		}
	}
	nested = append(nested, []string{"tar", "gzip", "zip", "zstd"}, []string{"zip", "zstd", "zlib"}, []string{"deflate", "gzip", "gzip"})
	s := newSearcher(texts)
	tries, found := 0, 0
	for text := range texts {
		for name, write := range writings {
			if text == key && !slices.Contains([]string{"as it is", "hex", "hex, capitals", "hex dump", "base64", "base64 for URL", "base64 in lines", "lines of base64 in JSON"}, name) {
				continue // what writes texts makes something else of a key
			}
			if name == "XML, no quotes" && strings.ContainsAny(texts[text], `"'\`) {
				continue
			}
			for i, around := range nested {
				if text != odd && i > 0 && i%len(texts) != text { // each packing, with some of them
					continue
				}
				tries++
				clear(s.found)
				before := string(random(tries % 3))
				if text != key {
					before = "abc"[:tries%3] // it has to be a text all in all
				}
				data := write(before + texts[text] + "z")
				for _, pack := range around {
					data = packings[pack](data)
				}
				s.look("here", data)
				if len(s.places(text)) == 0 {
					t.Errorf("%.40q was not found: %s, in %q", texts[text], name, around)
					continue
				}
				for other := range texts {
					if other != text && len(s.places(other)) > 0 {
						t.Errorf("%.40q was found in %.40q", texts[other], texts[text])
					}
				}
				found++
			}
		}
	}

	// Nothing is there: random bytes, and everything of each text but its last byte.
	clear(s.found)
	s.bytes = 0
	for range 4 {
		s.look("random", random(4<<20))
	}
	for _, text := range texts {
		for _, write := range writings {
			s.look("nearly", write(text[:len(text)-2]))
			s.look("the end", write(text[2:]))
		}
	}
	if len(s.found) > 0 || s.err != nil {
		t.Errorf("found where there is nothing: %v, %v", s.found, s.err)
	}
	show("a search for phrases", "%d ways to write them, in %d packings, nested ones among them: found %d of %d; in %d MB without them: %d", len(writings), len(nested), found, tries, s.bytes>>20, len(s.found))
}
