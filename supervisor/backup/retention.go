package backup

import (
	"fmt"
	"time"
)

// point is a state of the data that can be restored: the end of a stretch of the log.
// Points are in the order of their sequence, whatever the clock said.
type point struct {
	seq int64
	at  time.Time
}

// rule keeps the last point of each of so many periods.
type rule struct {
	name    string
	periods int
	period  func(time.Time) string
}

// rules are what is promised: of the newest 48 hours that have points, 30 days, 12 weeks,
// 12 months and 10 years the last point each; of everything else, none. Periods are those
// of UTC, so that no clock change makes one longer or has one twice; hours in which
// nothing was backed up do not count, so that a machine that was off for a year loses
// nothing by it.
var rules = []rule{
	{"hours", 48, func(t time.Time) string { return t.UTC().Format("2006-01-02T15") }},
	{"days", 30, func(t time.Time) string { return t.UTC().Format(time.DateOnly) }},
	{"weeks", 12, func(t time.Time) string {
		year, week := t.UTC().ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	}},
	{"months", 12, func(t time.Time) string { return t.UTC().Format("2006-01") }},
	{"years", 10, func(t time.Time) string { return t.UTC().Format("2006") }},
}

// retained says which points are kept, by their order; the newest always is. It walks back
// by sequence, so that points which are dropped bit by bit, now and then or all at once come
// to the same: a period's last point is its last whatever was dropped before it.
func retained(points []point) []bool {
	keep := make([]bool, len(points))
	if len(points) > 0 {
		keep[len(points)-1] = true
	}
	for _, r := range rules {
		seen := map[string]bool{}
		for i := len(points) - 1; i >= 0 && len(seen) < r.periods; i-- {
			if p := r.period(points[i].at); !seen[p] {
				seen[p], keep[i] = true, true
			}
		}
	}
	return keep
}
