package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Readings is the state of a machine as root can read it. A part that is not there says so
// in Missing.
type Readings struct {
	At           time.Time     `json:"at"`
	System       System        `json:"system"`
	KernelLog    KernelLog     `json:"kernel_log"`
	Memory       Memories      `json:"memory"`
	Pressure     Pressure      `json:"pressure"`
	Disks        Disks         `json:"disks"`
	Power        PowerReadings `json:"power"`
	Temperatures Temperatures  `json:"temperatures"`
}

// Part is what each part may say instead.
type Part struct {
	Missing hint.Text `json:"missing,omitzero"`
}

// System is what runs, and since when.
type System struct {
	Part
	Kernel         string   `json:"kernel"`
	Uptime         int64    `json:"uptime_seconds"`
	RebootRequired bool     `json:"reboot_required"`           // by the package manager, as /run/reboot-required says
	Packages       []string `json:"reboot_packages,omitempty"` // that want it
}

// KernelLog are the lines of the kernel's log that matter, of the last seven days, oldest first.
type KernelLog struct {
	Part
	Lines []LogLine `json:"lines"`
	More  int       `json:"more,omitempty"` // older ones that are left out
}

// LogLine is one of them.
type LogLine struct {
	At    time.Time `json:"at"`
	About string    `json:"about"` // disk, memory, power, usb, heat, hardware
	Text  string    `json:"text"`
}

// Memories is the memory of a machine, in bytes.
type Memories struct {
	Part
	Total     uint64 `json:"total_bytes"`
	Available uint64 `json:"available_bytes"`
	SwapTotal uint64 `json:"swap_total_bytes"`
	SwapFree  uint64 `json:"swap_free_bytes"`
}

// Pressure is how long work waits for what (Documentation/accounting/psi.rst of Linux).
type Pressure struct {
	Part
	CPU    Stalls `json:"cpu"`
	Memory Stalls `json:"memory"`
	IO     Stalls `json:"io"`
}

// Stalls are percents of time, of the last 10, 60 and 300 seconds.
type Stalls struct {
	Some [3]float64 `json:"some"` // something waited
	Full [3]float64 `json:"full"` // everything did
}

// Disks are those of a machine.
type Disks struct {
	Part
	Disks []Disk `json:"disks"`
}

// Disk is one of them, and how worn it is.
type Disk struct {
	Name  string `json:"name"`
	Model string `json:"model,omitempty"`
	Bytes uint64 `json:"bytes"`
	EMMC  *EMMC  `json:"emmc,omitempty"`
	SMART SMART  `json:"smart"`
}

// EMMC is what an eMMC says of its life: of each of two kinds of memory the tenths that are
// used up, of which 11 is more than it was made for, and 1 to 3 for its spare blocks: normal,
// 80 % used, 90 % used.
type EMMC struct {
	LifeUsed [2]int `json:"life_used_tenths"`
	PreEOL   int    `json:"pre_eol"`
}

// SMART is what a disk says of itself.
type SMART struct {
	Part
	Passed       *bool  `json:"passed,omitempty"`
	PowerOnHours *int64 `json:"power_on_hours,omitempty"`
	Celsius      *int64 `json:"celsius,omitempty"`
	PercentUsed  *int64 `json:"percent_used,omitempty"`
	MediaErrors  *int64 `json:"media_errors,omitempty"`
	Reallocated  *int64 `json:"reallocated,omitempty"`
	Pending      *int64 `json:"pending,omitempty"`
	CRCErrors    *int64 `json:"crc_errors,omitempty"` // of the cable, most often
}

// PowerReadings is what is known of the supply.
type PowerReadings struct {
	Part
	Weak    bool `json:"weak"`     // the voltage is too low now
	WasWeak bool `json:"was_weak"` // since the machine was started
}

// Temperatures of a machine.
type Temperatures struct {
	Part
	Zones []Zone `json:"zones"`
}

