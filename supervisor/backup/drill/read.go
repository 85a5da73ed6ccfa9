package drill

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
)

// What a drill reads of what a server tells it.
const (
	readMost    = 10_000 // objects, in all
	pageOfMost  = 500    // objects in one answer
	answersSoon = 10 * time.Minute
	serverName  = "drill" // what it calls the server, which is at no address
)

// client reads a server as an app does, by its API alone.
type client struct {
	http http.Client
	left int // objects that are still to be read
	// attached is an attachment that a record has told of; nil: none yet.
	attached *attached
}

// attached is what a record says of its attachment.
type attached struct {
	Location string `json:"location"`
	Hash     string `json:"hash"`
	Size     int64  `json:"size"`
}

func newClient(socket string) *client {
	return &client{left: readMost, http: http.Client{
		Timeout:       answersSoon,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}},
	}}
}

// plurals are how the API calls the lists of a kind, below their parent.
var plurals = map[string]string{"bucket": "/buckets", "collection": "/collections", "group": "/groups", "record": "/records", "history": "/history"}

// accountKind is the kind whose lists, of one each, the API shows as one.
const accountKind = "account"

// readAll asks for everything that a summary says there is: of each list how many there are
// and how it stands, of readMost objects all, and one attachment. It returns how many lists it
// has read. The error is an *errDiffers where an answer is not what the summary says.
func (c *client) readAll(ctx context.Context, want *changelog.Summary, progress func(done, of int)) (lists int, err error) {
	if _, err := c.answer(ctx, http.MethodGet, "/v1/__lbheartbeat__", nil); err != nil {
		return 0, err
	}
	all := want.Lists()
	people, err := c.accounts(ctx, all)
	if err != nil {
		return 0, err
	}
	// Other objects each time, where there are more than are read.
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	lists = people
	for i, l := range all {
		progress(i, len(all))
		there, err := c.list(ctx, l)
		if err != nil {
			return 0, err
		}
		if there {
			lists++
		}
	}
	if want.Of(changelog.File).Lines > 0 {
		return lists, c.attachment(ctx, all)
	}
	return lists, nil
}

// accounts asks for the list of people, which is made of lists of one, and returns how many of
// those there are.
func (c *client) accounts(ctx context.Context, all []changelog.ListSum) (lists int, err error) {
	live, stands, whole := 0, int64(0), false
	for _, l := range all {
		if l.Of != accountKind {
			continue
		}
		if l.Parent == "" {
			whole = true // else it gets its timestamp now
		} else {
			lists++
		}
		live, stands = live+l.Live, max(stands, l.Time)
	}
	if lists == 0 {
		return 0, nil
	}
	h, err := c.answer(ctx, http.MethodHead, "/v1/accounts", nil)
	if err != nil {
		return 0, err
	}
	if got := h.Get("Total-Records"); got != strconv.Itoa(live) {
		return 0, differ("there are %s accounts, and were %d", got, live)
	}
	if got := h.Get("ETag"); whole && got != etag(stands) {
		return 0, differ("the list of accounts stands at %s, and stood at %d", got, stands)
	}
	return lists, nil
}

func etag(ts int64) string { return `"` + strconv.FormatInt(ts, 10) + `"` }

// list asks for one list; false: it is none that clients see.
func (c *client) list(ctx context.Context, l changelog.ListSum) (there bool, err error) {
	plural, known := plurals[l.Of]
	if !known {
		return false, nil
	}
	path := "/v1" + l.Parent + plural
	h, err := c.answer(ctx, http.MethodHead, path, nil)
	if a, ok := errors.AsType[*errAnswer](err); ok && a.status == http.StatusNotFound {
		if l.Live == 0 {
			return false, nil // what it was of is gone, and nothing is in it
		}
		return false, differ("%s is not there, and held %d objects", path, l.Live)
	}
	if err != nil {
		return false, err
	}
	if got := h.Get("ETag"); got != etag(l.Time) {
		return false, differ("%s stands at %s, and stood at %d", path, got, l.Time)
	}
	if l.Of != "history" { // whose answers do not count
		for _, name := range []string{"Total-Records", "Total-Objects"} {
			if got := h.Get(name); got != strconv.Itoa(l.Live) {
				return false, differ("%s has %s objects (%s), and had %d", path, got, name, l.Live)
			}
		}
	}
	if c.left == 0 || l.Live == 0 {
		return true, nil
	}
	got := 0
	err = c.pages(ctx, path, url.Values{}, func(o *listed) (more bool, err error) {
		if o.ID == "" || o.Modified <= 0 || o.Modified > l.Time {
			return false, differ("%s has an object %.100q of %d, and stands at %d", path, o.ID, o.Modified, l.Time)
		}
		if l.Of == "record" {
			c.noteAttachment(o)
		}
		got++
		c.left--
		return c.left > 0, nil
	})
	if err == nil && got != l.Live && (c.left > 0 || got > l.Live) {
		err = differ("of %s, %d objects were read, of %d", path, got, l.Live)
	}
	return true, err
}

