//go:build unix

package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// filled puts so many records into a server, in batches.
func filled(t *testing.T, s *servertest.Server, n int) {
	t.Helper()
	s.Do(http.MethodPut, "/v1/buckets/b", "")
	s.Do(http.MethodPut, "/v1/buckets/b/collections/c", "")
	for n > 0 {
		var b strings.Builder
		some := min(n, 25)
		for i := range some {
			fmt.Fprintf(&b, `,{"method":"PUT","path":"/buckets/b/collections/c/records/r%d","body":{"data":{"text":"milk and honey %d"}}}`, n-i, n-i)
		}
		n -= some
		if resp, body := s.Do(http.MethodPost, "/v1/batch", `{"requests":[`+b.String()[1:]+`]}`); resp.StatusCode != http.StatusOK || strings.Contains(body, `"status":4`) {
			t.Fatalf("%s %.300s", resp.Status, body)
		}
	}
}

// A check of the database reads everything, on both stores, while it is in use.
func TestTheDatabaseIsChecked(t *testing.T) {
	t.Attr("shows", "ground")
	dsn := pgtest.Start(t).DSN(t)
	for name, settings := range map[string]func(*config.Settings){"SQLite": nil, "PostgreSQL": func(s *config.Settings) { s.Database = dsn }} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Config{Settings: settings})
			filled(t, s, 1200)
			for how, read := range map[string]int64{"quick": 0, "full": 1200} {
				all, err := s.Check(t.Context(), how)
				if err != nil || len(all) == 0 {
					t.Fatalf("%s: %+v, %v", how, all, err)
				}
				last := all[len(all)-1]
				if !last.Ended || last.Error != nil || last.Done < read || last.Of < 1200 || how == "quick" && last.Done != 0 {
					t.Errorf("%s: %+v", how, last)
				}
				if told := slices.ContainsFunc(all, func(l report.CheckLine) bool { return l.Said != nil && strings.Contains(l.Said.EN, "every object") }); told != (how == "full") {
					t.Errorf("%s: it said %+v", how, all)
				}
			}
		})
	}
}

// What does not fit together is found, and from then on known to all; what is no JSON any
// more is found by a full check alone, and named.
func TestACheckFindsDamage(t *testing.T) {
	t.Attr("shows", "ground")
	s := servertest.Start(t, servertest.Config{})
	filled(t, s, 300)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Data, "data.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A bit of a text has turned: SQLite has no sums, and sees nothing.
	text := bytes.Index(whole, []byte(`{"text":"milk and honey 7"}`))
	if text < 0 {
		t.Fatal("the record is not in the file as it was sent")
	}
	turned := slices.Clone(whole)
	turned[text] ^= 4 // { to DEL
	if err := os.WriteFile(path, turned, 0o600); err != nil {
		t.Fatal(err)
	}
	again := servertest.Start(t, servertest.Config{Data: s.Data})
	if all, err := again.Check(t.Context(), "quick"); err != nil || all[len(all)-1].Error != nil {
		t.Errorf("quick: %+v, %v", all, err)
	}
	all, err := again.Check(t.Context(), "full")
	if err != nil {
		t.Fatal(err)
	}
	if e := all[len(all)-1].Error; e == nil || e.Code != "database-damaged" || !strings.Contains(e.What.EN, "/buckets/b/collections/c/records/r7 ") {
		t.Errorf("full: %+v", e)
	}
	if h, status, err := again.Health(); err != nil || status != http.StatusOK || h.Trouble == nil || h.Trouble.Code != "database-damaged" {
		t.Errorf("health does not know what the check found: %d %+v, %v", status, h.Trouble, err)
	}
	if resp, _ := again.Do(http.MethodPut, "/v1/buckets/b/collections/c/records/r7", `{"data":{}}`); resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		t.Errorf("one object that cannot be read keeps it from being written: %s", resp.Status)
	}
	if all, err := again.Check(t.Context(), "full"); err != nil || all[len(all)-1].Error != nil {
		t.Errorf("written anew: %+v, %v", all, err)
	}
	if h, _, err := again.Health(); err != nil || h.Trouble != nil {
		t.Errorf("health still says %+v, %v", h.Trouble, err)
	}
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}

	// A page is lost: the file does not fit together.
	const page = 4096
	lost := slices.Clone(whole)
	clear(lost[text/page*page : (text/page+1)*page])
	if err := os.WriteFile(path, lost, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := servertest.Start(t, servertest.Config{Data: s.Data})
	all, err = broken.Check(t.Context(), "quick")
	if err != nil {
		t.Fatal(err)
	}
	if e := all[len(all)-1].Error; e == nil || e.Code != "database-damaged" {
		t.Errorf("quick: %+v", all)
	}
	if h, _, err := broken.Health(); err != nil || h.Trouble == nil || h.Trouble.Code != "database-damaged" {
		t.Errorf("health does not know: %+v, %v", h.Trouble, err)
	}
}

// attach attaches a text to a record, and returns its address and its file.
func attach(t *testing.T, s *servertest.Server, record, text string) (at *url.URL, file string) {
	t.Helper()
	s.Do(http.MethodPut, "/v1/buckets/b", "")
	s.Do(http.MethodPut, "/v1/buckets/b/collections/c", "")
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if part, err := w.CreateFormFile("attachment", "a.txt"); err != nil {
		t.Fatal(err)
	} else if _, err := part.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/buckets/b/collections/c/records/"+record+"/attachment", &form)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(servertest.Owner, servertest.Password)
	req.Header.Set("Content-Type", w.FormDataContentType())
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var put struct{ Hash, Location string }
	if err := json.NewDecoder(resp.Body).Decode(&put); err != nil || put.Hash == "" {
		t.Fatalf("%s %+v %v", resp.Status, put, err)
	}
	if at, err = url.Parse(put.Location); err != nil {
		t.Fatal(err)
	}
	return at, filepath.Join(s.Data, "attachments", put.Hash[:2], put.Hash)
}

