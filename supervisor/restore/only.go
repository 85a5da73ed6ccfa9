package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup"
)

// What is a part of a backup: a bucket, a collection or a record by its URI, all that a
// person owns, or attachments by their file name or address.
type What struct {
	URI    string // "/buckets/b", "/buckets/b/collections/c", "/buckets/b/collections/c/records/r"
	Person string // the name of an account
	File   string // the name of a file, or the end of its address
}

var (
	wanted = regexp.MustCompile(`^(?:/v1)?(/buckets/[^/]+(?:/collections/[^/]+(?:/records/[^/]+)?)?)/?$`)
	whose  = regexp.MustCompile(`^(?:person +|account:)([^/\s]+)$`)
)

// ParseWhat reads what somebody wants; false: that is nothing there can be.
func ParseWhat(text string) (w What, ok bool) {
	text = strings.TrimSpace(text)
	if m := wanted.FindStringSubmatch(text); m != nil {
		return What{URI: m[1]}, true
	}
	if m := whose.FindStringSubmatch(text); m != nil {
		return What{Person: m[1]}, true
	}
	if strings.HasPrefix(text, "/buckets/") || strings.HasPrefix(text, "/v1/buckets/") {
		return w, false
	}
	if strings.Contains(text, "://") || strings.HasPrefix(text, "/") {
		text = text[strings.LastIndexByte(text, '/')+1:] // an address: its end is what nobody can guess
	}
	return What{File: text}, text != ""
}

// Record reports whether it is one record, and names its collection and id.
func (w What) Record() (collection, id string, ok bool) {
	collection, id, ok = strings.Cut(w.URI, "/records/")
	return collection, id, ok
}

// Only brings a part of a point of a backup out, as files for people. Nothing of it goes into
// the data of a server. A database of that part alone is made at the side, by whoever knows
// the schema, so that memory does not grow with what there is.
type Only struct {
	Backup *backup.Backup
	Point  backup.Point
	What   What
	Into   string // the folder; not there, or empty
	// Load is Restore's.
	Load func(ctx context.Context, data string, lines iter.Seq2[changelog.Line, error]) error
	// Export writes what is in the database of the folder data into the folder into, and
	// returns how many things that are wanted it found.
	Export func(ctx context.Context, data, into string, part Part) (Found, error)
}

// Found is what was brought out.
type Found struct {
	Into        string   `json:"into"`
	Records     int      `json:"records"`
	Accounts    int      `json:"accounts"`
	Others      int      `json:"others"` // buckets, collections and groups
	Attachments int      `json:"attachments"`
	Files       []string `json:"files,omitempty"` // where the attachments lie that were asked for by name
	Missing     []string `json:"missing,omitempty"`
}

// Nothing reports that there was nothing of what is wanted.
func (f Found) Nothing() bool { return f.Records+f.Accounts+f.Others == 0 }

// Nothing is the error of who wants what is not there.
func Nothing() error {
	return hint.New("restore-nothing",
		hint.T("There is nothing of that in the backup, as of that moment.", "Il n'y a rien de cela dans la sauvegarde, à ce moment."), nothingLeft(),
		hint.T("Check the name, or name another moment (--to).", "Vérifiez le nom, ou indiquez un autre moment (--to)."))
}

// Part is what belongs to What at one point, as far as has to be known before it is loaded.
type Part struct {
	What    What
	buckets map[string]bool // of the person
	records map[string]bool // with a file of that name, some time
}

// Run does it. An error leaves nothing.
func (o *Only) Run(ctx context.Context) (out Found, err error) {
	side, err := makeSide(o.Into)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, side.leave()) }()
	part, err := o.part(ctx)
	if err != nil {
		return out, err
	}
	data := filepath.Join(side.dir, "database")
	if err := o.Load(ctx, data, o.lines(ctx, part)); err != nil {
		return out, err
	}
	if err := os.Mkdir(side.data(), 0o700); err != nil {
		return out, unwritable(side.into, err)
	}
	if out, err = o.Export(ctx, data, side.data(), part); err != nil {
		return out, err
	}
	if out.Nothing() {
		return out, Nothing()
	}
	out.Into = side.into
	if err := ctx.Err(); err != nil {
		return out, err
	}
	return out, side.become()
}

