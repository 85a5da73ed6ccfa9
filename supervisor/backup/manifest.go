package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Manifest says what a chain has and what all of it comes to at one point. Signed, and read
// with the key of the chain, it is what objects at a target are believed by.
type Manifest struct {
	N       uint64
	At      time.Time
	Point   changelog.Position // that Summary is of
	Notes   time.Time          // notes that had ended then are not in Summary
	Version string
	Schema  int
	Summary *changelog.Summary
	Files   []File
	// Missing are attachments whose contents were not at the target, and not to be had.
	Missing []Attachment
	// Newest is the newest key object at that time; the zero KeyObject: nobody knew.
	Newest KeyObject

	contents object.ContentsKey
	objects  []entry
	bases    []base
}

// File is one that goes along with the data: settings, certificates, keys.
type File struct {
	Name string `json:"name"` // below its folder, with slashes
	Mode uint32 `json:"mode"`
	Data []byte `json:"data"`
}

// manifestLine is one line of a manifest. One field of it is there.
type manifestLine struct {
	Notes   *time.Time         `json:"notes,omitempty"`
	Object  *entry             `json:"object,omitempty"`
	Base    *base              `json:"base,omitempty"`
	Summary *changelog.Summary `json:"summary,omitempty"`
	File    *File              `json:"file,omitempty"`
	// Contents says how those of attachments are called, Missing which are not there.
	Contents *contentsLine `json:"contents,omitempty"`
	Missing  []Attachment  `json:"missing,omitempty"`
	Key      *KeyObject    `json:"key,omitempty"` // the newest
}

// listsInLine is how many lists one line of a manifest tells of.
const listsInLine = 1000

// manifest adds a manifest of now to the chain.
func (e *Engine) manifest(ctx context.Context) error {
	e.begins("say")
	now := e.now()
	// Before the point: what is removed after this is not said to be gone at it.
	if err := e.files.compare(ctx); err != nil {
		return err
	}
	sum, at, err := e.source().Summarize(ctx, now)
	if err != nil {
		return err
	}
	// What the summary is of has to be in the chain before it.
	for e.st.Position.Seq < at.Seq {
		before := e.st.Position
		if _, err := e.stretch(ctx); err != nil {
			return err
		}
		if e.st.Position == before {
			return fmt.Errorf("the log of changes ends at %d, before %d", e.st.Position.Seq, at.Seq)
		}
	}
	e.files.settle(at.Seq)
	e.files.upload(ctx)
	missing := e.files.missing()
	var files []File
	if e.Files != nil {
		if files, err = e.Files(ctx); err != nil {
			return err
		}
	}
	_, err = e.append(ctx, object.Manifest, at, at, e.now(), func(w *object.Writer) error {
		line := func(l manifestLine) error {
			text, err := json.Marshal(l)
			if err != nil {
				return err
			}
			return w.Lines(append(text, '\n'))
		}
		err := line(manifestLine{Notes: &now})
		if key := e.Keys.Newest; err == nil && key.Number > 0 {
			err = line(manifestLine{Key: &key})
		}
		for i := range e.st.Objects {
			if ent := &e.st.Objects[i]; err == nil && ent.live() && (ent.stretch() || ent.Kind == object.Base) {
				err = line(manifestLine{Object: ent})
			}
		}
		for i := range e.st.Bases {
			if err == nil {
				err = line(manifestLine{Base: &e.st.Bases[i]})
			}
		}
		for _, part := range sum.Split(listsInLine) {
			if err == nil {
				err = line(manifestLine{Summary: part})
			}
		}
		for i := range files {
			if err == nil {
				err = line(manifestLine{File: &files[i]})
			}
		}
		if err == nil {
			err = line(manifestLine{Contents: &contentsLine{e.files.key}})
		}
		for some := range slices.Chunk(missing, missingInLine) {
			if err == nil {
				err = line(manifestLine{Missing: some})
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	e.st.Unsaid = false
	for i := range e.st.Objects[:len(e.st.Objects)-1] {
		if ent := &e.st.Objects[i]; ent.live() && (ent.Kind == object.Manifest || ent.Kind == object.Beat) {
			ent.Left, ent.Behind = now, e.st.Head.N
		}
	}
	return errors.Join(e.save(), e.files.save())
}

// readManifest reads manifest n, which has hash (empty: not known).
func (c *reader) readManifest(ctx context.Context, n uint64) (*Manifest, entry, error) {
	m := &Manifest{N: n, Summary: &changelog.Summary{}}
	var h object.Header
	ent, err := c.read(ctx, n, "", func(header object.Header, text []byte) error {
		h = header
		var l manifestLine
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("a line of manifest %d: %w", n, err)
		}
		switch {
		case l.Notes != nil:
			m.Notes = *l.Notes
		case l.Object != nil:
			m.objects = append(m.objects, *l.Object)
		case l.Base != nil:
			m.bases = append(m.bases, *l.Base)
		case l.Summary != nil:
			m.Summary.Join(l.Summary)
		case l.File != nil:
			m.Files = append(m.Files, *l.File)
		case l.Contents != nil:
			m.contents = l.Contents.Key
		case l.Key != nil:
			m.Newest = *l.Key
		case l.Missing != nil:
			m.Missing = append(m.Missing, l.Missing...)
		}
		return nil
	})
	if err != nil {
		return nil, entry{}, err
	}
	if ent.Kind != object.Manifest {
		return nil, entry{}, fmt.Errorf("object %d is no manifest", n)
	}
	m.At, m.Point, m.Version, m.Schema = ent.At, ent.To, h.Version, h.Schema
	return m, ent, nil
}

// reader reads the objects of a chain at a target.
type reader struct {
	get    func(ctx context.Context, n uint64) (io.ReadCloser, error)
	part   func(ctx context.Context, name string, part int) (io.ReadCloser, error) // of contents
	key    func(ctx context.Context, number int) (io.ReadCloser, error)
	expect object.Expect // of any of them
}

func newReader(at target.Reader, expect object.Expect) *reader {
	return &reader{
		expect: expect,
		get: func(ctx context.Context, n uint64) (io.ReadCloser, error) {
			return at.Get(ctx, objectName(expect.Chain, n), 0)
		},
		part: func(ctx context.Context, name string, part int) (io.ReadCloser, error) {
			return at.Get(ctx, contentsName(expect.Chain, name, part), 0)
		},
		key: func(ctx context.Context, number int) (io.ReadCloser, error) {
			return at.Get(ctx, expect.Chain+"/"+object.KeyName(number), 0)
		},
	}
}

// read reads object n, all of it, and verifies it: it is of this chain, signed by its
// machine, and what it says of prev and hash is so (empty: not known). line is called for each line before
// that is sure: nobody keeps what a read that fails has passed on.
func (c *reader) read(ctx context.Context, n uint64, prev string, line func(object.Header, []byte) error) (entry, error) {
	body, err := c.get(ctx, n)
	if err != nil {
		return entry{}, err
	}
	defer body.Close() //nolint:errcheck // it was only read
	expect := c.expect
	expect.N, expect.Prev = n, prev
	o, err := object.NewReader(body, expect)
	if err != nil {
		return entry{}, err
	}
	defer o.Close() //nolint:errcheck // it was only read
	h := o.Header()
	for {
		text, err := o.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && line != nil {
			err = line(h, text)
		}
		if err != nil {
			return entry{}, err
		}
	}
	info := o.Info()
	return entry{N: h.N, Kind: h.Kind, From: h.From, To: h.To, At: h.At, Size: info.Size, Hash: info.SHA256, Lines: info.Lines, manifest: h.Manifest}, nil
}
