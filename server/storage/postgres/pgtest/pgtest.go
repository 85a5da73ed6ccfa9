//go:build !windows

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is how long a server may take to start or to be promoted.
const patience = 2 * time.Minute

// Cluster is one server.
type Cluster struct {
	bin, data, socket string
	settings          []string
	cmd               *exec.Cmd
	ended             chan struct{} // closed when cmd has ended
	databases         atomic.Int64
}

// Start makes and starts a server, with settings such as "fsync=on" besides its
// own; it is stopped with the test. Nothing is flushed to disk unless a setting
// says so: a server that is killed loses nothing by it, a machine would.
func Start(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c := place(t, append([]string{"fsync=off", "max_connections=150"}, settings...))
	c.run(t, "initdb", "-D", c.data, "-A", "trust", "-U", "foyer", "-E", "UTF8", "--locale=C", "--no-sync")
	c.Restart(t)
	return c
}

// place makes the folders of a server.
func place(t testing.TB, settings []string) *Cluster {
	t.Helper()
	bin := binaries()
	if bin == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PostgreSQL is not installed here, and CI must have it: .ci/deps installs it")
		}
		t.Skip("PostgreSQL is not installed here; to run this test, install Debian's package postgresql")
	}
	root, err := os.MkdirTemp("", "pg") // short: the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{bin: bin, data: filepath.Join(root, "data"), socket: filepath.Join(root, "s"), settings: settings}
	t.Cleanup(func() {
		c.Kill(t)
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	for _, dir := range []string{root, c.data, c.socket} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		own(t, dir)
	}
	return c
}

// binaries is the folder of the newest PostgreSQL; empty when there is none.
func binaries() string {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
		return filepath.Dir(found[len(found)-1])
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

// user is who a server runs as: nobody, when the test is root, which PostgreSQL
// refuses to be.
func user() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

// own gives a file or folder to that user.
func own(t testing.TB, path string) {
	t.Helper()
	if as := user(); as != nil {
		if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...)
	cmd.Dir = c.socket
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: user()}
	return cmd
}

func (c *Cluster) run(t testing.TB, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := c.command(ctx, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Restart starts the server, after it was stopped or killed if it runs.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Stop(t)
	args := []string{"-D", c.data, "-k", c.socket, "-c", "listen_addresses="}
	for _, s := range c.settings {
		args = append(args, "-c", s)
	}
	log, err := os.OpenFile(filepath.Join(filepath.Dir(c.data), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // the server writes to it
	cmd := c.command(context.Background(), "postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended) // Stop and Kill wait for it
		_ = cmd.Wait()     // how a server ends that is killed says nothing
	}()
	c.cmd, c.ended = cmd, ended
	c.await(t, "to answer", func(ctx context.Context, conn *pgx.Conn) (bool, error) { return true, conn.Ping(ctx) })
}

// await waits until a condition holds.
func (c *Cluster) await(t testing.TB, what string, holds func(context.Context, *pgx.Conn) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.Address()+" dbname=postgres")
		ok := false
		if err == nil {
			ok, err = holds(ctx, conn)
			err = errors.Join(err, conn.Close(ctx))
		}
		if ok && err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-c.ended:
			out, _ := os.ReadFile(filepath.Join(filepath.Dir(c.data), "log"))
			t.Fatalf("the server ended instead of coming %s:\n%s", what, out)
		case <-ctx.Done():
			t.Fatalf("the server does not come %s: %v", what, err)
		}
	}
}

// Address is the part of a DSN that leads to the server.
func (c *Cluster) Address() string { return "host=" + c.socket + " user=foyer" }

// DSN makes a database and returns its DSN.
func (c *Cluster) DSN(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", c.databases.Add(1))
	c.Exec(t, "CREATE DATABASE "+name)
	return c.Address() + " dbname=" + name
}

// Exec runs a statement in the database postgres.
func (c *Cluster) Exec(t testing.TB, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.Address()+" dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(ctx, sql)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server in an orderly way; connections are broken off.
func (c *Cluster) Stop(t testing.TB) { c.end(t, syscall.SIGINT) }

// Kill kills all processes of the server at once.
func (c *Cluster) Kill(t testing.TB) { c.end(t, syscall.SIGKILL) }

func (c *Cluster) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if c.cmd == nil {
		return
	}
	pid := c.cmd.Process.Pid
	var orphans []int
	if sig == syscall.SIGKILL {
		// The group is the postmaster alone: each of its children leads its own. Stopped,
		// it has no more of them; and while one lives no server can start on these data.
		_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended
		orphans = children(pid)
		for _, child := range orphans {
			_ = syscall.Kill(child, sig) // as above
		}
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	<-c.ended
	c.cmd = nil
	for deadline := time.Now().Add(patience); slices.ContainsFunc(orphans, lives); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("processes of a killed server live on")
		}
	}
}

// lives reports whether a process is there and was not killed.
func lives(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, found := strings.Cut(string(text), ") ")
	return err == nil && found && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// children lists the processes a postmaster started.
func children(pid int) (out []int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for word := range strings.FieldsSeq(string(text)) {
		var child int
		if _, err := fmt.Sscan(word, &child); err == nil {
			out = append(out, child)
		}
	}
	return out
}

// Standby makes and starts a server that follows c, and tells c to wait for it
// with every commit.
func (c *Cluster) Standby(t testing.TB) *Cluster {
	t.Helper()
	s := place(t, c.settings)
	if err := os.Chmod(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	s.run(t, "pg_basebackup", "-D", s.data, "-h", c.socket, "-U", "foyer", "-R", "-X", "stream", "-c", "fast", "--no-sync",
		"-d", "application_name=standby host="+c.socket+" user=foyer")
	s.Restart(t)
	c.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	c.Exec(t, "SELECT pg_reload_conf()")
	c.await(t, "to have its standby", func(ctx context.Context, conn *pgx.Conn) (ok bool, err error) {
		err = conn.QueryRow(ctx, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'").Scan(&ok)
		return ok, err
	})
	return s
}

// Promote makes a standby a server of its own.
func (c *Cluster) Promote(t testing.TB) {
	t.Helper()
	c.Exec(t, "ALTER SYSTEM RESET synchronous_standby_names")
	c.Exec(t, "SELECT pg_reload_conf()")
	c.Exec(t, "SELECT pg_promote()")
	c.await(t, "out of recovery", func(ctx context.Context, conn *pgx.Conn) (ok bool, err error) {
		err = conn.QueryRow(ctx, "SELECT NOT pg_is_in_recovery()").Scan(&ok)
		return ok, err
	})
}

// Both is a DSN of the same database on two servers, whichever takes writes.
func Both(dsn string, one, two *Cluster) string {
	return strings.Replace(dsn, "host="+one.socket, "host="+one.socket+","+two.socket, 1) + " target_session_attrs=read-write"
}
