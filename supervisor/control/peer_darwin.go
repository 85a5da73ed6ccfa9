package control

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peerUID returns the user at the other end of a unix socket (LOCAL_PEERCRED, unix(4)).
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
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil {
			inner = err
			return
		}
		uid = int(cred.Uid)
	})
	return uid, errors.Join(err, inner)
}
