package reach

import (
	"net/netip"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/supervisor/router"
)

// Facts are what was seen. Zero fields are what was not looked at, or could not be seen.
type Facts struct {
	Now       time.Time    `json:"now"`
	Built     time.Time    `json:"built,omitzero"`
	Elsewhere time.Time    `json:"elsewhere,omitzero"` // the time, as the peer or the authority says
	Own       []netip.Addr `json:"own"`                // addresses of this machine
	Doors     []Door       `json:"doors"`              // its ports, as seen from itself
	Firewall  string       `json:"firewall,omitempty"` // that is active here
	Shut      []int        `json:"shut,omitempty"`     // of our ports, those it keeps shut

	Self   netip.Addr   `json:"self,omitzero"`    // this machine's address on the IPv4 way out
	Hops   []netip.Addr `json:"hops,omitempty"`   // who passes packets on, on the way out
	Router netip.Addr   `json:"router,omitzero"`  // the router's address outside, as it says
	Sure   bool         `json:"sure,omitempty"`   // it says so in two ways
	NoWay  bool         `json:"no_way,omitempty"` // it says that it has none
	Portal string       `json:"portal,omitempty"` // what came instead of the peer's plain answer

	Peer string  `json:"peer,omitempty"` // who was asked to dial back
	V4   Outside `json:"v4"`
	V6   Outside `json:"v6"`
	// Inside is how this machine gets to its own public IPv4 address, as those at home
	// do who call the public name.
	Inside knock.Outcome `json:"inside,omitempty"`

	Names     []Name   `json:"names,omitempty"`
	DNSSilent bool     `json:"dns_silent,omitempty"` // no DNS server answers
	Issuers   []string `json:"issuers,omitempty"`    // by which CAA records may call our authority
	Account   string   `json:"account,omitempty"`    // ours at that authority, as a URI

	Local string     `json:"local,omitempty"` // NAME.local
	Taken bool       `json:"taken,omitempty"` // another machine answers to it
	Taker netip.Addr `json:"taker,omitzero"`
}

// Door is one of this machine's own ports.
type Door struct {
	Outside int           `json:"outside"` // 80 or 443
	Port    int           `json:"port"`
	Outcome knock.Outcome `json:"outcome,omitempty"` // "" not tried
	Owner   string        `json:"owner,omitempty"`   // another program than Foyer that has it
}

// Outside is what the peer found by one family of addresses.
type Outside struct {
	Seen  netip.Addr            `json:"seen,omitzero"`   // where the question came from
	Ports map[int]knock.Outcome `json:"ports,omitempty"` // nil: not tried
	Error string                `json:"error,omitempty"` // why not
}

// Name is one public name, as DNS has it.
type Name struct {
	Name   string       `json:"name"`
	A      []netip.Addr `json:"a,omitempty"`
	AAAA   []netip.Addr `json:"aaaa,omitempty"`
	Failed bool         `json:"failed,omitempty"` // DNS did not say
	// CAA are the issuers its records allow; nil: every one.
	CAA []string `json:"caa,omitempty"`
	// Accounts are what each of these binds itself to; "": any account of that issuer.
	Accounts []string `json:"caa_accounts,omitempty"`
}

// opens reports whether visitors get in on both ports.
func (o Outside) opens() bool { return o.how(80) == knock.OK && o.how(443) == knock.OK }

// opensAny reports whether they do on one of them at least.
func (o Outside) opensAny() bool { return o.how(80) == knock.OK || o.how(443) == knock.OK }

func (o Outside) how(port int) knock.Outcome { return o.Ports[port] }

// shut reports whether it was tried to get in on a port, in vain.
func (o Outside) shut(port int) bool { return o.Ports != nil && o.how(port) != knock.OK }

// public4 is the IPv4 address at which this connection is found; the zero Addr where
// none is known.
func (f *Facts) public4() netip.Addr {
	if f.V4.Seen.IsValid() {
		return f.V4.Seen
	}
	for _, a := range append(slices.Clone(f.Own), f.Router) {
		if a.Is4() && router.Public(a) {
			return a
		}
	}
	return netip.Addr{}
}

// hearsay reports whether public4 is only what the router says, in one way: any device
// in the network may have said so in its name.
func (f *Facts) hearsay() bool {
	at := f.public4()
	return at.IsValid() && at != f.V4.Seen && !slices.Contains(f.Own, at) && !f.Sure
}

// behindCarrier reports whether the provider shares an address among many: the router
// has one of those that are for that, or none, or the way out leads through one, or
// others see another address than the router has.
func (f *Facts) behindCarrier() bool {
	switch {
	case router.Shared(f.Router), router.Shared(f.Self), slices.ContainsFunc(f.Hops, router.Shared):
		return true
	case router.Public(f.Router) && f.V4.Seen.IsValid() && f.Router != f.V4.Seen:
		return true
	}
	return f.NoWay && !f.behindRouter()
}

// behindRouter reports whether the router stands behind another one.
func (f *Facts) behindRouter() bool {
	if f.Router.IsValid() {
		return !router.Public(f.Router) && !router.Shared(f.Router)
	}
	return len(f.Hops) > 1 && netname.Within(f.Hops[0]) && netname.Within(f.Hops[1])
}

// ours reports whether an address is this machine's, as it knows or as others see it.
func (f *Facts) ours(a netip.Addr) bool {
	return slices.Contains(f.Own, a) || a == f.V6.Seen || a == f.V4.Seen
}
