// Package reach finds out whether visitors from outside get in, and when they do not
// names the one thing that stands in the way.
//
// Examine looks at everything side by side within ten seconds: this machine's own
// ports, its clock, the way out, the router, the names in DNS, and what a Foyer
// elsewhere finds that dials back (docs/reach.md). Diagnose, which is pure, makes of
// these Facts one Diagnosis by a table in which the order is the argument (causes.go):
// the nearest trouble first, since what lies behind it cannot be judged; proof before
// inference, so that a router's strange address is no trouble while visitors get in.
//
// It asks nobody who is not named in the settings: the router, the DNS servers that
// are configured, the certificate authority that names are ordered from, the peer.
// Whatever anybody answers may be a lie; it leads to a sentence and to nothing else, and
// a sentence that would have somebody act on what only one voice at home says tells so.
//
// Watch repeats the examination while a server runs; `foyer doctor` examines by hand.
// Used by cmd/foyer.
package reach

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/router"
)

// Situation says where to look. Zero fields are not looked at, unless said otherwise.
type Situation struct {
	Name      string         // at home, without .local
	Names     []string       // public ones that should lead here, without *.
	HTTP      int            // this machine's own ports for what visitors send to 80 …
	HTTPS     int            // … and to 443
	Proxied   bool           // another program of the owner's has these ports, and passes visitors on
	Peer      string         // URL of a Foyer that dials back
	CA        string         // directory URL of the authority that certificates are ordered from
	Issuer    string         // by which CAA records call it, when its directory cannot be read
	Account   string         // URI of ours at that authority, where it is known
	Roots     *x509.CertPool // for both; nil: the system's
	Resolvers []string       // HOST:PORT; none: the system's
	// Expect lets the server know a nonce. Nil: no server runs, and nobody is asked to
	// dial back.
	Expect func(ctx context.Context, nonce string) error
	// Router is what is known of the router.
	Router func(ctx context.Context) router.State
	Runner host.Runner      // to ask the firewall
	Built  time.Time        // of this version; the clock is not believed to be earlier
	Now    func() time.Time // nil: time.Now
}

// Diagnosis is what there is to say.
type Diagnosis struct {
	health.Finding       // its Cause is the cause's code; "" when visitors get in
	Facts          Facts `json:"facts"`
}

// Examine looks, and says what it saw. It takes ten seconds at most.
func Examine(ctx context.Context, s Situation) Diagnosis {
	return Diagnose(s.gather(ctx))
}
