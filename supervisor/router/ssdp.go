package router

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/soap"
)

// search looks for the gateway's UPnP services. In a home network anybody may answer
// a search, and may write any URL into the answer and into what lies there; so
//   - an answer that does not come from the gateway's address is not read;
//   - every URL, of the description and of the services in it, has to be plain HTTP at
//     the gateway's address, in digits; others are not followed, nor are redirects;
//   - a connection to any other address is never opened, whatever came before.
//
// The source of a packet can be forged. What that is worth is a request to a port of
// the gateway's.
type search struct {
	gateway, own netip.Addr
	ask          []netip.AddrPort // where the question is sent
	lasts        time.Duration    // answers are waited for
}

// How much is taken from whoever answers.
const (
	ssdpSize         = 2 << 10 // of an answer to the search
	locationsMost    = 4       // descriptions that are read
	servicesMost     = 4       // services that are spoken to
	upnpHeadMost     = 16 << 10
	upnpBodyMost     = 256 << 10       // a description has 5 to 30 kB
	upnpTime         = 4 * time.Second // for one request, to the last byte of its answer
	locationLongest  = 512
	searchAgainAfter = time.Second // packets get lost
	searchErrorsMost = 16          // of reading, where a system tells what became of packets
)

// ssdpGroup is where everybody hears a search (UPnP Device Architecture §1.3).
func ssdpGroup() netip.AddrPort { return netip.MustParseAddrPort("239.255.255.250:1900") }

// services are those of the gateway that have mappings, the best kind first; none when
// the gateway does not answer.
func (s search) services(ctx context.Context) []connection {
	return s.described(ctx, s.locations(ctx))
}

// described are those in the descriptions at some locations.
func (s search) described(ctx context.Context, locations []*url.URL) []connection {
	found := make([][]connection, len(locations))
	client := s.client()
	var wg sync.WaitGroup
	for i, at := range locations {
		wg.Go(func() {
			if root, err := describe(ctx, client, at); err == nil {
				found[i] = s.in(root, at, client)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(found...)
	rank := func(c connection) int {
		return slices.IndexFunc(kinds(), func(k kindOfService) bool { return k.urn == c.GetServiceClient().Service.ServiceType })
	}
	slices.SortStableFunc(all, func(a, b connection) int { return rank(a) - rank(b) })
	return all[:min(len(all), servicesMost)]
}

// locations are where the gateway says that descriptions lie.
func (s search) locations(ctx context.Context) (out []*url.URL) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.own, 0)))
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	end := time.Now().Add(s.lasts)
	buf := make([]byte, ssdpSize)
	var sent time.Time
	for wrong := 0; time.Now().Before(end) && len(out) < locationsMost && wrong < searchErrorsMost; {
		if time.Since(sent) >= searchAgainAfter {
			sent = time.Now()
			if !s.send(conn) {
				return out
			}
		}
		wake := sent.Add(searchAgainAfter)
		if wake.After(end) {
			wake = end
		}
		if conn.SetReadDeadline(wake) != nil {
			return out
		}
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		switch {
		case ctx.Err() != nil:
			return out
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			wrong++
			continue
		case from.Addr().Unmap() != s.gateway:
			continue
		}
		at := s.location(buf[:n])
		if at != nil && !slices.ContainsFunc(out, func(u *url.URL) bool { return *u == *at }) {
			out = append(out, at)
		}
	}
	return out
}

// send asks for each kind, since a router of one version need not answer for the
// other; it reports whether anything could be sent.
func (s search) send(conn *net.UDPConn) bool {
	sent := false
	for _, to := range s.ask {
		for _, k := range kinds() {
			question := fmt.Sprintf("M-SEARCH * HTTP/1.1\r\nHOST: %v\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n", to, k.urn)
			_, err := conn.WriteToUDPAddrPort([]byte(question), to)
			sent = sent || err == nil
		}
	}
	return sent
}

// location is the URL in an answer to the search; nil when it is none that may be
// followed.
func (s search) location(answer []byte) *url.URL {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		return nil
	}
	resp.Body.Close()
	text := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusOK || len(text) > locationLongest || !slices.ContainsFunc(kinds(), func(k kindOfService) bool { return k.urn == resp.Header.Get("ST") }) {
		return nil
	}
	at, err := url.Parse(text)
	if err != nil || !s.at(at) {
		return nil
	}
	return at
}

// at reports whether a URL leads to the gateway itself.
func (s search) at(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a == s.gateway && u.Scheme == "http" && u.User == nil && u.Opaque == ""
}

// client speaks HTTP with the gateway and with nobody else.
func (s search) client() *http.Client {
	return &http.Client{
		Timeout:       upnpTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: sparing{&http.Transport{ // no proxy
			DialContext: func(ctx context.Context, _, to string) (net.Conn, error) {
				if at, err := netip.ParseAddrPort(to); err != nil || at.Addr() != s.gateway {
					return nil, fmt.Errorf("%s is not the router", to)
				}
				return (&net.Dialer{}).DialContext(ctx, "tcp4", to)
			},
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: upnpHeadMost,
		}},
	}
}

// sparing reads so much of an answer and no more.
type sparing struct{ next http.RoundTripper }

func (t sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, upnpBodyMost)
	return resp, nil
}

// describe reads a description.
func describe(ctx context.Context, client *http.Client, at *url.URL) (*goupnp.RootDevice, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	root := new(goupnp.RootDevice)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.DefaultSpace = goupnp.DeviceXMLNamespace
	if err := d.Decode(root); err != nil {
		return nil, err
	}
	base := at
	if root.URLBaseStr != "" {
		if base, err = url.Parse(strings.TrimSpace(root.URLBaseStr)); err != nil {
			return nil, err
		}
	}
	root.SetURLBase(base)
	return root, nil
}

// in are the services of a description that are at the gateway.
func (s search) in(root *goupnp.RootDevice, at *url.URL, client *http.Client) (out []connection) {
	for _, k := range kinds() {
		for _, service := range root.Device.FindService(k.urn) {
			if len(out) == servicesMost {
				return out
			}
			if control := &service.ControlURL; control.Ok && s.at(&control.URL) {
				speaks := &soap.SOAPClient{EndpointURL: control.URL, HTTPClient: *client}
				out = append(out, k.speak(goupnp.ServiceClient{SOAPClient: speaks, RootDevice: root, Location: at, Service: service}))
			}
		}
	}
	return out
}
