package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/restore"
)

// isPart reports whether a part is wanted, and not all of it.
func (a *restoring) isPart() bool { return (a.only != "" || a.versions) && !a.verdict }

// what is the part that --only names.
func (a *restoring) what() (restore.What, error) {
	what, ok := restore.ParseWhat(a.only)
	if !ok {
		return what, wrongUse(hint.T("--only %s: it takes /buckets/b, /buckets/b/collections/c, /buckets/b/collections/c/records/r, “person NAME”, or the name of an attached file", "--only %s : il faut /buckets/b, /buckets/b/collections/c, /buckets/b/collections/c/records/r, « person NOM », ou le nom d'un fichier joint", a.only))
	}
	if _, _, one := what.Record(); a.versions && !one {
		return what, wrongUse(hint.T("--versions is for one record: --only /buckets/b/collections/c/records/r", "--versions porte sur un seul enregistrement : --only /buckets/b/collections/c/records/r"))
	}
	return what, nil
}

// bringPart brings a part of a point out; against is what is against restoring all of it
// here. That there is no room for all of it is not against a part.
func (a *restoring) bringPart(ctx context.Context, b *backup.Backup, against error) error {
	what, err := a.what()
	if err != nil {
		return err
	}
	if e := hint.Find(against); against != nil && (e == nil || e.Code != "restore-room") {
		return against
	}
	if a.versions {
		return a.sayVersions(ctx, b, what)
	}
	work := restore.Only{Backup: b, Point: a.point, What: what, Into: a.into, Load: a.loadPart(b)}
	work.Export = func(ctx context.Context, data, into string, part restore.Part) (out restore.Found, err error) {
		err = storage.Peek(ctx, filepath.Join(data, "data.db"), func(tx kinto.Reader) error {
			e := export{ctx: ctx, tx: tx, part: part, into: into, from: b}
			err := e.all()
			out = e.found
			return err
		})
		if errors.Is(err, storage.ErrEmpty) {
			err = nil
		}
		return out, err
	}
	found, err := work.Run(ctx)
	if err != nil {
		return err
	}
	a.sayOnly(found)
	return nil
}

// loadPart is how a database is made of some lines.
func (a *restoring) loadPart(b *backup.Backup) func(context.Context, string, iter.Seq2[changelog.Line, error]) error {
	return func(ctx context.Context, data string, lines iter.Seq2[changelog.Line, error]) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		out, in := io.Pipe()
		fed := make(chan error, 1)
		go func() {
			var text []byte
			var err error
			for l, e := range lines {
				if err = e; err == nil {
					text = l.Append(text[:0])
					_, err = in.Write(text)
				}
				if err != nil {
					break
				}
			}
			if err != nil {
				stop() // before it takes the end of what it was given for the end of all
			}
			in.CloseWithError(err)
			fed <- err
		}()
		_, err := a.load(ctx, data, b.Manifest.Notes, out)
		out.Close() //nolint:errcheck // it never fails
		if why := <-fed; why != nil && !errors.Is(why, io.ErrClosedPipe) {
			err = why // and not what came of it
		}
		return err
	}
}

// sayOnly says what was brought out.
func (a *restoring) sayOnly(f restore.Found) {
	if a.json {
		a.printJSON(map[string]any{"only": f, "moment": a.point.At})
		return
	}
	a.say(hint.T("It is in %s: %d records, %d accounts and %d attachments, as of %s. Nothing was changed in the data of the server.", "C'est dans %s : %d enregistrements, %d comptes et %d fichiers joints, à l'état du %s. Rien n'a été changé dans les données du serveur.", f.Into, f.Records, f.Accounts, f.Attachments, clock(a.point.At)))
	for _, name := range f.Files {
		a.say(hint.T("  %s", "  %s", name))
	}
	for _, name := range f.Missing {
		a.say(hint.T("! The contents of %s are missing in the backup.", "! Le contenu de %s manque dans la sauvegarde.", name))
	}
}

// export writes what is in a database as files for people.
type export struct {
	ctx   context.Context
	tx    kinto.Reader
	part  restore.Part
	into  string
	from  contents
	found restore.Found
}

