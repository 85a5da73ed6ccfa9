package host

// Service managers as ServiceManager names them.
const (
	Systemd = "systemd"
	OpenRC  = "openrc"
	SysV    = "sysv"
	Procd   = "procd"
	Upstart = "upstart"
	Launchd = "launchd"
	SCM     = "windows"
)

// ServiceManager names what starts services on this machine at boot; "" when
// there is none (a container) or none Foyer knows.
func ServiceManager() string { return serviceManager() }

// Kernel is the release of the running kernel, e.g. "6.1.0-28-arm64", with its
// first two numbers; all zero where the system does not have such numbers.
func Kernel() (release string, major, minor int) { return kernel() }

// SELinux reports whether SELinux is enforced.
func SELinux() bool { return selinux() }

// ReadOnly reports whether the file system that holds path cannot be written:
// it is mounted read-only. A path that does not exist is not read-only.
func ReadOnly(path string) bool { return readOnly(path) }

// ProcessFile is the program file a process runs; deleted means that the file
// has been replaced or removed since. "" when it cannot be told.
func ProcessFile(pid int) (path string, deleted bool) { return processFile(pid) }
