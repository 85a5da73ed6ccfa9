package health

import (
	"context"
	"time"

	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Disk checks that the disk holding the data has room, and will have for the days to come.
// look says how much there is; filling, which may be nil, is told of it and foretells.
func Disk(look func() (diskroom.Room, error), filling *Filling) Check {
	see := hint.T("See what takes room (`foyer jobs start what-takes-room`, or the page Server), then delete some of it, or plug in a bigger disk.", "Regardez ce qui prend de la place (`foyer jobs start what-takes-room`, ou la page Serveur), puis effacez-en une partie, ou branchez un disque plus grand.")
	return Check{
		Code: "disk", Title: hint.T("Disk space", "Place sur le disque"), // each time: requests are refused at once when it is full
		Run: func(context.Context) Finding {
			room, err := look()
			if err != nil {
				return Finding{
					Severity: Error, Cause: "disk-silent", What: hint.T("The disk that holds the data does not answer.", "Le disque des données ne répond pas."),
					Do: hint.T("Check that it is plugged in.", "Vérifiez qu'il est branché."),
				}
			}
			now := time.Now()
			if filling != nil {
				filling.Note(room, now)
			}
			left := report.Size(room.Free)
			switch level := room.Level(); {
			case room.FewFiles():
				return Finding{
					Severity: Warning, Cause: "disk-no-files", What: hint.T("The disk can hold only %d more files, though %s are free.", "Le disque ne peut plus contenir que %d fichiers, bien que %s soient libres.", room.FreeFiles, left),
					Did: hint.T("With fewer than 2000, Foyer takes no more attachments.", "En dessous de 2000, Foyer n'accepte plus de pièces jointes."),
					Do:  hint.T("Find what makes so many small files on this machine, or use a disk that was formatted for more.", "Cherchez ce qui crée tant de petits fichiers sur cette machine, ou prenez un disque formaté pour en contenir plus."),
				}
			case level == diskroom.Full:
				return Finding{
					Severity: Error, Cause: "disk-full", What: hint.T("The disk is full (%s left): new things cannot be stored.", "Le disque est plein (il reste %s) : plus rien ne peut être enregistré.", left),
					Did: hint.T("Reading, deleting and signing in go on; what is left is kept for that.", "On peut toujours lire, effacer et se connecter ; ce qui reste est gardé pour cela."), Do: see,
				}
			case level == diskroom.Short:
				return Finding{
					Severity: Warning, Cause: "disk-short", What: hint.T("The disk is almost full (%s left): nothing can be attached any more.", "Le disque est presque plein (il reste %s) : on ne peut plus rien joindre.", left),
					Did: hint.T("Foyer keeps what is left for everything else.", "Foyer garde ce qui reste pour tout le reste."), Do: see,
				}
			case level == diskroom.Low:
				return Finding{Severity: Warning, Cause: "disk-low", What: hint.T("The disk is nearly full: %s left.", "Le disque est presque plein : il reste %s.", left), Do: see}
			}
			if filling != nil {
				if f, ok := filling.Foretell(room, now); ok {
					return f.finding(now, left, see)
				}
			}
			return Finding{What: hint.T("%s free.", "%s libres.", left)}
		},
	}
}

// finding is what there is to say of a disk that will be full.
func (f Forecast) finding(now time.Time, left, do hint.Text) Finding {
	days := max(1, int(f.Full.Sub(now).Hours()/24))
	return Finding{
		Severity: Warning, Cause: "disk-filling", Do: do,
		What: hint.T("The disk will be full in about %d days, if it goes on as in the last %d: %s are left, and %s more are taken each day.", "Le disque sera plein dans environ %d jours si cela continue comme pendant les %d derniers : il reste %s, et %s de plus sont pris chaque jour.", days, f.Over, left, report.Size(f.PerDay)),
	}
}
