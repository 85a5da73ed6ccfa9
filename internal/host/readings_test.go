package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answering answers commands by the first word.
type answering map[string]string

func (a answering) Run(_ context.Context, name string, args ...string) (string, error) {
	text, ok := a[name]
	if !ok {
		return "", fmt.Errorf("cannot run %s: %w", name, exec.ErrNotFound)
	}
	if name == "smartctl" {
		return a[name+" "+args[len(args)-1]], &RunError{Command: name, Code: 4} // a disk that has had errors
	}
	return text, nil
}

// Lines as Linux, and the disks and phones of people, write them.
func TestLinesOfTheKernelThatMatter(t *testing.T) {
	for line, want := range map[string]string{
		"blk_update_request: I/O error, dev sda, sector 1234 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0": "disk",
		"EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455: inode #8: comm foyer: reading directory":     "disk",
		"EXT4-fs (mmcblk0p2): Remounting filesystem read-only":                                                "disk",
		"mmc0: Timeout waiting for hardware interrupt - error -110":                                           "disk",
		"Out of memory: Killed process 123 (node) total-vm:1kB":                                               "memory",
		"foyer invoked oom-killer: gfp_mask=0x100cca":                                                         "memory",
		"hwmon hwmon1: Undervoltage detected!":                                                                "power",
		"Under-voltage detected! (0x00050005)":                                                                "power",
		"hwmon hwmon1: Voltage normalised":                                                                    "power",
		"usb 1-1.2: reset high-speed USB device number 4 using xhci_hcd":                                      "usb",
		"usb 2-1: USB disconnect, device number 3":                                                            "usb",
		"CPU0: Core temperature above threshold, cpu clock throttled":                                         "heat",
		"INFO: task jbd2/sda1-8:123 blocked for more than 120 seconds.":                                       "hardware",
		"EXT4-fs (sda1): mounted filesystem with ordered data mode":                                           "",
		"usb 1-1: new high-speed USB device number 2 using xhci_hcd":                                          "",
		"IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready":                                             "",
	} {
		if got := about(line); got != want {
			t.Errorf("%q is about %q, want %q", line, got, want)
		}
	}
}

func TestAMachineIsRead(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/uptime": "3600.25 7000.00\n", "proc/meminfo": "MemTotal:       1000 kB\nMemAvailable:    400 kB\nSwapTotal:       100 kB\nSwapFree:         50 kB\n",
		"proc/pressure/cpu": "some avg10=1.50 avg60=0.50 avg300=0.10 total=9\n", "proc/pressure/io": "some avg10=2.00 avg60=0.00 avg300=0.00 total=9\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=9\n",
		"proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"run/reboot-required":  "", "run/reboot-required.pkgs": "linux-base\nlibc6\nlinux-base\n",
		"sys/block/mmcblk0/size": "1000\n", "sys/block/mmcblk0/device/name": "DG4016\n", "sys/block/mmcblk0/device/life_time": "0x02 0x0b\n", "sys/block/mmcblk0/device/pre_eol_info": "0x01\n",
		"sys/block/mmcblk1/size": "10\n", "sys/block/mmcblk1/device/name": "SD\x1b[31mRED\n",
		"sys/block/sda/size": "4000\n", "sys/block/sda/device/model": "An old disk\n", "sys/block/loop0/size": "1\n", "sys/block/sdb/size": "1\n",
		"sys/class/hwmon/hwmon0/name": "cpu_thermal\n", "sys/class/hwmon/hwmon1/name": "rpi_volt\n", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
		"sys/class/thermal/thermal_zone0/temp": "48312\n", "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	for i := range 300 {
		fmt.Fprintf(&log, `{"__REALTIME_TIMESTAMP":"%d","MESSAGE":"usb 1-1: reset high-speed USB device number %d%s"}`+"\n", 1700000000000000+i, i, strings.Repeat("\\u0007é", 400))
	}
	log.WriteString(`{"__REALTIME_TIMESTAMP":"1","MESSAGE":[255,1]}` + "\nnot JSON\n")
	r := readMachine(t.Context(), answering{
		"journalctl": log.String(), "smartctl": "",
		"smartctl /dev/sda": `{"smart_status":{"passed":false},"power_on_time":{"hours":40000},"temperature":{"current":41},"ata_smart_attributes":{"table":[{"id":5,"raw":{"value":8}},{"id":197,"raw":{"value":2}},{"id":1,"raw":{"value":9}}]}}`,
		"smartctl /dev/sdb": `{"smartctl":{"exit_status":2}}`,
	}, root)
	text, err := json.Marshal(r)
	if err != nil || len(text) > 64<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if n := len(r.KernelLog.Lines); n == 0 || n+r.KernelLog.More != 300 || r.KernelLog.Lines[n-1].About != "usb" || !strings.Contains(r.KernelLog.Lines[n-1].Text, "number 299") {
		t.Errorf("%d lines of the kernel's, %d left out", n, r.KernelLog.More)
	}
	if strings.ContainsAny(string(text), "\x07\x1b") || strings.Contains(string(text), `\u001b`) || strings.Contains(string(text), `\u0007`) {
		t.Error("it could command a terminal")
	}
	number := func(n int64) *int64 { return &n }
	failed := false
	want := Readings{
		System: System{Kernel: r.System.Kernel, Uptime: 3600, RebootRequired: true, Packages: []string{"libc6", "linux-base"}},
		Memory: Memories{Total: 1000 << 10, Available: 400 << 10, SwapTotal: 100 << 10, SwapFree: 50 << 10},
		Pressure: Pressure{
			CPU: Stalls{Some: [3]float64{1.5, 0.5, 0.1}}, IO: Stalls{Some: [3]float64{2, 0, 0}, Full: [3]float64{1, 0, 0}},
		},
		Disks: Disks{Disks: []Disk{
			{Name: "mmcblk0", Model: "DG4016", Bytes: 512000, EMMC: &EMMC{[2]int{2, 11}, 1}, SMART: r.Disks.Disks[0].SMART},
			{Name: "mmcblk1", Model: "SD [31mRED", Bytes: 5120, SMART: r.Disks.Disks[1].SMART},
			{Name: "sda", Model: "An old disk", Bytes: 2048000, SMART: SMART{Passed: &failed, PowerOnHours: number(40000), Celsius: number(41), Reallocated: number(8), Pending: number(2)}},
			{Name: "sdb", Bytes: 512, SMART: SMART{Part: Part{notHere}}},
		}},
		Power:        PowerReadings{Weak: true, WasWeak: true},
		Temperatures: Temperatures{Zones: []Zone{{"cpu-thermal", 48.312}}},
	}
	r.At, r.KernelLog = time.Time{}, KernelLog{}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	// A machine that says nothing says that.
	empty := readMachine(t.Context(), answering{}, t.TempDir())
	for part, missing := range map[string]Part{
		"system": empty.System.Part, "log": empty.KernelLog.Part, "memory": empty.Memory.Part, "pressure": empty.Pressure.Part, "disks": empty.Disks.Part, "power": empty.Power.Part, "temperatures": empty.Temperatures.Part,
	} {
		if missing.Missing.IsZero() {
			t.Errorf("nothing is there, and the part %s does not say so", part)
		}
	}
	if quiet := readMachine(t.Context(), answering{"journalctl": ""}, root); quiet.KernelLog.Missing.IsZero() {
		t.Error("no line of the kernel's, and that is not said")
	}
}
