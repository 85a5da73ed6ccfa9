package installer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// commands notes what is run.
type commands []string

func (c *commands) Run(_ context.Context, name string, args ...string) (string, error) {
	*c = append(*c, strings.Join(append([]string{name}, args...), " "))
	return "", nil
}

func TestTrustStores(t *testing.T) {
	const before = `{"policies":{"Certificates":{"Install":["theirs.crt"]},"DisableTelemetry":true}}`
	for name, c := range map[string]struct {
		dirs    []string
		policy  string // of a Firefox; empty: there is none
		command string
		files   int
	}{
		"Debian":                       {[]string{"/usr/local/share/ca-certificates"}, "", "update-ca-certificates --fresh", 1},
		"Debian with Firefox":          {[]string{"/usr/local/share/ca-certificates", "/usr/bin/firefox-esr"}, "", "update-ca-certificates --fresh", 2},
		"Fedora with policies already": {[]string{"/etc/pki/ca-trust/source/anchors", "/usr/bin/firefox"}, before, "update-ca-trust extract", 2},
		"SUSE":                         {[]string{"/etc/pki/trust/anchors"}, "", "update-ca-certificates", 1},
		"Arch":                         {[]string{"/etc/ca-certificates/trust-source/anchors"}, "", "trust extract-compat", 1},
	} {
		t.Run(name, func(t *testing.T) {
			root, ran := t.TempDir(), &commands{}
			s := TrustStore{Root: root, Runner: ran}
			for _, d := range c.dirs {
				if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if c.policy != "" {
				if _, err := s.put(firefoxPolicy, []byte(c.policy)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 2 {
				files, err := s.Install(t.Context(), []byte("the certificate"))
				if err != nil || i == 0 && len(files) != c.files || i == 1 && len(files) != 0 {
					t.Fatalf("time %d: wrote %v, %v", i+1, files, err)
				}
			}
			if got, err := os.ReadFile(filepath.Join(root, c.dirs[0], anchorFile)); err != nil || string(got) != "the certificate" {
				t.Errorf("%q, %v", got, err)
			}
			if len(c.dirs) > 1 {
				got, err := os.ReadFile(filepath.Join(root, firefoxPolicy))
				if err != nil || strings.Count(string(got), firefoxAnchors) != 1 || c.policy != "" && (!strings.Contains(string(got), "theirs.crt") || !strings.Contains(string(got), "DisableTelemetry")) {
					t.Errorf("policies %s, %v", got, err)
				}
			}
			for i := range 2 {
				files, err := s.Remove(t.Context())
				if err != nil || i == 0 && len(files) != c.files || i == 1 && len(files) != 0 {
					t.Fatalf("time %d: removed %v, %v", i+1, files, err)
				}
			}
			if want := slices.Repeat([]string{c.command}, 3); !slices.Equal(*ran, want) {
				t.Errorf("it ran %q", *ran)
			}
			left, err := os.ReadFile(filepath.Join(root, firefoxPolicy))
			if c.policy == "" && err == nil || c.policy != "" && (strings.Contains(string(left), "foyer") || !strings.Contains(string(left), "theirs.crt") || !strings.Contains(string(left), "DisableTelemetry")) {
				t.Errorf("policies left: %s, %v", left, err)
			}
		})
	}
	if _, err := (TrustStore{Root: t.TempDir(), Runner: &commands{}}).Install(t.Context(), nil); hint.Find(err) == nil || hint.Find(err).Code != "trust-store-unknown" {
		t.Errorf("on a system nobody knows: %v", err)
	}
	// What cannot be understood is left alone.
	root := t.TempDir()
	s := TrustStore{Root: root, Runner: &commands{}}
	if err := os.MkdirAll(filepath.Join(root, "/usr/local/share/ca-certificates"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "/usr/bin/firefox"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.put(firefoxPolicy, []byte(`{"policies":[]}`)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Install(t.Context(), []byte("x"))
	if left, _ := os.ReadFile(filepath.Join(root, firefoxPolicy)); err == nil || string(left) != `{"policies":[]}` {
		t.Errorf("%v, left %s", err, left)
	}
}
