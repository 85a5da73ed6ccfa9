package storagetest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/kinto"
)

// Followed is a store whose changes can be followed.
type Followed interface {
	kinto.Store
	changelog.Source
}

// Log runs the suite of what a changelog.Source promises; open returns an empty store and
// load one made of lines, which they close with the test.
func Log(t *testing.T, open func(*testing.T) Followed, load func(*testing.T, iter.Seq2[changelog.Line, error]) Followed) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *logged)
	}{
		{"Everything", everything},
		{"CopiedBesideWrites", copiedBesideWrites},
		{"Followed", followed},
		{"Nobody", nobody},
		{"RolledBack", rolledBack},
		{"Cut", cutOff},
		{"Two", twoFollowers},
		{"Merged", merged},
		{"Owners", owners},
		{"Sums", sums},
		{"TakenTwice", takenTwice},
		{"Contents", contents},
		{"Incomplete", incomplete},
		{"DigitForDigit", digitForDigit},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, &logged{Followed: open(t), load: load})
		})
	}
}

// logged is a store and what is known of its log.
type logged struct {
	Followed
	load  func(*testing.T, iter.Seq2[changelog.Line, error]) Followed
	lines []changelog.Line // of the copy and of the changes after it
	at    changelog.Position
}

func (s *logged) follow(t *testing.T) {
	t.Helper()
	at, err := s.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	s.at = at
}

