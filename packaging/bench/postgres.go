package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// cluster is a PostgreSQL of its own, from Debian's packages, durable as it comes.
type cluster struct {
	bin, dir string
	socket   string // its folder; short and without spaces, wherever dir is
	as       *syscall.Credential
}

// startCluster starts one that listens on a socket alone. PostgreSQL does not run as
// root: then it is nobody's, and its data are in /var/tmp, which is on a disk
// everywhere, as nobody may not be let into dir.
func startCluster(dir string) (c *cluster, err error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return nil, errors.New("PostgreSQL is not installed: apt-get install postgresql")
	}
	c = &cluster{bin: bins[len(bins)-1], dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.dir), os.RemoveAll(c.socket))
		}
	}()
	if os.Geteuid() == 0 {
		c.dir, err = os.MkdirTemp("/var/tmp", "foyer-bench-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if c.socket, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		c.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := errors.Join(os.Chown(c.dir, uid, gid), os.Chown(c.socket, uid, gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(c.dir, "data")
	if err := c.run("initdb", "-D", data, "-A", "trust", "-U", "foyer", "-E", "UTF8", "--no-locale"); err != nil {
		return nil, err
	}
	return c, c.run("pg_ctl", "-D", data, "-l", filepath.Join(c.dir, "log"), "-o", fmt.Sprintf("-k %s -c listen_addresses='' -c shared_buffers=256MB -c max_wal_size=4GB", c.socket), "-w", "start")
}

func (c *cluster) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (c *cluster) stop() error {
	return errors.Join(c.run("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-m", "fast", "-w", "stop"), os.RemoveAll(c.dir), os.RemoveAll(c.socket))
}

func (c *cluster) dsn() string { return fmt.Sprintf("host=%s user=foyer dbname=postgres", c.socket) }

// postgresql measures the storage of servers that outgrew one machine.
func (b *bench) postgresql() (err error) {
	c, err := startCluster(filepath.Join(b.dir, "postgresql"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := b.store("PostgreSQL", filepath.Join(b.dir, "data-postgresql"), "FOYER_DATABASE="+c.dsn()); err != nil {
		return err
	}
	return b.perWrite(c)
}

// perWrite compares 64 clients on one hot collection with one transaction per
// write: a counter row and a record, written by 64 connections straight away.
func (b *bench) perWrite(c *cluster) (err error) {
	pool, err := pgxpool.New(context.Background(), c.dsn()+" pool_max_conns=64")
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, sql := range []string{
		"CREATE TABLE naive_counter (id int PRIMARY KEY, ts bigint NOT NULL)", "INSERT INTO naive_counter VALUES (1, 0)",
		"CREATE TABLE naive (list int, id text, ts bigint, data text, PRIMARY KEY (list, id), UNIQUE (list, ts))",
	} {
		if _, err := pool.Exec(context.Background(), sql); err != nil {
			return err
		}
	}
	var n atomic.Int64
	naive := func() (result, error) {
		ctx, cancel := context.WithTimeout(context.Background(), b.slice)
		defer cancel()
		begin, from := time.Now(), n.Load()
		var wg sync.WaitGroup
		errs := make([]error, 64)
		for i := range errs {
			wg.Go(func() {
				for ctx.Err() == nil {
					tx, err := pool.Begin(ctx)
					if err == nil {
						var ts int64
						err = tx.QueryRow(ctx, "UPDATE naive_counter SET ts = ts + 1 WHERE id = 1 RETURNING ts").Scan(&ts)
						if err == nil {
							_, err = tx.Exec(ctx, "INSERT INTO naive VALUES (1, $1, $2, $3)", fmt.Sprint("r", ts), ts, string(record(int(ts))))
						}
						if err == nil {
							err = tx.Commit(ctx)
						} else {
							_ = tx.Rollback(context.Background())
						}
					}
					if err != nil {
						if ctx.Err() == nil {
							errs[i] = err
						}
						return
					}
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return result{rate: float64(n.Load()-from) / time.Since(begin).Seconds()}, errors.Join(errs...)
	}
	p, err := startFoyer(b.binary, filepath.Join(b.dir, "data-postgresql"), "FOYER_DATABASE="+c.dsn())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	hot := 0
	if _, err := one(p.addr, 201, "PUT", "/v1/buckets/b/collections/hot", nil); err != nil {
		return err
	}
	mine := func() (result, error) {
		// Any answer but 201, a 409 for one, ends the measurement with an error.
		r, next, err := job{addr: p.addr, clients: 64, want: 201, next: func(i int) []byte {
			return request("POST", "/v1/buckets/b/collections/hot/records", auth, record(i))
		}}.run(b.slice, hot)
		hot = next
		return r, err
	}
	r, ratio, err := b.versus(mine, naive)
	if err != nil {
		return err
	}
	b.table.rate("PostgreSQL", "durable create, 64 clients, one collection, no conflict (yardstick: one transaction per write, without HTTP)", r, ratio, "≥ 3.00", 3)
	return nil
}
