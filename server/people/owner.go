package people

import (
	"time"

	"github.com/tidwall/gjson"

	"github.com/foyer-server/foyer/server/kinto"
)

// Owns reports whether an account owns the server.
func (c *core) Owns(tx kinto.Reader, name string) (bool, error) {
	r := c.knownRights()
	if r == nil {
		var err error
		if r, err = c.readRights(tx); err != nil {
			return false, err
		}
	}
	if r.first == name && name != "" || !r.more {
		return r.first == name && name != "", nil
	}
	more, err := tx.Meta(kinto.MetaPerson + name)
	return gjson.GetBytes(more, "owner").Bool(), err
}

// rights are who owns the server, as far as it is not said in what is kept of a person.
type rights struct {
	first string // the first owner's account
	more  bool   // there may be more
	until time.Time
}

// rightsFor is how long another node may not know yet that there is a second owner.
const rightsFor = 2 * time.Second

// rights are those that were read lately; nil: none were.
func (c *core) knownRights() *rights {
	r := c.owner.Load()
	if r == nil || r.first == "" || !r.more && time.Now().After(r.until) {
		return nil
	}
	return r
}

func (c *core) readRights(tx kinto.Reader) (*rights, error) {
	first, err := tx.Meta(metaOwner)
	if err != nil {
		return nil, err
	}
	more, err := tx.Meta(metaOwners)
	if err != nil {
		return nil, err
	}
	r := &rights{string(first), more != nil, time.Now().Add(rightsFor)}
	c.owner.Store(r)
	return r, nil
}
