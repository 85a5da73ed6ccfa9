package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
)

// hostile is what a terminal obeys or shows wrongly: a title, a cleared screen, a
// question that it answers by typing, a turned direction, something hidden, forged
// lines.
const hostile = "nas\x1b]0;owned\x07\x1b[2J\u009b31m\x9b5n\x7f\u202egnp\u2066\U000e0041\u200b\u2028\r\n[forged] All is well.\ntime=2026-01-01T00:00:00Z level=INFO msg=forged"

// written tells what is wrong with what a command wrote: a terminal would obey it, or
// a line of it is forged, or it is a flood.
func written(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("no UTF-8: %.500q", text)
	}
	n := 0
	var first error
	for i, r := range text {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x200b || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x206f || r >= 0xe0000 && r < 0xe0080 {
			if n++; first == nil {
				first = fmt.Errorf("%U in %.200q", r, text[max(0, i-20):])
			}
		}
	}
	if first != nil {
		return fmt.Errorf("%d control characters, the first is %w", n, first)
	}
	if len(text) > 200_000 {
		return fmt.Errorf("%d bytes", len(text))
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[forged]") || strings.HasPrefix(line, "time=2026-01-01") {
			return fmt.Errorf("a forged line: %.200q", line)
		}
	}
	return nil
}

// socket is a listener on the control socket of a folder of its own.
func socket(t *testing.T) (dir string, l net.Listener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if l, err = net.Listen("unix", control.SocketPath(dir)); err != nil {
		t.Fatal(err)
	}
	return dir, l
}

// impostor answers on a control socket in a folder of its own as the user foyer may
// who has been taken over; it answers path by answers[path].
func impostor(t *testing.T, status int, answers map[string]any) (dir string) {
	t.Helper()
	dir, l := socket(t)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		switch body := answers[r.URL.Path].(type) {
		case string:
			io.WriteString(w, body)
		default:
			json.NewEncoder(w).Encode(body)
		}
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return dir
}

func hostileStatus() report.Status {
	said := hint.Text{EN: hostile, FR: hostile}
	long := strings.Repeat(hostile, 1<<20/len(hostile))
	st := report.Status{
		Version: hostile, Light: report.Red, Sentence: said, Addresses: []string{hostile, hostile}, People: 2, Claimed: true,
		Server:      report.Server{State: hostile, Since: time.Now(), LastEnd: hostile, LastLines: []string{hostile}},
		Certificate: report.Certificate{Fingerprint: hostile, Words: map[hint.Lang][]string{"en": {hostile}, "fr": {hostile}}},
		Data:        report.Data{Path: hostile}, Lately: []event.Event{{At: time.Now(), What: said}},
	}
	for range 10 { // as a dozen checks may, each with three sentences and a title
		st.Checks = append(st.Checks, health.Result{Code: hostile, Title: said, Finding: health.Finding{Severity: health.Error, What: said, Did: said, Do: said}})
	}
	st.Checks = append(st.Checks, health.Result{Code: hostile, Title: said, Finding: health.Finding{What: said}},
		health.Result{Code: "long", Title: hint.T("Router", "Box"), Finding: health.Finding{Severity: health.Warning, What: hint.Text{EN: long, FR: long}}})
	return st
}

// typed runs foyer with args and returns what it wrote.
func typed(t *testing.T, lang string, environ []string, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	var a app
	a.in, a.out, a.err, a.environ = strings.NewReader(""), &stdout, &stderr, environ
	code = a.run(t.Context(), append([]string{"--lang", lang}, args...))
	return code, stdout.String(), stderr.String()
}