// part looks through the backup for what has to be known of it first: whose buckets are
// whose, and which records have had a file of a name.
func (o *Only) part(ctx context.Context) (Part, error) {
	p := Part{What: o.What, buckets: map[string]bool{}, records: map[string]bool{}}
	if o.What.URI != "" {
		return p, nil
	}
	lines, err := o.Backup.Lines(ctx, o.Point)
	if err != nil {
		return p, err
	}
	// The name may have been somebody else's before, who had buckets, too: which of them is
	// meant stands behind a #.
	person, owners := "account:"+o.What.Person, map[string]string{}
	defer func() {
		for bucket, owner := range owners {
			p.buckets[bucket] = owner == person
		}
	}()
	for l, err := range lines {
		switch {
		case err != nil:
			return p, err
		case l.Kind == changelog.Owner && o.What.Person != "":
			if delete(owners, l.ID); strings.HasPrefix(string(l.Value), "account:"+o.What.Person) {
				owners[l.ID] = string(l.Value)
			}
		case l.Kind == changelog.Object && l.Of == "account" && p.HasAccount(l.ID):
			person = "account:" + l.ID
			var hidden map[string][]string
			if err := json.Unmarshal(l.Permissions, &hidden); err == nil && len(hidden["#"]) > 0 {
				person += "#" + hidden["#"][0]
			}
		case l.Kind == changelog.File && o.What.File != "" && !l.Gone && p.Named(l.Name, l.Location):
			p.records[l.Parent+"/records/"+l.ID] = true
		}
	}
	return p, nil
}

// Named reports whether a file is meant by its name or by the end of its address.
func (p Part) Named(name, location string) bool {
	return p.What.File != "" && (name == p.What.File || location[strings.LastIndexByte(location, '/')+1:] == p.What.File)
}

// Has reports whether what has a URI belongs to it.
func (p Part) Has(uri string) bool {
	switch {
	case p.What.URI != "":
		return isBelow(uri, p.What.URI)
	case p.What.File != "":
		return p.records[uri]
	}
	bucket, _, _ := strings.Cut(strings.TrimPrefix(uri, "/buckets/"), "/")
	return strings.HasPrefix(uri, "/buckets/") && p.buckets["/buckets/"+bucket]
}

// HasAccount reports whether an account belongs to it.
func (p Part) HasAccount(name string) bool { return p.What.Person != "" && name == p.What.Person }

// isBelow reports whether a URI is another one, or below it.
func isBelow(uri, top string) bool {
	return uri == top || strings.HasPrefix(uri, top) && uri[len(top)] == '/'
}

// lines are those lines of the point that are about the part, and all that say what is gone.
func (o *Only) lines(ctx context.Context, p Part) iter.Seq2[changelog.Line, error] {
	return func(yield func(changelog.Line, error) bool) {
		lines, err := o.Backup.Lines(ctx, o.Point)
		if err != nil {
			yield(changelog.Line{}, err)
			return
		}
		for l, err := range lines {
			if err == nil && !p.keeps(&l) {
				continue
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

func (p Part) keeps(l *changelog.Line) bool {
	switch l.Kind {
	case changelog.Commit, changelog.Purge:
		return true
	case changelog.Object:
		if l.Of == "account" {
			return p.HasAccount(l.ID)
		}
		return l.Of != "history" && p.Has(uriOf(l))
	case changelog.File:
		return l.Gone || p.Has(uriOf(l))
	}
	return false // lists stand where their objects are
}

// uriOf is the URI of the object that a line is about.
func uriOf(l *changelog.Line) string { return fmt.Sprintf("%s/%ss/%s", l.Parent, l.Of, l.ID) }
