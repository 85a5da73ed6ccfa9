//go:build unix && !linux

package safepath

import "os"

// exchange swaps two names.
func exchange(a, b string) {
	if os.Rename(a, a+".swap") == nil && os.Rename(b, a) == nil {
		os.Rename(a+".swap", b)
	}
}
