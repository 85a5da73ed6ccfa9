package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Verified is what reading all of a chain came to.
type Verified struct {
	Objects     int       // of the chain, that are what they should be
	Lines       int64     // in them
	Attachments int       // whose contents are what they should be
	Unneeded    int       // whose contents are there, and no object refers to them any more: nobody can say what they should be
	Bytes       int64     // sealed, that were read
	At          time.Time // of the newest object that is good
	Points      int       // that can be restored, as far as the newest manifest and what is good go
	Problems    []Problem // the first mostProblems
	More        int       // problems beyond those
}

const (
	// mostProblems bounds how many problems are named.
	mostProblems = 100
	// atOnce is of how many attachments contents are verified by one walk through the chain: it bounds
	// what is kept in memory, at some 200 bytes each.
	atOnce = 100_000
)

// Verify reads all that lies at a target for the chain of some keys: each object with its signature and its
// place in the chain, whether it is the one that the newest manifest names, and the contents of all
// attachments. progress is told how many of the sealed bytes were read; it may be nil. What is wrong is
// a problem; the error is of the way to the target, or of ctx.
//
// The chain may be written to meanwhile: what is added is not looked at. That the target withholds the newest
// objects does not show here; the machine that writes the chain knows its head.
func Verify(ctx context.Context, at target.Reader, keys Keys, progress func(done, of int64)) (Verified, error) {
	return verify(ctx, at, keys, progress, atOnce)
}

func verify(ctx context.Context, at target.Reader, keys Keys, progress func(done, of int64), atOnce int) (Verified, error) {
	v := &verifier{reader: newReader(at, keys.expect()), at: at, progress: progress, atOnce: atOnce, sums: map[uint64]string{}, sizes: map[uint64]int64{}}
	key, err := keys.Chain.ContentsKey()
	v.contentsKey = key
	for _, step := range []func(context.Context) error{v.list, v.objects, v.manifest, v.contents} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err != nil {
		return v.out, fmt.Errorf("cannot verify the backup at %s: %w", at, err)
	}
	return v.out, nil
}

// verifier verifies one chain.
type verifier struct {
	*reader
	at          target.Reader
	contentsKey object.ContentsKey
	progress    func(done, of int64)
	atOnce      int
	told, of    int64
	out         Verified

	numbers []uint64
	sizes   map[uint64]int64
	sums    map[uint64]string // of those that are good
	names   []nameHash        // of contents, in their order
}

// nameHash is what contents are called, in bytes.
type nameHash [32]byte

func parseName(name string) (out nameHash) {
	hex.Decode(out[:], []byte(name)) //nolint:errcheck // it was checked, or made here
	return out
}

func (n nameHash) compare(m nameHash) int { return bytes.Compare(n[:], m[:]) }

// problem takes one in; an error of the way to the target, or of ctx, is returned.
func (v *verifier) problem(ctx context.Context, p Problem) error {
	e := hint.Find(p.Err)
	switch ours := e != nil && strings.HasPrefix(e.Code, "backup-"); {
	case ctx.Err() != nil:
		return ctx.Err()
	case !ours && !errors.Is(p.Err, target.ErrNotFound):
		return p.Err
	}
	known := func(q Problem) bool {
		return p.N > 0 && q.N == p.N || p.Attachment != "" && q.Attachment == p.Attachment
	}
	switch {
	case slices.ContainsFunc(v.out.Problems, known):
	case len(v.out.Problems) < mostProblems:
		v.out.Problems = append(v.out.Problems, p)
	default:
		v.out.More++
	}
	return nil
}

// count takes in that bytes were read.
func (v *verifier) count(n int64) {
	v.out.Bytes += n
	if done := min(v.out.Bytes, v.of); v.progress != nil && (done-v.told >= 1<<20 || done == v.of && done > v.told) {
		v.told = done
		v.progress(done, v.of)
	}
}

// list looks what there is.
func (v *verifier) list(ctx context.Context) error {
	err := v.at.List(ctx, v.expect.Chain, func(o target.Object) error {
		_, base, _ := strings.Cut(o.Name, "/")
		if n, ok := number(o.Name); ok && !strings.Contains(base, "/") {
			v.numbers, v.sizes[n] = append(v.numbers, n), o.Size
			v.of += o.Size
			return nil
		}
		one := listed{}
		one.add(o)
		for name := range one {
			v.of += o.Size
			if hash := parseName(name); len(v.names) == 0 || v.names[len(v.names)-1] != hash {
				v.names = append(v.names, hash)
			}
		}
		return nil
	})
	slices.Sort(v.numbers)
	slices.SortFunc(v.names, nameHash.compare)
	v.names = slices.Compact(v.names)
	return err
}

