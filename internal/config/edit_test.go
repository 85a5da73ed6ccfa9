package config

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/foyer-server/foyer/internal/hint"
)

// Each form in which people write settings, and what becomes of it.
func TestSettingsAreChangedWhereTheyStand(t *testing.T) {
	set := func(kv ...string) (out []Edit) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, Edit{Key: kv[i], Value: kv[i+1]})
		}
		return out
	}
	unset := func(keys ...string) (out []Edit) {
		for _, k := range keys {
			out = append(out, Edit{Key: k, Unset: true})
		}
		return out
	}
	for _, c := range []struct {
		name, text string
		edits      []Edit
		want       string
	}{
		{"in its place", "# mine\nname = 'a'   # why\n\nrouter=\"off\"\n", set("name", "b", "router", "map"), "# mine\nname = \"b\"   # why\n\nrouter=\"map\"\n"},
		{"a file without end of line", "name = \"a\"", set("mdns", "off"), "name = \"a\"\nmdns = \"off\"\n"},
		{"an empty file", "", set("name", "b"), "name = \"b\"\n"},
		{"an empty file, in a table", "", set("dns.provider", "desec"), "[dns]\nprovider = \"desec\"\n"},
		{"before the first table", "# head\n\n[dns]\nprovider = \"desec\"\n", set("name", "b"), "name = \"b\"\n# head\n\n[dns]\nprovider = \"desec\"\n"},
		{"into its table", "[dns]\nprovider = \"desec\"\n\n# names\n[limits]\nbody = 5000\n", set("dns.zone", "a.example"), "[dns]\nprovider = \"desec\"\nzone = \"a.example\"\n\n# names\n[limits]\nbody = 5000\n"},
		{"into a table of its own", "name = \"a\"\n", set("limits.body", "5000"), "name = \"a\"\n\n[limits]\nbody = 5000\n"},
		{"and out of it again", "name = \"a\"\n\n[limits]\nbody = 5000\n", unset("limits.body"), "name = \"a\"\n"},
		{"dotted", "dns.provider = \"desec\" # mine\nname = \"a\"\n", set("dns.provider", "gandi", "dns.zone", "a.example"), "dns.provider = \"gandi\" # mine\ndns.zone = \"a.example\"\nname = \"a\"\n"},
		{"in quotes", "\"dns\" . 'provider' = '''desec'''\n[ \"limits\" ]\n'body' = 5_000\n", set("dns.provider", "gandi", "limits.body", "6000"), "\"dns\" . 'provider' = \"gandi\"\n[ \"limits\" ]\n'body' = 6000\n"},
		{"an inline table", "dns = { provider = \"desec\", zone = \"a.example\" } # x\n", set("dns.zone", "b.example", "dns.credentials", "a=b c=d"), "dns = { provider = \"desec\", zone = \"b.example\", credentials = [\"a=b\", \"c=d\"] } # x\n"},
		{"out of an inline table", "dns = { provider = \"desec\", zone = \"a.example\", credentials = [\"t=x\"] }\n", unset("dns.provider", "dns.credentials"), "dns = { zone = \"a.example\" }\n"},
		{"an inline table that is empty", "dns = {}\n", set("dns.zone", "b.example"), "dns = { zone = \"b.example\" }\n"},
		{"a list of many lines", "addresses = [\n  \"cloud.example\", # of all\n  # at home\n  \"192.168.1.2\",\n] # names\nname = \"a\"\n", set("addresses", "b.example, 10.0.0.1"), "# of all\n# at home\naddresses = [\"b.example\", \"10.0.0.1\"] # names\nname = \"a\"\n"},
		{"what looks like a setting", "name = \"a\"\ndns.zone = \"a.example\"\n# name = \"c\"\ndata = '''/srv/\n# mdns = \"on\"\nname = \"d\"'''\n", set("mdns", "off"), "name = \"a\"\ndns.zone = \"a.example\"\n# name = \"c\"\ndata = '''/srv/\n# mdns = \"on\"\nname = \"d\"'''\nmdns = \"off\"\n"},
		{"a comment stays", "mdns = \"off\"  # the switch drops multicast\nname = \"a\"\n", unset("mdns"), "# the switch drops multicast\nname = \"a\"\n"},
		{"shown as a comment", "# mdns = \"on\"\r\n\r\nname = \"a\"\r\n", set("mdns", "off"), "mdns = \"off\"\r\n\r\nname = \"a\"\r\n"},
		{"of Kinto", "[kinto]\n\"multiauth.policies\" = \"account\"\nreadonly = false\n", set("kinto.readonly", "true", "kinto.multiauth.policies", "account basicauth", "kinto.project_name", "x"), "[kinto]\n\"multiauth.policies\" = \"account basicauth\"\nreadonly = true\nproject_name = \"x\"\n"},
		{"of Kinto, dotted", "kinto.readonly = true\n", set("kinto.multiauth.policies", "account"), "kinto.readonly = true\nkinto.\"multiauth.policies\" = \"account\"\n"},
		{"below a table of Kinto", "[kinto.multiauth]\npolicies = \"account\"\n", set("kinto.readonly", "true", "kinto.multiauth.policies", "basicauth"), "[kinto.multiauth]\npolicies = \"basicauth\"\n\n[kinto]\nreadonly = true\n"},
		{"with a byte-order mark", "\xef\xbb\xbf[dns]\n", set("name", "b"), "\xef\xbb\xbfname = \"b\"\n[dns]\n"},
		{"what was wrong is put right", "router = \"maps\"\n", set("router", "map"), "router = \"map\"\n"},
		{"nothing there to unset", "name = \"a\"\n", unset("mdns"), "name = \"a\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, now, err := EditFile("foyer.toml", []byte(c.text), c.edits)
			if err != nil || string(got) != c.want {
				t.Fatalf("%v\ngot  %q\nwant %q", err, got, c.want)
			}
			if back, err := Read("foyer.toml", got); err != nil || len(Differ(now, back)) > 0 {
				t.Errorf("it reads back as another one: %v, %v", Differ(now, back), err)
			}
		})
	}
}

