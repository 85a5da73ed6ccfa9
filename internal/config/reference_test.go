package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// doors are the ways by which the same settings of [kinto] come in.
var doors = []struct {
	name string
	load func(t *testing.T, settings map[string]string) (*Settings, error)
}{
	{"file", func(t *testing.T, settings map[string]string) (*Settings, error) {
		var b strings.Builder
		b.WriteString("[kinto]\n")
		for k, v := range settings {
			fmt.Fprintf(&b, "%q = %s\n", k, QuoteTOML(v))
		}
		path := filepath.Join(t.TempDir(), "foyer.toml")
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return Load(path, nil)
	}},
	{"environment", func(_ *testing.T, settings map[string]string) (*Settings, error) {
		var environ []string
		for k, v := range settings {
			environ = append(environ, "KINTO_"+strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(k))+"="+v)
		}
		return Load("", environ)
	}},
	{"kinto.ini", func(t *testing.T, settings map[string]string) (*Settings, error) {
		var b strings.Builder
		b.WriteString("[app:main]\nuse = egg:kinto\n")
		for k, v := range settings {
			if !strings.HasPrefix(k, "multiauth.") {
				k = "kinto." + k
			}
			fmt.Fprintf(&b, "%s = %s\n", k, strings.ReplaceAll(strings.ReplaceAll(v, "%", "%%"), "\n", "\n    "))
		}
		path := filepath.Join(t.TempDir(), "kinto.ini")
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return Load(path, nil)
	}},
}

// refused are settings by which no server comes to be, and what is said of it; taken are
// settings that are like them and good.
func everyDoor(t *testing.T, taken []map[string]string, refused map[string]map[string]string) {
	t.Helper()
	for _, door := range doors {
		for _, settings := range taken {
			if _, err := door.load(t, settings); err != nil {
				t.Errorf("%s: %v: %v", door.name, settings, err)
			}
		}
		for said, settings := range refused {
			_, err := door.load(t, settings)
			if err == nil {
				t.Errorf("%s: %v is taken", door.name, settings)
				continue
			}
			en, fr := hint.Describe(err, hint.EN), hint.Describe(err, hint.FR)
			if !strings.Contains(en, said) || fr == en {
				t.Errorf("%s: %v: it says %q, not %q", door.name, settings, en, said)
			}
			if hint.ExitCode(err) != hint.ExitUsage {
				t.Errorf("%s: %v: exit code %d", door.name, settings, hint.ExitCode(err))
			}
		}
	}
}

