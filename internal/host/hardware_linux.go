package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one line of proc_pid_mountinfo(5).
type mount struct {
	id              string
	device          string // major:minor
	at, kind        string
	source, options string
}

func mounts(root string) []mount {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil
	}
	var out []mount
	for line := range strings.Lines(string(text)) {
		own, rest, ok := strings.Cut(line, " - ")
		f, r := strings.Fields(own), strings.Fields(rest)
		if ok && len(f) >= 5 && len(r) >= 3 {
			out = append(out, mount{f[0], f[2], octal.Replace(f[4]), r[0], octal.Replace(r[1]), r[2]})
		}
	}
	return out
}

// octal undoes how mountinfo writes white space.
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// holding is the mount that holds path: of those on the way the innermost, of
// several in one place the last.
func holding(ms []mount, path string) (mount, bool) {
	var found mount
	ok := false
	for _, m := range ms {
		inside := m.at == "/" || path == m.at || strings.HasPrefix(path, m.at+"/")
		if inside && len(m.at) >= len(found.at) {
			found, ok = m, true
		}
	}
	return found, ok
}

// mountsOver is MountsOver.
func mountsOver(root, path string) (out []string) {
	for _, m := range mounts(root) {
		if m.at == "/" || path == m.at || strings.HasPrefix(path, m.at+"/") {
			out = append(out, m.id+" "+m.at)
		}
	}
	return out
}

func storageOf(root, path string) Storage { return storageAt(root, path, sizeOf) }

func storageAt(root, path string, sizeOf func(path string) (size, bool)) Storage {
	path = strings.TrimPrefix(Existing(filepath.Join(root, path)), strings.TrimSuffix(root, "/"))
	ms := mounts(root)
	m, ok := holding(ms, path)
	if !ok {
		return Storage{}
	}
	if m.kind == "overlay" {
		if upper, ok := upperOf(ms, m, path, sizeOf); ok {
			m = upper
		}
	}
	return Storage{Card: card(root, m), Volatile: m.kind == "tmpfs" || m.kind == "ramfs"}
}

// upperOf is the mount that takes what is written to path on an overlay: the one
// its upper folder is on. The name of that folder is one in the mount namespace the
// overlay was made in, which need not be ours: in a container the same name leads
// to something else, or nowhere. So the name alone proves nothing: both must be of
// one size, too, as an overlay answers statfs(2) with its upper file system
// (ovl_statfs in the kernel's fs/overlayfs/super.c). Without that proof there is
// none: ok is false.
func upperOf(ms []mount, overlay mount, path string, sizeOf func(path string) (size, bool)) (upper mount, ok bool) {
	for o := range strings.SplitSeq(overlay.options, ",") {
		dir, found := strings.CutPrefix(o, "upperdir=")
		if !found {
			continue
		}
		upper, ok = holding(ms, dir)
		if !ok || upper.at == overlay.at {
			return mount{}, false
		}
		ours, ok1 := sizeOf(path)
		its, ok2 := sizeOf(upper.at)
		return upper, ok1 && ok2 && ours == its
	}
	return mount{}, false
}

// size is how large a file system is in all, used or not.
type size struct {
	block         int64 // bytes
	blocks, files uint64
}

// sizeOf asks the file system that holds path; it blocks while that one does.
func sizeOf(path string) (size, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return size{}, false
	}
	return size{int64(s.Bsize), s.Blocks, s.Files}, true
}

// card reports whether a mount is of a memory card: SD cards are "mmcblk" devices of
// type SD, while eMMC, which lasts, is of type MMC (sysfs, mmc/host).
func card(root string, m mount) bool {
	name := filepath.Base(m.source)
	if m.source == "/dev/root" { // how some boot loaders call it
		link, err := os.Readlink(filepath.Join(root, "sys/dev/block", m.device))
		if err != nil {
			return false
		}
		name = filepath.Base(link)
	}
	if !strings.HasPrefix(name, "mmcblk") {
		return false
	}
	disk, _, _ := strings.Cut(name, "p")
	kind, err := os.ReadFile(filepath.Join(root, "sys/block", disk, "device/type"))
	return err != nil || strings.TrimSpace(string(kind)) != "MMC"
}

func powerSupply(root string) (Power, bool) {
	text, err := os.ReadFile(filepath.Join(root, "sys/devices/platform/soc/soc:firmware/get_throttled"))
	if err != nil {
		return Power{}, false
	}
	bits, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(string(text)), "0x"), 16, 32)
	if err != nil {
		return Power{}, false
	}
	return Power{Weak: bits&1 != 0, WasWeak: bits&(1<<16) != 0}, true
}

func clockSet() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err != nil || state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}

func hasClock(root string) bool {
	found, err := filepath.Glob(filepath.Join(root, "sys/class/rtc/rtc*"))
	return err != nil || len(found) > 0
}

func model(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "proc/device-tree/model"))
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(text), "\x00\n")
}
