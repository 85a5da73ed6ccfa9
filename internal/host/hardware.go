package host

import (
	"os"
	"path/filepath"
)

// Storage is what kind of place holds a folder.
type Storage struct {
	Card     bool // a memory card, which wears out
	Volatile bool // kept in memory: gone at the next start of the machine
}

// StorageOf tells what holds path, or the innermost folder on the way to it that is
// there. The zero value says nothing bad is known.
func StorageOf(path string) Storage { return storageOf("/", path) }

// MountsOver are the mounts on the way to a path, links aside, as this process sees them:
// a service has a view of its own, in which a disk that is mounted later lies beneath what
// was there when the service began (systemd.exec(5), ReadWritePaths=). nil where it
// cannot be told.
func MountsOver(path string) []string { return mountsOver("/", path) }

// Existing is the innermost folder on the way to path that is there.
func Existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}

// Power is what a Raspberry Pi says of its power supply.
type Power struct {
	Weak    bool // the voltage is too low now
	WasWeak bool // it has been, since the machine was started
}

// PowerSupply asks a Raspberry Pi's firmware; ok is false on other machines.
func PowerSupply() (p Power, ok bool) { return powerSupply("/") }

// ClockSet reports whether something keeps this machine's clock right (adjtimex(2));
// true where the system does not say.
func ClockSet() bool { return clockSet() }

// HasClock reports whether the machine keeps the time while it is switched off;
// true where the system does not say.
func HasClock() bool { return hasClock("/") }

// Model is what the maker calls this machine, e.g. "Raspberry Pi 4 Model B Rev 1.4";
// "" when it does not say.
func Model() string { return model("/") }
