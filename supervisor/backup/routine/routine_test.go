package routine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/storagetest"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/supervisor/source"
)

// server is a store whose server can be away, with contents of attachments.
type server struct {
	*storage.SQLite
	mu    sync.Mutex
	away  bool
	files map[string][]byte
}

// draw makes contents.
func (s *server) draw(r *rand.Rand) (hash string, size int64) {
	text := fmt.Appendf(nil, "contents %d", r.Int64())
	sum := sha256.Sum256(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	hash = hex.EncodeToString(sum[:])
	s.files[hash] = text
	return hash, int64(len(text))
}

func (s *server) File(_ context.Context, hash string, offset int64) (io.ReadCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, there := s.files[hash]
	if !there {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(text[offset:])), int64(len(text)), nil
}

func (s *server) Changes(ctx context.Context, after changelog.Position, bytes int, each func(changelog.Entry) error) error {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		return source.ErrAway
	}
	return s.SQLite.Changes(ctx, after, bytes, each)
}

func (s *server) goes(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// home is a machine with a server, and a disk for backups, which is a folder.
type home struct {
	*testing.T
	*Routine
	server *server
	writer *storagetest.Writer
	cfg    Config
	words  string
	logged bytes.Buffer

	mu     sync.Mutex
	events []report.Event
	asked  []string // jobs that were begun of its own accord
	anew   int
	mounts []string
	drills func() drill.Outcome // what a restore to see comes to
}

func newHome(t *testing.T) *home {
	t.Helper()
	db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "data.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // a temporary one
	k, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	h := &home{T: t, server: &server{SQLite: db, files: map[string][]byte{}}, writer: storagetest.NewWriter(db, 1), words: strings.Join(k.Words(hint.EN), " "), mounts: []string{"/"}}
	h.writer.Contents = h.server.draw
	h.writes(20)
	h.cfg = Config{
		To: filepath.Join(t.TempDir(), "stick"), Interval: 10 * time.Millisecond, Dir: filepath.Join(t.TempDir(), "backup"), Data: t.TempDir(),
		Source: h.server, Contents: h.server, Version: "1.0.0", Schema: storage.Schema(), Log: slog.New(slog.NewTextHandler(&h.logged, nil)),
		Timing: Timing{Again: 10 * time.Millisecond, First: time.Nanosecond},
		Mounts: func(string) []string { h.mu.Lock(); defer h.mu.Unlock(); return h.mounts },
		Drill: func(_ context.Context, _, dir string, _ func(drill.Progress)) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			return write(filepath.Join(dir, "result.json"), h.drills())
		},
	}
	h.drills = func() drill.Outcome {
		return drill.Outcome{Proven: &report.Proven{At: time.Now(), Seconds: 2, Records: 7, Compared: true, Confined: true, Version: "1.0.0"}}
	}
	h.start()
	return h
}

// start is the next process.
func (h *home) start() {
	h.Routine = New(h.cfg)
	h.UseHost(func(e report.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	}, func(kind string) (job.Record, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked = append(h.asked, kind)
		return job.Record{}, nil
	}, func(string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.anew++
	})
}

func (h *home) writes(n int) {
	h.Helper()
	for range n {
		if err := h.writer.Write(h.Context()); err != nil {
			h.Fatal(err)
		}
	}
}

// begin begins a backup.
func (h *home) begin(ask report.BeginBackup) report.Backup {
	h.Helper()
	if ask.Words == "" {
		ask.Words = h.words
	}
	ask.SameDisk = true
	b, err := h.Begin(h.Context(), ask)
	if err != nil {
		h.Fatal(err)
	}
	return b
}

// rounds does what Run does, so often.
func (h *home) rounds(n int) {
	h.Helper()
	for range n {
		h.round(h.Context())
	}
}

