package atomicfile

import (
	"syscall"

	"golang.org/x/sys/unix"
)

var troubles = []troublesOf{
	{Full, []syscall.Errno{unix.ENOSPC, unix.EDQUOT}},
	{ReadOnly, []syscall.Errno{unix.EROFS}},
	{Gone, []syscall.Errno{unix.ENODEV, unix.ENXIO, unix.ESTALE, unix.ENOTCONN, unix.ESHUTDOWN, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED, unix.ECONNRESET, unix.ETIMEDOUT}},
	{Failing, []syscall.Errno{unix.EIO, unix.EDEVERR, unix.EBADMSG, unix.EILSEQ}},
}
