package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// answers is a Runner that knows its answers; other commands are not there.
type answers map[string]string

func (a answers) Run(_ context.Context, name string, args ...string) (string, error) {
	command := strings.Join(append([]string{name}, args...), " ")
	out, ok := a[command]
	switch {
	case !ok:
		return "", fmt.Errorf("cannot run %s: %w", name, exec.ErrNotFound)
	case strings.HasPrefix(out, "exit "):
		e := &RunError{Command: command}
		fmt.Sscanf(out, "exit %d", &e.Code) //nolint:errcheck // written below
		return "", e
	}
	return out, nil
}

func TestFirewall(t *testing.T) {
	const drops = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"
	for want, a := range map[string]answers{
		"":        {"ufw status": "Status: inactive\n", "firewall-cmd --state": "exit 252", "nft list ruleset": strings.ReplaceAll(drops, "drop", "accept")},
		UFW:       {"ufw status": "Status: active\n\nTo Action From\n"},
		Firewalld: {"ufw status": "exit 1", "firewall-cmd --state": "running\n", "nft list ruleset": drops},
		Nftables:  {"nft list ruleset": drops},
	} {
		if got := Firewall(t.Context(), a); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}

func TestFirewallAdmits(t *testing.T) {
	const rules = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\ttcp dport { 22, 443 } accept\n\t\ttcp dport 8080 counter packets 0 bytes 0 accept\n\t\ttcp dport 80 drop\n\t}\n}\n"
	for _, c := range []struct {
		firewall string
		answers  answers
		port     int
		want     bool
	}{
		{UFW, answers{"ufw status": "Status: active\n\n22/tcp  ALLOW  Anywhere\n443/tcp  ALLOW  Anywhere\n80/tcp  DENY  Anywhere\n"}, 443, true},
		{UFW, answers{"ufw status": "Status: active\n\n22/tcp  ALLOW  Anywhere\n443/tcp  ALLOW  Anywhere\n80/tcp  DENY  Anywhere\n"}, 80, false},
		{Firewalld, answers{"firewall-cmd --list-all": "  services: dhcpv6-client ssh https\n  ports: 8080/tcp\n"}, 443, true},
		{Firewalld, answers{"firewall-cmd --list-all": "  services: dhcpv6-client ssh https\n  ports: 8080/tcp\n"}, 80, false},
		{Nftables, answers{"nft list ruleset": rules}, 443, true},
		{Nftables, answers{"nft list ruleset": rules}, 8080, true},
		{Nftables, answers{"nft list ruleset": rules}, 80, false},
		{Nftables, answers{}, 80, true},
		{"", answers{}, 80, true},
	} {
		if got := Admits(t.Context(), c.answers, c.firewall, c.port); got != c.want {
			t.Errorf("%s lets visitors in on port %d: %v", c.firewall, c.port, got)
		}
	}
}

func TestLookup(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "etc"), 0o755),
		os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\nfoyer:x:101:102:Foyer:/var/lib/foyer:/bin/false\n"), 0o644),
		os.WriteFile(filepath.Join(root, "etc/group"), []byte("foyer:x:102:\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Runner{
		"getent": answers{"getent passwd foyer": "foyer:x:101:102:Foyer:/var/lib/foyer:/bin/false\n", "getent group foyer": "foyer:x:102:\n", "getent passwd nobody2": "exit 2"},
		"files":  answers{},
	} {
		u, ok, err := LookupUser(t.Context(), r, root, "foyer")
		if want := (User{"foyer", 101, 102, "/var/lib/foyer"}); u != want || !ok || err != nil {
			t.Errorf("%s: %+v, %t, %v", name, u, ok, err)
		}
		if gid, ok, err := LookupGroup(t.Context(), r, root, "foyer"); gid != 102 || !ok || err != nil {
			t.Errorf("%s: %d, %t, %v", name, gid, ok, err)
		}
		if _, ok, err := LookupUser(t.Context(), r, root, "nobody2"); ok || err != nil {
			t.Errorf("%s: nobody2: %t, %v", name, ok, err)
		}
	}
	if _, _, err := LookupUser(t.Context(), answers{"getent passwd x": "exit 3"}, root, "x"); err == nil {
		t.Error("a failing getent is no error")
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = net.Listen("tcp", l.Addr().String())
	e := hint.Find(PortTaken(port, err))
	if e == nil || e.Code != "port-taken" || !errors.Is(e, err) {
		t.Errorf("taken: %v", e)
	}
	if e := hint.Find(PortTaken(80, &net.OpError{Op: "listen", Err: fs.ErrPermission})); e == nil || e.Code != "need-root" || hint.ExitCode(e) != hint.ExitNeedRoot {
		t.Errorf("not allowed: %v", e)
	}
	if e := TakenBy(80, Owner{Name: "nginx"}); e.What.EN != "nginx already answers the web on this machine (port 80)." {
		t.Errorf("says %q", e.What.EN)
	}
	if e := TakenBy(8080, Owner{}); e.What.FR != "Un autre programme répond déjà sur cette machine (port 8080)." {
		t.Errorf("says %q", e.What.FR)
	}
}
