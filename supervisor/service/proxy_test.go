package service

import (
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/host"
)

// Where a proxy stands before Foyer the socket unit leaves the proxy its ports.
func TestSocketOfAProxyAlone(t *testing.T) {
	cfg := Config{Manager: host.Systemd, Executable: "/opt/foyer/current/foyer", User: "foyer", DataDir: "/var/lib/foyer", HTTPPort: 80, HTTPSPort: 443, Listen: "127.0.0.1:8888"}
	unit := Units(cfg)[0].Text
	if strings.Count(unit, "ListenStream=") != 1 || !strings.Contains(unit, "\nListenStream=127.0.0.1:8888\n") {
		t.Errorf("the unit:\n%s", unit)
	}
	cfg.Listen = ""
	if unit := Units(cfg)[0].Text; !strings.Contains(unit, "\nListenStream=80\nListenStream=443\nBindIPv6Only=both\n") {
		t.Errorf("the unit:\n%s", unit)
	}
}
