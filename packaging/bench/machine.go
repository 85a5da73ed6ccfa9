package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// disk measures the rate at which a disk takes 4 KiB for good.
type disk struct{ path string }

func (d *disk) run(slice time.Duration) (float64, error) {
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	n := 0
	begin := time.Now()
	for time.Since(begin) < slice {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n++
	}
	rate := float64(n) / time.Since(begin).Seconds()
	return rate, f.Truncate(0)
}

// facts say on what was measured.
func facts(dir, binary string, d dose) []string {
	said := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	cpu := "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	pocketbase := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/pocketbase/pocketbase" {
				pocketbase = m.Version
			}
		}
	}
	return []string{
		fmt.Sprintf("%s, %s", time.Now().UTC().Format("2 January 2006"), said(binary, "--version")),
		fmt.Sprintf("%d cores of %s; Linux %s; %s; file system %s", runtime.NumCPU(), cpu, said("uname", "-r"), runtime.Version(), said("stat", "-f", "-c", "%T", dir)),
		fmt.Sprintf("PocketBase %s; %s", pocketbase, said("/bin/sh", "-c", "$(ls /usr/lib/postgresql/*/bin/postgres | tail -1) --version")),
		fmt.Sprintf("medians of %d rounds of %s each, sides taking turns; server, yardstick and load share the cores", d.rounds, d.slice),
	}
}
