package installer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
)

// commands notes what is run.
type commands []string

func (c *commands) Run(_ context.Context, name string, args ...string) (string, error) {
	*c = append(*c, strings.Join(append([]string{name}, args...), " "))
	return "", nil
}

func TestTrustStores(t *testing.T) {
	root, err := parseHomeRoot(madeRoot(t, nil), config.Default(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
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
			dir, ran := t.TempDir(), &commands{}
			s := TrustStore{Root: dir, Runner: ran}
			for _, d := range c.dirs {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if c.policy != "" {
				if _, err := s.put(firefoxPolicy, []byte(c.policy)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 2 {
				files, err := s.Install(t.Context(), root)
				if err != nil || i == 0 && len(files) != c.files || i == 1 && len(files) != 0 {
					t.Fatalf("time %d: wrote %v, %v", i+1, files, err)
				}
			}
			if got, err := os.ReadFile(filepath.Join(dir, c.dirs[0], anchorFile)); err != nil || !bytes.Equal(got, root.PEM()) {
				t.Errorf("%q, %v", got, err)
			}
			if len(c.dirs) > 1 {
				got, err := os.ReadFile(filepath.Join(dir, firefoxPolicy))
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
			left, err := os.ReadFile(filepath.Join(dir, firefoxPolicy))
			if c.policy == "" && err == nil || c.policy != "" && (strings.Contains(string(left), "foyer") || !strings.Contains(string(left), "theirs.crt") || !strings.Contains(string(left), "DisableTelemetry")) {
				t.Errorf("policies left: %s, %v", left, err)
			}
		})
	}
	if _, err := (TrustStore{Root: t.TempDir(), Runner: &commands{}}).Install(t.Context(), root); hint.Find(err) == nil || hint.Find(err).Code != "trust-store-unknown" {
		t.Errorf("on a system nobody knows: %v", err)
	}
	// What cannot be understood is left alone.
	dir := t.TempDir()
	s := TrustStore{Root: dir, Runner: &commands{}}
	if err := os.MkdirAll(filepath.Join(dir, "/usr/local/share/ca-certificates"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "/usr/bin/firefox"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.put(firefoxPolicy, []byte(`{"policies":[]}`)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Install(t.Context(), root)
	if left, _ := os.ReadFile(filepath.Join(dir, firefoxPolicy)); err == nil || string(left) != `{"policies":[]}` {
		t.Errorf("%v, left %s", err, left)
	}
}