// The reference reads the text of a setting as JSON where it is JSON, and so do hosts who
// write it.
func TestValuesAreReadAsTheReferenceReadsThem(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, c := range []struct{ name, text, want string }{
		{"eos", `"2026-11-19"`, "2026-11-19"},
		{"eos", `2026-11-19`, "2026-11-19"},
		{"eos", ``, ""},
		{"eos_message", `"Client is too old"`, "Client is too old"},
		{"eos_message", `Client is "too" old`, `Client is "too" old`},
		{"eos_message", `"a \"b\" \u00e9"`, `a "b" é`},
		{"eos_message", `"\"x\""`, `"x"`},
		{"userid_hmac_secret", `"b4c96a86"`, "b4c96a86"},
		{"userid_hmac_secret", `12345678901234567890123`, "12345678901234567890123"},
		{"userid_hmac_secret", `1e5`, "1e5"},
		{"project_name", `null`, ""},
		{"bucket_create_principals", `["system.Everyone"]`, "system.Everyone"},
		{"bucket_create_principals", `["account:ann", "account:bob"]`, "account:ann account:bob"},
		{"bucket_create_principals", `"account:ann account:bob"`, "account:ann account:bob"},
		{"bucket_create_principals", "account:ann\n  account:bob\taccount:eve", "account:ann account:bob account:eve"},
		{"bucket_create_principals", `[]`, ""},
		{"cors_origins", `["https://a.example"]`, "https://a.example"},
		{"readonly", `true`, "true"},
		{"readonly", `"true"`, "true"},
		{"readonly", `True`, "true"},
		{"readonly", `1`, "true"},
		{"readonly", `"1"`, "true"},
		{"readonly", ` yes `, "true"},
		{"readonly", `on`, "true"},
		{"readonly", `0`, "false"},
		{"readonly", `null`, ""},
		{"paginate_by", `10`, "10"},
		{"paginate_by", `"10"`, "10"},
		{"paginate_by", ` 10 `, "10"},
		{"paginate_by", `10.0`, "10"},
		{"paginate_by", `1e3`, "1000"},
		{"paginate_by", `null`, ""},
		{"paginate_by", ``, ""},
	} {
		for _, door := range doors {
			s, err := door.load(t, map[string]string{c.name: c.text})
			if err != nil {
				t.Errorf("%s: %s = %s: %v", door.name, c.name, c.text, err)
				continue
			}
			if got := s.Kinto.String(c.name); got != c.want {
				t.Errorf("%s: %s = %s is %q, want %q", door.name, c.name, c.text, got, c.want)
			}
		}
	}
	everyDoor(t, nil, map[string]map[string]string{
		"text is needed":           {"project_name": `{"a": 1}`},
		"a list of text":           {"bucket_create_principals": `[1, 2]`},
		"words, or a list":         {"bucket_create_principals": `{"a": 1}`},
		"true or false":            {"readonly": `["true"]`},
		"a whole number is needed": {"paginate_by": `[1]`},
	})
	// As TOML has them.
	path := filepath.Join(t.TempDir(), "foyer.toml")
	for text, want := range map[string]string{
		"eos = 2026-11-19": "2026-11-19", "eos = 2026-11-19T00:00:00Z": "2026-11-19T00:00:00Z", "eos = '\"2026-11-19\"'": "2026-11-19",
		"bucket_create_principals = [\"account:ann\", \"account:bob\"]": "account:ann account:bob", "paginate_by = 10.0": "10", "readonly = 1": "true",
		"bucket_create_principals = [\"null\"]": "null", "project_name = \"[x\"": "[x",
	} {
		if err := os.WriteFile(path, []byte("[kinto]\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(path, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		name, _, _ := strings.Cut(text, " ")
		if got := s.Kinto.String(name); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

// A plugin that is not here would be missed by its clients.
func TestUnknownPluginsAreRefused(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{
		{"includes": "kinto.plugins.default_bucket kinto.plugins.history kinto.plugins.flush kinto.plugins.openid kinto.plugins.counters kinto_attachment"},
		{"includes": "kinto.plugins.accounts kinto.plugins.admin kinto.plugins.prometheus kinto.plugins.statsd kinto-attachment"},
		{"includes": ""},
		{"includes": "history"},
	}, map[string]map[string]string{
		`there is no plugin "kinto_changes" here; there are kinto.plugins.NAME with default_bucket`: {"includes": "kinto.plugins.history kinto_changes"},
		`there is no plugin "other.history"`:         {"includes": "other.history"},
		`there is no plugin "kinto_history"`:         {"includes": "kinto_history"},
		`there is no plugin "kinto.plugins.histroy"`: {"includes": "kinto.plugins.histroy"},
		`quotas.owner_max_records`:                   {"includes": "kinto.plugins.quotas"},
	})
	s, err := doors[0].load(t, map[string]string{"includes": "kinto.plugins.history kinto_attachment"})
	if err != nil {
		t.Fatal(err)
	}
	for plugin, on := range map[string]bool{"history": true, "attachment": true, "flush": false, "": false} {
		if got := s.Kinto.Includes(plugin); got != on {
			t.Errorf("%q is %v", plugin, got)
		}
	}
}

// A policy that is not here let nobody in, or another one did.
func TestUnknownPoliciesAreRefused(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{
		{"multiauth.policies": "account basicauth"},
		{"multiauth.policies": "account", "multiauth.policy.account.use": "kinto.plugins.accounts.AccountsPolicy"},
		{"multiauth.policies": "account", "multiauth.policy.account.use": "kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy"},
		{"multiauth.policies": "basicauth", "multiauth.policy.basicauth.use": "kinto.core.authentication.BasicAuthAuthenticationPolicy"},
		{"multiauth.policies": "account google", "multiauth.policy.google.use": "kinto.plugins.openid.OpenIDConnectPolicy", "multiauth.policy.google.issuer": "https://accounts.google.com"},
		{"multiauth.policies": "github", "multiauth.policy.github.userinfo_endpoint": "https://api.github.example/user"},
	}, map[string]map[string]string{
		`there is no policy "fxa" here; there are account, basicauth`: {"multiauth.policies": "fxa basicauth"},
		`multiauth.policy.google.issuer`:                              {"multiauth.policies": "google", "multiauth.policy.google.use": "kinto.plugins.openid.OpenIDConnectPolicy"},
		`there is no such policy here`:                                {"multiauth.policies": "account ipauth", "multiauth.policy.ipauth.use": "pyramid_ipauth.IPAuthentictionPolicy"},
		`no such policy here; there`:                                  {"multiauth.policies": "google", "multiauth.policy.google.use": "other.OpenIDConnectPolicy", "multiauth.policy.google.issuer": "https://id.example"},
		`this policy is named "account" here`:                         {"multiauth.policies": "local", "multiauth.policy.local.use": "kinto.plugins.accounts.AccountsPolicy"},
		`the policy named "account" is Kinto's own`:                   {"multiauth.policies": "account", "multiauth.policy.account.use": "kinto.core.authentication.BasicAuthAuthenticationPolicy"},
		`an address like https://`:                                    {"multiauth.policies": "google", "multiauth.policy.google.issuer": "accounts.google.com"},
	})
}

// The end of a service that is no day was logged, and never came.
func TestTheEndOfServiceIsADay(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{{"eos": "2030-01-31"}, {"eos": `"2030-01-31"`}, {"eos": "2030-01-31T12:00:00"}, {"eos": "2030-01-31T12:00:00+02:00"}, {"eos": ""}}, map[string]map[string]string{
		"a day, as YYYY-MM-DD": {"eos": "31.01.2030"},
		"as YYYY-MM-DD, or":    {"eos": "2030-02-30"},
		"YYYY-MM-DD, or empty": {"eos": "soon"},
	})
}

// With the plugin and without the policy clients are told of accounts that let nobody in.
func TestAccountsNeedTheirPolicy(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{
		{"includes": "kinto.plugins.accounts", "multiauth.policies": "account"},
		{"includes": "kinto.plugins.accounts"}, // account is what there is when nothing is said
		{"includes": "kinto.plugins.history", "multiauth.policies": "basicauth"},
		{"multiauth.policies": "basicauth"}, // as the documentation has it
	}, map[string]map[string]string{
		"account has to be among the policies": {"includes": "kinto.plugins.accounts", "multiauth.policies": "basicauth"},
		"so account has to be":                 {"includes": "kinto.plugins.accounts", "multiauth.policies": ""},
	})
}

