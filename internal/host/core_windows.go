package host

import "os"

// noCoreFiles: the Go runtime has Windows report no error of it, unless GOTRACEBACK=wer.
func noCoreFiles() error { return nil }

func program() (string, error) { return os.Executable() }
