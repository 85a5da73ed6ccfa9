//go:build e2e

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// avahi starts a D-Bus with the policies of this system, and Avahi on it.
func (p *place) avahi(hostName string, more ...string) *daemon {
	p.t.Helper()
	socket := strings.TrimPrefix(p.bus, "unix:path=")
	if _, err := os.Stat(socket); err != nil {
		conf := filepath.Join(p.dir, "bus.conf")
		write(p.t, conf, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>`+p.bus+`</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <includedir>/usr/share/dbus-1/system.d</includedir>
</busconfig>
`)
		p.start("dbus-daemon", "--nofork", "--config-file="+conf)
		within(p.t, "the bus is there", func() (string, bool) {
			_, err := os.Stat(socket)
			return "no socket", err == nil
		})
	}
	conf := filepath.Join(p.dir, "avahi.conf")
	write(p.t, conf, "[server]\nhost-name="+hostName+"\nenable-dbus=yes\n"+strings.Join(more, "\n")+"\n[publish]\npublish-workstation=no\n")
	d := p.start("avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", conf)
	within(p.t, "Avahi has the name "+hostName, func() (string, bool) {
		out, err := p.ask("avahi-resolve", "-4", "-n", hostName+".local")
		return out, err == nil && strings.Contains(out, "192.168.")
	})
	return d
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// leadsTo waits until the name leads to the address, as a neighbour sees it.
func (p *place) leadsTo(name, address string) time.Duration {
	p.t.Helper()
	return within(p.t, name+" leads to "+address, func() (string, bool) {
		out, err := p.ask("avahi-resolve", "-4", "-n", name)
		return out, err == nil && strings.HasSuffix(strings.TrimSpace(out), "\t"+address)
	})
}

// isGone waits until nobody answers to the name any more.
func (p *place) isGone(name string) {
	p.t.Helper()
	within(p.t, name+" is gone", func() (string, bool) {
		out, _ := p.ask("avahi-resolve", "-4", "-n", name)
		return out, strings.Contains(out, "Failed to resolve")
	})
}

// offersHTTPS looks for the service as one who looks around the network.
func (p *place) offersHTTPS(address string) {
	p.t.Helper()
	want := fmt.Sprintf("jeannine;_https._tcp;local;jeannine.local;%s;8443;\"path=/\"", address)
	within(p.t, want, func() (string, bool) {
		out, _ := p.ask("avahi-browse", "-rptk", "_https._tcp")
		return out, strings.Contains(out, want)
	})
}

func twoHomes(t *testing.T) (home, other *place) {
	t.Helper()
	home, other = newPlace(t), newPlace(t)
	cable(t, home, "eth0", "192.168.77.2/24", other, "eth0", "192.168.77.1/24")
	return home, other
}

func TestNameThroughAvahi(t *testing.T) {
	t.Parallel()
	home, other := twoHomes(t)
	home.avahi("raspberrypi")
	other.avahi("laptop")
	f := home.foyer("")
	f.says("local-name", "ok", "Avahi announces it")
	took := other.leadsTo("jeannine.local", "192.168.77.2")
	other.offersHTTPS("192.168.77.2")
	other.leadsTo("raspberrypi.local", "192.168.77.2") // the host keeps its own
	f.stop()
	other.isGone("jeannine.local")
	show("name at home through Avahi", "jeannine.local resolved by a neighbour's Avahi %d ms after Foyer said so, _https._tcp found, gone at the end; run by nobody, without capabilities", took.Milliseconds())
}

func TestNameOfTheHostItself(t *testing.T) {
	t.Parallel()
	home, other := twoHomes(t)
	home.avahi("jeannine")
	other.avahi("laptop")
	f := home.foyer("")
	f.says("local-name", "ok", "Avahi announces it")
	other.offersHTTPS("192.168.77.2")
	f.stop()
	other.leadsTo("jeannine.local", "192.168.77.2")
	show("the host is called so itself", "Avahi keeps the name, Foyer adds _https._tcp")
}

func TestNameByFoyerItself(t *testing.T) {
	t.Parallel()
	home, other := twoHomes(t)
	other.avahi("laptop")
	f := home.foyer("")
	f.says("local-name", "ok", "Foyer announces it")
	took := other.leadsTo("jeannine.local", "192.168.77.2")
	other.offersHTTPS("192.168.77.2")

	home.must("ip", "address", "add", "192.168.77.20/24", "dev", "eth0")
	home.must("ip", "address", "delete", "192.168.77.2/24", "dev", "eth0")
	home.must("ip", "address", "replace", "192.168.77.20/24", "dev", "eth0")
	moved := other.leadsTo("jeannine.local", "192.168.77.20")

	home.avahi("raspberrypi") // comes later: it is left to Avahi
	f.says("local-name", "ok", "Avahi announces it")
	other.leadsTo("jeannine.local", "192.168.77.20")
	f.stop()
	other.isGone("jeannine.local")
	show("name at home by Foyer's own responder", "resolved by a neighbour's Avahi %d ms after Foyer said so, _https._tcp found; a new address told after %.1f s; left to Avahi when it came", took.Milliseconds(), moved.Seconds())
}

func TestNameOfSomebodyElse(t *testing.T) {
	for _, c := range []struct {
		name  string
		avahi bool
		then  string
	}{{"with Avahi", true, "Avahi announces it"}, {"without Avahi", false, "Foyer announces it"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			home, other := twoHomes(t)
			owner := other.avahi("jeannine")
			if c.avahi {
				home.avahi("raspberrypi")
			}
			f := home.foyer("")
			got, _ := f.says("local-name", "warning", "192.168.77.1")
			if !strings.Contains(got.What["fr"], "répond déjà au nom jeannine.local") {
				t.Errorf("in French: %q", got.What["fr"])
			}
			other.leadsTo("jeannine.local", "192.168.77.1")
			if strings.Contains(owner.log.String(), "jeannine-2") {
				t.Error("the other machine lost its name")
			}
			owner.stop()
			_, took := f.says("local-name", "ok", c.then)
			other.avahi("laptop")
			other.leadsTo("jeannine.local", "192.168.77.2")
			show("name of somebody else, "+c.name, "not taken, said in plain words (%q); ours %d s after the other left", got.What["en"], int(took.Seconds()))
		})
	}
}

func TestNameOff(t *testing.T) {
	t.Parallel()
	home, other := twoHomes(t)
	other.avahi("laptop")
	f := home.foyer("mdns = \"off\"\n")
	f.says("server", "ok", "answers")
	if got := f.finding("local-name"); got.Code != "" {
		t.Errorf("found %v", got)
	}
	other.isGone("jeannine.local")
}