// Who may make accounts and manages none could only ever make their own.
func TestWhoMakesAccountsManagesThem(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{
		{"account_create_principals": "system.Everyone"},
		{"account_create_principals": "system.Everyone", "account_write_principals": "account:admin"},
		{"account_create_principals": "account:admin /buckets/b/groups/g", "account_write_principals": "/buckets/b/groups/g account:admin account:other"},
		{"account_create_principals": "account:admin", "includes": "kinto.plugins.history"},
	}, map[string]map[string]string{
		"not named there: account:admin":                                             {"account_create_principals": "account:admin"},
		"not named there: account:ann":                                               {"account_create_principals": "account:admin account:ann", "account_write_principals": "account:admin"},
		"account_write_principals names, too; not named there: system.Authenticated": {"account_create_principals": "system.Authenticated system.Everyone"},
	})
}

// basicauth takes any name and password, so that what stands behind it is never asked.
func TestAccountsComeBeforeBasicAuth(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{{"multiauth.policies": "account basicauth"}}, map[string]map[string]string{
		"account has to stand before basicauth": {"multiauth.policies": "basicauth account"},
	})
}

// flush_endpoint_enabled is what the plugin flush was before it was one.
func TestTheOldNameOfFlush(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, door := range doors {
		for text, on := range map[string]bool{"true": true, `"true"`: true, "false": false, "": false} {
			s, err := door.load(t, map[string]string{"flush_endpoint_enabled": text})
			if err != nil {
				t.Errorf("%s: %v", door.name, err)
				continue
			}
			if got := s.Kinto.Includes("flush"); got != on || s.Kinto.Includes("history") {
				t.Errorf("%s: flush_endpoint_enabled = %s: the plugin flush is %v", door.name, text, got)
			}
		}
	}
}