// copied copies everything, so many bytes at a time, with other things between two calls.
func (s *logged) copied(t *testing.T, bytes int, between func()) {
	t.Helper()
	after := ""
	for {
		next, _, err := s.Copy(t.Context(), after, bytes, func(text []byte) error {
			l, err := changelog.Parse(text)
			s.lines = append(s.lines, l)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if next == "" {
			return
		}
		after = next
		between()
	}
}

// changes takes in what was changed since, so many bytes at a time.
func (s *logged) changes(t *testing.T, bytes int) {
	t.Helper()
	for again := true; again; {
		again = false
		err := s.Changes(t.Context(), s.at, bytes, func(e changelog.Entry) error {
			if e.Seq != s.at.Seq+1 {
				return fmt.Errorf("commit %d follows %d", e.Seq, s.at.Seq)
			}
			again, s.at = true, e.Position
			s.lines = append(s.lines, changelog.Line{Kind: changelog.Commit, Seq: e.Seq, Time: e.Time})
			for text := range strings.Lines(string(e.Lines)) {
				l, err := changelog.Parse([]byte(text))
				if err != nil {
					return err
				}
				s.lines = append(s.lines, l)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func summarize(t *testing.T, s changelog.Source) *changelog.Summary {
	t.Helper()
	sum, _, err := s.Summarize(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func each(lines []changelog.Line) iter.Seq2[changelog.Line, error] {
	return func(yield func(changelog.Line, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// same has the store made of all lines be the same as this one.
func (s *logged) same(t *testing.T) Followed {
	t.Helper()
	made := s.load(t, each(s.lines))
	if d := summarize(t, s).Differences(summarize(t, made), 10); len(d) > 0 {
		t.Fatalf("what was loaded differs from what there is:\n%s", strings.Join(d, "\n"))
	}
	return made
}

// Writer writes everything that a store can keep, at random, but the same for the same seed.
type Writer struct {
	Store kinto.Store
	Rand  *rand.Rand
	// Contents makes what is attached; nil: there is nothing behind the hashes.
	Contents func(*rand.Rand) (hash string, size int64)

	now   int64
	files int
}

// NewWriter writes to s.
func NewWriter(s kinto.Store, seed uint64) *Writer {
	return &Writer{Store: s, Rand: rand.New(rand.NewPCG(seed, 1)), now: time.Now().UnixMilli()}
}

func (w *Writer) bucket() string { return fmt.Sprintf("b%d", w.Rand.IntN(4)) }

// list is one of the lists of a bucket, or one of those above.
func (w *Writer) list() kinto.List {
	uri := "/buckets/" + w.bucket()
	switch w.Rand.IntN(10) {
	case 0:
		return buckets
	case 1:
		return kinto.List{Parent: uri, Kind: kinto.Collection}
	case 2:
		return kinto.List{Parent: uri, Kind: kinto.Group}
	case 3:
		return kinto.List{Parent: uri, Kind: kinto.History}
	case 4:
		name := fmt.Sprintf("p%d", w.Rand.IntN(3))
		return kinto.List{Parent: name, Kind: kinto.Account}
	}
	return kinto.List{Parent: fmt.Sprintf("%s/collections/c%d", uri, w.Rand.IntN(3)), Kind: kinto.Record}
}

func (w *Writer) id(l kinto.List) string {
	switch l.Kind {
	case kinto.Bucket:
		return w.bucket()
	case kinto.Collection:
		return fmt.Sprintf("c%d", w.Rand.IntN(3))
	case kinto.Account:
		return l.Parent
	}
	return fmt.Sprintf("%c-%d", 'à'+rune(w.Rand.IntN(3)), w.Rand.IntN(40))
}

// Write does one to six things in one transaction. It returns an error only if the store
// failed; what a store refuses for good reason is part of the game.
func (w *Writer) Write(ctx context.Context) error {
	// Drawn before, so that a transaction that is run twice does the same.
	seed, n := w.Rand.Uint64(), 1+w.Rand.IntN(6)
	files := w.files
	err := w.Store.Write(ctx, nil, func(tx kinto.Tx) error {
		w.Rand, w.files = rand.New(rand.NewPCG(seed, 2)), files
		for range n {
			if err := w.step(tx); err != nil {
				return err
			}
		}
		return nil
	})
	w.Rand = rand.New(rand.NewPCG(seed, 3))
	if errors.Is(err, kinto.ErrConflict) || errors.Is(err, errGivenUp) {
		return nil
	}
	return err
}

var errGivenUp = errors.New("given up on purpose, after something was written")

func (w *Writer) step(tx kinto.Tx) error {
	r := w.Rand
	switch n := r.IntN(100); {
	case n < 62:
		return w.put(tx)
	case n < 64:
		_, err := tx.Touch(w.list())
		return err
	case n < 66:
		_, err := tx.Tick(w.list(), -1)
		return err
	case n < 72:
		name := fmt.Sprintf("m%d", r.IntN(20))
		if r.IntN(4) == 0 {
			return tx.SetMeta(name, nil)
		}
		if r.IntN(4) == 0 {
			name = "birth./buckets/" + w.bucket() + "/collections/c1"
		}
		return tx.SetMeta(name, []byte(fmt.Sprint(r.Uint64())+strings.Repeat("\xff", r.IntN(2))))
	case n < 78:
		key := fmt.Sprintf("n%d", r.IntN(20))
		if r.IntN(4) == 0 {
			return tx.SetNote(key, nil, time.Time{})
		}
		return tx.SetNote(key, fmt.Append(nil, r.Uint64()), time.UnixMilli(w.now+int64(1+r.IntN(1000))*3_600_000))
	case n < 90:
		return w.attach(tx)
	case n < 91:
		uri := "/buckets/" + w.bucket()
		if r.IntN(2) == 0 {
			uri = fmt.Sprintf("%s/collections/c%d", uri, r.IntN(3))
		}
		return tx.Purge(uri)
	case n < 93:
		if r.IntN(60) > 0 {
			return nil
		}
		return tx.Purge("")
	case n < 97:
		return w.own(tx, "")
	}
	if err := w.put(tx); err != nil {
		return err
	}
	return errGivenUp
}

// own says whose a bucket is, if it is there.
func (w *Writer) own(tx kinto.Tx, bucket string) error {
	r := w.Rand
	if bucket == "" {
		bucket = w.bucket()
	}
	o, err := tx.Get(buckets, bucket)
	if o == nil || err != nil {
		return err
	}
	owner := fmt.Sprintf("account:o%d", r.IntN(3))
	if r.IntN(5) == 0 {
		owner = ""
	}
	return tx.SetOwner("/buckets/"+bucket, owner)
}

func (w *Writer) put(tx kinto.Tx) error {
	r := w.Rand
	l := w.list()
	id := w.id(l)
	old, err := tx.Get(l, id)
	if err != nil {
		return err
	}
	want := int64(-1)
	switch r.IntN(12) {
	case 0:
		want = w.now - int64(r.IntN(1_000_000))
	case 1:
		if l.Kind == kinto.Record {
			want = w.now + int64(r.IntN(10*24))*3_600_000 // so far ahead that it begins anew at now when it is purged
		}
	}
	ts, err := tx.Tick(l, want)
	if err != nil {
		return err
	}
	o := &kinto.Object{ID: id, Timestamp: ts, Deleted: old != nil && r.IntN(4) == 0}
	if !o.Deleted {
		o.Data = fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, r.Uint64(), strings.Repeat("é\\u0000", r.IntN(20)))
		if l.Kind == kinto.Group {
			o.Data = fmt.Appendf(nil, `{"members":["account:a%d","account:a%d"]}`, r.IntN(5), r.IntN(5))
		}
		if r.IntN(3) == 0 {
			o.Permissions = kinto.Permissions{"write": {fmt.Sprintf("account:a%d", r.IntN(5))}, "read": {"system.Everyone"}}.Encode()
		}
	}
	if err := tx.Put(l, o, old); err != nil {
		return err
	}
	if l.Kind == kinto.Bucket && !o.Deleted && r.IntN(2) == 0 {
		return w.own(tx, id)
	}
	if o.Deleted && l.Kind == kinto.Bucket {
		return tx.Purge("/buckets/" + id)
	}
	return nil
}

func (w *Writer) attach(tx kinto.Tx) error {
	r := w.Rand
	l := kinto.List{Parent: fmt.Sprintf("/buckets/%s/collections/c%d", w.bucket(), r.IntN(3)), Kind: kinto.Record}
	id := w.id(l)
	if r.IntN(4) == 0 {
		return tx.Attach(l, id, nil)
	}
	w.files++
	hash := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
	hash, size := hash+hash, int64(r.IntN(1<<20))
	if w.Contents != nil {
		hash, size = w.Contents(r)
	}
	return tx.Attach(l, id, &kinto.File{Location: fmt.Sprintf("f%d-%x", w.files, r.Uint64()), Hash: hash, Size: size, Type: "text/plain", Name: "é.txt"})
}

// writes writes so often.
func (w *Writer) writes(t *testing.T, n int) {
	t.Helper()
	for range n {
		if err := w.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// kinds are those that the contents of a store consist of.
var kinds = []changelog.Kind{changelog.Object, changelog.List, changelog.Meta, changelog.Owner, changelog.Note, changelog.File, changelog.Floor, changelog.Former}

// A copy, and all that changed after it, is what there is; lines of every kind are among
// them, and in the copy alone, too.
func everything(t *testing.T, s *logged) {
	w := NewWriter(s, 4)
	w.writes(t, 400)
	s.follow(t)
	s.copied(t, math.MaxInt, nil)
	copied := len(s.lines)
	met := map[changelog.Kind]int{}
	for _, l := range s.lines {
		met[l.Kind]++
	}
	s.same(t)
	w.writes(t, 700)
	s.changes(t, math.MaxInt)
	gone := map[changelog.Kind]int{}
	for _, l := range s.lines[copied:] {
		met[l.Kind]++
		if l.Gone {
			gone[l.Kind]++
		}
	}
	made := s.same(t)
	sum := summarize(t, s)
	for _, k := range kinds {
		if met[k] < 2 || sum.Of(k).Lines == 0 {
			t.Errorf("%d lines of kind %s, and %d of what there is now: the writer writes too little", met[k], k, sum.Of(k).Lines)
		}
	}
	for _, k := range []changelog.Kind{changelog.Object, changelog.Meta, changelog.Owner, changelog.Note, changelog.File, changelog.Floor} {
		if gone[k] == 0 {
			t.Errorf("no line of kind %s says that it is gone", k)
		}
	}
	if met[changelog.Purge] < 10 {
		t.Errorf("%d purges", met[changelog.Purge])
	}
	alike(t, s, made)
}

// alike compares what readers see of two stores: what is counted and looked up, of which
// there are no lines.
func alike(t *testing.T, a, b kinto.Store) {
	t.Helper()
	view := func(s kinto.Store) (out []string) {
		read(t, s, func(r kinto.Reader) error {
			out = nil
			var principals []string
			for i := range 5 {
				principals = append(principals, fmt.Sprintf("account:a%d", i))
				groups, err := r.Groups(principals[i])
				if err != nil {
					return err
				}
				out = append(out, fmt.Sprintf("groups of %s: %q", principals[i], groups))
			}
			grants, err := r.Grants(append(principals, "system.Everyone"))
			if err != nil {
				return err
			}
			for _, g := range grants {
				out = append(out, fmt.Sprintf("granted: %v", g))
			}
			for i := range 3 {
				owner := fmt.Sprintf("account:o%d", i)
				u, err := r.Usage(owner)
				if err != nil {
					return err
				}
				out = append(out, fmt.Sprintf("usage of %s: %+v", owner, u))
			}
			objects, tombstones, err := r.Totals()
			if err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("totals: %v %v", objects, tombstones))
			for _, k := range []kinto.Kind{kinto.Bucket, kinto.Collection, kinto.Group, kinto.Record, kinto.History, kinto.Account} {
				lists, err := r.Lists(k)
				if err != nil {
					return err
				}
				for _, l := range lists {
					n, bytes, err := r.Size(l)
					if err != nil {
						return err
					}
					former, err := r.Former(l)
					if err != nil {
						return err
					}
					found, _, err := r.Select(l, kinto.Query{Limit: 1000, Tombstones: true})
					if err != nil {
						return err
					}
					out = append(out, fmt.Sprintf("%v: %d objects, %d bytes, former %d: %v", l, n, bytes, former, found))
				}
			}
			return nil
		})
		return out
	}
	one, other := view(a), view(b)
	if len(one) < 20 {
		t.Errorf("only %d things are compared", len(one))
	}
	for i := range max(len(one), len(other)) {
		var x, y string
		if i < len(one) {
			x = one[i]
		}
		if i < len(other) {
			y = other[i]
		}
		if x != y {
			t.Fatalf("readers see other things:\n%s\n%s", x, y)
		}
	}
}

// A copy that is taken line by line while others write, and the changes since it began, is
// what there is in the end, whatever moved under it.
func copiedBesideWrites(t *testing.T, s *logged) {
	for seed := range uint64(3) {
		w := NewWriter(s, seed)
		w.writes(t, 100)
		s.lines = nil
		s.follow(t)
		parts := 0
		s.copied(t, 1+int(seed)*100, func() {
			if parts++; parts%3 == 0 && parts < 600 {
				w.writes(t, 1)
			}
		})
		if parts < 12 {
			t.Errorf("copied in %d parts", parts)
		}
		w.writes(t, 20)
		s.changes(t, 1)
		alike(t, s, s.same(t))
	}
}

// Whoever follows while many write misses nothing and gets it in the order of the commits.
func followed(t *testing.T, s *logged) {
	s.follow(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const writers, each = 6, 60
	var wg sync.WaitGroup
	for n := range uint64(writers) {
		w := NewWriter(s, 100+n)
		w.files = int(n) * 1_000_000 // locations of its own
		wg.Go(func() {
			for range each {
				if err := w.Write(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	polls := 0
	for done := false; !done; polls++ {
		select {
		case <-ended:
			done = true
		default:
		}
		s.changes(t, 1+polls*100)
		if err := s.Acknowledge(t.Context(), "test", s.at); err != nil {
			t.Fatal(err)
		}
	}
	alike(t, s, s.same(t))
	if polls < 2 {
		t.Errorf("polled %d times only", polls)
	}
}

// While nobody follows nothing is kept, and whoever followed before begins anew.
func nobody(t *testing.T, s *logged) {
	w := NewWriter(s, 7)
	s.follow(t)
	before := s.at
	w.writes(t, 5)
	s.changes(t, math.MaxInt)
	if s.at == before {
		t.Fatal("nothing is in the log")
	}
	last := s.at
	if err := s.Unfollow(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	for _, at := range []changelog.Position{before, last} {
		if err := s.Changes(t.Context(), at, 1, func(changelog.Entry) error { return nil }); !errors.Is(err, changelog.ErrCut) {
			t.Errorf("after position %d: %v", at.Seq, err)
		}
	}
	if err := s.Acknowledge(t.Context(), "test", last); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("acknowledged by nobody: %v", err)
	}
	w.writes(t, 20)
	s.follow(t)
	if s.at.Seq <= last.Seq {
		t.Errorf("position %d comes after %d", s.at.Seq, last.Seq)
	}
	if err := s.Changes(t.Context(), s.at, math.MaxInt, func(e changelog.Entry) error {
		return fmt.Errorf("what was written while nobody followed is in the log: %s", e.Lines)
	}); err != nil {
		t.Error(err)
	}
	if err := s.Changes(t.Context(), last, 1, func(changelog.Entry) error { return nil }); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("after a hole: %v", err)
	}
}

// What was given up is not in the log; what was kept beside it is.
func rolledBack(t *testing.T, s *logged) {
	mustPut(t, s, records, "before", `{}`)
	s.follow(t)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			err := s.Write(t.Context(), []kinto.List{records}, func(tx kinto.Tx) error {
				if _, err := put(tx, records, fmt.Sprintf("r%d", n), `{"n":1}`); err != nil {
					return err
				}
				if err := tx.SetMeta(fmt.Sprintf("m%d", n), []byte("x")); err != nil {
					return err
				}
				if n%2 == 0 {
					return errGivenUp
				}
				return nil
			})
			if n%2 == 1 && err != nil || n%2 == 0 && !errors.Is(err, errGivenUp) {
				t.Errorf("write %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	s.changes(t, math.MaxInt)
	kept, odd := 0, 0
	for _, l := range s.lines {
		if l.Kind == changelog.Object {
			kept++
			var n int
			if _, err := fmt.Sscanf(l.ID, "r%d", &n); err != nil || n%2 == 0 {
				odd++
			}
		}
	}
	if kept != 20 || odd != 0 {
		t.Errorf("%d objects are in the log, %d of them of writes that were given up", kept, odd)
	}
	// Nothing but what was given up: no commit at all.
	at := s.at
	if err := s.Write(t.Context(), nil, func(tx kinto.Tx) error { return errors.Join(tx.SetMeta("m", []byte("x")), errGivenUp) }); !errors.Is(err, errGivenUp) {
		t.Fatal(err)
	}
	if s.changes(t, math.MaxInt); s.at != at {
		t.Error("a write that was given up is a commit in the log")
	}
}

// A position that is not one of this log is none, whatever its number.
func cutOff(t *testing.T, s *logged) {
	w := NewWriter(s, 9)
	s.follow(t)
	w.writes(t, 10)
	s.changes(t, math.MaxInt)
	w.writes(t, 10)
	forged := []changelog.Position{
		{Seq: s.at.Seq, Sum: strings.Repeat("0", len(s.at.Sum))},
		{Seq: s.at.Seq - 1, Sum: s.at.Sum},
		{Seq: s.at.Seq + 1000, Sum: s.at.Sum},
		{Seq: -1, Sum: s.at.Sum},
		{Seq: s.at.Seq},
		{},
	}
	for _, at := range forged {
		err := s.Changes(t.Context(), at, 1, func(changelog.Entry) error { return nil })
		if !errors.Is(err, changelog.ErrCut) {
			t.Errorf("changes after %+v: %v", at, err)
		}
		if err := s.Acknowledge(t.Context(), "test", at); !errors.Is(err, changelog.ErrCut) {
			t.Errorf("%+v is acknowledged: %v", at, err)
		}
	}
	if _, err := hex.DecodeString(s.at.Sum); err != nil || len(s.at.Sum) != 32 {
		t.Errorf("a sum is %q", s.at.Sum)
	}
	// What the receiver has is what counts, also after it has acknowledged it twice.
	for range 2 {
		if err := s.Acknowledge(t.Context(), "test", s.at); err != nil {
			t.Fatal(err)
		}
	}
	s.changes(t, math.MaxInt)
	broke := errors.New("the receiver broke off")
	if err := s.Changes(t.Context(), s.at, 1, func(changelog.Entry) error { return broke }); err != nil {
		t.Errorf("nothing to pass on: %v", err)
	}
	w.writes(t, 5)
	if err := s.Changes(t.Context(), s.at, 1, func(changelog.Entry) error { return broke }); !errors.Is(err, broke) {
		t.Errorf("a receiver that breaks off: %v", err)
	}
	s.changes(t, math.MaxInt)
	for _, place := range []string{"nowhere:3", "objects:three", "nowhere"} {
		if _, _, err := s.Copy(t.Context(), place, 1, func([]byte) error { return nil }); !errors.Is(err, changelog.ErrNoPlace) {
			t.Errorf("a copy goes on from %q, which is no place: %v", place, err)
		}
	}
	if _, _, err := s.Copy(t.Context(), "", 1, func([]byte) error { return broke }); !errors.Is(err, broke) {
		t.Errorf("a copy whose receiver breaks off: %v", err)
	}
}

// Two followers keep their own pace; the log is kept for the slower one.
func twoFollowers(t *testing.T, s *logged) {
	w := NewWriter(s, 11)
	s.follow(t)
	slow := s.at
	if _, err := s.Follow(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	w.writes(t, 20)
	s.changes(t, math.MaxInt)
	if err := s.Acknowledge(t.Context(), "other", s.at); err != nil {
		t.Fatal(err)
	}
	fast := s.at
	count := func(after changelog.Position) (n int) {
		t.Helper()
		if err := s.Changes(t.Context(), after, math.MaxInt, func(changelog.Entry) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	all := count(slow)
	if all < 10 || count(fast) != 0 {
		t.Errorf("%d changes are kept for the slow one, and %d after the fast one", all, count(fast))
	}
	if err := s.Unfollow(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	w.writes(t, 3)
	if got := count(fast); got < 1 {
		t.Errorf("the one that still follows gets %d changes", got)
	}
	s.changes(t, math.MaxInt)
	if err := s.Acknowledge(t.Context(), "other", s.at); err != nil {
		t.Fatal(err)
	}
	if err := s.Changes(t.Context(), slow, 1, func(changelog.Entry) error { return nil }); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("what all have is still there: %v", err)
	}
	s.changes(t, math.MaxInt)
}

// Stretches of the log that are made one, again and again, are what they were.
func merged(t *testing.T, s *logged) {
	for seed := range uint64(3) {
		w := NewWriter(s, 40+seed)
		w.writes(t, 60)
		s.lines = nil
		s.follow(t)
		s.copied(t, math.MaxInt, nil)
		base := s.lines
		var stretches [][]changelog.Line
		for range 12 {
			w.writes(t, 1+w.Rand.IntN(40))
			s.lines = nil
			s.changes(t, math.MaxInt)
			stretches = append(stretches, s.lines)
		}
		before := 0
		for _, lines := range stretches {
			before += len(lines)
		}
		// Neighbours at random, until few are left.
		for len(stretches) > 2 {
			at := w.Rand.IntN(len(stretches) - 1)
			both := append(append([]changelog.Line(nil), stretches[at]...), stretches[at+1]...)
			var one []changelog.Line
			err := changelog.Merge(func() iter.Seq2[changelog.Line, error] { return each(both) }, func(l *changelog.Line) error {
				one = append(one, *l)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if last := both[len(both)-1]; len(both) > 0 && (one[0].Kind != changelog.Commit || len(one) > len(both)+1) {
				t.Errorf("%d lines, the last %+v, become %d, the first %+v", len(both), last, len(one), one[0])
			}
			stretches = append(append(append([][]changelog.Line(nil), stretches[:at]...), one), stretches[at+2:]...)
			if len(stretches)%4 == 0 {
				s.lines = base
				for _, lines := range stretches {
					s.lines = append(s.lines, lines...)
				}
				s.same(t)
			}
		}
		s.lines = base
		after := 0
		for _, lines := range stretches {
			s.lines = append(s.lines, lines...)
			after += len(lines)
		}
		alike(t, s, s.same(t))
		if after > before*3/4 {
			t.Errorf("%d lines became %d", before, after)
		}
	}
}

// What a bucket weighs for its owner, and what is left of it, is in the log as it changes.
func owners(t *testing.T, s *logged) {
	mustPut(t, s, buckets, "b", `{}`)
	s.follow(t)
	s.copied(t, math.MaxInt, nil)
	check := func() {
		t.Helper()
		s.changes(t, math.MaxInt)
		s.same(t)
	}
	own := func(owner string) {
		t.Helper()
		write(t, s, func(tx kinto.Tx) error { return tx.SetOwner("/buckets/b", owner) })
		check()
	}
	own("account:ana")
	mustPut(t, s, buckets, "b", `{"more":"than there was"}`)
	check()
	mustPut(t, s, records, "r", `{}`)
	write(t, s, func(tx kinto.Tx) error {
		old, err := tx.Get(buckets, "b")
		if err != nil {
			return err
		}
		ts, err := tx.Tick(buckets, -1)
		if err != nil {
			return err
		}
		if err := tx.Put(buckets, &kinto.Object{ID: "b", Timestamp: ts, Deleted: true}, old); err != nil {
			return err
		}
		return tx.Purge("/buckets/b")
	})
	check()
	mustPut(t, s, buckets, "b", `{}`)
	own("account:ben")
	own("")
	write(t, s, func(tx kinto.Tx) error { return tx.Purge("") })
	check()
}

// A sum is of all that came before it, too.
func sums(t *testing.T, s *logged) {
	s.follow(t)
	seen := map[string]bool{s.at.Sum: true}
	for range 3 {
		write(t, s, func(tx kinto.Tx) error { return tx.SetMeta("m", []byte("the same")) })
		s.changes(t, math.MaxInt)
		if seen[s.at.Sum] {
			t.Errorf("the sum %s comes again", s.at.Sum)
		}
		seen[s.at.Sum] = true
	}
}

// Lines that are taken in twice, or again after later ones, change nothing.
func takenTwice(t *testing.T, s *logged) {
	w := NewWriter(s, 13)
	s.follow(t)
	w.writes(t, 300)
	s.changes(t, math.MaxInt)
	once := append([]changelog.Line(nil), s.lines...)
	s.copied(t, math.MaxInt, nil) // as if the copy had been taken at the end of all changes
	copied := s.lines[len(once):]
	s.lines = append(append([]changelog.Line(nil), copied...), once...)
	alike(t, s, s.same(t))
	s.lines = append(s.lines, once...)
	alike(t, s, s.same(t))
}

// The contents that attachments refer to are named once each, however many records share
// them, and not when the last of those is gone.
func contents(t *testing.T, s *logged) {
	named := func() (out []string) {
		t.Helper()
		if err := s.Files(t.Context(), func(hash string, size int64) error {
			out = append(out, fmt.Sprintf("%.2s %d", hash, size))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	same := func(what string, want ...string) {
		t.Helper()
		if got := named(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q instead of %q", what, got, want)
		}
	}
	same("nothing is attached")
	files := 0
	attach := func(l kinto.List, id, hash string, size int64) {
		t.Helper()
		files++
		f := &kinto.File{Location: fmt.Sprintf("f%d", files), Hash: strings.Repeat(hash, 32), Size: size}
		if hash == "" {
			f = nil
		}
		write(t, s, func(tx kinto.Tx) error { return tx.Attach(l, id, f) })
	}
	mustPut(t, s, buckets, "b", `{}`)
	for _, id := range []string{"r1", "r2", "r3"} {
		mustPut(t, s, records, id, `{}`)
		attach(records, id, "bb", 20)
	}
	mustPut(t, s, others, "o", `{}`)
	attach(others, "o", "aa", 1<<40)
	same("three records share one", "aa 1099511627776", "bb 20")
	attach(records, "r1", "cc", 0)
	attach(records, "r2", "", 0)
	same("one is left of the three", "aa 1099511627776", "bb 20", "cc 0")
	attach(records, "r3", "", 0)
	same("none is left of the three", "aa 1099511627776", "cc 0")
	broke := errors.New("whoever asked has enough")
	if err := s.Files(t.Context(), func(string, int64) error { return broke }); !errors.Is(err, broke) {
		t.Errorf("whoever asked breaks off, and gets %v", err)
	}
	write(t, s, func(tx kinto.Tx) error { return tx.Purge(records.Parent) })
	same("a list is purged", "aa 1099511627776")
}

// A log that breaks off in the middle of a copy's repair is not a store.
func incomplete(t *testing.T, s *logged) {
	l := []changelog.Line{
		{Kind: changelog.Object, Parent: records.Parent, Of: "record", ID: "a", Time: 7, Data: []byte(`{}`)},
		{Kind: changelog.Object, Parent: records.Parent, Of: "record", ID: "b", Time: 7, Data: []byte(`{}`)},
		{Kind: changelog.Object, Parent: records.Parent, Of: "record", ID: "a", Time: 8, Data: []byte(`{}`)},
	}
	s.lines = l
	made := s.load(t, each(l))
	if o := get(t, made, records, "a"); o == nil || o.Timestamp != 8 {
		t.Errorf("a is %+v", o)
	}
	if o := get(t, made, records, "b"); o == nil || o.Timestamp != 7 {
		t.Errorf("b is %+v", o)
	}
}

// What clients may write comes back to the last digit, escape and byte.
func digitForDigit(t *testing.T, s *logged) {
	bodies := []string{
		`{"n":` + strings.Repeat("1234567890", 500) + `}`,
		`{"lone":"\ud800","pair":"\ud83d\ude00","nul":"\u0000","slash":"\/"}`,
		`{"n":-0.0,"e":1E+400,"f":0.10000000000000000000000000000001}`,
		`{"é":"` + "\u2028\u2029" + `<script>&"}`,
		`{}`,
	}
	s.follow(t)
	for i, body := range bodies {
		write(t, s, func(tx kinto.Tx) error {
			ts, err := tx.Tick(records, -1)
			if err != nil {
				return err
			}
			return tx.Put(records, &kinto.Object{ID: fmt.Sprintf("r%d", i), Timestamp: ts, Data: []byte(body), Permissions: []byte(`{"write":["account:\u00e9\"\\"]}`)}, nil)
		})
	}
	write(t, s, func(tx kinto.Tx) error {
		ts, err := tx.Tick(others, kinto.MaxTimestamp)
		if err != nil {
			return err
		}
		return tx.Put(others, &kinto.Object{ID: "late", Timestamp: ts, Data: []byte(`{}`)}, nil)
	})
	s.changes(t, math.MaxInt)
	made := s.same(t)
	for i, body := range bodies {
		o := get(t, made, records, fmt.Sprintf("r%d", i))
		if o == nil || string(o.Data) != body || string(o.Permissions) != `{"write":["account:\u00e9\"\\"]}` {
			t.Errorf("%.60s came back as %+v", body, o)
		}
	}
	if o := get(t, made, others, "late"); o == nil || o.Timestamp != kinto.MaxTimestamp {
		t.Errorf("the latest timestamp came back as %+v", o)
	}
}
