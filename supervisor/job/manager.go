package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/report"
)

// Manager keeps jobs and runs them. Use Open, then Run once. It is safe for concurrent
// use; List and Get wait for no disk.
type Manager struct {
	dir   string // empty: nothing is kept beyond this process
	log   *slog.Logger
	kinds map[string]*Kind
	begin func(Record) error // nil: nobody has a say
	ended func(Record)       // nil: nobody wants to know

	wake   [laneCount]chan struct{}
	saving sync.Mutex // one file at a time, in the order of what happened

	mu   sync.Mutex // guards what follows
	jobs []*job     // oldest first
	cut  []Record   // by the end of the process before; Run tells of them
}

var idRE = regexp.MustCompile(`^[0-9]{8}-[0-9]{9}-[a-z2-7]{4}$`)

// Open reads the records in folder dir, which is made if need be: jobs that were under way
// wait again, or are marked as cut off. With no dir nothing is kept beyond this process.
// It blocks as long as the disk does.
func Open(dir string, log *slog.Logger, kinds ...Kind) (*Manager, error) {
	m := &Manager{dir: dir, log: log, kinds: map[string]*Kind{}}
	for i := range m.wake {
		m.wake[i] = make(chan struct{}, 1)
	}
	for i, k := range kinds {
		if m.kinds[k.Name] != nil || k.Lane < 0 || k.Lane >= laneCount || k.Run == nil {
			return nil, fmt.Errorf("the kind of job %q is there twice, or lacks something", k.Name)
		}
		m.kinds[k.Name] = &kinds[i]
	}
	if dir == "" {
		return m, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of jobs: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the folder of jobs: %w", err)
	}
	for _, e := range entries { // by name, so the oldest first
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !idRE.MatchString(id) {
			continue
		}
		j, err := m.read(id)
		if err != nil {
			log.Warn("a job's record cannot be read; it is left out", "job", id, "err", err)
			continue
		}
		m.jobs = append(m.jobs, j)
	}
	for _, j := range m.jobs {
		if m.settle(j) {
			if err := m.save(j); err != nil {
				return nil, err
			}
			if j.State == CutOff {
				m.cut = append(m.cut, j.copy())
			}
		}
	}
	m.forget()
	return m, nil
}

func (m *Manager) path(id string) string { return filepath.Join(m.dir, id+".json") }

func (m *Manager) read(id string) (*job, error) {
	text, err := os.ReadFile(m.path(id))
	if err != nil {
		return nil, err
	}
	j := &job{noted: true, settled: make(chan struct{}), changed: make(chan struct{})}
	close(j.settled)
	if err := json.Unmarshal(text, &j.Record); err != nil {
		return nil, err
	}
	if j.ID != id {
		return nil, errors.New("it is the record of another one")
	}
	j.kind = m.kinds[j.Kind]
	return j, nil
}

// settle has a job that was under way wait again, or marks it as cut off, and reports
// whether its record changed.
func (m *Manager) settle(j *job) bool {
	switch {
	case j.State.Ended():
		return false
	case j.kind == nil || j.State == Running && (!j.kind.Resume || j.Starts >= mostStarts && !j.kind.Follows):
		j.State, j.Ended, j.Left = CutOff, time.Now(), 0
	case j.State == Running:
		j.State, j.Left = Waiting, 0
	default:
		return false
	}
	return true
}

// OnBegin has f asked before each start of a job, those after it was cut off too; with an
// error it fails and is not begun. It is to be called before Run, which waits for f.
func (m *Manager) OnBegin(f func(Record) error) { m.begin = f }

// OnEnd has f told of each job that ends, and of those that the end of the process before
// cut off. It is to be called before Run, which waits for f.
func (m *Manager) OnEnd(f func(Record)) { m.ended = f }

func (m *Manager) find(id string) *job {
	for _, j := range m.jobs {
		if j.ID == id {
			return j
		}
	}
	return nil
}

// Get is the record of a job; the error is job-unknown.
func (m *Manager) Get(id string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.find(id); j != nil {
		return j.copy(), nil
	}
	return Record{}, errUnknown
}

// List are all records, the newest first.
func (m *Manager) List() []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Record, 0, len(m.jobs))
	for _, j := range slices.Backward(m.jobs) {
		out = append(out, j.copy())
	}
	return out
}

