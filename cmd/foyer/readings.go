package main

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
)

// mostDisks is how many disks are told of in sentences; the result has them all.
const mostDisks = 6

// saidOf is what was read of a machine, as people say it: what is wrong in its part's own
// sentence, and that nothing is where nothing is.
func saidOf(r *host.Readings) (out []hint.Text) {
	say := func(title hint.Text, p host.Part, what hint.Text) {
		if !p.Missing.IsZero() {
			what = hint.T("%s: %s", "%s : %s", title, p.Missing)
		}
		if !what.IsZero() {
			out = append(out, what)
		}
	}
	s := r.System
	say(hint.T("System", "Système"), s.Part, hint.T("Kernel %s; this machine has run for %s.", "Noyau %s ; cette machine tourne depuis %s.", s.Kernel, report.Age(time.Duration(s.Uptime)*time.Second)))
	if s.RebootRequired {
		say(hint.Text{}, host.Part{}, hint.T("Updates of the system want it restarted.", "Des mises à jour du système demandent un redémarrage."))
	}
	m := r.Memory
	say(hint.T("Memory", "Mémoire"), m.Part, hint.T("Memory: %s of %s can be used.", "Mémoire : %s sur %s sont utilisables.", report.Size(m.Available), report.Size(m.Total)))
	say(hint.T("Load", "Charge"), r.Pressure.Part, waits(r.Pressure))
	if r.Disks.Missing.IsZero() {
		for _, d := range r.Disks.Disks[:min(mostDisks, len(r.Disks.Disks))] {
			say(hint.Text{}, host.Part{}, wear(d))
		}
	} else {
		say(hint.T("Disks", "Disques"), r.Disks.Part, hint.Text{})
	}
	say(hint.T("Power supply", "Alimentation"), r.Power.Part, power(r.Power))
	say(hint.T("Temperature", "Température"), r.Temperatures.Part, hottest(r.Temperatures.Zones))
	say(hint.T("Kernel's log", "Journal du noyau"), r.KernelLog.Part, reported(r.KernelLog))
	return out
}

// waits says how much of the last five minutes work waited for what it needs.
func waits(p host.Pressure) hint.Text {
	const last = 2 // of the three spans, the longest
	cpu, memory, io := p.CPU.Some[last], p.Memory.Some[last], p.IO.Some[last]
	switch {
	case memory >= 10:
		return hint.T("Work waits for memory: %.0f %% of the last five minutes.", "Le travail attend de la mémoire : %.0f %% des cinq dernières minutes.", memory)
	case io >= 40:
		return hint.T("Work waits for the disks: %.0f %% of the last five minutes.", "Le travail attend les disques : %.0f %% des cinq dernières minutes.", io)
	}
	return hint.T("Nothing has to wait for long (processor %.0f %%, memory %.0f %%, disks %.0f %% of the last five minutes).", "Rien n'attend longtemps (processeur %.0f %%, mémoire %.0f %%, disques %.0f %% des cinq dernières minutes).", cpu, memory, io)
}

// wear says what a disk says of itself.
func wear(d host.Disk) hint.Text {
	disk := hint.T("Disk %s (%s)", "Disque %s (%s)", d.Name, report.Size(d.Bytes))
	switch s := d.SMART; {
	case d.EMMC != nil && (max(d.EMMC.LifeUsed[0], d.EMMC.LifeUsed[1]) >= 9 || d.EMMC.PreEOL >= 2):
		return hint.T("%s: nearly worn out. Replace it soon.", "%s : presque usé. Remplacez-le bientôt.", disk)
	case s.Passed != nil && !*s.Passed:
		return hint.T("%s: it says itself that it is failing. Replace it.", "%s : il se dit lui-même défaillant. Remplacez-le.", disk)
	case more(s.MediaErrors) || more(s.Pending) || more(s.Reallocated):
		return hint.T("%s: parts of it could not be read. Replace it soon.", "%s : des parties n'ont pas pu être lues. Remplacez-le bientôt.", disk)
	case s.PercentUsed != nil && *s.PercentUsed >= 90:
		return hint.T("%s: %d %% of its life are used up. Replace it soon.", "%s : %d %% de sa vie sont consommés. Remplacez-le bientôt.", disk, *s.PercentUsed)
	case d.EMMC != nil:
		return hint.T("%s: some %d %% of its life are used up.", "%s : environ %d %% de sa vie sont consommés.", disk, 10*max(d.EMMC.LifeUsed[0], d.EMMC.LifeUsed[1]))
	case s.Passed != nil:
		return hint.T("%s: it says that it is well.", "%s : il se dit en bon état.", disk)
	}
	return hint.T("%s: it says nothing of its wear.", "%s : il ne dit rien de son usure.", disk)
}

func more(n *int64) bool { return n != nil && *n > 0 }

func power(p host.PowerReadings) hint.Text {
	switch {
	case p.Weak:
		return hint.T("The power supply is too weak at this moment: use a stronger one.", "L'alimentation est trop faible en ce moment : prenez-en une plus forte.")
	case p.WasWeak:
		return hint.T("The power supply has been too weak since the machine was started: use a stronger one.", "L'alimentation a été trop faible depuis le démarrage : prenez-en une plus forte.")
	}
	return hint.T("The power supply is strong enough.", "L'alimentation est assez forte.")
}

func hottest(zones []host.Zone) hint.Text {
	most := 0.0
	for _, z := range zones {
		most = max(most, z.Celsius)
	}
	switch {
	case len(zones) == 0:
		return hint.Text{}
	case most >= 80:
		return hint.T("It is hot: %.0f °C. Give it air.", "Il fait chaud : %.0f °C. Donnez-lui de l'air.", most)
	}
	return hint.T("Its hottest part has %.0f °C.", "Sa partie la plus chaude est à %.0f °C.", most)
}

func reported(l host.KernelLog) hint.Text {
	n := len(l.Lines) + l.More
	if n == 0 {
		return hint.T("The kernel has reported nothing wrong with disks, memory or power for seven days.", "Le noyau n'a rien signalé sur les disques, la mémoire ou l'alimentation depuis sept jours.")
	}
	return hint.T("The kernel has reported %d times in seven days that something is wrong; the last: %s", "Le noyau a signalé %d fois en sept jours que quelque chose ne va pas ; la dernière : %s", n, hint.Short(l.Lines[len(l.Lines)-1].Text, 200))
}
