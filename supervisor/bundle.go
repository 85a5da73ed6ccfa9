package supervisor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Part is one file of a support bundle. Write need not care for secrets: what it writes is
// scrubbed. It is given half a minute, and 4 MiB.
type Part struct {
	Name  string    // of the file: status.json. JSON is scrubbed string by string, and stays JSON
	Title hint.Text // what is in it: "How things are"
	Write func(ctx context.Context, w io.Writer) error
}

// JobBundle is the kind of job that makes a support bundle.
const JobBundle = "support-bundle"

// Bounds of a bundle.
const (
	partBytes   = 4 << 20
	bundleBytes = 16 << 20
	partTime    = 30 * time.Second
	keptBundles = 3
)

// bundleKind is the job that makes a support bundle.
func (s worker) bundleKind() job.Kind {
	return job.Kind{
		Name: JobBundle, Title: hint.T("Make a support bundle", "Faire un dossier d'assistance"), Lane: job.Reads, Resume: true, Run: s.makeBundle,
	}
}

// makeBundle writes a support bundle. A job that was begun again writes the same file.
func (s worker) makeBundle(ctx context.Context, t *job.Task) error {
	dir := filepath.Join(s.cfg.StateDir, "bundles")
	if s.cfg.StateDir == "" { // as under `foyer try`
		dir = filepath.Join(s.cfg.RunDir, "bundles")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return noBundle(err)
	}
	parts := append(s.parts(), s.cfg.Parts...)
	text, result, err := pack(ctx, time.Now(), parts, newScrubber(s.cfg.PeoplesDomains), func(done int) {
		t.Progress(int64(done), int64(len(parts)), hint.T("parts", "parties"))
	})
	if err != nil {
		return err
	}
	stamp := strings.Split(t.ID(), "-") // when it was asked for
	result.Path = filepath.Join(dir, "support-"+stamp[0]+"-"+stamp[1]+".tar.gz")
	result.Bytes = int64(len(text))
	if err := tidy(dir, filepath.Base(result.Path)); err != nil {
		return noBundle(err)
	}
	if err := atomicfile.Write(result.Path, text, 0o600); err != nil {
		return noBundle(err)
	}
	for _, p := range result.Parts {
		if p.LeftOut.IsZero() {
			t.Say(hint.T("%s: %s (%s)", "%s : %s (%s)", p.Name, p.Title, report.Size(uint64(p.Bytes))))
		} else {
			t.Say(hint.T("%s: left out; %s", "%s : laissé de côté ; %s", p.Name, p.LeftOut))
		}
	}
	return t.Result(result)
}

func noBundle(err error) error {
	return hint.New("bundle-unwritten", hint.T("The support bundle could not be written.", "Le dossier d'assistance n'a pas pu être écrit."), hint.T("Nothing of it is left.", "Il n'en reste rien."),
		hint.T("`sudo foyer doctor` says whether the disk is full or fails.", "`sudo foyer doctor` dit si le disque est plein ou défaillant.")).Because(err)
}

// tidy removes what a death left in the folder of bundles, and the oldest bundles, so that one
// more, of this name, may come.
func tidy(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var kept []string // the oldest first
	for _, e := range entries {
		if n := e.Name(); strings.HasPrefix(n, "support-") && strings.HasSuffix(n, ".tar.gz") {
			if n != name {
				kept = append(kept, n)
			}
			continue
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	slices.Sort(kept)
	for _, old := range kept[:max(0, len(kept)-(keptBundles-1))] {
		err = errors.Join(err, os.Remove(filepath.Join(dir, old)))
	}
	return err
}

// pack makes a bundle of parts. A part that fails, or does not come back, is left out, and
// the bundle says so. The error is that of ctx.
func pack(ctx context.Context, now time.Time, parts []Part, scrub *scrubber, tell func(done int)) (text []byte, made report.Bundle, err error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	add := func(name string, content []byte) error {
		h := &tar.Header{Name: "support/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: now, Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		_, err := archive.Write(content)
		return err
	}
	left := bundleBytes
	for i, p := range parts {
		tell(i)
		in := report.BundlePart{Name: p.Name, Title: p.Title}
		content, whole, err := gather(ctx, p, min(left, partBytes))
		if ctx.Err() != nil {
			return nil, made, ctx.Err()
		}
		content = scrub.file(p.Name, content)
		if len(content) > left {
			content, whole = content[:left], false
		}
		switch {
		case err != nil:
			in.LeftOut = hint.Clean(hint.Verbatim(scrub.text(hint.Describe(err, hint.EN))))
			if e := hint.Find(err); e != nil {
				in.LeftOut = e.What
			}
		default:
			if err := add(p.Name, content); err != nil {
				return nil, made, err
			}
			in.Bytes, in.Cut = int64(len(content)), !whole
			left -= len(content)
		}
		made.Parts = append(made.Parts, in)
	}
	tell(len(parts))
	if err := errors.Join(add("contents.txt", contents(now, made.Parts)), archive.Close(), zip.Close()); err != nil {
		return nil, made, err
	}
	return out.Bytes(), made, nil
}

// Errors of a part.
var (
	errPartLate = hint.New("bundle-part-late", hint.T("it did not come back", "elle n'est pas revenue"), hint.Text{}, hint.Text{})
	errPartBug  = hint.New("bundle-part-failed", hint.T("it broke off by a mistake in Foyer", "elle s'est interrompue par une erreur de Foyer"), hint.Text{}, hint.Text{})
)

// gather has a part write what it has, up to so many bytes, and says whether that is all of
// it. One that does not come back in its time is left to itself.
func gather(ctx context.Context, p Part, most int) (content []byte, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	to := &bounded{most: most}
	ended := make(chan error, 1)
	go func() { // a disk that hangs ends for nobody: then it is this part that is missing
		defer func() {
			if recover() != nil {
				ended <- errPartBug
			}
		}()
		ended <- p.Write(ctx, to)
	}()
	late := time.NewTimer(partTime + time.Second)
	defer late.Stop()
	select {
	case err = <-ended:
	case <-late.C:
		err = errPartLate
	}
	content, whole = to.close()
	if errors.Is(err, errCut) {
		err = nil
	}
	return content, whole, err
}

// bounded takes up to most bytes, until it is closed. It is safe for concurrent use.
type bounded struct {
	mu     sync.Mutex // guards what follows
	b      bytes.Buffer
	most   int
	cut    bool
	closed bool
}

var errCut = errors.New("there is no more room for this part")

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errCut
	}
	room := b.most - b.b.Len()
	b.b.Write(p[:min(len(p), room)])
	if len(p) > room {
		b.cut = true
		return room, errCut
	}
	return len(p), nil
}

func (b *bounded) close() (content []byte, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.b.Bytes(), !b.cut
}

// contents is what the bundle says of itself.
func contents(now time.Time, parts []report.BundlePart) []byte {
	var b strings.Builder
	for _, l := range hint.Langs {
		fmt.Fprintf(&b, "%s\n\n", hint.T(
			"A support bundle of Foyer, made at %s. Passwords, codes, keys, cookies, names of people and of what they store, and addresses were taken out.",
			"Un dossier d'assistance de Foyer, fait le %s. Les mots de passe, codes, clés, cookies, noms de personnes et de ce qu'elles enregistrent, et adresses en ont été retirés.",
			now.UTC().Format(time.RFC3339)).In(l))
		for _, p := range parts {
			said := hint.T("%s: %s", "%s : %s", p.Name, p.Title)
			switch {
			case !p.LeftOut.IsZero():
				said = hint.T("%s: %s. Left out: %s.", "%s : %s. Laissé de côté : %s.", p.Name, p.Title, p.LeftOut)
			case p.Cut:
				said = hint.T("%s: %s. Cut off: it was too long.", "%s : %s. Coupé : c'était trop long.", p.Name, p.Title)
			}
			fmt.Fprintf(&b, "  %s\n", said.In(l))
		}
		b.WriteString("\n")
	}
	return []byte(b.String())
}

// versions is what this program was built from.
func versions(version string) map[string]any {
	said := map[string]any{"foyer": version}
	if info, ok := debug.ReadBuildInfo(); ok {
		said["go"] = info.GoVersion
		modules := map[string]string{}
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
		said["modules"] = modules
	}
	return said
}