// objects reads every object.
func (v *verifier) objects(ctx context.Context) error {
	for _, n := range v.numbers {
		// Of the one before nothing is known where it is not there any more, or is not good itself.
		ent, err := v.read(ctx, n, v.sums[n-1], nil)
		v.count(v.sizes[n])
		if errors.Is(err, target.ErrNotFound) {
			continue // it was deleted meanwhile; the manifest says whether it may be
		}
		if err != nil {
			if err := v.problem(ctx, Problem{N: n, Err: err}); err != nil {
				return err
			}
			continue
		}
		v.sums[n], v.out.At = ent.Hash, ent.At
		v.out.Objects++
		v.out.Lines += ent.Lines
	}
	return nil
}

// manifest compares what there is with what the newest manifest says.
func (v *verifier) manifest(ctx context.Context) error {
	found, err := Find(ctx, v.at, v.expect)
	if errors.Is(err, ErrNothing) {
		return v.problem(ctx, Problem{Err: noBackup(v.at, err)})
	}
	if err != nil {
		return err
	}
	for _, p := range found.Problems {
		if err := v.problem(ctx, p); err != nil {
			return err
		}
	}
	bad := slices.Clone(v.out.Problems)
	for _, ent := range found.Manifest.objects {
		sum, good := v.sums[ent.N]
		if good && sum == ent.Hash {
			continue
		}
		p := Problem{N: ent.N, Err: target.ErrNotFound}
		if good {
			p.Err = hint.New("backup-out-of-place",
				hint.T("One part of the backup is in the place of another (part %d).", "Une partie de la sauvegarde se trouve à la place d'une autre (partie %d).", ent.N), hint.Text{},
				hint.T("Make sure that no other machine writes to this backup.", "Vérifiez qu'aucune autre machine n'écrit dans cette sauvegarde.")).Because(fmt.Errorf("%w: its sum is %s, not %s", object.ErrOutOfPlace, sum, ent.Hash))
		}
		bad = append(bad, p)
		if err := v.problem(ctx, p); err != nil {
			return err
		}
	}
	found.Problems = bad
	v.out.Points = len(found.Points())
	return nil
}

// contents reads the contents of all attachments. Of so many at a time, what objects say of them is
// looked up first.
func (v *verifier) contents(ctx context.Context) error {
	for names := range slices.Chunk(v.names, v.atOnce) {
		said, err := v.lookUp(ctx, names)
		if err != nil {
			return err
		}
		for i, at := range said {
			if at.Hash == "" {
				v.out.Unneeded++
				continue
			}
			err := v.attachment(ctx, hex.EncodeToString(names[i][:]), at)
			if err == nil {
				v.out.Attachments++
			} else if err := v.problem(ctx, Problem{Attachment: at.Hash, Err: err}); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookUp finds out of which attachments the contents of some names are, by the lines that refer to them.
func (v *verifier) lookUp(ctx context.Context, names []nameHash) ([]Attachment, error) {
	said, left := make([]Attachment, len(names)), len(names)
	for _, n := range v.numbers {
		if v.sums[n] == "" || left == 0 {
			continue
		}
		_, err := v.read(ctx, n, "", func(h object.Header, text []byte) error {
			if h.Kind == object.Manifest || !bytes.HasPrefix(text, fileLine) {
				return nil
			}
			l, err := changelog.Parse(text)
			if err != nil || l.Gone {
				return nil // what its machine has signed is as it is
			}
			i, there := slices.BinarySearchFunc(names, parseName(v.contentsKey.Name(l.Hash)), nameHash.compare)
			if there && said[i].Hash == "" {
				said[i] = Attachment{l.Hash, l.Size}
				left--
			}
			return nil
		})
		if err != nil && !errors.Is(err, target.ErrNotFound) {
			if err := v.problem(ctx, Problem{N: n, Err: err}); err != nil {
				return nil, err
			}
		}
	}
	return said, nil
}

// attachment reads the contents of one.
func (v *verifier) attachment(ctx context.Context, name string, at Attachment) error {
	c, err := object.OpenContents(object.ExpectContents{
		Name: at.Hash, Identities: v.expect.Identities, OfChain: v.expect.OfChain, SHA256: at.Hash, Size: at.Size,
	}, func(part int) (io.ReadCloser, error) {
		body, err := v.part(ctx, name, part)
		return &counting{body, v}, err
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return errors.Join(err, c.Close())
}

// counting counts the bytes of a part.
type counting struct {
	io.ReadCloser
	v *verifier
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.v.count(int64(n))
	return n, err
}