// Numbers that mean nothing were taken, and something else was done.
func TestNumbersMeanSomething(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{
		{"trailing_slash_redirect_ttl_seconds": "-1"},
		{"version_prefix_redirect_ttl_seconds": "-1"},
		{"history.auto_trim_max_count": "-1"},
		{"paginate_by": "0"},
		{"backoff_percentage": "100"},
		{"batch_max_requests": "0"},
		{"account_password_min_length": "72"},
	}, map[string]map[string]string{
		"a whole number from 0 up":     {"paginate_by": "-1"},
		"number from 0 up":             {"batch_max_requests": "-25"},
		"from 0 up":                    {"blog.record_cache_expires_seconds": "-1"},
		"a whole number from -1 up":    {"trailing_slash_redirect_ttl_seconds": "-2"},
		"a whole number from 1 up":     {"storage_max_fetch_size": "0"},
		"a whole number from 0 to 100": {"backoff_percentage": "101"},
		"a whole number from 1 to 72":  {"account_password_min_length": "73"},
		"a whole number is needed":     {"retry_after_seconds": "2.5"},
		"whole number is needed":       {"retry_after_seconds": "three"},
		"number is needed":             {"multiauth.policy.a.verification_ttl_seconds": "day"},
	})
}

// Names of patterns in which a word is wrong were taken, and did nothing.
func TestNamesThatMeanNothingAreRefused(t *testing.T) {
	t.Attr("shows", "mend3")
	for name, near := range map[string]string{
		"records_read_principals": "record_read_principals", "record_raed_principals": "record_read_principals", "buckets_create_principals": "bucket_create_principals",
		"plural_buckets_post_enabled": "plural_bucket_post_enabled", "plural_bucket_put_enabled": "", "object_record_destroy_enabled": "", "records_cache_expires_seconds": "record_cache_expires_seconds",
		"attachment.resources.b.max_size": "",
	} {
		_, err := doors[0].load(t, map[string]string{name: "1"})
		if err == nil || !strings.Contains(hint.Describe(err, hint.EN), "there is no such key") || near != "" && !strings.Contains(err.Error(), `"`+near+`" is one`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"record_read_principals": "x", "bucket_collection_create_principals": "x", "history_read_principals": "x", "plural_history_delete_enabled": "no", "object_account_patch_enabled": "no",
		"a-b.record_cache_expires_seconds": "3", "a.b.record_cache_expires_seconds": "3", "a_b_record_cache_expires_seconds": "3", "attachment.resources.b.c.max_size_bytes": "3",
	} {
		if s, err := doors[0].load(t, map[string]string{name: text}); err != nil || s.Kinto.String(name) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The reference's documentation has variables named as settings are, and names of a
// host's own have letters of their own.
func TestVariablesAreNamedAsSettings(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, c := range []struct {
		environ    []string
		name, want string
	}{
		{[]string{"MULTIAUTH_POLICIES=basicauth"}, "multiauth.policies", "basicauth"},
		{[]string{"MULTIAUTH_POLICIES=basicauth", "KINTO_MULTIAUTH_POLICIES=account"}, "multiauth.policies", "account"},
		{[]string{"KINTO_MULTIAUTH_POLICIES=account", "MULTIAUTH_POLICIES=basicauth"}, "multiauth.policies", "account"},
		{[]string{"MULTIAUTH_POLICY_MY_IDP_ISSUER=https://id.example", "MULTIAUTH_POLICIES=my-idp"}, "multiauth.policy.my-idp.issuer", "https://id.example"},
		{[]string{"KINTO_MULTIAUTH_POLICY_AUTH0_ISSUER=https://id.example", "KINTO_MULTIAUTH_POLICIES=Auth0"}, "multiauth.policy.Auth0.issuer", "https://id.example"},
		{[]string{"KINTO_BLOG_RECORD_CACHE_EXPIRES_SECONDS=30"}, "blog_record_cache_expires_seconds", "30"},
		{[]string{"KINTO_ATTACHMENT_RESOURCES_BLOG_MAX_SIZE_BYTES=30"}, "attachment.resources.blog.max_size_bytes", "30"},
	} {
		s, err := Load("", c.environ)
		if err != nil {
			t.Errorf("%v: %v", c.environ, err)
			continue
		}
		if got := s.Kinto.String(c.name); got != c.want {
			t.Errorf("%v: %s is %q, want %q", c.environ, c.name, got, c.want)
		}
	}
	// What a file has is meant, whatever its letters are.
	path := filepath.Join(t.TempDir(), "foyer.toml")
	if err := os.WriteFile(path, []byte("[kinto]\n\"Blog.Posts.record_cache_expires_seconds\" = 3\n\"attachment.resources.my_Blog.posts.folder\" = \"a\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(path, []string{"KINTO_BLOG_POSTS_RECORD_CACHE_EXPIRES_SECONDS=30", "KINTO_ATTACHMENT_RESOURCES_MY_BLOG_POSTS_FOLDER=b"})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := s.Kinto.String("Blog.Posts.record_cache_expires_seconds"), s.Kinto.String("attachment.resources.my_Blog.posts.folder"); a != "30" || b != "b" {
		t.Errorf("of the file and the environment: %q, %q", a, b)
	}
}

// Data went to SQLite where the settings said PostgreSQL.
func TestTheDatabaseIsTheOneThatIsNamed(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{
		{"storage_backend": "kinto.core.storage.memory"},
		{"storage_backend": "kinto.core.storage.postgresql", "storage_url": "postgresql://u:p@db/kinto"},
	}, map[string]map[string]string{
		"storage_url has to be its address": {"storage_backend": "kinto.core.storage.postgresql"},
		"storage_url has to be":             {"storage_backend": "kinto.core.storage.postgresql", "storage_url": "redis://localhost"},
	})
	for _, door := range doors {
		s, err := door.load(t, map[string]string{"storage_url": "postgresql+psycopg2://u:p%40@db/kinto"})
		if err != nil {
			t.Errorf("%s: %v", door.name, err)
		} else if got := s.PostgreSQL(); got != "postgresql://u:p%40@db/kinto" {
			t.Errorf("%s: %q", door.name, got)
		}
	}
}

// What this server says its address is has to be one.
func TestTheServersOwnAddressIsOne(t *testing.T) {
	t.Attr("shows", "mend3")
	everyDoor(t, []map[string]string{
		{"http_scheme": "https", "http_host": "cloud.example"}, {"http_host": "cloud.example:8443"}, {"http_host": "[::1]:8888"}, {"http_scheme": "", "http_host": ""},
	}, map[string]map[string]string{
		"http, https, or empty":             {"http_scheme": "https://"},
		"a name with or without a port":     {"http_host": "https://cloud.example"},
		"with or without a port, like":      {"http_host": "cloud.example/v1"},
		"a name with or without a port, li": {"http_host": "a b"},
	})
}

// One mistake was told at a time where the environment had one.
func TestMistakesOfFileAndEnvironmentAreToldAtOnce(t *testing.T) {
	t.Attr("shows", "mend3")
	path := filepath.Join(t.TempDir(), "foyer.toml")
	if err := os.WriteFile(path, []byte("nmae = \"x\"\nhttp_port = 0\n[kinto]\nreadonly = \"maybe\"\neos = \"soon\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, []string{"KINTO_PAGINATE_BY=x", "KINTO_BACKOFF=y", "FOYER_HTTPS_PORT=z", "KINTO_INCLUDES=kinto_x"})
	for _, l := range hint.Langs {
		said := hint.Describe(err, l)
		for _, want := range []string{`foyer.toml:1`, `foyer.toml:2`, `foyer.toml:4`, `foyer.toml:5`, "KINTO_PAGINATE_BY", "KINTO_BACKOFF", "FOYER_HTTPS_PORT", "KINTO_INCLUDES"} {
			if !strings.Contains(said, want) {
				t.Errorf("it does not speak of %s: %s", want, said)
			}
		}
	}
}
