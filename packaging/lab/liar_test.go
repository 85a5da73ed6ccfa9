//go:build e2e

package lab

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// liar is a device in a home network that answers as it likes: a process of its own in
// its place, which TestMain becomes.
type liar struct {
	SSDP  []ssdpLie  // answers to every search that is heard
	Pages []pageLie  // HTTP servers
	Flood []floodLie // answers nobody asked this device for, over and over
}

// ssdpLie answers a search from an address, which need not be the device's own.
type ssdpLie struct{ Source, Location string }

// pageLie serves a description of a router, and is that router.
type pageLie struct {
	Listen  string
	Control string // controlURL in the description
	Base    string // URLBase in it; "" none
	To      string // redirects everything there; "" nowhere
	Endless bool   // answers to control never end
}

// floodLie sends one packet to every port that the one who is lied to may use.
type floodLie struct {
	Source  string // HOST:PORT
	Payload []byte
}

// Who is lied to, the ports it asks from, and what it is to believe.
const (
	deceived  = "192.168.77.2"
	firstPort = 40000
	lastPort  = 40255
	evil      = "6.6.6.6"
)

func lie(text string) error {
	var l liar
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return err
	}
	failed := make(chan error)
	for _, p := range l.Pages {
		go func() { failed <- p.serve() }()
	}
	for _, f := range l.Flood {
		go func() { failed <- f.flood() }()
	}
	if len(l.SSDP) > 0 {
		go func() { failed <- answerSearches(l.SSDP) }()
	}
	return <-failed // nothing of it ends by itself
}

func answerSearches(lies []ssdpLie) error {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	group, err := net.ListenMulticastUDP("udp4", eth0, &net.UDPAddr{IP: net.IPv4(239, 255, 255, 250), Port: 1900})
	if err != nil {
		return err
	}
	from := make([]*net.UDPConn, len(lies))
	for i, l := range lies {
		if from[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(l.Source)}); err != nil {
			return err
		}
	}
	fmt.Println("listens for searches")
	buf := make([]byte, 2048)
	for {
		n, asker, err := group.ReadFromUDP(buf)
		if err != nil {
			return err
		}
		_, st, ok := strings.Cut(string(buf[:n]), "\nST: ")
		if st, _, _ = strings.Cut(st, "\r"); !ok {
			_, st, _ = strings.Cut(string(buf[:n]), "\nST:")
			st, _, _ = strings.Cut(st, "\r")
		}
		for i, l := range lies {
			answer := "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nST: " + strings.TrimSpace(st) + "\r\nUSN: uuid:1::" + strings.TrimSpace(st) + "\r\nLOCATION: " + l.Location + "\r\n\r\n"
			if _, err := from[i].WriteToUDP([]byte(answer), asker); err != nil {
				return err
			}
		}
		fmt.Println("answered a search")
	}
}

func (f floodLie) flood() error {
	source, err := netip.ParseAddrPort(f.Source)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(source))
	if err != nil {
		return err
	}
	fmt.Println("floods from", f.Source)
	for {
		for port := uint16(firstPort); port <= lastPort; port++ {
			if _, err := conn.WriteToUDPAddrPort(f.Payload, netip.AddrPortFrom(netip.MustParseAddr(deceived), port)); err != nil {
				return err
			}
		}
		time.Sleep(50 * time.Millisecond) // the machine is shared
	}
}

// forgedPMP is NAT-PMP's answer to the question for the address outside (RFC 6886 §3.2).
func forgedPMP() []byte {
	b := []byte{0, 128, 0, 0, 0, 0, 0x10, 0}
	return append(b, netip.MustParseAddr(evil).AsSlice()...)
}

// forgedPCP is PCP's yes to the mapping of a port (RFC 6887 §11.1), with a nonce that
// is guessed.
func forgedPCP(inside uint16) []byte {
	b := make([]byte, 24, 60)
	b[0], b[1] = 2, 0x81
	binary.BigEndian.PutUint32(b[4:], 3600)
	binary.BigEndian.PutUint32(b[8:], 4096)
	b = append(b, make([]byte, 12)...)
	b = append(b, 6, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, inside)
	b = binary.BigEndian.AppendUint16(b, 443)
	outside := netip.AddrFrom16(netip.MustParseAddr(evil).As16()).As16()
	return append(b, outside[:]...)
}

func (p pageLie) serve() error {
	base := ""
	if p.Base != "" {
		base = "<URLBase>" + p.Base + "</URLBase>"
	}
	const service = "urn:schemas-upnp-org:service:WANIPConnection:1"
	envelope := func(action, inside string) string {
		return `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:` +
			action + `Response xmlns:u="` + service + `">` + inside + `</u:` + action + `Response></s:Body></s:Envelope>`
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("asked for", r.Method, p.Listen+r.URL.Path, r.Header.Get("Soapaction"))
		switch action := r.Header.Get("Soapaction"); {
		case p.To != "":
			http.Redirect(w, r, p.To+r.URL.Path, http.StatusTemporaryRedirect)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>`+base+
				`<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>Router</friendlyName><UDN>uuid:1</UDN><serviceList><service><serviceType>`+service+
				`</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/scpd.xml</SCPDURL><controlURL>`+p.Control+`</controlURL><eventSubURL>/event</eventSubURL></service></serviceList></device></root>`)
		case p.Endless:
			for r.Context().Err() == nil {
				fmt.Fprint(w, "<!-- and so on -->")
				if http.NewResponseController(w).Flush() != nil {
					return
				}
				time.Sleep(100 * time.Millisecond) // slowly
			}
		case strings.Contains(action, "GetExternalIPAddress"):
			fmt.Fprint(w, envelope("GetExternalIPAddress", "<NewExternalIPAddress>"+evil+"</NewExternalIPAddress>"))
		case strings.Contains(action, "AddPortMapping"):
			fmt.Fprint(w, envelope("AddPortMapping", ""))
		default:
			fmt.Fprint(w, envelope("DeletePortMapping", ""))
		}
	})
	l, err := net.Listen("tcp4", p.Listen)
	if err != nil {
		return err
	}
	fmt.Println("serves at", p.Listen)
	return http.Serve(l, handler)
}

// lies starts a liar in the place and waits until it is ready.
func (p *place) lies(l liar) *daemon {
	p.t.Helper()
	text, err := json.Marshal(l)
	if err != nil {
		p.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	d := p.start("env", "FOYER_LAB_LIAR="+string(text), self)
	ready := len(l.Pages) + len(l.Flood)
	if len(l.SSDP) > 0 {
		ready++
	}
	within(p.t, "the device is ready to lie", func() (string, bool) {
		log := d.log.String()
		return log, strings.Count(log, "serves at")+strings.Count(log, "floods from")+strings.Count(log, "listens for searches") == ready
	})
	return d
}
