package installer

import (
	"bytes"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// Settings of [kinto] among the answers are what they are in the settings file: right or
// wrong together, not each by itself, of the same kinds, and the same when they are written
// and read again.
func TestAnswersHoldSettingsOfKinto(t *testing.T) {
	t.Attr("shows", "mend3")
	for file, want := range map[string]map[string]string{
		"[kinto]\nincludes = [\"kinto.plugins.accounts\"]\n\"multiauth.policies\" = \"account google\"\n\"multiauth.policy.google.issuer\" = \"https://id.example\"\n": {
			"includes": "kinto.plugins.accounts", "multiauth.policies": "account google",
		},
		"[kinto]\nmultiauth.policy.local.issuer = \"https://id.example\"\nmultiauth.policies = [\"local\"]\n":      {"multiauth.policies": "local"},
		"[kinto]\naccount_create_principals = \"account:admin\"\naccount_write_principals = [\"account:admin\"]\n": {"account_create_principals": "account:admin"},
		"[kinto]\neos = 2030-01-31\npaginate_by = 10.0\nproject_name = '\"\\\"x\\\"\"'\n":                          {"eos": "2030-01-31", "paginate_by": "10", "project_name": `"x"`},
		"[kinto]\ncache_backend = \"kinto.core.cache.memory\"\nreadonly = \"yes\"\n":                               {"readonly": "true"},
	} {
		a, err := LoadAnswers("-", strings.NewReader(file), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var written bytes.Buffer
		if err := a.Write(&written); err != nil {
			t.Fatal(err)
		}
		again, err := LoadAnswers("-", &written, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for what, a := range map[string]*Answers{"answers": a, "written answers": again} {
			s, err := a.Settings()
			if err != nil {
				t.Fatalf("%s: %s: %v", file, what, err)
			}
			for name, text := range want {
				if got := s.Kinto.String(name); got != text {
					t.Errorf("%s: %s: %s is %q, want %q", file, what, name, got, text)
				}
			}
		}
	}
	_, err := LoadAnswers("-", strings.NewReader("[kinto]\nincludes = \"kinto_x\"\neos = \"soon\"\nmultiauth.policies = \"fxa\"\n"), nil, nil)
	for _, l := range hint.Langs {
		for _, want := range []string{"kinto_x", "kinto.eos", "fxa"} {
			if err == nil || !strings.Contains(hint.Describe(err, l), want) {
				t.Errorf("%s: it does not say %s: %v", l, want, err)
			}
		}
	}
}