// Follow calls f with a job's record as it is, and again when it has changed, some five
// times a second at most, until the job has ended, or f or ctx say so.
func (m *Manager) Follow(ctx context.Context, id string, f func(Record) error) error {
	for {
		m.mu.Lock()
		j := m.find(id)
		if j == nil {
			m.mu.Unlock()
			return errUnknown
		}
		r, changed := j.copy(), j.changed
		m.mu.Unlock()
		if err := f(r); err != nil || r.State.Ended() {
			return err
		}
		for _, next := range []<-chan struct{}{changed, after(ctx, toldEvery)} {
			select {
			case <-next:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// after is closed when d is over or ctx has ended.
func after(ctx context.Context, d time.Duration) <-chan struct{} {
	ctx, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx.Done()
}

// change changes a record.
func (m *Manager) change(j *job, f func(*Record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&j.Record)
	j.dirty = true
	close(j.changed)
	j.changed = make(chan struct{})
}

// save writes a record as it is now.
func (m *Manager) save(j *job) error {
	if m.dir == "" {
		return nil
	}
	m.saving.Lock()
	defer m.saving.Unlock()
	m.mu.Lock()
	text, err := json.Marshal(j.Record)
	j.dirty = false
	m.mu.Unlock()
	if err == nil {
		err = atomicfile.Write(m.path(j.ID), text, 0o600)
	}
	if err != nil {
		m.mu.Lock()
		j.dirty = true
		m.mu.Unlock()
		return fmt.Errorf("cannot keep the record of a job: %w", err)
	}
	return nil
}

// Run runs jobs until ctx ends; those under way are told so, and go on at the next start.
func (m *Manager) Run(ctx context.Context) {
	for _, r := range m.cut {
		m.log.Warn("a job was cut off", "job", r.ID, "kind", r.Kind)
		if m.ended != nil {
			m.ended(r)
		}
	}
	var lanes sync.WaitGroup
	for l := range laneCount {
		lanes.Go(func() { m.lane(ctx, l) })
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lanes.Wait()
	}()
	tick := time.NewTicker(savedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			m.keep()
			return
		case <-tick.C:
			m.keep()
		}
	}
}

// keep writes what is otherwise than on the disk.
func (m *Manager) keep() {
	m.mu.Lock()
	var dirty []*job
	for _, j := range m.jobs {
		if j.dirty {
			dirty = append(dirty, j)
		}
	}
	m.mu.Unlock()
	for _, j := range dirty {
		if err := m.save(j); err != nil {
			m.log.Warn("a job's record is not on the disk; it is tried again", "job", j.ID, "err", err)
			return
		}
	}
}

// lane runs the jobs of one lane, one after the other.
func (m *Manager) lane(ctx context.Context, l Lane) {
	for ctx.Err() == nil {
		j := m.next(l)
		if j == nil {
			select {
			case <-m.wake[l]:
			case <-ctx.Done():
			}
			continue
		}
		m.work(ctx, j)
	}
}

// next is the job of a lane that has waited for longest; nil: none does.
func (m *Manager) next(l Lane) *job {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if j.State == Waiting && j.noted && j.kind != nil && j.kind.Lane == l && !j.cancelled {
			return j
		}
	}
	return nil
}

// work runs one job.
func (m *Manager) work(ctx context.Context, j *job) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	if j.State != Waiting || j.cancelled {
		m.mu.Unlock()
		return
	}
	j.State, j.Started, j.Starts, j.cancel = Running, time.Now(), j.Starts+1, cancel
	m.mu.Unlock()
	m.change(j, func(*Record) {})
	if err := m.save(j); err != nil { // what is not known to have begun must not begin
		m.end(j, Failed, err)
		return
	}
	if m.begin != nil {
		m.mu.Lock()
		r := j.copy()
		m.mu.Unlock()
		if err := m.begin(r); err != nil {
			m.end(j, Failed, err)
			return
		}
	}
	m.log.Info("job begun", "job", j.ID, "kind", j.Kind, "by", j.By, "start", j.Starts)
	err := m.do(ctx, j)
	m.mu.Lock()
	cancelled := j.cancelled
	m.mu.Unlock()
	switch {
	case err == nil:
		m.end(j, Done, nil)
	case cancelled && ctx.Err() != nil:
		m.end(j, Cancelled, nil)
	case ctx.Err() != nil && !cancelled: // the supervisor ends: the next start decides
		m.keep()
	default:
		m.end(j, Failed, err)
	}
}

// do calls Run of the job's kind.
func (m *Manager) do(ctx context.Context, j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.log.Error("a job broke off", "job", j.ID, "kind", j.Kind, "panic", p, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return j.kind.Run(ctx, &Task{m, j})
}

// end ends a job. Its record is tried to be kept until it is.
func (m *Manager) end(j *job, s State, err error) {
	m.change(j, func(r *Record) {
		r.State, r.Ended, r.Left = s, time.Now(), 0
		if err != nil {
			r.Error = report.ProblemOf(err)
		}
	})
	if err := m.save(j); err != nil {
		m.log.Warn("a job's record is not on the disk; it is tried again", "job", j.ID, "err", err)
	}
	m.mu.Lock()
	j.with = nil
	r := j.copy()
	m.mu.Unlock()
	m.log.Info("job ended", "job", r.ID, "kind", r.Kind, "state", string(r.State), "err", err)
	m.forget()
	if m.ended != nil {
		m.ended(r)
	}
}

// forget removes the oldest records of jobs that have ended, when there are too many.
func (m *Manager) forget() {
	m.mu.Lock()
	ended := 0
	var gone []string
	for _, j := range slices.Backward(m.jobs) {
		if j.State.Ended() {
			if ended++; ended > mostEnded {
				gone = append(gone, j.ID)
			}
		}
	}
	m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return slices.Contains(gone, j.ID) })
	m.mu.Unlock()
	for _, id := range gone {
		if m.dir == "" {
			continue
		}
		if err := os.Remove(m.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.log.Warn("the record of an old job stays", "job", id, "err", err)
		}
	}
}
