package router

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/host"
)

// Who is who on loopback.
var (
	gatewayHere  = netip.MustParseAddr("127.0.0.2")
	strangerHere = netip.MustParseAddr("127.0.0.3")
	ownHere      = netip.MustParseAddr("127.0.0.1")
)

// patience bounds waits for what comes within milliseconds.
const patience = 2 * time.Minute

// at starts a server at an address of loopback; not every system has more than one.
func at(t *testing.T, a netip.Addr, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp4", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		t.Skip("this system has one address of loopback: ", err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// trap is a stranger's server, which counts who comes.
func trap(t *testing.T) (url string, came *atomic.Int64) {
	came = new(atomic.Int64)
	return at(t, strangerHere, func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		fmt.Fprint(w, description("/control", ""))
	}), came
}

func description(control, base string) string {
	if base != "" {
		base = "<URLBase>" + base + "</URLBase>"
	}
	return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">` + base + `<device><serviceList><service>` +
		`<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><serviceId>1</serviceId><SCPDURL>/s</SCPDURL><controlURL>` + control + `</controlURL></service></serviceList></device></root>`
}

// Answers to a search come from the gateway, and lead to the gateway in digits.
func TestOnlyTheGatewayIsHeard(t *testing.T) {
	t.Parallel()
	speaks := func(a netip.Addr) *net.UDPConn {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		if err != nil {
			t.Skip("this system has one address of loopback: ", err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	gateway, stranger := speaks(gatewayHere), speaks(strangerHere)
	answer := func(location, st string) []byte {
		return []byte("HTTP/1.1 200 OK\r\nEXT:\r\nST: " + st + "\r\nUSN: 1\r\nLOCATION: " + location + "\r\n\r\n")
	}
	const kind = "urn:schemas-upnp-org:service:WANIPConnection:1"
	good := []string{"http://127.0.0.2/1", "http://127.0.0.2:5000/2", "http://127.0.0.2:5000/3", "http://127.0.0.2:65535/4"}
	lies := [][]byte{
		answer("http://127.0.0.3:80/", kind), answer("http://127.0.0.1:80/", kind), answer("http://localhost:80/", kind), answer("http://router.example:80/", kind),
		answer("http://127.0.0.2@127.0.0.3/", kind), answer("http://a:b@127.0.0.2/", kind), answer("https://127.0.0.2/", kind), answer("ftp://127.0.0.2/", kind), answer("//127.0.0.2/", kind),
		answer("http://127.0.0.2.example/", kind), answer("http://[::ffff:127.0.0.2]/", kind), answer("http://[::1]/", kind), answer("http://2130706434/", kind), answer("http://0177.0.0.2/", kind),
		answer("/router.xml", kind), answer("", kind), answer("http://127.0.0.2/"+strings.Repeat("x", locationLongest), kind),
		answer("http://127.0.0.2/other", "upnp:rootdevice"), []byte("HTTP/1.1 404 Not Found\r\nST: " + kind + "\r\nLOCATION: http://127.0.0.2/404\r\n\r\n"),
		[]byte("NOTIFY * HTTP/1.1\r\nLOCATION: http://127.0.0.2/notify\r\n\r\n"),
		{},
		{0},
		[]byte(strings.Repeat("x", 4<<10)),
	}
	asked := make(chan netip.AddrPort, 64)
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := gateway.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if strings.HasPrefix(string(buf[:n]), "M-SEARCH * HTTP/1.1\r\n") {
				select {
				case asked <- from:
				default:
				}
			}
		}
	}()
	send := func(from *net.UDPConn, b []byte, to netip.AddrPort) {
		if _, err := from.WriteToUDPAddrPort(b, to); err != nil {
			t.Error(err)
		}
	}
	var sender sync.WaitGroup
	t.Cleanup(sender.Wait) // before what it sends from is closed
	sender.Go(func() {
		var to netip.AddrPort
		select {
		case to = <-asked:
		case <-t.Context().Done():
			return
		}
		for _, g := range good { // in another one's mouth nothing is good
			send(stranger, answer(g+"/stranger", kind), to)
		}
		for _, l := range lies {
			send(gateway, l, to)
		}
		for _, g := range good {
			send(gateway, answer(g, kind), to)
			send(gateway, answer(g, kind), to)
		}
	})
	s := search{gateway: gatewayHere, own: ownHere, ask: []netip.AddrPort{gateway.LocalAddr().(*net.UDPAddr).AddrPort()}, lasts: patience}
	var got []string
	for _, u := range s.locations(t.Context()) { // ends when it has enough
		got = append(got, u.String())
	}
	if !slices.Equal(got, good) {
		t.Errorf("heard %q", got)
	}
}

// A stranger who may write a page at the gateway leads nobody away from it.
func TestDescriptionsLeadNowhereElse(t *testing.T) {
	t.Parallel()
	elsewhere, came := trap(t)
	for _, c := range []struct {
		name string
		page http.HandlerFunc
		want int
	}{
		{"an honest one", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, description("/control", "")) }, 1},
		{"control elsewhere", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, description(elsewhere+"/control", "")) }, 0},
		{"base elsewhere", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, description("/control", elsewhere)) }, 0},
		{"base that is none", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, description("/control", "%zz")) }, 0},
		{"control of another scheme", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, description("https://127.0.0.2/control", ""))
		}, 0},
		{"redirected", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) }, 0},
		{"redirected to the stranger by name", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(elsewhere, "127.0.0.3", "localhost", 1), http.StatusFound)
		}, 0},
		{"redirected at the gateway", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/again" {
				http.Redirect(w, r, "/again", http.StatusFound)
				return
			}
			fmt.Fprint(w, description("/control", ""))
		}, 0},
		{"not found", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, description("/control", ""))
		}, 0},
		{"no XML", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, 0},
		{"endless", func(w http.ResponseWriter, r *http.Request) { pour(w, r, "<root>") }, 0},
		{"endless head", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, 0},
		{"deep", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("<device>", 20_000)) }, 0},
		{"many services", func(w http.ResponseWriter, _ *http.Request) {
			d := description("/control", "")
			one := d[strings.Index(d, "<service>"):strings.Index(d, "</serviceList>")]
			fmt.Fprint(w, strings.Replace(d, one, strings.Repeat(one, 500), 1))
		}, servicesMost},
	} {
		u, err := url.Parse(at(t, gatewayHere, c.page))
		if err != nil {
			t.Fatal(err)
		}
		if got := (search{gateway: gatewayHere, own: ownHere}).described(t.Context(), []*url.URL{u}); len(got) != c.want {
			t.Errorf("%s: %d services", c.name, len(got))
		}
	}
	if n := came.Load(); n > 0 {
		t.Errorf("the stranger was visited %d times", n)
	}
	u, err := url.Parse(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if got := (search{gateway: gatewayHere, own: ownHere}).described(t.Context(), []*url.URL{u}); len(got) > 0 || came.Load() > 0 {
		t.Errorf("a connection to who is not the gateway: %d services, %d visits", len(got), came.Load())
	}
}

