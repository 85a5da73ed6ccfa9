package host

// OpenFiles is how many files, connections among them, this process may have open at
// once; 0 where the system does not bound them. The Go runtime has raised that to what
// the system allows at most.
func OpenFiles() int { return openFiles() }
