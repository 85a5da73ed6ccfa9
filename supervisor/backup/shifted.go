package backup

import (
	"context"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
)

// shifted is a store whose positions are ahead by so much. Points of a chain are in the order of their
// positions: what is backed up later is behind what was backed up before, also when an older
// copy of the data was put back, whose log is not as long, or data that were restored, whose log begins at
// nothing.
type shifted struct {
	changelog.Source
	by int64
}

// source is the store, with the positions of the chain.
func (e *Engine) source() changelog.Source {
	if e.st.Shift == 0 {
		return e.Source
	}
	return shifted{e.Source, e.st.Shift}
}

func (s shifted) ahead(p changelog.Position) changelog.Position {
	return changelog.Position{Seq: p.Seq + s.by, Sum: p.Sum}
}

func (s shifted) back(p changelog.Position) changelog.Position {
	return changelog.Position{Seq: p.Seq - s.by, Sum: p.Sum}
}

func (s shifted) Follow(ctx context.Context, name string) (changelog.Position, error) {
	at, err := s.Source.Follow(ctx, name)
	return s.ahead(at), err
}

func (s shifted) Changes(ctx context.Context, after changelog.Position, bytes int, each func(changelog.Entry) error) error {
	return s.Source.Changes(ctx, s.back(after), bytes, func(e changelog.Entry) error {
		e.Position = s.ahead(e.Position)
		return each(e)
	})
}

func (s shifted) Acknowledge(ctx context.Context, name string, upTo changelog.Position) error {
	return s.Source.Acknowledge(ctx, name, s.back(upTo))
}

func (s shifted) Copy(ctx context.Context, after string, bytes int, each func(line []byte) error) (string, changelog.Position, error) {
	next, at, err := s.Source.Copy(ctx, after, bytes, each)
	return next, s.ahead(at), err
}

func (s shifted) Summarize(ctx context.Context, notes time.Time) (*changelog.Summary, changelog.Position, error) {
	sum, at, err := s.Source.Summarize(ctx, notes)
	return sum, s.ahead(at), err
}
