package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/supervisor/source"
)

// served is a real server of whose data a client may read everything, and what they come to.
type served struct {
	*servertest.Server
	t *testing.T
}

func serve(t *testing.T, unclaimed bool) *served {
	t.Helper()
	return &served{t: t, Server: servertest.Start(t, servertest.Config{PlainHTTP: true, Unclaimed: unclaimed, Settings: func(set *config.Settings) {
		set.Kinto = config.NewKinto(map[string]string{
			"includes":               "kinto.plugins.accounts kinto.plugins.history kinto_attachment",
			"paginate_by":            "7",
			"bucket_read_principals": "system.Everyone", "collection_read_principals": "system.Everyone", "group_read_principals": "system.Everyone",
			"record_read_principals": "system.Everyone", "history_read_principals": "system.Everyone", "account_read_principals": "system.Everyone",
		})
	}})}
}

func (s *served) put(path, body string) {
	s.t.Helper()
	if resp, text := s.Do(http.MethodPut, "/v1"+path, body); resp.StatusCode >= 300 {
		s.t.Fatalf("%s: %d %s", path, resp.StatusCode, text)
	}
}

// attach attaches contents to a record.
func (s *served) attach(path, contents string) {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("attachment", "a.txt")
	if err == nil {
		_, err = io.WriteString(part, contents)
	}
	if err = errors.Join(err, form.Close()); err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/v1"+path+"/attachment", &body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.SetBasicAuth(servertest.Owner, servertest.Password)
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode >= 300 {
		s.t.Fatalf("%s: %d", path, resp.StatusCode)
	}
}

func (s *served) sum() *changelog.Summary {
	s.t.Helper()
	sum, _, err := source.Dial(s.Addr(host.Local)).Summarize(s.t.Context(), time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return sum
}

// client is a drill's client of this server.
func (s *served) client() *client {
	c := newClient("")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Addr(host.HTTP))
	}}
	c.http.Transport = transport
	s.t.Cleanup(transport.CloseIdleConnections)
	return c
}

func (s *served) read(c *client, want *changelog.Summary) (lists int, err error) {
	return c.readAll(s.t.Context(), want, func(int, int) {})
}

