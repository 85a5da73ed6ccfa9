package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

func load(t *testing.T, text string, env ...string) (*Settings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "foyer.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, env)
}

func TestSourcesInOrder(t *testing.T) {
	s, err := load(t, "name = \"jeannine\"\nhttps_port = 8443\n[kinto]\nreadonly = true\nmultiauth.policies = [\"account\", \"basicauth\"]\n",
		"FOYER_HTTPS_PORT=9443", "KINTO_MULTIAUTH_POLICIES=basicauth", "KINTO_SOMETHING_ELSE=1", "KINTO_RECORD_CREATE_PRINCIPALS=system.Everyone")
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "jeannine" || s.HTTPSPort != 9443 || s.HTTPPort != 80 {
		t.Errorf("got %q %d %d", s.Name, s.HTTPSPort, s.HTTPPort)
	}
	if !s.Kinto.Bool("readonly") || s.Kinto.String("multiauth.policies") != "basicauth" || s.Kinto.Int("retry_after_seconds", 0) != 3 {
		t.Errorf("kinto: %v", s.Kinto)
	}
	if got := s.Kinto.List("record_create_principals"); !reflect.DeepEqual(got, []string{"system.Everyone"}) {
		t.Errorf("pattern: %v", got)
	}
	if _, src := s.Get("name"); !strings.HasSuffix(src, "foyer.toml:1") {
		t.Errorf("source of name: %q", src)
	}
	if _, src := s.Get("https_port"); src != "FOYER_HTTPS_PORT" {
		t.Errorf("source of https_port: %q", src)
	}
	if _, src := s.Get("kinto.readonly"); !strings.HasSuffix(src, "foyer.toml:4") {
		t.Errorf("source of kinto.readonly: %q", src)
	}
}

func TestMalformedNamesFileLineKeyAndWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "nmae = \"x\"\n", `foyer.toml:1: the key "nmae" is not right: there is no such key; "name" is one`},
		{"unknown key in a table", "\n[limits]\nbodi = 3\n", `:3: the key "limits.bodi" is not right`},
		{"wrong kind", "http_port = \"eighty\"\n", `:1: the key "http_port"`},
		{"out of range", "name = \"a\"\nhttp_port = 70000\n", `:2: the key "http_port" is not right: a port from 1 to 65535`},
		{"same ports", "http_port = 443\n", `another port than http_port`},
		{"bad name", "name = \"my server\"\n", `letters, digits and dashes`},
		{"relative data", "data = \"data\"\n", `absolute path`},
		{"unknown kinto key", "[kinto]\npaginate = 3\n", `:2: the key "kinto.paginate"`},
		{"kinto of the wrong kind", "[kinto]\nreadonly = \"maybe\"\n", `:2: the key "kinto.readonly" is not right: true or false`},
		{"not TOML", "name : x\n", `foyer.toml:1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.text)
			if err == nil || !strings.Contains(hint.Describe(err, hint.EN), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if hint.ExitCode(err) != hint.ExitUsage {
				t.Errorf("exit code %d", hint.ExitCode(err))
			}
		})
	}
}

func TestNotepadFileIsRead(t *testing.T) {
	s, err := load(t, "\xef\xbb\xbfname = \"pi\"\r\nlanguage = \"fr\"\r\n")
	if err != nil || s.Name != "pi" || s.Language != "fr" {
		t.Fatalf("%v, %v", s, err)
	}
}

func TestFileReadsBack(t *testing.T) {
	s, err := load(t, "name = \"jeannine\"\naddresses = [\"cloud.example\"]\n[limits]\nbody = 5000\n[kinto]\nmultiauth.policies = \"account basicauth\"\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range hint.Langs {
		back, err := load(t, string(s.File(l)))
		if err != nil {
			t.Fatalf("%v in\n%s", err, s.File(l))
		}
		back.sources, s.sources, back.Kinto.sources, s.Kinto.sources = nil, nil, nil, nil
		if !reflect.DeepEqual(back, s) {
			t.Errorf("got %+v, want %+v", back, s)
		}
	}
}

func TestDefaultsAreAsDocumented(t *testing.T) {
	s := Default()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys {
		if got, _ := s.Get(k.Name); got != k.Default {
			t.Errorf("%s: default %q, documented %q", k.Name, got, k.Default)
		}
		if k.Means.EN == "" || k.Means.FR == "" {
			t.Errorf("%s: no meaning in some language", k.Name)
		}
	}
	for _, k := range KintoKeys {
		if k.Means.EN == "" || k.Means.FR == "" {
			t.Errorf("kinto.%s: no meaning in some language", k.Name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("name = \"x\"\n[kinto]\na.b.c = [1, {d = 2}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := Default()
		if err := s.readFile("f", []byte(text)); err != nil && hint.Find(err) == nil {
			t.Errorf("an error no person can read: %v", err)
		}
	})
}

func TestIncludes(t *testing.T) {
	for _, c := range []struct {
		environ, plugin string
		want            bool
	}{
		{"", "default_bucket", true},
		{"", "accounts", true},
		{"", "attachment", true},
		{"", "history", false},
		{"KINTO_INCLUDES=kinto.plugins.history kinto_attachment", "history", true},
		{"KINTO_INCLUDES=kinto.plugins.history kinto_attachment", "attachment", true},
		{"KINTO_INCLUDES=kinto.plugins.history kinto_attachment", "accounts", false},
		{"KINTO_INCLUDES=", "default_bucket", false},
	} {
		s, err := Load("", []string{c.environ})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Kinto.Includes(c.plugin); got != c.want {
			t.Errorf("%q: %s is %v", c.environ, c.plugin, got)
		}
	}
}

func TestPatternsInTheEnvironment(t *testing.T) {
	s, err := Load("", []string{"KINTO_RECORD_READ_PRINCIPALS=system.Everyone"})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Kinto.String("record_read_principals"); got != "system.Everyone" {
		t.Errorf("%q", got)
	}
}

func TestDynDNSWantsWhatItNeeds(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"off", "", ""},
		{"router", "router = \"map\"\ndyndns = \"router\"\n[dns]\nprovider = \"desec\"\ncredentials = [\"token=x\"]\n", ""},
		{"peer", "dyndns = \"https://peer.example/\"\n[dns]\nprovider = \"desec\"\n", ""},
		{"router off", "dyndns = \"router\"\n[dns]\nprovider = \"desec\"\n", "while the setting router is off"},
		{"no provider", "dyndns = \"https://peer.example/\"\n", "while the setting dns.provider is empty"},
		{"peer without encryption", "dyndns = \"http://peer.example/\"\n", "off, router, or https://…"},
		{"credentials", "[dns]\ncredentials = [\"token=x\", \"y\"]\n", "word 2 is not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.text)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestProxySettings(t *testing.T) {
	for _, c := range []struct {
		env  []string
		good bool
	}{
		{[]string{"FOYER_PROXY_LISTEN=127.0.0.1:8888"}, true},
		{[]string{"FOYER_PROXY_LISTEN=[::1]:8888"}, true},
		{[]string{"FOYER_PROXY_LISTEN=0.0.0.0:8888", "FOYER_PROXY_TRUSTED=192.168.1.2"}, true},
		{[]string{"FOYER_PROXY_TRUSTED=127.0.0.1, ::1, 10.0.0.0/8", "FOYER_PROXY_PROTOCOL=on"}, true},
		{[]string{"FOYER_PROXY_LISTEN=0.0.0.0:8888"}, false},
		{[]string{"FOYER_PROXY_LISTEN=192.168.1.5:8888"}, false},
		{[]string{"FOYER_PROXY_LISTEN=:8888"}, false},
		{[]string{"FOYER_PROXY_LISTEN=127.0.0.1:0"}, false},
		{[]string{"FOYER_PROXY_TRUSTED=everybody"}, false},
		{[]string{"FOYER_PROXY_TRUSTED=0.0.0.0/0"}, false},
		{[]string{"FOYER_PROXY_PROTOCOL=on"}, false},
		{[]string{"FOYER_PROXY_PROTOCOL=maybe"}, false},
	} {
		if _, err := Load("", c.env); (err == nil) != c.good {
			t.Errorf("%v: %v", c.env, err)
		}
	}
}

// A page of a member could ask a browser for the passkeys of the server whose name it is
// below.
func TestMembersAreNotBelowTheServersOwnName(t *testing.T) {
	t.Attr("shows", "mend")
	for members, good := range map[string]bool{
		"": true, "members.example": true, "other.community.test": true, "unity.example": true, "mycommunity.example": true, "example": false, "members..example": false,
		"community.example": false, "Community.Example": false, "m.community.example": false, "a.b.community.example": false, "www.other.example": false, "other.example": true,
	} {
		_, err := load(t, "addresses = [\"community.example\", \"www.other.example\"]\n[certificates]\nmembers = \""+members+"\"\n")
		if (err == nil) != good {
			t.Errorf("%q: %v", members, err)
		}
	}
}
