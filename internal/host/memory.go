package host

// Memory is how many bytes of memory this machine has; 0 when it does not say.
func Memory() int64 { return memory() }
