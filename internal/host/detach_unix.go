//go:build unix

package host

import (
	"os/exec"
	"syscall"
)

// Detach makes cmd a process of its own session: the end of a terminal does not
// reach it (setsid(2)). It is to be called before cmd is started.
func Detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
