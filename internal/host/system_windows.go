package host

func serviceManager() string { return SCM }

func kernel() (release string, major, minor int) { return "", 0, 0 }

func selinux() bool { return false }

func readOnly(string) bool { return false }

func processFile(int) (string, bool) { return "", false }
