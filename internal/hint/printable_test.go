package hint

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ name, in, line, lines string }{
		{"nothing", "", "", ""},
		{"plain", "Jeannine's NAS, 2nd floor", "Jeannine's NAS, 2nd floor", "Jeannine's NAS, 2nd floor"},
		{"scripts", "Zoë · Ελένη · 陽子 · ليلى · नेहा", "Zoë · Ελένη · 陽子 · ليلى · नेहा", "Zoë · Ελένη · 陽子 · ليلى · नेहा"},
		{"escape", "a\x1b[2Jb", "a [2Jb", "a [2Jb"},
		{"title", "a\x1b]0;b\x07c", "a ]0;b c", "a ]0;b c"},
		{"one-character escape", "a\u009b2Jb", "a 2Jb", "a 2Jb"},
		{"one-byte escape", "a\x9b2Jb", "a\ufffd2Jb", "a\ufffd2Jb"},
		{"delete and null", "a\x7f\x00b", "a  b", "a  b"},
		{"broken UTF-8", "a\xe2\x80b\xff\xfe\xfdc", "a\ufffdb\ufffdc", "a\ufffdb\ufffdc"},
		{"surrogate", "a\xed\xa0\x80b", "a\ufffdb", "a\ufffdb"},
		{"line ends", "a\nb\r\nc\rd", "a b  c d", "a\nb\nc d"},
		{"tab", "a\tb", "a b", "a\tb"},
		{"separators", "a\u2028b\u2029c\u0085d", "a b c d", "a b c d"},
		{"direction", "\u202egnp.exe\u202c \u2066x\u2069 \u200e\u200f\u061c", "gnp.exe x ", "gnp.exe x "},
		{"invisible", "pass\u200bword\u2060\ufeff\u00ad\u180e", "password", "password"},
		{"tags", "ok\U000e0001\U000e0041\U000e007f\U000e0080", "ok", "ok"},
		{"emoji", "👨‍👩‍👧 🏳️‍🌈", "👨‍👩‍👧 🏳️‍🌈", "👨‍👩‍👧 🏳️‍🌈"},
		{"Persian", "می\u200cخواهم", "می\u200cخواهم", "می\u200cخواهم"},
		{"joiners that hide", "fo\u200dy\u200cer\u200d", "foyer", "foyer"},
		{"runs of joiners", "é\u200d\u200d\u200cx", "é\u200dx", "é\u200dx"},
		{"spaces of French", "oui\u00a0! 1\u202f000", "oui\u00a0! 1\u202f000", "oui\u00a0! 1\u202f000"},
		{"variants of Han", "葛\U000e0100飾", "葛\U000e0100飾", "葛\U000e0100飾"},
		{"sign of the year in Arabic", "\u0601٢", "\u0601٢", "\u0601٢"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Printable(c.in); got != c.line {
				t.Errorf("a line: %q, want %q", got, c.line)
			}
			if got := PrintableLines(c.in); got != c.lines {
				t.Errorf("lines: %q, want %q", got, c.lines)
			}
		})
	}
}

func TestShort(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"éèê", 3, "éèê"},
		{"éèêë", 3, "éèê…"},
		{"ab\u200b\u202e", 2, "ab"}, // nothing of what is left would be seen
		{"a\x1bbc", 2, "a …"},
		{"", 3, ""},
	} {
		if got := Short(c.in, c.most); got != c.want || Short(got, c.most) != got {
			t.Errorf("%q: %q, want %q, which stays", c.in, got, c.want)
		}
	}
}

func TestSprintfKeepsWhatIsOurs(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Sprintf(FR, "%s\n%-6s|%03d|%.1f|%v|%q\n", T("yes", "oui"), "a\nb", 7, 1.25, 90*time.Second, "x\x1by"), "oui\na b   |007|1.2|1m30s|\"x\\x1by\"\n"},
		{Sprintf(EN, "its log:\n%s", Block{"one\x1b[2J", "two\nthree"}), "its log:\none [2J\ntwo three"},
		{Sprintf(EN, "%v %t", nil, true), "<nil> true"},
		{Sprintf(EN, "no arguments\n"), "no arguments\n"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestCleanReachesEveryText(t *testing.T) {
	type name string
	type deep struct {
		Texts   map[string][]Text
		Any     any
		Pointer *name
		At      time.Time
		Bytes   []byte
		none    []string
		Pair    [2]string
	}
	bad, at, none := name("x\x1b"), time.Now(), []string(nil)
	before := deep{map[string][]Text{"\u202een": {{"a\n", "b\x07"}}}, map[string]any{"k": "v\x1b"}, &bad, at, []byte{27}, none, [2]string{"\x9b", "ok"}}
	want := deep{map[string][]Text{"en": {{"a ", "b "}}}, map[string]any{"k": "v "}, new(name("x ")), at, []byte{27}, none, [2]string{"\ufffd", "ok"}}
	got := Clean(before)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(deep{})); diff != "" {
		t.Error(diff)
	}
	if before.Texts["\u202een"][0].EN != "a\n" || bad != "x\x1b" {
		t.Error("it writes into what it was given")
	}
	if n := utf8.RuneCountInString(Clean([]string{strings.Repeat("é", 1<<20)})[0]); n > 4097 {
		t.Errorf("%d characters", n)
	}
	var nothing error
	if Clean(nothing) != nil || Clean([]string(nil)) != nil || Clean(any(nil)) != nil {
		t.Error("nothing became something")
	}
}

func TestASCII(t *testing.T) {
	for in, want := range map[string]string{"déjà vu…\n« ok »": "deja vu...\n\" ok \"", "Лев 陽": "??? ?", "plain": "plain"} {
		if got := ASCII(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzPrintable: whatever comes, a line is a line of UTF-8 that only shows something,
// says the same when it is cleaned again, and keeps what was harmless.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "plain", hostile, "👨‍👩‍👧", "\xe2\x80", "é\u200d\u200cx", strings.Repeat("\u009b", 100)} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		line, lines := Printable(s), PrintableLines(s)
		for _, text := range []string{line, strings.ReplaceAll(lines, "\t", ""), ASCII(line)} {
			if err := commands(text); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(line, "\n") || Printable(line) != line || PrintableLines(lines) != lines || Printable(lines) != Printable(Printable(lines)) {
			t.Fatalf("%q is not done with: %q, %q", s, line, lines)
		}
		if strings.Count(lines, "\n") != strings.Count(s, "\n") {
			t.Fatalf("%q: line ends were made or lost: %q", s, lines)
		}
		if utf8.RuneCountInString(line) > utf8.RuneCountInString(s) {
			t.Fatalf("%q grew: %q", s, line)
		}
		for _, r := range line {
			if !IsPrintable(r) {
				t.Fatalf("%U is shown and is not printable", r)
			}
		}
		if harmless := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0; harmless && line != s {
			t.Fatalf("%q became %q", s, line)
		}
		if most > 0 {
			short := Short(s, most)
			if n := utf8.RuneCountInString(short); n-1 > most || short != line && !strings.HasPrefix(line, strings.TrimSuffix(short, "…")) {
				t.Fatalf("%q cut to %d: %q", s, most, short)
			}
		}
	})
}
