package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/servertest"
)

// crowd is a server, and visitors of it at addresses of their own, which loopback has
// plenty of: 127.0.0.1 is this machine itself, all others are strangers.
type crowd struct {
	*servertest.Server
	t    *testing.T
	at   string // listener that is visited
	mu   sync.Mutex
	held []net.Conn
}

// answerTime is how long an answer is waited for.
const answerTime = time.Minute

func newCrowd(t *testing.T, plain bool, limit int) *crowd {
	t.Helper()
	c := &crowd{t: t, at: host.HTTPS}
	if plain {
		c.at = host.HTTP
	}
	c.Server = servertest.Start(t, servertest.Config{PlainHTTP: plain, Settings: func(s *config.Settings) {
		s.Limits.Connections = limit
		// Nobody is let go of for being slow: it is the room that makes them go.
		s.Limits.HeaderSeconds, s.Limits.IdleSeconds, s.Limits.BodySeconds = 3600, 3600, 3600
	}})
	t.Cleanup(func() {
		for _, one := range c.held {
			one.Close()
		}
	})
	return c
}

// dial connects as somebody at an address.
func (c *crowd) dial(ctx context.Context, from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: answerTime}
	return d.DialContext(ctx, "tcp", c.Addr(c.at))
}

// hold connects as somebody at an address, says so much, and stays; closed at once is
// as good.
func (c *crowd) hold(from, said string) {
	c.t.Helper()
	conn, err := c.dial(c.t.Context(), from)
	if err != nil {
		return
	}
	if c.at == host.HTTPS && said != "" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	_ = conn.SetDeadline(time.Now().Add(2 * answerTime))
	io.WriteString(conn, said)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = append(c.held, conn)
}

// visitor is a client at an address; dials counts its connections.
func (c *crowd) visitor(from string) (client *http.Client, dials *atomic.Int64) {
	dials = &atomic.Int64{}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		return c.dial(ctx, from)
	}}
	if c.at == host.HTTPS {
		tr.TLSClientConfig = &tls.Config{RootCAs: c.Roots()}
	}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: answerTime}, dials
}

// write puts a record as the owner.
func (c *crowd) write(client *http.Client, id string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPut, c.URL+"/v1/buckets/default/collections/c/records/"+id, strings.NewReader(`{"data":{}}`))
	if err != nil {
		c.t.Fatal(err)
	}
	r.SetBasicAuth(servertest.Owner, servertest.Password)
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		c.t.Fatalf("a member was not answered: %v", err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s %v", resp.Status, text, err)
	}
}

// membersGetIn is what a member at an address of their own does: each time by a connection that
// was not there before, while somebody goes on.
func (c *crowd) membersGetIn(times int, meanwhile func(i int)) {
	c.t.Helper()
	for i := range times {
		client, _ := c.visitor(fmt.Sprintf("127.0.9.%d", i+1))
		c.write(client, fmt.Sprintf("r%d", i))
		client.CloseIdleConnections()
		meanwhile(i)
	}
}

// However many connections somebody at one address holds and opens again, everybody else
// gets in with the first one. The whole dose is 4,096.
func TestAFloodFromOneAddressShutsNobodyOut(t *testing.T) {
	t.Attr("shows", "mend2")
	limit, dose := 64, 300
	if os.Getenv("SHOW_WHOLE") != "" {
		limit, dose = config.Default().Limits.Connections, 4096+200
	}
	c := newCrowd(t, false, limit)
	for range dose {
		c.hold("127.0.0.2", "")
	}
	c.membersGetIn(20, func(int) {
		for range 5 {
			c.hold("127.0.0.2", "")
		}
	})
	if h, status, err := c.Health(); err != nil || status != http.StatusOK {
		t.Errorf("%d %+v, %v", status, h, err)
	}
	t.Logf("SHOW %d idle connections held and opened again from one address, of %d there is room for: 20 of 20 members at other addresses were answered at their first connection", dose+100, limit)
}

// Heads that never end, and bodies, from as many addresses as fill the server.
func TestHalfRequestsShutNobodyOut(t *testing.T) {
	t.Attr("shows", "mend2")
	for what, said := range map[string]string{
		"half a head": "GET /v1/ HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"half a body": "POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
	} {
		t.Run(what, func(t *testing.T) {
			c := newCrowd(t, true, 64)
			more := func(n int) {
				for i := range n {
					c.hold(fmt.Sprintf("127.0.0.%d", 2+i%8), said)
				}
			}
			more(8 * 20)
			c.membersGetIn(20, func(int) { more(8) })
		})
	}
}

// A flood from many addresses, one connection each: members get in, and a member who is
// there, and asks for something now and then, stays by the same connection.
func TestAFloodFromManyAddressesLeavesMembersIn(t *testing.T) {
	t.Attr("shows", "mend2")
	c := newCrowd(t, true, 64)
	stays, dials := c.visitor("127.0.9.200")
	c.write(stays, "first")
	n := 0
	flood := func(times int) {
		for range times {
			c.hold(fmt.Sprintf("127.0.%d.%d", 1+n/200%4, 1+n%200), "")
			n++
		}
	}
	c.membersGetIn(40, func(int) {
		flood(20)
		c.write(stays, "again")
	})
	if dials.Load() != 1 {
		t.Errorf("the member who was there needed %d connections", dials.Load())
	}
	t.Logf("SHOW %d connections from 800 addresses, of 64 there is room for: 40 of 40 members got in at once, and who was there stayed", n)
}

// aFeed is a change feed, as its client sees it.
type aFeed struct {
	status int
	header http.Header
	text   string // of a refusal
	first  chan string
	ended  chan string // the last event
}

// feed opens one as somebody at an address, who may have signed in.
func (c *crowd) feed(client *http.Client, signedIn bool) *aFeed {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.URL+"/v1/buckets/open/collections/c/records", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if signedIn {
		r.SetBasicAuth(servertest.Owner, servertest.Password)
	}
	resp, err := client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	w := &aFeed{status: resp.StatusCode, header: resp.Header, first: make(chan string, 1), ended: make(chan string, 1)}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		w.text = string(text)
		return w
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	go func() { // until the feed ends, with the test at the latest
		last := ""
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
				if last == "" {
					w.first <- name
				}
				last = name
			}
		}
		w.ended <- last
	}()
	return w
}

// Change feeds: an address has its share; and when all are taken, a member gets the place
// of who holds most.
func TestFeedsOfSomeLeaveRoomForOthers(t *testing.T) {
	t.Attr("shows", "mend2")
	c := newCrowd(t, true, 400) // of which 200 may be feeds
	c.Do(http.MethodPut, "/v1/buckets/open", `{"permissions":{"read":["system.Everyone"]}}`)
	c.Do(http.MethodPut, "/v1/buckets/open/collections/c", "")
	patient := func(from string) *http.Client {
		client, _ := c.visitor(from)
		client.Timeout = 4 * answerTime
		return client
	}
	var all []*aFeed
	flood := func(from string, n int) (opened int, refused *aFeed) {
		client := patient(from)
		for range n {
			w := c.feed(client, false)
			if w.status == http.StatusOK {
				opened++
				all = append(all, w)
			} else {
				refused = w
			}
		}
		return opened, refused
	}
	opened, refused := flood("127.0.0.2", 200)
	if opened != 50 || refused == nil {
		t.Fatalf("one address has %d feeds of 200", opened)
	}
	if wait, err := strconv.Atoi(refused.header.Get("Retry-After")); refused.status != http.StatusServiceUnavailable || err != nil || wait < 1 || !strings.Contains(refused.text, "change feeds of one address or account") {
		t.Errorf("refused with %d %v %s", refused.status, refused.header, refused.text)
	}
	member := func(from string) {
		t.Helper()
		w := c.feed(patient(from), true)
		if w.status != http.StatusOK {
			t.Fatalf("a member has no feed: %d %s", w.status, w.text)
		}
		if first := <-w.first; first != "ready" {
			t.Errorf("%q", first)
		}
	}
	member("127.0.0.200")
	for i := range 7 {
		flood(fmt.Sprintf("127.0.0.%d", 3+i), 50)
	}
	for i := range 5 {
		member(fmt.Sprintf("127.0.0.%d", 201+i))
	}
	ended := 0
	for _, w := range all {
		select {
		case last := <-w.ended:
			if ended++; last != "error" {
				t.Errorf("a feed ended with %q", last)
			}
		default:
		}
	}
	if len(all) < 200 || ended == 0 {
		t.Errorf("%d feeds of strangers, of which %d ended", len(all), ended)
	}
	t.Logf("SHOW 200 feeds of one address: %d opened, the others refused; of strangers at 8 addresses: 6 of 6 members got theirs, %d of strangers ended for them", opened, ended)
}
