package main

import (
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/health"
)

// The supervisor calls at whatever port there is as a visitor would, and is answered:
// with and without encryption, behind a proxy, and where the proxy's connections have to
// begin with its protocol.
func TestTheSupervisorVisitsEachPort(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		args []string
	}{
		"https":          {"true", nil},
		"http":           {"true", []string{"--http"}},
		"proxy":          {"true", []string{"--proxy"}},
		"one address":    {"true", []string{"--listen", "127.0.0.5:0"}},
		"PROXY protocol": {"export FOYER_PROXY_TRUSTED=127.0.0.0/8 FOYER_PROXY_PROTOCOL=on", []string{"--proxy"}},
		"PROXY and TLS":  {"export FOYER_PROXY_TRUSTED=127.0.0.0/8 FOYER_PROXY_PROTOCOL=on", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := tryIn(t, c.line, c.args...)
			var door health.Result
			for deadline := time.Now().Add(3 * time.Minute); door.Checked.IsZero() || door.Severity != health.OK; <-time.After(20 * time.Millisecond) {
				s, err := f.Status(t.Context())
				if err != nil || time.Now().After(deadline) {
					t.Fatalf("not answered: %+v, %v", door, err)
				}
				for _, r := range s.Checks {
					if r.Code == "door" {
						door = r
					}
				}
			}
		})
	}
}
