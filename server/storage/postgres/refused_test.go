//go:build !windows

package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// refuses checks that Open refuses a DSN with a code and words, and shows no password.
func refuses(t *testing.T, dsn, code, words string) {
	t.Helper()
	db, err := Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Errorf("it was opened; want %s", code)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	h := hint.Find(err)
	switch {
	case h == nil || h.Code != code || !strings.Contains(h.What.EN, words):
		t.Errorf("got %v, want %s: …%s…", err, code, words)
	case h.Did.IsZero() || h.Do.IsZero() || !errors.Is(err, kinto.ErrUnavailable):
		t.Errorf("got %+v", h)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the password is shown: %v", err)
	}
}

// TestWhatPostgreSQLRefusesIsExplained: the cause, and the one thing to do.
func TestWhatPostgreSQLRefusesIsExplained(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	dsn := c.DSN(t)
	_, name, _ := strings.Cut(dsn, "dbname=")
	for _, sql := range []string{
		"CREATE ROLE poor LOGIN", "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0",
		"CREATE DATABASE still", "ALTER DATABASE still SET default_transaction_read_only = on", "CREATE DATABASE closed CONNECTION LIMIT 0", "ALTER ROLE poor CONNECTION LIMIT 0",
	} {
		c.Exec(t, sql)
	}
	for name, r := range map[string]struct{ dsn, code, words string }{
		"user":      {strings.Replace(dsn, "user=foyer", "user=nobody password=hunter2", 1), "database-denied", "does not let Foyer in"},
		"name":      {c.Address() + " dbname=missing", "database-denied", "is not there"},
		"encoding":  {c.Address() + " dbname=ascii", "database-unsuitable", "SQL_ASCII"},
		"option":    {dsn + " wrk_mem=hunter3", "database-unsuitable", "refuses an option"},
		"value":     {dsn + " options='-c work_mem=lots'", "database-unsuitable", "refuses an option"},
		"read-only": {c.Address() + " dbname=still", "database-readonly", "read-only"},
		"no room":   {strings.Replace(dsn, "user=foyer", "user=poor", 1), "database-busy", "no connection left"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, r.dsn, r.code, r.words) })
	}
	c.Exec(t, "ALTER ROLE poor CONNECTION LIMIT -1")
	t.Run("rights", func(t *testing.T) {
		refuses(t, c.Address()+" dbname="+name+" user=poor", "database-denied", "may not do")
	})
}

// speaker is a small server that speaks PostgreSQL's protocol, no more of it than Open
// uses, and answers as databases do that are not to be had for a test, such as CockroachDB
// and YugabyteDB: what they say of themselves is from their documentation.
type speaker struct {
	version string
	number  string // server_version_num
	status  map[string]string
	refuses string // what is in statements it does not know
	code    string // and the error for those
	pooler  bool   // the server process is another than the one that was named first
	keeps   bool   // locks that are taken

	mu   sync.Mutex
	held bool
}

// dsn starts it for the test.
func (s *speaker) dsn(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // ends Accept
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close() // ends serve
		}
		mu.Unlock()
		wg.Wait()
	})
	host, port, _ := net.SplitHostPort(l.Addr().String())
	return "host=" + host + " port=" + port + " user=foyer password=hunter2 dbname=d"
}

func (s *speaker) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // it is over
	b := pgproto3.NewBackend(conn, conn)
	for {
		m, err := b.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, ok := m.(*pgproto3.StartupMessage); ok {
			break
		}
		if _, err := conn.Write([]byte("N")); err != nil { // no TLS here
			return
		}
	}
	b.Send(&pgproto3.AuthenticationOk{})
	for name, value := range s.status {
		b.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	b.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
	state := byte('I')
	b.Send(&pgproto3.ReadyForQuery{TxStatus: state})
	for b.Flush() == nil {
		m, err := b.Receive()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *pgproto3.Query:
			for sql := range strings.SplitSeq(m.String, "; ") {
				s.answer(b, sql, &state)
			}
		case *pgproto3.Parse:
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "XX000", Message: "only this far"})
			continue
		case *pgproto3.Sync:
		case *pgproto3.Terminate:
			return
		default:
			continue
		}
		b.Send(&pgproto3.ReadyForQuery{TxStatus: state})
	}
}