// do does a job as the supervisor would.
func (h *home) do(kind string) job.Record {
	h.Helper()
	jobs, err := job.Open("", slog.New(slog.DiscardHandler), h.Kinds()...)
	if err != nil {
		h.Fatal(err)
	}
	ctx, stop := context.WithCancel(h.Context())
	var wg sync.WaitGroup
	wg.Go(func() { jobs.Run(ctx) })
	defer wg.Wait()
	defer stop()
	r, err := jobs.Start(kind, nil, "test")
	if err != nil {
		h.Fatal(err)
	}
	if err := jobs.Follow(h.Context(), r.ID, func(now job.Record) error { r = now; return nil }); err != nil {
		h.Fatal(err)
	}
	return r
}

// found is what the words open at the disk.
func (h *home) found() []*backup.Chain {
	h.Helper()
	k, err := kit.Read(h.words)
	if err != nil {
		h.Fatal(err)
	}
	at, err := target.ReadFolder(h.Context(), h.cfg.To)
	if err != nil {
		h.Fatal(err)
	}
	chains, err := backup.Open(h.Context(), at, k)
	if err != nil {
		h.Fatal(err)
	}
	return chains
}

// told are the codes of what was told, in their order.
func (h *home) told() (codes []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		codes = append(codes, e.Code)
	}
	return codes
}

func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return ""
}

// A backup begins with words, goes on by itself and across restarts, and the words open it.
// They are nowhere on the machine.
func TestABackupBeginsAndGoesOn(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHome(t)
	if f := h.finding(time.Now()); f.Severity != health.Warning || f.Cause != "backup-unbegun" {
		t.Errorf("a folder without a backup: %+v", f)
	}
	h.rounds(2)
	if _, err := os.Stat(h.cfg.To); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made before it began: %v", err)
	}
	if _, err := h.Begin(t.Context(), report.BeginBackup{Words: "these are not the words of any kit", SameDisk: true}); code(err) != "kit-words-number" {
		t.Errorf("other words: %v", err)
	}
	if _, err := h.Begin(t.Context(), report.BeginBackup{Words: h.words}); code(err) != "target-same-disk" {
		t.Errorf("the disk of the data: %v", err)
	}
	b := h.begin(report.BeginBackup{})
	if b.Chain == "" || !b.Complete.IsZero() || b.To != h.cfg.To {
		t.Errorf("it begins as %+v", b)
	}
	h.rounds(3)
	h.writes(20)
	h.rounds(1)
	b = h.Report()
	if b.Complete.IsZero() || b.Points == 0 || b.Problem != nil {
		t.Errorf("it goes on as %+v", b)
	}
	if f := h.finding(time.Now()); f.Severity != health.OK {
		t.Errorf("all is well, and it finds %+v", f)
	}
	if again := h.begin(report.BeginBackup{}); again.Chain != b.Chain {
		t.Errorf("begun once more with the same words: chain %s, and it was %s", again.Chain, b.Chain)
	}
	h.close()
	h.start()
	if now := h.Report(); now.Chain != b.Chain {
		t.Errorf("after a restart it is %+v", now)
	}
	h.writes(5)
	h.rounds(2)
	if now := h.Report(); !now.Complete.After(b.Complete) || now.Points < b.Points {
		t.Errorf("after a restart it goes on as %+v; it was %+v", now, b)
	}
	chains := h.found()
	if len(chains) != 1 || chains[0].ID != b.Chain {
		t.Fatalf("the words open %v", chains)
	}
	if points := h.Points(); len(points) != h.Report().Points || len(points) == 0 || !slices.IsSortedFunc(points, func(a, b time.Time) int { return b.Truncate(time.Second).Compare(a.Truncate(time.Second)) }) {
		t.Errorf("moments that can be restored: %v", points)
	}
	for _, dir := range []string{h.cfg.Dir, h.cfg.To} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if bytes.Contains(text, []byte(h.words)) {
				t.Errorf("the words are in %s", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(h.logged.String(), h.words) {
		t.Error("the words are in the log")
	}
	if want := []string{"backup-began"}; !slices.Equal(h.told(), want) {
		t.Errorf("told: %v", h.told())
	}
}

// A disk that is pulled out is mentioned, then a warning, then an error; when it is back all that
// was written meanwhile is in the backup.
func TestADiskComesAndGoes(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHome(t)
	h.begin(report.BeginBackup{})
	h.rounds(3)
	pulled := h.cfg.To + ".pulled"
	if err := os.Rename(h.cfg.To, pulled); err != nil {
		t.Fatal(err)
	}
	h.rounds(1)
	now := time.Now()
	for after, want := range map[time.Duration]health.Severity{0: health.Info, 50 * time.Minute: health.Info, 2 * time.Hour: health.Warning, 6 * 24 * time.Hour: health.Warning, 8 * 24 * time.Hour: health.Error} {
		if f := h.finding(now.Add(after)); f.Severity != want || f.Cause != "target-away" {
			t.Errorf("away for %s: %+v", after, f)
		}
	}
	if _, err := os.Stat(h.cfg.To); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made in its place: %v", err)
	}
	h.writes(10)
	h.rounds(2)
	h.mu.Lock()
	if h.anew != 0 {
		t.Errorf("it wanted to begin anew, with the mounts as they were")
	}
	h.mounts = nil // one that went is no reason
	h.mu.Unlock()
	h.rounds(2)
	h.mu.Lock()
	if h.anew != 0 {
		t.Errorf("a disk went, and it wanted to begin anew")
	}
	h.mounts = []string{"/"}
	h.mu.Unlock()
	h.rounds(2)
	h.mu.Lock()
	h.anew = 0
	h.mounts = []string{"/", h.cfg.To}
	h.mu.Unlock()
	h.rounds(2)
	h.mu.Lock()
	if h.anew != 1 {
		t.Errorf("a disk came that it cannot see, and it wanted to begin anew %d times", h.anew)
	}
	h.mu.Unlock()
	if err := os.Rename(pulled, h.cfg.To); err != nil {
		t.Fatal(err)
	}
	before := h.Report().Complete
	h.rounds(2)
	if b := h.Report(); b.Problem != nil || !b.Complete.After(before) {
		t.Errorf("it is back, and the backup stands so: %+v", b)
	}
	if want := []string{"backup-began"}; !slices.Equal(h.told(), want) {
		t.Errorf("told of a disk that was away for a moment: %v", h.told())
	}
}