// What is wrong, or cannot be done with certainty, is refused, with all that is wrong.
func TestSettingsAreNotChangedByGuessing(t *testing.T) {
	for _, c := range []struct {
		name, path, text string
		edits            []Edit
		code, says       string
	}{
		{"no such key", "foyer.toml", "", []Edit{{Key: "htps_port", Value: "1"}}, "settings-malformed", `"https_port" is one`},
		{"no such key, unset", "foyer.toml", "", []Edit{{Key: "htps_port", Unset: true}}, "settings-malformed", `"https_port" is one`},
		{"no such key of Kinto", "foyer.toml", "", []Edit{{Key: "kinto.readonli", Value: "true"}}, "settings-malformed", `"readonly" is one`},
		{"one without effect", "foyer.toml", "", []Edit{{Key: "kinto.statsd_url", Value: "x"}}, "settings-malformed", "monitoring"},
		{"no number", "foyer.toml", "", []Edit{{Key: "https_port", Value: "x"}}, "settings-malformed", "https_port: the key"},
		{"not among the values", "foyer.toml", "", []Edit{{Key: "router", Value: "of"}}, "settings-malformed", `router: the key "router" is not right: off, map`},
		{"not beside others", "foyer.toml", "", []Edit{{Key: "dyndns", Value: "router"}}, "settings-malformed", "while the setting router is off"},
		{"beside another mistake", "foyer.toml", "mdns = \"maybe\"\n", []Edit{{Key: "router", Value: "of"}}, "settings-malformed", "foyer.toml:1: the key \"mdns\""},
		{"no TOML", "foyer.toml", "<html>", []Edit{{Key: "router", Value: "off"}}, "settings-malformed", "foyer.toml:1"},
		{"an ini file by its name", "kinto.ini", "", []Edit{{Key: "router", Value: "off"}}, "settings-ini", "kinto.ini"},
		{"an ini file by what it says", "x", "[app:main]\nuse = egg:kinto\n", []Edit{{Key: "router", Value: "off"}}, "settings-ini", "x is an ini file"},
		{"twice", "foyer.toml", "\"dns.zone\" = \"a.example\"\n[dns]\nzone = \"a.example\"\n", []Edit{{Key: "dns.zone", Value: "b.example"}}, "settings-by-hand", `the key "dns.zone"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := EditFile(c.path, []byte(c.text), c.edits)
			if e := hint.Find(err); got != nil || e == nil || e.Code != c.code || !strings.Contains(e.What.EN, c.says) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A file that Foyer wrote: all keys are set, and unset, one by one and all together, in any
// order; what comes out is what Foyer would write, byte for byte.
func TestTheWayBackIsTheFileAsItWas(t *testing.T) {
	t.Attr("shows", "ground2")
	var edits, back []Edit
	values := Default()
	if err := values.readFile("other", []byte(otherFile())); err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys {
		if k.Name == "data" { // with quotes and backslashes, which is no folder
			continue
		}
		text, _ := values.Get(k.Name)
		edits, back = append(edits, Edit{Key: k.Name, Value: text}), append(back, Edit{Key: k.Name, Unset: true})
	}
	files := 0
	for _, lang := range hint.Langs {
		for _, eol := range []string{"\n", "\r\n"} {
			base := Default()
			base.Language = string(lang)
			in := func(s *Settings) []byte { return bytes.ReplaceAll(s.File(lang), []byte("\n"), []byte(eol)) }
			for round := range 20 {
				some := slices.DeleteFunc(slices.Clone(edits), func(e Edit) bool {
					needed := slices.Contains([]string{"router", "dyndns", "dns.provider", "proxy.trusted", "certificates.cert_file", "certificates.key_file"}, e.Key)
					return e.Key == "language" || round > 0 && !needed && rand.IntN(2) == 0
				})
				rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				want := base.Clone()
				for _, e := range some {
					if err := want.Set(e.Key, e.Value, ""); err != nil {
						t.Fatal(err)
					}
				}
				got, now, err := EditFile("foyer.toml", in(base), some)
				if want.Validate() != nil { // together they are wrong
					if hint.Find(err) == nil || hint.Find(err).Code != "settings-malformed" {
						t.Fatalf("%v: %v", some, err)
					}
					continue
				}
				if err != nil || len(Differ(now, want)) > 0 || !bytes.Equal(got, in(want)) {
					t.Fatalf("%v: %v, %v\n%s", some, err, Differ(now, want), got)
				}
				rest := slices.DeleteFunc(slices.Clone(back), func(e Edit) bool { return e.Key == "language" })
				again, _, err := EditFile("foyer.toml", got, rest)
				if err != nil || !bytes.Equal(again, in(base)) {
					t.Fatalf("back from %v: %v\n%s", some, err, again)
				}
				files++
			}
		}
	}
	// Another language explains in its words what nobody has touched, and only that.
	english := Default().File(hint.EN)
	french, now, err := EditFile("foyer.toml", english, []Edit{{Key: "language", Value: "fr"}})
	if err != nil || !bytes.Equal(french, now.File(hint.FR)) {
		t.Errorf("in French: %v\n%s", err, french)
	}
	touched := append(slices.Clone(english), "# mine\n"...)
	if kept, _, err := EditFile("foyer.toml", touched, []Edit{{Key: "language", Value: "fr"}}); err != nil || !bytes.Contains(kept, []byte("# Folder that holds the data.")) || !bytes.HasSuffix(kept, []byte("# mine\n")) {
		t.Errorf("somebody's own comment: %v\n%s", err, kept)
	}
	t.Logf("SHOW %d files as Foyer writes them, changed and changed back: byte for byte as before", files)
}

func otherFile() string {
	var b strings.Builder
	for _, k := range Keys {
		fmt.Fprintf(&b, "%s = %s\n", k.Name, other[k.Name])
	}
	return b.String()
}

// Files as nobody would write them: what is edited is as wanted, what else is set is as it
// was, and each comment is still there.
func TestAnyFileIsChangedAndStaysWhatItWas(t *testing.T) {
	t.Attr("shows", "ground2")
	changed, refused, files := 0, 0, 600
	if os.Getenv("SHOW_WHOLE") != "" {
		files = 10_000
	}
	for range files {
		text := randomFile()
		var doc map[string]any
		if toml.Unmarshal(Normalise([]byte(text)), &doc) != nil {
			t.Fatalf("this is no TOML:\n%s", text)
		}
		var edits []Edit
		for _, i := range rand.Perm(len(randomKeys))[:1+rand.IntN(4)] {
			k := randomKeys[i]
			edits = append(edits, Edit{Key: k.key, Value: k.values[rand.IntN(len(k.values))], Unset: rand.IntN(3) == 0})
		}
		got, _, err := EditFile("foyer.toml", []byte(text), edits)
		before, berr := Read("foyer.toml", []byte(text))
		if before == nil {
			t.Fatal(berr)
		}
		want := before.Clone()
		for _, e := range edits {
			if err := want.apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			if want.Validate() == nil {
				t.Fatalf("%v: %v in\n%s", edits, err, text)
			}
			refused++
			continue
		}
		after, err := Read("foyer.toml", got)
		if err != nil || len(Differ(after, want)) > 0 {
			t.Fatalf("%v: %v, %v:\n%s\nbecame\n%s", edits, Differ(after, want), err, text, got)
		}
		for line := range strings.Lines(text) {
			if _, comment, ok := strings.Cut(line, "#!"); ok && strings.Count(string(got), strings.TrimSpace(comment)) != 1 {
				t.Fatalf("%v: the comment %q is gone, or there twice:\n%s\nbecame\n%s", edits, comment, text, got)
			}
		}
		if strings.Contains(text, "\r\n") && strings.Count(string(got), "\n") != strings.Count(string(got), "\r\n") {
			t.Fatalf("line ends of two kinds: %q", got)
		}
		changed++
	}
	t.Logf("SHOW %d random files changed, each comment and each other setting kept; %d refused", changed, refused)
	if changed < 300 {
		t.Errorf("only %d were changed", changed)
	}
}

var randomKeys = []struct {
	key    string
	values []string
}{
	{"name", []string{"a", "attic", "foyer"}},
	{"mdns", []string{"on", "off"}},
	{"router", []string{"off", "map", "pcp"}},
	{"addresses", []string{"", "cloud.example", "a.example b.example 10.0.0.1"}},
	{"http_port", []string{"80", "8080", "8081"}},
	{"dns.provider", []string{"", "desec"}},
	{"dns.credentials", []string{"", "token=x", "a=#b c=d"}},
	{"dns.zone", []string{"", "z.example"}},
	{"dns.resolvers", []string{"", "9.9.9.9:53 1.1.1.1:53"}},
	{"certificates.email", []string{"", "a@b.example"}},
	{"limits.body", []string{"5000", "8388608"}},
	{"kinto.readonly", []string{"true", "false"}},
	{"kinto.multiauth.policies", []string{"account", "account basicauth"}},
	{"kinto.project_name", []string{"x", "a \" # b", "true"}},
}

// randomFile writes some settings in the forms that TOML has, in any order of tables.
func randomFile() string {
	n := 0
	eol := []string{"\n", "\r\n"}[rand.IntN(2)]
	comment := func() string { n++; return fmt.Sprintf("#! comment %d of mine.", n) }
	maybe := func(text string) string {
		if rand.IntN(2) == 0 {
			return ""
		}
		return text
	}
	value := func(key, text string, inline bool) string {
		s := Default()
		if err := s.Set(key, text, ""); err != nil {
			panic(err)
		}
		list, ok := s.field(key).(*[]string)
		_, plain, _ := strings.Cut(s.LineWithSecrets(key), " = ")
		switch {
		case ok && !inline && rand.IntN(2) == 0:
			var b strings.Builder
			b.WriteString("[" + maybe(" "+comment()) + eol)
			for _, w := range *list {
				b.WriteString(maybe("\t"+comment()+eol) + "  " + QuoteTOML(w) + ",  " + maybe(comment()) + eol)
			}
			return b.String() + "]"
		case strings.HasPrefix(plain, `"`) && !strings.Contains(plain, `\`):
			quote := []string{`"`, `'`, `"""`, `'''`}[rand.IntN(4)]
			return quote + plain[1:len(plain)-1] + quote
		}
		return plain
	}
	part := func(name string) string {
		if strings.ContainsAny(name, ".") {
			return QuoteTOML(name)
		}
		return []string{name, `"` + name + `"`, `'` + name + `'`}[rand.IntN(3)]
	}
	byTable := map[string][][2]string{}
	var tables []string
	for _, k := range randomKeys {
		if rand.IntN(2) == 0 {
			continue
		}
		table, name, ok := strings.Cut(k.key, ".")
		if !ok {
			table, name = "", k.key
		}
		if byTable[table] == nil {
			tables = append(tables, table)
		}
		byTable[table] = append(byTable[table], [2]string{name, k.values[rand.IntN(len(k.values))]})
	}
	rand.Shuffle(len(tables), func(i, j int) { tables[i], tables[j] = tables[j], tables[i] })
	var top, below strings.Builder
	for _, table := range tables {
		full := func(name string) string { return strings.TrimPrefix(table+"."+name, ".") }
		form := rand.IntN(3)
		switch {
		case table == "" || form == 0: // dotted, or at the top
			for _, kv := range byTable[table] {
				name := part(kv[0])
				if table != "" {
					name = part(table) + []string{".", " . "}[rand.IntN(2)] + name
				}
				top.WriteString(maybe(comment()+eol) + maybe("  ") + name + maybe(" ") + "=" + maybe(" ") + value(full(kv[0]), kv[1], false) + maybe(" "+comment()) + eol + maybe(eol))
			}
		case form == 1: // inline
			var in []string
			for _, kv := range byTable[table] {
				in = append(in, part(kv[0])+" = "+value(full(kv[0]), kv[1], true))
			}
			top.WriteString(part(table) + " = {" + maybe(" ") + strings.Join(in, ","+maybe(" ")) + maybe(" ") + "}" + maybe(" "+comment()) + eol)
		default:
			below.WriteString(maybe(eol) + maybe(comment()+eol) + "[" + maybe(" ") + part(table) + maybe(" ") + "]" + maybe(" "+comment()) + eol)
			for _, kv := range byTable[table] {
				below.WriteString(maybe(comment()+eol) + part(kv[0]) + " = " + value(full(kv[0]), kv[1], false) + maybe(" "+comment()) + eol)
			}
		}
	}
	text := maybe("\xef\xbb\xbf") + top.String() + below.String()
	if rand.IntN(4) == 0 {
		text = strings.TrimSuffix(text, eol)
	}
	return text
}

