package health

import (
	"context"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Power checks a power supply that says how it is; weak: the voltage is too low
// now, was: it has been since the machine was started.
func Power(supply func() (weak, was bool)) Check {
	return Check{
		Code: "power", Title: hint.T("Power supply", "Alimentation"), Every: time.Minute,
		Run: func(context.Context) Finding {
			do := hint.T("Use the power supply made for this machine, and a short cable.", "Utilisez l'alimentation prévue pour cette machine, et un câble court.")
			switch weak, was := supply(); {
			case weak:
				return Finding{Severity: Warning, What: hint.T("The power supply is too weak: the machine may stop, and memory cards are damaged that way.", "L'alimentation est trop faible : la machine peut s'arrêter, et c'est ainsi que les cartes mémoire s'abîment."), Do: do}
			case was:
				return Finding{What: hint.T("Strong enough now; it was too weak since the machine was started.", "Suffisante à présent ; elle a été trop faible depuis le démarrage de la machine.")}
			}
			return Finding{What: hint.T("Strong enough.", "Suffisante.")}
		},
	}
}

// Place checks what holds the data; card: a memory card, volatile: memory.
func Place(where func() (card, volatile bool)) Check {
	return Check{
		Code: "place", Title: hint.T("Place of the data", "Lieu des données"), Every: time.Hour,
		Run: func(context.Context) Finding {
			switch card, volatile := where(); {
			case volatile:
				return Finding{
					Severity: Error, What: hint.T("The data are kept in memory: all of them are gone when the machine is switched off.", "Les données sont en mémoire vive : elles disparaissent toutes quand la machine s'éteint."),
					Do: hint.T("Switch off the read-only mode of the system, or put the data on a disk.", "Désactivez le mode lecture seule du système, ou mettez les données sur un disque."),
				}
			case card:
				return Finding{What: hint.T("On a memory card, which wears out; a USB disk lasts longer.", "Sur une carte mémoire, qui s'use ; un disque USB dure plus longtemps.")}
			}
			return Finding{}
		},
	}
}

// Memory checks that the machine has enough of it; size is in bytes, 0 = unknown.
func Memory(size func() int64) Check {
	return Check{
		Code: "memory", Title: hint.T("Memory", "Mémoire"), Every: time.Hour,
		Run: func(context.Context) Finding {
			switch n := size(); {
			case n == 0:
				return Finding{}
			case n < 200<<20:
				return Finding{
					Severity: Warning, What: hint.T("Only %s of memory: under load Foyer may be stopped by the system.", "Seulement %s de mémoire : sous la charge, le système peut arrêter Foyer.", report.Size(uint64(n))),
					Do: hint.T("Use a machine with 512 MB or more.", "Prenez une machine avec 512 Mo ou plus."),
				}
			case n < 900<<20:
				return Finding{What: hint.T("%s: fine for a family.", "%s : bien pour une famille.", report.Size(uint64(n)))}
			default:
				return Finding{What: hint.T("%s.", "%s.", report.Size(uint64(n)))}
			}
		},
	}
}

// TimeKept checks that something keeps the clock right; kept: it is being set from
// outside, own: the machine has a clock that goes on while it is switched off.
func TimeKept(see func() (kept, own bool)) Check {
	return Check{
		Code: "time-kept", Title: hint.T("Setting of the clock", "Mise à l'heure"), Every: 10 * time.Minute,
		Run: func(context.Context) Finding {
			switch kept, own := see(); {
			case kept:
				return Finding{What: hint.T("Kept right by the network.", "Mise à l'heure par le réseau.")}
			case own:
				return Finding{What: hint.T("The clock goes on by itself; nothing sets it.", "L'horloge avance seule ; rien ne la met à l'heure.")}
			}
			return Finding{
				Severity: Info, What: hint.T("This machine forgets the time when it is switched off, and nothing has set it yet.", "Cette machine oublie l'heure quand elle s'éteint, et rien ne l'a encore remise."),
				Did: hint.T("Foyer serves meanwhile.", "Foyer sert en attendant."), Do: hint.T("Connect it to the network; `sudo timedatectl set-ntp true` has it set by itself.", "Reliez-la au réseau ; `sudo timedatectl set-ntp true` la met à l'heure toute seule."),
			}
		},
	}
}
