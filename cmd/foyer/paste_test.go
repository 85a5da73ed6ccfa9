package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
)

// What `foyer settings` prints is a settings file: pasted back it is read, line by line and
// whole, and every setting is what it was. What holds a secret, and what stands for many
// settings, is a comment.
func TestWhatSettingsPrintsIsAFile(t *testing.T) {
	t.Attr("shows", "mend2")
	path := filepath.Join(t.TempDir(), "foyer.toml")
	run := func(text string, args ...string) (code int, out string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		a := newApp(strings.NewReader(""), &stdout, &stderr, nil)
		if code = a.run(t.Context(), append([]string{"settings", "--settings", path}, args...)); code == 0 {
			return code, stdout.String() // what is passed over is told beside
		}
		return code, stdout.String() + stderr.String()
	}
	type setting struct{ Key, Value string }
	values := func(text string) map[string]string {
		t.Helper()
		code, out := run(text, "--json")
		var got struct{ Settings []setting }
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
			t.Fatalf("%d, %v: %s\nof\n%s", code, err, out, text)
		}
		all := map[string]string{}
		for _, s := range got.Settings {
			all[s.Key] = s.Value
		}
		return all
	}
	other := `name = "jeannine"
data = "/srv/\"a\" é"
http_port = 8080
https_port = 8443
addresses = ["cloud.example", "192.168.1.20"]
router = "map"
dyndns = "router"
[dns]
provider = "desec"
credentials = ["token=x"]
resolvers = ["9.9.9.9:53"]
[proxy]
trusted = ["127.0.0.1", "10.0.0.0/8"]
[limits]
body = 5000
[kinto]
readonly = true
paginate_by = 17
cors_origins = ["https://a.example", "https://b.example"]
eos_message = "\u200B\u202E \\ \n"
backoff = 3
"backoff.record_cache_expires_seconds" = 5
"multiauth.policy.a b.client_secret" = "hidden"
"multiauth.policy.a b.issuer" = "https://id.example"
`
	for what, text := range map[string]string{"the defaults": "", "other values": other} {
		for _, lang := range []string{"en", "fr"} {
			want := values(text)
			code, printed := run(text, "--lang", lang)
			if code != 0 || strings.Contains(printed, "token=x") || strings.Contains(printed, `"hidden"`) {
				t.Fatalf("%s: %d\n%s", what, code, printed)
			}
			secret := func(key string) bool { return strings.Contains(want[key], "********") }
			for key, got := range values(printed) {
				if got != want[key] && !secret(key) {
					t.Errorf("%s: %s is %q when it is pasted back, want %q", what, key, got, want[key])
				}
			}
			lines := 0
			for line := range strings.Lines(printed) {
				if strings.HasPrefix(line, "#") || strings.HasPrefix(line, " ") {
					continue
				}
				lines++
				if code, said := run(line, "--json"); code != 0 && !strings.Contains(said, "router") && !strings.Contains(said, "port") {
					t.Errorf("%s: alone %s%s", what, line, said)
				}
			}
			if most := len(config.Keys) + len(config.KintoKeys); lines < most-25 {
				t.Errorf("%s: only %d of %d settings are lines", what, lines, most)
			}
		}
		fmt.Fprintln(os.Stderr, "SHOW `foyer settings` pasted back:", what, "are what they were,", len(config.Keys)+len(config.KintoKeys), "keys, in both languages")
	}
}
