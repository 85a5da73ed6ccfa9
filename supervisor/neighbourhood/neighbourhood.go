// Package neighbourhood makes NAME.local lead to this machine for everybody in
// the same home network, by multicast DNS (RFC 6762), and shows the server to
// those who look around (_https._tcp, RFC 6763).
//
// Where Avahi runs it is asked to do so, over D-Bus: it answers for the whole
// machine, and two answering machines on one host get into each other's way. Where
// it does not, Foyer answers itself, on the interfaces that have addresses others
// can use, and goes on when the addresses change or when Avahi comes or goes.
//
// The name is asked for before it is taken: while another machine answers to it,
// it is left to that machine, a finding says so, and it is asked for again later.
// It promises to say goodbye at the end, so that nobody is sent to a machine that
// is no longer there.
//
// Anybody in the network can lie in multicast DNS; nothing here is a proof of who
// somebody is. The certificate is.
//
// Used by the supervisor's wiring (`foyer supervise`). It needs no right of the
// system: port 5353 is open to everybody.
package neighbourhood

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/supervisor/health"
)

// Config says what to announce. All fields are needed unless said otherwise.
type Config struct {
	Name string // without .local
	Port int    // on which the server speaks HTTPS
	Log  *slog.Logger
	// Bus is the address of the D-Bus on which Avahi is; "" = the system's.
	Bus    string
	Timing Timing // zero fields have defaults
}

// Timing sets how patient the Announcer is.
type Timing struct {
	Ask   time.Duration // for an answer, before a name is taken; 2 s
	Again time.Duration // before a name that was taken is asked for again, give or take a quarter; 30 s
	Look  time.Duration // between two looks at addresses and at Avahi; 5 s
}

// Announcer announces one name. Use New, then Run once.
type Announcer struct {
	cfg Config

	mu  sync.Mutex // guards now
	now state
}

type kind int

const (
	asking kind = iota
	byAvahi
	byItself
	taken
	alone // no interface with an address others could use
	failed
)

type state struct {
	kind kind
	who  netip.Addr // who has the name; may be invalid
}

// takenError: somebody else answers to the name.
type takenError struct{ who netip.Addr }

func (e takenError) Error() string { return fmt.Sprintf("the name belongs to %v", e.who) }

// errChanged: what was announced holds no longer, because addresses or Avahi changed.
var errChanged = errors.New("addresses or Avahi changed")

// New returns an Announcer that does nothing yet.
func New(cfg Config) *Announcer {
	cfg.Timing.Ask = cmp.Or(cfg.Timing.Ask, 2*time.Second)
	cfg.Timing.Again = cmp.Or(cfg.Timing.Again, 30*time.Second)
	cfg.Timing.Look = cmp.Or(cfg.Timing.Look, 5*time.Second)
	return &Announcer{cfg: cfg}
}

// Run announces the name until ctx ends, then says goodbye.
func (a *Announcer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := a.announce(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := a.cfg.Timing.Look
		other, isTaken := errors.AsType[takenError](err)
		switch {
		case isTaken:
			a.become(state{kind: taken, who: other.who})
			wait = a.cfg.Timing.Again*3/4 + rand.N(a.cfg.Timing.Again/2) // two that met ask one after the other
		case errors.Is(err, errChanged):
			wait = 0
		case errors.Is(err, errAlone):
			a.become(state{kind: alone})
		default:
			a.cfg.Log.Warn("the name could not be announced", "name", a.local(), "err", err)
			a.become(state{kind: failed})
		}
		pause.For(ctx, wait)
	}
}

// announce takes the name if it is free and holds it until ctx ends or something
// changes; it never returns nil while ctx lasts.
func (a *Announcer) announce(ctx context.Context) error {
	links, err := usable()
	if err != nil {
		return err
	}
	if a.state().kind != taken { // what is taken stays so until the name is ours
		a.become(state{kind: asking})
	}
	if err := ask(ctx, links, a.local()+".", a.cfg.Timing.Ask); err != nil {
		return err
	}
	bus, err := a.avahi(ctx)
	if err != nil {
		return a.answer(ctx, links)
	}
	defer bus.Close()
	return a.throughAvahi(ctx, bus, links)
}

// watch returns errChanged once the links are others or changed says so, nil when
// ctx ends.
func (a *Announcer) watch(ctx context.Context, links []link, changed func(context.Context) bool) error {
	for pause.For(ctx, a.cfg.Timing.Look) {
		if now, _ := usable(); !sameLinks(links, now) || changed(ctx) {
			return errChanged
		}
	}
	return nil
}

func (a *Announcer) local() string { return a.cfg.Name + ".local" }

func (a *Announcer) state() state {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func (a *Announcer) become(s state) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now != s && s.kind != asking {
		a.cfg.Log.Info("name at home", "name", a.local(), "is", s.kind.String())
	}
	a.now = s
}

func (k kind) String() string {
	return [...]string{"asked for", "announced by Avahi", "announced by Foyer", "taken by another machine", "alone", "not announced"}[k]
}

// Checks tells whether the name leads here.
func (a *Announcer) Checks() []health.Check {
	return []health.Check{{
		Code: "local-name", Title: hint.T("Name at home", "Nom à la maison"),
		Run: func(context.Context) health.Finding { return a.finding(a.state()) },
	}}
}

func (a *Announcer) finding(s state) health.Finding {
	name := a.local()
	switch s.kind {
	case byAvahi:
		return health.Finding{What: hint.T("%s leads here; Avahi announces it.", "%s mène ici ; Avahi l'annonce.", name)}
	case byItself:
		return health.Finding{What: hint.T("%s leads here; Foyer announces it.", "%s mène ici ; Foyer l'annonce.", name)}
	case taken:
		what := hint.T("Another machine in your network answers to %s already.", "Une autre machine de votre réseau répond déjà au nom %s.", name)
		if s.who.IsValid() {
			what = hint.T("Another machine in your network (%s) answers to %s already.", "Une autre machine de votre réseau (%s) répond déjà au nom %s.", s.who.String(), name)
		}
		return health.Finding{
			Severity: health.Warning, What: what,
			Did: hint.T("Foyer leaves it the name and asks again now and then; the addresses in digits work.", "Foyer lui laisse le nom et redemande de temps en temps ; les adresses en chiffres fonctionnent."),
			Do:  hint.T("Choose another `name` in the settings, then restart Foyer.", "Choisissez un autre `name` dans les réglages, puis redémarrez Foyer."),
		}
	case alone:
		return health.Finding{
			Severity: health.Info, What: hint.T("This machine is in no network: nobody can find %s.", "Cette machine n'est dans aucun réseau : personne ne peut trouver %s.", name),
			Do: hint.T("Connect it to your network.", "Reliez-la à votre réseau."),
		}
	case failed:
		return health.Finding{
			Severity: health.Warning, What: hint.T("%s could not be announced in your network.", "%s n'a pas pu être annoncé dans votre réseau.", name),
			Did: hint.T("Foyer keeps trying; the addresses in digits work.", "Foyer continue d'essayer ; les adresses en chiffres fonctionnent."),
			Do:  hint.T("`sudo foyer logs` shows why.", "`sudo foyer logs` montre pourquoi."),
		}
	}
	return health.Finding{}
}
