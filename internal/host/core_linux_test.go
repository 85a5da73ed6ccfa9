package host

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that crashes as GOTRACEBACK=crash wants it, with a core file that is allowed,
// leaves none: neither by its limit nor, where that can be raised again, by the kernel.
func TestNoCoreFileIsMade(t *testing.T) {
	t.Attr("shows", "mend")
	const inChild = "FOYER_TEST_CORE"
	allowed := &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if kept := os.Getenv(inChild); kept != "" {
		raised := unix.Setrlimit(unix.RLIMIT_CORE, allowed)
		if kept == "yes" {
			if err := NoCoreFiles(); err != nil {
				t.Fatal(err)
			}
			var now unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil || now.Cur != 0 || now.Max != 0 {
				t.Fatalf("limit %+v, %v", now, err)
			}
			if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
				t.Fatalf("dumpable %d, %v", dumpable, err)
			}
			raised = unix.Setrlimit(unix.RLIMIT_CORE, allowed) // some can
		}
		t.Logf("raised: %v", raised)
		go panic("as wanted")
		select {}
	}
	crash := func(kept string) (dumped bool) {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoCoreFileIsMade$")
		cmd.Env, cmd.Dir = append(os.Environ(), inChild+"="+kept, "GOTRACEBACK=crash"), t.TempDir()
		out, _ := cmd.CombinedOutput() // it crashes
		ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !ws.Signaled() || !strings.Contains(string(out), "as wanted") {
			t.Fatalf("it did not crash: %v\n%s", cmd.ProcessState, out)
		}
		return ws.CoreDump()
	}
	if !crash("no") {
		t.Log("this machine makes no core files anyway")
	}
	if crash("yes") {
		t.Error("its memory is in a core file")
	}
}

// The program is the one that runs, whatever has its name now.
func TestProgramIsTheOneThatRuns(t *testing.T) {
	path, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	named, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a, err1 := os.ReadFile(path)
	b, err2 := os.ReadFile(named)
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("%v, %v", err1, err2)
	}
}
