package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// `foyer support` says where the bundle is; it holds the settings without their secrets, and
// the machine.
func TestSupportMakesABundle(t *testing.T) {
	t.Attr("shows", "ground")
	settings := filepath.Join(t.TempDir(), "foyer.toml")
	text := "name = \"attic\"\n[certificates]\nemail = \"jeannine@example.org\"\nmembers = \"members.example\"\n[dns]\nprovider = \"hetzner\"\ncredentials = [\"token=Zr8pQs3cr3t\"]\n" +
		"[kinto]\nuserid_hmac_secret = \"0123456789s3cr3t\"\nbucket_create_principals = [\"account:maximilienne\"]\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := tryIn(t, "true", "--http", "--owner", "jeannine", "--settings", settings)
	foyer, err := exec.LookPath("foyer")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(foyer, "support", "--run", f.Run)
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", endsAtOnce)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := regexp.MustCompile(`The support bundle is (\S+/support-\d{8}-\d{9}\.tar\.gz) \(`).FindSubmatch(out)
	if said == nil || !strings.Contains(string(out), "status.json: How things are") || !strings.Contains(string(out), "look into it before you send it") {
		t.Fatalf("it says %s", out)
	}
	bundle, err := os.Open(string(said[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer bundle.Close()
	zip, err := gzip.NewReader(bundle)
	if err != nil {
		t.Fatal(err)
	}
	files, all := map[string]string{}, tar.NewReader(zip)
	for {
		h, err := all.Next()
		if err == io.EOF {
			break
		}
		content, e := io.ReadAll(all)
		if err != nil || e != nil {
			t.Fatal(err, e)
		}
		files[filepath.Base(h.Name)] = string(content)
		for _, word := range []string{"s3cr3t", "Zr8pQ", "jeannine", "aximilienne", "correct horse"} {
			if at := strings.Index(string(content), word); at >= 0 {
				t.Errorf("%s has %q: …%s…", h.Name, word, content[max(0, at-60):min(len(content), at+40)])
			}
		}
	}
	for name, words := range map[string][]string{
		"settings.toml": {`name = "attic"`, "dns.credentials", "dns.provider = ", "foyer.toml:1"},
		"machine.json":  {`"architecture"`, `"kernel"`, `"readings"`},
		"status.json":   {`"healthy"`},
		"version.json":  {`"modules"`},
		"log.txt":       {"server started"},
		"events.json":   {"["},
		"jobs.json":     {"support-bundle"},
	} {
		for _, word := range words {
			if !strings.Contains(files[name], word) {
				t.Errorf("%s lacks %q: %.500s", name, word, files[name])
			}
		}
	}
}