// answer answers one statement.
func (s *speaker) answer(b *pgproto3.Backend, sql string, state *byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := []string{""}
	switch {
	case s.refuses != "" && strings.Contains(sql, s.refuses):
		b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: s.code, Message: "nothing I know"})
		return
	case sql == "show transaction_read_only":
		row, sql = []string{"off"}, "SELECT"
	case sql == "SELECT version()":
		row = []string{s.version}
	case strings.HasPrefix(sql, "SELECT version()"):
		pid := "7"
		if s.pooler {
			pid = "8"
		}
		row = []string{s.version, pid, s.number, "UTF8", "f", "off"}
	case strings.Contains(sql, "pg_try_advisory_xact_lock"), strings.Contains(sql, "pg_locks"):
		row = []string{"t"}
		if s.held && s.keeps {
			row = []string{"f"}
		}
	case strings.Contains(sql, "pg_advisory_xact_lock"):
		s.held = true
	case strings.HasPrefix(sql, "BEGIN"):
		*state = 'T'
	case strings.HasPrefix(sql, "ROLLBACK"):
		*state, s.held = 'I', false
	}
	if !strings.HasPrefix(sql, "SELECT") {
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("DONE")})
		return
	}
	fields, values := []pgproto3.FieldDescription{}, [][]byte{}
	for i, v := range row {
		fields = append(fields, pgproto3.FieldDescription{Name: fmt.Appendf(nil, "c%d", i), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1})
		values = append(values, []byte(v))
	}
	b.Send(&pgproto3.RowDescription{Fields: fields})
	b.Send(&pgproto3.DataRow{Values: values})
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
}

// TestOnlyPostgreSQLIsUsed: who only speaks its protocol is told so by name, or by what
// its locks do; so is a PostgreSQL that is too old.
func TestOnlyPostgreSQLIsUsed(t *testing.T) {
	t.Attr("shows", "mend3")
	const cockroach = "CockroachDB CCL v23.2.3 (x86_64-pc-linux-gnu, built 2024/03/20 12:27:05, go1.21.5)"
	for name, c := range map[string]struct {
		*speaker
		words string // empty: it is not refused for what it is
	}{
		"CockroachDB":                {&speaker{version: cockroach, number: "130000", status: map[string]string{"crdb_version": cockroach, "server_version": "13.0.0"}}, "CockroachDB"},
		"CockroachDB by its name":    {&speaker{version: cockroach, number: "130000"}, "CockroachDB"},
		"CockroachDB, asked less":    {&speaker{version: cockroach, refuses: "pg_is_in_recovery", code: "42883"}, "CockroachDB"},
		"YugabyteDB":                 {&speaker{version: "PostgreSQL 15.2-YB-2.25.1.0-b0 on x86_64-pc-linux-gnu, compiled by clang, 64-bit", number: "150002", keeps: true}, "YugabyteDB"},
		"older YugabyteDB":           {&speaker{version: "PostgreSQL 11.2-YB-2.18.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang, 64-bit", number: "110002"}, "YugabyteDB"},
		"locks that do not hold":     {&speaker{version: "PostgreSQL 14.1", number: "140001"}, "locks"},
		"the same behind a pooler":   {&speaker{version: "PostgreSQL 14.1", number: "140001", pooler: true}, "locks"},
		"no locks":                   {&speaker{version: "PostgreSQL 14.1", number: "140001", refuses: "advisory", code: "42883"}, "locks"},
		"no locks yet":               {&speaker{version: "PostgreSQL 14.1", number: "140001", refuses: "advisory", code: "0A000"}, "locks"},
		"something else":             {&speaker{version: "Firefly 3", refuses: "pg_backend_pid", code: "42601"}, "not PostgreSQL"},
		"PostgreSQL 9.6":             {&speaker{version: "PostgreSQL 9.6.24 on x86_64-pc-linux-gnu", number: "90624", keeps: true}, "too old"},
		"PostgreSQL 12":              {&speaker{version: "PostgreSQL 12.22 on x86_64-pc-linux-gnu", number: "120022", keeps: true}, "too old"},
		"PostgreSQL 13":              {&speaker{version: "PostgreSQL 13.0 on x86_64-pc-linux-gnu", number: "130000", keeps: true}, ""},
		"PostgreSQL behind a pooler": {&speaker{version: "PostgreSQL 17.2 on x86_64-pc-linux-gnu", number: "170002", keeps: true, pooler: true}, ""},
		"EDB's":                      {&speaker{version: "PostgreSQL 15.2 (EnterpriseDB Advanced Server 15.2.0) on x86_64-pc-linux-gnu", number: "150002", keeps: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.words != "" {
				refuses(t, c.dsn(t), "database-unsuitable", c.words)
				return
			}
			// What is said beyond that is PostgreSQL's alone: it comes as far as the schema.
			db, err := Open(t.Context(), c.dsn(t), slog.New(slog.DiscardHandler))
			if db != nil {
				t.Fatal(db.Close())
			}
			if h := hint.Find(err); h != nil || err == nil || !strings.Contains(err.Error(), "only this far") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestNoTLSIsExplained: a pooler put in between often offers none.
func TestNoTLSIsExplained(t *testing.T) {
	t.Attr("shows", "mend3")
	s := &speaker{version: "PostgreSQL 15.2", number: "150002", keeps: true}
	refuses(t, s.dsn(t)+" sslmode=require", "database-denied", "encrypted")
}
