package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Chain is one that was found at a target, and that the words open.
type Chain struct {
	ID    string
	Keys  *object.Found
	At    time.Time // of its newest object that is whole; zero: none is
	Bytes int64     // of all that lies there for it, sealed

	at      target.Reader
	numbers []uint64
	keys    map[int]string // names of key objects, by their number
}

// Open looks which chains lie at a target, of whatever machine, and which of them the words
// open: those, the one that was written to last before the others.
//
// Errors are for people: there is no backup (backup-none); there is, and these are the words of
// none (backup-wrong-key), or what locks it is damaged, forged or gone.
func Open(ctx context.Context, at target.Reader, words *kit.Kit) ([]*Chain, error) {
	all, err := chains(ctx, at)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, noBackup(at, ErrNothing)
	}
	var opened []*Chain
	var wrong, bad error
	for _, c := range all {
		err := c.open(ctx, words)
		switch {
		case err == nil:
			opened = append(opened, c)
		case errors.Is(err, object.ErrWrongKey):
			wrong = err
		case hint.Find(err) != nil && !errors.Is(err, target.ErrAway), errors.Is(err, object.ErrNoKeys):
			bad = err
		default:
			return nil, fmt.Errorf("cannot read the backup at %s: %w", at, err)
		}
	}
	switch {
	case len(opened) == 0 && bad != nil:
		if errors.Is(bad, object.ErrNoKeys) {
			bad = hint.New("backup-keys-missing",
				hint.T("What is locked with your words, the keys of the backup, is missing at %s.", "Ce que vos mots ouvrent, les clés de la sauvegarde, manque à %s.", at), hint.Text{},
				hint.T("Use another copy of the backup; or the whole of it, if this is a part.", "Utilisez une autre copie de la sauvegarde ; ou toute la sauvegarde, si ce n'en est qu'une partie.")).Because(bad)
		}
		return nil, bad
	case len(opened) == 0:
		return nil, wrong
	}
	slices.SortStableFunc(opened, func(a, b *Chain) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
	})
	return opened, nil
}

// OpenHere is Open with the keys of the machine that makes the backup, for the one chain that they
// are of; nil: that is not at this target.
func OpenHere(ctx context.Context, at target.Reader, keys Keys) (*Chain, error) {
	all, err := chains(ctx, at)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.ID == keys.Chain.ID && len(c.numbers) > 0 {
			c.Keys = &object.Found{Keys: &object.Keys{Chain: keys.Chain, Authors: keys.Authors}}
			return c, nil
		}
	}
	return nil, nil
}

// chains lists the chains at a target.
func chains(ctx context.Context, at target.Reader) ([]*Chain, error) {
	var all []*Chain
	err := at.List(ctx, "", func(o target.Object) error {
		id, rest, below := strings.Cut(o.Name, "/")
		if !below || !isChain(id) {
			return nil
		}
		if len(all) == 0 || all[len(all)-1].ID != id { // names come in their order
			all = append(all, &Chain{ID: id, at: at, keys: map[int]string{}})
		}
		c := all[len(all)-1]
		c.Bytes += o.Size
		if strings.Contains(rest, "/") {
			return nil
		}
		if n, ok := number(o.Name); ok {
			c.numbers = append(c.numbers, n)
		}
		if n := object.KeyNumber(rest); n > 0 {
			c.keys[n] = o.Name
		}
		return nil
	})
	return slices.DeleteFunc(all, func(c *Chain) bool { return len(c.numbers) == 0 && len(c.keys) == 0 }), err
}

// isChain reports whether a name is that of a chain.
func isChain(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// open opens the keys of a chain, and looks how new it is.
func (c *Chain) open(ctx context.Context, words *kit.Kit) error {
	sealed := map[int][]byte{}
	for n, name := range c.keys {
		text, err := fetchKeys(ctx, c.at, name)
		if errors.Is(err, target.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		sealed[n] = text
	}
	found, err := object.FindKeys(sealed, c.ID, words)
	if err != nil {
		return err
	}
	c.Keys = found
	r := &reader{expect: c.Expect(), get: func(ctx context.Context, n uint64) (io.ReadCloser, error) {
		return c.at.Get(ctx, objectName(c.ID, n), 0)
	}}
	for i := len(c.numbers) - 1; i >= max(0, len(c.numbers)-tries); i-- {
		ent, err := r.read(ctx, c.numbers[i], "", nil)
		if err == nil {
			c.At = ent.At
			break
		}
		if errors.Is(err, target.ErrAway) || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// Expect is what objects of the chain have to be like.
func (c *Chain) Expect() object.Expect {
	return object.Expect{Identities: []age.Identity{c.Keys.Chain.Identity}, OfChain: true, Authors: c.Keys.Authors, Chain: c.ID}
}

// Find is Find of this chain; its errors are for people.
func (c *Chain) Find(ctx context.Context) (*Backup, error) {
	b, err := Find(ctx, c.at, c.Expect())
	if err == nil || ctx.Err() != nil || errors.Is(err, target.ErrAway) {
		return b, err
	}
	if errors.Is(err, ErrNothing) && hint.Find(err) == nil {
		return nil, noBackup(c.at, err)
	}
	return nil, err
}

func noBackup(at target.Reader, cause error) error {
	return hint.New("backup-none",
		hint.T("There is no backup at %s, or none that was ever finished.", "Il n'y a pas de sauvegarde à %s, ou aucune qui ait été achevée.", at), hint.Text{},
		hint.T("Name the folder that the backups of your server went to: the file foyer-target.json is in it.", "Indiquez le dossier des sauvegardes de votre serveur : il contient le fichier foyer-target.json.")).Because(cause)
}
