//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
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

	"github.com/foyer-server/foyer/packaging/faultfs"
)

// What a power cut leaves on the disk: the data lie on an ext4 whose device forgets at
// the cut whatever was not synced. The cut comes in the middle of a stream of writes;
// whatever was acknowledged must be there afterwards.
// (It shows what was synced, not what the firmware of a card makes of that.)
func TestAcknowledgedIsOnTheDisk(t *testing.T) {
	t.Attr("shows", "foundation")
	t.Parallel()
	disk := faultfs.NewDisk(t, faultfs.DiskConfig{Size: 128 << 20})
	data := filepath.Join(disk.Path, "data")
	f := tryFoyer(t, data)
	f.must(t, "/buckets/b", http.StatusCreated)
	f.must(t, "/buckets/b/collections/c", http.StatusCreated)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	acked := map[string]int64{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("r%d-%d", w, i)
				if a, err := f.put(ctx, "/buckets/b/collections/c/records/"+id); err == nil && a.status == http.StatusCreated {
					mu.Lock()
					acked[id] = a.etag
					mu.Unlock()
				}
			}
		})
	}
	for {
		mu.Lock()
		n := len(acked)
		mu.Unlock()
		if n > 2000 {
			break
		}
		time.Sleep(time.Millisecond) // another process is waited for
	}
	disk.PowerCut() // whoever is acknowledged from here on was before
	f.kill()
	cancel()
	wg.Wait()
	disk.Mount()

	again := tryFoyer(t, data)
	defer again.kill()
	var got struct {
		Data []struct {
			ID       string `json:"id"`
			Modified int64  `json:"last_modified"`
		} `json:"data"`
	}
	resp, err := again.request(t.Context(), http.MethodGet, "/buckets/b/collections/c/records", "")
	if err != nil || resp.status != http.StatusOK {
		t.Fatalf("%+v, %v", resp, err)
	}
	if err := json.Unmarshal([]byte(resp.body), &got); err != nil {
		t.Fatal(err)
	}
	there := map[string]int64{}
	for _, r := range got.Data {
		there[r.ID] = r.Modified
	}
	lost := 0
	for id, etag := range acked {
		if there[id] != etag {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged records had not reached the disk", lost, len(acked))
		return
	}
	show("power cut, as the disk sees it (ext4 on a device that forgets what was not synced)", "%d acknowledged records, %d lost", len(acked), lost)
}

// A disk that hangs holds up nobody who asks how things are: status and doctor answer, and
// say which disk it is once its check is late; visitors are served meanwhile.
func TestADiskThatHangsIsNamed(t *testing.T) {
	t.Attr("shows", "ground")
	t.Parallel()
	folder := faultfs.NewFolder(t, t.TempDir())
	f := tryFoyer(t, filepath.Join(folder.Path, "data"))
	f.must(t, "/buckets/b", http.StatusCreated)
	ask := func(what string) (said string, took time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		began := time.Now()
		out, err := exec.CommandContext(ctx, os.Getenv("FOYER_E2E_BINARY"), what, "--json", "--run", f.run).Output()
		if ctx.Err() != nil {
			t.Fatalf("foyer %s does not answer: %s, %v", what, out, err)
		}
		return string(out), time.Since(began)
	}
	// late are the checks that have not come back, as status or doctor tells.
	late := func(said string) (codes []string) {
		t.Helper()
		type check struct{ Code, Cause string }
		var told struct{ Checks, Findings []check }
		if err := json.Unmarshal([]byte(said), &told); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		for _, c := range slices.Concat(told.Checks, told.Findings) {
			if c.Cause == "check-late" {
				codes = append(codes, c.Code)
			}
		}
		return codes
	}
	if said, _ := ask("status"); len(late(said)) > 0 {
		t.Fatalf("before: %s", said)
	}
	held := folder.Hang(faultfs.Statfs)
	select {
	case <-held:
	case <-time.After(patience):
		t.Fatal("nobody asks how full the disk is")
	}
	var slowest time.Duration
	for end := time.Now().Add(patience); ; {
		said, took := ask("status")
		slowest = max(slowest, took)
		if slices.Equal(late(said), []string{"disk"}) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("status does not name it: %s", said)
		}
	}
	doctor, took := ask("doctor")
	if !slices.Equal(late(doctor), []string{"disk"}) {
		t.Errorf("doctor does not name it: %s", doctor)
	}
	f.must(t, "/buckets/c", http.StatusCreated)
	folder.Release(faultfs.Statfs)
	for end := time.Now().Add(patience); ; {
		if said, _ := ask("status"); len(late(said)) == 0 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("it answers again, and status says %s", said)
		}
	}
	show("a disk that hangs", "status answered within %d ms while it hung, doctor in %d ms; both name it", slowest.Milliseconds(), took.Milliseconds())
}

// tried is a `foyer try --http` with an owner.
type tried struct {
	url, run string
	cmd      *exec.Cmd
}

func tryFoyer(t *testing.T, data string) *tried {
	t.Helper()
	cmd := exec.Command(os.Getenv("FOYER_E2E_BINARY"), "try", "--http", "--json", "--listen", "127.0.0.1:0", "--owner", "jeannine", "--data", data)
	cmd.Env = append(os.Environ(), "FOYER_OWNER_PASSWORD="+password)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &tried{cmd: cmd}
	t.Cleanup(f.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	var said struct{ URL, Run string }
	if err == nil {
		err = json.Unmarshal([]byte(line), &said)
	}
	if err != nil {
		t.Fatalf("foyer try said %q: %v", line, err)
	}
	f.url, f.run = strings.TrimSuffix(said.URL, "/"), said.Run
	return f
}

// kill ends supervisor and server at once.
func (f *tried) kill() {
	if f.cmd.ProcessState != nil {
		return
	}
	pid := f.cmd.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	f.cmd.Process.Kill()
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			continue
		}
		for end := time.Now().Add(patience); syscall.Kill(pid, syscall.SIGKILL) == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // until it has let go of its files
		}
	}
	f.cmd.Wait()
}

func (f *tried) request(ctx context.Context, method, path, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.SetBasicAuth("jeannine", password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, etagOf(resp), string(text)}, err
}

func (f *tried) put(ctx context.Context, path string) (answer, error) {
	return f.request(ctx, http.MethodPut, path, `{"data":{"text":"milk"}}`)
}

func (f *tried) must(t *testing.T, path string, status int) {
	t.Helper()
	if a, err := f.put(t.Context(), path); err != nil || a.status != status {
		t.Fatalf("PUT %s: %+v, %v", path, a, err)
	}
}
