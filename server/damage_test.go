//go:build !windows

package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// unluckyPatience is how long the tests here wait for a server.
const unluckyPatience = 2 * time.Minute

// unlucky is a server that need not come up well: what it says is what is looked at.
type unlucky struct {
	url, sock string
	log       *syncedLog
	ended     chan struct{}
	err       error // once it has ended
	stop      func()
}

type syncedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startUnlucky starts a server by plain HTTP on a data folder, and waits until it says how
// it is, or has ended.
func startUnlucky(t *testing.T, set *config.Settings) *unlucky {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u := &unlucky{sock: filepath.Join(dir, "s"), log: &syncedLog{}, ended: make(chan struct{})}
	local, err := host.Listen(host.Local, "unix", u.sock)
	if err != nil {
		t.Fatal(err)
	}
	web, err := host.Listen(host.HTTP, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.url = "http://" + web.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(u.ended)
		u.err = server.Run(ctx, server.Config{Settings: set, Listeners: []host.Listener{local, web}, PlainHTTP: true, Version: "0", Log: slog.New(slog.NewTextHandler(u.log, nil))})
	}()
	u.stop = sync.OnceFunc(func() {
		cancel()
		<-u.ended
	})
	t.Cleanup(u.stop)
	u.until(t, "says how it is", func(said string) bool { return !strings.Contains(said, `"opening":true`) })
	return u
}

// health is what the supervisor is told; empty once the server has ended.
func (u *unlucky) health() string {
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", u.sock)
	}}}
	resp, err := c.Get("http://local/health")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

func (u *unlucky) until(t *testing.T, what string, ok func(said string) bool) string {
	t.Helper()
	said := ""
	for deadline := time.Now().Add(unluckyPatience); time.Now().Before(deadline); <-time.After(2 * time.Millisecond) {
		select {
		case <-u.ended:
			t.Fatalf("never %s: the server ended with %v", what, u.err)
		default:
		}
		if said = u.health(); said != "" && ok(said) {
			return said
		}
	}
	t.Fatalf("never %s: it says %s", what, said)
	return ""
}

