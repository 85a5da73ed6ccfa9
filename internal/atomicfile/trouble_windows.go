package atomicfile

import (
	"syscall"

	"golang.org/x/sys/windows"
)

var troubles = []troublesOf{
	{Full, []syscall.Errno{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}},
	{ReadOnly, []syscall.Errno{windows.ERROR_WRITE_PROTECT}},
	{Gone, []syscall.Errno{windows.ERROR_NOT_READY, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_DEVICE_NOT_CONNECTED, windows.ERROR_BAD_NETPATH, windows.ERROR_NETNAME_DELETED, windows.ERROR_UNEXP_NET_ERR}},
	{Failing, []syscall.Errno{windows.ERROR_CRC, windows.ERROR_IO_DEVICE, windows.ERROR_SEEK, windows.ERROR_WRITE_FAULT, windows.ERROR_READ_FAULT, windows.ERROR_FILE_CORRUPT, windows.ERROR_DISK_CORRUPT}},
}
