package drill

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/restore"
)

// Drill works in a folder in which somebody has asked for a drill. Every field is required.
type Drill struct {
	Dir     string // the folder
	Version string // of Foyer
	Schema  int    // of the data, that this Foyer knows
	// Load makes a database, as in restore.Restore.
	Load func(ctx context.Context, data string, notes time.Time, lines io.Reader) (*changelog.Summary, error)
	// Held are those of some contents that restored data still refer to.
	Held func(ctx context.Context, data string, told []backup.Attachment) ([]backup.Attachment, error)
	// Bring brings contents of attachments into a folder of data, and returns how many.
	Bring func(ctx context.Context, from Contents, data string, held []backup.Attachment) (int, error)
	// Serve starts a server of a folder of data that answers HTTP at a unix socket alone, which
	// its owner alone may open, and lets whoever asks there read everything. What is asked before it
	// answers waits. stop ends it for certain; it is told what went wrong for who asked, or nil, and
	// returns that, with why the server had ended by itself, if it had.
	Serve func(ctx context.Context, data, socket string) (stop func(wrong error) error, err error)
	Log   *slog.Logger
}

// Contents gives the contents of attachments, as backup.Backup does.
type Contents interface {
	Attachment(ctx context.Context, hash string, size int64) (io.ReadCloser, error)
}

