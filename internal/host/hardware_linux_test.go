package host

import (
	"os"
	"path/filepath"
	"testing"
)

// machine is a root folder with the given files, as the kernel would show them.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestStorage(t *testing.T) {
	t.Attr("shows", "mend")
	const (
		sd      = "21 1 179:2 / / rw,relatime shared:1 - ext4 /dev/mmcblk0p2 rw\n"
		emmc    = "21 1 179:2 / / rw,relatime - ext4 /dev/mmcblk1p2 rw\n"
		usb     = "40 21 8:1 / /mnt/usb\\040disk rw,relatime - ext4 /dev/sda1 rw\n"
		ssd     = "21 1 259:2 / / rw,relatime - ext4 /dev/nvme0n1p2 rw\n"
		ram     = "41 21 0:30 / /var/lib rw - tmpfs tmpfs rw\n"
		overlay = "21 1 0:25 / / rw - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/work\n" +
			"22 21 0:24 / /media/root-rw rw - tmpfs tmpfs-root rw\n"
		box = "21 1 0:25 / / rw - overlay overlay rw,lowerdir=/x,upperdir=/somewhere/else,workdir=/w\n"
		// The upper folder of this one is below the /tmp of whoever made the container.
		tmp = "21 1 0:25 / / rw - overlay overlay rw,lowerdir=/tmp/tree,upperdir=/tmp/machine/upper,workdir=/tmp/machine/work\n" +
			"22 21 0:30 / /tmp rw - tmpfs tmpfs rw\n"
	)
	disk, ramDisk := size{4096, 1 << 20, 1 << 18}, size{4096, 1 << 10, 1 << 9}
	for _, c := range []struct {
		name, table, path string
		sizes             map[string]size
		want              Storage
	}{
		{"a card", sd, "/var/lib/foyer", nil, Storage{Card: true}},
		{"built-in memory", emmc, "/var/lib/foyer", nil, Storage{}},
		{"a disk beside a card", sd + usb, "/mnt/usb disk/foyer", nil, Storage{}},
		{"a name that only begins alike", sd + usb, "/mnt/usb disks", nil, Storage{Card: true}},
		{"an SSD", ssd, "/var/lib/foyer", nil, Storage{}},
		{"memory", ssd + ram, "/var/lib/foyer", nil, Storage{Volatile: true}},
		{"memory beside it", ssd + ram, "/var/library", nil, Storage{}},
		{"a read-only system with changes in memory", overlay, "/var/lib/foyer", map[string]size{"/var/lib": ramDisk, "/media/root-rw": ramDisk}, Storage{Volatile: true}},
		{"a container", box, "/var/lib/foyer", map[string]size{"/var/lib": disk, "/": disk}, Storage{}},
		{"a container whose upper folder has a name that is memory here", tmp, "/var/lib/foyer", map[string]size{"/var/lib": disk, "/tmp": ramDisk}, Storage{}},
		{"the same, and nothing can be asked", tmp, "/var/lib/foyer", nil, Storage{}},
		{"memory in such a container", tmp, "/tmp/foyer", map[string]size{"/tmp": ramDisk}, Storage{Volatile: true}},
		{"nothing known", "", "/", nil, Storage{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := machine(t, map[string]string{
				"proc/self/mountinfo": c.table, "sys/block/mmcblk0/device/type": "SD\n", "sys/block/mmcblk1/device/type": "MMC\n",
				"mnt/usb disk/lost+found/x": "", "var/lib/x": "", "tmp/x": "",
			})
			sizeOf := func(path string) (size, bool) { s, ok := c.sizes[path]; return s, ok }
			if got := storageAt(root, c.path, sizeOf); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestMountsOnTheWay(t *testing.T) {
	root := machine(t, map[string]string{"proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n97 1 8:2 / /mnt/usb\\040disk rw - ext4 /dev/sdb2 rw\n98 1 8:3 / /mnt/usb\\040disk rw - ext4 /dev/sdb3 rw\n"})
	all := mountsOver(root, "/mnt/usb disk/foyer")
	if len(all) != 3 || all[2] != "98 /mnt/usb disk" || len(mountsOver(root, "/mnt/usb disks")) != 1 {
		t.Errorf("%q", all)
	}
	if len(MountsOver("/")) == 0 {
		t.Error("this machine has none")
	}
}

func TestPowerOfARaspberryPi(t *testing.T) {
	for text, want := range map[string]Power{"0\n": {}, "50005\n": {Weak: true, WasWeak: true}, "0x50000\n": {WasWeak: true}, "1": {Weak: true}} {
		root := machine(t, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": text})
		if got, ok := powerSupply(root); !ok || got != want {
			t.Errorf("%q: %+v, %t", text, got, ok)
		}
	}
	for _, root := range []string{machine(t, nil), machine(t, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "what\n"})} {
		if p, ok := powerSupply(root); ok {
			t.Errorf("no Pi says %+v", p)
		}
	}
}

func TestModelAndClock(t *testing.T) {
	root := machine(t, map[string]string{"proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\x00"})
	if got := model(root); got != "Raspberry Pi 4 Model B Rev 1.4" || model(t.TempDir()) != "" {
		t.Errorf("%q", got)
	}
	if hasClock(root) || !hasClock(machine(t, map[string]string{"sys/class/rtc/rtc0/name": "x"})) {
		t.Error("clock")
	}
	ClockSet() // whatever this machine says, it does not fall over
}
