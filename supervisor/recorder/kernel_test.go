package recorder

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Lines as Linux writes them, some with names that people and programs have given: what is recorded
// is a class, the kernel's own name of a disk, and numbers.
func TestWhatIsRecordedOfTheKernel(t *testing.T) {
	t.Attr("shows", "health")
	for line, want := range map[string]Kernel{
		"blk_update_request: I/O error, dev sda, sector 1234 op 0x0:(READ) flags 0x0":                   {Class: IOError, Device: "sda"},
		"I/O error, dev mmcblk0, sector 1 op 0x1:(WRITE) flags 0x800":                                   {Class: IOError, Device: "mmcblk0"},
		"Buffer I/O error on dev dm-0, logical block 5, lost async page write":                          {Class: IOError, Device: "dm-0"},
		"critical medium error, dev nvme0n1, sector 88":                                                 {Class: IOError, Device: "nvme0n1"},
		"EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455: inode #8: comm plantedphrase: reading": {Class: FileSystemError, Device: "mmcblk0p2"},
		"EXT4-fs error (device plantedphrase): ext4_find_entry: inode #8: comm sda1: reading":           {Class: FileSystemError},
		"EXT4-fs (mmcblk0p2): Remounting filesystem read-only":                                          {Class: ReadOnly, Device: "mmcblk0p2"},
		"Out of memory: Killed process 123 (plantedphrase) total-vm:1kB":                                {Class: OutOfMemory},
		"sda1 invoked oom-killer: gfp_mask=0x100cca":                                                    {Class: OutOfMemory},
		"hwmon hwmon1: Undervoltage detected!":                                                          {Class: Undervoltage},
		"hwmon hwmon1: Voltage normalised":                                                              {Class: VoltageNormal},
		"mmc0: Timeout waiting for hardware interrupt - error -110":                                     {Class: CardTrouble, Device: "mmc0", Numbers: []Value{{Errno, -110}}},
		"ata1.00: failed command: WRITE FPDMA QUEUED":                                                   {Class: DiskTrouble, Device: "ata1.00"},
		"nvme nvme0: I/O 12 QID 2 timeout, aborting":                                                    {Class: DiskTrouble, Device: "nvme0"},
		"usb 1-1.2: USB disconnect, device number 4":                                                    {Class: USBTrouble},
		"INFO: task plantedphrase:812 blocked for more than 122 seconds.":                               {Class: HungTask, Numbers: []Value{{Lasted, 122_000}}},
		"watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [plantedphrase:812]":                         {Class: Lockup},
		"watchdog: watchdog0: watchdog did not stop!":                                                   {Class: Watchdog},
		"CPU0: Core temperature is above threshold, cpu clock throttled":                                {Class: Hot},
		"mce: [Hardware Error]: Machine check events logged":                                            {Class: HardwareError},
	} {
		k, ok := ReadKernel(time.Time{}, line)
		if !ok {
			t.Errorf("%q is not known", line)
		}
		if diff := cmp.Diff(want, k.fit()); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
		name, said := k.Class.described()
		if name == "unknown" || said.IsZero() || strings.Contains(said.EN+k.Device, "plantedphrase") {
			t.Errorf("%q: %s, %s", line, name, said.EN)
		}
	}
	for _, line := range []string{"", "systemd[1]: Started plantedphrase", "usb 1-1: new high-speed USB device number 2", "EXT4-fs (sda1): mounted filesystem"} {
		if k, ok := ReadKernel(time.Time{}, line); ok {
			t.Errorf("%q: %+v", line, k)
		}
	}
	for c := IOError; c < classes; c++ {
		if name, _ := c.described(); name == "unknown" {
			t.Errorf("class %d has no words", c)
		}
	}
	for f := Figure(1); f < figures; f++ {
		if d := table[f]; d.name == "" || d.title.IsZero() || d.show == nil || d.scale == 0 {
			t.Errorf("figure %d is not described: %+v", f, d.name)
		}
	}
}