// all exports every list, in the folder of its address.
func (e *export) all() error {
	for _, k := range []kinto.Kind{kinto.Bucket, kinto.Group, kinto.Collection, kinto.Record, kinto.Account} {
		lists, err := e.tx.Lists(k)
		if err != nil {
			return err
		}
		for _, l := range lists {
			if err := e.list(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// list exports the objects of one list, page by page.
func (e *export) list(l kinto.List) (err error) {
	dir := filepath.Join(e.into, filepath.FromSlash(l.Parent))
	name := string(l.Kind) + "s"
	if l.Kind == kinto.Account {
		dir = e.into
		name = "account"
	}
	objects := jsonFile{path: filepath.Join(dir, name+".json"), begin: "[\n", end: "\n]\n"}
	permissions := jsonFile{path: filepath.Join(dir, name+".permissions.json"), begin: "{\n", end: "\n}\n"}
	defer func() { err = errors.Join(err, objects.close(), permissions.close()) }()
	names := fileNames{}
	q := kinto.Everything()
	for q.Limit = 1000; ; {
		page, more, err := e.tx.Select(l, q)
		if err != nil {
			return err
		}
		for i := range page {
			o := &page[i]
			q.Before = o.Timestamp
			if err := e.ctx.Err(); err != nil {
				return err
			}
			text, err := e.object(l, o, dir, names)
			if err != nil || text == nil {
				if err != nil {
					return err
				}
				continue
			}
			if err := objects.add(text); err != nil {
				return err
			}
			if held := heldBy(l.Kind, o); held != nil {
				if err := permissions.add(fmt.Appendf(nil, "%q: %s", o.ID, held)); err != nil {
					return err
				}
			}
		}
		if !more {
			return nil
		}
	}
}

// object is the text of one object, whose attachment it brings; nil: it is not wanted.
func (e *export) object(l kinto.List, o *kinto.Object, dir string, names fileNames) ([]byte, error) {
	if l.Kind == kinto.Account {
		e.found.Accounts++
		data := map[string]json.RawMessage{}
		if err := json.Unmarshal(o.Data, &data); err != nil {
			return nil, err
		}
		delete(data, "password")
		text, err := json.Marshal(data)
		if err != nil {
			return nil, err
		}
		shown := kinto.Object{ID: o.ID, Timestamp: o.Timestamp, Data: text}
		return shown.AppendJSON(nil), nil
	}
	text := o.AppendJSON(nil)
	if l.Kind != kinto.Record {
		e.found.Others++
		return text, nil
	}
	file, err := e.tx.Attached(l, o.ID)
	if err != nil {
		return nil, err
	}
	if e.part.What.File != "" && (file == nil || !e.part.Named(file.Name, file.Location)) {
		return nil, nil // it had a file of that name some time
	}
	e.found.Records++
	if file == nil {
		return text, nil
	}
	name := path.Join("files", names.free(file.Name))
	whole := filepath.Join(dir, filepath.FromSlash(name))
	shown, err := filepath.Rel(e.into, whole)
	if err != nil {
		return nil, err
	}
	switch err := e.bring(file, whole); {
	case errors.Is(err, target.ErrNotFound):
		e.found.Missing = append(e.found.Missing, shown)
	case err != nil:
		return nil, err
	default:
		e.found.Attachments++
		if e.part.What.File != "" {
			e.found.Files = append(e.found.Files, shown)
		}
	}
	address, err := json.Marshal(name)
	if err != nil {
		return nil, err
	}
	kept := fmt.Sprintf(`"location":"%s%s"`, kinto.FileScheme, strings.TrimPrefix((&url.URL{Path: "/" + file.Location}).EscapedPath(), "/"))
	return bytes.ReplaceAll(text, []byte(kept), append([]byte(`"location":`), address...)), nil
}

// bring brings the contents of an attachment into a file.
func (e *export) bring(file *kinto.File, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return whyNotWritten(e.into, err)
	}
	body, err := e.from.Attachment(e.ctx, file.Hash, file.Size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return whyNotWritten(e.into, err)
	}
	_, err = io.Copy(out, body)
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(to)) // nothing counts before its end was reached
	}
	return nil
}

// heldBy is who may do what with an object, as the API says it; nil: nobody is named.
func heldBy(k kinto.Kind, o *kinto.Object) []byte {
	held, err := kinto.DecodePermissions(o.Permissions)
	if len(o.Permissions) == 0 || err != nil {
		return nil
	}
	shown := kinto.Permissions{}
	for name, principals := range held {
		if !slices.Contains(k.Permissions(), name) {
			continue
		}
		for _, who := range principals {
			who, _, _ = strings.Cut(who, "#") // which birth of the name it is
			shown[name] = append(shown[name], who)
		}
	}
	return shown.Encode()
}

// fileNames are the names that files of a folder have, in small letters.
type fileNames map[string]bool

// free is a name for a file that no program has trouble with, and no other file has.
func (n fileNames) free(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r == '�', r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
			return -1
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		}
		return r
	}, name)
	name = strings.TrimRight(strings.TrimLeft(name, ". "), ". ")
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for len(stem)+len(ext) > 180 {
		stem = stem[:len(stem)-1]
	}
	if stem = strings.ToValidUTF8(stem, ""); stem == "" {
		stem = "file"
	}
	name = stem + ext
	for i := 2; n[strings.ToLower(name)]; i++ {
		name = fmt.Sprintf("%s (%d)%s", stem, i, ext)
	}
	n[strings.ToLower(name)] = true
	return name
}

// jsonFile is a JSON array or object that is written bit by bit; without anything in it
// there is no file.
type jsonFile struct {
	path, begin, end string
	f                *os.File
	w                *bufio.Writer
}

func (j *jsonFile) add(text []byte) (err error) {
	separator := ",\n"
	if j.f == nil {
		if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
			return whyNotWritten(filepath.Dir(j.path), err)
		}
		if j.f, err = os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return whyNotWritten(filepath.Dir(j.path), err)
		}
		j.w = bufio.NewWriter(j.f)
		separator = j.begin
	}
	_, err = j.w.WriteString(separator)
	if err == nil {
		_, err = j.w.Write(text)
	}
	return err
}

func (j *jsonFile) close() error {
	if j.f == nil {
		return nil
	}
	_, err := j.w.WriteString(j.end)
	return errors.Join(err, j.w.Flush(), j.f.Close())
}

// sayVersions writes all versions of a record that the backup has, the oldest first.
func (a *restoring) sayVersions(ctx context.Context, b *backup.Backup, what restore.What) error {
	collection, id, _ := what.Record()
	n := 0
	for v, err := range b.Versions(ctx, collection, "record", id) {
		if err != nil {
			return err
		}
		data := []byte("null")
		if !v.None {
			o := kinto.Object{ID: id, Timestamp: v.Timestamp, Data: v.Data, Deleted: v.Deleted}
			data = o.AppendJSON(nil)
		}
		if err := a.encode(struct {
			At   time.Time       `json:"at"`
			Data json.RawMessage `json:"data"`
		}{v.At.UTC(), data}); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return restore.Nothing()
	}
	return nil
}