// Run makes the drill that was asked for, and leaves in the folder what came of it, which it
// returns. The error is for where nothing can be left: nobody asked (drill-none), another one
// works there (drill-busy), or the folder cannot be used.
func (d *Drill) Run(ctx context.Context) (Outcome, error) {
	dir, err := resolved(d.Dir)
	if err != nil {
		return Outcome{}, err
	}
	if _, err := d.request(dir); err != nil {
		return Outcome{}, err // before there is a lock in a folder of somebody else's
	}
	lock, err := d.lock(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer lock.Unlock() //nolint:errcheck // a lock that is not let go of ends with this process
	req, err := d.request(dir)
	if err != nil {
		return Outcome{}, err
	}
	if err := awaitServer(ctx, filepath.Join(d.Dir, socketFile)); err != nil {
		return Outcome{}, err
	}
	if err := sweep(d.Dir); err != nil {
		return Outcome{}, err
	}
	w := &work{Drill: d, dir: dir, req: req}
	out := w.outcome(ctx)
	// First there is room again: on a full disk the result could not be written.
	err = sweep(d.Dir)
	text, e := json.Marshal(out)
	if e == nil {
		e = atomicfile.Write(filepath.Join(d.Dir, resultFile), text, 0o600)
	}
	if e == nil {
		e = atomicfile.Remove(filepath.Join(d.Dir, requestFile))
	}
	return out, errors.Join(err, e)
}

// awaitServer waits until the server of a drill that was killed has ended, as it does by itself: until
// then it makes what is cleared away again. One that stays is left to what it meets.
func awaitServer(ctx context.Context, socket string) error {
	for range 300 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return nil //nolint:nilerr // nobody is there
		}
		conn.Close() //nolint:errcheck // nothing was said
		select {
		case <-ctx.Done():
			return busy(ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func (d *Drill) request(dir string) (req Request, err error) {
	there, err := read(d.Dir, requestFile, &req)
	if err != nil || !there {
		return req, noRequest(dir, err)
	}
	return req, separate(dir, req.Data)
}

// Who looks at a drill has its lock for a moment.
const (
	lockTries = 10
	lockPause = 50 * time.Millisecond
)

func (d *Drill) lock(ctx context.Context) (*atomicfile.Lock, error) {
	for i := 0; ; i++ {
		lock, err := atomicfile.TryLock(filepath.Join(d.Dir, lockFile))
		if !errors.Is(err, atomicfile.ErrLocked) {
			return lock, err
		}
		if i == lockTries {
			return nil, busy(err)
		}
		select {
		case <-ctx.Done():
			return nil, busy(err)
		case <-time.After(lockPause):
		}
	}
}

// work is one drill.
type work struct {
	*Drill
	dir    string // without links, for people
	req    Request
	needs  int64 // bytes on the disk, as far as that is known
	loaded *changelog.Summary
	tell   progress
}

// outcome makes the drill.
func (w *work) outcome(ctx context.Context) Outcome {
	ctx, end := context.WithCancel(ctx)
	defer end()
	telling, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		w.tell.run(telling, filepath.Join(w.Dir, progressFile), func() {
			if _, err := os.Lstat(filepath.Join(w.Dir, stopFile)); err == nil {
				end()
			}
		})
	})
	defer wg.Wait()
	defer stop()
	began := time.Now()
	proven, err := w.prove(ctx)
	if err == nil {
		proven.At, proven.Seconds = time.Now().UTC(), time.Since(began).Seconds()
		w.Log.Info("a backup was restored in a drill", "moment", proven.Moment, "records", proven.Records, "attachments", proven.Attachments, "lists", proven.Lists, "seconds", proven.Seconds, "confined", proven.Confined)
		return Outcome{Proven: proven}
	}
	// Who asks all processes of a drill to end may have come to others first.
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
	if ctx.Err() != nil {
		err = stopped(err)
	} else {
		err = w.explain(err)
	}
	p := report.ProblemOf(err)
	w.Log.Error("a drill failed", "code", p.Code, "err", err)
	return Outcome{Problem: p}
}

// spare is how much of the disk a drill leaves to everybody else.
const spare = 64 << 20

// prove restores the newest point and has it read.
func (w *work) prove(ctx context.Context) (*report.Proven, error) {
	w.tell.say(Progress{Step: Finding})
	confined := isConfined(w.req.Data)
	chain, b, err := w.find(ctx)
	if err != nil {
		return nil, err
	}
	points := b.Points()
	if len(points) == 0 {
		return nil, nothing(nil)
	}
	point := points[len(points)-1]
	if at := slices.IndexFunc(points, func(p backup.Point) bool { return p.Position == b.Manifest.Point }); w.req.Said && at >= 0 {
		point = points[at]
	}
	data := filepath.Join(w.Dir, dataFolder)
	v, err := restore.Judge(chain, b, point, restore.Here{Into: data, Schema: w.Schema})
	if w.needs = v.Needs + spare; v.Free >= 0 && v.Free < w.needs {
		return nil, noRoom(w.dir, w.needs, v.Free, err)
	}
	if err != nil {
		return nil, err
	}
	r := restore.Restore{Backup: b, Point: point, Into: data, Load: w.load, Attachments: w.bring(b), Progress: w.tell.say}
	res, err := r.Run(ctx)
	if err != nil {
		return nil, err
	}
	want := w.loaded
	if res.Compared {
		want = b.Manifest.Summary
	}
	lists, err := w.visit(ctx, res.Into, want)
	if err != nil {
		return nil, err
	}
	return &report.Proven{
		Moment: res.Moment, Records: res.Records, People: res.People, Attachments: res.Attachments, Lists: lists,
		Compared: res.Compared, Confined: confined, Version: w.Version,
	}, nil
}

// find is what there is to restore, if all of it is in order.
func (w *work) find(ctx context.Context) (chain string, b *backup.Backup, err error) {
	at, err := target.OpenFolder(ctx, w.req.Target, w.req.Data)
	if err != nil {
		return "", nil, err
	}
	keys, err := backup.LoadKeys(w.req.Keys)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, noKeys(hint.T("The keys of the backup are not on this machine.", "Les clés de la sauvegarde ne sont pas sur cette machine."), err)
	}
	if err != nil {
		return "", nil, err
	}
	chain = keys.Chain.ID
	if err := opensByWords(ctx, at, chain); err != nil {
		return chain, nil, err
	}
	// The key of the chain is the one that the words of the kit open: what this machine alone
	// could read would be of no use to another.
	b, err = backup.Find(ctx, at, object.Expect{Identities: []age.Identity{keys.Chain.Identity}, OfChain: true, Authors: keys.Authors, Chain: chain})
	if err != nil {
		return chain, nil, err
	}
	if len(b.Problems) > 0 {
		return chain, nil, problemWith(b.Problems[0])
	}
	return chain, b, nil
}

