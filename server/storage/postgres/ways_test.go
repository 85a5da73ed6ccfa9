//go:build !windows

package postgres

import (
	"log/slog"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// TestWaysToAskInTheAddress: the driver's words for how statements are asked are taken
// from the address, and what is read is right by each of them.
func TestWaysToAskInTheAddress(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	for _, way := range []string{
		"default_query_exec_mode=cache_statement", "default_query_exec_mode=cache_describe", "default_query_exec_mode=describe_exec", "default_query_exec_mode=exec",
		"default_query_exec_mode=simple_protocol", "statement_cache_capacity=0", "default_query_exec_mode=cache_describe description_cache_capacity=0",
	} {
		t.Run(way, func(t *testing.T) {
			db, err := Open(t.Context(), c.DSN(t)+" "+way, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close() //nolint:errcheck // nothing is under way
			ts, err := write(db, records("c"), kinto.Object{ID: "r", Data: []byte(`{"a":1}`)})
			if err != nil {
				t.Fatal(err)
			}
			err = db.Read(t.Context(), func(tx kinto.Reader) error {
				found, _, err := tx.Select(records("c"), kinto.Everything())
				if err != nil {
					return err
				}
				if len(found) != 1 || found[0].Timestamp != ts || string(found[0].Data) != `{"a":1}` {
					t.Errorf("got %+v", found)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