func (u *unlucky) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, u.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(servertest.Owner, servertest.Password)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// claimedHousehold is the data of a claimed server with a few things in it, after an unclean end.
func claimedHousehold(t *testing.T) (data, name string, roots *x509.CertPool) {
	t.Helper()
	s := servertest.Start(t, servertest.Config{})
	s.Do(http.MethodPut, "/v1/buckets/b", "")
	s.Do(http.MethodPut, "/v1/buckets/b/collections/c", "")
	s.Do(http.MethodPut, "/v1/buckets/b/groups/g", `{"data":{"members":["account:ann"]}}`)
	for i := range 5 {
		path := fmt.Sprintf("/v1/buckets/b/collections/c/records/r%d", i)
		if resp, body := s.Do(http.MethodPut, path, `{"data":{"text":"`+strings.Repeat("milk ", 600)+`"},"permissions":{"read":["account:ann"]}}`); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	roots = s.Roots()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return s.Data, s.Name, roots
}

func settingsFor(data string) *config.Settings {
	set := config.Default()
	set.Data = data
	return set
}

// Whichever page of a small database is another one than was written, after an unclean
// end: it is found, requests are answered rightly or refused in words that say so, and
// what the supervisor is told, and so status and doctor, and the heartbeat agree.
func TestEveryDamagedPageIsTold(t *testing.T) {
	t.Attr("shows", "mend2")
	if testing.Short() {
		t.Skip("a server for each page")
	}
	data, _, _ := claimedHousehold(t)
	path := filepath.Join(data, "data.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pages, told, sound := len(whole)/4096, 0, 0
	for page := range pages {
		broken := bytes.Clone(whole)
		rand.Read(broken[page*4096 : (page+1)*4096])
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"-open", []byte("open\n"), 0o600); err != nil { // as a power cut leaves it
			t.Fatal(err)
		}
		u := startUnlucky(t, settingsFor(data))
		requests := func() (refused int) {
			for _, r := range []struct {
				method, path, body string
			}{
				{"GET", "/v1/buckets/b/collections/c/records", ""},
				{"GET", "/v1/buckets/b/collections/c/records/r3", ""},
				{"GET", "/v1/buckets/b/groups", ""},
				{"GET", "/v1/permissions", ""},
				{"PUT", "/v1/buckets/b/collections/c/records/new", `{"data":{}}`},
				{"DELETE", "/v1/buckets/b/collections/c/records/new", ""},
			} {
				status, text := u.ask(t, r.method, r.path, r.body)
				switch {
				case status >= 500 && strings.Contains(text, "overloading"):
					t.Fatalf("page %d: %s %s is told of overload: %d %s", page, r.method, r.path, status, text)
				case status >= 500 && (status != http.StatusServiceUnavailable || !strings.Contains(text, "damaged")):
					t.Fatalf("page %d: %s %s: %d %s", page, r.method, r.path, status, text)
				case status >= 500:
					refused++
				case r.path == "/v1/buckets/b/collections/c/records" && (status != 200 || strings.Count(text, "milk milk") < 5):
					t.Errorf("page %d: a list that is not what was stored: %d", page, status)
				}
			}
			return refused
		}
		refused := requests()
		said := u.until(t, "checked", func(said string) bool {
			return strings.Contains(said, "database-damaged") || strings.Contains(u.log.String(), "nothing is damaged")
		})
		damaged := strings.Contains(said, "database-damaged")
		beat, text := u.ask(t, "GET", "/v1/__heartbeat__", "")
		var parts map[string]bool
		if err := json.Unmarshal([]byte(text), &parts); err != nil || parts["storage"] == damaged || (beat == http.StatusOK) == damaged {
			t.Errorf("page %d: damaged: %t, and the heartbeat says %d %s", page, damaged, beat, text)
		}
		switch {
		case damaged:
			told++
			if !strings.Contains(said, `"trouble":{`) || !strings.Contains(said, "endommagée") {
				t.Errorf("page %d: the supervisor is told %s", page, said)
			}
			if refused = requests(); refused < 2 {
				t.Errorf("page %d: something was written to a damaged database", page)
			}
		case refused > 0:
			t.Errorf("page %d: %d requests were refused, and the check found nothing", page, refused)
		default:
			sound++
		}
		u.stop()
	}
	t.Logf("SHOW damaged pages: each of the %d pages of a database in turn: %d told by health, heartbeat and requests alike, %d in no use", pages, told, sound)
	if told < pages*3/4 {
		t.Errorf("%d of %d pages are told of", told, pages)
	}

	// Put back whole, it is well again without anybody saying so.
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	u := startUnlucky(t, settingsFor(data))
	u.until(t, "well", func(said string) bool {
		return strings.Contains(said, `"ok":true`) && !strings.Contains(said, "trouble")
	})
	if status, text := u.ask(t, "PUT", "/v1/buckets/b/collections/c/records/new", `{"data":{}}`); status != http.StatusCreated {
		t.Errorf("put back: %d %s", status, text)
	}
}

// idOfData is the id that the server tells of the data, once there is an owner.
func (u *unlucky) idOfData(t *testing.T) (id string) {
	t.Helper()
	u.until(t, "says which data it has", func(said string) bool {
		var h struct{ Data string }
		if err := json.Unmarshal([]byte(said), &h); err != nil {
			t.Fatal(err)
		}
		id = h.Data
		return id != "" || !strings.Contains(said, `"progress"`) // before there were ids, nothing is to be waited for
	})
	if id == "" {
		t.Fatal("the data have no id")
	}
	return id
}

// Where the supervisor has said which data are to be there, others are not served, nor is
// anything made in their place: no database, no home CA. What is put back is served.
func TestDataThatAreNotThisServersAreNotServed(t *testing.T) {
	t.Attr("shows", "mend2")
	data, name, roots := claimedHousehold(t)
	foreign, _, _ := claimedHousehold(t)
	u := startUnlucky(t, settingsFor(data))
	id := u.idOfData(t)
	u.stop()
	if again := startUnlucky(t, settingsFor(data)); again.idOfData(t) != id {
		t.Error("another id after a restart")
	} else {
		again.stop()
	}
	if err := os.WriteFile(filepath.Join(data, "data.id"), []byte(id+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, "data.db")
	mine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	others, err := os.ReadFile(filepath.Join(foreign, "data.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code string
		put        func() error
		left       []byte // of data.db; nil: none
	}{
		{"removed", "data-gone", func() error { return os.Remove(path) }, nil},
		{"emptied", "data-gone", func() error { return os.Truncate(path, 0) }, []byte{}},
		{"another server's", "data-other", func() error { return os.WriteFile(path, others, 0o600) }, others},
		{"everything but the id removed", "data-gone", func() error {
			return os.Rename(filepath.Join(data, "certificates"), filepath.Join(foreign, "kept"))
		}, nil},
	} {
		if err := os.WriteFile(path, mine, 0o600); err != nil {
			t.Fatal(err)
		}
		if c.name == "everything but the id removed" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.put(); err != nil {
			t.Fatal(err)
		}
		set := settingsFor(data)
		u := startUnlucky(t, set)
		said := u.until(t, "told", func(said string) bool { return strings.Contains(said, c.code) })
		if !strings.Contains(said, `"failed":true`) || strings.Contains(said, `"ok":true`) {
			t.Errorf("%s: %s", c.name, said)
		}
		for _, path := range []string{"/", "/claim", "/v1/", "/v1/__lbheartbeat__", "/v1/__heartbeat__"} {
			if status, text := u.ask(t, "GET", path, ""); status != http.StatusServiceUnavailable || strings.Contains(text, "owner yet") || strings.Contains(text, "overloading") || strings.Contains(text, data) {
				t.Errorf("%s: %s is %d %s", c.name, path, status, text)
			}
		}
		u.stop()
		now, err := os.ReadFile(path)
		if (err != nil) != (c.left == nil) || !bytes.Equal(now, c.left) {
			t.Errorf("%s: the file is another one now: %d bytes, %v", c.name, len(now), err)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "certificates")); err == nil {
		t.Error("a home CA was made beside data that are gone")
	}
	if err := os.Rename(filepath.Join(foreign, "kept"), filepath.Join(data, "certificates")); err != nil {
		t.Fatal(err)
	}
	// Put back while a server stands in, it goes away for one that serves.
	gone := startUnlucky(t, settingsFor(data))
	if err := os.WriteFile(path, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone.ended:
	case <-time.After(unluckyPatience):
		t.Error("the data are back, and the server goes on standing in")
	}
	back := servertest.Start(t, servertest.Config{Data: data, Settings: func(s *config.Settings) { s.Name = name }})
	if resp, body := back.Do(http.MethodGet, "/v1/buckets/b/collections/c/records/r1", ""); resp.StatusCode != http.StatusOK || !back.Roots().Equal(roots) {
		t.Errorf("put back: %s %s", resp.Status, body)
	}
}

// With PostgreSQL another database than before is not served, and nobody can claim it.
func TestAnotherDatabaseThanBeforeIsNotServed(t *testing.T) {
	t.Attr("shows", "mend2")
	c := pgtest.Start(t)
	one, two := c.DSN(t), c.DSN(t)
	s := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { s.Database = one }})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	set := func(dsn string) *config.Settings {
		set := settingsFor(s.Data)
		set.Database = dsn
		return set
	}
	u := startUnlucky(t, set(one))
	id := u.idOfData(t)
	u.stop()
	if err := os.WriteFile(filepath.Join(s.Data, "data.id"), []byte(id+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u = startUnlucky(t, set(two))
	u.until(t, "told", func(said string) bool { return strings.Contains(said, "data-other") })
	if status, text := u.ask(t, "GET", "/claim", ""); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, text)
	}
	u.stop()
	u = startUnlucky(t, set(one))
	if u.idOfData(t) != id {
		t.Error("the database it had is another one now")
	}
}

// What PostgreSQL says of its own damage turns the light, the heartbeat and the answers.
func TestDamageThatPostgreSQLTellsOfIsTold(t *testing.T) {
	t.Attr("shows", "mend2")
	c := pgtest.Start(t)
	dsn := c.DSN(t)
	s := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { s.Database = dsn }})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	set := settingsFor(s.Data)
	set.Database = dsn
	u := startUnlucky(t, set)
	u.until(t, "well", func(said string) bool { return strings.Contains(said, `"ok":true`) })
	// A stand-in for a page that fails its checksum: the server says the same of a table.
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{
		`CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'invalid page in block 7' USING ERRCODE = 'XX001'; END $$`,
		`CREATE TRIGGER broken BEFORE INSERT ON objects EXECUTE FUNCTION broken()`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if status, text := u.ask(t, "PUT", "/v1/buckets/b", `{}`); status != http.StatusServiceUnavailable || !strings.Contains(text, "damaged") || strings.Contains(text, "overloading") {
		t.Errorf("%d %s", status, text)
	}
	said := u.until(t, "told", func(said string) bool { return strings.Contains(said, "database-damaged") })
	if !strings.Contains(said, `"ok":true`) {
		t.Errorf("a start mends nothing here: %s", said)
	}
	if status, text := u.ask(t, "GET", "/v1/__heartbeat__", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, `"storage":false`) {
		t.Errorf("%d %s", status, text)
	}
}
