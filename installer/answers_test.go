package installer

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
)

func TestMalformedAnswers(t *testing.T) {
	for _, c := range []struct {
		name, file string
		environ    []string
		flags      map[string]string
		want       []string // each in the message
		code       string
	}{
		{"unknown key", "name = \"pi\"\nhtps_port = 444\n", nil, nil, []string{`answers.toml:2: the key "htps_port"`, `"https_port" is one`}, "settings-malformed"},
		{"wrong kind", "\nhttp_port = \"80\"\n", nil, nil, []string{`answers.toml:2: the key "http_port"`, "a whole number, without quotes"}, "settings-malformed"},
		{"text wanted", "name = 5\n", nil, nil, []string{`answers.toml:1: the key "name"`, `text in quotes`}, "settings-malformed"},
		{"out of range", "https_port = 70000\n", nil, nil, []string{`answers.toml:1: the key "https_port"`, "a port from 1 to 65535"}, "settings-malformed"},
		{"list", "addresses = [1]\n", nil, nil, []string{`answers.toml:1: the key "addresses"`, "a list of text"}, "settings-malformed"},
		{"not toml", "name = \n", nil, nil, []string{"answers.toml:1"}, "settings-malformed"},
		{"html", "<html>", nil, nil, []string{"answers.toml:1"}, "settings-malformed"},
		{"twice", "name = \"a\"\nname = \"b\"\n", nil, nil, []string{"answers.toml"}, "settings-malformed"},
		{"same ports", "http_port = 443\n", nil, nil, []string{"another port than http_port"}, "settings-malformed"},
		{"in a table", "[limits]\nbody = 5\n", nil, nil, []string{`answers.toml:2: the key "limits.body"`, "from 1024"}, "settings-malformed"},
		{"unknown in a table", "[limits]\nbodies = 5\n", nil, nil, []string{`answers.toml:2: the key "limits.bodies"`, `"limits.body" is one`}, "settings-malformed"},
		{"kinto", "[kinto]\nreadonly = \"perhaps\"\n", nil, nil, []string{`answers.toml:2: the key "kinto.readonly"`, "true or false"}, "settings-malformed"},
		{"unknown kinto", "[kinto]\nread_only = true\n", nil, nil, []string{`answers.toml:2: the key "kinto.read_only"`, `"readonly" is one`}, "settings-malformed"},
		{"firewall", "firewall = \"off\"\n", nil, nil, []string{`answers.toml:1: the key "firewall"`, "auto or leave"}, "settings-malformed"},
		{"owner", "owner = \"né\"\nowner_password = \"correct horse\"\n", nil, nil, []string{`answers.toml:1: the key "owner"`}, "settings-malformed"},
		{"owner without password", "owner = \"jeannine\"\n", nil, nil, []string{"owner_password", "FOYER_OWNER_PASSWORD"}, "settings-malformed"},
		{"password without owner", "owner_password = \"correct horse\"\n", nil, nil, []string{`answers.toml:1: the key "owner_password"`, "owner is needed"}, "settings-malformed"},
		{"password of nowhere", "owner = \"a\"\nowner_password = \"env:NOWHERE\"\n", nil, nil, []string{`answers.toml:2`, "NOWHERE is not"}, "settings-malformed"},
		{"password file gone", "owner = \"a\"\nowner_password = \"@file:/no/such/file\"\n", nil, nil, []string{`answers.toml:2`, "@file:PATH"}, "settings-malformed"},
		{"weak", "owner = \"a\"\nowner_password = \"1234567\"\n", nil, nil, []string{"too short"}, "password-weak"},
		{"environment", "", []string{"FOYER_HTTP_PORT=eighty"}, nil, []string{"FOYER_HTTP_PORT", "a whole number"}, "settings-malformed"},
		{"flag", "", nil, map[string]string{"name": "-"}, []string{"--name", "letters, digits and dashes"}, "settings-malformed"},
		{"unknown flag", "", nil, map[string]string{"nam": "x"}, []string{"--nam", `"name" is one`}, "settings-malformed"},
		{
			"all at once", "nam = \"x\"\nhttp_port = 0\ndata = \"here\"\n",
			[]string{"FOYER_LANGUAGE=de"},
			map[string]string{"firewall": "no"},
			[]string{"answers.toml:1", "answers.toml:2", "answers.toml:3", "FOYER_LANGUAGE", "--firewall"},
			"settings-malformed",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("answers.toml", []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadAnswers("answers.toml", nil, c.environ, c.flags)
			if err == nil || hint.ExitCode(err) != hint.ExitUsage || code(err) != c.code {
				t.Fatalf("error %v", err)
			}
			for _, l := range hint.Langs {
				if text := hint.Find(err).What.In(l); text == "" {
					t.Errorf("nothing is said in %s", l)
				}
			}
			text := hint.Find(err).What.EN
			if c.code == "password-weak" {
				text = hint.Describe(err, hint.EN)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}
		})
	}
	if _, err := LoadAnswers("/no/such/file", nil, nil, nil); code(err) != "answers-unreadable" || hint.ExitCode(err) != hint.ExitUsage {
		t.Errorf("a missing file: %v", err)
	}
}

