package api

import (
	"math"
	"net/http"
	"strings"

	"github.com/foyer-server/foyer/internal/fair"
	"github.com/foyer-server/foyer/server/admission"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
)

// feeds are the change feeds that are open. An address, or an account, has its share of
// them, beyond which it is refused; when all are taken, whoever holds fewer than another
// gets the place that the other has had for longest.
type feeds struct {
	places *admission.Table
	each   *fair.Queue // by caller; nobody waits in it, and it bounds nothing else
}

func newFeeds(limit int) feeds {
	limit = max(1, limit)
	return feeds{admission.NewTable(limit), fair.NewQueue(math.MaxInt, 0, admission.Share(limit))}
}

// enter takes a place for the sender of r, who is a caller; leave gives it back. over is
// closed when the place is taken away. The error is a *kinto.BusyError.
func (f feeds) enter(r *http.Request, who kinto.Caller) (over <-chan struct{}, leave func(), err error) {
	leaveCaller, err := f.each.Enter(r.Context(), who.ID)
	if err != nil {
		return nil, nil, &kinto.BusyError{What: "feeds of one"}
	}
	taken := make(chan struct{})
	place := f.places.Enter(front.Origin(r), known(who), func() { close(taken) })
	if place == nil {
		leaveCaller()
		return nil, nil, &kinto.BusyError{What: "feeds of one"}
	}
	end := place.Feed()
	endConn := admission.Of(r.Context()).Feed()
	return taken, func() {
		endConn()
		end()
		place.Leave()
		leaveCaller()
	}, nil
}

// known reports whether a caller is somebody: with basicauth anybody has a name who
// makes one up.
func known(who kinto.Caller) bool {
	return who.ID != "" && !strings.HasPrefix(who.ID, "basicauth:")
}
