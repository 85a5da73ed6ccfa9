package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// A restore on an installed machine is done by two: root, and a process of the user that Foyer runs
// as, which root starts. What follows is all that this one can ask of root, over two pipes that
// nobody else has: to read what is at the target, whose files may be another user's; to stop the
// service; and to take in what came of it. When one of them ends the other sees it. What they speak
// is HTTP/2, which has several answers under way at once.
const (
	gateObjects = "/objects"
	gateObject  = "/object"
	gateStop    = "/stop"
	gateDone    = "/done"
	gateAlive   = "/alive"
)

// broughtBack is what came of a restore, as root goes on with it.
type broughtBack struct {
	Former   string `json:"former"`             // where what was served before is now
	Settings string `json:"settings,omitempty"` // those of the machine before; "": they are left alone
	Resumed  bool   `json:"resumed,omitempty"`  // it was one that had been cut off
}

// gate is root's end.
type gate struct {
	at   target.Reader // nil: the target is not there to be read
	why  error         // of that
	stop func(context.Context) error

	mu   sync.Mutex // guards what follows
	done *broughtBack
}

// open gives a command, which is not started yet, its end of the gate. What it returns ends root's.
func (g *gate) open(cmd *exec.Cmd) (started func(), end func(), err error) {
	hisIn, myOut, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	myIn, hisOut, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, hisIn.Close(), myOut.Close())
	}
	cmd.ExtraFiles = []*os.File{hisIn, hisOut}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+gateObjects, g.objects)
	mux.HandleFunc("GET "+gateObject, g.object)
	mux.HandleFunc("POST "+gateStop, func(w http.ResponseWriter, r *http.Request) { reply(w, nil, g.stop(r.Context())) })
	mux.HandleFunc("POST "+gateDone, g.takeDone)
	mux.HandleFunc("GET "+gateAlive, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush() //nolint:errcheck // whoever is gone does not ask
		<-r.Context().Done()
	})
	srv := &http.Server{Handler: mux, Protocols: h2c(), ErrorLog: nil, ReadHeaderTimeout: time.Minute}
	l := &oneConn{conn: &pipes{from: myIn, to: myOut}, closed: make(chan struct{})}
	over := make(chan struct{})
	go func() {
		defer close(over)
		srv.Serve(l) //nolint:errcheck // it ends by being closed
	}()
	return func() { hisIn.Close(); hisOut.Close() }, //nolint:errcheck // the other's own ends stay open
		func() {
			srv.Close()    //nolint:errcheck // it has no listener that could fail
			l.conn.Close() //nolint:errcheck // likewise
			<-over
		}, nil
}

// result is what came of it; nil: nothing.
func (g *gate) result() *broughtBack {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.done
}

func (g *gate) takeDone(w http.ResponseWriter, r *http.Request) {
	var b broughtBack
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&b)
	if err == nil {
		g.mu.Lock()
		g.done = &b
		g.mu.Unlock()
	}
	reply(w, nil, err)
}

func (g *gate) objects(w http.ResponseWriter, r *http.Request) {
	if g.at == nil {
		reply(w, nil, g.why)
		return
	}
	all := []target.Object{}
	err := g.at.List(r.Context(), r.FormValue("under"), func(o target.Object) error {
		all = append(all, o)
		return nil
	})
	reply(w, all, err)
}

func (g *gate) object(w http.ResponseWriter, r *http.Request) {
	offset, err := strconv.ParseInt(r.FormValue("offset"), 10, 64)
	if err == nil && g.at == nil {
		err = g.why
	}
	var body io.ReadCloser
	if err == nil {
		body, err = g.at.Get(r.Context(), r.FormValue("name"), offset)
	}
	if err != nil {
		reply(w, nil, err)
		return
	}
	defer body.Close() //nolint:errcheck // it was only read
	first := make([]byte, 64<<10)
	n, err := body.Read(first) // some errors come with the first bytes
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		reply(w, nil, err)
		return
	}
	if _, e := w.Write(first[:n]); e != nil {
		return
	}
	if err == nil {
		_, err = io.Copy(w, body)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		panic(http.ErrAbortHandler) // no end of it for one that is the end
	}
}

// wrong is an error as it goes through the gate.
type wrong struct {
	*report.Problem
	Missing bool `json:"missing"` // target.ErrNotFound
	Away    bool `json:"away"`    // target.ErrAway
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		v = wrong{report.ProblemOf(err), errors.Is(err, target.ErrNotFound), errors.Is(err, target.ErrAway)}
	}
	json.NewEncoder(w).Encode(v) //nolint:errcheck // whoever is gone does not ask
}

