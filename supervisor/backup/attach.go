package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Contents are those of attachments, as the server has them.
type Contents interface {
	// File opens contents by their hash, from an offset on, and returns how many bytes they
	// have in all. The error is fs.ErrNotExist where there are none.
	File(ctx context.Context, hash string, offset int64) (io.ReadCloser, int64, error)
}

// Attachment is the contents of one attachment, or of several that share them.
type Attachment struct {
	Hash string `json:"hash"` // SHA-256, in hexadecimal
	Size int64  `json:"size"`
}

// ErrAttachment: contents of an attachment cannot be brought into the backup, because they
// are gone or damaged on this machine.
var ErrAttachment = errors.New("an attachment is not in the backup")

// How much is brought to the target, and when it is tried again.
const (
	contentsBytes = 64 << 20 // of contents, in one cycle: the log goes on between
	againAfter    = time.Minute
	againAtLeast  = 24 * time.Hour
)

// attachments brings the contents of attachments to the target, and knows what is there and
// what it is needed for (refer.go).
//
// Contents go before the stretch of the log that refers to them, as far as the bytes of a
// cycle go; what is left is named in the next manifest, and goes in the cycles after. What
// cannot be read here holds nothing up.
type attachments struct {
	e       *Engine
	key     object.ContentsKey
	there   listed                // at the target
	sealed  int64                 // bytes of them
	known   map[string]*reference // by name
	queue   []Attachment
	queued  map[string]bool // by hash
	failed  map[string]*failure
	current *unfinished
	budget  int64
	late    error // what whoever asked for a cycle is told at its end
	unread  error // and, if there is nothing else to be told, which contents cannot be read
}

// failure is of contents that cannot be read here.
type failure struct {
	Attachment
	tries      int
	next       time.Time
	why        error
	tell, told bool
}

// unfinished is contents of which some parts are at the target.
type unfinished struct {
	Attachment
	sum  hash.Hash // of the parts before
	part int
}

// listed is the parts of contents at a target, by name and number, and their sealed sizes.
type listed map[string]map[int]int64

// contentsFolder is below that of the chain.
const contentsFolder = "b"

func contentsName(chain, name string, part int) string {
	if part > 0 {
		name += "-" + strconv.Itoa(part+1)
	}
	return chain + "/" + contentsFolder + "/" + name
}

// add takes in an object of the target, if it is a part of contents.
func (l listed) add(o target.Object) {
	folders, base := o.Name[:strings.LastIndexByte(o.Name, '/')+1], o.Name[strings.LastIndexByte(o.Name, '/')+1:]
	name, digits, numbered := strings.Cut(base, "-")
	part := 0
	if numbered {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 2 {
			return
		}
		part = n - 1
	}
	chain, _, _ := strings.Cut(folders, "/")
	if raw, err := hex.DecodeString(name); err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != name || contentsName(chain, name, part) != o.Name {
		return
	}
	l.put(name, part, o.Size)
}

func (l listed) put(name string, part int, size int64) {
	if l[name] == nil {
		l[name] = map[int]int64{}
	}
	l[name][part] = size
}

// sealed is how many bytes the parts of contents have.
func (l listed) sealed(name string) (all int64) {
	for _, size := range l[name] {
		all += size
	}
	return all
}

// whole reports whether all parts of contents of a size are there.
func (l listed) whole(name string, size int64) bool {
	parts := object.ContentsParts(size)
	if len(l[name]) < parts {
		return false
	}
	for i := range parts {
		if _, there := l[name][i]; !there {
			return false
		}
	}
	return true
}

// enqueue has contents brought to the target.
func (a *attachments) enqueue(at Attachment) {
	if !a.queued[at.Hash] {
		a.queued[at.Hash] = true
		a.queue = append(a.queue, at)
	}
}

// begin is called when a cycle begins.
func (a *attachments) begin() {
	a.budget = contentsBytes
	now := a.e.now()
	for _, f := range a.failed {
		if !now.Before(f.next) || f.next.Sub(now) > againAtLeast { // or the clock was set
			a.enqueue(f.Attachment)
		}
	}
}

// told is err, and what else is to be told.
func (a *attachments) told(err error) error {
	if err = errors.Join(err, a.late); err == nil && a.unread != nil {
		err, a.unread = unreadContents(a.unread), nil
	}
	a.late = nil
	return err
}

