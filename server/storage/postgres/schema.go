package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/internal/hint"
)

//go:embed sql/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Nodes that start together do it one after
// the other, and the later ones find it done; writers of nodes that run already are kept
// away meanwhile, so that none writes back what it read before.
func (db *DB) migrate(ctx context.Context, conn *pgx.Conn) error {
	names, err := fs.Glob(migrations, "sql/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	return db.dialer.transact(ctx, conn, func(tx pgx.Tx) error { return upgrade(ctx, tx, names) })
}

// upgrade is one transaction of migrate.
func upgrade(ctx context.Context, tx pgx.Tx, names []string) error {
	if _, err := tx.Exec(ctx, statement("lock"), []int64{lockSchema}); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS schema_version (n INTEGER NOT NULL)"); err != nil {
		return err
	}
	var have int
	if err := tx.QueryRow(ctx, "SELECT coalesce(max(n), 0) FROM schema_version").Scan(&have); err != nil {
		return err
	}
	if have > len(names) {
		return hint.New("database-newer",
			hint.T("This database was written by a newer Foyer.", "Cette base de données a été écrite par un Foyer plus récent."),
			hint.T("It was left as it is.", "Elle a été laissée telle quelle."),
			hint.T("Install the newer version again, or restore a backup made by this one.", "Réinstallez la version plus récente, ou restaurez une sauvegarde faite par celle-ci.")).
			Because(fmt.Errorf("schema %d, known up to %d", have, len(names)))
	}
	if have < len(names) {
		if _, err := tx.Exec(ctx, statement("lock"), []int64{lockStructure}); err != nil {
			return err
		}
	}
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "sql/"), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			panic("postgres: migrations are not numbered one after the other: " + name)
		}
		if i < have {
			continue
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, string(text)); err != nil {
			return fmt.Errorf("cannot bring the schema to %d: %w", i+1, err)
		}
	}
	if have < len(names) {
		if _, err := tx.Exec(ctx, "DELETE FROM schema_version"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO schema_version VALUES ($1)", len(names)); err != nil {
			return err
		}
	}
	return nil
}
