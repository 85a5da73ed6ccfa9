package api

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/fair"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// Attachments (§8): a file beside a record. Contents come and go in pieces, so that
// their size costs no memory. Whoever knows its address may read a file, as with
// the reference: each has an address nobody can guess, which only the record tells.

// filesPath is where contents are, after /v1/.
const filesPath = "attachments/"

// typeBytes bounds the type of a file that a client says; real ones have some dozens.
const typeBytes = 255

var attachmentMethods = []string{"POST", "DELETE", "OPTIONS"}

// attach serves …/records/{id}/attachment.
func attach(c *call, l kinto.List, id string) {
	if c.r.Method == http.MethodOptions {
		c.preflight(attachmentMethods)
		return
	}
	if c.r.Method != http.MethodPost && c.r.Method != http.MethodDelete || c.readonly {
		c.w.Header()["Allow"] = []string{strings.Join(attachmentMethods, ", ")}
		c.fail(refusal.Method)
		return
	}
	who, err := c.who()
	if err != nil {
		c.fail(err)
		return
	}
	req := &kinto.Request{Op: kinto.Put, Who: who, List: l, ID: id, Body: kinto.NoBody(), Modified: -1}
	req.Cond, req.Invalid = conditions(c.r.Header)
	if c.r.Method == http.MethodDelete {
		var answer *kinto.Answer
		if err = c.kinto.Allowed(c.r.Context(), req); err == nil {
			answer, err = c.kinto.Attach(c.r.Context(), req, nil, nil)
		}
		if err != nil {
			c.fail(c.refused(who, err))
			return
		}
		validators(c.w.Header(), answer.Timestamp)
		delete(c.w.Header(), "Content-Type")
		c.w.WriteHeader(http.StatusNoContent)
		return
	}
	room, err := roomFor(c, req)
	if err != nil {
		c.fail(c.refused(who, err))
		return
	}
	in := &upload{c: c, req: req, room: room}
	answer, err := in.do()
	if err != nil {
		c.fail(c.refused(who, err))
		return
	}
	h := c.w.Header()
	validators(h, answer.Timestamp)
	h["Location"] = []string{c.url((&url.URL{Path: "/v1" + l.URI(id)}).EscapedPath())}
	status := http.StatusOK
	if answer.Created {
		status = http.StatusCreated
	}
	c.write(status, in.shown)
}

// refused is err, but that nobody is asked to sign in.
func (c *call) refused(who kinto.Caller, err error) error {
	if who.ID == "" && errors.Is(err, kinto.ErrForbidden) {
		return errSignIn
	}
	return err
}

// filesURL is where the addresses of attachments begin; it ends in a slash.
func (c *call) filesURL() string {
	if base := c.Settings.Kinto.String("attachment.base_url"); base != "" {
		return strings.TrimSuffix(base, "/") + "/"
	}
	return c.url("/v1/" + filesPath)
}

// keptLocation is how the address of an attachment begins in what is kept: bytes that an
// encoded text cannot have in the middle.
var keptLocation = []byte(`"location":"` + kinto.FileScheme)

// addressed is an answer with the addresses of attachments as the client calls them: what
// is kept knows nothing of the server's name, which may change.
func (c *call) addressed(body []byte) []byte {
	if !c.files || !bytes.Contains(body, keptLocation) {
		return body
	}
	return bytes.ReplaceAll(body, keptLocation, c.shownLocation())
}

// shownLocation is how such an address begins for a client.
func (c *call) shownLocation() []byte {
	base, err := json.Marshal(c.filesURL())
	if err != nil {
		panic("api: an address cannot be encoded: " + err.Error())
	}
	return append([]byte(`"location":`), base[:len(base)-1]...)
}

// Refusals of the reference's plugin: those of a form are plain errors, those of what is
// in it validation errors.
var (
	errNoForm     = refusal.New(400, 107, "Content-Type should be multipart/form-data")
	errNoFile     = refusal.New(400, 109, "Attachment missing.")
	errNoFilename = refusal.New(400, 109, "Filename is required.")
	errExtension  = inBody("File extension is not allowed.")
	errTwice      = inBody("A form brings one attachment, and each other field once.")
)

