package host

// NoCoreFiles keeps the memory of this process, with its keys and passwords, out of core
// files, whoever collects them: on Linux the kernel makes none of it (PR_SET_DUMPABLE,
// prctl(2)), though a program that core_pattern pipes them to would be given one whatever
// the limit says (core(5)); elsewhere the limit is none. No other process of the account
// may look into this one either. It holds until another program is executed.
func NoCoreFiles() error { return noCoreFiles() }

// Program is a file to read the program of this process from: on Linux the one that
// runs, whatever has been put under its name since.
func Program() (path string, err error) { return program() }
