package api

import (
	"math"
	"net/http"
	"strings"

	"github.com/foyer-server/foyer/server/kinto"
)

// snapshotAt splits the path of a snapshot, /buckets/b/snapshot/collections/c@123:
// the list of the records, and the time as it is written (§8, history).
func snapshotAt(path string) (l kinto.List, at string, ok bool) {
	bucket, rest, ok := strings.Cut(path, "/snapshot/collections/")
	collection, at, dated := strings.Cut(rest, "@")
	if !ok || !dated || strings.Contains(rest, "/") {
		return l, "", false
	}
	l, id, ok := kinto.Locate(bucket + "/collections/" + collection + "/records")
	return l, at, ok && id == "" && l.Kind == kinto.Record
}

// snapshot answers with the records of a collection as they were.
func snapshot(c *call, l kinto.List, at string) {
	if !c.readOnly() {
		return
	}
	who, err := c.who()
	if err != nil {
		c.fail(err)
		return
	}
	var invalid error
	time, ok := digits(at)
	if !ok || time == math.MaxInt64 {
		invalid = &kinto.InvalidError{Problems: []kinto.Problem{{Location: "path", NoName: true, Description: "Invalid timestamp '" + at + "'"}}}
	}
	leave, err := c.turn(c.searches, "searches")
	if err != nil {
		c.fail(err)
		return
	}
	found, err := c.kinto.Snapshot(c.r.Context(), who, l, time, invalid)
	leave()
	if err != nil {
		c.fail(c.refused(who, err))
		return
	}
	release, err := c.hold(sizeOf(found...))
	if err != nil {
		c.fail(err)
		return
	}
	defer release()
	buf, free := c.buffer()
	defer free()
	*buf = append(*buf, `{"data":[`...)
	for i := range found {
		if i > 0 {
			*buf = append(*buf, ',')
		}
		*buf = found[i].AppendJSON(*buf)
	}
	*buf = append(*buf, "]}"...)
	c.w.Header()["Cache-Control"] = headerNoStore
	c.write(http.StatusOK, *buf)
}