// inBody is a validation error of a body as a whole.
func inBody(description string) error {
	return &kinto.InvalidError{Problems: []kinto.Problem{{Location: "body", NoName: true, Description: description}}}
}

// openFile takes room for one open file; leave gives it back. Clients that read slowly
// cannot have all the files that this process may open: the database needs some.
func (c *call) openFile() (leave func(), err error) {
	leave, err = c.open.Enter(c.r.Context(), front.Origin(c.r))
	if errors.Is(err, fair.ErrFull) {
		err = &kinto.BusyError{What: "attachments"}
	}
	return leave, err
}

// attachmentSetting is a setting of attachments for a list of records: that of the
// collection, or of the bucket, or of all.
func (a *api) attachmentSetting(l kinto.List, name string) string {
	k := a.Settings.Kinto
	_, rest, _ := strings.Cut(l.Parent, "/buckets/")
	bucket, rest, _ := strings.Cut(rest, "/")
	_, collection, _ := strings.Cut(rest, "/")
	for _, where := range []string{bucket + "." + collection, bucket} {
		if text := k.String("attachment.resources." + where + "." + name); text != "" {
			return text
		}
	}
	return k.String("attachment." + name)
}

// attachmentLimit is the largest attachment of a list's records; 0: any.
func (a *api) attachmentLimit(l kinto.List) int64 {
	n, _ := strconv.ParseInt(a.attachmentSetting(l, "max_size_bytes"), 10, 64)
	return max(n, 0)
}

// folder is the beginning of the address of a list's attachments.
func (a *api) folder(l kinto.List) string {
	_, rest, _ := strings.Cut(l.Parent, "/buckets/")
	bucket, rest, _ := strings.Cut(rest, "/")
	_, collection, _ := strings.Cut(rest, "/")
	at := strings.NewReplacer("{bucket_id}", bucket, "{collection_id}", collection).Replace(a.attachmentSetting(l, "folder"))
	if at = strings.Trim(path.Clean("/"+at), "/"); at != "" {
		at += "/"
	}
	return at
}

// extensions are the groups that the setting names, after the reference's; image
// and document formats of today are among them.
var extensions = map[string][]string{
	"text":        {"txt", "md"},
	"documents":   {"rtf", "odf", "ods", "odt", "odp", "gnumeric", "abw", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "pdf", "epub"},
	"images":      {"jpg", "jpe", "jpeg", "png", "gif", "svg", "bmp", "tif", "tiff", "webp", "avif", "heic", "heif"},
	"data":        {"csv", "ini", "json", "plist", "xml", "yaml", "yml", "ics", "vcf"},
	"audio":       {"wav", "mp3", "aac", "ogg", "oga", "flac", "m4a", "opus"},
	"video":       {"mpeg", "3gp", "avi", "divx", "dvr", "flv", "mp4", "wmv", "mov", "mkv", "webm"},
	"archives":    {"gz", "bz2", "zip", "tar", "tgz", "txz", "7z", "xz", "zst"},
	"scripts":     {"js", "php", "pl", "py", "rb", "sh"},
	"executables": {"so", "exe", "dll"},
}

// mayAttach reports whether files with an extension may be attached.
func (a *api) mayAttach(l kinto.List, ext string) bool {
	for name := range strings.SplitSeq(a.attachmentSetting(l, "extensions"), "+") {
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "any", name == ext && ext != "" && extensions[name] == nil, slices.Contains(extensions[name], ext):
			return true
		case name == "default":
			for _, group := range []string{"documents", "text", "images", "data"} {
				if slices.Contains(extensions[group], ext) {
					return true
				}
			}
		}
	}
	return false
}

