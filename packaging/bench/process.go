package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that runs for the measurement.
type process struct {
	cmd  *exec.Cmd
	addr string
	took time.Duration // from start to the first answer
}

// startSelf starts this program in another role; it prints its address.
func startSelf(args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self, args...)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start %v: %w", args, err), p.stop())
	}
	p.addr = strings.TrimSpace(line)
	go io.Copy(io.Discard, out) //nolint:errcheck // ends with the process
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

const password = "bench bench bench"

// startFoyer starts `foyer try` over a data folder.
func startFoyer(binary, data string, env ...string) (*process, error) {
	p := &process{cmd: exec.Command(binary, "try", "--http", "--json", "--listen", "127.0.0.1:0", "--owner", "bench", "--data", data)}
	p.cmd.Env = append(append(os.Environ(), "FOYER_OWNER_PASSWORD="+password, "KINTO_BATCH_MAX_REQUESTS=0"), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start foyer: %w", err), p.stop())
	}
	var said struct{ URL string }
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.addr = strings.TrimSuffix(strings.TrimPrefix(said.URL, "http://"), "/v1/")
	go io.Copy(io.Discard, out) //nolint:errcheck // ends with the process
	return p, nil
}

// startUp is how long a server alone takes from its start to its first answer: the
// server process is given a listener as its supervisor would give it.
func startUp(binary, data string) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	hold, let, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer hold.Close()
	cmd := exec.Command(binary, "serve", "--settings", "", "--plain-http")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stdin = hold
	cmd.Env = append(os.Environ(), "FOYER_LISTENERS=http", "FOYER_DATA="+data)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + l.Addr().String() + "/v1/__lbheartbeat__")
	took := time.Since(begin)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("the first answer is %s", resp.Status)
		}
	}
	return took, errors.Join(err, let.Close(), cmd.Wait())
}

// children are the processes a process started.
func children(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var out []int
	for f := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	// Children belong to the thread that started them.
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		if text, err := os.ReadFile(t); err == nil && !strings.Contains(t, fmt.Sprintf("/task/%d/", pid)) {
			for f := range strings.FieldsSeq(string(text)) {
				if n, err := strconv.Atoi(f); err == nil {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// resident is the memory of a process in MB: VmRSS now, or VmHWM at its most.
func resident(pid int, field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}
