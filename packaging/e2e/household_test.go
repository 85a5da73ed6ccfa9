//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// The connection of a real ssh is lost in the middle of the install.
func TestLostSSH(t *testing.T) {
	t.Attr("shows", "one-click")
	m := newMachine(t).withFoyer()
	m.boot()
	m.must("systemctl", "start", "ssh")
	m.must("sh", "-c", `mkdir -p /root/.ssh && ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id && cp /root/.ssh/id.pub /root/.ssh/authorized_keys`)
	ssh := []string{
		"ssh", "-tt", "-i", "/root/.ssh/id", "-o", "StrictHostKeyChecking=accept-new", "-o", "SetEnv=LANG=en_GB.UTF-8", "root@127.0.0.1", downloaded,
	}
	x := m.terminal(80, 24, nil, ssh...)
	worker := x.stopInTheMiddle()
	m.must("pkill", "-KILL", "-x", "ssh") // the client; sshd closes its terminal
	x.gone()
	m.wait("the session to be gone", func() bool {
		out, _, _ := m.run("pgrep", "-x", "-f", downloaded)
		return strings.TrimSpace(out) == ""
	})

	x = m.terminal(80, 24, nil, ssh...)
	x.see("Installing")
	m.must("kill", "-CONT", worker)
	code := x.see(codeOnScreen)
	m.claim(code)
	x.see("It has its owner")
	x.press(keyEnter)
	x.gone()
	m.healthy()
	show("ssh lost in the middle of the install", "it finished; `foyer` by a second ssh showed it and its claim code")
}

// Where Avahi runs, as on Raspberry Pi OS, the name is announced through it, out of
// the service's sandbox.
func TestAvahiOutOfTheSandbox(t *testing.T) {
	m := newMachine(t).withFoyer()
	m.boot()
	m.must("sh", "-c", "ip link add home0 type veth peer name home1 && ip addr add 192.168.77.2/24 dev home0 && ip link set home0 up && ip link set home1 up && ip route add 224.0.0.0/4 dev home0")
	m.must("systemctl", "start", "avahi-daemon")
	m.claim(m.install().Claim)
	m.wait("the name at home", func() bool {
		out, _, code := m.run("avahi-resolve", "-4", "-n", "foyer.local")
		return code == 0 && strings.Contains(out, "192.168.77.2")
	})
	services := m.must("avahi-browse", "-prt", "_https._tcp")
	if !strings.Contains(services, ";foyer.local;192.168.77.2;443;") {
		t.Errorf("the services in the neighbourhood:\n%s", services)
	}
	if out := m.must("foyer", "status", "--json"); !strings.Contains(out, `"local-name"`) || strings.Contains(out, `"severity":"warning"`) {
		t.Errorf("the status:\n%s", out)
	}
	m.must("systemctl", "stop", "foyer.service")
	m.wait("the name to be taken back", func() bool { // others forget it a second after they are told
		out, _, _ := m.run("avahi-browse", "-prt", "_https._tcp")
		return !strings.Contains(out, "foyer.local")
	})
	show("Avahi on a booted machine", "foyer.local and _https._tcp announced through it, from inside the sandbox; gone when stopped")
}
