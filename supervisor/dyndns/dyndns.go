// Package dyndns keeps the public names of a Foyer at the address its connection
// has outside, where the provider of the connection changes that address.
//
// It looks at the address now and then, and at the DNS service only when the
// address changed or an hour has gone by; it writes only what differs, and only
// the A and AAAA records of the names it was given: those of others, and of other
// types, are left alone. A family of addresses it knows nothing of is left alone,
// too. An address nobody can reach from outside is never written, and neither is one
// that Config.Confirm does not confirm: what a router says may be the word of any
// device at home that speaks in its name, and whoever the name points at gets
// certificates for it. Then the records stay as they are, and a finding says so.
//
// It hides how the service is spoken to (internal/dnsprovider); its credentials
// never reach a log or a finding.
//
// Used by the supervisor's wiring, when the setting `dyndns` wants it.
package dyndns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libdns/libdns"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/router"
)

// Provider is the service that answers for the names.
type Provider interface {
	libdns.RecordGetter
	libdns.RecordSetter
}

// Config says what to keep where. All fields are needed unless said otherwise.
type Config struct {
	Names    []string // fully qualified, without a dot at the end
	Zone     string   // that holds the names; "" = each name without its first word
	Provider Provider
	// Outside returns the addresses the connection has outside, one of each family
	// at most.
	Outside func(context.Context) ([]netip.Addr, error)
	// Confirm looks for a second voice that says what Outside said; it is asked before
	// an address is written that a name does not have yet. With an error, which may be
	// a *router.Doubt, nothing is written. Nil: what Outside says is certain.
	Confirm func(context.Context, netip.Addr) error
	Log     *slog.Logger
	Timing  Timing // zero fields have defaults
}

// Timing sets how often to look.
type Timing struct {
	Look    time.Duration   // between two looks at the address; 1 min
	Confirm time.Duration   // between two looks at the service while nothing changes; 1 h
	Pauses  []time.Duration // after the 1st, 2nd, … failure in a row; the last one repeats
	Doubt   time.Duration   // the longest pause while an address is not confirmed; 2 min
}

// ttl is how long others may believe an address; less is refused by some services.
const ttl = 10 * time.Minute

// Keeper keeps the names. Use New, then Run once.
type Keeper struct {
	cfg       Config
	kept      []netip.Addr // what the service has, as far as known
	confirmed time.Time
	doubted   []netip.Addr // not confirmed, and the service has others
	doubtedAt time.Time

	mu  sync.Mutex // guards now
	now state
}

type state struct {
	addrs []netip.Addr
	err   error
	done  bool // looked at least once
}

// Why nothing is written.
var (
	errNowhere = errors.New("no address outside is known")
	errDoubted = errors.New("the address outside is not confirmed")
)

// New returns a Keeper that does nothing yet.
func New(cfg Config) *Keeper {
	cfg.Timing.Look = cmp.Or(cfg.Timing.Look, time.Minute)
	cfg.Timing.Confirm = cmp.Or(cfg.Timing.Confirm, time.Hour)
	cfg.Timing.Doubt = cmp.Or(cfg.Timing.Doubt, 2*time.Minute)
	if cfg.Timing.Pauses == nil {
		cfg.Timing.Pauses = []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}
	}
	return &Keeper{cfg: cfg}
}

// Run keeps the names until ctx ends. They stay where they are then.
func (k *Keeper) Run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		addrs, err := k.keep(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := k.cfg.Timing.Look
		if failures++; err == nil {
			failures = 0
		} else {
			wait = k.cfg.Timing.Pauses[min(failures-1, len(k.cfg.Timing.Pauses)-1)]
		}
		if errors.Is(err, errDoubted) {
			wait = min(wait, k.cfg.Timing.Doubt)
		}
		if failures != 1 { // at first, the router may not have been asked yet
			k.become(state{addrs, err, true})
		}
		pause.For(ctx, wait)
	}
}

// keep looks once and writes what has to be written.
func (k *Keeper) keep(ctx context.Context) ([]netip.Addr, error) {
	all, err := k.cfg.Outside(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNowhere, err)
	}
	var addrs []netip.Addr
	for _, a := range all {
		if a = a.Unmap().WithZone(""); router.Public(a) {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, errNowhere
	}
	if slices.Equal(addrs, k.kept) && time.Since(k.confirmed) < k.cfg.Timing.Confirm {
		return addrs, nil
	}
	confirm := sync.OnceValue(func() error { return k.confirm(ctx, addrs) })
	if slices.Equal(addrs, k.doubted) && time.Since(k.doubtedAt) < k.cfg.Timing.Confirm { // the service need not be asked again
		if err := confirm(); err != nil {
			return addrs, err
		}
	}
	byZone := map[string][]string{}
	for _, n := range k.cfg.Names {
		zone := k.zoneOf(n)
		byZone[zone] = append(byZone[zone], n)
	}
	for _, zone := range slices.Sorted(maps.Keys(byZone)) {
		if err := k.write(ctx, zone, byZone[zone], addrs, confirm); err != nil {
			k.kept, k.doubted = nil, nil
			if errors.Is(err, errDoubted) {
				k.doubted, k.doubtedAt = addrs, time.Now()
			}
			return addrs, err
		}
	}
	k.kept, k.confirmed, k.doubted = addrs, time.Now(), nil
	return addrs, nil
}

