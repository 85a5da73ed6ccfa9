//go:build e2e && linux

package backup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/control"
)

// whole reports whether figures are made of a gigabyte, as `make show-backups` does, rather than
// of a small dose, which shows that all of it works.
var whole = os.Getenv("SHOW_WHOLE") != ""

// dose is one number for the whole, and another for a small dose.
func dose(all, small int) int {
	if whole {
		return all
	}
	return small
}

// together has small doses, which mostly wait, run at the same time.
func together(t *testing.T) {
	if !whole {
		t.Parallel()
	}
}

// foyer is a whole Foyer of a test's own: supervisor and server, as a service manager starts
// them, behind a proxy on this machine.
type foyer struct {
	t        *testing.T
	dir, to  string // its folders, and that of its backups
	state    string // of the supervisor
	words    string
	settings map[string]string
	url      string
	client   *http.Client
	control  *control.Client
	cmd      *exec.Cmd
	said     bytes.Buffer
}

const (
	owner     = "jeannine"
	passwords = "correct horse battery"
	records   = "/v1/buckets/b/collections/c/records"
)

// places are where folders of a Foyer are to be; "": in that of the test.
type places struct{ data, state, target string }

// newFoyer starts one, which its owner has claimed, with a list to write to.
func newFoyer(t *testing.T, settings map[string]string) *foyer {
	t.Helper()
	f := foyerAt(t, home(t), places{}, settings)
	f.start()
	f.claim()
	return f
}

// home is a folder of the test's own. Folders for temporary files are none for backups, and a socket's
// path is short.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/srv", "foyer-figures-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// foyerAt is one that is not started yet.
func foyerAt(t *testing.T, dir string, at places, settings map[string]string) *foyer {
	t.Helper()
	if os.Getenv("FOYER_E2E_BINARY") == "" {
		t.Fatal("FOYER_E2E_BINARY names no program to try")
	}
	k, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	f := &foyer{
		t: t, dir: dir, to: cmp.Or(at.target, filepath.Join(dir, "backup")), state: cmp.Or(at.state, filepath.Join(dir, "foyer-supervisor")),
		words: strings.Join(k.Words(hint.EN), " "),
	}
	address := freeAddress(t)
	f.url = "http://" + address
	f.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 2 * time.Minute}
	f.control = control.Dial(filepath.Join(dir, "run"))
	f.settings = map[string]string{"data": cmp.Or(at.data, filepath.Join(dir, "data")), "mdns": "off", "proxy.listen": address, "addresses": "foyer.test", "certificates.ca": "off", "backup.to": f.to, "backup.interval": "5"}
	for key, value := range settings {
		f.settings[key] = value
	}
	t.Cleanup(f.stop)
	return f
}

// freeAddress is one of this machine, with a port that the kernel gives no connection by itself
// (ip_local_port_range, ip(7)): nobody gets it while a Foyer is down.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// claim makes its owner, and a list to write to.
func (f *foyer) claim() {
	f.t.Helper()
	claim, err := f.control.NewClaim(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	f.must(http.MethodPost, "/claim", map[string]string{"code": claim.Code, "name": owner, "password": passwords})
	f.must(http.MethodPut, "/v1/buckets/b", nil)
	f.must(http.MethodPut, "/v1/buckets/b/collections/c", nil)
}

// start starts it, and waits until it is well.
func (f *foyer) start() {
	f.t.Helper()
	var text strings.Builder
	for key, value := range f.settings {
		if _, err := strconv.Atoi(value); err == nil {
			fmt.Fprintf(&text, "%s = %s\n", key, value)
		} else if key == "addresses" {
			fmt.Fprintf(&text, "%s = [%q]\n", key, value)
		} else if value != "" {
			fmt.Fprintf(&text, "%s = %q\n", key, value)
		}
	}
	path := filepath.Join(f.dir, "foyer.toml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(f.dir, "run"), f.settings["data"], f.state} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			f.t.Fatal(err)
		}
	}
	f.cmd = exec.Command(os.Getenv("FOYER_E2E_BINARY"), "supervise", "--settings", path, "--run", filepath.Join(f.dir, "run"))
	f.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "STATE_DIRECTORY=" + f.state}
	f.cmd.Stdout, f.cmd.Stderr = &f.said, &f.said
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.wait("it to be well", func() bool {
		var ended unix.Siginfo
		if err := unix.Waitid(unix.P_PID, f.cmd.Process.Pid, &ended, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil || ended.Signo != 0 {
			f.t.Fatalf("it ended: %v", err)
		}
		s, err := f.control.Status(f.t.Context())
		return err == nil && s.Server.State == "healthy"
	})
}

