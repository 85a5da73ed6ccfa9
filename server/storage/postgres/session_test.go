//go:build !windows

package postgres

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// TestOptionsOfTheAddress: the settings among the command-line options of a server are
// ours to make; the others stay.
func TestOptionsOfTheAddress(t *testing.T) {
	t.Attr("shows", "mend3")
	for text, want := range map[string][]string{
		"":                                {""},
		"-c search_path=a,b":              {"", "search_path=a,b"},
		"-csearch_path=a --work-mem=4MB ": {"", "search_path=a", "work_mem=4MB"},
		`-c search_path=\ a\\b\'`:         {"", `search_path= a\b'`},
		"-B 5 -c x=y -c z":                {"-B 5 -c z", "x=y"},
		`-k a\ b`:                         {`-k a\ b`},
	} {
		settings, rest := options(text)
		got := []string{}
		for name, value := range settings {
			got = append(got, name+"="+value)
		}
		slices.Sort(got)
		if got = append([]string{rest}, got...); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// liar hands on what is said between a node and a pooler, and has the server process seem
// to be the one that the pooler named: nobody can tell by that any more.
type liar struct {
	to   string // a unix socket
	held []net.Conn
	mu   sync.Mutex
	wg   sync.WaitGroup
}

// listen starts it for the test and returns its host and port.
func (l *liar) listen(t *testing.T) (host, port string) {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.wg.Go(func() {
		for {
			conn, err := in.Accept()
			if err != nil {
				return
			}
			l.hold(conn)
			l.wg.Go(func() { l.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = in.Close() // ends Accept
		l.mu.Lock()
		for _, conn := range l.held {
			_ = conn.Close() // ends serve
		}
		l.mu.Unlock()
		l.wg.Wait()
	})
	host, port, _ = net.SplitHostPort(in.Addr().String())
	return host, port
}

func (l *liar) hold(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, conn)
}

// message reads one message; the first of a client has no kind.
func message(r io.Reader, first bool) (kind byte, body []byte, err error) {
	head := make([]byte, 5)
	if first {
		head = head[:4]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	if !first {
		kind = head[0]
	}
	body = make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

func say(w io.Writer, kind byte, body []byte) error {
	var out []byte
	if kind != 0 {
		out = []byte{kind}
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)+4))
	_, err := w.Write(append(out, body...))
	return err
}

func (l *liar) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // it is over
	server, err := net.Dial("unix", l.to)
	if err != nil {
		return
	}
	l.hold(server)
	defer server.Close() //nolint:errcheck // it is over
	var body []byte
	for {
		if _, body, err = message(client, true); err != nil {
			return
		}
		if code := binary.BigEndian.Uint32(body); code>>16 == 3 {
			break
		}
		if _, err := client.Write([]byte("N")); err != nil { // no TLS here
			return
		}
	}
	if say(server, 0, body) != nil {
		return
	}
	var pid atomic.Uint32
	l.wg.Go(func() {
		defer client.Close() //nolint:errcheck // it is over
		for {
			kind, body, err := message(server, false)
			if err != nil {
				return
			}
			if kind == 'K' {
				pid.Store(binary.BigEndian.Uint32(body))
			}
			if say(client, kind, body) != nil {
				return
			}
		}
	})
	for {
		kind, body, err := message(client, false)
		if err != nil {
			return
		}
		if kind == 'Q' && strings.Contains(string(body), whoQuery) {
			body = []byte(strings.ReplaceAll(string(body), "pg_backend_pid()", strconv.FormatUint(uint64(pid.Load()), 10)))
		}
		if say(server, kind, body) != nil {
			return
		}
	}
}

// TestSomebodyUnseenInBetween: nodes that cannot see that server connections are shared
// notice by their statements, are told nothing wrong meanwhile, and then do without.
func TestSomebodyUnseenInBetween(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t, "default_pool_size=3")
	host, port := (&liar{to: p.Folder() + "/.s.PGSQL.5432"}).listen(t)
	dsn := strings.Replace(p.Through(c.DSN(t)), "host="+p.Folder(), "host="+host+" port="+port, 1)
	var nodes []*DB
	for range 3 {
		nodes = append(nodes, open(t, dsn))
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			db := nodes[i%3]
			deadline := time.Now().Add(2 * time.Minute)
			for id := 0; id < 20; {
				_, err := write(db, records("c"+strconv.Itoa(i)), kinto.Object{ID: "r" + strconv.Itoa(id)})
				if err == nil {
					err = db.Read(t.Context(), func(tx kinto.Reader) error {
						n, err := tx.Count(records("c"+strconv.Itoa(i)), kinto.Everything())
						if err == nil && n != id+1 {
							t.Errorf("%d records, and %d were kept", n, id+1)
						}
						return err
					})
				}
				switch {
				case err == nil:
					id++
				case !errors.Is(err, kinto.ErrUnavailable):
					t.Error(err)
					return
				case time.Now().After(deadline):
					t.Errorf("still: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	some := false
	for _, db := range nodes {
		some = some || db.dialer.mixed.Load()
	}
	if !some {
		t.Error("nobody noticed: this test cannot tell")
	}
}

// TestNothingNeedsASession: locks of sessions, temporary tables, cursors and the like are
// on one server connection and would be looked for on another; and no statement goes
// past the functions that make our settings.
func TestNothingNeedsASession(t *testing.T) {
	t.Attr("shows", "mend3")
	needs := regexp.MustCompile(`pg_(try_)?advisory_(unlock|lock)|(?i:\bTEMP(ORARY)? TABLE|\bDISCARD |\bDEALLOCATE |\bWITH HOLD\b|\bcurrval\(|\blastval\()|\.pool\.(Exec|Query|QueryRow|Begin|BeginTx|SendBatch|CopyFrom)\(|"LISTEN `)
	files, err := filepath.Glob("*")
	more, err2 := filepath.Glob("sql/*")
	if err := errors.Join(err, err2); err != nil || len(more) < 5 {
		t.Fatal(err, more)
	}
	found := 0
	for _, name := range append(files, more...) {
		if strings.HasSuffix(name, "_test.go") || !strings.Contains(name, ".") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range needs.FindAllString(string(text), -1) {
			if name == "watch.go" && m == `"LISTEN ` { // where it is asked whether there is a session
				found++
				continue
			}
			t.Errorf("%s: %s", name, m)
		}
	}
	if found != 1 {
		t.Errorf("LISTEN was found %d times: does this test still look at the right thing?", found)
	}
}
