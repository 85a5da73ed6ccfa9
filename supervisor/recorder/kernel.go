package recorder

import (
	"regexp"
	"strconv"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Class is what a line of the kernel's log tells of. Its value is in files: new ones are added at
// the end.
type Class uint8

// Classes.
const (
	IOError Class = iota + 1
	FileSystemError
	ReadOnly
	OutOfMemory
	Undervoltage
	VoltageNormal
	Hot
	CardTrouble
	DiskTrouble
	USBTrouble
	HungTask
	Lockup
	HardwareError
	Watchdog
	classes // how many there are, and one
)

// classTable says how each class is known and told. The first pattern that matches decides.
var classTable = []struct {
	class Class
	name  string // in JSON
	said  hint.Text
	line  *regexp.Regexp
}{
	{ReadOnly, "read-only", hint.T("a file system became read-only", "un système de fichiers est passé en lecture seule"), regexp.MustCompile(`(?i)remounting filesystem read-only|forced readonly`)},
	{FileSystemError, "file-system-error", hint.T("an error in a file system", "une erreur dans un système de fichiers"), regexp.MustCompile(`(?i)\b(EXT4|BTRFS|XFS|F2FS|FAT)\b.*(error|warning|corrupt|shut)`)},
	{IOError, "io-error", hint.T("a disk could not read or write", "un disque n'a pas pu lire ou écrire"), regexp.MustCompile(`(?i)I/O error|critical (medium|target) error`)},
	{OutOfMemory, "out-of-memory", hint.T("the memory ran out", "la mémoire a manqué"), regexp.MustCompile(`(?i)out of memory|invoked oom-killer|oom-kill:|killed process`)},
	{VoltageNormal, "voltage-normal", hint.T("the voltage is sufficient again", "la tension suffit de nouveau"), regexp.MustCompile(`(?i)voltage normali[sz]ed`)},
	{Undervoltage, "undervoltage", hint.T("the power supply was too weak", "l'alimentation était trop faible"), regexp.MustCompile(`(?i)under-?voltage`)},
	{Hot, "hot", hint.T("it was too hot", "il faisait trop chaud"), regexp.MustCompile(`(?i)temperature (is )?above threshold|clock throttled|critical temperature`)},
	{HungTask, "hung-task", hint.T("a process hung", "un processus était bloqué"), regexp.MustCompile(`blocked for more than`)},
	{Lockup, "lockup", hint.T("a processor hung", "un processeur était bloqué"), regexp.MustCompile(`(?i)soft lockup|hard lockup`)},
	{Watchdog, "watchdog", hint.T("the kernel's watchdog spoke", "le chien de garde du noyau s'est manifesté"), regexp.MustCompile(`(?i)\bwatchdog\d*\b.*(stop|fail|reset|expired)`)},
	{CardTrouble, "card-trouble", hint.T("trouble with a memory card", "un souci avec une carte mémoire"), regexp.MustCompile(`(?i)\bmmc\d+:.*(error|timeout)`)},
	{DiskTrouble, "disk-trouble", hint.T("trouble with a disk", "un souci avec un disque"), regexp.MustCompile(`(?i)\bata\d.*(failed command|exception|error)|\bnvme.*(timeout|reset)`)},
	{USBTrouble, "usb-trouble", hint.T("trouble at a USB port", "un souci sur un port USB"), regexp.MustCompile(`(?i)\busb \S+: (reset|USB disconnect|device descriptor read|device not accepting)|over-current`)},
	{HardwareError, "hardware-error", hint.T("an error of the hardware", "une erreur du matériel"), regexp.MustCompile(`Hardware Error`)},
}

// deviceRE are names the kernel itself gives to disks and cards, in the places where it says them; nothing
// a person has named is of this form.
var (
	deviceRE  = regexp.MustCompile(`(?:dev |device |nvme |\(|^|/dev/)((?:sd[a-z]{1,2}\d{0,2}|vd[a-z]\d{0,2}|xvd[a-z]\d{0,2}|mmcblk\d{1,2}(?:p\d{1,2})?|nvme\d{1,2}(?:n\d{1,2}(?:p\d{1,2})?)?|dm-\d{1,3}|md\d{1,3}|loop\d{1,3}|mmc\d{1,2}|ata\d{1,2}(?:\.\d{2})?))(?:[ ,:)]|$)`)
	wholeRE   = regexp.MustCompile(`^(?:sd[a-z]{1,2}\d{0,2}|vd[a-z]\d{0,2}|xvd[a-z]\d{0,2}|mmcblk\d{1,2}(?:p\d{1,2})?|nvme\d{1,2}(?:n\d{1,2}(?:p\d{1,2})?)?|dm-\d{1,3}|md\d{1,3}|loop\d{1,3}|mmc\d{1,2}|ata\d{1,2}(?:\.\d{2})?)$`)
	errnoRE   = regexp.MustCompile(`\berror:? (-?\d{1,4})\b`)
	blockedRE = regexp.MustCompile(`blocked for more than (\d{1,6}) seconds`)
)

// Kernel is that the kernel reported something.
type Kernel struct {
	Class   Class
	Device  string    // mmcblk0p2; empty: none is named
	At      time.Time // by the kernel's log
	Numbers []Value
}

// ReadKernel is what of a line of the kernel's log may be recorded, and false where that is nothing.
func ReadKernel(at time.Time, line string) (Kernel, bool) {
	for _, c := range classTable {
		if !c.line.MatchString(line) {
			continue
		}
		k := Kernel{Class: c.class, At: at}
		if c.class != HungTask && c.class != OutOfMemory { // they name programs
			if found := deviceRE.FindStringSubmatch(line); found != nil {
				k.Device = found[1]
			}
		}
		if found := errnoRE.FindStringSubmatch(line); found != nil {
			n, _ := strconv.ParseInt(found[1], 10, 64) // it is a number
			k.Numbers = append(k.Numbers, Value{Errno, n})
		}
		if found := blockedRE.FindStringSubmatch(line); found != nil {
			n, _ := strconv.ParseInt(found[1], 10, 64) // as above
			k.Numbers = append(k.Numbers, Value{Lasted, 1000 * n})
		}
		return k, true
	}
	return Kernel{}, false
}

// described are the name and the words of a class.
func (c Class) described() (name string, said hint.Text) {
	for _, known := range classTable {
		if known.class == c {
			return known.name, known.said
		}
	}
	return "unknown", hint.T("something that this version does not know", "quelque chose que cette version ne connaît pas")
}
