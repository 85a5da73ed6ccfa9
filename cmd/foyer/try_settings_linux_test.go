package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// foyer try has the settings of the file that it is given, and what try itself says of the
// data and the ports holds beside them; so does the environment.
func TestTryReadsItsSettings(t *testing.T) {
	t.Attr("shows", "mend3")
	for _, c := range []struct {
		name, file, text string
		pipe             bool
	}{
		{"foyer.toml", "foyer.toml", "data = \"/nowhere/elsewhere\"\nhttps_port = 1\n[kinto]\nproject_name = \"by file\"\ncache_backend = \"x\"\nbatch_max_requests = 9\n", false},
		{"kinto.ini", "kinto.ini", "[app:main]\nuse = egg:kinto\nkinto.project_name = by file\nkinto.cache_backend = x\nkinto.batch_max_requests = 9\n", false},
		{"a pipe", "pipe", "[kinto]\nproject_name = \"by file\"\ncache_backend = \"x\"\nbatch_max_requests = 9\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file, data := filepath.Join(dir, c.file), filepath.Join(dir, "data")
			if c.pipe {
				if err := syscall.Mkfifo(file, 0o600); err != nil {
					t.Fatal(err)
				}
				go os.WriteFile(file, []byte(c.text), 0o600) //nolint:errcheck // who reads it misses it
			} else if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("foyer", "try", "--http", "--json", "--listen", "127.0.0.1:0", "--data", data, "--owner", "jeannine", "--settings", c.file)
			var said bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "KINTO_BATCH_MAX_REQUESTS=7", endsAtOnce, "FOYER_OWNER_PASSWORD=correct horse battery"), &said
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			killer := time.AfterFunc(3*time.Minute, func() { cmd.Process.Kill() }) //nolint:errcheck // it may have ended
			defer killer.Stop()
			line, _ := bufio.NewReader(out).ReadBytes('\n')
			var at trying
			if err := json.Unmarshal(line, &at); err != nil {
				t.Errorf("%v: %s", err, line)
			} else if resp, err := http.Get(at.URL); err != nil {
				t.Error(err)
			} else {
				var hello struct {
					Name     string         `json:"project_name"`
					Settings map[string]any `json:"settings"`
				}
				if err := json.NewDecoder(resp.Body).Decode(&hello); err != nil || hello.Name != "by file" || hello.Settings["batch_max_requests"] != 7.0 {
					t.Errorf("hello: %v, %+v", err, hello)
				}
				resp.Body.Close()
			}
			if at.Data != data {
				t.Errorf("the data are in %q", at.Data)
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			if n := strings.Count(said.String(), "a setting was passed over"); n != 1 || !strings.Contains(said.String(), "cache_backend") {
				t.Errorf("passed over: %d lines\n%s", n, &said)
			}
			if _, err := os.Stat(filepath.Join(data, "run", "settings")); err == nil {
				t.Error("the settings were left behind")
			}
		})
	}
	if t.Failed() {
		return // where the file is not read, a wrong one is none, and what follows runs on
	}
	wrong := filepath.Join(t.TempDir(), "wrong.toml")
	if err := os.WriteFile(wrong, []byte("[kinto]\neos = \"soon\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{wrong: `wrong.toml:2: the key "kinto.eos" is not right`, wrong + "x": "There is no file " + wrong + "x"} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		said, err := exec.CommandContext(ctx, "foyer", "try", "--lang", "en", "--http", "--listen", "127.0.0.1:0", "--settings", file).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(said), want) {
			t.Errorf("%v: %s", err, said)
		}
	}
}
