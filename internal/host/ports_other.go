//go:build !linux && !windows

package host

import (
	"errors"
	"syscall"
)

func portOwner(int) (Owner, bool, error) { return Owner{}, false, nil }

func addressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