// opensByWords looks whether what is locked with the words of the kit is there, without which
// no other machine can open anything. Whether they open it the words alone can tell.
func opensByWords(ctx context.Context, at target.Reader, chain string) error {
	found := false
	err := at.List(ctx, chain, func(o target.Object) error {
		if object.KeyNumber(strings.TrimPrefix(o.Name, chain+"/")) > 0 && o.Size > 0 {
			found = true
		}
		return nil
	})
	if err == nil && !found {
		err = noKeys(hint.T("What is locked with the words of your recovery kit, the keys of the backup, is missing at %s.", "Ce que les mots de votre kit de secours ouvrent, les clés de la sauvegarde, manque à %s.", at), nil)
	}
	return err
}

// load is Load, whose summary is kept.
func (w *work) load(ctx context.Context, data string, notes time.Time, lines io.Reader) (sum *changelog.Summary, err error) {
	w.loaded, err = w.Load(ctx, data, notes, lines)
	return w.loaded, err
}

// bring brings contents of attachments back, if there is room for them.
func (w *work) bring(from Contents) func(ctx context.Context, data string, told []backup.Attachment) (int, error) {
	return func(ctx context.Context, data string, told []backup.Attachment) (int, error) {
		held, err := w.Held(ctx, data, told)
		if err != nil {
			return 0, err
		}
		needs := int64(spare)
		for _, one := range held {
			needs += one.Size
		}
		w.needs = needs
		free, total, err := atomicfile.FreeSpace(w.dir)
		if err == nil && total > 0 && int64(min(free, 1<<62)) < needs {
			return 0, noRoom(w.dir, needs, int64(free), nil)
		}
		return w.Bring(ctx, &counted{Contents: from, of: int64(len(held)), tell: &w.tell}, data, held)
	}
}

// counted is contents of attachments that are counted when they are asked for.
type counted struct {
	Contents
	done, of int64
	tell     *progress
}

func (c *counted) Attachment(ctx context.Context, hash string, size int64) (io.ReadCloser, error) {
	c.tell.say(Progress{Step: restore.Attachments, Done: c.done, Of: c.of})
	c.done++
	return c.Contents.Attachment(ctx, hash, size)
}

// visit has a server open what was restored, and reads it as a client.
func (w *work) visit(ctx context.Context, data string, want *changelog.Summary) (lists int, err error) {
	w.tell.say(Progress{Step: Opening})
	socket := filepath.Join(w.Dir, socketFile)
	stop, err := w.Serve(ctx, data, socket)
	if err != nil {
		return 0, unread(err)
	}
	c := newClient(socket)
	defer c.http.CloseIdleConnections()
	lists, err = c.readAll(ctx, want, func(done, of int) {
		w.tell.say(Progress{Step: Reading, Done: int64(done), Of: int64(of)})
	})
	if d, ok := errors.AsType[*errDiffers](err); ok {
		return 0, errors.Join(differs(d), stop(nil))
	}
	if err = stop(err); err != nil {
		return 0, unread(err)
	}
	return lists, nil
}

// isConfined reports whether this process cannot open the data that are served, since it has
// no right to, or since they are not there for it. It only tries to read.
func isConfined(data string) bool {
	if data == "" {
		return false
	}
	shut := func(f *os.File, err error) bool {
		if err == nil {
			f.Close() //nolint:errcheck // nothing was read
		}
		return errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)
	}
	return shut(os.Open(data)) && shut(os.Open(filepath.Join(data, "data.db")))
}

// progress is written beside the work, at most once a second.
type progress struct {
	mu      sync.Mutex
	now     Progress
	written Progress
}

func (p *progress) say(now Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = now
}

// run writes it until ctx ends, and calls look each second. Where it cannot be written nobody is
// told, and the work goes on.
func (p *progress) run(ctx context.Context, path string, look func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		look()
		p.mu.Lock()
		now := p.now
		p.mu.Unlock()
		if now == p.written {
			continue
		}
		text, err := json.Marshal(now)
		if err == nil {
			err = os.WriteFile(path+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err == nil {
			p.written = now
		}
	}
}