// fileType is the type of a file: what the settings say of its extension, what the
// client said, or what the extension is known for.
func (a *api) fileType(l kinto.List, ext, said string) string {
	for one := range strings.SplitSeq(a.attachmentSetting(l, "mimetypes"), ";") {
		if e, kind, ok := strings.Cut(strings.TrimSpace(one), ":"); ok && strings.EqualFold(strings.TrimSpace(e), ext) {
			return strings.TrimSpace(kind)
		}
	}
	if kind, params, err := mime.ParseMediaType(said); err == nil {
		if text := mime.FormatMediaType(kind, params); text != "" && len(text) <= typeBytes {
			return text
		}
	}
	if kind := mime.TypeByExtension(ext); kind != "" {
		return kind
	}
	return "application/octet-stream"
}

// sendFile serves the contents at a location, whole or in ranges (RFC 9110 §14). Asked
// for a digest by Want-Repr-Digest (RFC 9530), it reads them once before, to see
// that they are what was put, and says so.
func sendFile(c *call, location string) {
	if !c.readOnly() {
		return
	}
	f, err := c.kinto.File(c.r.Context(), location)
	if err == nil && f == nil {
		err = refusal.Absent
	}
	if err != nil {
		c.fail(err)
		return
	}
	leave, err := c.openFile()
	if err != nil {
		c.fail(err)
		return
	}
	defer leave()
	h := c.w.Header()
	if wanted := strings.Join(c.r.Header.Values("Want-Repr-Digest"), ","); wanted != "" {
		if err := c.Files.Verify(c.r.Context(), f.Hash); err != nil {
			c.fail(damaged(c, f, err))
			return
		}
		raw, _ := hex.DecodeString(f.Hash) // Verify has read it
		h["Repr-Digest"] = []string{"sha-256=:" + base64.StdEncoding.EncodeToString(raw) + ":"}
	}
	contents, err := c.Files.Open(f.Hash)
	if err != nil {
		c.fail(damaged(c, f, err))
		return
	}
	defer contents.Close() //nolint:errcheck // it was only read
	info, err := contents.Stat()
	if err == nil && info.Size() != f.Size {
		err = attachment.ErrDamaged
	}
	if err != nil {
		c.fail(damaged(c, f, err))
		return
	}
	c.Files.There(f.Hash)
	kind, how := served(f.Type)
	h["Content-Type"] = []string{kind}
	// Whatever it is, it is nobody's page: it runs nothing and reads nothing here.
	h["Content-Security-Policy"] = []string{"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"}
	h["Content-Disposition"] = []string{disposition(how, f.Name)}
	h["Etag"] = []string{`"` + f.Hash + `"`}
	h["Cache-Control"] = []string{"private, max-age=31536000, immutable"} // an address has one content for ever
	h["Cross-Origin-Resource-Policy"] = []string{"cross-origin"}
	r := c.r
	if ranges := r.Header["Range"]; len(ranges) > 0 {
		text, ok := rangeOf(strings.Join(ranges, ","), info.Size())
		if conditional := r.Header["If-Range"] != nil || r.Header["If-None-Match"] != nil || r.Header["If-Match"] != nil; !ok && conditional {
			text = fmt.Sprintf("bytes=%d-", info.Size()) // there is none, if it comes to that
		} else if !ok {
			delete(h, "Content-Disposition")
			h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(info.Size(), 10)}
			c.fail(errRange)
			return
		}
		r = r.Clone(r.Context())
		if r.Header.Del("Range"); text != "" {
			r.Header.Set("Range", text)
		}
	}
	http.ServeContent(c.w, r, "", info.ModTime(), c.Files.Reads(contents))
}

// Types of files that a browser may show: pictures made of dots, sound, film, plain text.
var shownTypes = []string{
	"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/tiff", "image/heic", "image/heif", "text/plain",
	"audio/mpeg", "audio/mp4", "audio/aac", "audio/ogg", "audio/wav", "audio/x-wav", "audio/flac", "audio/opus", "audio/webm",
	"video/mp4", "video/webm", "video/ogg", "video/mpeg", "video/quicktime", "video/x-matroska",
}