// Zone is where one is measured.
type Zone struct {
	Name    string  `json:"name"`
	Celsius float64 `json:"celsius"`
}

// What a reading holds at most.
const (
	mostLogLines  = 100
	mostLogText   = 300
	mostDisks     = 16
	readingsBytes = 60 << 10
)

// ReadMachine reads the state of this machine; r runs journalctl, and smartctl where it is
// installed. As JSON it has less than 64 KiB.
func ReadMachine(ctx context.Context, r Runner) Readings { return readMachine(ctx, r, "/") }

func readMachine(ctx context.Context, r Runner, root string) Readings {
	m := reader{root}
	out := Readings{
		At: time.Now(), System: m.system(), KernelLog: kernelLog(ctx, r), Memory: m.memory(), Pressure: m.pressure(),
		Disks: m.disks(ctx, r), Power: m.power(), Temperatures: m.temperatures(),
	}
	out = hint.Clean(out)
	for {
		text, err := json.Marshal(out)
		if err != nil || len(text) <= readingsBytes || len(out.KernelLog.Lines) == 0 {
			return out
		}
		drop := (len(out.KernelLog.Lines) + 1) / 2
		out.KernelLog.Lines, out.KernelLog.More = out.KernelLog.Lines[drop:], out.KernelLog.More+drop
	}
}

// reader reads files of the kernel's below root.
type reader struct{ root string }

func (m reader) text(path string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(m.root, path))
	return strings.TrimSpace(string(text)), err == nil
}

func (m reader) number(path string) (int64, bool) {
	text, ok := m.text(path)
	n, err := strconv.ParseInt(text, 0, 64)
	return n, ok && err == nil
}

func (m reader) glob(pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(m.root, pattern)) // the patterns are ours
	for i, path := range found {
		found[i] = strings.TrimPrefix(path, strings.TrimSuffix(m.root, "/"))
	}
	return found
}

func (m reader) system() System {
	s := System{}
	s.Kernel, _, _ = Kernel()
	if text, ok := m.text("proc/uptime"); ok {
		first, _, _ := strings.Cut(text, " ")
		seconds, _ := strconv.ParseFloat(first, 64)
		s.Uptime = int64(seconds)
	} else {
		s.Missing = notHere
	}
	_, s.RebootRequired = m.text("run/reboot-required")
	if text, ok := m.text("run/reboot-required.pkgs"); ok && text != "" {
		packages := strings.Fields(text)
		slices.Sort(packages)
		packages = slices.Compact(packages)
		s.Packages = packages[:min(len(packages), 20)]
	}
	return s
}

var (
	notHere  = hint.T("This machine does not say.", "Cette machine ne le dit pas.")
	logAbout = []struct {
		about string
		line  *regexp.Regexp
	}{
		{"disk", regexp.MustCompile(`(?i)I/O error|(EXT4|BTRFS|XFS|F2FS|FAT)\b.*(error|warning|corrupt|shut)|Remounting filesystem read-only|critical (medium|target) error|\bmmc\d+:.*(error|timeout)|\bata\d.*(failed command|exception|error)|\bnvme.*(timeout|reset|I/O)`)},
		{"memory", regexp.MustCompile(`Out of memory|invoked oom-killer|oom-kill:|Killed process`)},
		{"power", regexp.MustCompile(`(?i)under-?voltage|voltage normali[sz]ed`)},
		{"usb", regexp.MustCompile(`(?i)\busb \S+: (reset|USB disconnect|device descriptor read|device not accepting)|over-current`)},
		{"heat", regexp.MustCompile(`(?i)temperature (is )?above threshold|clock throttled|critical temperature`)},
		{"hardware", regexp.MustCompile(`Hardware Error|soft lockup|hard LOCKUP|blocked for more than`)},
	}
)

// about is what a line of the kernel's log is about; empty: nothing that matters.
func about(line string) string {
	for _, a := range logAbout {
		if a.line.MatchString(line) {
			return a.about
		}
	}
	return ""
}

