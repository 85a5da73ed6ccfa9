package supervisor

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
)

// hostile sets a title, clears the screen, turns the direction round and forges a line.
const hostile = "nas\x1b]0;owned\x07\x1b[2J\u009b31m\x9b5n\u202egnp\n[forged] All is well."

func harmless(t *testing.T, what, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\x1b\x07\u009b\u202e\n") || strings.Contains(text, "\x9b5n") {
		t.Errorf("%s: %q", what, text)
	}
}

// The server faces the network. What it says of itself goes into the status that root
// reads, into the log and into the service manager's words.
func TestWhatTheServerSaysOfItselfIsHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	dir, err := os.MkdirTemp("", "foyer")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "local.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	said := hint.Text{EN: hostile, FR: hostile}
	answer := report.Health{
		OK: true, Version: hostile, Storage: hostile, Fingerprint: hostile, Words: map[hint.Lang][]string{"en": {hostile}},
		Certificates: []report.Served{{Name: hostile, Issuer: hostile, Failure: &report.Failure{What: said, Do: said, Reason: hostile}}},
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(answer) })}
	go srv.Serve(l)
	defer srv.Close()
	f, err := newProber(socket, time.Minute).ask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := f.Certificates[0]
	for _, text := range []string{f.Version, f.Storage, f.Fingerprint, f.Words["en"][0], c.Name, c.Issuer, c.Failure.What.EN, c.Failure.What.FR, c.Failure.Do.EN, c.Failure.Reason} {
		harmless(t, "the server's answer", text)
	}

	var told []string
	s := New(Config{Log: slog.New(slog.DiscardHandler), Notify: func(state string) error { told = append(told, state); return nil }})
	s.events.Add(event.Event{Code: hostile, What: said, Did: said})
	s.notify("STATUS=The server ended (" + hostile + "); starting it again")
	harmless(t, "what happened", s.events.Newest(1)[0].Said().EN+s.events.Newest(1)[0].Said().FR)
	harmless(t, "the service manager", strings.Join(told, " "))
}

// What a program writes to its standard error is kept for whoever asks for the log.
func TestLinesOfTheLogAreHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	j := NewJournal(io.Discard)
	io.WriteString(j, "one\n"+hostile+"\n"+strings.Repeat("x", 1<<20)+"\n")
	lines := j.Tail(10)
	if len(lines) != 4 || lines[0] != "one" {
		t.Errorf("%d lines: %.300q", len(lines), lines)
	}
	for _, line := range lines {
		harmless(t, "the log", line)
		if len(line) > 4<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}