// upload brings contents that wait to the target, as many as a cycle may. What the target
// says against it is told at the end of the cycle: the log goes on.
func (a *attachments) upload(ctx context.Context) {
	for len(a.queue) > 0 && a.budget > 0 && ctx.Err() == nil {
		at := a.queue[0]
		err := errForgotten
		if a.known[a.key.Name(at.Hash)] != nil {
			a.e.begins("attach")
			err = a.bring(ctx, at)
		}
		unread, is := errors.AsType[*unreadable](err)
		switch {
		case errors.Is(err, errLater):
			return
		case err != nil && !errors.Is(err, errForgotten) && !is:
			a.late = errors.Join(a.late, err)
			a.budget = 0
			if !errors.Is(err, target.ErrAway) && ctx.Err() == nil {
				a.queue = append(a.queue[1:], at) // next time others come first
			}
			return
		}
		a.queue, a.current = a.queue[1:], nil
		delete(a.queued, at.Hash)
		if !is {
			delete(a.failed, at.Hash)
			continue
		}
		if a.fails(at, unread); !unread.lasting {
			return // perhaps nothing can be read now
		}
	}
}

var (
	errLater     = errors.New("the rest is for the next cycle")
	errForgotten = errors.New("nobody needs it any more")
)

// unreadable is what is wrong with contents on this machine.
type unreadable struct {
	cause   error
	lasting bool // they are gone or damaged; else they may be read in a moment
}

func (u *unreadable) Error() string { return u.cause.Error() }
func (u *unreadable) Unwrap() error { return u.cause }

// fails notes that contents cannot be read.
func (a *attachments) fails(at Attachment, why *unreadable) {
	f := a.failed[at.Hash]
	if f == nil {
		f = &failure{Attachment: at}
		a.failed[at.Hash] = f
	}
	wait := againAtLeast
	if !why.lasting {
		wait = min(wait, againAfter<<min(f.tries, 20))
	}
	f.tries, f.next, f.why = f.tries+1, a.e.now().Add(wait), why
	f.tell = f.tell || wait >= time.Hour
}

// report tells, once of each, which contents cannot be read that attachments refer to now. What
// was removed while it waited is gone for good reason.
func (a *attachments) report(ctx context.Context) error {
	untold := func(f *failure) bool { return f.tell && !f.told }
	for _, f := range a.failed {
		if !untold(f) {
			continue
		}
		if err := a.compare(ctx); err != nil {
			return err
		}
		break
	}
	for _, hash := range slices.Sorted(maps.Keys(a.failed)) {
		if f := a.failed[hash]; untold(f) {
			f.told = true
			a.unread = errors.Join(a.unread, fmt.Errorf("%w: %s: %w", ErrAttachment, hash, f.why))
		}
	}
	return nil
}

// bring brings the parts of contents to the target that are not there.
func (a *attachments) bring(ctx context.Context, at Attachment) error {
	name, parts := a.key.Name(at.Hash), object.ContentsParts(at.Size)
	if a.intact(name, at.Size) {
		return nil
	}
	if a.there.whole(name, at.Size) { // one of its parts was cut short
		if err := a.drop(ctx, name); err != nil {
			return err
		}
	}
	if a.current == nil || a.current.Attachment != at {
		a.current = &unfinished{Attachment: at, sum: sha256.New()}
	}
	for c := a.current; c.part < parts; c.part++ {
		if a.budget <= 0 {
			return errLater
		}
		sum, err := hash.Hash(nil), error(nil)
		if _, there := a.there[name][c.part]; there && c.part < parts-1 {
			sum, err = a.skip(ctx, c)
		} else {
			sum, err = a.part(ctx, name, c, c.part == parts-1)
		}
		if err != nil {
			return err
		}
		c.sum = sum
	}
	a.arrived(name)
	return nil
}

// read opens a part of contents; what it gives goes into sum, too.
func (a *attachments) read(ctx context.Context, c *unfinished) (body *source, sum hash.Hash, err error) {
	again, err := c.sum.(hash.Cloner).Clone()
	if err != nil {
		return nil, nil, err
	}
	offset := int64(c.part) * object.ContentsPart
	from, size, err := a.e.Contents.File(ctx, c.Hash, offset)
	if err != nil {
		return nil, nil, a.unreadable(ctx, err, errors.Is(err, fs.ErrNotExist))
	}
	if size != c.Size {
		return nil, nil, errors.Join(a.unreadable(ctx, fmt.Errorf("there are %d bytes of %d", size, c.Size), true), from.Close())
	}
	want := min(object.ContentsPart, c.Size-offset)
	return &source{Reader: io.TeeReader(io.LimitReader(from, want), again), Closer: from, want: want}, again, nil
}

