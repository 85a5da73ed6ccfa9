package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"go/ast"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libdns/libdns"

	"github.com/foyer-server/foyer/cmd/foyer/appliance"
	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server/certs"
	"github.com/foyer-server/foyer/server/dial"
	"github.com/foyer-server/foyer/supervisor/dyndns"
	"github.com/foyer-server/foyer/supervisor/reach"
	"github.com/foyer-server/foyer/supervisor/router"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// hostsOf are names and addresses by what they are, as the registries have it.
var hostsOf = map[string]string{
	"public": "cloud.jeannine-martin.fr Cloud.Jeannine-Martin.FR *.jeannine-martin.fr jeannine.duckdns.org x.myfritz.net xn--bcher-kva.fr notlan.fr nas.box " +
		"81.2.69.142 100.128.0.1 2a01:e0a::1 2A01:E0A::1 ::ffff:81.2.69.142",
	// A home CA may vouch for these wherever it is trusted.
	"nobody else's": "nas.local nas.home.arpa db.internal nas.lan NAS.Lan localhost " +
		"10.1.2.3 172.31.255.255 192.168.1.2 169.254.1.2 127.0.0.1 ::1 fd00::1 fe80::1 ::ffff:192.168.1.2",
	// Routers and resolvers at home answer to these; outside they may be somebody's.
	"home": "nas lan nas.home pc.corp wiki.intranet x.private nas.localdomain fritz.box nas.fritz.box *.fritz.box nas.speedport.ip nas.easy.box nas.o2.box nas.attlocal.net",
	// A provider shares these among many.
	"carrier": "100.64.1.2 ::ffff:100.127.255.255 192.0.0.2",
	"reserved": "cloud.test cloud.example cloud.example.org www.example.com a.localhost a.invalid a.onion a.alt 1.168.192.in-addr.arpa *.example.net " +
		"192.0.2.1 198.51.100.1 203.0.113.9 198.18.0.1 2001:db8::9 3fff::1 " +
		"0.1.2.3 240.0.0.1 255.255.255.255 192.0.0.170 192.88.99.1 64:ff9b::7f00:1 100::1 2001::1 2002:7f00:1:: fec0::1 5f00::1",
}

// refusedHosts are not written as the settings take them.
const refusedHosts = "nas.lan. cloud.jeannine-martin.fr. bücher.fr *.*.fr 127.1 1.2.3 [2a01:e0a::1] fe80::1%eth0 0.0.0.0 :: 224.0.0.1 ff02::1"

// hostDoor is a part of Foyer that has to know what a name or an address is.
type hostDoor struct {
	asks string
	of   func(host string, ip netip.Addr) bool // it is asked about this one; ip is not valid for a name
	want []string                              // it says yes to these
	yes  func(t *testing.T, host string, ip netip.Addr) bool
}

func aName(_ string, ip netip.Addr) bool     { return !ip.IsValid() }
func anAddress(_ string, ip netip.Addr) bool { return ip.IsValid() }
func anyHost(string, netip.Addr) bool        { return true }

// oneName is a name that does not stand for many.
func oneName(host string, ip netip.Addr) bool { return !ip.IsValid() && !strings.HasPrefix(host, "*.") }