// A full check reads what is attached, too: what is damaged or missing, and nobody has asked for,
// is known; a quick one does not; and what went with its record is not missed.
func TestACheckReadsWhatIsAttached(t *testing.T) {
	t.Attr("shows", "health")
	dsn := pgtest.Start(t).DSN(t)
	for name, settings := range map[string]func(*config.Settings){"SQLite": nil, "PostgreSQL": func(s *config.Settings) { s.Database = dsn }} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Config{Settings: settings})
			_, whole := attach(t, s, "whole", "hello")
			_, turned := attach(t, s, "turned", "a film of the garden")
			_, missing := attach(t, s, "missing", "a letter of Tuesday")
			_, gone := attach(t, s, "gone", "a recipe for bread")
			check := func(when, how, wrong string, says ...string) {
				t.Helper()
				all, err := s.Check(t.Context(), how)
				if err != nil {
					t.Fatal(err)
				}
				last := all[len(all)-1]
				if got := last.Error; (got == nil) != (wrong == "") || got != nil && got.Code != wrong {
					t.Errorf("%s, a %s check: %+v", when, how, got)
				}
				h, _, err := s.Health()
				if err != nil || (h.Trouble == nil) != (len(says) == 0) {
					t.Errorf("%s, after a %s check health says %+v, %v", when, how, h.Trouble, err)
				}
				for _, what := range says {
					if h.Trouble == nil || !strings.Contains(h.Trouble.What.EN, what) {
						t.Errorf("%s, after a %s check health says %+v, and not %q", when, how, h.Trouble, what)
					}
				}
			}
			check("well", "full", "")
			for _, err := range []error{os.WriteFile(turned, []byte("a film of the gardem"), 0o600), os.Remove(missing), os.Remove(gone)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			s.Do(http.MethodDelete, "/v1/buckets/b/collections/c/records/gone", "")
			check("damaged", "quick", "")
			check("damaged", "full", "attachment-damaged", "2 so far")
			for file, text := range map[string]string{turned: "a film of the garden", missing: "a letter of Tuesday"} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			check("put back", "full", "")
			if text, err := os.ReadFile(whole); err != nil || string(text) != "hello" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// An attachment that a request finds missing or damaged is known to health at once, and keeps
// nothing else from being served; put back and read, it is well again.
func TestADamagedAttachmentIsKnownAtOnce(t *testing.T) {
	t.Attr("shows", "ground")
	s := servertest.Start(t, servertest.Config{})
	at, file := attach(t, s, "r", "hello")
	for name, spoil := range map[string]func() error{
		"missing": func() error { return os.Remove(file) },
		"shorter": func() error { return os.Truncate(file, 3) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if h, _, err := s.Health(); err != nil || h.Trouble != nil {
			t.Errorf("%s, and nobody has met it: %+v, %v", name, h.Trouble, err)
		}
		if resp, _ := s.Do(http.MethodGet, at.Path, ""); resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %s", name, resp.Status)
		}
		if h, status, err := s.Health(); err != nil || status != http.StatusOK || h.Trouble == nil || h.Trouble.Code != "attachment-damaged" {
			t.Errorf("%s: health says %d, %+v, %v", name, status, h.Trouble, err)
		}
		if resp, _ := s.Do(http.MethodPut, "/v1/buckets/b/collections/c/records/other", `{"data":{}}`); resp.StatusCode >= 300 {
			t.Errorf("%s, and something else is answered %s", name, resp.Status)
		}
		if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
		if resp, body := s.Do(http.MethodGet, at.Path, ""); resp.StatusCode != http.StatusOK || body != "hello" {
			t.Errorf("put back: %s %s", resp.Status, body)
		}
		if h, _, err := s.Health(); err != nil || h.Trouble != nil {
			t.Errorf("put back: health says %+v, %v", h.Trouble, err)
		}
	}
}

// What takes room is told by person, bucket and kind: the same on both stores, and the same
// as quotas count.
func TestWhatTakesRoom(t *testing.T) {
	t.Attr("shows", "ground")
	dsn := pgtest.Start(t).DSN(t)
	var both []report.Used
	for name, settings := range map[string]func(*config.Settings){"SQLite": nil, "PostgreSQL": func(s *config.Settings) { s.Database = dsn }} {
		s := servertest.Start(t, servertest.Config{Settings: settings})
		filled(t, s, 100)
		s.Do(http.MethodPut, "/v1/buckets/small", "")
		used, err := s.Usage()
		if err != nil || len(used.People) != 1 || len(used.Buckets) != 1 || len(used.Kinds) != 4 {
			t.Fatalf("%s: %+v, %v", name, used, err)
		}
		if p := used.People[0]; p.Who != "account:"+servertest.Owner || p.Records != 100 || p.Bytes < 100*64 {
			t.Errorf("%s: %+v", name, p)
		}
		if b := used.Buckets[0]; b.Bucket != "b" || b.Objects != 101 || b.Who != used.People[0].Who {
			t.Errorf("%s: %+v", name, b)
		}
		if k := used.Kinds[0]; k.Kind != "record" || k.Objects != 100 || k.Bytes > used.People[0].Bytes {
			t.Errorf("%s: %+v", name, k)
		}
		used.Kinds = slices.DeleteFunc(used.Kinds, func(k report.UsedKind) bool { return k.Kind == "account" }) // hashes differ
		both = append(both, used)
	}
	if diff := cmp.Diff(both[0], both[1]); diff != "" {
		t.Error(diff)
	}
}
