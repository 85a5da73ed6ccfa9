package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// Retries that are safe: a write with the header Idempotency-Key is done once for
// each caller and key, and answered the same when it is sent again within a day,
// whether or not the first answer arrived. The answer is kept in the transaction
// of the write, so that there is never one without the other. A large one is kept as the
// least that tells what was done (brief), and what is kept for all is bounded
// (once_share.go). It is not of the Kinto protocol
// (draft-ietf-httpapi-idempotency-key-header).

const (
	onceHeader = "Idempotency-Key"
	onceFor    = 24 * time.Hour
	onceKey    = 255       // characters of a key
	onceWhole  = 16 << 10  // of the body of an answer that is kept as it is
	onceBytes  = 256 << 10 // of what is kept of an answer
)

// once is a write that is to be done once.
type once struct {
	key   string // of the note that keeps its answer
	print string // of the request
	files []byte // how addresses of attachments begin now
	share share  // of the room there is for answers
}

// kept is an answer as it is kept.
type kept struct {
	Print  string      `json:"print"`
	Status int         `json:"status"`
	Path   string      `json:"path"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
	Files  []byte      `json:"files"` // how addresses of attachments begin in the body
}

var (
	errReused  = refusal.New(422, 107, "This Idempotency-Key was used for another request.")
	errTooMuch = refusal.New(413, 113, fmt.Sprintf("What is kept of an answer for its Idempotency-Key has at most %d bytes, and this one needs more. Nothing was done: send fewer requests at once, or no key.", onceBytes))
	errOnceKey = kinto.Invalid("header", onceHeader, fmt.Sprintf("A key of 1 to %d characters is needed", onceKey))
)

// onceOf is what a request with a key is to be done once as; nil: it has none, or
// nobody knows who sends it.
func onceOf(c *call, who kinto.Caller, body []byte) (*once, error) {
	keys := c.r.Header[onceHeader]
	if len(keys) == 0 || who.ID == "" {
		return nil, nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > onceKey {
		return nil, errOnceKey
	}
	name := sha256.Sum256([]byte(who.ID + "\x00" + keys[0]))
	print := sha256.New()
	for _, text := range []string{c.r.Method, c.r.URL.Path, c.r.URL.RawQuery, c.r.Header.Get("Content-Type"), c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")} {
		fmt.Fprintf(print, "%d:%s", len(text), text)
	}
	print.Write(body)
	return &once{"once:" + hex.EncodeToString(name[:]), hex.EncodeToString(print.Sum(nil)), c.shownLocation(), c.shareOf(who)}, nil
}

// recall returns the answer that was given; nil: none was.
func (o *once) recall(ctx context.Context, s *kinto.Service) (*recorder, error) {
	raw, err := s.Note(ctx, o.key)
	if err != nil || raw == nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, fmt.Errorf("cannot read the answer that was given: %w", err)
	}
	if k.Print != o.print {
		return nil, errReused
	}
	k.Header["Idempotent-Replayed"] = []string{"true"}
	if len(k.Files) > 0 && !bytes.Equal(k.Files, o.files) {
		k.Body = bytes.ReplaceAll(k.Body, k.Files, o.files) // the server has another name now
	}
	return &recorder{status: k.Status, path: k.Path, header: k.Header, body: *bytes.NewBuffer(k.Body)}, nil
}

// remember keeps an answer. The error is errTooMuch or noShare when there is no
// room for it, and everything is to come to nothing.
func (o *once) remember(ctx context.Context, s *kinto.Service, answer *recorder) error {
	raw, err := json.Marshal(kept{o.print, answer.status, answer.path, answer.header, answer.body.Bytes(), o.files})
	if err != nil {
		panic("api: an answer cannot be kept: " + err.Error())
	}
	if len(raw) > onceBytes {
		return errTooMuch
	}
	if err := o.share.take(ctx, s, int64(len(raw))); err != nil {
		return err
	}
	return s.SetNote(ctx, o.key, raw, time.Now().Add(onceFor))
}

// minimal says of an answer that it is less than it was (RFC 7240 §4.2).
var minimal = []string{"return=minimal"}

// briefHeaders are those that tell what was done.
var briefHeaders = []string{"Etag", "Last-Modified", "Location", "Content-Type"}

// brief is the least of an answer that tells what was done: of an object its id and
// timestamp, and whether it is deleted; of a list and of what was only read nothing; of a
// refusal what it was.
func (w *recorder) brief() *recorder {
	short := &recorder{method: w.method, path: w.path, status: w.status, header: http.Header{}}
	for _, name := range briefHeaders {
		if v := w.header[name]; v != nil {
			short.header[name] = v
		}
	}
	var body any
	switch {
	case w.method == http.MethodGet, w.method == http.MethodHead, w.body.Len() == 0:
		return short
	case w.status >= 400:
		short.body = *bytes.NewBuffer(refusal.Brief(w.body.Bytes()))
		return short
	default:
		a := struct {
			Data json.RawMessage `json:"data"`
		}{}
		if json.Unmarshal(w.body.Bytes(), &a) != nil {
			return short
		}
		object := struct {
			ID       string `json:"id,omitempty"`
			Modified int64  `json:"last_modified,omitempty"`
			Deleted  bool   `json:"deleted,omitempty"`
		}{}
		if json.Unmarshal(a.Data, &object) == nil {
			body = map[string]any{"data": object}
		} else {
			body = map[string]any{"data": []any{}}
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic("api: a brief answer cannot be encoded: " + err.Error())
	}
	short.body = *bytes.NewBuffer(text)
	return short
}

// isOnce reports whether a request is a write that may be sent again safely.
func (c *call) isOnce() bool {
	return c.within == nil && len(c.r.Header[onceHeader]) > 0 && c.r.Method != http.MethodGet && c.r.Method != http.MethodHead && c.r.Method != http.MethodOptions
}

// doOnce does one write in a transaction of its own, with the note of its answer.
func doOnce(c *call) {
	who, err := c.who()
	if err != nil {
		c.fail(err)
		return
	}
	text, release, err := c.body()
	if err != nil {
		c.fail(err)
		return
	}
	defer release()
	o, err := onceOf(c, who, text)
	if err != nil {
		c.fail(err)
		return
	}
	if o == nil {
		c.r.Body, c.r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		bare := *c
		bare.r = c.r.Clone(c.r.Context())
		bare.r.Header.Del(onceHeader)
		bare.route(c.r.URL.Path[len("/v1/"):])
		return
	}
	in := &within{writes: true, known: map[string]kinto.Caller{c.r.Header.Get("Authorization"): who}}
	var about []kinto.List
	if p, ok := c.locate(c.r.URL.Path[len("/v1"):]); ok {
		about = append(about, c.kinto.About(p.list, p.id)...)
	}
	var answer *recorder
	err = c.ready(c.r.Context())
	if err == nil {
		err = c.kinto.Together(c.r.Context(), about, func(s *kinto.Service) (err error) {
			if answer, err = o.recall(c.r.Context(), s); answer != nil || err != nil {
				return err
			}
			in.kinto = s
			if answer = one(c, in, c.r, text); answer.status >= 500 || answer.status == http.StatusConflict {
				return &subFailed{answer}
			}
			if answer.status >= 400 {
				return nil // nothing was done that would have to be done once
			}
			kept := answer
			if answer.body.Len() > onceWhole {
				kept = answer.brief()
				kept.header["Preference-Applied"] = minimal
			}
			return o.remember(c.r.Context(), s, kept)
		})
	}
	if failed, ok := errors.AsType[*subFailed](err); ok {
		answer = failed.answer
	} else if err != nil {
		c.fail(err)
		return
	}
	c.replay(answer)
}

// ready makes what requests inside a transaction need, and which is made in one of
// its own: the secret that names default buckets.
func (a *api) ready(ctx context.Context) error {
	_, err := a.Auth.DefaultBucket(ctx, kinto.Anonymous())
	return err
}

// replay answers with what was recorded.
func (c *call) replay(answer *recorder) {
	h := c.w.Header()
	maps.Copy(h, answer.header)
	c.write(answer.status, answer.body.Bytes())
}