var hostDoors = []hostDoor{
	{"settings: there is a name for dyndns", aName, []string{"public"}, func(t *testing.T, host string, _ netip.Addr) bool {
		return !passes(t, "dyndns", "FOYER_ADDRESSES="+host, "FOYER_ROUTER=map", "FOYER_DYNDNS=router", "FOYER_DNS_PROVIDER=duckdns")
	}},
	{"settings: members have names below it", func(host string, ip netip.Addr) bool { return oneName(host, ip) && strings.Contains(host, ".") }, []string{"public"}, func(t *testing.T, host string, _ netip.Addr) bool {
		return !passes(t, "certificates.members", "FOYER_CERTIFICATES_MEMBERS="+host)
	}},
	{"wizard: takes it for where everybody finds the server", anyHost, []string{"public"}, func(t *testing.T, host string, _ netip.Addr) bool {
		qs := installer.Questions()
		q := qs[slices.IndexFunc(qs, func(q installer.Question) bool { return q.Key == "addresses" })]
		wrong := q.Check(installer.Values{"where": installer.WhereReachable}, host)
		if !wrong.IsZero() && wrong.EN == wrong.FR {
			t.Errorf("%s: %q in both languages", host, wrong.EN)
		}
		return wrong.IsZero()
	}},
	{"wizard: promises a certificate", anyHost, []string{"public"}, func(_ *testing.T, host string, _ netip.Addr) bool {
		return slices.ContainsFunc(appliance.Summary(called(host), nil), func(t hint.Text) bool {
			return t.EN == "It gets a certificate that every phone and computer trusts, and renews it."
		})
	}},
	{"certs: orders a certificate", anyHost, []string{"public"}, func(_ *testing.T, host string, _ netip.Addr) bool { return certs.Public{}.Orders(host) }},
	{"dyndns: keeps the name", aName, []string{"public"}, func(_ *testing.T, host string, _ netip.Addr) bool { return len(site.Of(called(host)).KeptNames()) > 0 }},
	{"dyndns: leads a name there", anAddress, []string{"public"}, func(t *testing.T, _ string, ip netip.Addr) bool { return leads(t, ip) }},
	{"reach: looks whether the name leads here", oneName, []string{"public"}, func(_ *testing.T, host string, _ netip.Addr) bool {
		return appliance.Appliance{Settings: called(host)}.WantsVisitors()
	}},
	{"reach: with this address the router stands behind no other", anAddress, []string{"public"}, func(_ *testing.T, _ string, ip netip.Addr) bool {
		cause := examined(ip)
		return cause != "cgnat" && cause != "double-nat"
	}},
	{"reach: with this address the router is a customer among many", anAddress, []string{"carrier"}, func(_ *testing.T, _ string, ip netip.Addr) bool { return examined(ip) == "cgnat" }},
	{"router: others reach it", anAddress, []string{"public"}, func(_ *testing.T, _ string, ip netip.Addr) bool { return router.Public(ip) }},
	{"router: it is shared among many", anAddress, []string{"carrier"}, func(_ *testing.T, _ string, ip netip.Addr) bool { return router.Shared(ip) }},
	{"dial: dials back whoever asks from there", anAddress, []string{"public"}, dials},
	{"trust: a home CA may vouch for it", anyHost, []string{"nobody else's"}, vouches},
	{"trust: ... or for what the settings name", aName, []string{"public", "nobody else's", "home", "reserved"}, func(t *testing.T, host string, ip netip.Addr) bool { return vouchesAs(t, host, ip, host) }},
}

// called are the settings of a server with one more name or address.
func called(host string) *config.Settings {
	s := config.Default()
	s.Addresses = []string{host}
	return s
}

// passes reports whether `foyer settings` says that a setting has no effect.
func passes(t *testing.T, key string, environ ...string) bool {
	t.Helper()
	code, out, said := told(t, "en", environ, "settings", "--json", "--settings", emptyFile(t))
	var settings struct {
		Passed []passedOver `json:"passed_over"`
	}
	if err := json.Unmarshal([]byte(out), &settings); code != 0 || err != nil {
		t.Fatalf("%q: %d %v %s", environ, code, err, said)
	}
	return slices.ContainsFunc(settings.Passed, func(p passedOver) bool { return p.Key == key })
}

func emptyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "foyer.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// countingDNS counts what is written to a DNS service.
type countingDNS struct{ n int }

func (w *countingDNS) GetRecords(context.Context, string) ([]libdns.Record, error) { return nil, nil }

func (w *countingDNS) SetRecords(_ context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	w.n += len(records)
	return records, nil
}