// changed is a summary with other figures.
func changed(t *testing.T, sum *changelog.Summary, change func(l map[string]any)) *changelog.Summary {
	t.Helper()
	text, err := json.Marshal(sum)
	var all struct {
		Lists  []map[string]any          `json:"lists"`
		Others map[string]map[string]any `json:"others"`
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	if err == nil {
		err = in.Decode(&all)
	}
	for _, l := range all.Lists {
		change(l)
	}
	out := &changelog.Summary{}
	if err == nil {
		text, err = json.Marshal(all)
	}
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// more adds to a number of a list.
func more(l map[string]any, field string) {
	n, _ := l[field].(json.Number).Int64()
	l[field] = n + 1
}

// A client finds what a summary says, of every kind; and every figure that is another.
func TestWhatAClientReads(t *testing.T) {
	t.Attr("shows", "backups")
	s := serve(t, false)
	const records = 20
	for _, b := range []string{"/buckets/one", "/buckets/default"} {
		s.put(b, "")
		s.put(b+"/groups/g", `{"data":{"members":["account:ann"]}}`)
		for _, c := range []string{"/collections/full", "/collections/empty"} {
			s.put(b+c, "")
		}
		for i := range records {
			s.put(fmt.Sprintf("%s/collections/full/records/r%d", b, i), fmt.Sprintf(`{"data":{"n":%d,"attachment":[1,{"location":2}]}}`, i))
		}
	}
	s.put("/accounts/paul", `{"data":{"password":"a long enough one"}}`)
	s.attach("/buckets/one/collections/full/records/r0", "a picture") // the oldest now the newest
	for i := 1; i < records; i++ {
		s.put(fmt.Sprintf("/buckets/one/collections/full/records/r%d", i), `{"data":{}}`)
	}
	sum := s.sum()
	all, objects := 0, 0
	kinds := map[string]bool{}
	for _, l := range sum.Lists() {
		if kinds[l.Of] = true; l.Of != accountKind {
			objects += l.Live
		}
		if l.Of != accountKind || l.Parent != "" {
			all++
		}
	}
	for _, k := range kinto.Kinds() {
		if k != kinto.Permission && !kinds[string(k)] {
			t.Errorf("this shows nothing of kind %s", k)
		}
	}
	c := s.client()
	if n, err := s.read(c, sum); n != all || err != nil || c.left != readMost-objects || c.attached == nil {
		t.Errorf("%d lists of %d, %d objects of %d, attachment %v: %v", n, all, readMost-c.left, objects, c.attached, err)
	}
	// Of more than it reads, all are counted, and an attachment is found all the same.
	for _, left := range []int{1, 9} {
		c := s.client()
		c.left = left
		if n, err := s.read(c, sum); n != all || err != nil || c.left != 0 || c.attached == nil {
			t.Errorf("of %d objects: %d lists of %d, %d left, attachment %v: %v", left, n, all, c.left, c.attached, err)
		}
	}
	wrong := 0
	for k := range kinds {
		for _, field := range []string{"live", "time"} {
			if k == accountKind && field == "time" {
				continue // the list of all of them gets its timestamp when it is asked for
			}
			once := false
			other := changed(t, sum, func(l map[string]any) {
				if l["of"] == k && !once && (k != "record" || l["live"] != json.Number("0")) {
					once = true
					more(l, field)
				}
			})
			_, err := s.read(s.client(), other)
			if d, ok := errors.AsType[*errDiffers](err); !ok {
				t.Errorf("%s of a list of %ss is another: %v", field, k, err)
			} else if wrong++; !strings.Contains(d.what, "and ") && !strings.Contains(d.what, "of ") {
				t.Errorf("it says only %s", d.what)
			}
		}
	}
	t.Logf("SHOW a drill's client notices each of %d figures of lists that is one off", wrong)
	// A list whose parent is gone is none for clients; unless there was something in it.
	gone := &changelog.Summary{}
	tombstone := changelog.Line{Kind: changelog.Object, Gone: true, Parent: "/buckets/one/collections/never", Of: "record", ID: "r", Time: 7}
	gone.Add(&tombstone, tombstone.Append(nil))
	if n, err := s.read(s.client(), gone); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	live := changelog.Line{Kind: changelog.Object, Parent: "/buckets/one/collections/never", Of: "record", ID: "s", Time: 7, Data: []byte("{}")}
	gone.Add(&live, live.Append(nil))
	if _, err := s.read(s.client(), gone); !isDiffers(err) {
		t.Errorf("%v", err)
	}
	// Contents that are others, of the same length.
	found, err := filepath.Glob(filepath.Join(s.Data, "attachments", "*", "*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.WriteFile(found[0], []byte("a picturE"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.read(s.client(), sum); !isDiffers(err) {
		t.Errorf("contents that are others: %v", err)
	}
}

func isDiffers(err error) bool {
	_, ok := errors.AsType[*errDiffers](err)
	return ok
}

// A server without an owner keeps nothing, and can be opened all the same.
func TestAServerWithoutAnOwner(t *testing.T) {
	s := serve(t, true)
	if n, err := s.read(s.client(), s.sum()); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	one := &changelog.Summary{}
	l := changelog.Line{Kind: changelog.Object, Of: "bucket", ID: "b", Time: 7, Data: []byte("{}")}
	one.Add(&l, l.Append(nil))
	if _, err := s.read(s.client(), one); err == nil || isDiffers(err) {
		t.Errorf("what cannot be asked for: %v", err)
	}
}

// All kinds that a server keeps are read; who adds one is told here.
func TestAllKindsAreRead(t *testing.T) {
	known := []kinto.Kind{kinto.Account, kinto.Permission}
	for _, k := range kinto.Kinds() {
		if plural := plurals[string(k)]; plural != "" {
			parent := "/buckets/b/collections/c"[:map[kinto.Kind]int{kinto.Bucket: 0, kinto.Record: 24}[k]]
			if parent == "" && k != kinto.Bucket {
				parent = "/buckets/b"
			}
			l, id, ok := kinto.Locate(parent + plural)
			if !ok || id != "" || l != (kinto.List{Parent: parent, Kind: k}) {
				t.Errorf("%s is %v %q %v", parent+plural, l, id, ok)
			}
			continue
		}
		if !slices.Contains(known, k) {
			t.Errorf("lists of kind %s are not read", k)
		}
	}
}
