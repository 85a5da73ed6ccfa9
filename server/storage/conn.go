package storage

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/server/kinto"
)

// conn is one SQLite connection with its prepared statements, over the library's
// own C interface: no conversions and no allocations per row or parameter, which
// database/sql cannot do (docs/decisions.md has the figures). It is used by one goroutine at
// a time.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	out   uintptr // scratch for results by pointer
	sql   map[string]string
	stmts map[string]*stmt
	noted func(*codeError) // told of every error; nil: nobody wants to know
}

// stmt is one prepared statement. Parameters are bound with int and text, then
// step is called until it reports false or reset is called. The first error
// sticks and comes out of step.
type stmt struct {
	c    *conn
	p    uintptr
	err  error
	bufs [8]buffer // memory of text parameters, by number
}

// buffer is memory the library can read, kept for the next call.
type buffer struct {
	p   uintptr
	cap int
}

// keep is the size up to which a buffer is kept.
const keep = 64 << 10

func openConn(path string, flags int32, sql map[string]string) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), sql: sql, stmts: map[string]*stmt{}}
	c.out = sqlite3.Xsqlite3_malloc(c.tls, 16)
	name, err := libc.CString(path)
	if err != nil || c.out == 0 {
		c.tls.Close()
		return nil, errors.New("no memory")
	}
	defer libc.Xfree(c.tls, name)
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, c.out, flags|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	c.db = c.pointer()
	if rc != sqlite3.SQLITE_OK {
		err := c.fail(rc)
		c.close() //nolint:errcheck // err says why it did not open
		return nil, err
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	sqlite3.Xsqlite3_busy_timeout(c.tls, c.db, 10_000)
	return c, nil
}

// pointer reads the pointer at out.
func (c *conn) pointer() uintptr {
	var p uintptr
	for i, b := range libc.GoBytes(c.out, 8) {
		p |= uintptr(b) << (8 * i)
	}
	return p
}

func (c *conn) close() error {
	var err error
	for _, s := range c.stmts {
		s.finalize()
	}
	if c.db != 0 {
		if rc := sqlite3.Xsqlite3_close_v2(c.tls, c.db); rc != sqlite3.SQLITE_OK {
			err = c.fail(rc)
		}
	}
	if c.out != 0 {
		sqlite3.Xsqlite3_free(c.tls, c.out)
	}
	c.tls.Close()
	return err
}

// exec runs a script that answers nothing.
func (c *conn) exec(script string) error {
	text, err := libc.CString(script)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, text)
	if rc := sqlite3.Xsqlite3_exec(c.tls, c.db, text, 0, 0, 0); rc != sqlite3.SQLITE_OK {
		return c.fail(rc)
	}
	return nil
}

// do returns the statement of that name in queries.sql, ready to be bound.
func (c *conn) do(name string) *stmt {
	if s := c.stmts[name]; s != nil {
		s.err = nil
		return s
	}
	text, ok := c.sql[name]
	if !ok {
		panic("storage: no such statement: " + name)
	}
	s, err := c.prepare(text)
	if err != nil {
		return &stmt{c: c, err: fmt.Errorf("cannot prepare %s: %w", name, err)}
	}
	c.stmts[name] = s
	return s
}

func (c *conn) prepare(text string) (*stmt, error) {
	p, err := libc.CString(text)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, p)
	if rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, p, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, c.out, 0); rc != sqlite3.SQLITE_OK {
		return nil, c.fail(rc)
	}
	return &stmt{c: c, p: c.pointer()}, nil
}

// changes is how many rows the last statement changed.
func (c *conn) changes() int { return int(sqlite3.Xsqlite3_changes(c.tls, c.db)) }

// inserted is the pk of the row that was inserted last.
func (c *conn) inserted() int64 { return sqlite3.Xsqlite3_last_insert_rowid(c.tls, c.db) }

// written counts the rows that were changed since the connection was made.
func (c *conn) written() int64 { return sqlite3.Xsqlite3_total_changes64(c.tls, c.db) }

// autocommit reports that no transaction is open.
func (c *conn) autocommit() bool { return sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) != 0 }

func (s *stmt) check(rc int32) *stmt {
	if rc != sqlite3.SQLITE_OK && s.err == nil {
		s.err = s.c.fail(rc)
	}
	return s
}

// int binds parameter i.
func (s *stmt) int(i int, v int64) *stmt {
	if s.err != nil {
		return s
	}
	return s.check(sqlite3.Xsqlite3_bind_int64(s.c.tls, s.p, int32(i), v))
}

// text binds parameter i.
func (s *stmt) text(i int, v string) *stmt { return bind(s, i, v, sqlite3.Xsqlite3_bind_text) }

// bytes binds parameter i as text.
func (s *stmt) bytes(i int, v []byte) *stmt { return bind(s, i, v, sqlite3.Xsqlite3_bind_text) }

// blob binds parameter i.
func (s *stmt) blob(i int, v []byte) *stmt { return bind(s, i, v, sqlite3.Xsqlite3_bind_blob) }

