// Package pgtest runs real PostgreSQL servers for tests, from the binaries of
// Debian's packages (or those on the PATH): each in a folder of its own, reached
// through a unix socket only, as an unprivileged user when the test is root. No
// service of the system is needed or touched. Before a server there may be a PgBouncer
// of the test's own.
//
// Without the binaries a test is skipped, unless the environment variable CI is
// set: there they must be.
package pgtest
