package host

import (
	"errors"

	"golang.org/x/sys/windows"
)

func portOwner(int) (Owner, bool, error) { return Owner{}, false, nil }

func addressInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }
