package host

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

func TestPortOwnerIsThisTest(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		o, taken, err := PortOwner(port)
		exe, _ := os.Executable()
		if err != nil || !taken || o.PID != os.Getpid() || !strings.HasPrefix(o.Name, "host") || o.Exe != exe {
			t.Errorf("%s: %+v, %t, %v", address, o, taken, err)
		}
		l.Close()
		if o, taken, err := PortOwner(port); taken || err != nil {
			t.Errorf("closed: %+v, %v", o, err)
		}
	}
	// A connection is no listener.
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 x 100 0 0 10 0\n" +
		"   1: 0100007F:0050 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 22 1 x 100 0 0 10 0\n" +
		"   2: 0100007F:1050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 33 1 x 100 0 0 10 0\n"
	if got := listening(table, 80); len(got) != 1 || !got["11"] {
		t.Errorf("listening: %v", got)
	}
}

func TestThisMachine(t *testing.T) {
	if release, major, _ := Kernel(); major < 3 || release == "" {
		t.Errorf("kernel %q, %d", release, major)
	}
	if ReadOnly(t.TempDir()) || ReadOnly("/no/such/folder") {
		t.Error("read-only")
	}
	exe, _ := os.Executable()
	if path, deleted := ProcessFile(os.Getpid()); path != exe || deleted {
		t.Errorf("this process runs %q, %t", path, deleted)
	}
}

func TestMemory(t *testing.T) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	var kb int64
	if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kb); err != nil {
		t.Fatal(err)
	}
	if got := Memory(); got != kb<<10 {
		t.Errorf("%d, and %d kB in /proc/meminfo", got, kb)
	}
}