func TestLaterAnswersWin(t *testing.T) {
	file := "\xef\xbb\xbfname = \"file\"\r\nhttp_port = 8080\r\nhttps_port = 8443\r\ndata = \"/srv/file\"\r\naddresses = [\"cloud.example\", \"10.0.0.1\"]\r\n" +
		"[limits]\r\nconnections = 99\r\n[kinto]\r\n\"multiauth.policies\" = [\"account\", \"basicauth\"]\r\nreadonly = true\r\n"
	environ := []string{"FOYER_NAME=environment", "FOYER_DATA=/srv/environment", "FOYER_LOG=debug", "HOME=/root"}
	a, err := LoadAnswers("-", strings.NewReader(file), environ, map[string]string{"name": "flag"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Settings()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range []string{"name", "data", "http_port", "https_port", "addresses", "limits.connections", "limits.body", "kinto.multiauth.policies", "kinto.readonly"} {
		got[k], _ = s.Get(k)
	}
	want := map[string]string{
		"name": "flag", "data": "/srv/environment", "http_port": "8080", "https_port": "8443", "addresses": "cloud.example 10.0.0.1", "limits.connections": "99",
		"limits.body": "8388608", "kinto.multiauth.policies": "account basicauth", "kinto.readonly": "true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWrittenAnswersReadBackWithoutSecrets(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := "owner = \"jeannine\"\nowner_password = \"@file:" + secret + "\"\nname = \"maison\"\nlanguage = \"fr\"\nfirewall = \"leave\"\nmdns = \"off\"\ndns.provider = \"desec\"\ndns.credentials = [\"token=hush\"]\n[limits]\nbody = 1048576\n" +
		"[kinto]\nuserid_hmac_secret = \"hush hush\"\n\"retry_after_seconds\" = 5\n"
	a, err := LoadAnswers("-", strings.NewReader(file), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.OwnerPassword != "correct horse" {
		t.Errorf("the password is %q", a.OwnerPassword)
	}
	var out bytes.Buffer
	if err := a.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"correct horse", "hush", secret} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q was printed:\n%s", bad, out.String())
		}
	}
	b, err := LoadAnswers("-", &out, []string{"FOYER_OWNER_PASSWORD=correct horse"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	type plain struct {
		Name, Language, Owner, Password, Firewall, Body, Retry, MDNS, Provider string
		HTTPS                                                                  int
	}
	flat := func(a *Answers) plain {
		body, _ := a.settings.Get("limits.body")
		return plain{a.Name, a.Language, a.Owner, a.OwnerPassword, a.Firewall, body, a.settings.Kinto.String("retry_after_seconds"), a.settings.MDNS, a.settings.DNS.Provider, a.HTTPSPort}
	}
	if diff := cmp.Diff(flat(a), flat(b)); diff != "" {
		t.Error(diff)
	}
}

func TestWhereTheServerLivesImpliesSettings(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       map[string]string
	}{
		{"nothing said", "", map[string]string{"mdns": "on", "router": "off"}},
		{"home", `where = "home"`, map[string]string{"mdns": "on", "router": "off"}},
		{"reachable", `where = "reachable"`, map[string]string{"mdns": "on", "router": "map", "dyndns": "off"}},
		{"reachable by a name that is kept", "where = \"reachable\"\ndns.provider = \"duckdns\"\ndns.credentials = [\"token=t\"]", map[string]string{"router": "map", "dyndns": "router", "dns.credentials": "token=t"}},
		{"what was given wins", "where = \"reachable\"\nrouter = \"off\"\nmdns = \"off\"\ndns.provider = \"duckdns\"", map[string]string{"router": "off", "mdns": "off", "dyndns": "off"}},
		{"server", `where = "server"`, map[string]string{"mdns": "off", "router": "off"}},
		{"behind a proxy", "where = \"reachable\"\nproxy.listen = \"127.0.0.1:8888\"", map[string]string{"router": "off"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := LoadAnswers("-", strings.NewReader(c.file), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := a.Settings()
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range c.want {
				if got, _ := s.Get(key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		})
	}
	if _, err := LoadAnswers("", nil, nil, map[string]string{"where": "moon"}); hint.Find(err) == nil {
		t.Errorf("a server on the moon: %v", err)
	}
}

func TestSecretsAreNoFlags(t *testing.T) {
	for _, k := range AnswerKeys {
		if secret := strings.Contains(k.Name, "password") || strings.Contains(k.Name, "credentials"); secret != (k.Flag() == "") {
			t.Errorf("%s: flag %q", k.Name, k.Flag())
		}
		if k.Means.EN == "" || k.Means.FR == "" {
			t.Errorf("%s has no meaning", k.Name)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("name = \"x\"\n[limits]\nbody = 5\n"))
	f.Add([]byte("\xef\xbb\xbf[kinto]\r\nreadonly = true\r\n"))
	f.Add([]byte("owner_password = \"env:HOME\"\nowner = \"a\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := LoadAnswers("-", bytes.NewReader(data), nil, nil)
		if err != nil {
			if hint.Find(err) == nil {
				t.Errorf("an error nobody can act on: %v", err)
			}
			return
		}
		if _, err := a.Settings(); err != nil {
			t.Errorf("answers that were taken make settings that are not: %v", err)
		}
	})
}
