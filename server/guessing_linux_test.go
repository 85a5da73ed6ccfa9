package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	offers "github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/servertest"
)

// What may be guessed (server/people/guess.go, codes.go): wrong passwords of one name,
// wherever they come from; of all names from one address; codes from one address.
const (
	wrongOfOneName    = 20
	wrongFromOnePlace = 60
	codesFromOnePlace = 3_000
)

// dose is how many guesses are made in all: the whole when SHOW_WHOLE is set.
func dose() (n int, whole bool) {
	if os.Getenv("SHOW_WHOLE") != "" {
		return 30_000, true
	}
	return 1_500, false
}

// fromAddress is a client that comes from one address of this machine.
func fromAddress(t *testing.T, address string) *http.Client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	tr := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// places are addresses that guesses come from.
func places(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("127.0.0.%d", i+1))
	}
	return all
}

// What an answer to a guess says.
const (
	saidWrong = "wrong"
	saidRight = "right"
	saidLater = "turned away" // nothing was compared
)

// heard is an answer, as far as two can be told apart by it.
type heard struct {
	says string
	all  string
}

var minutes = regexp.MustCompile(`(in|dans) [0-9]+ min`)

// hear sends a request.
func hear(c *http.Client, r *http.Request) (*http.Response, heard, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, heard{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, heard{}, err
	}
	resp.Header.Del("Date")
	body = minutes.ReplaceAll(body, []byte("in … min"))
	return resp, heard{all: fmt.Sprintf("%s %v %s", resp.Status, resp.Header, body)}, nil
}

// attempt is one guess at a door.
type attempt func(ctx context.Context, c *http.Client, base, name, guess string) (heard, error)

// atTheAPI guesses a password by a request of an app.
func atTheAPI(ctx context.Context, c *http.Client, base, name, guess string) (heard, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/buckets", nil)
	if err != nil {
		return heard{}, err
	}
	r.SetBasicAuth(name, guess)
	resp, h, err := hear(c, r)
	if err != nil {
		return h, err
	}
	h.says = map[int]string{http.StatusOK: saidRight, http.StatusUnauthorized: saidWrong, http.StatusServiceUnavailable: saidLater}[resp.StatusCode]
	return h, nil
}

// atThePages guesses a password by signing in.
func atThePages(ctx context.Context, c *http.Client, base, name, guess string) (heard, error) {
	resp, h, err := post(ctx, c, base+"/signin", "", "name", name, "password", guess)
	if err != nil {
		return h, err
	}
	h.says = map[int]string{http.StatusSeeOther: saidRight, http.StatusForbidden: saidWrong, http.StatusTooManyRequests: saidLater, http.StatusServiceUnavailable: saidLater}[resp.StatusCode]
	return h, nil
}

// atTheClaim guesses a code.
func atTheClaim(ctx context.Context, c *http.Client, base, name, guess string) (heard, error) {
	resp, h, err := post(ctx, c, base+"/claim", "", "code", guess, "name", name, "password", servertest.Password)
	if err != nil {
		return h, err
	}
	h.says = map[int]string{http.StatusSeeOther: saidRight, http.StatusForbidden: saidWrong, http.StatusTooManyRequests: saidLater, http.StatusServiceUnavailable: saidLater}[resp.StatusCode]
	h.all = strings.ReplaceAll(h.all, guess, "CODE") // the form is shown again
	return h, nil
}

