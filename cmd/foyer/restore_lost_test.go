//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/source"
)

// A device comes with what it saw after the moment that was brought back. It is told so, by
// the server of the restored data, and still is when those were backed up and brought back
// once more. Who saw no more than the backup has is told what is new.
func TestARestoreKnowsWhatWasLost(t *testing.T) {
	t.Attr("shows", "backups")
	const list = "/v1/buckets/b/collections/c/records"
	type version struct {
		at    int64 // the list's timestamp
		ids   string
		after int64 // that of the next, in the same life
	}
	data := ""
	var lost []version
	for life := range 3 {
		s := servertest.Start(t, servertest.Config{PlainHTTP: true, Data: data})
		h := &household{Server: s, t: t, c: s.Client()}
		at := func(query string) version {
			t.Helper()
			status, tag, text := h.ask(http.MethodGet, list+query, "application/json", "")
			v := version{}
			if _, err := fmt.Sscanf(tag, `"%d"`, &v.at); status != 200 || err != nil {
				t.Fatal(status, tag, text)
			}
			var body struct{ Data []struct{ ID string } }
			if err := json.Unmarshal([]byte(text), &body); err != nil {
				t.Fatal(err)
			}
			for _, o := range body.Data {
				v.ids += o.ID + " "
			}
			return v
		}
		for _, v := range lost {
			told := at(fmt.Sprintf("?_since=%d", v.at))
			if told.at <= v.at || told.ids != "" {
				t.Errorf("life %d, since %d: %+v", life, v.at, told)
			}
			for id := range strings.FieldsSeq(v.ids) {
				if all := at(fmt.Sprintf("?_since=%d", told.at)); !strings.Contains(all.ids, id) {
					t.Errorf("life %d, asked again: %+v, there was %s", life, all, id)
				}
			}
		}
		h.do(http.MethodPut, "/v1/buckets/b", "")
		h.do(http.MethodPut, "/v1/buckets/b/collections/c", "")
		h.do(http.MethodPut, fmt.Sprintf("%s/kept%d", list, life), "")
		kept := at("")
		for _, v := range lost {
			if kept.at <= v.after {
				t.Errorf("life %d: %d was given before", life, kept.at)
			}
		}
		src := source.Dial(s.Addr(host.Local))
		b := backUp(t, src)
		b.cycle()
		h.do(http.MethodPut, fmt.Sprintf("%s/lost%d", list, life), "")
		h.do(http.MethodDelete, fmt.Sprintf("%s/kept%d", list, life), "")
		seen := at("")
		if seen.at <= kept.at {
			t.Fatal(seen, kept)
		}
		lost = append(lost, version{at: seen.at, ids: kept.ids, after: seen.at})
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		data = filepath.Join(t.TempDir(), "back")
		if r := bring(t, b.words(), "--from", b.from, "--into", data, "--yes"); r.code != 0 {
			t.Fatalf("%s", r)
		}
		text, err := storage.Meta(t.Context(), filepath.Join(data, "data.db"), kinto.MetaLost)
		if err != nil {
			t.Fatal(err)
		}
		var spans []struct {
			From, To int64
			Open     bool
		}
		if err := json.Unmarshal([]byte(text), &spans); err != nil || len(spans) != life+1 {
			t.Fatalf("%s %v", text, err)
		}
		if last := spans[life]; !last.Open || last.From < kept.at || last.From >= seen.at || last.To <= seen.at {
			t.Errorf("life %d: %s; kept up to %d, seen %d", life, text, kept.at, seen.at)
		}
		for _, older := range spans[:life] {
			if older.Open {
				t.Errorf("life %d: %s", life, text)
			}
		}
		time.Sleep(5 * time.Millisecond) // the clock goes on between two lives
	}
	fmt.Fprintf(os.Stderr, "SHOW devices that had seen what three restores took away, one after the other: told of it, and shown everything; no timestamp was given twice\n")
}
