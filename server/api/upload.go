package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/google/uuid"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// How an attachment comes in. What can be known beforehand is looked at before a byte of
// the body is read, so that a client that waits to be asked for it (Expect:
// 100-continue) is refused without sending it: who may do it, the precondition, the size
// that is announced, what the owner's quota and the disk have room for. No more than that
// is taken then. What was received and is refused after all goes at once.

// formBytes bounds each field of a form beside the file, and formRoom all that is in it
// beside the file.
const (
	formBytes = 1 << 20
	formRoom  = 2*formBytes + 64<<10
)

// room is how large a file may be; negative: any size.
type room struct {
	bytes int64
	err   error // for one that is larger
}

// roomFor is how large a file may be that a request brings, whose body is not read yet;
// the error is that of one that is surely larger, or may have no file at all.
func roomFor(c *call, req *kinto.Request) (room, error) {
	r := room{bytes: -1}
	if limit := c.attachmentLimit(req.List); limit > 0 {
		r = room{limit, inBody(fmt.Sprintf("The file is larger than the limit of %d bytes.", limit))}
	}
	left, err := c.kinto.Room(c.r.Context(), req)
	if err != nil {
		return r, err
	}
	if left.Bytes >= 0 && (r.bytes < 0 || left.Bytes < r.bytes) {
		r = room{left.Bytes, left.Err}
	}
	if r.bytes >= 0 && c.r.ContentLength-formRoom > r.bytes {
		return r, r.err
	}
	return r, c.Files.Fits(c.r.ContentLength)
}

// upload is one form on its way.
type upload struct {
	c    *call
	req  *kinto.Request
	room room

	file  *kinto.File // nil: none has come yet
	kept  attachment.Upload
	shown []byte // of the file, for clients
}

// do reads the form and makes the file the record's attachment. Unless the database may
// have the record already, a file that came for nothing goes.
func (u *upload) do() (answer *kinto.Answer, err error) {
	unused := true
	defer func() {
		if u.file == nil || !unused {
			return
		}
		if err := u.c.Files.Drop(u.kept); err != nil {
			u.c.notices.error("an attachment that was refused could not be removed yet", err)
		}
	}()
	if err := u.receive(); err != nil {
		return nil, err
	}
	if u.shown, err = u.show(); err != nil {
		return nil, err
	}
	unused = false
	answer, err = u.c.kinto.Attach(u.c.r.Context(), u.req, u.file, u.shown)
	unused = forGood(err)
	return answer, err
}

// forGood reports whether an error says for sure that nothing was kept, and never will be:
// the rules refused it. After any other the commit may have happened.
func forGood(err error) bool {
	var (
		modified *kinto.ModifiedError
		missing  *kinto.NotFoundError
		invalid  *kinto.InvalidError
		quota    *kinto.QuotaError
	)
	switch {
	case errors.Is(err, kinto.ErrUnavailable), errors.Is(err, kinto.ErrFull), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &modified), errors.As(err, &missing), errors.As(err, &invalid), errors.As(err, &quota):
		return true
	}
	return errors.Is(err, kinto.ErrForbidden) || errors.Is(err, kinto.ErrReadOnly) || errors.Is(err, kinto.ErrAttached)
}

// receive reads the form: the file's contents are durable when it returns, and the
// other fields are in the request.
func (u *upload) receive() error {
	kind, params, err := mime.ParseMediaType(u.c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return errNoForm
	}
	form := multipart.NewReader(u.c.r.Body, params["boundary"])
	body := map[string]json.RawMessage{}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return cutOff(err)
		}
		switch name := part.FormName(); name {
		case "attachment":
			if part.FileName() == "" {
				return errNoFilename
			}
			if u.file != nil {
				return errTwice
			}
			if err := u.receiveFile(part); err != nil {
				return err
			}
		case "data", "permissions":
			if body[name] != nil {
				return errTwice
			}
			if body[name], err = receiveField(part, name); err != nil {
				return err
			}
		default:
			return refusal.New(400, 109, fmt.Sprintf("body: '%s' not in ('data', 'permissions')", printable(name)))
		}
	}
	if u.file == nil {
		return errNoFile
	}
	text, err := json.Marshal(body)
	if err != nil {
		return errCut
	}
	u.req.Body, err = kinto.ParseBody(kinto.Record, text)
	return err
}

func receiveField(part *multipart.Part, name string) (json.RawMessage, error) {
	text, err := io.ReadAll(io.LimitReader(part, formBytes+1))
	switch {
	case err != nil:
		return nil, cutOff(err)
	case len(text) > formBytes:
		return nil, errTooLarge
	case !json.Valid(text):
		return nil, refusal.New(400, 109, "body: "+name+" is not valid JSON.")
	}
	return text, nil
}

// receiveFile keeps the contents of a file of the form.
func (u *upload) receiveFile(part *multipart.Part) error {
	c, l := u.c, u.req.List
	name := path.Base(strings.ReplaceAll(part.FileName(), `\`, "/"))
	if name = strings.ToValidUTF8(name, ""); len(name) > 255 {
		name = name[len(name)-255:]
	}
	ext := strings.ToLower(path.Ext(name))
	if !c.mayAttach(l, strings.TrimPrefix(ext, ".")) {
		return errExtension
	}
	leave, err := c.openFile()
	if err != nil {
		return err
	}
	defer leave()
	kept, err := c.Files.Put(part, u.room.bytes)
	if errors.Is(err, attachment.ErrTooLarge) {
		return u.room.err
	}
	if err != nil {
		if errors.Is(err, kinto.ErrFull) {
			return err
		}
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			return fmt.Errorf("%w: %w", kinto.ErrUnavailable, err) // our disk, not their form
		}
		return cutOff(err)
	}
	u.kept, u.file = kept, &kinto.File{
		Location: c.folder(l) + uuid.NewString() + ext,
		Hash:     kept.Hash, Size: kept.Size, Name: name, Type: c.fileType(l, ext, part.Header.Get("Content-Type")),
	}
	return nil
}

// show is what a record tells of the file.
func (u *upload) show() ([]byte, error) {
	f := u.file
	return json.Marshal(struct {
		Filename string `json:"filename"`
		Location string `json:"location"`
		Hash     string `json:"hash"`
		Type     string `json:"mimetype"`
		Size     int64  `json:"size"`
	}{f.Name, kinto.FileScheme + strings.TrimPrefix((&url.URL{Path: "/" + f.Location}).EscapedPath(), "/"), f.Hash, f.Type, f.Size})
}

// printable is a name from a form, as far as a message shows it.
func printable(name string) string { return hint.Short(name, 100) }

// cutOff is why a form could not be read.
func cutOff(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	return errCut
}
