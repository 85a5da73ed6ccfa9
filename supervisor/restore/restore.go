// Package restore brings a point of a backup back into a folder: the verdict before anything
// is done (whose it is, how much, of when, whether it can be brought back here), and the work.
//
// It hides the place at the side in which everything is made, and that the database is made
// by another process, which knows the schema. It promises that the folder is not there, or
// whole: one rename makes it, at the very end, after all that was loaded was compared,
// checked and made durable. Whatever kills it leaves a place at the side, which the next run
// clears away. What is in the folder already is never touched.
//
// Where the data that this machine serves are replaced, the place at the side is in their folder,
// and a durable note makes the switch: once it is there, whoever comes first, the restore or the
// next start of the server, carries all of it out (Resume), whatever was cut off before. What was
// served before is kept.
//
// Used by the restore command, which asks for the words and shows the verdict, and by the
// supervisor before each start of the server.
package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup"
)

// Restore is one point of a backup that is brought back.
type Restore struct {
	Backup *backup.Backup
	Point  backup.Point
	Into   string // the folder; not there, or empty
	// Over is there where the data that this machine serves are replaced; then Into means nothing.
	Over *Over
	// Load makes a database in the folder data, which is not there yet, of the lines that it
	// reads, and ends in it what is not to come back from a backup. It returns what the lines came
	// to before that, without notes that ended before a time.
	Load func(ctx context.Context, data string, notes time.Time, lines io.Reader) (*changelog.Summary, error)
	// Attachments brings these contents, which lines told of, into the folder data, as far as
	// records still refer to them, and returns how many it brought.
	Attachments func(ctx context.Context, data string, told []backup.Attachment) (int, error)
	Progress    func(Progress) // is told how it goes; may be nil
}

// Step is one of the steps of a restore.
type Step string

// The steps, in their order.
const (
	Loading     Step = "load"
	Comparing   Step = "compare"
	Attachments Step = "attachments"
	Finishing   Step = "finish"
)

// Progress is how far a restore is.
type Progress struct {
	Step Step  `json:"step"`
	Done int64 `json:"done,omitempty"` // lines that were sent to be loaded
	Of   int64 `json:"of,omitempty"`
}

// Result is what was brought back.
type Result struct {
	Into        string    `json:"into"`
	Former      string    `json:"former,omitempty"` // where what was served before is now
	Moment      time.Time `json:"moment"`
	Lines       int64     `json:"lines"` // of the backup, that were read
	Records     int       `json:"records"`
	People      int       `json:"people"`
	Attachments int       `json:"attachments"`
	// Compared: all of it was compared with what the machine that made the backup said. Else there is
	// nothing to compare that moment with, and it was only looked at whether all fits together.
	Compared bool `json:"compared"`
}

// Run does it. An error leaves nothing, unless it has the code restore-switch: then the switch has
// happened, and Resume ends it.
func (r *Restore) Run(ctx context.Context) (out Result, err error) {
	side, err := r.side()
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, side.leave()) }()
	effort, err := r.Backup.Effort(r.Point)
	if err != nil {
		return out, err
	}
	sum, contents, err := r.load(ctx, side.data(), effort.Lines)
	if err != nil {
		return out, err
	}
	out = Result{Into: side.into, Moment: r.Point.At, Lines: effort.Lines, Compared: r.Point.Position == r.Backup.Manifest.Point}
	out.Records, out.People, _ = count(sum)
	r.says(Progress{Step: Comparing})
	if d := r.Backup.Manifest.Summary.Differences(sum, 5); out.Compared && len(d) > 0 {
		return out, hint.New("restore-differs",
			hint.T("What was restored is not what your server had when it made the backup.", "Ce qui a été restauré n'est pas ce que votre serveur avait quand il a fait la sauvegarde."), nothingLeft(),
			hint.T("Use another copy of the backup, or an earlier point in time (--to).", "Utilisez une autre copie de la sauvegarde, ou un moment antérieur (--to).")).Because(errors.New(strings.Join(d, "; ")))
	}
	if len(contents) > 0 {
		r.says(Progress{Step: Attachments})
		if out.Attachments, err = r.Attachments(ctx, side.data(), contents); err != nil {
			return out, fmt.Errorf("cannot bring attachments back: %w", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	r.says(Progress{Step: Finishing})
	if r.Over == nil {
		return out, side.become()
	}
	out.Former, err = r.Over.replace(ctx, side, r.Point.At)
	return out, err
}

func (r *Restore) side() (*side, error) {
	if r.Over == nil {
		return makeSide(r.Into)
	}
	return sideWithin(r.Over.Data)
}

// replace makes what is at the side the data that are served.
func (o *Over) replace(ctx context.Context, s *side, moment time.Time) (former string, err error) {
	if err := bring(o.Files, s.data()); err != nil {
		return "", err
	}
	if err := s.sync(); err != nil {
		return "", err
	}
	w := switching{o.Served, func(string) error { return nil }}
	former, s.kept, err = w.take(ctx, s, moment, o.Stop)
	if err != nil && s.kept {
		err = notSwitched(err)
	}
	return former, err
}

func (r *Restore) says(p Progress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}

// told is after how many lines it is said how far the load is.
const told = 50_000

// load has a database made of all lines, and returns what it came to, and all contents of
// attachments that lines told of.
func (r *Restore) load(ctx context.Context, data string, of int64) (sum *changelog.Summary, contents []backup.Attachment, err error) {
	lines, err := r.Backup.Lines(ctx, r.Point)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out, in := io.Pipe()
	fed := make(chan error, 1)
	files := map[backup.Attachment]bool{}
	go func() {
		err := func() error {
			var text []byte
			n := int64(0)
			for l, err := range lines {
				if err != nil {
					return err
				}
				if l.Kind == changelog.File && !l.Gone {
					files[backup.Attachment{Hash: l.Hash, Size: l.Size}] = true
				}
				if text = l.Append(text); len(text) > 64<<10 {
					if _, err := in.Write(text); err != nil {
						return err
					}
					text = text[:0]
				}
				if n++; n%told == 0 {
					r.says(Progress{Loading, n, of})
				}
			}
			_, err := in.Write(text)
			return err
		}()
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			stop() // before it takes the end of what it was given for the end of all
		}
		in.CloseWithError(err)
		fed <- err
	}()
	sum, err = r.Load(ctx, data, r.Backup.Manifest.Notes, out)
	out.Close() //nolint:errcheck // it never fails
	if why := <-fed; why != nil && !errors.Is(why, io.ErrClosedPipe) {
		err = why // and not what came of it
	}
	return sum, slices.Collect(maps.Keys(files)), err
}

func nothingLeft() hint.Text {
	return hint.T("Nothing was restored.", "Rien n'a été restauré.")
}
