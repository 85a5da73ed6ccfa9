//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Root works in folders that others can write to: the data folder and all that is in
// it, /run/foyer, a home with the data folder in it. Here they put links, hard links,
// pipes and mounts there, before and while root works; what these lead to lies outside,
// is root's alone, and is watched.

// marker stands in every file outside that nobody but root may read.
const marker = "ROOT-ONLY-7F3A"

// outside is what nobody but root may read, change or remove.
type outside struct {
	m      *machine
	before listing
	watch  *watch
}

const outsideDir = "/root/outside"

// plantOutside makes it: a folder that looks like a Foyer's data, with a key beside a
// certificate in the place of the root certificate; and a file like /etc/shadow.
func (m *machine) plantOutside() *outside {
	m.t.Helper()
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(marker)})
	key = append(append([]byte(marker+"\n"), key...), rootCertificate(m.t, "")...)
	for _, name := range []string{"secret", "claim.json", "data.db", "root.crt", "home-ca/root.crt", "certificates/home-ca/root.crt", "foyer/data.db", "foyer/certificates/home-ca/root.crt"} {
		path := m.at(outsideDir + "/" + name)
		m.ok(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, key, 0o600))
	}
	m.ok(os.Chmod(m.at(outsideDir), 0o700), os.WriteFile(m.at("/etc/shadow.backup"), []byte("root:"+marker+":0::::::\n"), 0o640), os.Chown(m.at("/etc/shadow.backup"), 0, 42))
	o := &outside{m: m}
	o.before = o.list()
	o.watch = newWatch(m.t, append(slices.Collect(func(yield func(string) bool) {
		for name := range o.before {
			if !yield(m.at(name)) {
				return
			}
		}
	}), m.at(outsideDir))...)
	return o
}

// list is all of it: kind, mode, owner and contents. Reading it is seen by the watch.
func (o *outside) list() listing {
	out := listing{}
	add := func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(data)
		}
		out[strings.TrimPrefix(path, o.m.root)] = line
		return nil
	}
	o.m.ok(filepath.WalkDir(o.m.at(outsideDir), add), add(o.m.at("/etc/shadow.backup"), nil, nil))
	return out
}

// check says what became of it since the last check. While somebody swaps names root
// may open what it then does not read, and a hard link that is swapped is moved.
func (o *outside) check(what string, racing bool) {
	o.m.t.Helper()
	for _, e := range o.watch.events(racing) {
		o.m.t.Errorf("%s: %s", what, strings.Replace(e, o.m.root, "", 1))
	}
	for _, d := range o.before.diff(o.list()) {
		o.m.t.Errorf("%s: %s", what, d)
	}
	o.watch.events(racing) // our own reading
	certificates, _ := filepath.Glob(o.m.at("/usr/local/share/ca-certificates/*"))
	for _, path := range append(certificates, o.m.at("/etc/ssl/certs/ca-certificates.crt")) {
		if data, err := os.ReadFile(path); err == nil && (bytes.Contains(data, []byte(marker)) || bytes.Contains(data, []byte("PRIVATE KEY"))) {
			o.m.t.Errorf("%s: a secret is in the trust store, in %s", what, filepath.Base(path))
		}
	}
}

// watch tells who reads or writes files (inotify(7)).
type watch struct {
	t    *testing.T
	fd   int
	name map[int32]string
}

func newWatch(t *testing.T, paths ...string) *watch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	w := &watch{t, fd, map[int32]string{}}
	for _, path := range paths {
		wd, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_ACCESS|unix.IN_MODIFY|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE)
		if err != nil {
			t.Fatal(err)
		}
		w.name[int32(wd)] = path
	}
	return w
}