// stop ends it in good order.
func (f *foyer) stop() {
	if f.cmd == nil {
		return
	}
	f.cmd.Process.Signal(syscall.SIGTERM)
	f.cmd.Wait()
	f.cmd = nil
	if f.t.Failed() {
		f.t.Logf("it said:\n%.20000s", f.said.String())
	}
}

// kill ends it as a power cut does: all its processes, whatever they are at.
func (f *foyer) kill() {
	syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
	f.cmd.Wait()
	f.cmd = nil
}

// wait waits for something, with the patience of minutes.
func (f *foyer) wait(what string, ok func() bool) time.Duration {
	f.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > 10*time.Minute {
			f.t.Fatalf("waited for %s in vain", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// ask makes a request as the owner.
func (f *foyer) ask(method, path string, body any) (int, []byte, error) {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	req, err := http.NewRequest(method, f.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return f.send(req)
}

// send sends a request; one to the API as the owner.
func (f *foyer) send(req *http.Request) (int, []byte, error) {
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", "foyer.test")
	req.Host = "foyer.test"
	if strings.HasPrefix(req.URL.Path, "/v1/") {
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(owner+":"+passwords)))
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, got, err
}

func (f *foyer) must(method, path string, body any) []byte {
	f.t.Helper()
	status, got, err := f.ask(method, path, body)
	if err != nil || status >= 300 {
		f.t.Fatalf("%s %s: %d %.500s, %v\n%.5000s", method, path, status, got, err, f.said.String())
	}
	return got
}

var words = strings.Fields(`the a of to and in is that for it as was with be by on not he his but at are this have from or had an
they which one you were all her she there would their we him been has when who will no more if out so up said what its about than into
them can only other time new some could these two may first then do any like my now over such our man me even most made after also did
garden kitchen letter Tuesday grandmother bread bicycle station holiday doctor school neighbour photograph birthday recipe`)

// text is a note of about so many bytes, as people write them.
func text(r *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}

// fill puts so many records into the database of a Foyer that is stopped.
func (f *foyer) fill(n int) {
	f.t.Helper()
	db, err := storage.Open(f.t.Context(), filepath.Join(f.dir, "data", "data.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		f.t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	l := kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	for from := 0; from < n; from += 1000 {
		err := db.Write(f.t.Context(), []kinto.List{l}, func(tx kinto.Tx) error {
			for i := from; i < min(n, from+1000); i++ {
				ts, err := tx.Tick(l, -1)
				if err != nil {
					return err
				}
				data := fmt.Appendf(nil, `{"n":%d,"done":%t,"title":%q,"text":%q}`, i, i%3 == 0, text(r, 20), text(r, 140))
				if err := tx.Put(l, &kinto.Object{ID: fmt.Sprintf("r%d", i), Timestamp: ts, Data: data}, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// batches writes records by batches of 25, of eight clients at once.
func (f *foyer) batches(ids []string) {
	f.t.Helper()
	var wg sync.WaitGroup
	work := make(chan []string)
	for range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(3, rand.Uint64()))
			for some := range work {
				var requests []map[string]any
				for _, id := range some {
					requests = append(requests, map[string]any{"method": "PUT", "path": records + "/" + id, "body": map[string]any{"data": map[string]any{"title": text(r, 20), "text": text(r, 140)}}})
				}
				if status, got, err := f.ask(http.MethodPost, "/v1/batch", map[string]any{"requests": requests}); err != nil || status != http.StatusOK {
					f.t.Errorf("%d %.300s, %v", status, got, err)
				}
			}
		})
	}
	for some := range slices.Chunk(ids, 25) {
		work <- some
	}
	close(work)
	wg.Wait()
}

// backup is how the backup stands.
func (f *foyer) backup() report.Backup {
	f.t.Helper()
	b, err := f.control.Backup(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// begin begins a backup.
func (f *foyer) begin(fresh bool) {
	f.t.Helper()
	if _, err := f.control.BeginBackup(f.t.Context(), report.BeginBackup{Words: f.words, SameDisk: true, New: fresh}); err != nil {
		f.t.Fatal(err)
	}
}

// shipped waits until what was written by now is in the backup.
func (f *foyer) shipped() time.Duration {
	f.t.Helper()
	now := time.Now()
	return f.wait("the backup to have it", func() bool { return f.backup().Complete.After(now) })
}

// processes are the supervisor and its server.
func (f *foyer) processes() []int {
	f.t.Helper()
	s, err := f.control.Status(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return []int{f.cmd.Process.Pid, s.Server.PID}
}

// resident is how much memory processes have, and had at most, in MB.
func resident(t *testing.T, pids ...int) (now, most float64) {
	t.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			kb, _ := strconv.ParseFloat(fields[1], 64)
			switch fields[0] {
			case "VmRSS:":
				now += kb / 1024
			case "VmHWM:":
				most += kb / 1024
			}
		}
	}
	return now, most
}

// forgetMost has the kernel forget how much memory processes had at most (proc_pid_clear_refs(5)).
func forgetMost(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// spent is the processor time of processes.
func spent(t *testing.T, pids ...int) (all time.Duration) {
	t.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := bytes.Cut(text, []byte(") "))
		fields := strings.Fields(string(rest))
		for _, ticks := range fields[11:13] {
			n, _ := strconv.ParseInt(ticks, 10, 64)
			all += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return all
}

// size is how many bytes and files lie below a folder.
func size(t *testing.T, dir string) (bytes int64, files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			bytes, files = bytes+fi.Size(), files+1
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, files
}

// program runs a program to its end, and says how long it took and how much memory it had at most.
func program(t *testing.T, in string, env []string, name string, args ...string) (took time.Duration, mb float64, out string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(in)
	began := time.Now()
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%.3000s", name, args, err, text)
	}
	return time.Since(began), float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024, string(text)
}

const mb = 1 << 20

// What a backup costs, beside restic from Debian's packages, which backs up the file of the
// same database.
func TestFiguresBesideRestic(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	n := dose(2_600_000, 20_000)
	f := newFoyer(t, nil)
	f.stop()
	f.fill(n)
	f.start()
	data, _ := size(t, filepath.Join(f.dir, "data"))
	pids := f.processes()
	before, _ := resident(t, pids...)
	forgetMost(t, pids...)

	repository := filepath.Join(f.dir, "restic")
	env := []string{"RESTIC_PASSWORD=figures", "RESTIC_REPOSITORY=" + repository, "RESTIC_CACHE_DIR=" + filepath.Join(f.dir, "cache"), "HOME=" + f.dir}
	program(t, "", env, "restic", "init")
	database := func() (time.Duration, float64) {
		took, most, _ := program(t, "", env, "restic", "backup", "--quiet", filepath.Join(f.dir, "data", "data.db"), filepath.Join(f.dir, "data", "data.db-wal"))
		return took, most
	}

	began := time.Now()
	busy := spent(t, pids...)
	f.begin(false)
	f.wait("the first backup", func() bool { return !f.backup().Complete.IsZero() })
	took := time.Since(began)
	busy = spent(t, pids...) - busy
	first, _ := size(t, f.to)
	_, most := resident(t, pids...)
	resticTook, resticMost := database()
	resticFirst, _ := size(t, repository)
	show(t, "first backup of %.2f GB, %d records: %.1f MB in %.1f s (%.1f s of processor); restic %.1f MB in %.1f s: ×%.2f of its bytes (aim 0.7), ×%.2f of its time (aim 0.8)", float64(data)/(1<<30), n,
		float64(first)/mb, took.Seconds(), busy.Seconds(), float64(resticFirst)/mb, resticTook.Seconds(), float64(first)/float64(resticFirst), took.Seconds()/resticTook.Seconds())
	show(t, "memory: %.0f MB more at most while everything is copied (supervisor and server, which had %.0f; aim 40); restic %.0f MB", most-before, before, resticMost)
	if ratio := float64(first) / float64(resticFirst); whole && ratio > 0.7 {
		t.Errorf("the first backup has ×%.2f of restic's bytes", ratio)
	}

	f.wait("the restore to see", func() bool { b := f.backup(); return b.Proven != nil || b.Failed != nil })
	if b := f.backup(); b.Proven == nil || b.Proven.Records != n || !b.Proven.Compared {
		t.Errorf("the restore to see: %+v, %+v", b.Proven, b.Failed)
	} else {
		show(t, "restored to see that it works: %d records, read by a client in %d lists, in %.1f s", b.Proven.Records, b.Proven.Lists, b.Proven.Seconds)
	}

	was, _ := size(t, f.to)
	time.Sleep(12 * time.Second) // two cycles in which there is nothing new
	is, _ := size(t, f.to)
	show(t, "unchanged: %d bytes more in two cycles (aim 1 kB beside beats)", is-was)
	if is != was {
		t.Errorf("%d bytes were put of nothing", is-was)
	}

	change := func(what string, ids []string, most float64) {
		forgetMost(t, pids...)
		before, _ := resident(t, pids...)
		was, _ := size(t, f.to)
		resticWas, _ := size(t, repository)
		f.batches(ids)
		f.shipped()
		is, _ := size(t, f.to)
		_, peak := resident(t, pids...)
		database()
		resticIs, _ := size(t, repository)
		show(t, "1 %% %s, %d records: %.2f MB (aim 4 of 26,000); restic %.1f MB: ×%.3f (aim 0.02); memory %.0f MB more", what, len(ids), float64(is-was)/mb, float64(resticIs-resticWas)/mb, float64(is-was)/float64(resticIs-resticWas), peak-before)
		if ratio := float64(is-was) / float64(resticIs-resticWas); whole && ratio > most {
			t.Errorf("what changed, %s, has ×%.3f of restic's bytes", what, ratio)
		}
	}
	var scattered, appended []string
	for i := range n / 100 {
		scattered = append(scattered, fmt.Sprintf("r%d", i*100+i%97))
		appended = append(appended, fmt.Sprintf("a%d", i))
	}
	change("scattered", scattered, 0.05)
	change("appended", appended, 0.2) // restic has little more than the new pages of the file, too

	f.stop()
	verdict, _, _ := program(t, f.words+"\n", nil, os.Getenv("FOYER_E2E_BINARY"), "restore", "--from", f.to, "--verdict", "--json")
	peak := make(chan float64)
	stop := make(chan struct{})
	go func() { peak <- loader(stop) }()
	restored, most, _ := program(t, f.words+"\n", nil, os.Getenv("FOYER_E2E_BINARY"), "restore", "--from", f.to, "--into", filepath.Join(f.dir, "restored"), "--yes", "--json")
	close(stop)
	load := <-peak
	show(t, "restore: %d records in %.1f s, %.0f a second (aim 50,000); verdict %.2f s (aim 5); memory of who reads %.0f MB, of who loads %.0f MB (aim 60)", n+n/100, restored.Seconds(), float64(n+n/100)/restored.Seconds(), verdict.Seconds(), most, load)
}

// loader is how much memory a process that loads has at most, until stop is closed.
func loader(stop chan struct{}) (most float64) {
	for {
		select {
		case <-stop:
			return most
		case <-time.After(20 * time.Millisecond):
		}
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range all {
			text, err := os.ReadFile(path)
			if args := strings.Split(string(text), "\x00"); err != nil || len(args) < 2 || args[1] != "load" {
				continue
			}
			status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
			for line := range strings.Lines(string(status)) {
				if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
					kb, _ := strconv.ParseFloat(fields[1], 64)
					most = max(most, kb/1024)
				}
			}
		}
	}
}

// One write a second, shipped each second and each five: how much that is in a day, and what it
// costs the processor beside a server that nobody backs up.
func TestFiguresOfARestingServer(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	plain := newFoyer(t, map[string]string{"backup.to": ""})
	all := []*foyer{plain}
	for _, interval := range []string{"1", "5"} {
		f := newFoyer(t, map[string]string{"backup.interval": interval})
		f.begin(false)
		f.wait("the restore to see", func() bool { return f.backup().Proven != nil })
		all = append(all, f)
	}
	seconds := dose(120, 10)
	type figure struct {
		bytes int64
		files int
		busy  time.Duration
	}
	now := func(f *foyer) figure {
		at := figure{busy: spent(t, f.processes()...)}
		if f != plain {
			at.bytes, at.files = size(t, f.to)
		}
		return at
	}
	var before []figure
	for _, f := range all {
		f.must(http.MethodPut, records+"/first", nil) // the password is looked at once
		before = append(before, now(f))
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	r := rand.New(rand.NewPCG(1, 1))
	for i := range seconds {
		for _, f := range all {
			f.must(http.MethodPut, records+"/w"+strconv.Itoa(i), map[string]any{"data": map[string]any{"title": text(r, 20), "text": text(r, 140)}})
		}
		<-tick.C
	}
	idle := now(plain).busy - before[0].busy
	for i, f := range all[1:] {
		f.shipped()
		is, was := now(f), before[i+1]
		day := func(x float64) float64 { return x / float64(seconds) * 86400 }
		show(t, "one write a second, shipped each %s s: %.0f bytes a stretch (aim 700), %.1f MB and %.0f objects a day (aim 20 MB and 17,300 at 5 s), %.2f %% of a core more than without (aim 0.5)",
			f.settings["backup.interval"], float64(is.bytes-was.bytes)/float64(is.files-was.files), day(float64(is.bytes-was.bytes))/1e6, day(float64(is.files-was.files)), 100*(is.busy-was.busy-idle).Seconds()/float64(seconds))
		if is.files == was.files || is.files-was.files > seconds+5 {
			t.Errorf("%d objects of %d writes", is.files-was.files, seconds)
		}
	}
}

// How long writes take, a hundred a second, while nobody makes a backup, while one goes on, and
// while everything is copied: interleaved.
func TestFiguresOfWritesBesideABackup(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	n := dose(500_000, 5_000)
	plain, backed := newFoyer(t, map[string]string{"backup.to": ""}), newFoyer(t, map[string]string{"backup.interval": "1"})
	for _, f := range []*foyer{plain, backed} {
		f.stop()
		f.fill(n)
		f.start()
	}
	backed.begin(false)
	backed.wait("the restore to see", func() bool { return backed.backup().Proven != nil })
	var idle, shipping, copying []float64
	for i := range dose(5, 1) {
		idle = append(idle, plain.p99(i))
		shipping = append(shipping, backed.p99(i))
		backed.begin(true)
		copying = append(copying, backed.p99(i+1000))
		backed.wait("the copy", func() bool { return !backed.backup().Complete.IsZero() })
	}
	a, b, c := median(idle), median(shipping), median(copying)
	show(t, "99 of 100 writes at 100 a second, medians of %d: %.1f ms without a backup, ×%.2f while what is new is shipped, ×%.2f while everything is copied (aim 1.5)", len(idle), a, b/a, c/a)
}

// p99 is the time, in milliseconds, in which 99 of 100 writes are answered.
func (f *foyer) p99(round int) float64 {
	f.t.Helper()
	count := dose(600, 100)
	took := make([]float64, count)
	var wg sync.WaitGroup
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range count {
		wg.Go(func() {
			began := time.Now()
			f.ask(http.MethodPut, fmt.Sprintf("%s/p%d-%d", records, round, i), map[string]any{"data": map[string]any{"text": "a note"}})
			took[i] = float64(time.Since(began).Microseconds()) / 1000
		})
		<-tick.C
	}
	wg.Wait()
	slices.Sort(took)
	return took[len(took)*99/100]
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// A disk that is away for a day at one write a second: what the server keeps for it has a bound, and
// when it is back all of it goes there, and nothing is copied anew.
func TestFiguresOfADiskThatIsAway(t *testing.T) {
	t.Attr("shows", "backups")
	together(t)
	f := newFoyer(t, map[string]string{"backup.interval": "1"})
	f.begin(false)
	f.wait("the restore to see", func() bool { return f.backup().Proven != nil })
	f.must(http.MethodPut, records+"/before", nil)
	f.shipped()
	if err := os.Rename(f.to, f.to+".pulled"); err != nil {
		t.Fatal(err)
	}
	f.wait("it to be missed", func() bool { b := f.backup(); return b.Problem != nil && b.Problem.Code == "target-away" })
	n := dose(86_400, 2_000)
	was, _ := size(t, filepath.Join(f.dir, "data"))
	var wg sync.WaitGroup
	next := make(chan int)
	for range 32 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(5, rand.Uint64()))
			for i := range next {
				f.ask(http.MethodPut, records+"/x"+strconv.Itoa(i%500), map[string]any{"data": map[string]any{"title": text(r, 20), "text": text(r, 140)}})
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	is, _ := size(t, filepath.Join(f.dir, "data"))
	points := f.backup().Points
	if err := os.Rename(f.to+".pulled", f.to); err != nil {
		t.Fatal(err)
	}
	took := f.shipped()
	b := f.backup()
	kept, err := f.control.BackupPoints(context.Background())
	if err != nil || len(kept) < points || b.Problem != nil {
		t.Errorf("after a day away: %+v, %d moments, and there were %d; %v", b, len(kept), points, err)
	}
	bases, _ := filepath.Glob(filepath.Join(f.to, b.Chain, "*.seg"))
	show(t, "a disk away for %d writes: the folder of the data is %.1f MB larger (aim 40), caught up in %.1f s, %d objects there, the same chain", n, float64(is-was)/mb, took.Seconds(), len(bases))
}

// show prints a figure.
func show(t *testing.T, format string, args ...any) {
	t.Helper()
	fmt.Printf("SHOW "+cmp.Or(format, "?")+"\n", args...)
}