// kernelLog reads the kernel's log where systemd keeps it.
func kernelLog(ctx context.Context, r Runner) KernelLog {
	out := KernelLog{Lines: []LogLine{}}
	text, err := r.Run(ctx, "journalctl", "_TRANSPORT=kernel", "--since=-7d", "-n", "10000", "--no-pager", "-q", "-o", "json", "--output-fields=MESSAGE")
	if err != nil {
		out.Missing = hint.T("The kernel's log cannot be read: %s", "Le journal du noyau est illisible : %s", err.Error())
		return out
	}
	lines, all := bufio.NewScanner(strings.NewReader(text)), 0
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			At      string `json:"__REALTIME_TIMESTAMP"`
			Message any    `json:"MESSAGE"` // bytes, where it is no text
		}
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		all++
		message, _ := l.Message.(string)
		if what := about(message); what != "" {
			micros, _ := strconv.ParseInt(l.At, 10, 64)
			out.Lines = append(out.Lines, LogLine{time.UnixMicro(micros).UTC(), what, hint.Short(message, mostLogText)})
		}
	}
	if all == 0 {
		out.Missing = hint.T("Nothing on this machine keeps the kernel's log.", "Rien sur cette machine ne garde le journal du noyau.")
	}
	out.More = max(0, len(out.Lines)-mostLogLines)
	out.Lines = out.Lines[out.More:]
	return out
}

func (m reader) memory() Memories {
	text, ok := m.text("proc/meminfo")
	if !ok {
		return Memories{Part: Part{notHere}}
	}
	out := Memories{}
	for line := range strings.Lines(text) { // "MemTotal:       24684084 kB"
		name, value, _ := strings.Cut(line, ":")
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		kB, _ := strconv.ParseUint(f[0], 10, 64)
		switch name {
		case "MemTotal":
			out.Total = kB << 10
		case "MemAvailable":
			out.Available = kB << 10
		case "SwapTotal":
			out.SwapTotal = kB << 10
		case "SwapFree":
			out.SwapFree = kB << 10
		}
	}
	return out
}

func (m reader) pressure() Pressure {
	out := Pressure{}
	for name, s := range map[string]*Stalls{"cpu": &out.CPU, "memory": &out.Memory, "io": &out.IO} {
		text, ok := m.text("proc/pressure/" + name)
		if !ok {
			out.Missing = notHere
		}
		for line := range strings.Lines(text) { // "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
			f := strings.Fields(line)
			if len(f) < 4 {
				continue
			}
			to := map[string]*[3]float64{"some": &s.Some, "full": &s.Full}[f[0]]
			for i := range 3 {
				if _, value, ok := strings.Cut(f[i+1], "="); ok && to != nil {
					to[i], _ = strconv.ParseFloat(value, 64)
				}
			}
		}
	}
	return out
}

// realDisk are the names of disks that are things: what is made of others says nothing new.
var realDisk = regexp.MustCompile(`^(sd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$`)

func (m reader) disks(ctx context.Context, r Runner) Disks {
	out := Disks{Disks: []Disk{}}
	for _, path := range m.glob("sys/block/*") {
		name := filepath.Base(path)
		if !realDisk.MatchString(name) || len(out.Disks) == mostDisks {
			continue
		}
		d := Disk{Name: name}
		for _, file := range []string{"model", "name"} {
			if text, ok := m.text(path + "/device/" + file); ok && d.Model == "" {
				d.Model = hint.Short(text, 100)
			}
		}
		if sectors, ok := m.number(path + "/size"); ok {
			d.Bytes = uint64(sectors) * 512
		}
		if strings.HasPrefix(name, "mmcblk") {
			d.EMMC = m.emmc(path)
			d.SMART.Missing = hint.T("Memory cards have none.", "Les cartes mémoire n'en ont pas.")
		} else {
			d.SMART = smart(ctx, r, name)
		}
		out.Disks = append(out.Disks, d)
	}
	if len(out.Disks) == 0 {
		out.Missing = hint.T("No disk is seen from here.", "Aucun disque n'est visible d'ici.")
	}
	return out
}