// events are those since the last call, each once.
func (w *watch) events(racing bool) []string {
	w.t.Helper()
	seen := map[string]bool{}
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(w.fd, buf)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			b = b[unix.SizeofInotifyEvent+binary.NativeEndian.Uint32(b[12:]):]
			for bit, what := range map[uint32]string{
				unix.IN_OPEN: "was opened", unix.IN_ACCESS: "was read", unix.IN_MODIFY: "was written to", unix.IN_DELETE_SELF: "was removed", unix.IN_MOVE_SELF: "was moved",
				unix.IN_CREATE: "got another file", unix.IN_DELETE: "lost a file", unix.IN_MOVED_FROM: "lost a file", unix.IN_MOVED_TO: "got another file",
			} {
				if mask&bit != 0 && !(racing && (bit == unix.IN_OPEN || bit == unix.IN_MOVE_SELF)) {
					seen[w.name[wd]+" "+what] = true
				}
			}
		}
	}
	var out []string
	for e := range seen {
		out = append(out, e)
	}
	slices.Sort(out)
	return out
}

// at is a path on the machine, as seen from here.
func (m *machine) at(path string) string { return filepath.Join(m.root, path) }

func (m *machine) ok(errs ...error) {
	m.t.Helper()
	if err := errors.Join(errs...); err != nil {
		m.t.Fatal(err)
	}
}

// as runs a command that must end, whatever it finds, and returns all it printed.
func (m *machine) as(what string, args ...string) (said string, code int) {
	m.t.Helper()
	args = append([]string{"timeout", "-k", "1", strconv.Itoa(int(patience.Seconds()))}, args...)
	out, complaint, code := m.run(args...)
	if code == 124 || code == 137 {
		m.t.Errorf("%s: %q did not end", what, args[4:])
	}
	if strings.Contains(out+complaint, marker) || strings.Contains(out+complaint, "PRIVATE KEY") {
		m.t.Errorf("%s: %q prints a secret:\n%s%s", what, args[4:], out, complaint)
	}
	return out + complaint, code
}

