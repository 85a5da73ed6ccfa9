package atomicfile

import (
	"fmt"
	"os"
)

// SyncData makes durable what was written into a file that has its size and its blocks already:
// the bytes, and not when they were written, which would be a further write (fdatasync(2)).
func SyncData(f *os.File) error {
	if err := syncData(f); err != nil {
		return fmt.Errorf("cannot sync %s: %w", f.Name(), err)
	}
	return nil
}
