package kinto

import (
	"testing"
	"time"
)

// TestRoomToCount: who chooses the latest there is leaves a thousand years of writes, one
// each millisecond, that have dates of HTTP, and numbers that JavaScript tells apart.
func TestRoomToCount(t *testing.T) {
	end := int64(MaxTimestamp + 1000*365*24*3_600_000)
	if at := time.UnixMilli(end).UTC(); at.Year() > 9999 || end >= 1<<53 {
		t.Errorf("it comes to %v", at)
	}
	if at := time.UnixMilli(MaxTimestamp).UTC(); at.Format("2006-01-02 15:04:05.000") != "8999-12-31 23:59:59.999" {
		t.Errorf("the bound is %v", at)
	}
}
