package host

// Memory is how many bytes of memory this machine has; 0 when it does not say.
func Memory() int64 { return memory() }

// ProcessMemory is how many bytes of memory a process holds (its resident set); 0
// when it cannot be told.
func ProcessMemory(pid int) int64 { return processMemory(pid) }
