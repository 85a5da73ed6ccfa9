package dnsprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/foyer-server/foyer/internal/hint"
)

func TestOpen(t *testing.T) {
	for _, name := range Names() {
		required, optional := Needs(name)
		if len(required) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
		all := map[string]string{}
		for _, k := range slices.Concat(required, optional) {
			all[k] = "secret-value"
		}
		if p, err := Open(name, all); err != nil || p == nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, k := range required {
			some := map[string]string{"surplus": "secret-value"}
			if _, err := Open(name, some); err == nil || strings.Contains(err.Error(), "secret-value") || !strings.Contains(err.Error(), "surplus") {
				t.Errorf("%s with a surplus key: %v", name, err)
			}
			delete(some, "surplus")
			for _, other := range required {
				if other != k {
					some[other] = "secret-value"
				}
			}
			_, err := Open(name, some)
			if h := hint.Find(err); h == nil || h.Code != "dns-provider" || !strings.Contains(h.What.EN, k) || !strings.Contains(h.What.FR, k) {
				t.Errorf("%s without %s: %v", name, k, err)
			}
		}
	}
	if _, err := Open("nobody", nil); err == nil || !strings.Contains(hint.Describe(err, hint.FR), "desec") {
		t.Errorf("an unknown provider: %v", err)
	}
}

