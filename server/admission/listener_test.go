package admission

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// through is a real HTTPS server behind a door of so many places.
func through(t *testing.T, limit int, h http.HandlerFunc) (*Door, *httptest.Server) {
	t.Helper()
	d := &Door{Table: NewTable(limit), Log: slog.New(slog.DiscardHandler), Whose: func(remote, _ net.Addr) string {
		host, _, _ := net.SplitHostPort(remote.String())
		return host
	}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Of(r.Context()).Asked()
		h(w, r)
	}))
	s.Listener = d.Listener(s.Listener)
	s.Config.ConnState, s.Config.ConnContext = d.State, Context
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return d, s
}

// until waits until ok, for two minutes at most.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func (p *Place) now() rank {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.rank
}

// A connection is fresh until a whole request has come by it, busy as long as a request or
// a stream of HTTP/2 is, and then idle; a place is given back however a connection ends.
func TestWhatAConnectionDoes(t *testing.T) {
	hold := make(chan struct{})
	places := make(chan *Place, 1)
	d, s := through(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			places <- Of(r.Context())
			<-hold
		}
		io.WriteString(w, r.Proto)
	})
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: proto == "HTTP/2.0"}, Timeout: 2 * time.Minute}
		var wg sync.WaitGroup
		wg.Go(func() {
			resp, err := c.Get(s.URL + "/hold")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if text, err := io.ReadAll(resp.Body); err != nil || string(text) != proto {
				t.Errorf("%s, %v", text, err)
			}
		})
		p := <-places
		if r := p.now(); r != busy {
			t.Errorf("%s: rank %d while a request is answered", proto, r)
		}
		if proto == "HTTP/2.0" { // another stream comes and goes beside it
			resp, err := c.Get(s.URL + "/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if r := p.now(); r != busy || d.Held() != 1 {
				t.Errorf("rank %d while a stream is open, %d held", r, d.Held())
			}
		}
		hold <- struct{}{}
		wg.Wait()
		until(t, "idle", func() bool { return p.now() == idle })
		c.CloseIdleConnections()
		until(t, "given back", func() bool { return d.Held() == 0 })
	}

	// Half a handshake, half a head, a head after an answer: nothing of that is a request.
	plain, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h2, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // says that it speaks HTTP/2, and no more
	if err != nil {
		t.Fatal(err)
	}
	h1, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(h1, "GET / HTTP/1.1\r\nHost:")
	until(t, "three fresh ones", func() bool {
		return d.Held() == 3 && d.count(fresh) == 3
	})
	io.WriteString(h1, " x\r\n\r\nGET /again HTTP/1.1\r\n")
	until(t, "one of them idle", func() bool { return d.count(idle) == 1 && d.count(fresh) == 2 })
	for _, c := range []net.Conn{plain, h2, h1} {
		c.Close()
	}
	until(t, "all given back", func() bool { return d.Held() == 0 })
	if n := d.Accepted()[s.Listener.Addr().String()]; n != 5 {
		t.Errorf("%d accepted", n)
	}
}

// count is how many places have a rank.
func (t *Table) count(r rank) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := t.lines[r].first; p != nil; p = p.links[ofAll].after {
		n++
	}
	return n
}

// Whoever comes is taken from the kernel, also those there is no room for; who was there
// goes, or is left at work, as the table says.
func TestEverybodyIsTaken(t *testing.T) {
	hold := make(chan struct{})
	d, s := through(t, 8, func(http.ResponseWriter, *http.Request) { <-hold })
	defer close(hold)
	for range 4 { // the share of one address
		c, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	until(t, "all at work", func() bool { return d.count(busy) == 4 })
	for range 20 {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			continue // it was closed at once
		}
		c.SetDeadline(time.Now().Add(2 * time.Minute))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("somebody there is no room for was kept: %v", err)
		}
		c.Close()
	}
	until(t, "all taken", func() bool { return d.Accepted()[s.Listener.Addr().String()] == 24 })
	if d.count(busy) != 4 || d.Held() != 4 {
		t.Errorf("%d at work of %d", d.count(busy), d.Held())
	}
}

// scripted is a listener that accepts what it is told to.
type scripted struct {
	net.Listener
	next []any // an error, or a net.Conn
}

func (s *scripted) Accept() (net.Conn, error) {
	now := s.next[0]
	s.next = s.next[1:]
	if err, ok := now.(error); ok {
		return nil, err
	}
	return now.(net.Conn), nil
}

// A lack of descriptors, or whatever else may pass, ends nobody's accepting, and does not
// spin: it is waited for, longer and longer, and somebody idle goes each time.
func TestAcceptingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := &Door{Table: NewTable(100), Log: slog.New(slog.NewTextHandler(&log, nil)), Whose: func(_, _ net.Addr) string { return "x" }}
		var shed []int
		for i := range 20 {
			answered(d.Enter("y", false, func() { shed = append(shed, i) }), false)
			time.Sleep(time.Millisecond)
		}
		failed := func(errno syscall.Errno) error {
			return &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)}
		}
		a, b := net.Pipe()
		defer b.Close()
		l := &scripted{}
		for range 12 {
			l.next = append(l.next, failed(syscall.EMFILE), failed(syscall.ENOBUFS), failed(syscall.ECONNABORTED))
		}
		l.next = append(l.next[:20], a, failed(syscall.EBADF))
		in := d.Listener(l)
		begin := time.Now()
		c, err := in.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 10*time.Second || took > 20*time.Second { // of the fake clock
			t.Errorf("20 errors took %s", took)
		}
		if len(shed) != 20 || shed[0] != 0 || shed[19] != 19 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("shed %v; log %s", shed, log.String())
		}
		c.Close()
		if d.Held() != 0 {
			t.Errorf("%d held", d.Held())
		}
		if _, err := in.Accept(); !errors.Is(err, syscall.EBADF) {
			t.Errorf("%v", err)
		}
	})
}

// BenchmarkAcceptAndClose compares accepting through a table with accepting. Nothing is
// judged.
func BenchmarkAcceptAndClose(b *testing.B) {
	for _, how := range []string{"plain", "door"} {
		b.Run(how, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			if how == "door" {
				d := &Door{Table: NewTable(4096), Log: slog.New(slog.DiscardHandler), Whose: func(remote, _ net.Addr) string { return remote.String() }}
				for range 4000 {
					d.Enter("flood", false, func() {})
				}
				l = d.Listener(l)
			}
			defer l.Close()
			for b.Loop() {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				in, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				in.Close()
				c.Close()
			}
		})
	}
}

// BenchmarkRequest is what a request costs in the table.
func BenchmarkRequest(b *testing.B) {
	t := NewTable(4096)
	var all []*Place
	for i := range 4000 {
		all = append(all, t.Enter(string(rune(i)), false, func() {}))
	}
	for i := 0; b.Loop(); i++ {
		p := all[i%len(all)]
		p.Busy()
		p.Asked()
		p.Known()
		p.Idle()
	}
}
