package config

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// The form is that of Python's configparser.
func TestINI(t *testing.T) {
	t.Attr("shows", "mend3")
	const text = `; a comment
[DEFAULT]
secret = s%%t
deep = <%(secret)s>

[app:main]
use = egg:kinto
# kinto.readonly = true
kinto.includes =
    kinto.plugins.history
#    kinto.plugins.flush
    ; kinto.plugins.openid

	kinto.plugins.accounts
kinto.eos_message : what = is: # behind
kinto.project_name=%(deep)s %(here)s
  kinto.readonly = not a key, but more of what is above
get kinto.userid_hmac_secret = secret
set debug = false
KINTO.readonly = true
kinto.record_create_principals = ["system.Everyone",
    "account:ann"]
kinto.paginate_by = %(kinto.retry_after_seconds)s
kinto.retry_after_seconds = 10

[app:other]
kinto.readonly = true
`
	s := Default()
	if wrong := s.readINI("/etc/kinto/kinto.ini", []byte(text)); len(wrong) > 0 {
		t.Fatal(All(wrong))
	}
	want := map[string]string{
		"includes": "kinto.plugins.history kinto.plugins.accounts", "eos_message": "what = is: # behind",
		"project_name":       "<s%t> /etc/kinto\nkinto.readonly = not a key, but more of what is above",
		"userid_hmac_secret": "s%t", "record_create_principals": "system.Everyone account:ann", "paginate_by": "10", "retry_after_seconds": "10",
	}
	if !maps.Equal(s.Kinto.values, want) {
		t.Errorf("got  %q\nwant %q", s.Kinto.values, want)
	}
	if got := s.Kinto.source("paginate_by"); got != "/etc/kinto/kinto.ini:23" {
		t.Errorf("source: %s", got)
	}
	var passed []string
	for _, n := range s.Notices() {
		passed = append(passed, n.Source[len("/etc/kinto/kinto.ini:"):]+" "+n.Key)
		if n.Why.EN == n.Why.FR {
			t.Errorf("%+v", n)
		}
	}
	if want := []string{"2 [DEFAULT]", "26 [app:other]", "19 set debug", "20 KINTO.readonly"}; !slices.Equal(passed, want) {
		t.Errorf("passed over: %q, want %q", passed, want)
	}
}

func TestWhatIsAnINI(t *testing.T) {
	for _, c := range []struct {
		path, text string
		want       bool
	}{
		{"kinto.ini", "", true},
		{"/etc/Kinto.INI", "x", true},
		{"foyer.toml", "[kinto]\nreadonly = true\n", false},
		{"pipe", "[app:main]\nuse = egg:kinto\n", true},
		{"pipe", "# x\r\n [server:main]\r\n", true},
		{"pipe", "name = \"[app:main]\"\n", false},
		{"pipe", "", false},
		{"foyer.toml", "addresses = [\"a\"]\n", false},
	} {
		if got := isINI(c.path, []byte(c.text)); got != c.want {
			t.Errorf("%s, %q: %v", c.path, c.text, got)
		}
	}
}

// Whatever is in an ini file, mistakes are told in words, and settings that are right are
// written as a file of ours that has the same.
func FuzzINI(f *testing.F) {
	f.Add("[app:main]\nuse = egg:kinto\nkinto.includes = kinto.plugins.history\n  kinto_attachment\nkinto.project_name = \"%%(a)s\"\n")
	f.Add("[DEFAULT]\na = %(b)s%(b)s\nb = %(c)s\n[app:x]\nkinto.eos = \"2030-01-01\"\nmultiauth.policies = [\"account\"]\n")
	f.Add("[pipeline:main]\npipeline = x\n[app:x]\nget readonly = a\nset b = 1\nkinto.readonly : 1\nreadonly = 0\n[")
	f.Fuzz(func(t *testing.T, text string) {
		s := Default()
		wrong := append(s.readINI("kinto.ini", []byte(text)), s.problems()...)
		for _, n := range s.Notices() {
			_ = n.Text()
		}
		if len(wrong) > 0 {
			if hint.Find(All(wrong)) == nil {
				t.Errorf("an error no person can read: %v", All(wrong))
			}
			return
		}
		back := Default()
		if err := back.readFile("f", s.File(hint.EN)); err != nil {
			t.Fatalf("%v in\n%s", err, s.File(hint.EN))
		}
		if !maps.Equal(back.Kinto.values, s.Kinto.values) {
			t.Errorf("read back: %q, want %q", back.Kinto.values, s.Kinto.values)
		}
	})
}

// Values that refer to others come to an end.
func TestInterpolationEnds(t *testing.T) {
	t.Attr("shows", "mend3")
	var b strings.Builder
	b.WriteString("[app:main]\nkinto.eos_message = %(a)s\n")
	for c := 'a'; c < 'i'; c++ {
		b.WriteString(string(c) + " = " + strings.Repeat("%("+string(c+1)+")s", 100) + "\n")
	}
	b.WriteString("i = x\n")
	s := Default()
	if wrong := s.readINI("kinto.ini", []byte(b.String())); len(wrong) == 0 || !strings.Contains(All(wrong).Error(), "longer than") {
		t.Errorf("%v", All(wrong))
	}
}