func post(ctx context.Context, c *http.Client, to, cookie string, fields ...string) (*http.Response, heard, error) {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, heard{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return hear(c, r)
}

// flood is many guesses.
type flood struct {
	what, base string
	try        attempt
	from       []string
	name       func(i int) string // whose password the i-th is
	wrong      func(i int) string
	right      string // one of them; empty: none
	n          int
}

// outcome is what came of a flood.
type outcome struct {
	compared int // guesses that were answered as wrong, or as right
	told     bool
	place    int // of the right one
	took     time.Duration
}

// run makes all guesses as fast as they go, the right one at a random place among them.
func (f flood) run(t *testing.T) (o outcome) {
	t.Helper()
	place, err := rand.Int(rand.Reader, big.NewInt(int64(f.n)))
	if err != nil {
		t.Fatal(err)
	}
	o.place = int(place.Int64())
	if f.right == "" {
		o.place = -1
	}
	var mu sync.Mutex
	var right heard
	later := map[string]int{}
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	// From one address few come at once: of many most are turned away, and are no guesses.
	for w := range min(40, 3*len(f.from)) {
		c := fromAddress(t, f.from[w%len(f.from)])
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= f.n || t.Failed() {
					return
				}
				guess := f.wrong(i)
				if i == o.place {
					guess = f.right
				}
				h, err := f.try(t.Context(), c, f.base, f.name(i), guess)
				if err != nil || h.says == "" {
					t.Errorf("%s: guess %d: %q %v", f.what, i, h.all, err)
					return
				}
				mu.Lock()
				switch {
				case i == o.place:
					right = h
				case h.says == saidRight:
					t.Errorf("%s: a wrong guess is right: %s", f.what, h.all)
				case h.says == saidLater:
					later[h.all]++
				}
				if h.says != saidLater {
					o.compared++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	o.took = time.Since(begin)
	switch right.says {
	case saidRight:
		o.told = true
	case saidWrong:
		t.Errorf("%s: the right guess, at %d, was compared and called wrong: %s", f.what, o.place, right.all)
	case saidLater:
		if later[right.all] == 0 {
			t.Errorf("%s: the right guess, at %d, is answered in a way of its own: %s\nothers: %v", f.what, o.place, right.all, later)
		}
	}
	return o
}

// goesOn is somebody who uses their server while others guess: how often they did so, and
// what went wrong.
type goesOn struct {
	what string
	do   func(ctx context.Context) (*http.Response, heard, error)
	want int
	n    int
}

// meanwhile does what people do until stop, at least once after that.
func meanwhile(t *testing.T, all []*goesOn, stop <-chan struct{}) (wait func()) {
	t.Helper()
	var wg sync.WaitGroup
	for _, g := range all {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for last := false; ; {
				resp, h, err := g.do(t.Context())
				if err != nil || resp.StatusCode != g.want {
					t.Errorf("%s, after %d times: %.2000s %v", g.what, g.n, h.all, err)
					return
				}
				if g.n++; last {
					return
				}
				select {
				case <-stop:
					last = true
				case <-tick.C:
				}
			}
		})
	}
	return wg.Wait
}

// household is a claimed server with people whose passwords are guessed.
type household struct {
	*servertest.Server
	base string
}

func newHousehold(t *testing.T, c servertest.Config) *household {
	c.PlainHTTP = true
	s := servertest.Start(t, c)
	return &household{s, "http://" + s.Addr(host.HTTP)}
}

// victim is somebody whose password is guessed.
type victim struct {
	name, password  string
	session, device string // cookies
	app             string
}

// victim moves in: the owner invites them, they come in with a browser, connect an app, and use
// the API from one address.
func (h *household) victim(t *testing.T, owner *browser, name string) *victim {
	t.Helper()
	v := &victim{name: name, password: rand.Text()}
	c := fromAddress(t, "127.0.1.1")
	_, body := owner.send("/people", "", "for", name, "role", "member")
	code := regexp.MustCompile(`/join#code=([A-Z0-9]+)`).FindStringSubmatch(body)
	if code == nil {
		t.Fatal(body)
	}
	resp, answer, err := post(t.Context(), c, h.base+"/join", "", "code", code[1], "name", name, "password", v.password)
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s %v", answer.all, err)
	}
	v.session, v.device = cookiesOf(resp)
	_, answer, err = post(t.Context(), c, h.base+"/apps", v.session, "label", "notes")
	if v.app = appPassword.FindString(answer.all); err != nil || v.app == "" || v.device == "" {
		t.Fatalf("%+v %s %v", v, answer.all, err)
	}
	if got, err := atTheAPI(t.Context(), c, h.base, name, v.password); err != nil || got.says != saidRight {
		t.Fatalf("%s %v", got.all, err)
	}
	return v
}

// cookiesOf are those of a session and of a device, as a browser sends them back.
func cookiesOf(resp *http.Response) (session, device string) {
	for _, one := range resp.Cookies() {
		pair := one.Name + "=" + one.Value
		if one.Quoted {
			pair = one.Name + `="` + one.Value + `"`
		}
		if one.Name == "__Host-foyer" {
			session = pair
		} else if one.Name == "__Host-foyer-device" {
			device = pair
		}
	}
	return session, device
}

// lives is what a victim does meanwhile.
func (h *household) lives(t *testing.T, v *victim) []*goesOn {
	t.Helper()
	get := func(c *http.Client, path, auth, cookie string) func(context.Context) (*http.Response, heard, error) {
		return func(ctx context.Context) (*http.Response, heard, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+path, nil)
			if err != nil {
				return nil, heard{}, err
			}
			if auth != "" {
				r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(v.name+":"+auth)))
			}
			if cookie != "" {
				r.Header.Set("Cookie", cookie)
			}
			return hear(c, r)
		}
	}
	away, known := fromAddress(t, "127.0.1.2"), v.device
	return []*goesOn{
		{what: v.name + " in a browser that is signed in", want: http.StatusOK, do: get(away, "/account", "", v.session)},
		{what: v.name + " signs in again in a browser they used before", want: http.StatusSeeOther, do: func(ctx context.Context) (*http.Response, heard, error) {
			resp, answer, err := post(ctx, away, h.base+"/signin", known, "name", v.name, "password", v.password)
			if err == nil && resp.StatusCode == http.StatusSeeOther {
				session, _ := cookiesOf(resp)
				known = v.device + "; " + session // which ends with the next
			}
			return resp, answer, err
		}},
		{what: v.name + " by the API, from an address they used before", want: http.StatusOK, do: get(fromAddress(t, "127.0.1.1"), "/v1/buckets", v.password, "")},
		{what: "an app of " + v.name, want: http.StatusOK, do: get(away, "/v1/buckets", v.app, "")},
	}
}