// toRoot is the other end of a gate: a target.Reader, and the rest.
type toRoot struct {
	from   string // what the target is called
	client *http.Client
}

// openToRoot opens it, where root has left it. The context ends with root.
func openToRoot(ctx context.Context, from string) (*toRoot, context.Context, error) {
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	in, out := os.NewFile(3, "gate"), os.NewFile(4, "gate")
	if in == nil || out == nil {
		return nil, nil, errors.New("nobody is at the gate")
	}
	return newToRoot(ctx, from, in, out)
}

// newToRoot is openToRoot with those files.
func newToRoot(ctx context.Context, from string, in, out *os.File) (*toRoot, context.Context, error) {
	conn := &pipes{from: in, to: out}
	k := &toRoot{from: from, client: &http.Client{Transport: &http.Transport{
		Protocols:   h2c(),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn.once() },
	}}}
	ctx, cancel := context.WithCancel(ctx)
	alive, err := k.ask(ctx, http.MethodGet, gateAlive, nil)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	go func() {
		defer cancel()
		defer alive.Close()        //nolint:errcheck // nothing comes
		io.Copy(io.Discard, alive) //nolint:errcheck // it ends with root
	}()
	return k, ctx, nil
}

// ask asks root for something.
func (k *toRoot) ask(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://gate"+path, &text)
	if err != nil {
		return nil, err
	}
	res, err := k.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("cannot ask root: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	w := wrong{}
	if err := json.NewDecoder(res.Body).Decode(&w); err != nil || w.Problem == nil {
		return nil, fmt.Errorf("cannot ask root for %s: %s", path, res.Status)
	}
	switch err := w.Err(); {
	case w.Missing:
		return nil, target.ErrNotFound
	case w.Code == "failed":
		return nil, fmt.Errorf("cannot ask root for %s: %s", path, w.What.EN)
	case w.Away:
		return nil, hint.Find(err).Because(target.ErrAway)
	default:
		return nil, err
	}
}

// told asks root for something that has no answer.
func (k *toRoot) told(ctx context.Context, path string, body any) error {
	res, err := k.ask(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	return res.Close()
}

// Stop has root stop the service.
func (k *toRoot) Stop(ctx context.Context) error { return k.told(ctx, gateStop, nil) }

// Get implements target.Reader.
func (k *toRoot) Get(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	return k.ask(ctx, http.MethodGet, gateObject+"?"+url.Values{"name": {name}, "offset": {strconv.FormatInt(offset, 10)}}.Encode(), nil)
}

// List implements target.Reader.
func (k *toRoot) List(ctx context.Context, under string, each func(target.Object) error) error {
	res, err := k.ask(ctx, http.MethodGet, gateObjects+"?"+url.Values{"under": {under}}.Encode(), nil)
	if err != nil {
		return err
	}
	var all []target.Object
	err = json.NewDecoder(res).Decode(&all)
	if err = errors.Join(err, res.Close()); err != nil {
		return fmt.Errorf("cannot list what is at the target: %w", err)
	}
	for _, o := range all {
		if err := each(o); err != nil {
			return err
		}
	}
	return nil
}

// String implements target.Reader.
func (k *toRoot) String() string { return k.from }

// h2c is HTTP/2 alone, without TLS.
func h2c() *http.Protocols {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return p
}

// pipes are two pipes as one connection.
type pipes struct {
	from, to *os.File
	taken    sync.Once
}

func (p *pipes) once() (c net.Conn, err error) {
	err = errors.New("root is gone")
	p.taken.Do(func() { c, err = p, nil })
	return c, err
}

func (p *pipes) Read(b []byte) (int, error)  { return p.from.Read(b) }
func (p *pipes) Write(b []byte) (int, error) { return p.to.Write(b) }
func (p *pipes) Close() error                { return errors.Join(p.from.Close(), p.to.Close()) }

func (p *pipes) LocalAddr() net.Addr                { return &net.UnixAddr{Name: "gate", Net: "unix"} }
func (p *pipes) RemoteAddr() net.Addr               { return p.LocalAddr() }
func (p *pipes) SetReadDeadline(t time.Time) error  { return p.from.SetReadDeadline(t) }
func (p *pipes) SetWriteDeadline(t time.Time) error { return p.to.SetWriteDeadline(t) }
func (p *pipes) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

// oneConn is a listener at which one visitor comes.
type oneConn struct {
	conn   *pipes
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c, err := l.conn.once(); err == nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }
