package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nothingToTurn are settings that an ordinary kinto.ini of the reference has and that have
// nothing to turn here.
var nothingToTurn = []string{
	"cache_backend", "cache_url", "cache_prefix", "cache_hosts", "cache_max_size_bytes", "cache_pool_size", "cache_max_overflow", "cache_pool_recycle", "cache_pool_timeout", "cache_max_backlog",
	"storage_pool_size", "storage_max_overflow", "storage_pool_recycle", "storage_pool_timeout", "storage_max_backlog",
	"permission_backend", "permission_url", "permission_pool_size", "permission_max_overflow", "permission_pool_recycle", "permission_pool_timeout", "permission_max_backlog",
	"event_listeners", "event_listeners.mine.use", "statsd_url", "statsd_prefix", "statsd_backend", "prometheus_prefix", "newrelic_config", "newrelic_env", "sentry_dsn", "sentry_env",
	"profiler_enabled", "profiler_dir", "logging_renderer", "id_generator", "bucket_id_generator", "record_id_generator", "initialization_sequence", "pyramid.debug_notfound", "use",
	"http_api_version", "version_json_path", "error_info_link", "project_version", "heartbeat_timeout_seconds", "root_cache_expires_seconds", "account_validation", "mail.host",
	"attachment.keep_old_files", "attachment.aws.bucket_name", "attachment.resources.b.keep_old_files", "multiauth.authorization_policy", "multiauth.policy.google.state_length",
}

// told is what the command says.
func told(t *testing.T, lang string, environ []string, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := newApp(strings.NewReader(""), &stdout, &stderr, environ)
	code = a.run(t.Context(), append([]string{"--lang", lang}, args...))
	return code, stdout.String(), stderr.String()
}

// Each is passed over with one line by a settings file.
func TestWhatHasNothingToTurnIsPassedOverByFile(t *testing.T) {
	t.Attr("shows", "mend3")
	path := filepath.Join(t.TempDir(), "foyer.toml")
	for _, name := range nothingToTurn {
		if err := os.WriteFile(path, []byte("[kinto]\n"+`"`+name+"\" = \"x\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for lang, is := range map[string]string{"en": " is passed over: ", "fr": " est ignoré : "} {
			code, _, said := told(t, lang, nil, "settings", "--settings", path)
			if code != 0 || strings.Count(said, "\n") != 1 || !strings.Contains(said, name+is) || !strings.HasPrefix(said, path+":2") {
				t.Errorf("%s: %d %s", name, code, said)
			}
		}
	}
	// What nobody knows is refused in a file of ours.
	if err := os.WriteFile(path, []byte("[kinto]\ncache_bakend = \"x\"\npaginate_bye = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, said := told(t, "en", nil, "settings", "--settings", path); code != 2 || !strings.Contains(said, "cache_bakend") || !strings.Contains(said, `"paginate_by" is one`) {
		t.Errorf("unknown keys: %d %s", code, said)
	}
}

// Each is passed over with one line by the environment; variables of others are not
// spoken of, and a name that is nearly one of ours is.
func TestWhatHasNothingToTurnIsPassedOverByEnvironment(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, name := range nothingToTurn {
		variable := "KINTO_" + strings.ToUpper(strings.NewReplacer(".", "_").Replace(name))
		for lang, is := range map[string]string{"en": " is passed over: ", "fr": " est ignoré : "} {
			code, _, said := told(t, lang, []string{variable + "=x"}, "settings", "--settings", "")
			if code != 0 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, variable+is) {
				t.Errorf("%s: %d %s", variable, code, said)
			}
		}
	}
	for variable, want := range map[string]string{
		"KINTO_INI": "", "KINTO_PORT_8888_TCP": "", "KINTO_READONYL": "KINTO_READONLY is one", "KINTO_PAGINATEBY": "KINTO_PAGINATE_BY is one",
		"KINTO_MULTIAUTH_POLICY_ACCOUNT_COLOUR": "policies have no such setting", "KINTO_ATTACHMENT_RESOURCES_MY_BLOG_FOLDER": "the environment cannot tell which bucket",
	} {
		code, _, said := told(t, "en", []string{variable + "=x"}, "settings", "--settings", "")
		if code != 0 || !strings.Contains(said, want) || want == "" && said != "" {
			t.Errorf("%s: %d %q", variable, code, said)
		}
	}
}

// A settings file that somebody names is there, or they are told.
func TestSettingsThatAreNamedAreThere(t *testing.T) {
	t.Attr("shows", "mend3")
	path := filepath.Join(t.TempDir(), "foyre.toml")
	for _, args := range [][]string{{"settings"}, {"doctor"}, {"proxy", "nginx"}} {
		for lang, want := range map[string]string{"en": "There is no file " + path, "fr": "Il n'y a pas de fichier " + path} {
			code, out, said := told(t, lang, nil, append(args, "--settings", path)...)
			if code == 0 || !strings.Contains(out+said, want) {
				t.Errorf("%v: %d %s%s", args, code, out, said)
			}
		}
	}
}
