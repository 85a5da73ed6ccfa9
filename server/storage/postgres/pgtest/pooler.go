//go:build !windows

package pgtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler is a PgBouncer before a Cluster.
type Pooler struct {
	bin, dir string
	cluster  *Cluster // that it is before
	settings []string
	cmd      *exec.Cmd
	ended    chan struct{} // closed when cmd has ended
}

// Pooler makes and starts a PgBouncer that leads to each database of c, with settings such
// as "pool_mode=session" besides its own; it is stopped with the test.
func (c *Cluster) Pooler(t testing.TB, settings ...string) *Pooler {
	t.Helper()
	bin := bouncer()
	if bin == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PgBouncer is not installed here, and CI must have it: .ci/deps installs it")
		}
		t.Skip("PgBouncer is not installed here; to run this test, install Debian's package pgbouncer")
	}
	dir, err := os.MkdirTemp(filepath.Dir(c.data), "b") // goes with the cluster
	if err != nil {
		t.Fatal(err)
	}
	p := &Pooler{bin: bin, dir: dir, cluster: c, settings: settings}
	own(t, dir)
	t.Cleanup(func() { p.Stop(t) })
	p.configure(t, c)
	p.Restart(t)
	return p
}

// bouncer is the program; empty when there is none.
func bouncer() string {
	if _, err := os.Stat("/usr/sbin/pgbouncer"); err == nil { // Debian's; not on everybody's PATH
		return "/usr/sbin/pgbouncer"
	}
	path, _ := exec.LookPath("pgbouncer") // empty when it is not there
	return path
}

// configure writes the files of p, to lead to a server. Databases are many in tests, and
// connections few.
func (p *Pooler) configure(t testing.TB, to *Cluster) {
	t.Helper()
	lines := slices.Concat([]string{
		"[databases]", "* = host=" + to.socket, "[pgbouncer]", "listen_addr=", "unix_socket_dir=" + p.dir, "listen_port=5432", "logfile=", "pidfile=", "auth_type=plain", "auth_file=" + p.dir + "/users", "admin_users=foyer",
		"pool_mode=transaction", "default_pool_size=6", "max_client_conn=1000", "server_idle_timeout=1", "server_login_retry=1",
	}, p.settings, []string{""})
	for name, text := range map[string]string{"ini": strings.Join(lines, "\n"), "users": "\"foyer\" \"secret\"\n"} {
		path := filepath.Join(p.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		own(t, path)
	}
}

// Restart starts PgBouncer, after it was killed if it runs.
func (p *Pooler) Restart(t testing.TB) {
	t.Helper()
	p.Stop(t)
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // the program writes to it
	cmd := exec.Command(p.bin, "-q", filepath.Join(p.dir, "ini"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: user()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended) // Stop waits for it
		_ = cmd.Wait()     // how it ends when it is killed says nothing
	}()
	p.cmd, p.ended = cmd, ended
	deadline := time.Now().Add(patience)
	for {
		err := p.command(context.Background(), "SHOW VERSION")
		if err == nil {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.ended:
			out, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			t.Fatalf("PgBouncer ended instead of answering:\n%s", out)
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer does not answer: %v", err)
		}
	}
}

// Stop kills PgBouncer; connections break.
func (p *Pooler) Stop(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	<-p.ended
	p.cmd = nil
}

// Set gives PgBouncer other settings besides its own while it runs.
func (p *Pooler) Set(t testing.TB, settings ...string) {
	t.Helper()
	p.settings = settings
	p.configure(t, p.cluster)
	p.Command(t, "RELOAD")
}

// To has PgBouncer lead to another server while it runs.
func (p *Pooler) To(t testing.TB, c *Cluster) {
	t.Helper()
	p.configure(t, c)
	p.Command(t, "RELOAD")
}

// Folder is where its socket is.
func (p *Pooler) Folder() string { return p.dir }

// Command runs a command of PgBouncer's console.
func (p *Pooler) Command(t testing.TB, command string) {
	t.Helper()
	if err := p.command(t.Context(), command); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

func (p *Pooler) command(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.Address()+" dbname=pgbouncer")
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, command).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

// Address is the part of a DSN that leads to PgBouncer.
func (p *Pooler) Address() string {
	return "host=" + p.dir + " user=foyer password=secret"
}

// Through is dsn, which is of p's cluster, through p.
func (p *Pooler) Through(dsn string) string {
	return strings.Replace(dsn, p.cluster.Address(), p.Address(), 1)
}