// pour answers without end, and says how much was taken.
func pour(w http.ResponseWriter, r *http.Request, text string) (taken int) {
	for r.Context().Err() == nil {
		n, err := fmt.Fprint(w, strings.Repeat(text, 1000))
		if taken += n; err != nil {
			break
		}
	}
	return taken
}

// What a service answers is bounded, and is an address or nothing.
func TestAServiceIsBelievedOnlyAnAddress(t *testing.T) {
	t.Parallel()
	elsewhere, came := trap(t)
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:GetExternalIPAddressResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1"><NewExternalIPAddress>`)
			_ = xml.EscapeText(w, []byte(text))
			fmt.Fprint(w, `</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>`)
		}
	}
	endless := make(chan int, 1)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		err    error
	}{
		{"an address", says("8.8.4.4"), "8.8.4.4", nil},
		{"an address mapped into IPv6", says("::ffff:8.8.4.4"), "8.8.4.4", nil},
		{"none", says(""), "", errNoWay},
		{"nothing's", says("0.0.0.0"), "", errNoWay},
		{"IPv6", says("2001:4860:4860::8844"), "", errNoWay},
		{"IPv6 with a zone", says("fe80::1%" + strings.Repeat("x", 1000)), "", errNoWay},
		{"words", says("8.8.4.4 or so"), "", errNoWay},
		{"redirected", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		}, "", errNobody},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			endless <- pour(w, r, "<!-- and so on -->")
		}, "", errNobody},
		{"never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "", errNobody},
	} {
		u, err := url.Parse(at(t, gatewayHere, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				fmt.Fprint(w, description("/control", ""))
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil { // only then the server notices who goes
				return
			}
			c.answer(w, r)
		}))
		if err != nil {
			t.Fatal(err)
		}
		services := search{gateway: gatewayHere, own: ownHere}.described(t.Context(), []*url.URL{u})
		if len(services) != 1 {
			t.Fatalf("%s: %d services", c.name, len(services))
		}
		got, err := (&upnp{services[0], ownHere}).outside(t.Context())
		if c.want != "" && got.String() != c.want || !errors.Is(err, c.err) || err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	if taken := <-endless; taken > 64<<20 { // what lies in the buffers of the system, too
		t.Errorf("%d bytes of an endless answer were taken", taken)
	}
	if n := came.Load(); n > 0 {
		t.Errorf("the stranger was visited %d times", n)
	}
}