func (a *attachments) unreadable(ctx context.Context, cause error, lasting bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &unreadable{cause, lasting}
}

// source is a part of contents on this machine, and why it could not be read.
type source struct {
	io.Reader
	io.Closer
	want int64
	n    int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.n += int64(n); err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// ended says whether all was read.
func (a *attachments) ended(ctx context.Context, s *source, err error) error {
	a.budget -= s.n
	if s.err != nil {
		return a.unreadable(ctx, s.err, false)
	}
	if err == nil && s.n != s.want {
		err = a.unreadable(ctx, fmt.Errorf("a part ends after %d bytes of %d", s.n, s.want), true)
	}
	return err
}

// skip reads a part that is at the target, and returns the sum up to its end.
func (a *attachments) skip(ctx context.Context, c *unfinished) (hash.Hash, error) {
	from, sum, err := a.read(ctx, c)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, struct{ io.Reader }{from})
	return sum, errors.Join(a.ended(ctx, from, err), from.Close())
}

// part seals a part and puts it, the last one only if all together are what they should be.
func (a *attachments) part(ctx context.Context, name string, c *unfinished, last bool) (sum hash.Hash, err error) {
	from, sum, err := a.read(ctx, c)
	if err != nil {
		return nil, err
	}
	path := contentsPart(a.e.Dir)
	f, err := createOwn(path)
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	defer func() { err = errors.Join(err, f.Close(), removed(path)) }()
	sealed, plain, partSum, err := a.e.sealer.SealContents(f, from)
	if err := errors.Join(a.ended(ctx, from, err), from.Close()); err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); last && got != c.Hash {
		return nil, errors.Join(a.unreadable(ctx, fmt.Errorf("it is damaged: its bytes come to %s", got), true), a.drop(ctx, name))
	}
	at := contentsName(a.e.Keys.Chain.ID, name, c.part)
	put := func() error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return a.e.Target.Put(ctx, at, f.File, sealed)
	}
	if err = put(); errors.Is(err, target.ErrExists) {
		// It was put, and the answer was lost; or somebody else has been here.
		same, e := a.same(ctx, at, plain, partSum)
		if err = e; err == nil && !same {
			if err = a.e.Target.Delete(ctx, at); err == nil {
				err = put()
			}
		}
	}
	if err == nil {
		a.sealed += sealed - a.there[name][c.part]
		a.there.put(name, c.part, sealed)
	}
	return sum, err
}

// contentsPart is where a part is sealed before it goes to the target.
func contentsPart(dir string) string { return filepath.Join(dir, "contents.part") }

// same reports whether an object at the target is that part of contents.
func (a *attachments) same(ctx context.Context, at string, size int64, sum [32]byte) (bool, error) {
	keys := a.e.Keys
	c, err := object.OpenContents(object.ExpectContents{
		Identities: []age.Identity{keys.Chain.Identity}, OfChain: true, SHA256: hex.EncodeToString(sum[:]), Size: size,
	}, func(int) (io.ReadCloser, error) { return a.e.Target.Get(ctx, at, 0) })
	if err != nil {
		return false, err
	}
	_, err = io.Copy(io.Discard, c)
	c.Close() //nolint:errcheck // err says the same
	for _, wrong := range []error{object.ErrDamaged, object.ErrCutShort, object.ErrForged, object.ErrWrongKey} {
		if errors.Is(err, wrong) {
			return false, nil
		}
	}
	return err == nil, err
}

// drop deletes the parts of contents from the target, the last one first.
func (a *attachments) drop(ctx context.Context, name string) error {
	parts := make([]int, 0, len(a.there[name]))
	for part := range a.there[name] {
		parts = append(parts, part)
	}
	slices.Sort(parts)
	for _, part := range slices.Backward(parts) {
		if err := a.e.Target.Delete(ctx, contentsName(a.e.Keys.Chain.ID, name, part)); err != nil {
			return err
		}
		a.sealed -= a.there[name][part]
		delete(a.there[name], part)
	}
	delete(a.there, name)
	return nil
}

// missing are the contents that are not at the target, by their hash.
func (a *attachments) missing() []Attachment {
	out := slices.Clone(a.queue)
	for hash, f := range a.failed {
		if !a.queued[hash] {
			out = append(out, f.Attachment)
		}
	}
	slices.SortFunc(out, func(a, b Attachment) int { return strings.Compare(a.Hash, b.Hash) })
	return out
}