// Root looks how things are, and the words are those of the process behind the socket,
// which faces the network, and of whoever it heard them from.
func TestNothingHostileReachesTheTerminal(t *testing.T) {
	t.Attr("shows", "mend")
	st := hostileStatus()
	well := impostor(t, 200, map[string]any{
		"/status": st, "/log": []string{"one", hostile, strings.Repeat(hostile, 500)}, "/claim": control.Claim{Code: hostile, Expires: time.Now()}, "/claim/reset": control.Claim{Code: hostile},
	})
	said := map[string]any{"en": hostile, "fr": hostile}
	problem := map[string]any{"code": hostile, "what": said, "did": said, "do": said}
	ill := impostor(t, 409, map[string]any{"/status": problem, "/log": problem, "/claim": problem})
	broken := impostor(t, 500, map[string]any{"/status": hostile + strings.Repeat("x", 1<<20), "/log": hostile, "/claim": hostile})
	mad := impostor(t, 200, map[string]any{"/status": hostile, "/log": map[string]any{hostile: hostile}, "/claim": []string{hostile}})
	folder := t.TempDir()
	settings := filepath.Join(folder, "foyer.toml")
	if err := os.WriteFile(settings, []byte("name = \"nas\"\naddresses = [\"cloud\\u202e.example\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(folder, "odd\x1b]0;owned\x07\u009b31m\u202e\n[forged] All is well.")
	if err := os.WriteFile(odd, []byte("name = 1\n\x1b[2J = 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name string
		args []string
		code int // -1: it does not matter
	}{
		{"status", []string{"status", "--run", well}, 0},
		{"status as JSON", []string{"status", "--json", "--run", well}, 0},
		{"doctor", []string{"doctor", "--run", well}, hint.ExitProblems},
		{"doctor as JSON", []string{"doctor", "--json", "--run", well}, hint.ExitProblems},
		{"logs", []string{"logs", "--run", well}, 0},
		{"logs as JSON", []string{"logs", "--json", "--run", well}, 0},
		{"claim", []string{"claim", "--run", well}, 0},
		{"claim as JSON", []string{"claim", "--json", "--run", well}, 0},
		{"reset", []string{"claim", "--reset", "--run", well}, 0},
		{"status refused", []string{"status", "--run", ill}, hint.ExitFailed},
		{"status refused, as JSON", []string{"status", "--json", "--run", ill}, hint.ExitFailed},
		{"claim refused", []string{"claim", "--run", ill}, hint.ExitFailed},
		{"logs refused", []string{"logs", "--run", ill}, hint.ExitFailed},
		{"status, an error", []string{"status", "--run", broken}, hint.ExitFailed},
		{"status, an error, as JSON", []string{"status", "--json", "--run", broken}, hint.ExitFailed},
		{"doctor, an error", []string{"doctor", "--run", broken}, hint.ExitProblems},
		{"logs, an error", []string{"logs", "--run", broken}, hint.ExitFailed},
		{"status, no JSON", []string{"status", "--run", mad}, hint.ExitFailed},
		{"logs, no list", []string{"logs", "--run", mad}, hint.ExitFailed},
		{"claim, no code", []string{"claim", "--run", mad}, hint.ExitFailed},
		{"nobody there", []string{"status", "--run", "/nowhere" + hostile}, hint.ExitFailed},
		{"settings", []string{"settings", "--settings", settings}, -1},
		{"settings as JSON", []string{"settings", "--json", "--settings", settings}, -1},
		{"settings in an odd place", []string{"settings", "--settings", odd}, hint.ExitUsage},
		{"settings in an odd place, as JSON", []string{"settings", "--json", "--settings", odd}, hint.ExitUsage},
		{"settings nowhere", []string{"settings", "--settings", "/nowhere/" + hostile}, -1},
		{"an unknown command", []string{hostile}, hint.ExitUsage},
		{"an unknown flag", []string{"status", "--" + hostile}, hint.ExitUsage},
		{"an unknown flag, as JSON", []string{"status", "--json", "--" + hostile}, hint.ExitUsage},
		{"a wrong value", []string{"logs", "--lines", hostile}, hint.ExitUsage},
		{"an address to try", []string{"try", "--listen", hostile}, hint.ExitUsage},
		{"a proxy", []string{"proxy", "nginx", "--settings", settings, "--name", hostile, "--certificate", hostile}, -1},
		{"an unknown proxy", []string{"proxy", hostile}, hint.ExitUsage},
		{"answers", []string{"install", "--dry-run", "--answers", odd}, -1},
		{"answers nowhere", []string{"install", "--dry-run", "--answers", "/nowhere/" + hostile}, -1},
		{"a name to install", []string{"install", "--print-answers", "--name", hostile}, -1},
		{"help", []string{"status", "--help", "--run", hostile}, -1},
	} {
		for _, lang := range []string{"en", "fr"} {
			t.Run(c.name+", "+lang, func(t *testing.T) {
				code, out, said := typed(t, lang, nil, c.args...)
				if c.code >= 0 && code != c.code {
					t.Errorf("exit code %d, want %d\n%.300q\n%.300q", code, c.code, out, said)
				}
				for where, text := range map[string]string{"standard output": out, "standard error": said} {
					if err := written(text); err != nil {
						t.Errorf("%s: %v", where, err)
					}
				}
				if c.code >= 0 && out+said == "" {
					t.Error("it says nothing")
				}
				for i, arg := range c.args {
					if arg == "--json" && i > 0 && !json.Valid([]byte(out)) {
						t.Errorf("no JSON: %.300q", out)
					}
				}
			})
		}
	}
}

// The environment is somebody's, too: help shows what it says.
func TestHelpShowsTheEnvironmentHarmless(t *testing.T) {
	_, out, said := typed(t, "en", []string{"FOYER_RUN=/run/" + hostile}, "--help")
	if err := errors.Join(written(out), written(said)); err != nil || !strings.Contains(out, "/run/nas") {
		t.Error(err, out)
	}
}

// What strangers send is logged: one line for each record, and none is a flood.
func TestLogLinesAreHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	long := strings.Repeat(hostile, 1<<20/len(hostile))
	for _, environ := range [][]string{nil, {"JOURNAL_STREAM=8:1"}, {"FOYER_LOG=debug"}} {
		var out bytes.Buffer
		var a app
		a.environ = environ
		log := a.logger(&out)
		log.Info(hostile, "name", hostile, hostile, "x", "err", errors.New(hostile), "list", []string{hostile}, "bytes", []byte(hostile), "struct", struct{ N string }{hostile})
		log.WithGroup(hostile).With("with", hostile).Warn("grouped", "long", long, "err", errors.New(long), "list", []string{long})
		log.Error(long)
		if err := written(out.String()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines", n)
		}
		if (len(environ) == 0) != strings.HasPrefix(out.String(), "time=") && len(environ) > 0 && environ[0][0] == 'J' {
			t.Errorf("the time: %.100s", out.String())
		}
	}
}