// listed is what a drill looks at of an object.
type listed struct {
	ID         string          `json:"id"`
	Modified   int64           `json:"last_modified"`
	Attachment json.RawMessage `json:"attachment"`
}

// pages reads the objects of a list, page after page, until each wants no more.
func (c *client) pages(ctx context.Context, path string, query url.Values, each func(*listed) (more bool, err error)) error {
	query.Set("_limit", strconv.Itoa(pageOfMost))
	for next := path + "?" + query.Encode(); next != ""; {
		more := true
		h, err := c.answer(ctx, http.MethodGet, next, func(body io.Reader) error {
			in := json.NewDecoder(body)
			for _, want := range []json.Token{json.Delim('{'), "data", json.Delim('[')} {
				if got, err := in.Token(); err != nil || got != want {
					return fmt.Errorf("%s is answered with something else than a list: %v, %w", path, got, err)
				}
			}
			for more && in.More() {
				var o listed
				err := in.Decode(&o)
				if err == nil {
					more, err = each(&o)
				}
				if err != nil {
					return err
				}
			}
			if more {
				if _, err := in.Token(); err != nil { // else what was read is not all that was to come
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if next = ""; more {
			if next, err = local(h.Get("Next-Page")); err != nil {
				return err
			}
		}
	}
	return nil
}

// local is an address that the server gave of itself, as a path; "" stays so.
func local(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return u.RequestURI(), nil
}

// noteAttachment notes the attachment of a record, if it has one, and none is known yet.
func (c *client) noteAttachment(o *listed) {
	var a attached
	if c.attached != nil || len(o.Attachment) == 0 || json.Unmarshal(o.Attachment, &a) != nil {
		return // an app may call something else so
	}
	if strings.HasPrefix(a.Location, "http://"+serverName+"/v1/attachments/") && len(a.Hash) == 2*sha256.Size {
		c.attached = &a
	}
}

// attachment fetches one attachment by the address that its record tells. Where no record that was
// read has one, it is looked for in all.
func (c *client) attachment(ctx context.Context, all []changelog.ListSum) error {
	for _, l := range all {
		if c.attached != nil {
			break
		}
		if l.Of != "record" || l.Live == 0 {
			continue
		}
		err := c.pages(ctx, "/v1"+l.Parent+plurals[l.Of], url.Values{"_fields": {"attachment"}}, func(o *listed) (bool, error) {
			c.noteAttachment(o)
			return c.attached == nil, nil
		})
		if err != nil {
			return err
		}
	}
	if c.attached == nil {
		return nil // contents that were attached, and no record says so any more
	}
	path, err := local(c.attached.Location)
	if err != nil {
		return err
	}
	sum := sha256.New()
	size := int64(0)
	_, err = c.answer(ctx, http.MethodGet, path, func(body io.Reader) error {
		size, err = io.Copy(sum, body)
		return err
	})
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != c.attached.Hash || size != c.attached.Size {
		return differ("an attachment of %d bytes with hash %s has %d bytes with hash %s", c.attached.Size, c.attached.Hash, size, got)
	}
	return nil
}

// answer asks for something, and gives the body of a good answer to use; the others are errors.
func (c *client) answer(ctx context.Context, method, path string, use func(body io.Reader) error) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+serverName+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for %s: %w", path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &errAnswer{path, resp.StatusCode}
	}
	if use != nil {
		if err := use(resp.Body); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
	}
	return resp.Header, nil
}
