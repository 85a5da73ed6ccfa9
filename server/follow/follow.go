// Package follow answers whoever copies the data of this server and follows their changes:
// the supervisor, on the socket of those two (docs/control.md#the-log-of-changes).
//
// It hides how a changelog.Source and the contents of attachments become answers, and keeps
// a reader who is slow from holding anything of the database: a part of a copy or of the log
// is read into memory first, at most partBytes and a line or a commit, and sent when nothing
// is open any more. One copy or summary is made at a time, and one part of the log beside it.
//
// Promises: an answer that was cut short does not look whole: lines end with a
// changelog.End, everything else has a length. Nothing here writes what people keep.
// Requests end when their client goes, and when the server ends.
//
// Used by package server.
package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/kinto"
)

// Config is what New needs. Every field is required but Source.
type Config struct {
	// Source is the store; nil: this kind of store cannot be followed.
	Source changelog.Source
	// Open opens the contents of an attachment by its hash; fs.ErrNotExist: there are none.
	Open func(hash string) (*os.File, error)
	// Ends ends when the server begins to end.
	Ends context.Context
	Log  *slog.Logger
}

// Door answers. It is safe for concurrent use.
type Door struct {
	Config
	mux    *http.ServeMux
	copies chan struct{} // has room for the one copy or summary that is made
	parts  chan struct{} // has room for the one part of the log that is read
}

// New opens one.
func New(c Config) *Door {
	d := &Door{Config: c, mux: http.NewServeMux(), copies: make(chan struct{}, 1), parts: make(chan struct{}, 1)}
	for pattern, answer := range map[string]func(*Door, http.ResponseWriter, *http.Request) error{
		"POST /log/followers/{name}":             (*Door).follow,
		"DELETE /log/followers/{name}":           (*Door).unfollow,
		"POST /log/followers/{name}/acknowledge": (*Door).acknowledge,
		"GET /log":                               (*Door).log,
		"GET /base":                              (*Door).base,
		"GET /summary":                           (*Door).summary,
		"GET /files":                             (*Door).files,
		"GET /file/{hash}":                       (*Door).file,
	} {
		d.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { d.answer(w, r, answer) })
	}
	return d
}

// Answers reports whether a path is one of those that ServeHTTP answers.
func Answers(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first == "log" || first == "base" || first == "summary" || first == "files" || first == "file"
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// answer answers one request, for no longer than its client and the server last.
func (d *Door) answer(w http.ResponseWriter, r *http.Request, how func(*Door, http.ResponseWriter, *http.Request) error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.Ends, cancel)()
	out := newSender(ctx, w)
	defer out.end()
	var err error = errNoSource
	if d.Source != nil || strings.HasPrefix(r.URL.Path, "/file/") {
		err = how(d, out, r.WithContext(ctx))
	}
	switch {
	case err == nil:
	case out.began:
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	default:
		d.refuse(out, err)
	}
}

// nameForm is what followers may be called.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func nameOf(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if !nameForm.MatchString(name) {
		return "", malformed(fmt.Errorf("%.80q is no name of a follower", name))
	}
	return name, nil
}

func (d *Door) follow(w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r)
	if err != nil {
		return err
	}
	at, err := d.Source.Follow(r.Context(), name)
	if err != nil {
		return err
	}
	return send(w, at)
}

func (d *Door) unfollow(w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r)
	if err == nil {
		err = d.Source.Unfollow(r.Context(), name)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (d *Door) acknowledge(w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r)
	if err != nil {
		return err
	}
	var upTo changelog.Position
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&upTo); err != nil {
		return malformed(err)
	}
	if err := d.Source.Acknowledge(r.Context(), name, upTo); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// partBytes is how many bytes of lines are read at a time, whatever is asked for: whoever
// wants more asks again.
const partBytes = 4 << 20

// log sends the commits after a position.
func (d *Door) log(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	seq, err := strconv.ParseInt(q.Get("seq"), 10, 64)
	if err != nil {
		return malformed(err)
	}
	bytes, err := bytesOf(r)
	if err != nil {
		return err
	}
	if err := take(r.Context(), d.parts); err != nil {
		return err
	}
	defer release(d.parts)
	var part []byte
	passed := 0
	err = d.Source.Changes(r.Context(), changelog.Position{Seq: seq, Sum: q.Get("sum")}, bytes, func(e changelog.Entry) error {
		part = e.Append(part)
		passed += len(e.Lines)
		return nil
	})
	if err != nil {
		return err
	}
	return sendLines(w, part, changelog.End{More: passed >= bytes})
}

// base sends lines of a copy.
func (d *Door) base(w http.ResponseWriter, r *http.Request) error {
	bytes, err := bytesOf(r)
	if err != nil {
		return err
	}
	if err := take(r.Context(), d.copies); err != nil {
		return err
	}
	defer release(d.copies)
	var part []byte
	next, at, err := d.Source.Copy(r.Context(), r.URL.Query().Get("after"), bytes, func(line []byte) error {
		part = append(part, line...)
		return nil
	})
	if err != nil {
		return err
	}
	return sendLines(w, part, changelog.End{More: next != "", Next: next, Position: &at})
}

