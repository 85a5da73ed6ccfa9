package appliance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/foyer-server/foyer/internal/site"
)

// The account is read as certmagic writes it; what is not certain is not told.
func TestTheAccountAtTheAuthority(t *testing.T) {
	const uri = "https://acme-v02.api.letsencrypt.org/acme/acct/1234567890"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"none yet", nil, ""},
		{"one", map[string]string{"default/default.json": `{"status":"valid","location":"` + uri + `"}`}, uri},
		{"one by e-mail", map[string]string{"a@example.org/a.json": `{"status":"valid","location":"` + uri + `"}`}, uri},
		{"two", map[string]string{"default/default.json": `{"status":"valid","location":"` + uri + `"}`, "a@example.org/a.json": `{"status":"valid","location":"` + uri + `0"}`}, ""},
		{"deactivated", map[string]string{"default/default.json": `{"status":"deactivated","location":"` + uri + `"}`}, ""},
		{"half written", map[string]string{"default/default.json": `{"status":"valid","loc`}, ""},
		{"no record could hold it", map[string]string{"default/default.json": `{"status":"valid","location":"https://a/;\" x"}`}, ""},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(dir, "acme", "acme-v02.api.letsencrypt.org-directory", "users", filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := accountAt(dir, site.LetsEncrypt); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