// Types of files that are data to whatever opens them. Others, whoever called them so,
// are bytes: a browser or a phone does something of its own with a page, a script, a
// certificate or a profile.
var (
	dataTypes = []string{
		"application/json", "application/pdf", "application/zip", "application/gzip", "application/x-tar", "application/x-7z-compressed", "application/x-xz", "application/x-bzip2", "application/zstd",
		"application/rtf", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/epub+zip", "application/xml", "application/yaml", "application/x-yaml",
		"text/csv", "text/markdown", "text/calendar", "text/vcard", "text/xml", "text/yaml", "image/svg+xml",
	}
	dataFamilies = []string{"application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.", "image/x-", "audio/", "video/", "font/"}
)

// served is how the contents of a type are sent: as what, and whether they are shown or
// stored.
func served(kind string) (contentType, how string) {
	media, _, err := mime.ParseMediaType(kind)
	switch {
	case err != nil:
	case slices.Contains(shownTypes, media):
		return kind, "inline"
	case slices.Contains(dataTypes, media), slices.ContainsFunc(dataFamilies, func(f string) bool { return strings.HasPrefix(media, f) }),
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		return kind, "attachment"
	}
	return "application/octet-stream", "attachment"
}

// disposition tells a browser what to do with a file, and what to call it (RFC 6266).
func disposition(how, name string) string {
	if text := mime.FormatMediaType(how, map[string]string{"filename": name}); text != "" {
		return text
	}
	return how
}

// rangeOf is a Range header as net/http takes it (RFC 9110 §14.1): of units nobody knows,
// of what is not written as ranges are, and of nothing, it says nothing; an end that lies
// behind the last byte, however far, is the last byte. It reports false when no part of
// contents of a size is asked for.
func rangeOf(header string, size int64) (text string, ok bool) {
	unit, set, found := strings.Cut(strings.TrimSpace(header), "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || size == 0 {
		return "", true
	}
	if strings.Trim(set, ", \t") == "" {
		return "", true
	}
	var out []string
	for one := range strings.SplitSeq(set, ",") {
		first, last, found := strings.Cut(strings.TrimSpace(one), "-")
		if first == "" && last == "" && !found && strings.TrimSpace(one) == "" {
			continue // an empty element of a list
		}
		if !found || first == "" && last == "" || strings.Trim(first+last, "0123456789") != "" {
			return "", true
		}
		from, to := clamped(first, size), clamped(last, size)
		switch {
		case first == "" && to == 0: // the last no bytes
		case first == "":
			out = append(out, "-"+strconv.FormatInt(to, 10))
		case last != "" && less(last, first):
			return "", true
		case from >= size:
		case last == "":
			out = append(out, strconv.FormatInt(from, 10)+"-")
		default:
			out = append(out, strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to, 10))
		}
	}
	if out == nil {
		return "", false
	}
	return "bytes=" + strings.Join(out, ","), true
}

// clamped is a number of any length, or most if it is larger.
func clamped(digits string, most int64) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil && digits != "" {
		return most
	}
	return min(n, most)
}

// less compares numbers of any length.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// damaged says that contents a record refers to are not there as they were put.
func damaged(c *call, f *kinto.File, err error) error {
	switch {
	case errors.Is(err, attachment.ErrDamaged), errors.Is(err, fs.ErrNotExist):
		c.Files.Lost(f.Hash)
		c.Log.Error("an attachment is damaged or missing on this disk; a backup has it", "hash", f.Hash, "err", err)
		return fileDamaged
	}
	return fmt.Errorf("%w: %w", kinto.ErrUnavailable, err)
}

// fileDamaged is told to a person.
var fileDamaged = refusal.Tell(500, 999, hint.T(
	"This file is damaged or missing on the server's disk: nothing of it was sent. Restore it from a backup, or attach it again.",
	"Ce fichier est abîmé ou absent sur le disque du serveur : rien n'en a été envoyé. Restaurez-le depuis une sauvegarde, ou joignez-le à nouveau."))
