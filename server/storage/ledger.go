package storage

import (
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/commit"
)

// ledger is the lists as the open transaction sees them. Timestamps and counters
// change here and are written when the transaction commits, once for each list
// however many jobs changed it; a job that is rolled back takes its changes along.
// It belongs to the writer.
type ledger struct {
	pages  map[kinto.List]*page
	purged []string // URIs, in this transaction

	job  int // counts jobs
	undo []was
	cut  int // of purged, when the job began
}

// tally is what a list's row says.
type tally struct {
	pk, ts           int64
	live, tombstones int64 // objects
	bytes            int64 // what objects and tombstones weigh
	files            int64 // bytes of attachments
	version          int64 // one more with each transaction that changes what the list holds
}

// page is one list.
type page struct {
	tally
	kept  tally // as the database has it
	moved bool  // in this transaction: who watches wants to hear of it
	put   int64 // the greatest timestamp of an object that was Put in this transaction
	job   int   // the last one that changed it
}

// move says that the list changes, in this transaction.
func (p *page) move() { p.moved, p.version = true, p.kept.version+1 }

// was is a list before the job changed it; nil: not there.
type was struct {
	list kinto.List
	page *page
}

func newLedger() *ledger { return &ledger{pages: map[kinto.List]*page{}} }

// open begins a transaction.
func (g *ledger) open() {
	clear(g.pages)
	g.purged, g.cut = nil, 0
}

// begin begins a job.
func (g *ledger) begin() {
	g.job++
	clear(g.undo)
	g.undo = g.undo[:0]
	g.cut = len(g.purged)
}

// rollback undoes the job.
func (g *ledger) rollback() {
	for i := len(g.undo) - 1; i >= 0; i-- {
		if u := g.undo[i]; u.page == nil {
			delete(g.pages, u.list)
		} else {
			g.pages[u.list] = u.page
		}
	}
	g.purged = g.purged[:g.cut]
}

// change is called before p changes.
func (g *ledger) change(l kinto.List, p *page) {
	if p.job == g.job {
		return
	}
	before := *p
	g.undo = append(g.undo, was{l, &before})
	p.job = g.job
}

// add takes in a list the job made.
func (g *ledger) add(l kinto.List, p *page) {
	g.undo = append(g.undo, was{l, nil})
	p.job = g.job
	g.pages[l] = p
}

// purge drops what lies below a URI.
func (g *ledger) purge(uri string) {
	for l, p := range g.pages {
		if commit.Below(l, uri) {
			g.undo = append(g.undo, was{l, p})
			delete(g.pages, l)
		}
	}
	g.purged = append(g.purged, uri)
}

// log takes down the timestamps that lists were moved to without an object that tells.
func (g *ledger) log(k *capture) {
	for l, p := range g.pages {
		if p.moved && p.ts > p.put {
			k.add(&changelog.Line{Kind: changelog.List, Parent: l.Parent, Of: string(l.Kind), Time: p.ts})
		}
	}
}

// write brings the rows of lists up to date.
func (g *ledger) write(c *conn) error {
	for l, p := range g.pages {
		if p.tally == p.kept {
			continue
		}
		err := c.do("list_set").int(1, p.pk).int(2, p.ts).int(3, p.live).int(4, p.tombstones).int(5, p.bytes).int(6, p.files).int(7, p.version).run()
		if err != nil {
			return err
		}
		g.change(l, p)
		p.kept = p.tally
	}
	return nil
}
