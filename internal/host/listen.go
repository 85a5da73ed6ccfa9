// Package host knows the machine Foyer runs on: its ports and who owns them, its
// disks, addresses and service manager, the listeners a parent process handed
// down, and how to run a command.
//
// Everything that differs between operating systems lives here, in
// supervisor/service, in supervisor/control or in atomicfile, and nowhere else.
package host

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Names of the listeners of a Foyer.
const (
	HTTP  = "http"  // plain HTTP; redirects
	HTTPS = "https" // TLS
	Front = "front" // plain HTTP from a proxy that ends TLS
	Local = "local" // unix socket; the supervisor's probe and nobody else
)

// Listener is an open listener and what it is for.
type Listener struct {
	Name string
	net.Listener
}

const passEnv = "FOYER_LISTENERS" // names of the listeners from fd 3 on, or name=network!address where fds cannot be passed

// Inherited returns the listeners this process was handed: by a parent Foyer
// (Pass) or by systemd (sd_listen_fds(3)), where name tells them apart by their
// address. It returns none when there are none. It may be called once: the
// environment variables are removed so that no grandchild believes in them.
func Inherited(name func(net.Addr) string) ([]Listener, error) {
	if names, ok := os.LookupEnv(passEnv); ok {
		os.Unsetenv(passEnv)
		return fromParent(names)
	}
	n, pid := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID")
	for _, v := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		os.Unsetenv(v)
	}
	if n == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	count, err := strconv.Atoi(n)
	if err != nil || count < 0 {
		return nil, fmt.Errorf("cannot take over listeners: LISTEN_FDS is %q", n)
	}
	var out []Listener
	for i := range count {
		l, err := fromFD(3 + i)
		if err != nil {
			Close(out)
			return nil, err
		}
		out = append(out, Listener{name(l.Addr()), l})
	}
	return out, nil
}

func fromFD(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close() //nolint:errcheck // the listener has a descriptor of its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("cannot take over listener %d: %w", fd, err)
	}
	return l, nil
}

// ByPort returns a naming function for Inherited: unix sockets are Local, the
// TCP port https is HTTPS and any other one HTTP.
func ByPort(https int) func(net.Addr) string {
	return func(a net.Addr) string {
		if tcp, ok := a.(*net.TCPAddr); ok {
			if tcp.Port == https {
				return HTTPS
			}
			return HTTP
		}
		return Local
	}
}

// Listen opens a listener. A stale unix socket at address is removed first. The
// error of a taken port is the plain one of package net: see PortOwner.
func Listen(name, network, address string) (Listener, error) {
	if network == "unix" {
		if c, err := net.Dial(network, address); err == nil {
			c.Close()
			return Listener{}, fmt.Errorf("cannot listen on %s: somebody answers there", address)
		}
		os.Remove(address) //nolint:errcheck // where that did not work, listening fails
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return Listener{}, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // a child that closes its copy must not take the name away
		if err := os.Chmod(address, 0o600); err != nil {
			l.Close()
			return Listener{}, err
		}
	}
	return Listener{name, l}, nil
}

// Close closes them all.
func Close(ls []Listener) {
	for _, l := range ls {
		l.Close()
	}
}

// Pass makes cmd inherit the listeners; its process finds them by Inherited. It
// must be called before cmd.Start and once per cmd; afterwards call the returned
// func, which closes the copies made for the child. On Windows, which cannot
// hand listeners down, this process's own are closed and the child opens them again.
func Pass(cmd *exec.Cmd, ls []Listener) (done func(), err error) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	value, files, err := pass(ls)
	if err != nil {
		return nil, err
	}
	if len(cmd.ExtraFiles) > 0 {
		return nil, fmt.Errorf("cannot pass listeners: the command has other files to inherit")
	}
	cmd.ExtraFiles = files
	cmd.Env = append(cmd.Env, passEnv+"="+value)
	return func() {
		for _, f := range files {
			f.Close() //nolint:errcheck // the process that is started has its own
		}
	}, nil
}

func splitNames(names string) []string {
	if names == "" {
		return nil
	}
	return strings.Split(names, ",")
}
