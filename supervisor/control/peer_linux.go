package control

import "golang.org/x/sys/unix"

// peerOf asks for SO_PEERCRED (unix(7)).
func peerOf(fd int) (int, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}