// confirm looks for a second voice for every address.
func (k *Keeper) confirm(ctx context.Context, addrs []netip.Addr) error {
	for _, a := range addrs {
		if k.cfg.Confirm == nil {
			return nil
		}
		if err := k.cfg.Confirm(ctx, a); err != nil {
			return fmt.Errorf("%w: %v: %w", errDoubted, a, err)
		}
	}
	return nil
}

// write brings the names of one zone to the addresses, if they are elsewhere and the
// addresses are confirmed.
func (k *Keeper) write(ctx context.Context, zone string, names []string, addrs []netip.Addr, confirm func() error) error {
	there, err := k.cfg.Provider.GetRecords(ctx, zone)
	if err != nil {
		return fmt.Errorf("cannot read the records of %s: %w", zone, err)
	}
	var records []libdns.Record
	for _, name := range names {
		for _, a := range addrs {
			if now := at(there, zone, name, a.Is4()); len(now) != 1 || now[0] != a {
				records = append(records, libdns.Address{Name: libdns.RelativeName(name, zone), TTL: ttl, IP: a})
			}
		}
	}
	if len(records) == 0 {
		return nil
	}
	if err := confirm(); err != nil {
		return err
	}
	if _, err := k.cfg.Provider.SetRecords(ctx, zone, records); err != nil {
		return fmt.Errorf("cannot write the records of %s: %w", zone, err)
	}
	k.cfg.Log.Info("names point at a new address", "zone", zone, "records", len(records))
	return nil
}

// at are the addresses of one family a name has.
func at(there []libdns.Record, zone, name string, v4 bool) []netip.Addr {
	var out []netip.Addr
	for _, r := range there {
		rr := r.RR()
		if rr.Type != "A" && rr.Type != "AAAA" || !strings.EqualFold(strings.TrimSuffix(libdns.AbsoluteName(rr.Name, zone), "."), name) {
			continue
		}
		if a, err := netip.ParseAddr(rr.Data); err == nil && a.Is4() == v4 {
			out = append(out, a)
		}
	}
	return out
}

// zoneOf is the zone of a name, with the dot that services want at its end.
func (k *Keeper) zoneOf(name string) string {
	zone := k.cfg.Zone
	if zone == "" {
		zone = name
		if _, rest, ok := strings.Cut(name, "."); ok && strings.Contains(rest, ".") {
			zone = rest
		}
	}
	return strings.TrimSuffix(zone, ".") + "."
}

func (k *Keeper) become(s state) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.err != nil && (k.now.err == nil || k.now.err.Error() != s.err.Error()) {
		k.cfg.Log.Warn("names could not be kept at this connection", "err", s.err)
	}
	k.now = s
}

// Checks tells whether the names lead to this connection.
func (k *Keeper) Checks() []health.Check {
	return []health.Check{{
		Code: "public-name", Title: hint.T("Name outside", "Nom à l'extérieur"),
		Run: func(context.Context) health.Finding {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.finding(k.now)
		},
	}}
}

func (k *Keeper) finding(s state) health.Finding {
	names, addrs := strings.Join(k.cfg.Names, ", "), list(s.addrs)
	did := hint.T("Foyer keeps trying.", "Foyer continue d'essayer.")
	switch {
	case !s.done:
		return health.Finding{}
	case errors.Is(s.err, errNowhere):
		return health.Finding{
			Severity: health.Warning, Did: did,
			What: hint.T("It is not known which address this connection has outside; %s may lead elsewhere.", "On ne sait pas quelle adresse cette connexion a à l'extérieur ; %s mène peut-être ailleurs.", names),
			Do:   hint.T("Look at what is said of the router, or let `dyndns` name a peer to ask.", "Voyez ce qui est dit de la box, ou nommez dans `dyndns` un pair à interroger."),
		}
	case errors.Is(s.err, errDoubted):
		return doubtful(s.err, names, addrs)
	case s.err != nil:
		return health.Finding{
			Severity: health.Warning, Did: did,
			What: hint.T("The DNS service did not let %s point at %s.", "Le service DNS n'a pas laissé %s pointer vers %s.", names, addrs),
			Do:   hint.T("Check `dns.credentials` and `dns.zone`; `sudo foyer logs` shows what the service said.", "Vérifiez `dns.credentials` et `dns.zone` ; `sudo foyer logs` montre ce que le service a dit."),
		}
	}
	return health.Finding{What: hint.T("%s points at %s.", "%s pointe vers %s.", names, addrs)}
}

func list(addrs []netip.Addr) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}
