package report

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Status is everything `foyer status` shows.
type Status struct {
	Version   string    `json:"version"`
	Light     Light     `json:"light"`
	Sentence  hint.Text `json:"sentence"` // how things are, in one sentence
	Started   time.Time `json:"started"`  // when the supervisor was started
	Addresses []string  `json:"addresses"`
	Claimed   bool      `json:"claimed"`
	People    int       `json:"people"` // who have an account; counted once a minute, up to 1000

	Server      Server      `json:"server"`
	Certificate Certificate `json:"certificate"`
	Data        Data        `json:"data"`
	Backup      *Backup     `json:"backup,omitempty"` // nil: this Foyer cannot make any

	Checks []Result `json:"checks"`
	Jobs   []Job    `json:"jobs"`   // that wait, run, or have ended within the last hour: the newest ten, newest first
	Lately []Event  `json:"lately"` // what happened and what Foyer did, the newest 50, newest first
	Course []Sample `json:"course"` // how things went, oldest first
}

// Sample is how things were at one moment.
type Sample struct {
	At       time.Time `json:"at"`
	Requests float64   `json:"requests_per_minute"` // since the sample before
	Memory   int64     `json:"memory_bytes"`        // of supervisor and server together
	Free     uint64    `json:"free_bytes"`          // on the disk of the data
}

// Light is the traffic light.
type Light string

// The lights: all is well; something will hurt; something hurts now.
const (
	Green  Light = "green"
	Yellow Light = "yellow"
	Red    Light = "red"
)

// LightOf is the light that checks with these outcomes make, and the sentence beside it.
func LightOf(rs []Result) (Light, hint.Text) {
	worst, ok := Worst(rs)
	switch {
	case !ok:
		return Green, hint.T("All is well.", "Tout va bien.")
	case worst.Severity == Error:
		return Red, worst.What
	case worst.Severity == Warning:
		return Yellow, worst.What
	}
	return Green, worst.What
}

// Server is the state of `foyer serve`.
type Server struct {
	State     string    `json:"state"` // starting, healthy, unwell, restarting, crash-loop, safe-mode, waiting
	PID       int       `json:"pid"`   // 0 while there is none
	Restarts  int       `json:"restarts"`
	Since     time.Time `json:"since"`                // when this process was started
	LastEnd   string    `json:"last_end,omitempty"`   // why the one before ended
	LastLines []string  `json:"last_lines,omitempty"` // the end of what it logged, while it is not healthy
}

// Word is the state as people say it.
func (s Server) Word() hint.Text {
	switch s.State {
	case "healthy":
		return hint.T("well", "en forme")
	case "starting":
		return hint.T("starting", "en démarrage")
	case "restarting":
		return hint.T("restarting", "en redémarrage")
	case "crash-loop":
		return hint.T("keeps stopping", "s'arrête sans cesse")
	case "safe-mode":
		return hint.T("in safe mode", "en mode sans échec")
	case "waiting":
		return hint.T("waiting for its data", "en attente de ses données")
	}
	return hint.T("does not answer", "ne répond pas")
}

// Certificate is what the server serves to say who it is.
type Certificate struct {
	Expires     time.Time              `json:"expires,omitzero"`
	Fingerprint string                 `json:"fingerprint,omitempty"` // of the root to trust, SHA-256
	Words       map[hint.Lang][]string `json:"words,omitempty"`       // the same in words
}

// Data is where the data lives.
type Data struct {
	Path  string `json:"path"`
	Free  uint64 `json:"free_bytes"`
	Total uint64 `json:"total_bytes"`
}
