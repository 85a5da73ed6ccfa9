package supervisor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// unpacked is what a bundle holds, by file; the test fails when it is not whole.
func unpacked(t *testing.T, text []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	files, all := map[string]string{}, tar.NewReader(zip)
	for {
		h, err := all.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(all)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "support/")] = string(content)
	}
}

// bundled has a supervisor make a bundle, and returns its result and its files.
func bundled(t *testing.T, s *Supervisor) (made report.Bundle, files map[string]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { s.jobs.Run(ctx) })
	defer func() {
		cancel()
		all.Wait()
	}()
	r, err := s.jobs.Start(JobBundle, nil, "jeannine")
	if err != nil {
		t.Fatal(err)
	}
	var last job.Record
	if err := s.jobs.Follow(ctx, r.ID, func(r job.Record) error { last = r; return nil }); err != nil || last.State != job.Done {
		t.Fatalf("%+v, %v", last, err)
	}
	if last.Done != last.Of || last.Of == 0 || len(last.Said) == 0 {
		t.Errorf("it says %+v", last)
	}
	if err := json.Unmarshal(last.Result, &made); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(made.Path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(made.Path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Bytes || len(text) != int(made.Bytes) {
		t.Errorf("%v, %v; the result says %d bytes", info, err, made.Bytes)
	}
	return made, unpacked(t, text)
}

// secrets are what nobody who helps is to see, as logs, events and settings have them.
var secrets = map[string][]string{
	"claim codes":       {"code=K7QX-9M2P", "type the code `K7QX-9M2P` here", "code 3F5RT8YZ was tried", "k7qx-9m2p"},
	"headers":           {"Authorization: Basic amVhbm5pbmU6aHVudGVy", `header="Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"`, "Cookie: foyer_session=oe3nq; theme=darkish", "set-cookie=[foyer_session=oe3nq; Path=/]"},
	"passwords":         {"password=hunter2", `password="correct horse battery"`, `{"password":"hunter2"}`, "postgres://foyer:hunter2@db.example/foyer", "passwd: hunter2", "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
	"keys and tokens":   {"hmac_secret=s3cr3tv4lue", "api_key=Zr8pQ", "access_token=abcDEF123", "token: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIvN\n-----END PRIVATE KEY-----", "credentials=key=Zr8pQ"},
	"links":             {"https://foyer.example/join/7Hq2Lm9Xw4Rt?x=1", "https://foyer.example/reset#7Hq2Lm9Xw4Rt", "opened /reset/7Hq2Lm9Xw4Rt"},
	"visitors":          {"client=203.0.113.77:50412", "from 203.0.113.77 twice", "[2001:db8::7:1234]:443 was closed", "fe80::1234:5678:9abc:def0 asked", "device b8:27:eb:12:34:56 asked"},
	"people":            {"user=maximilienne", "account:maximilienne may not", `who="maximilienne"`, "maximilienne@example.org wrote", "maximilienne.members.example is served", "/home/maximilienne/data"},
	"what people store": {"/v1/buckets/maximiliennes-diary/collections/dreams/records/r7 cannot be read", `path="/buckets/maximiliennes-diary"`},
}

// planted are the words in them that must be nowhere.
var planted = []string{
	"K7QX", "k7qx", "3F5RT8YZ", "amVhbm5pbmU6", "eyJ", "oe3nq", "darkish", "hunter2", "correct horse", "N9qo8uLO", "s3cr3t", "Zr8pQ", "abcDEF", "9f86d081", "MC4CAQAw", "7Hq2Lm9X",
	"203.0.113.77", "2001:db8::7", "fe80::1234", "b8:27:eb", "aximilienne", "dreams", "battery",
}

// A bundle holds what helps, and none of what is planted in log, events, jobs, settings and
// answers of others.
func TestABundleHoldsNoSecrets(t *testing.T) {
	t.Attr("shows", "ground")
	journal := NewJournal(io.Discard)
	s := New(Config{
		StateDir: t.TempDir(), DataDir: t.TempDir(), RunDir: t.TempDir(), Version: "1.2.3-test", Addresses: func() []string { return []string{"https://foyer.local/", "https://203.0.113.77/"} },
		Log: slog.New(slog.DiscardHandler), Journal: journal, PeoplesDomains: []string{"members.example", ""},
		Rooms: []Room{Looks{{Code: "router", Title: hint.T("Router", "Box"), Run: func(context.Context) health.Finding {
			return health.Finding{Severity: health.Warning, What: hint.T("The router at %s says %s.", "La box %s dit %s.", "203.0.113.77", "password=hunter2")}
		}}}},
		Parts: []Part{
			{"settings.toml", hint.T("Settings", "Réglages"), func(_ context.Context, w io.Writer) error {
				for _, all := range secrets {
					for _, line := range all {
						fmt.Fprintf(w, "harmless = %q # %s\n", line, line)
					}
				}
				return nil
			}},
			jsonPart("answers.json", hint.T("Answers", "Réponses"), func(context.Context) any {
				return map[string]any{"secrets": secrets, "password": "hunter2", "nested": []any{map[string]any{"api_key": "Zr8pQ", "cookie": "oe3nq", "user": "maximilienne"}}, "kept": "the server answers"}
			}),
		},
	})
	s.board.Round(t.Context())
	fmt.Fprintln(journal, `time=2026-11-27T12:33:55.604Z level=INFO msg="job begun" job=20261127-123355604-abcd kind=support-bundle`)
	fmt.Fprintln(journal, `time=2026-11-27T12:21:44.980Z level=INFO msg="server started" pid=9985`)
	for _, all := range secrets {
		for _, line := range all {
			fmt.Fprintf(journal, "time=2026-11-27T12:21:44.980Z level=WARN msg=\"something failed\" err=%q\n", line)
			fmt.Fprintf(journal, "2026/11/27 12:21:44 %s\n", line)
			s.events.Add(event.Event{Code: "server-stopped", What: hint.Verbatim(line), Subject: line})
			s.events.Add(event.Event{Code: "person-invited", Subject: "maximilienne", What: hint.T("Maximilienne was invited.", "Maximilienne a été invitée.")})
		}
	}
	ended := s.flight.begin()
	s.board.Round(t.Context())
	ended(nil)
	made, files := bundled(t, s)
	count := 0
	for name, text := range files {
		for _, word := range planted {
			count++
			if at := strings.Index(text, word); at >= 0 {
				t.Errorf("%s has %q: …%s…", name, word, text[max(0, at-60):min(len(text), at+60)])
			}
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON", name)
		}
	}
	for file, words := range map[string][]string{
		"version.json":  {"1.2.3-test"},
		"status.json":   {`"light": "yellow"`, "foyer.local", `"router"`, "[address 1]", "says password=[removed]"},
		"events.json":   {"server-stopped", "person-invited", `"severity"`},
		"jobs.json":     {JobBundle, `"by": "[removed]"`},
		"log.txt":       {`time=2026-11-27T12:21:44.980Z level=INFO msg="server started" pid=9985`, "something failed", "job=20261127-123355604-abcd kind=support-bundle", "2026/11/27 12:21:44", "[address"},
		"settings.toml": {"harmless = "},
		"answers.json":  {"the server answers"},
		"recorder.txt":  {"Foyer was started.", "Warning: router", "Foyer was stopped cleanly.", "The recording goes from"},
		"contents.txt":  {"status.json: How things are", "status.json : Comment vont les choses", "settings.toml"},
	} {
		for _, word := range words {
			if !strings.Contains(files[file], word) {
				t.Errorf("%s lacks %q: %.400s", file, word, files[file])
			}
		}
	}
	if len(made.Parts) != len(files)-1 || strings.Contains(fmt.Sprint(made), "hunter2") {
		t.Errorf("%d files; the result has %+v", len(files), made.Parts)
	}
	t.Logf("SHOW a support bundle: %d files, %d bytes; %d kinds of secrets in log, events, settings and answers, %d looks for them: none is in it", len(files), made.Bytes, len(secrets), count)
}

// A part that fails, breaks off, hangs or has no end is left out or cut, and the bundle says
// so; the others are there, and all of it is bounded.
func TestAPartOfABundleMayFail(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		write := func(text string) func(context.Context, io.Writer) error {
			return func(_ context.Context, w io.Writer) error {
				_, err := io.WriteString(w, text)
				return err
			}
		}
		title := hint.T("Something", "Quelque chose")
		parts := []Part{
			{"good.txt", title, write("good")},
			{"fails.txt", title, func(_ context.Context, w io.Writer) error {
				io.WriteString(w, "half of it")
				return errors.New("open /var/lib/x: password=hunter2")
			}},
			{"breaks.txt", title, func(context.Context, io.Writer) error { panic("a mistake") }},
			{"late.txt", title, func(ctx context.Context, _ io.Writer) error { <-ctx.Done(); return ctx.Err() }},
			{"deaf.txt", title, func(_ context.Context, w io.Writer) error {
				<-hang
				_, err := io.WriteString(w, "too late")
				return err
			}},
		}
		for n := range 6 {
			parts = append(parts, Part{fmt.Sprintf("endless%d.txt", n), title, func(_ context.Context, w io.Writer) error {
				for {
					if _, err := io.WriteString(w, "and so on\n"); err != nil {
						return err
					}
				}
			}})
		}
		parts = append(parts, Part{"last.txt", title, write("last")})
		var told []int
		text, made, err := pack(t.Context(), time.Now(), parts, newScrubber(nil), func(done int) { told = append(told, done) })
		if err != nil {
			t.Fatal(err)
		}
		close(hang)
		files := unpacked(t, text)
		sum := 0
		for name, content := range files {
			if sum += len(content); len(content) > partBytes {
				t.Errorf("%s has %d bytes", name, len(content))
			}
		}
		if files["good.txt"] != "good" || sum > bundleBytes+8<<10 || !slices.IsSorted(told) || told[len(told)-1] != len(parts) {
			t.Errorf("%d bytes, told %v", sum, told)
		}
		left := map[string]string{}
		for _, p := range made.Parts {
			switch {
			case !p.LeftOut.IsZero():
				left[p.Name] = p.LeftOut.EN
			case p.Cut:
				left[p.Name] = "cut"
			}
		}
		for name, want := range map[string]string{"fails.txt": "open /var/lib/x: password=[removed]", "breaks.txt": "mistake", "late.txt": "deadline", "deaf.txt": "did not come back", "endless0.txt": "cut"} {
			if !strings.Contains(left[name], want) || name != "endless0.txt" && files[name] != "" || !strings.Contains(files["contents.txt"], name) {
				t.Errorf("%s: %q, %.30q", name, left[name], files[name])
			}
		}
		for _, words := range []string{"deaf.txt: Something. Left out: it did not come back.", "deaf.txt : Quelque chose. Laissé de côté : elle n'est pas revenue.", "endless0.txt: Something. Cut off"} {
			if !strings.Contains(files["contents.txt"], words) {
				t.Errorf("the bundle does not say %q:\n%s", words, files["contents.txt"])
			}
		}
	})
}