func bytesOf(r *http.Request) (int, error) {
	asked := r.URL.Query().Get("bytes")
	if asked == "" {
		return partBytes, nil
	}
	n, err := strconv.ParseInt(asked, 10, 64)
	if err == nil && n < 0 {
		err = errors.New("there are no fewer bytes than none")
	}
	if err != nil {
		return 0, malformed(err)
	}
	return int(min(n, partBytes)), nil
}

// summary sends what everything comes to.
func (d *Door) summary(w http.ResponseWriter, r *http.Request) error {
	notes, err := strconv.ParseInt(r.URL.Query().Get("notes"), 10, 64)
	if err != nil {
		return malformed(err)
	}
	if err := take(r.Context(), d.copies); err != nil {
		return err
	}
	defer release(d.copies)
	var out changelog.Summarized
	if out.Summary, out.Position, err = d.Source.Summarize(r.Context(), time.UnixMilli(notes)); err != nil {
		return err
	}
	return send(w, out)
}

// errEnough ends what is asked of a source.
var errEnough = errors.New("a part is full")

// files sends which contents attachments refer to, from behind a hash on.
func (d *Door) files(w http.ResponseWriter, r *http.Request) error {
	if err := take(r.Context(), d.copies); err != nil {
		return err
	}
	defer release(d.copies)
	var part []byte
	last := r.URL.Query().Get("after")
	err := d.Source.Files(r.Context(), func(hash string, size int64) error {
		if hash <= last {
			return nil
		}
		if len(part) >= partBytes {
			return errEnough
		}
		last = hash
		part = (&changelog.Contents{Hash: hash, Size: size}).Append(part)
		return nil
	})
	more := errors.Is(err, errEnough)
	if err != nil && !more {
		return err
	}
	return sendLines(w, part, changelog.End{More: more})
}

// file sends the contents of an attachment, or the part of them that is asked for.
func (d *Door) file(w http.ResponseWriter, r *http.Request) error {
	file, err := d.Open(r.PathValue("hash"))
	if errors.Is(err, fs.ErrNotExist) {
		return errNoFile
	}
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, file)
	return nil
}

// turn is how long one waits for another's copy.
const turn = 30 * time.Second

// take takes the place in a slot, or waits for it.
func take(ctx context.Context, slot chan struct{}) error {
	select {
	case slot <- struct{}{}:
		return nil
	default:
	}
	late := time.NewTimer(turn)
	defer late.Stop()
	select {
	case slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return errBusy
	}
}

func release(slot chan struct{}) { <-slot }

// What is refused, for whoever reads it in a log or in the record of a backup.
var (
	errNoSource = hint.New("log-unsupported", hint.T("This kind of database cannot be followed yet.", "Ce type de base de données ne peut pas encore être suivi."), hint.Text{},
		hint.T("Back it up with its own tools until then.", "En attendant, sauvegardez-la avec ses propres outils."))
	errBusy = hint.New("log-busy", hint.T("Another copy of the data is being made.", "Une autre copie des données est en cours."), hint.Text{}, hint.T("Try again in a moment.", "Réessayez dans un instant."))
	errCut  = hint.New("log-cut", hint.T("The log of changes does not go back that far.", "Le journal des modifications ne remonte pas aussi loin."), hint.Text{},
		hint.T("Begin anew, with a copy of everything.", "Recommencez par une copie complète."))
	errNoPlace = hint.New("copy-place", hint.T("A copy cannot go on from this place, which is none.", "Une copie ne peut pas reprendre à cet endroit, qui n'en est pas un."), hint.Text{},
		hint.T("Begin anew, with a copy of everything.", "Recommencez par une copie complète."))
	errNoFile = hint.New("attachment-gone", hint.T("There is no attached file with these contents.", "Il n'y a pas de pièce jointe avec ce contenu."), hint.Text{}, hint.Text{})
)

func malformed(err error) error {
	return hint.New("request-malformed", hint.T("This request cannot be read.", "Cette demande est illisible."), hint.Text{}, hint.Text{}).Because(err)
}

// refuse says why there is no answer.
func (d *Door) refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, changelog.ErrCut):
		status, err = http.StatusGone, errCut.Because(err)
	case errors.Is(err, changelog.ErrNoPlace):
		status, err = http.StatusBadRequest, errNoPlace.Because(err)
	case errors.Is(err, errNoSource), errors.Is(err, errNoFile):
		status = http.StatusNotFound
	case hint.Find(err) != nil && hint.Find(err).Code == "request-malformed":
		status = http.StatusBadRequest
	case errors.Is(err, changelog.ErrDamaged): // it does not pass, and was told when it was met
		sendProblem(w, status, err)
		return
	case errors.Is(err, errBusy), errors.Is(err, kinto.ErrUnavailable), errors.Is(err, kinto.ErrFull), errors.Is(err, context.Canceled):
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusInternalServerError {
		d.Log.Warn("the log of changes, or a copy, could not be read", "err", err)
	}
	sendProblem(w, status, err)
}

func sendProblem(w http.ResponseWriter, status int, err error) {
	text, e := json.Marshal(report.ProblemOf(err))
	if e != nil {
		panic("follow: a problem cannot be encoded: " + e.Error())
	}
	sendText(w, status, text)
}
