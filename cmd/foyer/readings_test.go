package main

import (
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// What root reads of a machine is said in sentences, what is wrong in its own.
func TestReadingsAreSaid(t *testing.T) {
	t.Attr("shows", "ground")
	yes, no, some, most := true, false, int64(3), int64(95)
	disk := func(d host.Disk) *host.Readings {
		d.Name, d.Bytes = "sda", 64<<30
		return &host.Readings{Disks: host.Disks{Disks: []host.Disk{d}}}
	}
	for _, c := range []struct {
		name string
		r    *host.Readings
		want string
	}{
		{"well", &host.Readings{System: host.System{Kernel: "6.1", Uptime: 4 * 86400}}, "Kernel 6.1; this machine has run for 4 days."},
		{"to be restarted", &host.Readings{System: host.System{RebootRequired: true}}, "want it restarted"},
		{"memory", &host.Readings{Memory: host.Memories{Total: 4 << 30, Available: 1 << 30}}, "1.0 GB of 4.0 GB"},
		{"waits for memory", &host.Readings{Pressure: host.Pressure{Memory: host.Stalls{Some: [3]float64{1, 2, 33}}}}, "waits for memory: 33 %"},
		{"waits for a disk", &host.Readings{Pressure: host.Pressure{IO: host.Stalls{Some: [3]float64{1, 2, 70}}}}, "waits for the disks: 70 %"},
		{"a card that is worn", disk(host.Disk{EMMC: &host.EMMC{LifeUsed: [2]int{3, 10}, PreEOL: 1}}), "Disk sda (64 GB): nearly worn out"},
		{"a card without spare blocks", disk(host.Disk{EMMC: &host.EMMC{LifeUsed: [2]int{3, 3}, PreEOL: 3}}), "nearly worn out"},
		{"a card that is well", disk(host.Disk{EMMC: &host.EMMC{LifeUsed: [2]int{1, 2}, PreEOL: 1}}), "some 20 % of its life"},
		{"a disk that fails", disk(host.Disk{SMART: host.SMART{Passed: &no}}), "failing. Replace it."},
		{"a disk with bad parts", disk(host.Disk{SMART: host.SMART{Passed: &yes, Pending: &some}}), "could not be read"},
		{"a disk at the end of its life", disk(host.Disk{SMART: host.SMART{Passed: &yes, PercentUsed: &most}}), "95 %"},
		{"a disk that is well", disk(host.Disk{SMART: host.SMART{Passed: &yes}}), "says that it is well"},
		{"a disk that says nothing", disk(host.Disk{}), "says nothing of its wear"},
		{"too little power now", &host.Readings{Power: host.PowerReadings{Weak: true, WasWeak: true}}, "too weak at this moment"},
		{"too little power once", &host.Readings{Power: host.PowerReadings{WasWeak: true}}, "too weak since"},
		{"hot", &host.Readings{Temperatures: host.Temperatures{Zones: []host.Zone{{Celsius: 40}, {Celsius: 85}}}}, "85 °C. Give it air."},
		{"the kernel complains", &host.Readings{KernelLog: host.KernelLog{Lines: []host.LogLine{{Text: "a"}, {Text: "I/O error, dev sda"}}, More: 5}}, "7 times in seven days that something is wrong; the last: I/O error, dev sda"},
		{"no log", &host.Readings{KernelLog: host.KernelLog{Part: host.Part{Missing: hint.T("Nothing keeps it.", "Rien ne le garde.")}}}, "Kernel's log: Nothing keeps it."},
		{"many disks", &host.Readings{Disks: host.Disks{Disks: make([]host.Disk, 50)}}, "Disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := saidOf(c.r)
			var en []string
			for _, s := range said {
				if s.EN == "" || s.FR == "" || s.EN == s.FR {
					t.Errorf("%+v", s)
				}
				en = append(en, s.EN)
			}
			if !strings.Contains(strings.Join(en, "\n"), c.want) {
				t.Errorf("%q is not said:\n%s", c.want, strings.Join(en, "\n"))
			}
			if len(said) > 20 {
				t.Errorf("%d sentences, of which a record keeps 20", len(said))
			}
		})
	}
}
