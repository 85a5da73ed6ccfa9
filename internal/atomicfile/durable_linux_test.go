package atomicfile

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel is really asked. Nothing below /proc can be made durable, and fsync(2) says
// so with EINVAL: whoever does not ask does not hear of it.
func TestTheKernelIsAsked(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"a folder", func() error { return SyncDir("/proc") }},
		{"a file", func() error { return SyncFile("/proc/version") }},
		{"the bytes of a file", func() error {
			f, err := os.Open("/proc/version")
			if err != nil {
				return err
			}
			defer f.Close()
			return SyncData(f)
		}},
		{"the folder of what was removed", func() error { return Remove("/proc/foyer-is-not-there") }},
		{"the folder of the disk", func() error { return realDisk().folder("/proc") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.do(); !errors.Is(err, unix.EINVAL) {
				t.Errorf("error %v", err)
			}
		})
	}
	if err := SyncDir("/proc/foyer-is-not-there"); err != nil {
		t.Errorf("a folder that has gone: %v", err)
	}
}