// Three bundles are kept, and nothing that a death has left.
func TestFewBundlesAreKept(t *testing.T) {
	t.Attr("shows", "ground")
	dir := t.TempDir()
	names := func() (out []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	for n := range 5 {
		name := fmt.Sprintf("support-2026112%d-120000000.tar.gz", n)
		for range 2 { // begun again, it is the same one
			if err := tidy(dir, name); err != nil {
				t.Fatal(err)
			}
			for _, left := range []string{name, "." + name + ".tmp-123"} {
				if err := os.WriteFile(filepath.Join(dir, left), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := tidy(dir, "support-20261124-120000000.tar.gz"); err != nil {
		t.Fatal(err)
	}
	want := []string{"support-20261122-120000000.tar.gz", "support-20261123-120000000.tar.gz", "support-20261124-120000000.tar.gz"}
	if got := names(); !slices.Equal(got, want) {
		t.Errorf("kept %v", got)
	}
}

// FuzzScrub: whatever stands before it, what is planted behind the word for it goes; and JSON
// stays JSON.
func FuzzScrub(f *testing.F) {
	f.Add("time=2026-11-27T12:21:44.980Z level=WARN msg=\"it failed\" err=\"x\"")
	f.Add(`{"a":["-----BEGIN X-----",{"token":"x"}],"b":1e400}`)
	f.Add("::ffff:1.2.3.4 fe80::%eth0 1:2:3 \xff\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		before := strings.ReplaceAll(text, "planted", "")
		for _, secret := range []string{"password=planted", "Authorization: Basic planted", "Cookie: session=planted", "account:planted", "/buckets/planted", "user=\"planted\"", "postgres://foyer:planted@db/x"} {
			if got := newScrubber(nil).text(before + " " + secret + " after"); strings.Contains(got, "planted") {
				t.Errorf("%q leaves %q", before+" "+secret, got)
			}
		}
		if json.Valid([]byte(text)) {
			if got := newScrubber([]string{"members.example"}).file("x.json", []byte(text)); !json.Valid(got) {
				t.Errorf("%q becomes %q", text, got)
			}
		}
	})
}
