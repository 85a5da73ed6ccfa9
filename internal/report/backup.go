package report

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Backup is what everybody is told of the backup of a Foyer.
type Backup struct {
	To    string    `json:"to"`              // the folder, as the settings name it; empty: nothing is backed up
	Chain string    `json:"chain,omitempty"` // which backup there; empty: it has not begun
	Began time.Time `json:"began,omitzero"`
	// Complete is when all that had been written by then was in the backup; zero: never yet.
	Complete time.Time `json:"complete,omitzero"`
	Copied   int64     `json:"copied_bytes,omitempty"` // of the first copy of everything, while that is made
	Points   int       `json:"points"`                 // moments that can be restored
	Oldest   time.Time `json:"oldest,omitzero"`        // of them
	Bytes    int64     `json:"bytes"`                  // at the target
	Problem  *Problem  `json:"problem,omitempty"`      // why it does not go on now
	Since    time.Time `json:"since,omitzero"`         // since when that is so
	Proven   *Proven   `json:"proven,omitempty"`       // the last restore that worked; nil: none ever did
	Failed   *Problem  `json:"failed,omitempty"`       // why the last one did not, if it is newer
	FailedAt time.Time `json:"failed_at,omitzero"`
}

// Proven is a restore that was made to see that one can be made.
type Proven struct {
	At          time.Time `json:"at"`      // when it ended
	Seconds     float64   `json:"seconds"` // how long it took
	Moment      time.Time `json:"moment"`  // of the data that were restored
	Records     int       `json:"records"`
	People      int       `json:"people"`
	Attachments int       `json:"attachments"`
	Lists       int       `json:"lists"` // that a client read from a server of what was restored
	// Compared: everything was compared with what the machine had said of that moment.
	Compared bool `json:"compared"`
	// Confined: who did it could not open the data that are served.
	Confined bool   `json:"confined"`
	Version  string `json:"version"` // of the Foyer that did it
}

// Word is how the backup stands, as people say it, at a time.
func (b *Backup) Word(now time.Time) hint.Text {
	switch {
	case b == nil:
		return hint.Text{}
	case b.Chain == "":
		return hint.T("Nothing is backed up.", "Rien n'est sauvegardé.")
	case b.Complete.IsZero():
		return hint.T("The first backup is being made.", "La première sauvegarde est en cours.")
	}
	return hint.T("Backed up: all that was written up to %s.", "Sauvegardé : tout ce qui était écrit %s.", Ago(now.Sub(b.Complete)))
}

// ProvenWord is whether it was restored to see that it works; empty where there is none.
func (b *Backup) ProvenWord(now time.Time) hint.Text {
	switch {
	case b == nil || b.Chain == "":
		return hint.Text{}
	case b.Proven == nil:
		return hint.T("It has never been restored to see that it works.", "Elle n'a jamais été restaurée pour voir si elle marche.")
	}
	return b.Proven.Word(now)
}

// Word is the last proven restore as people say it, at a time.
func (p *Proven) Word(now time.Time) hint.Text {
	return hint.T("Last proven restore: %s, %s.", "Dernière restauration prouvée : %s, %s.", Ago(now.Sub(p.At)), p.Took())
}

// Took is how long it took.
func (p *Proven) Took() hint.Text {
	if p.Seconds < 120 {
		return hint.T("%d s", "%d s", max(1, int(p.Seconds+0.5)))
	}
	return hint.T("%d min", "%d min", int(p.Seconds/60+0.5))
}

// BeginBackup is what is asked for to begin a backup in the folder of the settings.
type BeginBackup struct {
	Words    string `json:"words"`               // the twelve of the kit
	SameDisk bool   `json:"same_disk,omitempty"` // it may be on the disk of the data
	New      bool   `json:"new,omitempty"`       // the one that was begun before ends, if there is one
}
