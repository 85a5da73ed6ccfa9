package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// While others search as much as there is to have, who looks something up is served, and
// who searches is told to come again.
func TestSearchesLeaveRoomForOthers(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, nil)
	a := s.Handler.(*api)
	var wg sync.WaitGroup
	defer wg.Wait()
	release := make(chan struct{})
	defer close(release)
	total := searchesAtOnce() + searchesWaiting
	for i := range total {
		wg.Go(func() {
			leave, err := a.searches.Enter(t.Context(), fmt.Sprint("somebody ", i))
			if err != nil {
				t.Error(err)
				return
			}
			<-release
			leave()
		})
	}
	const record = "/v1/buckets/b/collections/c/records/r"
	for deadline := time.Now().Add(2 * time.Minute); a.searches.Waiting() < searchesWaiting; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they do not come")
		}
	}
	if r := s.must(503, "alice", "GET "+records+"?n=1", ""); !strings.Contains(r.text, "as many searches as it can take") || r.header.Get("Retry-After") == "" {
		t.Error(r.text)
	}
	for _, line := range []string{"HEAD " + records + "?n=1", "DELETE " + records + "?n=99", "GET " + records + "?_sort=n"} {
		s.must(503, "alice", line, "")
	}
	for _, line := range []string{"GET " + record, "GET " + records, "GET " + records + "?_since=0", "GET " + records + "?_sort=-last_modified", "GET /v1/buckets", "GET /v1/"} {
		s.must(200, "alice", line, "")
	}
	s.must(200, "alice", "PATCH "+record, `{"data":{"n":7}}`)
	if r := s.do("alice", "GET "+records+"?n=1", "", "Accept-Language: fr"); !strings.Contains(r.text, "recherches") {
		t.Error(r.text)
	}
}

// Large answers are held within a bound, whoever does not take theirs.
func TestLargeAnswersAreHeldWithinABound(t *testing.T) {
	t.Attr("shows", "mend2")
	h := &holdings{most: 10 * smallAnswer}
	var all []func()
	for range 12 {
		if release, ok := h.hold(smallAnswer); ok {
			all = append(all, release)
		}
	}
	if len(all) != 10 {
		t.Errorf("%d are held", len(all))
	}
	if release, ok := h.hold(smallAnswer - 1); !ok {
		t.Error("a small one is not answered")
	} else {
		release()
	}
	for _, release := range all {
		release()
		release() // once counts
	}
	if release, ok := h.hold(100 * smallAnswer); !ok || h.now != 100*smallAnswer {
		t.Errorf("one that is larger than all is never answered: %d", h.now)
	} else if _, ok := h.hold(smallAnswer); ok {
		t.Error("and others beside it are")
	} else {
		release()
	}
	if h.now != 0 {
		t.Errorf("%d bytes are left", h.now)
	}
}
