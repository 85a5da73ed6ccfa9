package supervisor

import (
	"context"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

// Door is a public port, and how to call there.
type Door struct {
	Address string // of its listener, by which the server counts whom it takes there (server.Health)
	// Visit calls as a visitor would, and returns why there was no answer; connected says
	// whether the kernel had taken the call by then, and kept it for the server.
	Visit func(ctx context.Context) (connected bool, err error)
}

// doors looks at the server through its public ports. One that does not answer there is
// told; replaced is only one that takes nobody: whom the kernel has connected waits, the
// server says that it is well, and has taken no connection at that port for as long as one
// may go without progress. A server that is full, or slow, takes whom it then closes or
// lets wait, and is left at its work. So is one that nobody can connect to, this machine's
// supervisor among them: that is the network's.
type doors struct {
	supervisor *Supervisor
	// By address, and of the check alone, which runs once at a time.
	seen map[string]deafness
	told map[string]string // why a visit was not answered, as the log has it
}

// deafness is since when a server has taken nobody at a port.
type deafness struct {
	pid       int
	accepted  uint64
	since     time.Time
	connected bool // somebody was connected meanwhile, and waits
}

func (d *doors) check() health.Check {
	return health.Check{
		Code: "door", Title: hint.T("Front door", "Porte d'entrée"), DependsOn: []string{"server"}, Every: 30 * time.Second,
		Timeout: doorTime + d.supervisor.cfg.Timing.ProbeTimeout, Run: d.look,
	}
}

// doorTime is how long a visitor is patient.
const doorTime = 10 * time.Second

// look calls at each port.
func (d *doors) look(ctx context.Context) health.Finding {
	list := d.supervisor.cfg.Doors
	connected, errs := make([]bool, len(list)), make([]error, len(list))
	var wg sync.WaitGroup
	for i, door := range list {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, doorTime)
			defer cancel()
			connected[i], errs[i] = door.Visit(ctx)
		})
	}
	wg.Wait()
	var worst health.Finding
	for i, door := range list {
		if errs[i] == nil {
			delete(d.seen, door.Address)
			delete(d.told, door.Address)
			continue
		}
		if why := errs[i].Error(); d.told[door.Address] != why {
			d.told[door.Address] = why
			d.supervisor.cfg.Log.Warn("a visit at a public port was not answered", "address", door.Address, "err", why)
		}
		if worst.Cause != causeDeaf {
			worst = d.unanswered(ctx, door, connected[i])
		}
	}
	return worst
}

// Causes of the check.
const (
	causeDeaf       = "not-accepted"
	causeUnanswered = "not-answered"
)

// unanswered is what to say of a port where a visit was not answered. A server that
// takes nobody there is ended.
func (d *doors) unanswered(ctx context.Context, door Door, connected bool) health.Finding {
	f := health.Finding{
		Severity: health.Error, What: hint.T("The server is well, but visitors do not get through to it.", "Le serveur va bien, mais les visiteurs n'arrivent pas jusqu'à lui."),
		Do: hint.T("`sudo foyer logs` shows why.", "`sudo foyer logs` montre pourquoi."), Cause: causeUnanswered,
	}
	s := d.supervisor
	said, err := s.probe.ask(ctx)
	s.mu.Lock()
	c := s.child
	s.mu.Unlock()
	if err != nil || c.kill == nil { // others see to that
		delete(d.seen, door.Address)
		return f
	}
	was := d.seen[door.Address]
	is, dead := was.after(c.pid, said.Accepted[door.Address], connected, s.cfg.Timing.Stuck, time.Now())
	d.seen[door.Address] = is
	switch {
	case dead:
		s.cfg.Log.Warn("the server takes no connections; it is replaced", "pid", c.pid, "address", door.Address)
		s.flight.replaces(c.pid, causeDeaf)
		c.kill("it took no connections at " + door.Address)
		delete(d.seen, door.Address)
	case is.since != was.since || !is.connected: // the first one, or none of ours waits
		return f
	}
	return health.Finding{
		Severity: health.Error, What: hint.T("The server is well, but takes no connections at %s.", "Le serveur va bien, mais n'accepte aucune connexion à %s.", door.Address),
		Did: hint.T("Foyer restarts it when that goes on.", "Foyer le redémarre si cela dure."), Cause: causeDeaf,
	}
}

// after is the deafness after one more visit that was not answered, and whether it has
// lasted longer than limit.
func (was deafness) after(pid int, accepted uint64, connected bool, limit time.Duration, now time.Time) (is deafness, dead bool) {
	if was.pid != pid || was.accepted != accepted || was.since.IsZero() {
		return deafness{pid, accepted, now, connected}, false
	}
	was.connected = was.connected || connected
	return was, was.connected && now.Sub(was.since) > limit
}