// emmc reads the wear of an eMMC; nil: it does not say, as memory cards do not.
func (m reader) emmc(path string) *EMMC {
	text, ok := m.text(path + "/device/life_time") // "0x01 0x02"
	f := strings.Fields(text)
	if !ok || len(f) != 2 {
		return nil
	}
	out := &EMMC{}
	for i, word := range f {
		n, err := strconv.ParseUint(word, 0, 8)
		if err != nil {
			return nil
		}
		out.LifeUsed[i] = int(n)
	}
	pre, _ := m.number(path + "/device/pre_eol_info")
	out.PreEOL = int(pre)
	return out
}

// smart asks a disk by smartctl, whose exit status tells of the disk, too.
func smart(ctx context.Context, r Runner, name string) SMART {
	text, err := r.Run(ctx, "smartctl", "--json", "-i", "-H", "-A", "/dev/"+name)
	if errors.Is(err, exec.ErrNotFound) {
		return SMART{Part: Part{hint.T("smartctl is not installed (package smartmontools).", "smartctl n'est pas installé (paquet smartmontools).")}}
	}
	var said struct {
		Status *struct {
			Passed bool `json:"passed"`
		} `json:"smart_status"`
		On *struct {
			Hours int64 `json:"hours"`
		} `json:"power_on_time"`
		Temperature *struct {
			Current int64 `json:"current"`
		} `json:"temperature"`
		NVMe *struct {
			Used   int64 `json:"percentage_used"`
			Errors int64 `json:"media_errors"`
		} `json:"nvme_smart_health_information_log"`
		ATA struct {
			Table []struct {
				ID  int `json:"id"`
				Raw struct {
					Value int64 `json:"value"`
				} `json:"raw"`
			} `json:"table"`
		} `json:"ata_smart_attributes"`
	}
	if json.Unmarshal([]byte(text), &said) != nil || said.Status == nil {
		return SMART{Part: Part{notHere}}
	}
	out := SMART{Passed: &said.Status.Passed}
	if said.On != nil {
		out.PowerOnHours = &said.On.Hours
	}
	if said.Temperature != nil {
		out.Celsius = &said.Temperature.Current
	}
	if said.NVMe != nil {
		out.PercentUsed, out.MediaErrors = &said.NVMe.Used, &said.NVMe.Errors
	}
	for _, a := range said.ATA.Table {
		if to := map[int]**int64{5: &out.Reallocated, 197: &out.Pending, 199: &out.CRCErrors}[a.ID]; to != nil {
			value := a.Raw.Value
			*to = &value
		}
	}
	return out
}

// power asks a Raspberry Pi's firmware, or the alarm the kernel makes of it.
func (m reader) power() PowerReadings {
	if p, ok := powerSupply(m.root); ok {
		return PowerReadings{Weak: p.Weak, WasWeak: p.WasWeak}
	}
	for _, name := range m.glob("sys/class/hwmon/hwmon*/name") {
		if what, _ := m.text(name); what != "rpi_volt" {
			continue
		}
		if alarm, ok := m.number(filepath.Dir(name) + "/in0_lcrit_alarm"); ok {
			return PowerReadings{Weak: alarm != 0, WasWeak: alarm != 0}
		}
	}
	return PowerReadings{Part: Part{notHere}}
}

func (m reader) temperatures() Temperatures {
	out := Temperatures{Zones: []Zone{}}
	for _, path := range m.glob("sys/class/thermal/thermal_zone*") {
		thousandths, ok := m.number(path + "/temp")
		if name, named := m.text(path + "/type"); ok && named && len(out.Zones) < 20 {
			out.Zones = append(out.Zones, Zone{hint.Short(name, 50), float64(thousandths) / 1000})
		}
	}
	if len(out.Zones) == 0 {
		out.Missing = notHere
	}
	return out
}