// What does not pass by itself is an error at once, by its name, told once; and when it is
// mended, that is told.
func TestWhatStopsABackupIsTold(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHome(t)
	h.begin(report.BeginBackup{})
	h.rounds(3)
	identity := filepath.Join(h.cfg.To, "foyer-target.json")
	text, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(identity, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.rounds(3)
	if f := h.finding(time.Now()); f.Severity != health.Error || f.Cause != "target-damaged" || f.Do.IsZero() {
		t.Errorf("another disk: %+v", f)
	}
	if err := os.WriteFile(identity, text, 0o600); err != nil {
		t.Fatal(err)
	}
	h.rounds(2)
	if f := h.finding(time.Now()); f.Severity != health.OK {
		t.Errorf("it is mended: %+v", f)
	}
	if want := []string{"backup-began", "backup-stopped", "backup-goes-on"}; !slices.Equal(h.told(), want) {
		t.Errorf("told: %v", h.told())
	}
	// A server that is away is waited for, and is no trouble of the backup's.
	h.server.goes(true)
	h.rounds(2)
	if f := h.finding(time.Now()); f.Severity != health.OK {
		t.Errorf("the server is away: %+v", f)
	}
	if f := h.finding(time.Now().Add(3 * time.Hour)); f.Severity != health.Warning || f.Cause != "backup-late" {
		t.Errorf("the server has been away for hours: %+v", f)
	}
	h.server.goes(false)
	h.rounds(1)
	if len(h.told()) != 3 {
		t.Errorf("told: %v", h.told())
	}
}

// One that is ended adds nothing more, and leaves what it has; another one begins beside it,
// with words of its own or the same.
func TestABackupEnds(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHome(t)
	if err := h.End(t.Context()); code(err) != "backup-off" {
		t.Errorf("nothing had begun: %v", err)
	}
	first := h.begin(report.BeginBackup{})
	h.rounds(3)
	second := h.begin(report.BeginBackup{New: true})
	if second.Chain == first.Chain {
		t.Fatal("a new backup is the old one")
	}
	h.rounds(3)
	if chains := h.found(); len(chains) != 2 {
		t.Errorf("the words open %d backups", len(chains))
	}
	if err := h.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.writes(5)
	h.rounds(3)
	if b := h.Report(); b.Chain != "" || !b.Complete.IsZero() {
		t.Errorf("it has ended: %+v", b)
	}
	h.start()
	h.rounds(2)
	if b := h.Report(); b.Chain != "" {
		t.Errorf("it has ended, and a restart knows %+v", b)
	}
	for _, c := range h.found() {
		b, err := c.Find(t.Context())
		if err != nil || len(b.Points()) == 0 {
			t.Errorf("what was backed up is not there any more: %v", err)
		}
	}
	third := h.begin(report.BeginBackup{})
	if third.Chain == second.Chain {
		t.Error("what was ended goes on")
	}
	if want := []string{"backup-began", "backup-began", "backup-ended", "backup-began"}; !slices.Equal(h.told(), want) {
		t.Errorf("told: %v", h.told())
	}
}

// What is known of a backup can be damaged: it is told, nothing is added, and the same words set
// it right, with the backup there was.
func TestWhatIsKnownIsDamaged(t *testing.T) {
	h := newHome(t)
	b := h.begin(report.BeginBackup{})
	h.rounds(3)
	h.close()
	if err := os.WriteFile(filepath.Join(h.cfg.Dir, knownFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.rounds(2)
	if f := h.finding(time.Now()); f.Severity != health.Error || f.Cause != "backup-memory" {
		t.Errorf("%+v", f)
	}
	if again := h.begin(report.BeginBackup{}); again.Chain != b.Chain {
		t.Errorf("set right it is %s, and was %s", again.Chain, b.Chain)
	}
	h.rounds(2)
	if f := h.finding(time.Now()); f.Severity != health.OK {
		t.Errorf("set right: %+v", f)
	}
	// Without the keys nothing is added either.
	h.close()
	if err := os.RemoveAll(keysDir(h.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.rounds(2)
	if f := h.finding(time.Now()); f.Severity != health.Error || f.Cause != "backup-keys-gone" {
		t.Errorf("without keys: %+v", f)
	}
}

// A folder that the service cannot see is said to be one, and nothing is tried there.
func TestAHiddenFolder(t *testing.T) {
	h := newHome(t)
	h.cfg.Hidden = true
	h.start()
	if f := h.finding(time.Now()); f.Severity != health.Error || f.Cause != "target-hidden" {
		t.Errorf("%+v", f)
	}
	if _, err := h.Begin(t.Context(), report.BeginBackup{Words: h.words, SameDisk: true}); code(err) != "target-hidden" {
		t.Error(err)
	}
	h.cfg.To, h.cfg.Hidden = "", false
	h.start()
	if f := h.finding(time.Now()); f.Severity != health.OK || !f.What.IsZero() {
		t.Errorf("nobody wants a backup: %+v", f)
	}
	if _, err := h.Begin(t.Context(), report.BeginBackup{Words: h.words}); code(err) != "backup-off" {
		t.Error(err)
	}
}

// The jobs: all that was written is in the backup at once, and all of it is read.
func TestJobsOfABackup(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHome(t)
	for _, kind := range []string{JobNow, JobDrill, JobCheck} {
		if r := h.do(kind); r.State != job.Failed || r.Error.Code != "backup-unbegun" {
			t.Errorf("%s before it began: %+v", kind, r)
		}
	}
	h.begin(report.BeginBackup{})
	if r := h.do(JobNow); r.State != job.Done || h.Report().Complete.IsZero() {
		t.Fatalf("%+v, %+v", r, r.Error)
	}
	h.writes(10)
	began := time.Now()
	if r := h.do(JobNow); r.State != job.Done || h.Report().Complete.Before(began) {
		t.Errorf("%+v, %+v", r, r.Error)
	}
	chains := h.found()
	b, err := chains[0].Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := h.server.Summarize(t.Context(), b.Manifest.Notes)
	if err != nil {
		t.Fatal(err)
	}
	if d := want.Differences(b.Manifest.Summary, 5); len(d) > 0 {
		t.Errorf("what it says it has is not what there is: %v", d)
	}
	if r := h.do(JobCheck); r.State != job.Done {
		t.Errorf("%+v, %+v", r, r.Error)
	}
	segments, err := filepath.Glob(filepath.Join(h.cfg.To, chains[0].ID, "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(segments[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := h.do(JobCheck); r.State != job.Failed || r.Error.Code != "backup-damaged" {
		t.Errorf("with a flipped bit: %+v, %+v", r, r.Error)
	}
}

// An attachment whose contents are gone is told of, keeps nothing else out of the backup, and is
// no error.
func TestAttachmentsThatAreGone(t *testing.T) {
	h := newHome(t)
	h.begin(report.BeginBackup{})
	h.rounds(3)
	for len(h.server.files) > 0 {
		h.server.mu.Lock()
		clear(h.server.files)
		h.server.mu.Unlock()
	}
	draw := h.writer.Contents
	h.writer.Contents = func(r *rand.Rand) (string, int64) {
		hash, size := draw(r)
		h.server.mu.Lock()
		defer h.server.mu.Unlock()
		clear(h.server.files)
		return hash, size
	}
	h.writes(100)
	h.rounds(3)
	if b := h.Report(); b.Problem != nil || time.Since(b.Complete) > time.Minute {
		t.Errorf("the backup stands still: %+v", b)
	}
	if f := h.finding(time.Now()); f.Severity != health.Warning || f.Cause != "backup-attachments" {
		t.Errorf("%+v", f)
	}
	if told := h.told(); !slices.Contains(told, "backup-attachments") {
		t.Errorf("told: %v", told)
	}
	if r := h.do(JobNow); r.State != job.Done {
		t.Errorf("%+v, %+v", r, r.Error)
	}
}

// A restore to see is made of its own accord after the first copy, kept, told, and not made again
// until it is time; one that fails is an error, and is tried again.
func TestItIsRestoredToSee(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHome(t)
	h.begin(report.BeginBackup{})
	if f := h.proofFinding(time.Now()); f.Severity != health.Info || f.Cause != "unproven" {
		t.Errorf("before: %+v", f)
	}
	if f := h.proofFinding(time.Now().Add(25 * time.Hour)); f.Severity != health.Warning || f.Cause != "unproven" {
		t.Errorf("never, for a day: %+v", f)
	}
	h.rounds(4)
	if len(h.asked) == 0 || h.asked[0] != JobDrill {
		t.Fatalf("of its own accord it asked for %v", h.asked)
	}
	if r := h.do(JobDrill); r.State != job.Done {
		t.Fatalf("%+v, %+v", r, r.Error)
	}
	if b := h.Report(); b.Proven == nil || b.Proven.Records != 7 || b.Failed != nil {
		t.Errorf("%+v", b)
	}
	asked := len(h.asked)
	h.rounds(3)
	if len(h.asked) != asked {
		t.Error("it is made again and again")
	}
	now := time.Now()
	h.mu.Lock()
	h.Routine.drilled = time.Time{}
	h.mu.Unlock()
	for after, due := range map[time.Duration]bool{time.Hour: false, 29 * 24 * time.Hour: false, 31 * 24 * time.Hour: true} {
		if got := h.drillDue(now.Add(after)); got != due {
			t.Errorf("%s later it is due: %t", after, got)
		}
	}
	for after, want := range map[time.Duration]health.Severity{0: health.OK, 44 * 24 * time.Hour: health.OK, 46 * 24 * time.Hour: health.Warning} {
		if f := h.proofFinding(now.Add(after)); f.Severity != want {
			t.Errorf("%s later: %+v", after, f)
		}
	}
	// A new version, or another schema, is tried at once; what was proven is known after a restart.
	h.close()
	for _, change := range []func(*Config){func(c *Config) { c.Version = "1.1.0" }, func(c *Config) { c.Schema++ }} {
		was := h.cfg
		change(&h.cfg)
		h.start()
		h.rounds(1)
		if b := h.Report(); b.Proven == nil || !h.drillDue(now.Add(time.Minute)) && len(h.asked) == asked {
			t.Errorf("version %s, schema %d: %+v", h.cfg.Version, h.cfg.Schema, b)
		}
		h.close()
		h.cfg = was
	}
	h.start()
	h.rounds(1)
	h.drills = func() drill.Outcome {
		return drill.Outcome{Problem: &report.Problem{Code: "backup-damaged", What: hint.T("It is damaged.", "Elle est endommagée.")}}
	}
	if r := h.do(JobDrill); r.State != job.Failed || r.Error.Code != "backup-damaged" {
		t.Errorf("%+v", r)
	}
	if f := h.proofFinding(now); f.Severity != health.Error || f.Cause != "backup-damaged" {
		t.Errorf("it failed: %+v", f)
	}
	if h.drillDue(now.Add(time.Hour)) || !h.drillDue(now.Add(25*time.Hour)) {
		t.Error("one that failed is not tried again a day later, and not before")
	}
	if b := h.Report(); b.Proven == nil || b.Failed == nil {
		t.Errorf("what was proven before is forgotten: %+v", b)
	}
	h.drills = func() drill.Outcome {
		return drill.Outcome{Proven: &report.Proven{At: now, Version: "1.0.0"}}
	}
	if r := h.do(JobDrill); r.State != job.Done || h.Report().Failed != nil {
		t.Errorf("%+v, %+v", r, h.Report())
	}
	if told := h.told(); !slices.Contains(told, "backup-proven") || !slices.Contains(told, "backup-unproven") {
		t.Errorf("told: %v", told)
	}
}

// One that could not begin says nothing of the backup: it is tried again within the hour, not a day later.
func TestARestoreToSeeThatCannotBegin(t *testing.T) {
	t.Attr("shows", "backups")
	h := newHome(t)
	h.begin(report.BeginBackup{})
	h.rounds(4)
	if err := os.Rename(h.cfg.To, h.cfg.To+".pulled"); err != nil {
		t.Fatal(err)
	}
	h.writes(1)
	if r := h.do(JobDrill); r.State != job.Failed || r.Error.Code != "target-away" {
		t.Fatalf("%+v, %+v", r, r.Error)
	}
	now := time.Now()
	if b := h.Report(); b.Failed != nil {
		t.Errorf("the backup is said to fail: %+v", b.Failed)
	}
	if err := os.Rename(h.cfg.To+".pulled", h.cfg.To); err != nil {
		t.Fatal(err)
	}
	h.rounds(2)
	for after, due := range map[time.Duration]bool{58 * time.Minute: false, 62 * time.Minute: true} {
		if got := h.drillDue(now.Add(after)); got != due {
			t.Errorf("%s later it is due: %t", after, got)
		}
	}
	if r := h.do(JobDrill); r.State != job.Done || h.Report().Proven == nil {
		t.Errorf("%+v, %+v", r, r.Error)
	}
}

// roomy is a target that says how much room it has.
type roomy struct {
	target.Target
	free, total int64
	known       bool
}

func (r roomy) Room(context.Context) (int64, int64, bool, error) {
	return r.free, r.total, r.known, nil
}

// A disk that fills up is a warning before it is full.
func TestATargetFillsUp(t *testing.T) {
	h := newHome(t)
	h.begin(report.BeginBackup{})
	h.rounds(2)
	for _, c := range []struct {
		roomy
		tight bool
	}{
		{roomy{nil, 500 << 30, 1000 << 30, true}, false},
		{roomy{nil, 2 << 30, 1000 << 30, true}, false},
		{roomy{nil, 900 << 20, 1000 << 30, true}, true},
		{roomy{nil, 900 << 20, 8 << 30, true}, false},
		{roomy{nil, 300 << 20, 8 << 30, true}, true},
		{roomy{nil, 0, 0, false}, false},
	} {
		if err := h.lookForRoom(t.Context(), c.roomy); err != nil {
			t.Fatal(err)
		}
		f := h.finding(time.Now())
		if tight := f.Cause == "backup-tight" && f.Severity == health.Warning; tight != c.tight {
			t.Errorf("%d of %d bytes: %+v", c.free, c.total, f)
		}
	}
}
