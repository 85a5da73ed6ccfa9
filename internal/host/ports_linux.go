package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// portOwner reads /proc/net/tcp{,6} (proc(5)) for sockets that listen on port, and
// the descriptors of every process for who holds them.
func portOwner(port int) (Owner, bool, error) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
			continue
		}
		if err != nil {
			return Owner{}, false, fmt.Errorf("cannot tell who listens on port %d: %w", port, err)
		}
		for inode := range listening(string(data), port) {
			inodes[inode] = true
		}
	}
	if len(inodes) == 0 {
		return Owner{}, false, nil
	}
	return holder(inodes), true, nil
}

// listening returns the inodes of the sockets in a table that are in state LISTEN
// on port.
func listening(table string, port int) map[string]bool {
	suffix, found := fmt.Sprintf(":%04X", port), map[string]bool{}
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], suffix) {
			found[f[9]] = true
		}
	}
	return found
}

// holder finds the process that has one of the sockets open: the one with the
// lowest number, process 1 only when nobody else has.
func holder(inodes map[string]bool) Owner {
	var best Owner
	procs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, proc := range procs {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || best.PID > 1 && pid > best.PID || best.PID != 0 && pid == 1 {
			continue
		}
		fds, _ := filepath.Glob(proc + "/fd/*") // none: the process has gone, or is not ours to look at
		for _, fd := range fds {
			link, _ := os.Readlink(fd)
			inode, ok := strings.CutPrefix(link, "socket:[")
			if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
				continue
			}
			comm, _ := os.ReadFile(proc + "/comm")
			exe, _ := os.Readlink(proc + "/exe")
			best = Owner{PID: pid, Name: strings.TrimSpace(string(comm)), Exe: exe}
			break
		}
	}
	return best
}

func addressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
