package job

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Start asks for a job, and returns when its record is on the disk. Where the same is
// waiting or under way already, that is the answer. The error is a *hint.Error: job-unknown,
// job-malformed, jobs-many, or what keeps its record from being written.
func (m *Manager) Start(kind string, args map[string]string, by string) (Record, error) {
	if k := m.kinds[kind]; k != nil && k.Own {
		return Record{}, hint.New("job-malformed", hint.T("%s: that is asked for in a way of its own.", "%s : cela se demande autrement.", k.Title), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.Text{})
	}
	return m.StartWith(kind, args, by, nil, nil)
}

// StartWith is Start with a result that it has from the beginning on, and with something that
// is in memory alone: in no record, and gone with this process (Task.With). Where the same job
// is waiting or under way already, that is the answer, and both are left aside.
func (m *Manager) StartWith(kind string, args map[string]string, by string, result, with any) (Record, error) {
	k := m.kinds[kind]
	if k == nil {
		return Record{}, errUnknown
	}
	if err := k.fits(args); err != nil {
		return Record{}, err
	}
	var soFar json.RawMessage
	if result != nil {
		text, err := json.Marshal(hint.Clean(result))
		if err != nil || len(text) > resultBytes {
			return Record{}, unkept(err)
		}
		soFar = text
	}
	m.mu.Lock()
	waiting := 0
	for _, j := range m.jobs {
		if j.State.Ended() {
			continue
		}
		if j.Kind == kind && maps.Equal(j.Args, args) && !j.cancelled {
			m.mu.Unlock()
			<-j.settled
			if r, err := m.Get(j.ID); err == nil {
				return r, nil
			}
			return Record{}, unkept(nil)
		}
		if j.kind != nil && j.kind.Lane == k.Lane && j.State == Waiting {
			waiting++
		}
	}
	if waiting >= mostWaiting {
		m.mu.Unlock()
		return Record{}, errMany
	}
	now := time.Now()
	j := &job{kind: k, with: with, settled: make(chan struct{}), changed: make(chan struct{}), Record: Record{
		ID: NewID(now), Kind: kind, Title: k.Title, Args: maps.Clone(args), By: hint.Short(hint.Printable(by), 100), State: Waiting, Asked: now, Result: soFar,
	}}
	m.jobs = append(m.jobs, j)
	r := j.copy()
	m.mu.Unlock()
	err := m.save(j)
	m.mu.Lock()
	if j.noted = err == nil; !j.noted {
		m.jobs = slices.DeleteFunc(m.jobs, func(other *job) bool { return other == j })
	}
	close(j.settled)
	m.mu.Unlock()
	if err != nil {
		return Record{}, unkept(err)
	}
	m.poke(k.Lane)
	return r, nil
}

// unkept: the record of a job cannot be written.
func unkept(err error) error {
	return hint.New("job-unkept", hint.T("The job could not be noted: the disk does not take it.", "La tâche n'a pas pu être notée : le disque ne la prend pas."), hint.T("Nothing was begun.", "Rien n'a été commencé."),
		hint.T("`foyer doctor` says more.", "`foyer doctor` en dit plus.")).Because(err)
}

// NewID is a number for a job that is asked for now.
func NewID(now time.Time) string {
	return strings.ReplaceAll(now.UTC().Format("20060102-150405.000"), ".", "") + "-" + strings.ToLower(rand.Text()[:4])
}

func (m *Manager) poke(l Lane) {
	select {
	case m.wake[l] <- struct{}{}:
	default: // it is awake
	}
}

// Cancel has a job end: one that waits at once, one that runs soon.
func (m *Manager) Cancel(id string) (Record, error) {
	m.mu.Lock()
	j := m.find(id)
	if j == nil {
		m.mu.Unlock()
		return Record{}, errUnknown
	}
	waited := j.State == Waiting && !j.cancelled
	if !j.State.Ended() {
		j.cancelled = true
		if j.cancel != nil {
			j.cancel()
		}
	}
	m.mu.Unlock()
	if waited {
		m.end(j, Cancelled, nil)
	}
	return m.Get(id)
}

// Title is what people call a kind of job; false: there is no such kind.
func (m *Manager) Title(kind string) (title hint.Text, ok bool) {
	k := m.kinds[kind]
	if k == nil {
		return hint.Text{}, false
	}
	return k.Title, true
}

// ActiveOf is a job of this kind that waits or runs, whatever its arguments, if one does.
func (m *Manager) ActiveOf(kind string) (Record, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if !j.State.Ended() && j.Kind == kind {
			return j.copy(), true
		}
	}
	return Record{}, false
}

// Active is the job of this kind, with these arguments, that waits or runs, if one does.
func (m *Manager) Active(kind string, args map[string]string) (Record, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if !j.State.Ended() && j.Kind == kind && maps.Equal(j.Args, args) {
			return j.copy(), true
		}
	}
	return Record{}, false
}

// Kinds are the kinds of jobs that can be asked for, by name.
func (m *Manager) Kinds() []report.JobKind {
	var out []report.JobKind
	for _, name := range slices.Sorted(maps.Keys(m.kinds)) {
		if k := m.kinds[name]; !k.Own {
			out = append(out, k.told())
		}
	}
	return out
}

func (k *Kind) told() report.JobKind {
	return report.JobKind{Kind: k.Name, Title: k.Title, Args: k.Args, Page: k.Page, Fresh: k.Fresh, Words: k.Words}
}

// Kind is the kind of a name, one with a way of its own too; false: there is none.
func (m *Manager) Kind(name string) (report.JobKind, bool) {
	k := m.kinds[name]
	if k == nil {
		return report.JobKind{}, false
	}
	return k.told(), true
}