// leads reports whether a name is led to an address that the router says it has.
func leads(t *testing.T, ip netip.Addr) (led bool) {
	synctest.Test(t, func(t *testing.T) {
		service := &countingDNS{}
		k := dyndns.New(dyndns.Config{
			Names: []string{"cloud.jeannine-martin.fr"}, Provider: service, Log: slog.New(slog.DiscardHandler),
			Outside: func(context.Context) ([]netip.Addr, error) { return []netip.Addr{ip}, nil },
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		time.Sleep(time.Hour) // inside the bubble: no time passes outside
		stop()
		<-ended
		led = service.n > 0
	})
	return led
}

// examined is the cause that is named where the router has this address outside, and
// nothing else is known.
func examined(ip netip.Addr) string {
	return reach.Diagnose(reach.Facts{Now: time.Now(), Own: []netip.Addr{netip.MustParseAddr("192.168.77.2")}, Router: ip}).Cause
}

// dials reports whether who asks from an address is dialled back; where it is to be, the
// asker is gone before a packet is sent.
func dials(t *testing.T, host string, ip netip.Addr) bool {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, knock.Dial, strings.NewReader(`{"nonce":"`+knock.NewNonce()+`"}`))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = netip.AddrPortFrom(ip, 4000).String()
	w := httptest.NewRecorder()
	dial.New(dial.Config{Answer: true}).ServeHTTP(w, r)
	if w.Code != http.StatusOK && w.Code != http.StatusForbidden {
		t.Errorf("%s: %d", host, w.Code)
	}
	return w.Code == http.StatusOK
}

// vouches reports whether this machine trusts a home CA that may vouch for a name or
// address, of a server that is not called so.
func vouches(t *testing.T, host string, ip netip.Addr) bool {
	return vouchesAs(t, host, ip, "cloud.jeannine-martin.com")
}

func vouchesAs(t *testing.T, host string, ip netip.Addr, own string) bool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Foyer nas 0000CAFE"}, NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"foyer.local"}, PermittedEmailAddresses: []string{"invalid"}, PermittedURIDomains: []string{"invalid"},
		PermittedIPRanges: []*net.IPNet{{IP: net.IPv4(127, 0, 0, 1).To4(), Mask: net.CIDRMask(32, 32)}},
	}
	if ip.IsValid() {
		ip = ip.Unmap()
		ca.PermittedIPRanges = append(ca.PermittedIPRanges, &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(ip.BitLen(), ip.BitLen())})
	} else {
		ca.PermittedDNSDomains = append(ca.PermittedDNSDomains, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := called(own)
	s.Data = t.TempDir()
	path := visit.RootCertificate(s.Data)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)); err != nil {
		t.Fatal(err)
	}
	_, err = installer.LoadHomeRoot(s, time.Now())
	if e := hint.Find(err); err != nil && (e == nil || e.Code != "home-ca-unsafe") {
		t.Fatal(err)
	}
	return err == nil
}

// Whoever is asked what a name or an address is, there is one answer.
func TestEveryDoorKnowsNamesAndAddressesAlike(t *testing.T) {
	t.Attr("shows", "ground2")
	hosts, asked, wrong := 0, 0, map[string]bool{}
	for what, all := range hostsOf {
		for host := range strings.FieldsSeq(all) {
			hosts++
			ip, err := netip.ParseAddr(host)
			if err != nil {
				ip = netip.Addr{}
			}
			for _, d := range hostDoors {
				if !d.of(host, ip) {
					continue
				}
				asked++
				if want := slices.Contains(d.want, what); d.yes(t, host, ip) != want {
					wrong[host] = true
					t.Errorf("%s (%s): %s: %v", host, what, d.asks, !want)
				}
			}
		}
	}
	file := emptyFile(t)
	for host := range strings.FieldsSeq(refusedHosts) {
		hosts++
		asked++
		if code, _, said := told(t, "en", []string{"FOYER_ADDRESSES=" + host}, "settings", "--settings", file); code != 2 || !strings.Contains(said, "names and addresses like") {
			t.Errorf("%s in the settings: %d %s", host, code, said)
		}
	}
	t.Logf("SHOW names and addresses: %d, asked %d times at %d doors: %d disagree", hosts, asked, len(hostDoors), len(wrong))
}

// No room has a list of its own: networks are written down in internal/netname alone,
// and nobody asks the standard library what an address is for.
func TestNetworksAreKnownInOnePlace(t *testing.T) {
	t.Attr("shows", "ground2")
	fset, house := readHouse(t)
	for dir, files := range house {
		if dir == "internal/netname" {
			continue
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					text, _ := strconv.Unquote(n.Value)
					if _, err := netip.ParsePrefix(text); err == nil {
						t.Errorf("%s: the network %s; ask internal/netname", fset.Position(n.Pos()), text)
					}
				case *ast.SelectorExpr:
					if n.Sel.Name == "IsPrivate" {
						t.Errorf("%s: IsPrivate; ask internal/netname", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}
