package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
)

func printerTo(w io.Writer, json, ascii bool) *printer {
	return &printer{w: w, json: &json, ascii: ascii}
}

func TestPrinter(t *testing.T) {
	for _, c := range []struct {
		name        string
		json, ascii bool
		in, want    string
	}{
		{"ours", false, false, "✓ Disk space: 20 GB free.\n\tindented\n", "✓ Disk space: 20 GB free.\n\tindented\n"},
		{"commands", false, false, "a\x1b[2J\u009b1m\x9b\u202e\n", "a [2J 1m\ufffd\n"},
		{"other ends of lines", false, false, "a\r\nb\rc\u2028d", "a\nb c d"},
		{"ASCII", false, true, "✓ Réglages… «é» Лев\x1b\n", "* Reglages... \"e\" ??? \n"},
		{"JSON", true, false, "{\"a\":\"é\u009b\u202e\u007f\U000e0041\u200d\"}\n", "{\"a\":\"é\\u009b\\u202e\\u007f\\udb40\\udc41\u200d\"}\n"},
		{"JSON for ASCII", true, true, "{\"a\":\"é✓\U0001f600\"}\n", `{"a":"\u00e9\u2713\ud83d\ude00"}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var whole, parts bytes.Buffer
			if n, err := printerTo(&whole, c.json, c.ascii).Write([]byte(c.in)); n != len(c.in) || err != nil || whole.String() != c.want {
				t.Errorf("%d, %v: %q, want %q", n, err, whole.String(), c.want)
			}
			if c.name == "other ends of lines" || c.json { // what belongs together is written together
				return
			}
			p := printerTo(&parts, c.json, c.ascii)
			for _, b := range []byte(c.in) {
				if n, err := p.Write([]byte{b}); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if parts.String() != c.want {
				t.Errorf("byte by byte: %q, want %q", parts.String(), c.want)
			}
		})
	}
	if n, err := printerTo(brokenPipe{}, false, false).Write([]byte("x")); n != 0 || err == nil {
		t.Error("a broken pipe goes unnoticed")
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// Programs that read --json get the text as it was.
func TestJSONIsEscapedAndNotChanged(t *testing.T) {
	want := map[string]string{"name": strings.ToValidUTF8(hostile, "\ufffd"), "emoji": "👨‍👩‍👧", "last": string(utf8.MaxRune)}
	var out bytes.Buffer
	a := &console{out: &out, json: true}
	onPrinters(a)
	a.printJSON(want)
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || written(out.String()) != nil || !strings.Contains(out.String(), "👨‍👩‍👧") {
		t.Error(diff, out.String(), written(out.String()))
	}
}

func TestPrintfEndsNoLineForOthers(t *testing.T) {
	var out bytes.Buffer
	a := &console{out: &out, lang: hint.FR}
	onPrinters(a)
	a.printf("%s\n  %-8s|%d\n", hint.T("yes", "oui"), "a\nb", 3)
	line(a.out, "one\ntwo")
	if out.String() != "oui\n  a b     |3\none two\n" {
		t.Errorf("%q", out.String())
	}
}

// FuzzPrinter: whatever is written, in whatever pieces, only text comes out.
func FuzzPrinter(f *testing.F) {
	f.Add(hostile, 3, false)
	f.Add("é\u202e✓", 1, true)
	f.Fuzz(func(t *testing.T, s string, at int, ascii bool) {
		var out bytes.Buffer
		p := printerTo(&out, false, ascii)
		at = min(max(0, at), len(s))
		io.WriteString(p, s[:at])
		io.WriteString(p, s[at:])
		text := strings.NewReplacer("[forged]", "", "time=2026", "").Replace(out.String())
		if err := written(text); err != nil && len(text) < 200_000 {
			t.Fatal(err)
		}
		if ascii && strings.IndexFunc(out.String(), func(r rune) bool { return r > '~' }) >= 0 {
			t.Fatalf("%q", out.String())
		}
	})
}
