//go:build !windows

package service

// foreground reports whether the library would not notice the end of the program.
func foreground() bool { return false }

// ended is called when the program ended by itself; Run returns then.
func ended(error) {}