// bind copies v to memory that the library can read until the parameter is bound again.
func bind[T string | []byte](s *stmt, i int, v T, as func(tls *libc.TLS, stmt uintptr, i int32, p uintptr, n int32, free uintptr) int32) *stmt {
	p := s.memory(i, len(v))
	if s.err != nil {
		return s
	}
	copy(libc.GoBytes(p, len(v)), v)
	return s.check(as(s.c.tls, s.p, int32(i), p, int32(len(v)), 0))
}

// memory returns at least n bytes for parameter i.
func (s *stmt) memory(i, n int) uintptr {
	b := &s.bufs[i]
	switch {
	case s.err != nil:
		return 0
	case n > 1<<30:
		s.err = kinto.ErrFull
		return 0
	case n > b.cap || b.p == 0:
		s.free(i)
		size := max(64, n+n/4)
		if b.p = sqlite3.Xsqlite3_malloc(s.c.tls, int32(size)); b.p == 0 {
			s.err = errors.New("no memory")
			return 0
		}
		b.cap = size
	}
	return b.p
}

func (s *stmt) free(i int) {
	sqlite3.Xsqlite3_free(s.c.tls, s.bufs[i].p)
	s.bufs[i] = buffer{}
}

// step runs the statement to its next row, whose columns can be read until the next step
// or reset; false when there is none, and then the statement is ready for the next use.
func (s *stmt) step() (bool, error) {
	if s.err != nil {
		s.reset()
		return false, s.err
	}
	switch rc := sqlite3.Xsqlite3_step(s.c.tls, s.p); rc & 0xff {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		s.reset()
		return false, nil
	default:
		s.err = s.c.fail(rc)
		s.reset()
		return false, s.err
	}
}

// run is step for a statement that answers nothing.
func (s *stmt) run() error {
	more, err := s.step()
	if more {
		s.reset()
	}
	return err
}

// reset ends the statement, so that it holds no snapshot and can be used again.
func (s *stmt) reset() {
	if s.p == 0 {
		return
	}
	sqlite3.Xsqlite3_reset(s.c.tls, s.p)
	for i := range s.bufs {
		if s.bufs[i].cap > keep {
			sqlite3.Xsqlite3_bind_null(s.c.tls, s.p, int32(i))
			s.free(i)
		}
	}
}

func (s *stmt) finalize() {
	sqlite3.Xsqlite3_finalize(s.c.tls, s.p)
	for i := range s.bufs {
		if s.bufs[i].p != 0 {
			s.free(i)
		}
	}
	s.p = 0
}

// number is column i of the row.
func (s *stmt) number(i int) int64 { return sqlite3.Xsqlite3_column_int64(s.c.tls, s.p, int32(i)) }

// null reports that column i of the row holds nothing.
func (s *stmt) null(i int) bool {
	return sqlite3.Xsqlite3_column_type(s.c.tls, s.p, int32(i)) == sqlite3.SQLITE_NULL
}

// raw is column i of the row, valid until the next step or reset.
func (s *stmt) raw(i int) []byte {
	p := sqlite3.Xsqlite3_column_blob(s.c.tls, s.p, int32(i))
	n := sqlite3.Xsqlite3_column_bytes(s.c.tls, s.p, int32(i))
	if p == 0 || n == 0 {
		return nil
	}
	return libc.GoBytes(p, int(n))
}

// codeError is an error of SQLite.
type codeError struct {
	code int32 // extended
	text string
}

// damaged reports that what is in the file is not what was written there.
func (e *codeError) damaged() bool {
	return e.code&0xff == sqlite3.SQLITE_CORRUPT || e.code&0xff == sqlite3.SQLITE_NOTADB
}

// ioError reports that the disk did not do what it was asked.
func (e *codeError) ioError() bool { return e.code&0xff == sqlite3.SQLITE_IOERR }

// readOnly reports that what may be written may not be any more.
func (e *codeError) readOnly() bool {
	return e.code&0xff == sqlite3.SQLITE_READONLY || e.code&0xff == sqlite3.SQLITE_CANTOPEN
}

func (e *codeError) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.code) }

// fail makes rc an error that the rules understand.
func (c *conn) fail(rc int32) error {
	text := libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))
	errno := int32(0)
	if c.db != 0 {
		if more := libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db)); more != text && sqlite3.Xsqlite3_extended_errcode(c.tls, c.db) == rc {
			text += ": " + more
		}
		errno = sqlite3.Xsqlite3_system_errno(c.tls, c.db)
	}
	if errno != 0 && rc&0xff == sqlite3.SQLITE_IOERR {
		text += ": " + syscall.Errno(errno).Error()
	}
	err := &codeError{rc, text}
	switch {
	case rc&0xff == sqlite3.SQLITE_FULL, rc&0xff == sqlite3.SQLITE_IOERR && errno == int32(syscall.ENOSPC):
		return fmt.Errorf("%w: %w", kinto.ErrFull, err)
	case rc == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return fmt.Errorf("%w: %w", kinto.ErrConflict, err)
	}
	if c.noted != nil {
		c.noted(err)
	}
	if err.damaged() {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, damaged(err))
	}
	switch rc & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, err)
	}
	return err
}

// statements reads queries.sql.
func statements(text string) map[string]string {
	out := map[string]string{}
	for _, part := range strings.Split(text, "-- name: ")[1:] {
		name, sql, _ := strings.Cut(part, "\n")
		out[name] = strings.TrimSpace(sql)
	}
	return out
}
