package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostIni is a configuration of the reference: what it generates, or what a page of its
// documentation shows, the same settings as variables of the environment, and what is said
// to be passed over, by key.
type hostIni struct {
	name, ini string
	environ   []string
	passed    []string
}

// logging is what every generated file ends in.
const logging = `
[loggers]
keys = root, kinto

[handlers]
keys = console

[formatters]
keys = color

[logger_root]
level = INFO
handlers = console

[logger_kinto]
level = DEBUG
handlers = console
qualname = kinto
propagate = 0

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = color

[formatter_color]
class = logging_color_formatter.ColorFormatter
format = %(asctime)s %(levelname)-5.5s [%(name)s] %(message)s
`

var loggingSections = []string{"[loggers]", "[handlers]", "[formatters]", "[logger_root]", "[logger_kinto]", "[handler_console]", "[formatter_color]"}

// backends are what every host has of them. DATABASE is put in.
const backends = `
kinto.storage_backend = kinto.core.storage.postgresql
kinto.storage_url = DATABASE
kinto.cache_backend = kinto.core.cache.postgresql
kinto.cache_url = DATABASE
kinto.permission_backend = kinto.core.permission.postgresql
kinto.permission_url = DATABASE
`

var hosts = []hostIni{
	{
		"generated, in memory", `# Made by the reference's command init, with the storage in memory.

[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = %(http_port)s


[app:main]
use = egg:kinto

# What it does.
#
# kinto.readonly = false
# kinto.batch_max_requests = 25
# kinto.paginate_by =
# kinto.experimental_collection_schema_validation = false

# Plugins, one a line; those that are not wanted are comments.
kinto.includes = kinto.plugins.default_bucket
                 kinto.plugins.admin
                 kinto.plugins.accounts
#                kinto.plugins.history
#                kinto.plugins.quotas

# Where things are kept.
kinto.storage_backend = kinto.core.storage.memory
kinto.storage_url =
# kinto.storage_pool_size = 25
kinto.cache_backend = kinto.core.cache.memory
kinto.cache_url =
kinto.permission_backend = kinto.core.permission.memory
kinto.permission_url =

# Who comes in.
kinto.userid_hmac_secret = ac163234096a6b1f054fb9dc3717a5958f5e27430e648855294025fd3bb22848
multiauth.policies = account
kinto.default_bucket_hmac_secret = 9f01a82ac4f7b3d083d998dcf3da497cdf7cbc135745bc8c03273af10ed7203f
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy
kinto.account_create_principals = system.Everyone
kinto.account_write_principals = account:admin
kinto.bucket_create_principals = account:admin
` + logging,
		[]string{
			"KINTO_INCLUDES=kinto.plugins.default_bucket kinto.plugins.admin kinto.plugins.accounts", "KINTO_STORAGE_BACKEND=kinto.core.storage.memory", "KINTO_STORAGE_URL=",
			"KINTO_CACHE_BACKEND=kinto.core.cache.memory", "KINTO_PERMISSION_BACKEND=kinto.core.permission.memory",
			"KINTO_USERID_HMAC_SECRET=ac163234096a6b1f054fb9dc3717a5958f5e27430e648855294025fd3bb22848", "KINTO_DEFAULT_BUCKET_HMAC_SECRET=9f01a82ac4f7b3d083d998dcf3da497cdf7cbc135745bc8c03273af10ed7203f",
			"MULTIAUTH_POLICIES=account", "MULTIAUTH_POLICY_ACCOUNT_USE=kinto.plugins.accounts.AccountsPolicy",
			"KINTO_ACCOUNT_CREATE_PRINCIPALS=system.Everyone", "KINTO_ACCOUNT_WRITE_PRINCIPALS=account:admin", "KINTO_BUCKET_CREATE_PRINCIPALS=account:admin",
		},
		append([]string{"[server:main]", "kinto.cache_backend", "kinto.cache_url", "kinto.permission_backend", "kinto.permission_url", "kinto.plugins.admin", "storage_backend"}, loggingSections...),
	},

	{
		"postgresql, for production", `[DEFAULT]
password = p%%40

[server:main]
use = egg:waitress#main
host = 0.0.0.0
port = 8888

[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.counters
` + backends + `
kinto.storage_pool_size = 50
kinto.storage_max_overflow = 5
kinto.storage_pool_recycle = -1
kinto.storage_pool_timeout = 30
kinto.storage_max_backlog = -1
kinto.cache_pool_size = 50
kinto.cache_prefix = kinto
kinto.cache_hosts = 127.0.0.1:11211 127.0.0.2:11211
kinto.cache_max_size_bytes = 524288
kinto.permission_pool_size = 50
multiauth.policies = account basicauth
kinto.userid_hmac_secret = %(password)s
kinto.http_scheme = https
kinto.http_host = cdn.example
kinto.paginate_by = 100
kinto.batch_max_requests = 25
kinto.bucket_read_principals = system.Authenticated
kinto.statsd_url = udp://carbon.server:8125
kinto.statsd_prefix = kinto-prod
kinto.statsd_backend = kinto.core.statsd
kinto.prometheus_prefix = kinto-prod
kinto.newrelic_config = /location/of/newrelic.ini
kinto.newrelic_env = prod
kinto.sentry_dsn = https://userid@o1.ingest.example/1
kinto.sentry_env = stage
kinto.logging_renderer = your_log_renderer.CustomRenderer
kinto.event_listeners = mylistener
kinto.event_listeners.mylistener.use = mylistener.listeners
kinto.event_listeners.mylistener.actions = create
kinto.event_listeners.mylistener.resources = bucket collection
kinto.record_id_generator = name_generator.RecordGenerator
kinto.initialization_sequence = kinto.core.initialization.setup_logging
                                kinto.core.initialization.setup_storage
pyramid.debug_notfound = false
kinto.version_json_path = ./version.json
kinto.error_info_link = https://errors.example/
kinto.project_version = 1.0
kinto.project_name = "Ours"
kinto.heartbeat_timeout_seconds = 10
kinto.profiler_enabled = true
kinto.profiler_dir = /tmp/profiling
kinto.root_cache_expires_seconds = 86400
kinto.record_cache_expires_seconds = 3600
kinto.blog.record_cache_expires_seconds = 30
kinto.blog.articles.record_cache_expires_seconds = 3600
kinto.plural_group_post_enabled = false
kinto.object_record_delete_enabled = false
kinto.cors_origins = ["https://app.example", "https://other.example"]
kinto.backoff = 10
kinto.retry_after_seconds = 30
kinto.eos = "2031-01-22"
kinto.eos_message = "Client is too old"
kinto.eos_url = https://website.example/info-shutdown.html
kinto.experimental_permissions_endpoint = true
kinto.experimental_collection_schema_validation = True
kinto.signer.to_be_signed = a/b
fxa-oauth.cache_ttl_seconds = 3600

[uwsgi]
wsgi-file = app.wsgi
socket = /var/run/uwsgi/kinto.sock
` + logging,
		[]string{
			"KINTO_INCLUDES=kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.counters", "KINTO_STORAGE_BACKEND=kinto.core.storage.postgresql", "KINTO_STORAGE_URL=DATABASE",
			"KINTO_MULTIAUTH_POLICIES=account basicauth", "KINTO_USERID_HMAC_SECRET=p%40", "KINTO_HTTP_SCHEME=https", "KINTO_HTTP_HOST=cdn.example", "KINTO_PAGINATE_BY=100", "KINTO_BATCH_MAX_REQUESTS=25",
			"KINTO_BUCKET_READ_PRINCIPALS=system.Authenticated", "KINTO_PROJECT_NAME=Ours", "KINTO_RECORD_CACHE_EXPIRES_SECONDS=3600", "KINTO_BLOG_RECORD_CACHE_EXPIRES_SECONDS=30",
			"KINTO_BLOG_ARTICLES_RECORD_CACHE_EXPIRES_SECONDS=3600", "KINTO_PLURAL_GROUP_POST_ENABLED=false", "KINTO_OBJECT_RECORD_DELETE_ENABLED=false",
			"KINTO_CORS_ORIGINS=https://app.example https://other.example", "KINTO_BACKOFF=10", "KINTO_RETRY_AFTER_SECONDS=30", "KINTO_EOS=2031-01-22", "KINTO_EOS_MESSAGE=Client is too old",
			"KINTO_EOS_URL=https://website.example/info-shutdown.html", "KINTO_EXPERIMENTAL_PERMISSIONS_ENDPOINT=true", "KINTO_EXPERIMENTAL_COLLECTION_SCHEMA_VALIDATION=true",
		},
		append([]string{
			"[DEFAULT]", "[server:main]", "[uwsgi]", "kinto.cache_backend", "kinto.cache_url", "kinto.permission_backend", "kinto.permission_url", "kinto.storage_pool_size", "kinto.storage_max_overflow",
			"kinto.storage_pool_recycle", "kinto.storage_pool_timeout", "kinto.storage_max_backlog", "kinto.cache_pool_size", "kinto.cache_prefix", "kinto.cache_hosts", "kinto.cache_max_size_bytes",
			"kinto.permission_pool_size", "kinto.statsd_url", "kinto.statsd_prefix", "kinto.statsd_backend", "kinto.prometheus_prefix", "kinto.newrelic_config", "kinto.newrelic_env", "kinto.sentry_dsn",
			"kinto.sentry_env", "kinto.logging_renderer", "kinto.event_listeners", "kinto.event_listeners.mylistener.use", "kinto.event_listeners.mylistener.actions",
			"kinto.event_listeners.mylistener.resources", "kinto.record_id_generator", "kinto.initialization_sequence", "pyramid.debug_notfound", "kinto.version_json_path", "kinto.error_info_link",
			"kinto.project_version", "kinto.heartbeat_timeout_seconds", "kinto.profiler_enabled", "kinto.profiler_dir", "kinto.root_cache_expires_seconds", "kinto.signer.to_be_signed",
			"fxa-oauth.cache_ttl_seconds",
		}, loggingSections...),
	},

	{"accounts", `[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.accounts
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy
kinto.account_create_principals = system.Everyone
kinto.account_write_principals = account:admin /buckets/bid/groups/admin
kinto.account_read_principals = account:admin /buckets/bid/groups/admin
kinto.account_cache_ttl_seconds = 30
kinto.account_validation = false
`, []string{
		"KINTO_INCLUDES=kinto.plugins.accounts", "KINTO_MULTIAUTH_POLICIES=account", "KINTO_MULTIAUTH_POLICY_ACCOUNT_USE=kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy",
		"KINTO_ACCOUNT_CREATE_PRINCIPALS=system.Everyone", `KINTO_ACCOUNT_WRITE_PRINCIPALS=["account:admin", "/buckets/bid/groups/admin"]`,
		"KINTO_ACCOUNT_READ_PRINCIPALS=account:admin /buckets/bid/groups/admin", "KINTO_ACCOUNT_CACHE_TTL_SECONDS=30", "KINTO_ACCOUNT_VALIDATION=false",
	}, []string{"kinto.account_validation"}},

	{"default_bucket, basicauth", `[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.default_bucket
multiauth.policies = basicauth
kinto.userid_hmac_secret = have-you-seen-the-new-carioca
kinto.default_bucket_hmac_secret = bucket-id-random-salt-garam
multiauth.policy.basicauth.use = kinto.core.authentication.BasicAuthAuthenticationPolicy
`, []string{
		"KINTO_INCLUDES=kinto.plugins.default_bucket", "KINTO_MULTIAUTH_POLICIES=basicauth", "KINTO_USERID_HMAC_SECRET=have-you-seen-the-new-carioca",
		`KINTO_DEFAULT_BUCKET_HMAC_SECRET="bucket-id-random-salt-garam"`, "KINTO_MULTIAUTH_POLICY_BASICAUTH_USE=kinto.core.authentication.BasicAuthAuthenticationPolicy",
	}, nil},

	{"history", `[app:main]
use = egg:kinto
includes = kinto.plugins.history kinto.plugins.default_bucket
kinto.history.exclude_resources = /buckets/preview
                                  /buckets/signed/collections/certificates
kinto.history.exclude_user_ids = account:robot
kinto.history.auto_trim_max_count = 5
kinto.history.auto_trim_threshold = 2
kinto.userid_hmac_secret = secret
multiauth.policies = account basicauth
`, []string{
		"KINTO_INCLUDES=kinto.plugins.history kinto.plugins.default_bucket", "KINTO_HISTORY_EXCLUDE_RESOURCES=/buckets/preview\n/buckets/signed/collections/certificates",
		"KINTO_HISTORY_EXCLUDE_USER_IDS=account:robot", "KINTO_HISTORY_AUTO_TRIM_MAX_COUNT=5", "KINTO_HISTORY_AUTO_TRIM_THRESHOLD=2", "KINTO_USERID_HMAC_SECRET=secret", "KINTO_MULTIAUTH_POLICIES=account basicauth",
	}, nil},

	{"attachments", `[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.default_bucket
                 kinto_attachment

                 kinto.plugins.accounts
kinto.attachment.base_url = https://cdn.example/files/
kinto.attachment.folder = {bucket_id}/{collection_id}
kinto.attachment.keep_old_files = true
kinto.attachment.base_path = %(here)s/files
kinto.attachment.extensions = any
kinto.attachment.mimetypes = .ftl:application/vnd.fluent;.db:application/vnd.sqlite3
kinto.attachment.resources.blog.keep_old_files = false
kinto.attachment.resources.blog.extensions = exe+audio
kinto.attachment.resources.blog.articles.folder = articles-images
`, []string{
		"KINTO_INCLUDES=kinto.plugins.default_bucket kinto_attachment kinto.plugins.accounts", "KINTO_ATTACHMENT_BASE_URL=https://cdn.example/files/", "KINTO_ATTACHMENT_FOLDER={bucket_id}/{collection_id}",
		"KINTO_ATTACHMENT_KEEP_OLD_FILES=true", "KINTO_ATTACHMENT_BASE_PATH=HERE/files", "KINTO_ATTACHMENT_EXTENSIONS=any", "KINTO_ATTACHMENT_MIMETYPES=.ftl:application/vnd.fluent;.db:application/vnd.sqlite3",
		"KINTO_ATTACHMENT_RESOURCES_BLOG_EXTENSIONS=exe+audio", "KINTO_ATTACHMENT_RESOURCES_BLOG_ARTICLES_FOLDER=articles-images",
	}, []string{"kinto.attachment.keep_old_files", "kinto.attachment.resources.blog.keep_old_files"}},

	{"openid and multiauth", `[app:main]
use = egg:kinto#main
kinto.includes = kinto.plugins.openid
                 kinto.plugins.accounts
kinto.userid_hmac_secret = secret
multiauth.policies = account google auth0 basicauth
multiauth.policy.google.use = kinto.plugins.openid.OpenIDConnectPolicy
multiauth.policy.google.issuer = http://127.0.0.1:9
multiauth.policy.google.client_id = 42XXXX365001.apps.example
multiauth.policy.google.client_secret = UAlL-054uyh5in4b6u8jhg5o3hnj
multiauth.policy.google.userid_field = email
multiauth.policy.google.header_type = Bearer+OIDC
multiauth.policy.google.verification_ttl_seconds = 86400
multiauth.policy.google.state_ttl_seconds = 3600
multiauth.policy.google.state_length = 32
multiauth.policy.auth0.use = kinto.plugins.openid.OpenIDConnectPolicy
multiauth.policy.auth0.issuer = http://127.0.0.1:9/auth0
multiauth.policy.fxa.use = kinto_fxa.authentication.FxAOAuthAuthenticationPolicy
multiauth.authorization_policy = kinto.authorization.AuthorizationPolicy
`, []string{
		"KINTO_INCLUDES=kinto.plugins.openid kinto.plugins.accounts", "KINTO_USERID_HMAC_SECRET=secret", "MULTIAUTH_POLICIES=account google auth0 basicauth",
		"MULTIAUTH_POLICY_GOOGLE_USE=kinto.plugins.openid.OpenIDConnectPolicy", "MULTIAUTH_POLICY_GOOGLE_ISSUER=http://127.0.0.1:9", "MULTIAUTH_POLICY_GOOGLE_CLIENT_ID=42XXXX365001.apps.example",
		"MULTIAUTH_POLICY_GOOGLE_CLIENT_SECRET=UAlL-054uyh5in4b6u8jhg5o3hnj", "MULTIAUTH_POLICY_GOOGLE_USERID_FIELD=email", "MULTIAUTH_POLICY_GOOGLE_HEADER_TYPE=Bearer+OIDC",
		"KINTO_MULTIAUTH_POLICY_GOOGLE_VERIFICATION_TTL_SECONDS=86400", "KINTO_MULTIAUTH_POLICY_GOOGLE_STATE_TTL_SECONDS=3600",
		"KINTO_MULTIAUTH_POLICY_AUTH0_USE=kinto.plugins.openid.OpenIDConnectPolicy", "KINTO_MULTIAUTH_POLICY_AUTH0_ISSUER=http://127.0.0.1:9/auth0",
	}, []string{"multiauth.policy.google.state_length", "multiauth.authorization_policy", "multiauth.policy.fxa.*"}},

	{"flush", `[pipeline:main]
pipeline = sentry kinto

[filter:sentry]
use = egg:raven#raven

[app:kinto]
use = egg:kinto
kinto.flush_endpoint_enabled = true
multiauth.policies = account
`, []string{"KINTO_FLUSH_ENDPOINT_ENABLED=true", "KINTO_MULTIAUTH_POLICIES=account"}, []string{"[pipeline:main]", "[filter:sentry]"}},
}