// Whatever the file is: an edit is refused, or is all that has changed.
func FuzzEditFile(f *testing.F) {
	f.Add([]byte("name = \"a\"\n[dns]\nzone = 'x.example' # y\n"), "dns.zone", "b.example", false)
	f.Add([]byte("dns = { zone = \"a.example\" }\naddresses = [\n]"), "addresses", "a b", true)
	f.Add([]byte("[[x]]\n[kinto]\n\"a.b\" = 1979-05-27 07:32:00 # c\r\n"), "kinto.readonly", "true", false)
	f.Add(Default().File(hint.FR), "router", "map", false)
	f.Fuzz(func(t *testing.T, text []byte, key, value string, unset bool) {
		got, now, err := EditFile("foyer.toml", text, []Edit{{key, value, unset}})
		if err != nil {
			if got != nil {
				t.Errorf("refused, and changed: %v", err)
			}
			return
		}
		back, err := Read("foyer.toml", got)
		if err != nil || len(Differ(back, now)) > 0 {
			t.Fatalf("reads back as another one: %v", errors.Join(err))
		}
		before, err := Read("foyer.toml", text)
		if before == nil {
			t.Fatalf("what is no TOML was changed: %v", err)
		}
		if !slices.ContainsFunc(Differ(before, back), func(k string) bool { return k != key }) {
			return
		}
		t.Errorf("more than %q has changed: %v", key, Differ(before, back))
	})
}
