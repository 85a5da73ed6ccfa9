package config

import (
	"os"
	"path/filepath"
	"testing"
)

// An empty secret can be written, and is told from one that nobody wrote.
func TestAnEmptySettingIsSet(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, name := range []string{"default_bucket_hmac_secret", "userid_hmac_secret"} {
		path := filepath.Join(t.TempDir(), "foyer.toml")
		if err := os.WriteFile(path, []byte("[kinto]\n"+name+" = \"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what, path string
			environ    []string
			want       bool
		}{
			{"nowhere", "", nil, false},
			{"in the file", path, nil, true},
			{"in the environment", "", []string{"KINTO_" + envForm(name) + "="}, true},
		} {
			s, err := Load(c.path, c.environ)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Kinto.IsSet(name); got != c.want || s.Kinto.String(name) != "" {
				t.Errorf("%s set %s: %v, %q", name, c.what, got, s.Kinto.String(name))
			}
		}
	}
}