// in puts the addresses in that a test has.
func (h hostIni) in(dir, database string) (ini string, environ []string) {
	put := strings.NewReplacer("DATABASE", database, "HERE", dir)
	for _, kv := range h.environ {
		environ = append(environ, put.Replace(kv))
	}
	return strings.ReplaceAll(put.Replace(h.ini), database, strings.ReplaceAll(database, "%", "%%")), environ
}

const someDatabase = "postgresql://dbuser:p%40ss@localhost/dbname"

// A host's kinto.ini is read as it is: what has no effect is told of, each in one line,
// and nothing else is.
func TestAKintoINIIsRead(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, h := range hosts {
		t.Run(h.name, func(t *testing.T) {
			dir := t.TempDir()
			ini, environ := h.in(dir, someDatabase)
			path := filepath.Join(dir, "kinto.ini")
			if err := os.WriteFile(path, []byte("\ufeff"+strings.ReplaceAll(ini, "\n", "\r\n")), 0o600); err != nil { // as Notepad leaves it
				t.Fatal(err)
			}
			for lang, is := range map[string]string{"en": " is passed over: ", "fr": " est ignoré : "} {
				code, out, said := moving(t, lang, nil, "settings", "--settings", path)
				if code != 0 {
					t.Fatalf("%s: %d %s", lang, code, said)
				}
				if strings.Contains(out, "p%40ss") || strings.Contains(said, "ss@localhost") {
					t.Errorf("%s: a secret is shown", lang)
				}
				var passed []string
				for line := range strings.Lines(said) {
					before, _, ok := strings.Cut(line, is)
					if !ok || !strings.HasPrefix(line, path+":") {
						t.Errorf("%s: %s", lang, line)
						continue
					}
					passed = append(passed, before[strings.LastIndexByte(before, ' ')+1:])
				}
				if !slices.Equal(slices.Sorted(slices.Values(passed)), slices.Sorted(slices.Values(h.passed))) {
					t.Errorf("%s: passed over are\n%q, want\n%q", lang, passed, h.passed)
				}
			}
			// By a name that says nothing, as a pipe has none.
			other := filepath.Join(dir, "settings")
			if err := os.WriteFile(other, []byte(ini), 0o600); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(ini, "[app:") {
				if code, _, said := moving(t, "en", nil, "settings", "--settings", other); code != 0 {
					t.Errorf("by its form: %s", said)
				}
			}
			// The environment means the same.
			want, got := values(t, nil, "--settings", path), values(t, environ)
			for key := range want {
				if key == "kinto.attachment.resources.blog.articles.folder" || strings.HasPrefix(key, "kinto.multiauth.policy.fxa.") || strings.HasPrefix(key, "kinto.blog") {
					continue // the environment cannot say where a bucket's name ends
				}
				if got[key] != want[key] {
					t.Errorf("%s is %q by the file and %q by the environment", key, want[key], got[key])
				}
			}
		})
	}
}

