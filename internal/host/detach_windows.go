package host

import (
	"os/exec"
	"syscall"
)

// Detach makes cmd a process of its own group: the end of a console does not reach
// it. It is to be called before cmd is started.
func Detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | 0x8} // DETACHED_PROCESS
}
