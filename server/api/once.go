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
)

// Retries that are safe: a write with the header Idempotency-Key is done once for
// each caller and key, and answered the same when it is sent again within a day,
// whether or not the first answer arrived. The answer is kept in the transaction
// of the write, so that there is never one without the other. It is not of the
// Kinto protocol (draft-ietf-httpapi-idempotency-key-header).

const (
	onceHeader = "Idempotency-Key"
	onceFor    = 24 * time.Hour
	onceKey    = 255      // characters of a key
	onceBytes  = 16 << 20 // of an answer that is kept
)

// once is a write that is to be done once.
type once struct {
	key   string // of the note that keeps its answer
	print string // of the request
	files []byte // how addresses of attachments begin now
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
	errReused  = &refusal{422, 107, "", "This Idempotency-Key was used for another request."}
	errOnceKey = kinto.Invalid("header", onceHeader, fmt.Sprintf("A key of 1 to %d characters is needed", onceKey))
)

// onceOf is what a request with a key is to be done once as; nil: it has none, or
// nobody knows who sends it.
func (a *api) onceOf(r *http.Request, who kinto.Caller, body []byte) (*once, error) {
	keys := r.Header[onceHeader]
	if len(keys) == 0 || who.ID == "" {
		return nil, nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > onceKey {
		return nil, errOnceKey
	}
	name := sha256.Sum256([]byte(who.ID + "\x00" + keys[0]))
	print := sha256.New()
	for _, text := range []string{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("If-Match"), r.Header.Get("If-None-Match")} {
		fmt.Fprintf(print, "%d:%s", len(text), text)
	}
	print.Write(body)
	return &once{"once:" + hex.EncodeToString(name[:]), hex.EncodeToString(print.Sum(nil)), a.shownLocation(r)}, nil
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

// remember keeps an answer.
func (o *once) remember(ctx context.Context, s *kinto.Service, answer *recorder) error {
	raw, err := json.Marshal(kept{o.print, answer.status, answer.path, answer.header, answer.body.Bytes(), o.files})
	if err != nil {
		panic("api: an answer cannot be kept: " + err.Error())
	}
	if len(raw) > onceBytes {
		return errTooLarge
	}
	return s.SetNote(ctx, o.key, raw, time.Now().Add(onceFor))
}

// isOnce reports whether a request is a write that may be sent again safely.
func (a *api) isOnce(r *http.Request) bool {
	return a.within == nil && len(r.Header[onceHeader]) > 0 && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// doOnce does one write in a transaction of its own, with the note of its answer.
func (a *api) doOnce(w http.ResponseWriter, r *http.Request) {
	who, err := a.who(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	text, release, err := a.body(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer release()
	o, err := a.onceOf(r, who, text)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := *a
	in.within = &within{known: map[string]kinto.Caller{r.Header.Get("Authorization"): who}}
	if o == nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		bare := r.Clone(r.Context())
		bare.Header.Del(onceHeader)
		a.route(w, bare, r.URL.Path[len("/v1/"):])
		return
	}
	var about []kinto.List
	if p, ok := a.locate(r.URL.Path[len("/v1"):]); ok {
		about = append(about, a.Kinto.About(p.list, p.id)...)
	}
	var answer *recorder
	err = a.ready(r.Context())
	if err == nil {
		err = a.Kinto.Together(r.Context(), about, func(s *kinto.Service) (err error) {
			if answer, err = o.recall(r.Context(), s); answer != nil || err != nil {
				return err
			}
			in.Kinto = s
			if answer = in.one(r, text); answer.status >= 500 || answer.status == http.StatusConflict {
				return &subFailed{answer}
			}
			if answer.status >= 400 {
				return nil // nothing was done that would have to be done once
			}
			return o.remember(r.Context(), s, answer)
		})
	}
	if failed, ok := errors.AsType[*subFailed](err); ok {
		answer = failed.answer
	} else if err != nil {
		a.fail(w, r, err)
		return
	}
	a.replay(w, r, answer)
}

// ready makes what requests inside a transaction need, and which is made in one of
// its own: the secret that names default buckets.
func (a *api) ready(ctx context.Context) error {
	_, err := a.Auth.DefaultBucket(ctx, kinto.Anonymous())
	return err
}

// replay answers with what was recorded.
func (a *api) replay(w http.ResponseWriter, r *http.Request, answer *recorder) {
	h := w.Header()
	maps.Copy(h, answer.header)
	a.write(w, r, answer.status, answer.body.Bytes())
}
