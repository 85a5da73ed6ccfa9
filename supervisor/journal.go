package supervisor

import (
	"io"
	"sync"

	"github.com/foyer-server/foyer/internal/hint"
)

// Journal keeps the newest log lines in memory, printable (hint.Printable), and
// passes every byte on. It is safe for concurrent use; a line that is not ended yet
// is kept back.
type Journal struct {
	mu    sync.Mutex
	out   io.Writer
	lines []string // a ring once it is full
	next  int
	part  []byte
}

// journalLines is how many lines a Journal keeps, and journalLine how long a
// kept one may be.
const (
	journalLines = 1000
	journalLine  = 4 << 10
)

// NewJournal returns a Journal that passes what it is given to out.
func NewJournal(out io.Writer) *Journal { return &Journal{out: out} }

// Write implements io.Writer.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range p {
		if b != '\n' {
			if len(j.part) < journalLine {
				j.part = append(j.part, b)
			}
			continue
		}
		line := hint.Printable(string(j.part))
		if len(j.lines) < journalLines {
			j.lines = append(j.lines, line)
		} else {
			j.lines[j.next] = line
			j.next = (j.next + 1) % journalLines
		}
		j.part = j.part[:0]
	}
	return j.out.Write(p)
}

// Tail returns the newest n lines, oldest first.
func (j *Journal) Tail(n int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := append(append([]string{}, j.lines[j.next:]...), j.lines[:j.next]...)
	return all[max(0, len(all)-n):]
}
