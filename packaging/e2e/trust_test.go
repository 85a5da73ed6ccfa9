//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// foyer trust lets curl of a real Debian come by the server's name, and --undo takes
// it back; the machine's list is then what it was.
func TestTrust(t *testing.T) {
	t.Attr("shows", "certificates")
	m := newMachine(t).withFoyer()
	m.boot()
	m.install()
	const bundle = "/etc/ssl/certs/ca-certificates.crt"
	before := m.must("sha256sum", bundle)
	curl := func() int {
		_, _, code := m.run("curl", "-sS", "-o", "/dev/null", "--resolve", "foyer.local:443:127.0.0.1", "https://foyer.local/v1/")
		return code
	}
	if code := curl(); code != 60 {
		t.Fatalf("before, curl ends with %d, not 60", code)
	}
	if _, said, code := m.run("setpriv", "--reuid=65534", "--clear-groups", "foyer", "trust"); code != 4 || !strings.Contains(said, "need-root") {
		t.Errorf("without root: %d %s", code, said)
	}
	said := m.must("foyer", "trust")
	if code := curl(); code != 0 {
		t.Errorf("afterwards curl ends with %d\n%s", code, said)
	}
	printed := m.must("foyer", "trust", "--print")
	if !strings.HasPrefix(printed, "-----BEGIN CERTIFICATE-----") {
		t.Errorf("printed %q", printed)
	}
	fingerprint := strings.TrimSpace(strings.Split(m.must("sh", "-c", "foyer trust --print | openssl x509 -noout -fingerprint -sha256"), "=")[1])
	if !strings.Contains(said, fingerprint) {
		t.Errorf("it says %s, the fingerprint is %s", said, fingerprint)
	}
	if again := m.must("foyer", "trust"); !strings.Contains(again, "already") {
		t.Errorf("the second time it says %s", again)
	}
	m.must("foyer", "trust", "--undo")
	if code := curl(); code != 60 {
		t.Errorf("after --undo curl ends with %d", code)
	}
	if after := m.must("sha256sum", bundle); after != before {
		t.Error("the machine's list is not what it was")
	}
	m.must("foyer", "trust")
	m.must(downloaded, "uninstall", "--purge", "--yes")
	if after := m.must("sha256sum", bundle); after != before {
		t.Error("after a purge the machine trusts a server that is gone")
	}
	show("foyer trust", "curl of a real Debian refuses foyer.local, accepts it after foyer trust, refuses it after --undo; after that, and after a purge, the list of trusted certificates is the same to the byte")
}