func TestTwoWaysConfirm(t *testing.T) {
	t.Parallel()
	good, evil := netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("6.6.6.6")
	for _, c := range []struct {
		name  string
		said  []voice
		sure  bool
		other netip.Addr
	}{
		{"nobody", nil, false, netip.Addr{}},
		{"one", []voice{{UPnP, good}}, false, netip.Addr{}},
		{"one, twice", []voice{{UPnP, good}, {UPnP, good}}, false, netip.Addr{}},
		{"PCP and NAT-PMP", []voice{{PCP, good}, {NATPMP, good}}, true, netip.Addr{}},
		{"NAT-PMP and UPnP", []voice{{NATPMP, good}, {UPnP, good}}, true, netip.Addr{}},
		{"they differ", []voice{{NATPMP, good}, {UPnP, evil}}, false, evil},
		{"a third one differs", []voice{{PCP, good}, {NATPMP, good}, {UPnP, evil}}, false, evil},
		{"another service differs", []voice{{NATPMP, good}, {UPnP, good}, {UPnP, evil}}, false, evil},
		{"another one than it was", []voice{{NATPMP, evil}, {UPnP, evil}}, false, evil},
	} {
		err := weigh(good, c.said)
		doubt, _ := errors.AsType[*Doubt](err)
		if (err == nil) != c.sure || !c.sure && (doubt == nil || doubt.Other != c.other) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// An address of this machine's own needs no other voice; what nobody says is not sure.
func TestConfirm(t *testing.T) {
	t.Parallel()
	r := testRouter()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody is asked
	if own, err := host.Addresses(); err == nil && len(own) > 0 {
		r.become(State{Outside: own[0]})
		if err := r.Confirm(ctx, own[0]); err != nil || !r.State().Sure {
			t.Errorf("%v: %v", own[0], err)
		}
	}
	evil := netip.MustParseAddr("6.6.6.6")
	r.become(State{Outside: evil})
	if err := r.Confirm(ctx, evil); err == nil || r.State().Sure {
		t.Errorf("%v is sure", evil)
	}
	if s := LookIn(ctx, []Way{PCP}); s.Outside.IsValid() || s.Sure {
		t.Errorf("nobody was asked, and says %+v", s)
	}
}
