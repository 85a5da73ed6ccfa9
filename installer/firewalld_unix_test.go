//go:build unix

package installer

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/host"
)

// firewalld is a machine with firewalld, which keeps what was changed of its zone in a file.
type firewalld struct {
	*fakeOS
	open map[string]bool // "permanent 443/tcp" and, of what runs, "443/tcp"
}

const broughtZone = "<zone>\n</zone>\n"

func (f *firewalld) Run(ctx context.Context, name string, args ...string) (string, error) {
	if name != "firewall-cmd" {
		return f.fakeOS.Run(ctx, name, args...)
	}
	where := ""
	if args[0] == "--permanent" {
		where, args = "permanent ", args[1:]
	}
	verb, port, _ := strings.Cut(args[0], "=")
	switch verb {
	case "--state":
		return "running\n", nil
	case "--get-default-zone":
		return "public\n", nil
	case "--query-port":
		if !f.open[where+port] {
			return "", no(1)
		}
	case "--add-port", "--remove-port":
		f.open[where+port] = verb == "--add-port"
		if where != "" {
			f.must(os.WriteFile(f.zone(), []byte(f.text()), 0o644))
		}
	}
	return "", nil
}

func (f *firewalld) zone() string { return f.path("etc/firewalld/zones/public.xml") }

func (f *firewalld) text() string {
	var ports strings.Builder
	for _, r := range slices.Sorted(maps.Keys(f.open)) {
		if _, port, ok := strings.Cut(r, " "); ok && f.open[r] {
			ports.WriteString("  <port port=\"" + port + "\"/>\n")
		}
	}
	return strings.Replace(broughtZone, "\n", "\n"+ports.String(), 1)
}

// With firewalld, too: old ports close, what it made for ours goes with the last of them, and
// on the way back all is there again.
func TestFirewalldFollows(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	o := newFakeOS(t)
	f := &firewalld{o, map[string]bool{}}
	for _, d := range []string{"etc/firewalld/zones", "usr/lib/firewalld/zones"} {
		o.must(os.MkdirAll(o.path(d), 0o755))
	}
	o.must(os.WriteFile(o.path("usr/lib/firewalld/zones/public.xml"), []byte(broughtZone), 0o644))
	nothing := o.tree()
	in := o.installer(func(c *Config) { c.Runner = f })
	mustApply(t, in)
	home := o.machineFiles()
	if text := home[relative(t, o, f.zone())]; !strings.Contains(text, "8443") {
		t.Fatalf("the zone: %q", text)
	}
	order := slices.Collect(maps.Keys(otherAnswers))
	order = append(order, "another port") // its rule is made after the file of the zone
	for _, name := range order {
		to := otherAnswers[name]
		var old, changed []byte
		if _, _, err := in.ChangeSettings(t.Context(), to, func(was, is []byte) error { old, changed = slices.Clone(was), slices.Clone(is); return nil }, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err := os.Stat(f.zone())
		if behind := to["proxy.listen"] != ""; behind != os.IsNotExist(err) || behind == f.open["8080/tcp"] || behind == f.open["permanent 8080/tcp"] {
			t.Errorf("%s: open are %v, %v", name, f.open, err)
		}
		if _, err := in.RestoreSettings(t.Context(), old, changed, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(home, o.machineFiles()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	mustUndo(t, in, true)
	if diff := cmp.Diff(nothing, o.tree()); diff != "" {
		t.Errorf("purged, after %q: %s", order, diff)
	}
	for r, is := range f.open {
		if is {
			t.Errorf("%s is open still", r)
		}
	}
}

func relative(t *testing.T, o *fakeOS, path string) string {
	t.Helper()
	rel, err := filepath.Rel(o.root, path)
	o.must(err)
	return rel
}

var _ host.Runner = (*firewalld)(nil)
