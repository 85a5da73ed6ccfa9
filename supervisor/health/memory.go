package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/jsonlines"
)

// MemoryFile is the name of the file in which a Board remembers what it told and tried.
const MemoryFile = "findings"

// memory is what a Board knows after a restart: one line, with a sum.
type memory struct {
	Version int                  `json:"version"` // 1
	Checks  map[string]telling   `json:"checks"`
	Repairs map[string]*attempts `json:"repairs"`
}

// telling is what was told of a check.
type telling struct {
	Told   Severity  `json:"told"`
	Cycles int       `json:"cycles,omitempty"` // how often it came and went, since it last stayed for steady
	Turned time.Time `json:"turned,omitzero"`  // when it last came or went, to within seldom
}

// readMemory reads the memory at path. There may be none yet.
func readMemory(path string) (m memory, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return memory{}, nil
	}
	if err != nil {
		return memory{}, fmt.Errorf("cannot read what was told and tried before: %w", err)
	}
	return parseMemory(text)
}

func parseMemory(text []byte) (m memory, err error) {
	lines := 0
	whole, damaged := jsonlines.Read(text, func(raw json.RawMessage) error {
		lines++
		return json.Unmarshal(raw, &m)
	})
	if lines != 1 || damaged > 0 || whole < len(text) || m.Version != 1 {
		return memory{}, errors.New("what was told and tried before is damaged, or of another version")
	}
	for name, a := range m.Repairs {
		if a == nil {
			delete(m.Repairs, name)
		}
	}
	return m, nil
}

// seldom is how often what is known to the minute is written: a disk wears out.
const seldom = 6 * time.Hour

// Remember has the board remember in folder dir what it tells and tries, and continue with
// what the folder has of that. It is to be called before the first Look, after UseJobs; it
// blocks as long as the disk does. Where that cannot be read nothing is begun by itself for
// a day: it may have been, over and over.
func (b *Board) Remember(dir string) {
	b.path = filepath.Join(dir, MemoryFile)
	m, err := readMemory(b.path)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if err != nil {
		b.log.Error("repairs wait for a day", "err", err)
		b.spoil(now)
		for _, r := range b.repairs {
			r.wait(now.Add(newSpell))
		}
		return
	}
	for _, it := range b.items {
		it.telling = m.Checks[it.Code]
		if it.Turned.After(now) {
			it.Turned = now
		}
		it.turned = it.Turned
	}
	for name, r := range b.repairs {
		if a := m.Repairs[name]; a != nil {
			r.attempts = *a
			r.bound(now)
			r.keptWrong = r.LastWrong
			if _, active := b.jobs.Active(r.kind, r.args); !r.Judged && !active {
				r.ended = now // whatever became of it
			}
		}
	}
	for _, it := range b.items { // whether it helped is still to be found
		for _, r := range it.Repairs {
			if m := b.repairs[nameOf(r.Kind, r.Args)]; m != nil && !m.Judged && it.Told >= Warning && it.mends == nil {
				it.mends = m
			}
		}
	}
}

// save writes the memory as it is now.
func (b *Board) save() error {
	if b.path == "" {
		return nil
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	m := memory{Version: 1, Checks: map[string]telling{}, Repairs: map[string]*attempts{}}
	for _, it := range b.items {
		if it.Told > OK || it.Cycles > 0 {
			m.Checks[it.Code] = it.telling
		}
	}
	for name, r := range b.repairs {
		if len(r.Times) > 0 || !r.NotBefore.IsZero() {
			m.Repairs[name] = &r.attempts
			r.keptWrong = r.LastWrong
		}
	}
	text, err := jsonlines.Append(nil, m)
	b.dirty = time.Time{}
	b.mu.Unlock()
	if err == nil {
		err = atomicfile.Write(b.path, text, 0o600)
	}
	if err != nil {
		b.mu.Lock()
		b.spoil(time.Now())
		b.mu.Unlock()
		return fmt.Errorf("cannot keep what is told and tried: %w", err)
	}
	return nil
}