// rootCertificate is a CA's: for one name, or, without one, for the whole world.
func rootCertificate(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Foyer foyer 0000CAFE"}, NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(9, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: 1,
	}
	if name != "" {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// uid is the number of an account of the machine.
func (m *machine) uid(name string) int {
	m.t.Helper()
	uid, err := strconv.Atoi(m.must("id", "-u", name))
	if err != nil {
		m.t.Fatal(err)
	}
	return uid
}

// own makes a file, a folder (a/) or a link (a -> b) on the machine, uid's.
func (m *machine) own(uid int, what string) {
	m.t.Helper()
	name, target, link := strings.Cut(what, " -> ")
	path := m.at(name)
	switch {
	case link:
		m.ok(os.Symlink(target, path))
	case strings.HasSuffix(name, "/"):
		m.ok(os.MkdirAll(path, 0o755))
	default:
		m.ok(os.WriteFile(path, []byte("theirs"), 0o600))
	}
	m.ok(os.Lchown(path, uid, uid))
}

// race swaps pairs of names and swaps them back, over and over, until the function it
// returns is called; it tells how often.
func (m *machine) race(pairs ...[2]string) (stop func() int) {
	m.t.Helper()
	end := make(chan struct{})
	var wg sync.WaitGroup
	swaps := 0
	wg.Go(func() {
		for {
			for _, p := range pairs {
				for range 2 {
					if unix.Renameat2(unix.AT_FDCWD, m.at(p[0]), unix.AT_FDCWD, m.at(p[1]), unix.RENAME_EXCHANGE) == nil { // root may have removed one of them
						swaps++
					}
				}
			}
			select {
			case <-end:
				return
			default:
			}
		}
	})
	return func() int {
		close(end)
		wg.Wait()
		return swaps
	}
}

// raceFrom runs an install and swaps a pair of names from the start of a step on; ""
// from the beginning.
func (m *machine) raceFrom(step string, pair [2]string, install ...string) (swaps, code int) {
	m.t.Helper()
	cmd := m.command(nil, install...)
	events, err := cmd.StderrPipe()
	m.ok(err)
	stop := func() int { return 0 }
	if step == "" {
		stop = m.race(pair)
	}
	m.ok(cmd.Start())
	for lines := bufio.NewScanner(events); lines.Scan(); {
		if step != "" && strings.Contains(lines.Text(), `"event":"started","step":"`+step+`"`) {
			stop = m.race(pair)
			step = ""
		}
	}
	if step != "" {
		m.t.Errorf("the install never came to the step %s", step)
	}
	cmd.Wait() //nolint:errcheck // it may fail
	return stop(), cmd.ProcessState.ExitCode()
}

// swapped tries one thing many times while names are swapped, and returns how often.
func (m *machine) swapped(what string, out *outside, pairs [][2]string, times int, args ...string) {
	m.t.Helper()
	stop := m.race(pairs...)
	codes := map[int]int{}
	for range times {
		_, code := m.as(what, args...)
		codes[code]++
	}
	swaps := stop()
	if swaps < times {
		m.t.Errorf("%s: only %d swaps", what, swaps)
	}
	out.check(what, true)
	m.t.Logf("%s: %d swaps while %q ran; exit codes %v", what, swaps, args, codes)
}

// A data folder below somebody's own folder: they put a link, a hard link or another
// folder there before the install, all through it, and before and during the purge.
func TestLinksInAHomeLeadRootNowhere(t *testing.T) {
	t.Attr("shows", "mend")
	m := newMachine(t).withFoyer()
	m.boot()
	m.must("useradd", "--create-home", "bob")
	bob, data := m.uid("bob"), "/home/bob/foyer"
	out := m.plantOutside()
	install := []string{downloaded, "install", "--yes", "--json", "--data", data}

	// Before the install.
	for what, plant := range map[string]func(){
		"a link to a folder": func() { m.own(bob, data+" -> "+outsideDir) },
		"a hard link": func() {
			m.own(bob, data+"/")
			m.own(bob, data+"/data.db")
			m.ok(os.Link(m.at(outsideDir+"/secret"), m.at(data+"/zz")))
		},
		"a hard link of a file like shadow": func() {
			m.own(bob, data+"/")
			m.own(bob, data+"/data.db")
			m.ok(os.Link(m.at("/etc/shadow.backup"), m.at(data+"/claim.json")))
		},
	} {
		plant()
		out.watch.events(true) // of the planting
		said, code := m.as(what, install...)
		if code == 0 || !strings.Contains(said, `"error":"data-`) {
			t.Errorf("%s: exit status %d\n%s", what, code, said)
		}
		out.check(what, false)
		m.as(what, downloaded, "uninstall", "--purge", "--yes")
		m.ok(os.RemoveAll(m.at(data)))
	}

	// All through it: from the start, and from a step on, with what is taken back then.
	for _, step := range []string{"", "directories", "claim", "directories", "claim"} {
		what := "an install in a folder that is swapped from " + step + " on"
		m.own(bob, "/home/bob/other -> "+outsideDir)
		m.own(bob, data+"/")
		out.watch.events(true)
		swaps, code := m.raceFrom(step, [2]string{data, "/home/bob/other"}, install...)
		out.check(what, true)
		t.Logf("%s: %d swaps, exit status %d", what, swaps, code)
		m.as("the rest of that", downloaded, "uninstall", "--purge", "--yes")
		m.ok(os.RemoveAll(m.at(data)), os.RemoveAll(m.at("/home/bob/other")))
	}

	// In good order it works, there as well.
	said, code := m.as("an install in a home", install...)
	if code != 0 {
		t.Fatalf("an install in a home: %d\n%s", code, said)
	}
	foyer := m.uid("foyer")
	if fi, err := os.Stat(m.at(data)); err != nil || fi.Mode().Perm() != 0o700 || int(fi.Sys().(*syscall.Stat_t).Uid) != foyer {
		t.Errorf("the data folder: %+v, %v", fi, err)
	}

	// A second install and the doctor while it is swapped; then the purge.
	m.own(bob, "/home/bob/other -> "+outsideDir)
	m.swapped("a look at a folder that is swapped", out, [][2]string{{data, "/home/bob/other"}}, 5, "foyer", "doctor")
	m.own(foyer, data+"/hard/")
	m.ok(os.Link(m.at(outsideDir+"/secret"), m.at(data+"/hard/secret")))
	out.watch.events(true)
	m.swapped("a purge of a folder that is swapped", out, [][2]string{{data, "/home/bob/other"}}, 3, downloaded, "uninstall", "--purge", "--yes")
	out.check("after the purge", true)
	for _, gone := range []string{"/opt/foyer", "/etc/foyer", "/etc/systemd/system/foyer.service"} {
		if _, err := os.Lstat(m.at(gone)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the purge %s is there: %v", gone, err)
		}
	}

	// Swapped for good, it is left, and that is said.
	m.ok(os.RemoveAll(m.at(data)), os.RemoveAll(m.at("/home/bob/other")))
	if said, code := m.as("an install in a home", install...); code != 0 {
		t.Fatalf("a second install in a home: %d\n%s", code, said)
	}
	m.must("systemctl", "stop", "foyer.socket", "foyer.service")
	m.ok(os.Rename(m.at(data), m.at("/home/bob/away")))
	m.own(bob, data+" -> "+outsideDir)
	out.watch.events(true)
	said, code = m.as("a purge of a link", downloaded, "uninstall", "--purge", "--yes")
	if code != 0 || !strings.Contains(said, data+" is left") {
		t.Errorf("a purge of a link: %d\n%s", code, said)
	}
	out.check("a purge of a link", false)
	if !t.Failed() {
		show("data below somebody's own folder", "links, hard links and a folder swapped for a link all through install, doctor and purge: nothing outside read, changed or removed")
	}
}

// The user foyer was taken over, and puts links, hard links, pipes and certificates of
// its own in every folder it can write to.
func TestLinksInFoyersFoldersLeadRootNowhere(t *testing.T) {
	t.Attr("shows", "mend")
	m := newMachine(t).withFoyer()
	m.boot()
	out := m.plantOutside()
	m.install()
	m.healthy()
	foyer := m.uid("foyer")
	const data, ca = "/var/lib/foyer", "/var/lib/foyer/certificates/home-ca"
	bundle := m.must("sha256sum", "/etc/ssl/certs/ca-certificates.crt")
	replace := func(path, what string) (back func()) {
		m.ok(os.Rename(m.at(path), m.at(path+".own")))
		if to, ok := strings.CutPrefix(what, "hard "); ok {
			m.ok(os.Link(m.at(to), m.at(path)))
		} else if what != "" {
			m.own(foyer, path+" -> "+what)
		}
		return func() { m.ok(os.RemoveAll(m.at(path)), os.Rename(m.at(path+".own"), m.at(path))) }
	}
	for what, plant := range map[string]func() func(){
		"root.crt, a link":            func() func() { return replace(ca+"/root.crt", outsideDir+"/root.crt") },
		"root.crt, a hard link":       func() func() { return replace(ca+"/root.crt", "hard "+outsideDir+"/root.crt") },
		"root.crt, a file for groups": func() func() { return replace(ca+"/root.crt", "hard /etc/shadow.backup") },
		"home-ca, a link":             func() func() { return replace(ca, outsideDir+"/home-ca") },
		"certificates, a link":        func() func() { return replace(data+"/certificates", outsideDir+"/certificates") },
		"root.crt, a CA for all the world": func() func() {
			back := replace(ca+"/root.crt", "")
			m.ok(os.WriteFile(m.at(ca+"/root.crt"), rootCertificate(t, ""), 0o644), os.Chown(m.at(ca+"/root.crt"), foyer, foyer))
			return back
		},
		"root.crt, a CA for a bank": func() func() {
			back := replace(ca+"/root.crt", "")
			m.ok(os.WriteFile(m.at(ca+"/root.crt"), rootCertificate(t, "bank.example"), 0o644), os.Chown(m.at(ca+"/root.crt"), foyer, foyer))
			return back
		},
		"root.crt, a key besides": func() func() {
			own, err := os.ReadFile(m.at(ca + "/root.crt"))
			m.ok(err)
			back := replace(ca+"/root.crt", "")
			text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(marker)}), own...)
			m.ok(os.WriteFile(m.at(ca+"/root.crt"), text, 0o644), os.Chown(m.at(ca+"/root.crt"), foyer, foyer))
			return back
		},
	} {
		back := plant()
		out.watch.events(true)
		for _, args := range [][]string{{"foyer", "trust"}, {"foyer", "trust", "--print"}} {
			said, code := m.as(what, args...)
			if code != 1 || !strings.Contains(said, "[home-ca-") {
				t.Errorf("%s: %q: exit status %d\n%s", what, args, code, said)
			}
		}
		m.as(what, "foyer", "doctor")
		m.as(what, "foyer", "claim")
		out.check(what, false)
		if now := m.must("sha256sum", "/etc/ssl/certs/ca-certificates.crt"); now != bundle {
			t.Errorf("%s: the list of trusted certificates has changed", what)
			m.as(what, "foyer", "trust", "--undo")
		}
		back()
	}

	// While names are swapped all the time.
	m.own(foyer, ca+"/link -> "+outsideDir+"/root.crt")
	m.own(foyer, data+"/certificates/folder -> "+outsideDir+"/home-ca")
	m.ok(os.Link(m.at(outsideDir+"/root.crt"), m.at(ca+"/hard")))
	out.watch.events(true)
	names := [][2]string{{ca + "/root.crt", ca + "/link"}, {ca + "/root.crt", ca + "/hard"}, {ca, data + "/certificates/folder"}}
	m.swapped("trust of a file that is swapped", out, names, 10, "foyer", "trust")
	m.swapped("a look at a file that is swapped", out, names, 5, "foyer", "doctor")
	m.ok(os.Remove(m.at(ca+"/link")), os.Remove(m.at(ca+"/hard")), os.Remove(m.at(data+"/certificates/folder")))
	out.watch.events(true)

	// In good order it works.
	if said, code := m.as("trust in good order", "foyer", "trust"); code != 0 {
		t.Errorf("trust in good order: %d\n%s", code, said)
	}
	m.as("trust --undo", "foyer", "trust", "--undo")

	// Everywhere at once: links and hard links to all that is outside, a mount of it, and
	// folders without end; then the purge.
	for _, dir := range []string{data, data + "/certificates", ca} {
		m.own(foyer, dir+"/folder -> "+outsideDir)
		m.own(foyer, dir+"/file -> "+outsideDir+"/secret")
		m.own(foyer, dir+"/nowhere -> /root/made-by-purge")
		m.own(foyer, dir+"/up -> ../../../..")
		m.ok(os.Link(m.at(outsideDir+"/secret"), m.at(dir+"/hard")), os.Link(m.at("/etc/shadow.backup"), m.at(dir+"/shadow")))
	}
	m.must("setpriv", "--reuid=foyer", "--regid=foyer", "--clear-groups", "sh", "-c", "cd /run/foyer && rm control.sock && ln -s "+outsideDir+" folder && ln -s "+outsideDir+"/secret control.sock")
	m.ok(os.Remove(m.at(data+"/claim.json")), os.MkdirAll(m.at(data+"/"+strings.Repeat("d/", 500)), 0o755))
	m.own(foyer, data+"/claim.json -> "+outsideDir+"/claim.json")
	m.ok(os.MkdirAll(m.at(data+"/sub/mounted"), 0o755))
	m.must("mount", "--bind", outsideDir, data+"/sub/mounted")
	m.own(foyer, "/var/lib/foyer/other -> "+outsideDir)
	m.own(foyer, "/var/lib/foyer/sub/many/")
	out.watch.events(true)
	stop := m.race([2]string{ca, data + "/other"}, [2]string{data + "/sub/many", data + "/certificates/folder"})
	said, code := m.as("a purge", downloaded, "uninstall", "--purge", "--yes")
	stop()
	if code != 0 || !strings.Contains(said, data+"/sub/mounted is left") {
		t.Errorf("a purge: %d\n%s", code, said)
	}
	out.check("a purge", true)
	if _, err := os.Lstat(m.at("/root/made-by-purge")); err == nil {
		t.Error("a link to nowhere was followed")
	}
	m.must("umount", data+"/sub/mounted")
	var left []string
	m.ok(filepath.WalkDir(m.at(data), func(path string, _ fs.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, m.root))
		return err
	}))
	if want := []string{data, data + "/sub", data + "/sub/mounted"}; !slices.Equal(left, want) {
		t.Errorf("left in the data folder: %q", left)
	}
	if !t.Failed() {
		show("links in every folder of user foyer", "trust, doctor, claim and purge: no secret read, printed or trusted; a mount in the data folder is left; a CA for other names is refused")
	}
}

