//go:build unix

package host

import (
	"os/exec"
	"syscall"
)

// RunAs has a command run as another user, with no other groups. It takes root.
func RunAs(cmd *exec.Cmd, u User) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}
}
