package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// fail makes an error of the driver one that the rules understand. Details that the
// server gives are left out: they can tell of what clients sent.
func fail(err error) error {
	switch {
	case err == nil:
		return nil
	case understood(err), hint.Find(err) != nil, errors.Is(err, context.Canceled):
		return err
	}
	if _, ok := errors.AsType[*refusal](err); ok {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		plain := fmt.Errorf("postgres: %s (%s)", pg.Message, pg.Code)
		switch {
		case pg.Code == "53100": // disk_full
			return fmt.Errorf("%w: %w", kinto.ErrFull, plain)
		case pg.Code == "23505" && pg.ConstraintName == "objects_ts":
			return fmt.Errorf("%w: %w", kinto.ErrConflict, plain)
		case pg.Code == "XX001", pg.Code == "XX002": // data_corrupted, index_corrupted
			return fmt.Errorf("%w: %w", kinto.ErrUnavailable, damaged(plain))
		case pg.Code == "42P05", pg.Code == "26000": // duplicate_prepared_statement, invalid_sql_statement_name
			return fmt.Errorf("%w: %w: %w", kinto.ErrUnavailable, errMixed, plain)
		case passing(pg):
			return fmt.Errorf("%w: %w", kinto.ErrUnavailable, explained(pg, plain))
		}
		return plain
	}
	if strings.Contains(err.Error(), "server refused TLS connection") {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, unencrypted(err))
	}
	if _, ok := errors.AsType[net.Error](err); ok || lost(err) {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, err)
	}
	return err
}

// damaged is the error of a database that is not what was written there.
func damaged(cause error) *hint.Error {
	return hint.New("database-damaged",
		hint.T("The database of this server is damaged: the PostgreSQL server says so.", "La base de données de ce serveur est endommagée : c'est ce que dit le serveur PostgreSQL."),
		hint.T("What cannot be read or stored is refused; the rest goes on.", "Ce qui ne peut être lu ou enregistré est refusé ; le reste continue."),
		hint.T("Check the disk of the PostgreSQL server; its log says which table or index it is.", "Vérifiez le disque du serveur PostgreSQL ; son journal dit de quelle table ou de quel index il s'agit.")).
		Because(cause)
}

func understood(err error) bool {
	return errors.Is(err, kinto.ErrUnavailable) || errors.Is(err, kinto.ErrFull) || errors.Is(err, kinto.ErrConflict) || errors.Is(err, errAgain)
}

// lost: there is no connection, or no more.
func lost(err error) bool {
	_, dialing := errors.AsType[*pgconn.ConnectError](err)
	return dialing || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) || errors.Is(err, errClosed)
}

// late: there was no answer in time.
func late(err error) bool { return errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) }

var errClosed = errors.New("it is closed")

// passing: the server says no to all of this now, and later it may not.
func passing(pg *pgconn.PgError) bool {
	switch pg.Code[:2] {
	case "08", "28", "53", "57", "58", "40": // connection, authorization, resources, operator, system, rollback
		return true
	}
	switch pg.Code {
	case "25006", "0A000", // read_only_sql_transaction, feature_not_supported: not by a standby
		"42501",          // insufficient_privilege
		"25P03", "25P04", // timeouts of transactions
		"55P03", "55000", // lock_not_available, object_not_in_prerequisite_state
		"3D000", "XX000":
		return true
	}
	return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC"
}

// refused: the server answered that nothing was kept; the connection is good.
func refused(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.SeverityUnlocalized == "ERROR"
}

// collided: writers were in each other's way, and trying again can help.
func collided(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03")
}

// demoted: the server does not take writes (any more).
func demoted(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "25006" || pg.Code == "0A000")
}

// text reports whether PostgreSQL can keep s as text. No key of an object that is
// kept is otherwise, so there is nothing under one that is.
func text(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(s)
}

// row is one row of an answer, in the binary format, good until the next.
type row [][]byte

func (r row) text(i int) string { return string(r[i]) }
func (r row) null(i int) bool   { return r[i] == nil }
func (r row) bool(i int) bool   { return len(r[i]) == 1 && r[i][0] == 1 }

func (r row) int(i int) (n int64) {
	if len(r[i]) == 0 {
		return 0
	}
	n = int64(int8(r[i][0]))
	for _, b := range r[i][1:] {
		n = n<<8 | int64(b)
	}
	return n
}

// drain calls each for every row until it returns false, and ends rows.
func drain(rows pgx.Rows, each func(row) bool) error {
	for rows.Next() {
		if !each(rows.RawValues()) {
			break
		}
	}
	rows.Close()
	return rows.Err()
}