// TestPasswordsAreGuessedInVain floods a server with guesses at a password, as fast as it
// answers, with the right one among them: no more are compared than are counted, and
// people go on meanwhile on the devices they used before.
func TestPasswordsAreGuessedInVain(t *testing.T) {
	t.Attr("shows", "mend")
	inItsPart(t)
	all, whole := dose()
	n := all / 6
	h := newHousehold(t, servertest.Config{Settings: func(s *config.Settings) {
		// What was right is not remembered: each of the people's own requests is checked anew.
		s.Kinto = config.NewKinto(map[string]string{"account_cache_ttl_seconds": "0"})
	}})
	owner := newBrowser(t, h.Server).signIn()
	rounds := 1
	if whole {
		rounds = 2 // before the first pause and in it; after it and in the next
	}
	for _, x := range []struct {
		what string
		api  bool
		try  attempt
		from []string
	}{
		{"by the API from one address", true, atTheAPI, places(1)},
		{"by the API from forty", true, atTheAPI, places(40)},
		{"at the pages from one address", false, atThePages, places(41)[40:]},
		{"at the pages from forty", false, atThePages, places(81)[41:]},
	} {
		if watched && !whole && (x.api != (len(x.from) == 1)) {
			continue // one of each will do
		}
		v := h.victim(t, owner, fmt.Sprintf("victim%d", len(x.what)))
		people := h.lives(t, v)
		stop := make(chan struct{})
		wait := meanwhile(t, people, stop)
		for round := range rounds {
			if round > 0 {
				h.untilAfterPause(t, x.try, x.from[0], v.name)
			}
			o := flood{
				what: x.what, base: h.base, try: x.try, from: x.from, right: v.password, n: n,
				name: func(int) string { return v.name }, wrong: func(int) string { return rand.Text() },
			}.run(t)
			limit := wrongOfOneName
			if round > 0 {
				limit-- // one showed that the pause was over
			}
			if o.compared > limit+b2i(o.told) {
				t.Errorf("%s: %d were compared", x.what, o.compared)
			}
			t.Logf("SHOW guessing %s, round %d: %d in %.1f s, %d compared (of %d), the right one at place %d: told: %v", x.what, round+1, n, o.took.Seconds(), o.compared, limit, o.place, o.told)
		}
		close(stop)
		wait()
		var told []string
		for _, g := range people {
			told = append(told, fmt.Sprintf("%d × %s", g.n, strings.TrimPrefix(g.what, v.name+" ")))
		}
		t.Logf("SHOW meanwhile, all let in: %s", strings.Join(told, ", "))
	}
	// Many names from one address: of none so many, and yet.
	if whole || !watched {
		o := flood{
			what: "many names from one address", base: h.base, try: atThePages, from: []string{"127.0.0.200"}, n: min(n, 1000),
			name: func(i int) string { return fmt.Sprintf("name%d", i) }, wrong: func(int) string { return rand.Text() },
		}.run(t)
		if o.compared > wrongFromOnePlace {
			t.Errorf("%d were compared", o.compared)
		}
		t.Logf("SHOW guessing many names from one address: %d in %.1f s, %d compared (of %d)", min(n, 1000), o.took.Seconds(), o.compared, wrongFromOnePlace)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// untilAfterPause waits until a guess is compared again.
func (h *household) untilAfterPause(t *testing.T, try attempt, from, name string) {
	t.Helper()
	c := fromAddress(t, from)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * patience); ; {
		got, err := try(t.Context(), c, h.base, name, rand.Text())
		if err != nil {
			t.Fatal(err)
		}
		if got.says == saidWrong {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the pause does not end")
		}
		<-tick.C
	}
}

// TestCodesAreGuessedInVain floods an unclaimed server with codes: of those from one
// address so many are compared, and whoever is at the machine makes a code that works
// within a minute from elsewhere, while the flood goes on.
func TestCodesAreGuessedInVain(t *testing.T) {
	t.Attr("shows", "mend")
	inItsPart(t)
	all, whole := dose()
	n := all / 6
	for _, x := range []struct {
		what string
		from []string
	}{{"from one address", places(1)}, {"from forty", places(40)}} {
		h := newHousehold(t, servertest.Config{Unclaimed: true})
		f := flood{
			what: "codes " + x.what, base: h.base, try: atTheClaim, from: x.from, n: n,
			name: func(int) string { return "mallory" },
			wrong: func(int) string { // never the right one, which has no such letter
				return "U" + rand.Text()[:3] + "-" + rand.Text()[:4]
			},
		}
		if whole && len(x.from) == 1 {
			// Before the pause the right code is right; in it nothing is.
			before, o := f, outcome{}
			for deadline := time.Now().Add(2 * patience); o.compared < codesFromOnePlace && time.Now().Before(deadline); {
				before.n = codesFromOnePlace - o.compared
				some := before.run(t)
				o.compared, o.took = o.compared+some.compared, o.took+some.took
			}
			f.right = h.Code
			f.n = n - codesFromOnePlace
			after := f.run(t)
			if after.compared > 0 || after.told || o.compared > codesFromOnePlace {
				t.Errorf("%s: %d, then %d were compared; told: %v", f.what, o.compared, after.compared, after.told)
			}
			t.Logf("SHOW guessing %s: %d in %.1f s, %d compared (of %d), the right one at place %d in the pause: told: %v", f.what, n, (o.took + after.took).Seconds(), o.compared+after.compared, codesFromOnePlace, after.place, after.told)
		} else {
			o := f.run(t)
			if most := codesFromOnePlace * len(x.from); o.compared > most {
				t.Errorf("%s: %d were compared", f.what, o.compared)
			}
			t.Logf("SHOW guessing %s: %d in %.1f s, %d compared (of %d for each address)", f.what, n, o.took.Seconds(), o.compared, codesFromOnePlace)
		}
		h.freshCode(t, x.what, x.from)
	}
}

// freshCode leaves a new code, as foyer claim does, and types it elsewhere while others
// go on guessing.
func (h *household) freshCode(t *testing.T, what string, from []string) {
	t.Helper()
	guessers, within := 80, time.Minute
	if _, whole := dose(); whole {
		guessers = 400
	} else if watched {
		guessers, within = 16, 10*time.Minute
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var guesses atomic.Int64
	var wg sync.WaitGroup
	for w := range guessers {
		c := fromAddress(t, from[w%len(from)])
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := atTheClaim(ctx, c, h.base, "mallory", "U"+rand.Text()[:7]); err != nil {
					if ctx.Err() == nil {
						t.Errorf("codes %s: %v", what, err)
					}
					return
				}
				guesses.Add(1)
			}
		})
	}
	for deadline := time.Now().Add(patience); guesses.Load() < 100; {
		if time.Now().After(deadline) {
			t.Fatal("nobody guesses")
		}
		<-time.After(time.Millisecond)
	}
	code, offer, err := offers.NewCode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if hash, err := bcrypt.GenerateFromPassword([]byte(offers.Normalise(code)), bcrypt.MinCost); err != nil {
		t.Fatal(err)
	} else if offer.CodeHash = string(hash); offers.Leave(h.Data, offer, -1, -1) != nil {
		t.Fatal("no offer can be left")
	}
	begin, tries, before := time.Now(), 0, guesses.Load()
	var answers []string
	for away := fromAddress(t, "127.0.2.1"); ; {
		tries++
		got, err := atTheClaim(t.Context(), away, h.base, servertest.Owner, code)
		if err != nil {
			t.Fatal(err)
		}
		if answers = append(answers, got.says); got.says == saidRight {
			break
		}
		if got.says == saidWrong || time.Since(begin) > within {
			t.Errorf("a fresh code %s: %d tries in %v: %.500s", what, tries, time.Since(begin), got.all)
			break
		}
	}
	took, meanwhile := time.Since(begin), guesses.Load()-before
	cancel()
	wg.Wait()
	if len(answers) > 1 && slices.Contains(answers, saidLater) {
		t.Logf("a fresh code %s was turned away %d times", what, len(answers)-1)
	}
	t.Logf("SHOW a fresh code while codes are guessed %s: works at try %d, after %.2f s and %d guesses more", what, tries, took.Seconds(), meanwhile)
	var b bytes.Buffer
	fmt.Fprint(&b, h.Log())
	if strings.Contains(b.String(), code) {
		t.Error("the code is in the log")
	}
}

// inItsPart skips what takes minutes with the race detector, and what a newcomer need not
// wait for: `.ci/test matrix` runs it.
func inItsPart(t *testing.T) {
	t.Helper()
	if watched || os.Getenv("CI") == "" {
		t.Skip("`.ci/test matrix` runs this")
	}
}
