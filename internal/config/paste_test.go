package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// other is a value of each setting outside [kinto] that is not its default, as it stands
// in the file. A new key has to be here.
var other = map[string]string{
	"name": `"jeannine"`, "language": `"fr"`, "data": `"/srv/a \"b\" é\\c"`, "database": `"postgres://foyer@db.example/foyer"`, "http_port": "8080", "https_port": "8443",
	"addresses": `["cloud.example", "192.168.1.20", "*.members.example", "2001:db8::1"]`, "mdns": `"off"`, "router": `"map"`, "dyndns": `"router"`,
	"dns.provider": `"desec"`, "dns.credentials": `["token=x"]`, "dns.zone": `"cloud.example"`, "dns.resolvers": `["9.9.9.9:53", "[2620:fe::fe]:53"]`,
	"certificates.ca": `"https://ca.example/directory"`, "certificates.ca_roots": `"/etc/ca.pem"`, "certificates.email": `"a@b.example"`, "certificates.rehearse": `"off"`,
	"certificates.members": `"members.test"`, "certificates.cert_file": `"/etc/cert.pem"`, "certificates.key_file": `"/etc/key.pem"`,
	"proxy.listen": `"127.0.0.1:8888"`, "proxy.trusted": `["127.0.0.1", "10.0.0.0/8"]`, "proxy.protocol": `"on"`,
	"reach.peer": `"https://community.example"`, "reach.answer": `"home"`, "os_updates": `"off"`,
	"backup.to": `"/mnt/stick/foyer"`, "backup.interval": "30",
	"limits.body": "5000", "limits.header": "5000", "limits.header_seconds": "11", "limits.body_seconds": "61", "limits.idle_seconds": "121", "limits.connections": "100",
}

// otherKinto is a value of a setting of [kinto] that is not its default, by its kind.
func otherKinto(k KintoKey) string {
	switch k.Kind {
	case KintoBool:
		return fmt.Sprint(!NewKinto(nil).Bool(k.Name))
	case KintoInt:
		return "17"
	case KintoList:
		return `["system.Everyone", "basicauth:1"]`
	}
	return "\"a 'b' \\\"c\\\" é \\u200B \\u009B \\\\ \\n d\""
}

// one is a setting of a pattern that stands for few.
var one = map[string]string{
	"*_*_principals": "record_create_principals", "plural_*_*_enabled": "plural_bucket_post_enabled", "object_*_*_enabled": "object_record_delete_enabled",
	"*_cache_expires_seconds": "backoff.é.record_cache_expires_seconds",
}

// What `foyer settings` prints of each setting, whatever it is, is a line of the settings
// file, and reads back as the same.
func TestEachSettingIsPrintedAsItIsRead(t *testing.T) {
	t.Attr("shows", "mend2")
	set := Default()
	path := filepath.Join(t.TempDir(), "foyer.toml")
	var names []string
	for _, k := range Keys {
		names = append(names, k.Name)
		if other[k.Name] == "" {
			t.Errorf("%s: no other value", k.Name)
		}
	}
	for _, k := range KintoKeys {
		names = append(names, "kinto."+k.Name)
	}
	var text strings.Builder
	for _, k := range Keys {
		fmt.Fprintf(&text, "%s = %s\n", k.Name, other[k.Name])
	}
	for _, k := range KintoKeys {
		name := k.Name
		if strings.Contains(name, "*") { // one of those it stands for
			if name = one[name]; name == "" { // one whose name begins with that of another, which is no table
				name = strings.Replace(strings.ReplaceAll(k.Name, "*", "a b"), "a b", "backoff.é", 1)
			}
			names = append(names, "kinto."+name)
		}
		fmt.Fprintf(&text, "kinto.%s = %s\n", QuoteTOML(name), otherKinto(k))
	}
	if err := set.readFile(path, []byte(text.String())); err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]*Settings{"the defaults": Default(), "other values": set} {
		var printed strings.Builder
		secret := map[string]bool{}
		for _, name := range names {
			value, _ := s.Get(name)
			line := s.Line(name)
			fmt.Fprintln(&printed, line)
			if hint.Printable(line) != line {
				t.Errorf("%s: %q would be shown as something else", what, line)
			}
			if secret[name] = Shown(name, value) != value; strings.HasPrefix(line, "#") != (secret[name] || strings.Contains(name, "*") || unmade(s, name)) {
				t.Errorf("%s: %s", what, line)
			}
			if secret[name] || strings.Contains(name, "*") || unmade(s, name) {
				continue
			}
			// Alone, as it is pasted.
			alone := Default()
			if err := alone.readFile(path, []byte(line)); err != nil {
				t.Errorf("%s: %s: %v", what, line, err)
				continue
			}
			if got, _ := alone.Get(name); got != value {
				t.Errorf("%s: %s is read as %q, want %q", what, line, got, value)
			}
		}
		// All of them.
		if err := os.WriteFile(path, []byte(printed.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		back := Default()
		if err := back.readFile(path, []byte(printed.String())); err != nil {
			t.Errorf("%s: %v in\n%s", what, err, &printed)
			continue
		}
		for _, name := range names {
			want, _ := s.Get(name)
			if got, _ := back.Get(name); got != want && !secret[name] {
				t.Errorf("%s: %s is read back as %q, want %q", what, name, got, want)
			}
		}
		for _, k := range Keys {
			if strings.Contains(k.Name, "credentials") {
				continue
			}
			if !reflect.DeepEqual(deref(back.field(k.Name)), deref(s.field(k.Name))) && fmt.Sprint(deref(s.field(k.Name))) != "[]" {
				t.Errorf("%s: %s: %v, want %v", what, k.Name, deref(back.field(k.Name)), deref(s.field(k.Name)))
			}
		}
	}
}

// unmade reports whether nobody made a setting that means something else once it is made.
func unmade(s *Settings, key string) bool {
	name, kinto := strings.CutPrefix(key, "kinto.")
	return kinto && !s.Kinto.IsSet(name) && (name == "includes" || strings.HasSuffix(name, "_hmac_secret"))
}

func deref(p any) any { return reflect.ValueOf(p).Elem().Interface() }