// A pipe in the place of a file stops nobody.
func TestPipesStopNobody(t *testing.T) {
	t.Attr("shows", "mend")
	m := newMachine(t).withFoyer()
	m.boot()
	m.install()
	m.healthy()
	const root = "/var/lib/foyer/certificates/home-ca/root.crt"
	m.ok(os.Remove(m.at(root)), unix.Mkfifo(m.at(root), 0o666), os.Chown(m.at(root), m.uid("foyer"), -1))
	if said, code := m.as("a pipe", "foyer", "trust"); code != 1 || !strings.Contains(said, "[home-ca-unsafe]") {
		t.Errorf("trust of a pipe: %d\n%s", code, said)
	}
	m.as("a pipe", "foyer", "doctor")
}

// What the unit forbids, as systemd and the kernel have it. (In a machine of these tests
// limits of memory do nothing.)
func TestTheServiceHasLimits(t *testing.T) {
	t.Attr("shows", "mend")
	m := newMachine(t).withFoyer()
	m.boot()
	m.install()
	m.healthy()
	said := m.must("systemctl", "show", "foyer.service", "-p", "MemoryHigh,MemoryMax,TasksMax,LimitCORE,LimitCORESoft,Environment")
	has := map[string]string{}
	for line := range strings.Lines(said) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		has[name] = value
	}
	high, err1 := strconv.ParseUint(has["MemoryHigh"], 10, 63)
	limit, err2 := strconv.ParseUint(has["MemoryMax"], 10, 63)
	if err := errors.Join(err1, err2); err != nil || high < 64<<20 || limit <= high || has["TasksMax"] != "2048" || has["LimitCORE"] != "0" || has["LimitCORESoft"] != "0" {
		t.Errorf("limits of the service: %v, %v", has, err)
	}
	for _, serve := range []bool{false, true} {
		pid := m.hostPID(serve)
		dir := fmt.Sprintf("/proc/%d", pid)
		limits, err := os.ReadFile(dir + "/limits")
		if err != nil || !strings.Contains(string(limits), "Max core file size        0                    0 ") {
			t.Errorf("limits of process %d, %v:\n%s", pid, err, limits)
		}
		// What no core may be made of, whoever collects it, is root's in /proc (proc(5)).
		var user, memory unix.Stat_t
		if err := errors.Join(unix.Stat(dir, &user), unix.Stat(dir+"/mem", &memory)); err != nil || memory.Uid != 0 {
			t.Errorf("the memory of process %d belongs to %d, %v", pid, memory.Uid, err)
		}
		status, err := os.ReadFile(dir + "/status")
		if err != nil || !strings.Contains(string(status), fmt.Sprintf("Uid:\t%d\t", m.uid("foyer"))) {
			t.Errorf("process %d is not user foyer's: %v\n%s", pid, err, status)
		}
	}
	// The owner's drop-in holds.
	m.must("sh", "-c", `mkdir -p /etc/systemd/system/foyer.service.d && printf '[Service]\nMemoryMax=1G\n' >/etc/systemd/system/foyer.service.d/memory.conf && systemctl daemon-reload`)
	if got := m.must("systemctl", "show", "foyer.service", "-P", "MemoryMax"); got != "1073741824" {
		t.Errorf("with a drop-in: %s", got)
	}
	if t.Failed() {
		return
	}
	show("limits of the service", "MemoryHigh %d MB, MemoryMax %d MB, TasksMax %s, no core file, by limit and by prctl", high>>20, limit>>20, has["TasksMax"])
}
