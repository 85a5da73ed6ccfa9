//go:build linux || darwin

package control

import (
	"errors"
	"net"
)

// peerUID returns the user at the other end of a unix socket, as the kernel says.
func peerUID(c net.Conn) (int, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid, inner := -1, error(nil)
	err = raw.Control(func(fd uintptr) { uid, inner = peerOf(int(fd)) })
	return uid, errors.Join(err, inner)
}