// moving is what the command says to a host who moves.
func moving(t *testing.T, lang string, environ []string, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := newApp(strings.NewReader(""), &stdout, &stderr, environ)
	code = a.run(t.Context(), append([]string{"--lang", lang}, args...))
	return code, stdout.String(), stderr.String()
}

// values are all settings as `foyer settings --json --with-secrets` tells them.
func values(t *testing.T, environ []string, args ...string) map[string]string {
	t.Helper()
	code, out, said := moving(t, "en", environ, append([]string{"settings", "--json", "--with-secrets"}, args...)...)
	var got struct {
		Settings []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("%d, %v: %s%s", code, err, out, said)
	}
	all := map[string]string{}
	for _, s := range got.Settings {
		all[s.Key] = s.Value
	}
	return all
}

// A host that moves writes what `foyer settings` prints of their kinto.ini into a
// foyer.toml, and has the same settings.
func TestSettingsOfAKintoINIAreAFile(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, h := range hosts {
		t.Run(h.name, func(t *testing.T) {
			dir := t.TempDir()
			ini, _ := h.in(dir, someDatabase)
			path, toml := filepath.Join(dir, "kinto.ini"), filepath.Join(dir, "foyer.toml")
			if err := os.WriteFile(path, []byte(ini), 0o600); err != nil {
				t.Fatal(err)
			}
			want := values(t, nil, "--settings", path)
			code, printed, said := moving(t, "en", nil, "settings", "--with-secrets", "--settings", path)
			if code != 0 {
				t.Fatal(said)
			}
			if err := os.WriteFile(toml, []byte(printed), 0o600); err != nil {
				t.Fatal(err)
			}
			got := values(t, nil, "--settings", toml)
			for key := range want {
				if got[key] != want[key] {
					t.Errorf("%s is %q when it is written, and was %q", key, got[key], want[key])
				}
			}
			for _, name := range []string{"userid_hmac_secret", "default_bucket_hmac_secret"} {
				if made := strings.Contains(ini, name); made != strings.Contains(printed, "\nkinto."+name) {
					t.Errorf("%s was set: %v, and is not so in\n%s", name, made, printed)
				}
			}
			// Without its secrets it is still a file.
			if code, printed, said = moving(t, "en", nil, "settings", "--settings", path); code != 0 {
				t.Fatal(said)
			}
			if err := os.WriteFile(toml, []byte(printed), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, _, said := moving(t, "en", nil, "settings", "--settings", toml); code != 0 && !strings.Contains(said, "storage_url") {
				t.Error(said)
			}
		})
	}
}

// What is wrong with a kinto.ini is told with its line, all of it at once.
func TestMistakesInAKintoINIAreTold(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, c := range []struct {
		ini  string
		want []string
	}{
		{
			"[app:main]\nuse = egg:kinto\nkinto.readonly = maybe\nkinto.paginate_by = x\nkinto.eos = soon\nkinto.includes = kinto_changes\nmultiauth.policies = fxa\n",
			[]string{"kinto.ini:3: the key \"kinto.readonly\" is not right: true or false", "kinto.ini:4: ", "kinto.ini:5: ", "kinto.ini:6: ", "kinto.ini:7: "},
		},
		{"[app:main]\nnothing\n[app:main]\na = 1\na = 2\n[open\n", []string{"kinto.ini:2: this is not right: KEY = VALUE is needed", "kinto.ini:3: the key \"[app:main]\" is not right: this section is there already", "kinto.ini:5: ", "kinto.ini:6: "}},
		{"kinto.readonly = true\n", []string{"kinto.ini:1: this is not right: a section like [app:main] has to come first", "there is no section [app:main]"}},
		{"[app:main]\nuse = egg:other\n", []string{"kinto.ini:2: the key \"use\" is not right: egg:kinto is needed"}},
		{"[app:main]\nuse = config:common.ini\n", []string{"the settings of common.ini are not read"}},
		{"[app:main]\nkinto.project_name = %(nobody)s\nkinto.project_docs = 100%\nkinto.eos_url = %(kinto.eos_url)s\n", []string{"kinto.ini:2: the key \"kinto.project_name\" is not right: there is no value \"nobody\" for %(nobody)s", "kinto.ini:3: the key \"kinto.project_docs\" is not right: a % of its own is written %%", "kinto.ini:4: "}},
		{"[app:main]\nkinto.readonly = true\nreadonly = false\n", []string{"kinto.ini:3: the key \"readonly\" is not right: line 2 has kinto.readonly with another value"}},
		{"[app:main]\nkinto.project_name = \xff\n", []string{"the file is not UTF-8"}},
		{"", []string{"there is no section [app:main]"}},
	} {
		path := filepath.Join(t.TempDir(), "kinto.ini")
		if err := os.WriteFile(path, []byte(c.ini), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, said := moving(t, "en", nil, "settings", "--settings", path)
		if code != 2 {
			t.Errorf("%q: exit code %d: %s", c.ini, code, said)
		}
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%q: it does not say %q: %s", c.ini, want, said)
			}
		}
		_, _, french := moving(t, "fr", nil, "settings", "--settings", path)
		if strings.Contains(french, "is not right") || strings.Contains(french, "there is") || !strings.Contains(french, "ne convient pas") {
			t.Errorf("%q: %s", c.ini, french)
		}
	}
}
