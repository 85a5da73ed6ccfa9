package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
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
	h := newHoldings(20 * smallAnswer)
	var all []func()
	for i := range 24 {
		if release, ok := h.hold([]string{"home", "elsewhere"}[i/12], smallAnswer); ok {
			all = append(all, release)
		}
	}
	if len(all) != 20 || h.by["home"] != 10*smallAnswer {
		t.Errorf("%d are held, %v", len(all), h.by)
	}
	if !h.full("home") || !h.full("a third") {
		t.Error("there is room for more")
	}
	if release, ok := h.hold("home", smallAnswer-1); !ok {
		t.Error("a small one is not answered")
	} else {
		release()
	}
	for _, release := range all {
		release()
		release() // once counts
	}
	if release, ok := h.hold("home", 100*smallAnswer); !ok || h.now != 100*smallAnswer {
		t.Errorf("one that is larger than all is never answered: %d", h.now)
	} else if _, ok := h.hold("elsewhere", smallAnswer); ok {
		t.Error("and others beside it are")
	} else {
		release()
	}
	if release, ok := h.hold("home", 15*smallAnswer); !ok {
		t.Error("one that is larger than a share is never answered")
	} else if _, ok := h.hold("home", smallAnswer); ok || h.full("elsewhere") {
		t.Error("and keeps others from theirs, or has more beside it")
	} else {
		release()
	}
	if h.now != 0 || len(h.by) != 0 {
		t.Errorf("%d bytes are left, %v", h.now, h.by)
	}
}

// While others read whole lists, who reads one waits, and who looks something up is served.
func TestWholeListsTakeTurns(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, nil)
	a := s.Handler.(*api)
	var leave []func()
	for i := range searchesAtOnce() {
		free, err := a.lists.Enter(t.Context(), fmt.Sprint("somebody ", i))
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, free)
	}
	answered := make(chan reply, 1)
	go func() { answered <- s.do("alice", "GET "+records, "") }()
	for deadline := time.Now().Add(2 * time.Minute); a.lists.Waiting() == 0; time.Sleep(time.Millisecond) {
		select {
		case r := <-answered:
			t.Fatalf("it does not wait: %s", r.text)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
	for _, line := range []string{"GET " + records + "/r", "GET " + records + "?_limit=100", "HEAD " + records, "PUT " + records + "/r", "GET " + records + "?n=1"} {
		s.must(200, "alice", line, "")
	}
	for _, free := range leave {
		free()
	}
	if r := <-answered; r.status != 200 {
		t.Errorf("%d %s", r.status, r.text)
	}
}

// Batches are no way around it: what they look through waits for its turn, or is bounded
// where others wait for them, and what they answer is held.
func TestBatchesShareAsWell(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, map[string]string{"batch_max_requests": "2000"})
	a := s.Handler.(*api)
	var leave []func()
	for i := range searchesAtOnce() {
		free, err := a.searches.Enter(t.Context(), fmt.Sprint("somebody ", i))
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, free)
	}
	const search = `{"method":"GET","path":"/buckets/b/collections/c/records?n=1"}`
	answered := make(chan reply, 1)
	go func() { answered <- s.do("alice", "POST /v1/batch", `{"requests":[`+search+`]}`) }()
	for deadline := time.Now().Add(2 * time.Minute); a.searches.Waiting() == 0; time.Sleep(time.Millisecond) {
		select {
		case r := <-answered:
			t.Fatalf("a search in a batch does not wait for its turn: %.500s", r.text)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
	for _, free := range leave {
		free()
	}
	if r := <-answered; r.status != 200 || strings.Count(r.text, `"status":200`) != 1 {
		t.Errorf("%d %.500s", r.status, r.text)
	}

	// Others wait for a batch that writes, so what it looks through is bounded.
	var fill strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&fill, `,{"path":"/buckets/b/collections/c/records/r%d"}`, i)
	}
	s.must(200, "alice", "POST /v1/batch", `{"defaults":{"method":"PUT","body":{"data":{"n":1}}},"requests":[`+fill.String()[1:]+`]}`)
	const put = `,{"method":"PUT","path":"/buckets/b/collections/c/records/more","body":{"data":{}}}`
	const empty = `{"method":"GET","path":"/buckets/b/collections/c/records?n=2"}`
	most := kinto.ReadTogether / 1001
	searches := func(n int) string { return `{"requests":[` + strings.Repeat(empty+",", n-1) + empty }
	if r := s.must(200, "alice", "POST /v1/batch", searches(most)+put+`]}`); strings.Contains(r.text, `"status":400`) || !strings.Contains(r.text, `"status":201`) {
		t.Errorf("%.500s", r.text)
	}
	if r := s.must(200, "alice", "POST /v1/batch", searches(most+1)+put+`]}`); strings.Count(r.text, `"status":400`) != 1 || !strings.Contains(r.text, "may look through 10000 objects of lists together") || strings.Count(r.text, `"status":200`) != most+1 {
		t.Errorf("%.500s", r.text)
	}
	if r := s.must(200, "alice", "POST /v1/batch", searches(2*most)+`]}`); strings.Contains(r.text, `"status":400`) {
		t.Errorf("one that only reads: %.500s", r.text)
	}
	since := strings.Trim(s.must(200, "alice", "HEAD "+records, "").header.Get("ETag"), `"`)
	for _, method := range []string{"GET", "HEAD"} { // what is found at once costs nothing
		all := fmt.Sprintf(`,{"method":%q,"path":"/buckets/b/collections/c/records?_since=%s"}`, method, since)
		if r := s.must(200, "alice", "POST /v1/batch", searches(most)+put+strings.Repeat(all, 100)+`]}`); strings.Contains(r.text, `"status":400`) {
			t.Errorf("%.500s", r.text)
		}
	}

	// What a batch answers is bounded, and held until it was taken.
	s.must(200, "alice", "PUT /v1/buckets/b/collections/c/records/r", `{"data":{"text":"`+strings.Repeat("x", 512<<10)+`"}}`)
	const large = `{"method":"GET","path":"/buckets/b/collections/c/records/r"}`
	s.must(200, "alice", "POST /v1/batch", `{"requests":[`+strings.Repeat(large+",", 30)+large+`]}`)
	if r := s.must(413, "alice", "POST /v1/batch", `{"requests":[`+strings.Repeat(large+",", 31)+large+`]}`); !strings.Contains(r.text, "16777216 bytes together") {
		t.Errorf("%.500s", r.text)
	}
	const get = `,{"method":"GET","path":"/buckets/b/collections/c/records/r"}`
	const list = `,{"method":"GET","path":"/buckets/b/collections/c/records?has_text=true"}`
	for _, one := range []string{get, list} {
		if r := s.must(200, "alice", "POST /v1/batch", `{"requests":[`+put[1:]+strings.Repeat(one, 9)+`]}`); strings.Count(r.text, `"status":400`) < 2 || strings.Count(r.text, `"status":200`) < 5 || !strings.Contains(r.text, "may read 4194304 bytes together") {
			t.Errorf("%d parts are too large: %.500s", strings.Count(r.text, `"status":400`), r.text)
		}
	}
	if a.held.now != 0 {
		t.Errorf("%d bytes are left", a.held.now)
	}
	free, ok := a.held.hold("192.0.2.1", answersHeld/2) // httptest's address
	if !ok {
		t.Fatal("there is no room")
	}
	defer free()
	if r := s.must(503, "alice", "POST /v1/batch", `{"requests":[`+large+`]}`); !strings.Contains(r.text, "as many large answers") || r.header.Get("Retry-After") == "" {
		t.Errorf("%.500s", r.text)
	}
}
