package osupdate

import (
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
)

// memory is what is known after a restart, too.
type memory struct {
	Since map[string]time.Time `json:"waits_since,omitempty"` // security updates, by name and version, and since when they wait
	// Told is when the last run of apt began that was told of; zero: Foyer has just come.
	Told  time.Time `json:"told,omitzero"`
	Wrong []string  `json:"wrong,omitempty"` // the codes of what was wrong before the next run
	// Planned is when a restart was told of, and PlannedFor what for.
	Planned    time.Time `json:"planned,omitzero"`
	PlannedFor string    `json:"planned_for,omitempty"`
	// RestartedFor is what the machine was last restarted for: once for each thing.
	RestartedFor string `json:"restarted_for,omitempty"`
}

// memoryFile is where it is.
const memoryFile = "os-updates.json"

// readMemory reads it. What cannot be read is forgotten.
func readMemory(dir string) (m memory) {
	if dir == "" {
		return m
	}
	text, _ := tree(dir).read(memoryFile, 1<<20)
	if json.Unmarshal(text, &m) != nil {
		return memory{}
	}
	return m
}

// remember keeps it. Where that fails days are counted anew after a restart, and updates may
// be told of twice. w.mu is held.
func (w *Watch) remember() {
	w.memory.Since = w.waiting.since
	if w.cfg.State == "" {
		return
	}
	text, err := json.Marshal(w.memory)
	if err == nil {
		err = atomicfile.Write(filepath.Join(w.cfg.State, memoryFile), text, 0o600)
	}
	if err != nil {
		w.cfg.Log.Warn("what is known of the system's updates is not on the disk", "err", err)
	}
}
