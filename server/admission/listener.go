package admission

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Door is the way in for all who connect: the listeners of a server, and their one Table.
// Its fields are set before it is used.
type Door struct {
	*Table
	// Whose says whose a connection between two addresses is; empty: somebody's who has
	// no share. It must not block.
	Whose func(remote, local net.Addr) string
	Log   *slog.Logger

	mu        sync.Mutex
	listeners []*listener
}

// Accepted is how many connections each listener has taken from the kernel since the
// start, by its address; those that were closed at once are among them. While it grows,
// the server takes who comes.
func (d *Door) Accepted() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]uint64{}
	for _, l := range d.listeners {
		out[l.Addr().String()] += l.accepted.Load()
	}
	return out
}

// Listener accepts from l for an http.Server that has State as its ConnState. The
// kernel's queue is emptied whoever fills it: a connection for which there is no place is
// closed, and the next one taken. What fails and may pass, like a lack of descriptors
// (accept(2)), is waited for, and an idle connection is closed for it; an error of Accept
// is one after which nothing can be accepted any more.
func (d *Door) Listener(l net.Listener) net.Listener {
	own := &listener{Listener: l, door: d, closed: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners = append(d.listeners, own)
	return own
}

type listener struct {
	net.Listener
	door     *Door
	accepted atomic.Uint64
	once     sync.Once
	closed   chan struct{}
	told     time.Time // when it was last said that it cannot accept; Accept's own
}

// Pauses after an accept that failed, and how often that is told.
const (
	pauseFirst = 5 * time.Millisecond
	pauseMost  = time.Second
	tellEvery  = time.Minute
)

func (l *listener) Accept() (net.Conn, error) {
	for pause := pauseFirst; ; {
		c, err := l.Listener.Accept()
		if err == nil {
			pause = pauseFirst
			l.accepted.Add(1)
			if own := l.door.admit(c); own != nil {
				return own, nil
			}
			continue
		}
		if !passes(err) {
			return nil, err
		}
		if l.told.IsZero() || time.Since(l.told) > tellEvery {
			l.told = time.Now()
			l.door.Log.Warn("connections cannot be accepted; idle ones are closed", "err", err)
		}
		l.door.Shed()
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case <-time.After(pause):
		}
		pause = min(2*pause, pauseMost)
	}
}

// passes reports whether accepting may work again.
func passes(err error) bool {
	for _, end := range []error{net.ErrClosed, syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		if errors.Is(err, end) {
			return false
		}
	}
	return true
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn is a connection that has a place.
type conn struct {
	net.Conn
	place *Place
	begun atomic.Bool // something was answered, or is
}

// admit gives c a place; nil: there was none, and c is closed.
func (d *Door) admit(c net.Conn) net.Conn {
	own := &conn{Conn: c}
	if own.place = d.Enter(d.Whose(c.RemoteAddr(), c.LocalAddr()), false, own.cut); own.place == nil {
		own.cut()
		return nil
	}
	return own
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.place.Leave()
	return err
}

// cut ends the connection for whoever reads and writes it. To who was never answered
// nothing is on its way: the kernel is to forget them at once, and not to wait for their
// goodbye.
func (c *conn) cut() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && !c.begun.Load() {
		_ = tcp.SetLinger(0) // where that is refused, it is forgotten a minute later
	}
	_ = c.Conn.Close() // whoever holds it closes it once more
}

// State is for http.Server.ConnState: it tells the Table what a connection does. A head
// of a request that has not come whole is nothing yet.
func (d *Door) State(c net.Conn, s http.ConnState) {
	own := under(c)
	if own == nil {
		return
	}
	switch s {
	case http.StateActive:
		own.place.Busy()
		if own.begun.CompareAndSwap(false, true) { // the PROXY protocol has been read by now
			own.place.Come(d.Whose(c.RemoteAddr(), own.LocalAddr()))
		}
	case http.StateIdle:
		own.place.Idle()
	}
}

// under is the connection with a place below TLS and the PROXY protocol; nil: none.
func under(c net.Conn) *conn {
	for {
		switch v := c.(type) {
		case *conn:
			return v
		case interface{ NetConn() net.Conn }:
			c = v.NetConn()
		case interface{ Raw() net.Conn }:
			c = v.Raw()
		default:
			return nil
		}
	}
}

type key struct{}

// Context is for http.Server.ConnContext: requests know the place of their connection.
func Context(ctx context.Context, c net.Conn) context.Context {
	if own := under(c); own != nil {
		return context.WithValue(ctx, key{}, own.place)
	}
	return ctx
}

// Of is the place of the connection that a request came by; nil where there is none.
func Of(ctx context.Context) *Place {
	p, _ := ctx.Value(key{}).(*Place)
	return p
}