func TestCredentials(t *testing.T) {
	c, err := Credentials([]string{"key=aGVsbG8=", "key_name=foyer."})
	if err != nil || c["key"] != "aGVsbG8=" || c["key_name"] != "foyer." {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := Credentials([]string{"a=b", "hunter2"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a word that is no pair: %v", err)
	}
}

// cloud answers as Hetzner's API does, for one zone, two sets a page.
type cloud struct {
	mu      sync.Mutex
	sets    map[string]*hetznerSet // NAME/TYPE
	running int                    // actions that have not ended
	fail    string                 // what an action ends with
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refuse := func(status int, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":"x","message":%q}}`, message)
	}
	if r.Header.Get("Authorization") != "Bearer the-token" {
		refuse(http.StatusUnauthorized, "unable to authenticate")
		return
	}
	action := func() {
		status := "success"
		if c.running > 0 {
			status = "running"
			c.running--
		} else if c.fail != "" {
			status = "error"
		}
		fmt.Fprintf(w, `{"action":{"id":7,"status":%q,"error":{"message":%q}}}`, status, c.fail)
	}
	if r.URL.Path == "/actions/7" {
		action()
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/zones/home.example/rrsets")
	if !ok {
		refuse(http.StatusNotFound, "zone not found")
		return
	}
	var body hetznerSet
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			refuse(http.StatusBadRequest, err.Error())
			return
		}
	}
	if path == "" && r.Method == http.MethodGet {
		var keys []string
		for k := range c.sets {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		next, page := "null", []*hetznerSet{}
		if r.URL.Query().Get("page") == "2" {
			keys = keys[2:]
		} else if len(keys) > 2 {
			keys, next = keys[:2], "2"
		}
		for _, k := range keys {
			page = append(page, c.sets[k])
		}
		list, _ := json.Marshal(page)
		fmt.Fprintf(w, `{"rrsets":%s,"meta":{"pagination":{"next_page":%s}}}`, list, next)
		return
	}
	if path == "" {
		c.sets[body.Name+"/"+body.Type] = &body
		action()
		return
	}
	parts := strings.Split(path, "/") // "", NAME, TYPE, "actions", ACTION
	key := parts[1] + "/" + parts[2]
	set := c.sets[key]
	if set == nil && parts[4] != "add_records" {
		refuse(http.StatusNotFound, "rrset not found")
		return
	}
	switch parts[4] {
	case "add_records":
		if set == nil {
			set = &hetznerSet{Name: parts[1], Type: parts[2], TTL: body.TTL}
			c.sets[key] = set
		}
		set.Records = append(set.Records, body.Records...)
	case "remove_records":
		set.Records = slices.DeleteFunc(set.Records, func(r hetznerRecord) bool { return slices.Contains(body.Records, r) })
		if len(set.Records) == 0 {
			delete(c.sets, key)
		}
	case "set_records":
		set.Records = body.Records
	case "change_ttl":
		set.TTL = body.TTL
	}
	action()
}

func TestHetzner(t *testing.T) {
	c := &cloud{sets: map[string]*hetznerSet{"www/CNAME": {Name: "www", Type: "CNAME", Records: []hetznerRecord{{"home.example."}}}}}
	srv := httptest.NewServer(c)
	defer srv.Close()
	h, ctx := &hetzner{token: "the-token", url: srv.URL}, t.Context()
	long := strings.Repeat("x", 300) + ` "quoted" \`
	txt := func(s string) libdns.Record {
		return libdns.TXT{Name: "_acme-challenge", TTL: time.Minute, Text: s}
	}
	address := func(ip string, ttl time.Duration) libdns.Record {
		return libdns.Address{Name: "@", TTL: ttl, IP: netip.MustParseAddr(ip)}
	}
	has := func(want ...libdns.Record) {
		t.Helper()
		got, err := h.GetRecords(ctx, "home.example.")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, libdns.CNAME{Name: "www", Target: "home.example."})
		if len(got) != len(want) {
			t.Fatalf("the zone holds %v, want %v", got, want)
		}
		for _, w := range want {
			if !slices.ContainsFunc(got, func(g libdns.Record) bool { return g.RR() == w.RR() }) {
				t.Fatalf("the zone holds %v, not %v", got, w.RR())
			}
		}
	}
	do := func(_ []libdns.Record, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c.running = 2
	do(h.AppendRecords(ctx, "home.example.", []libdns.Record{txt("one"), txt(long)}))
	has(txt("one"), txt(long))
	do(h.SetRecords(ctx, "home.example.", []libdns.Record{address("192.0.2.1", time.Hour)}))
	do(h.SetRecords(ctx, "home.example.", []libdns.Record{address("192.0.2.2", time.Minute)}))
	has(txt("one"), txt(long), address("192.0.2.2", time.Minute))
	do(h.DeleteRecords(ctx, "home.example.", []libdns.Record{txt("one"), txt(long)}))
	do(h.DeleteRecords(ctx, "home.example.", []libdns.Record{txt("one")})) // again
	has(address("192.0.2.2", time.Minute))

	c.fail = "the zone is locked"
	if _, err := h.AppendRecords(ctx, "home.example.", []libdns.Record{txt("one")}); err == nil || !strings.Contains(err.Error(), "the zone is locked") {
		t.Errorf("an action that failed: %v", err)
	}
	if _, err := h.GetRecords(ctx, "other.example."); err == nil || !strings.Contains(err.Error(), "zone not found") {
		t.Errorf("a zone that is not theirs: %v", err)
	}
	h.token = "wrong-token"
	if _, err := h.GetRecords(ctx, "home.example."); err == nil || !strings.Contains(err.Error(), "unable to authenticate") || strings.Contains(err.Error(), "wrong-token") {
		t.Errorf("a wrong token: %v", err)
	}
}

// gossip is a provider that tells everything it knows.
type gossip struct{ said error }

func (g gossip) GetRecords(context.Context, string) ([]libdns.Record, error) { return nil, g.said }
func (g gossip) AppendRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, g.said
}

func (g gossip) SetRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, g.said
}

func (g gossip) DeleteRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, g.said
}

func TestErrorsTellNoSecret(t *testing.T) {
	const token = "s3cret/with signs"
	said := fmt.Errorf("Get %q (%s): %w", "https://dns.example/?token="+url.QueryEscape(token), token, context.DeadlineExceeded)
	p := discreet{gossip{said}, newDiscretion(map[string]string{"token": token, "server": "dns.example"})}
	calls := map[string]func() ([]libdns.Record, error){
		"get":    func() ([]libdns.Record, error) { return p.GetRecords(t.Context(), "z.") },
		"append": func() ([]libdns.Record, error) { return p.AppendRecords(t.Context(), "z.", nil) },
		"set":    func() ([]libdns.Record, error) { return p.SetRecords(t.Context(), "z.", nil) },
		"delete": func() ([]libdns.Record, error) { return p.DeleteRecords(t.Context(), "z.", nil) },
	}
	for name, call := range calls {
		_, err := call()
		if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") || !strings.Contains(err.Error(), "dns.example") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// DuckDNS shows its token when it does not like it; Open's errors pass through here.
func TestDuckDNSKeepsItsToken(t *testing.T) {
	p, err := Open("duckdns", map[string]string{"api_token": "not-of-the-right-length"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.SetRecords(t.Context(), "x.duckdns.org.", []libdns.Record{libdns.TXT{Name: "@", Text: "v"}})
	if err == nil || strings.Contains(err.Error(), "not-of-the-right-length") {
		t.Errorf("it says: %v", err)
	}
}
