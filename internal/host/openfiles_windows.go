package host

func openFiles() int { return 0 }
