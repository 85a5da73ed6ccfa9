// Package server is the server: listeners in, answers out.
//
// Run opens the rooms (storage, auth, kinto, api, certs, web), then answers on
// the listeners it was lent, and when its context ends lets requests in flight
// finish before it closes them. It hides what stands between a connection and a
// handler: TLS, limits on time and size (limits.go), the gate that keeps
// everything shut until there is an owner (gate.go), the way from plain HTTP to
// HTTPS (plain.go, strict.go) and what this server is called (names.go), what proxies
// before it say of visitors (package front), and the answers to the supervisor's
// questions (local.go, health.go, check.go, usage.go, package follow). It knows whose the data are
// (identity.go), why they cannot be opened (explain.go), how it answers then (down.go), and
// what people are told of trouble (trouble.go).
//
// A request passes, in this order: who sent it, request id, panic guard, access log, limits,
// claim gate, route.
//
// Threat model. Whoever reaches a port may send anything, as slowly as they
// like, as often as they like: each connection has a time for its head, for its
// body and for being idle; and where there are too many, one goes for each that comes,
// first of whoever holds most (package admission, room.go). Nothing they send but a method, the first words of a known
// path, and their address in debug lines gets into the log. Before the claim,
// every path that is not needed for it answers the same.
//
// Used by cmd (foyer serve) and by servertest.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/admission"
	"github.com/foyer-server/foyer/server/api"
	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/certs"
	"github.com/foyer-server/foyer/server/dial"
	"github.com/foyer-server/foyer/server/follow"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/people"
	"github.com/foyer-server/foyer/server/web"
)

// drain is how long requests in flight have to finish.
const drain = 10 * time.Second

// Config is what Run needs. Every field is required but PlainHTTP and Appliance.
type Config struct {
	Settings *config.Settings
	// Listeners are where to answer, by the names of package host. Run closes
	// them; a parent process that lent them keeps its own copies.
	Listeners []host.Listener
	// PlainHTTP serves everything on the HTTP listener, without certificates. It
	// is for loopback only.
	PlainHTTP bool
	Version   string // of Foyer
	Log       *slog.Logger
	// Appliance knows how the whole machine is; nil: the pages show what the server knows.
	Appliance web.Appliance
	// Safe has nothing stored, nothing collected and nobody follow the data: what is there is
	// served, and that is all. A server that kept dying is to stay up so.
	Safe bool
	// HashCost is what hashes of passwords cost (bcrypt); 0: its default. Tests make it cheap.
	HashCost int
}

// Run serves until ctx ends; then it returns nil once requests in flight are
// done, or after ten seconds. Other ends are errors; those a person can act on
// are *hint.Error (data-missing, data-readonly, data-gone, data-other, disk-full,
// database-damaged, database-newer, database-unreachable). Where there is a supervisor
// to tell such a one, Run answers requests with it until that is mended, and returns it
// then.
func Run(ctx context.Context, cfg Config) error {
	defer host.Close(cfg.Listeners)
	door := openLocal(cfg)
	defer door.close()
	s, err := open(ctx, cfg)
	if err != nil {
		return errors.Join(s.standIn(ctx, door, explain(cfg.Settings.Data, err)), s.close())
	}
	return errors.Join(s.serve(ctx, door), s.close())
}

// server is the open rooms.
type server struct {
	Config
	store  store
	front  front.Front
	room   room
	door   *admission.Door // the way in for all who connect to a public port; nil on the Local ones
	apart  bool            // the storage is another machine's: no restart of ours mends it
	owner  web.Claimer
	people *people.People
	certs  *certs.Certs // nil with PlainHTTP, and where a proxy ends TLS
	kinto  *kinto.Service
	files  *attachment.Folder
	api    http.Handler
	site   *web.Site
	probe  *probe
	count  count
	data   identity
	down   *hint.Error // why it could not start; nil: it could
	dial   *dial.Room
	follow *follow.Door    // for whoever copies the data; nil: they are not open
	port   int             // of HTTPS, as clients know it
	beside context.Context // of what runs beside requests: it ends when the server begins to

	requests   atomic.Uint64              // begun since the start
	unreadable atomic.Pointer[hint.Error] // what the last full check could not read; nil: nothing
}

