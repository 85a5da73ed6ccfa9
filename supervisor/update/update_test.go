package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

func stageText(t *testing.T, opt, version, text string) error {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	return Stage(t.Context(), opt, version, strings.NewReader(text), sum[:])
}

func TestStageThenSwitch(t *testing.T) {
	opt := t.TempDir()
	if _, err := Current(opt); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a current version before any: %v", err)
	}
	if err := Switch(opt, "1.0.0"); err == nil {
		t.Error("switched to a version that is not staged")
	}
	for _, v := range []string{"1.0.0", "1.1.0"} {
		if err := stageText(t, opt, v, "program "+v); err != nil {
			t.Fatal(err)
		}
		if err := Switch(opt, v); err != nil {
			t.Fatal(err)
		}
		if got, err := Current(opt); err != nil || got != v {
			t.Fatalf("current is %q, %v", got, err)
		}
		got, err := os.ReadFile(filepath.Join(opt, "current", Program))
		if err != nil || string(got) != "program "+v {
			t.Fatalf("current runs %q, %v", got, err)
		}
	}
	fi, err := os.Stat(Path(opt, "1.0.0"))
	if err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("the older version: %v, %v", fi, err)
	}
}

func TestStageTakesTheGivenBytesOnly(t *testing.T) {
	opt := t.TempDir()
	sum := sha256.Sum256([]byte("good"))
	if err := Stage(t.Context(), opt, "1.0.0", strings.NewReader("evil"), sum[:]); err == nil {
		t.Error("other bytes were staged")
	}
	if err := Stage(t.Context(), opt, "1.0.0", strings.NewReader("good"), nil); err == nil {
		t.Error("staged without a checksum")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Stage(ctx, opt, "1.0.0", strings.NewReader("good"), sum[:]); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, v := range []string{"", ".", "..", "../1", "a/b", "-1", ".hidden", strings.Repeat("1", 65), "1\n"} {
		if err := stageText(t, opt, v, "x"); err == nil {
			t.Errorf("version %q was staged", v)
		}
		if err := Switch(opt, v); err == nil {
			t.Errorf("switched to %q", v)
		}
	}
	left, _ := filepath.Glob(filepath.Join(opt, "versions", "*", ".*"))
	if _, err := os.Stat(Path(opt, "1.0.0")); err == nil || len(left) > 0 {
		t.Errorf("something was left: %v, %v", err, left)
	}
}

func TestReleaseNeverChangesDevelopmentBuildMay(t *testing.T) {
	opt := t.TempDir()
	for _, v := range []string{"1.0.0", "1.0.0-dev"} {
		if err := stageText(t, opt, v, "first"); err != nil {
			t.Fatal(err)
		}
		if err := stageText(t, opt, v, "first"); err != nil {
			t.Errorf("%s again: %v", v, err)
		}
	}
	err := stageText(t, opt, "1.0.0", "second")
	if e := hint.Find(err); e == nil || e.Code != "version-differs" {
		t.Errorf("a release was changed: %v", err)
	}
	if got, _ := os.ReadFile(Path(opt, "1.0.0")); string(got) != "first" {
		t.Errorf("the release is now %q", got)
	}
	if err := stageText(t, opt, "1.0.0-dev", "second"); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(Path(opt, "1.0.0-dev")); string(got) != "second" {
		t.Errorf("the development build is %q", got)
	}
}

func TestStageGoesOnAfterACrash(t *testing.T) {
	opt := t.TempDir()
	dir := filepath.Join(opt, "versions", "1.0.0")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// A stale file of a run that was cut, not readable for others; and an empty program.
	if err := os.WriteFile(filepath.Join(dir, ".foyer.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, Program), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := stageText(t, opt, "1.0.0", "whole"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(Path(opt, "1.0.0"))
	if err != nil || !bytes.Equal(got, []byte("whole")) {
		t.Errorf("staged %q, %v", got, err)
	}
	fi, err := os.Stat(Path(opt, "1.0.0"))
	if err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", fi, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".foyer.new")); err == nil {
		t.Error("the stale file is still there")
	}
}

// TestCurrentLeadsToAVersion and nowhere else, whoever made the link.
func TestCurrentLeadsToAVersion(t *testing.T) {
	opt := t.TempDir()
	for _, target := range []string{"versions/../../bin", "versions/", "/usr/bin", "versions/1.0.0/foyer", "versions/.hidden", "elsewhere/1.0.0"} {
		link := filepath.Join(opt, "current")
		if err := errors.Join(os.RemoveAll(link), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
		if version, err := Current(opt); err == nil {
			t.Errorf("a link to %s is version %q", target, version)
		}
	}
}