// open opens the rooms. What it returns is to be closed, with an error too.
func open(ctx context.Context, cfg Config) (s *server, err error) {
	set := cfg.Settings
	s = &server{Config: cfg, port: set.HTTPSPort}
	s.count.wanted = make(chan struct{}, 1)
	s.front = front.Front{Trusted: set.Proxy.Prefixes(), Protocol: set.Proxy.Protocol == "on"}
	s.room = roomFor(set.Limits.Connections, host.OpenFiles(), cfg.Log)
	s.door = &admission.Door{Table: admission.NewTable(s.room.connections), Whose: s.front.Whose, Log: cfg.Log}
	for _, l := range cfg.Listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && l.Name == host.HTTPS {
			s.port = tcp.Port
		}
	}
	if err = s.openStore(ctx); err != nil {
		return s, err
	}
	var data kinto.Store = s.store
	if cfg.Safe {
		data = readOnly{s.store}
	}
	db, err := kinto.Resume(ctx, data)
	if err != nil {
		return s, err
	}
	a := people.New(db, set.Kinto, set.Data, cfg.Log)
	if cfg.HashCost != 0 {
		if err = a.SetCost(cfg.HashCost); err != nil {
			return s, err
		}
	}
	if !cfg.Safe {
		if err = takeOffer(ctx, a, cfg.Log); err != nil {
			return s, err
		}
	}
	s.owner, s.people = a, a
	s.probe = &probe{progress: s.store.Progress, check: func(ctx context.Context) (bool, error) {
		if err := s.store.Health(ctx); err != nil {
			return false, err
		}
		claimed, err := s.owner.Claimed(ctx)
		if err == nil && claimed {
			s.count.ask()
		}
		return claimed, err
	}}
	s.dial = dial.New(dial.Config{Answer: set.Reach.Answer != "off", Private: set.Reach.Answer == "home"})
	s.kinto = kinto.New(db, set.Kinto, a.Accounts())
	if s.files, err = openFiles(set); err != nil {
		return s, err
	}
	s.api = api.New(api.Config{Kinto: s.kinto, Auth: auth.New(db, set.Kinto, a, cfg.Log), Files: s.files, Settings: set, Version: cfg.Version, Log: cfg.Log, Connections: s.room.connections, OpenFiles: s.room.files, Done: ctx.Done()})
	w := web.Config{
		Name: set.Name, Claimer: a, Secure: called{s}.secure, Log: cfg.Log,
		People: a, Address: called{s}.address, Addresses: called{s}.addresses, Light: s.light, Appliance: cfg.Appliance, Version: cfg.Version,
		Forget: func(ctx context.Context, by *people.Person, name string) error {
			return s.kinto.Forget(ctx, kinto.Caller{ID: "account:" + by.Name, Owner: by.Owner}, "account:"+name)
		},
	}
	if l, ok := hint.ParseLang(set.Language); ok {
		w.Language = l
	}
	if d := set.Certificates.Members; d != "" {
		w.Shared = func(host string) bool { return config.Below(d, host) }
	}
	if s.certs != nil {
		w.Trust = s.certs
	}
	s.site, err = web.New(w)
	return s, err
}

// takeOffer takes the claim offer that waits in the data folder. One that cannot
// be taken keeps a server without an owner from starting, and nobody else's.
func takeOffer(ctx context.Context, a *people.People, log *slog.Logger) error {
	err := a.TakeOffer(ctx)
	if err == nil {
		return nil
	}
	if claimed, e := a.Claimed(ctx); e != nil || !claimed {
		return err
	}
	log.Warn("a claim offer cannot be taken; there is an owner already", "err", err)
	return nil
}

// close closes what is open, last opened first.
func (s *server) close() error {
	if s.certs != nil {
		s.certs.Close()
	}
	if s.store == nil {
		return nil
	}
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("cannot close the storage: %w", err)
	}
	return nil
}

// serve answers on the listeners until ctx ends or one of them fails. The supervisor
// has the local door, where nobody else is.
func (s *server) serve(ctx context.Context, door *localDoor) error {
	beside, stop := context.WithCancel(ctx)
	defer stop()
	s.beside = beside
	if s.down == nil && s.store != nil && !s.Safe {
		source, _ := s.store.(changelog.Source)
		s.follow = follow.New(follow.Config{Source: source, Open: s.files.Open, Ends: beside, Log: s.Log})
	}
	door.use(private{s}.answer)
	var public []*http.Server
	var runs []func() error
	for _, l := range s.Listeners {
		switch {
		case l.Name == host.Local, l.Name == host.HTTPS && s.certs == nil && s.down != nil:
		case l.Name == host.HTTPS && !s.PlainHTTP:
			srv := s.httpServer(s.chain(s.proven(s.strict(s.route))))
			srv.TLSConfig = s.certs.TLSConfig()
			outer := s.behind(s.door.Listener(l))
			public, runs = append(public, srv), append(runs, func() error { return srv.ServeTLS(outer, "", "") })
		case l.Name == host.HTTP:
			next := s.plain
			if s.PlainHTTP {
				next = s.route
			}
			h := s.chain(s.proven(next))
			if s.certs != nil {
				h = s.certs.Challenges(h)
			}
			srv := s.httpServer(h)
			outer := s.behind(s.door.Listener(l))
			public, runs = append(public, srv), append(runs, func() error { return srv.Serve(outer) })
		case l.Name == host.Front && s.certs == nil:
			srv := s.httpServer(s.chain(s.proven(s.fronted)))
			outer := s.behind(s.door.Listener(s.front.Only(l)))
			public, runs = append(public, srv), append(runs, func() error { return srv.Serve(outer) })
		default:
			return fmt.Errorf("cannot serve on listener %q at %s: it has no use here", l.Name, l.Addr())
		}
	}
	var wg sync.WaitGroup
	failed := make(chan error, len(runs))
	for _, run := range runs {
		wg.Go(func() {
			if err := run(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("cannot go on listening: %w", err)
			}
		})
	}
	if s.down == nil && !s.Safe {
		wg.Go(func() { collector{s}.collect(beside) })
		wg.Go(func() { s.count.run(beside, s.people, s.identify) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case err = <-door.failed:
	}
	stop()
	s.shutdown(public)
	door.close()
	wg.Wait()
	return err
}

// shutdown lets requests in flight finish, and then cuts them off.
func (s *server) shutdown(servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var wg sync.WaitGroup
	for _, srv := range servers {
		wg.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				s.Log.Warn("requests did not finish in time and are cut off", "after", drain.String())
				_ = srv.Close() // its error is that of a listener closed already
			}
		})
	}
	wg.Wait()
}
