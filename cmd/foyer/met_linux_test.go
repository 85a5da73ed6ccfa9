package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
)

// A request meets a page of the database that is damaged: the status is red, and names it.
func TestWhatARequestMeetsTurnsTheLight(t *testing.T) {
	t.Attr("shows", "ground")
	data := t.TempDir()
	c := &crowd{}
	f := tryIn(t, "true", "--http", "--owner", "jeannine", "--data", data)
	c.url = f.URL
	ask := func(method, path, body string) int {
		t.Helper()
		status, err := c.ask(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	ask(http.MethodPut, "buckets/b", "")
	ask(http.MethodPut, "buckets/b/collections/c", "")
	for i := range 200 {
		if status := ask(http.MethodPut, fmt.Sprintf("buckets/b/collections/c/records/r%d", i), `{"data":{"text":"`+strings.Repeat("milk and honey ", 60)+`"}}`); status != http.StatusCreated {
			t.Fatal(status)
		}
	}
	f.end()
	path := filepath.Join(data, "data.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	const leaf = 13 // the first byte of a page at the end of a table (SQLite, file format §1.6)
	var full []int  // pages of records alone: others are read at the start
	for at := page; at < len(whole); at += page {
		if is := whole[at : at+page]; is[0] == leaf && bytes.Count(is, []byte("milk and honey")) > 60 && !bytes.Contains(is, []byte("password")) {
			full = append(full, at)
		}
	}
	if len(full) < 10 {
		t.Fatalf("%d pages hold records", len(full))
	}
	const times = 3
	asked := 0
	for range times {
		broken := bytes.Clone(whole)
		at := full[rand.IntN(len(full))]
		for i := range page {
			broken[at+i] = byte(rand.Uint32())
		}
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		f := tryIn(t, "true", "--http", "--data", data)
		c.url = f.URL
		if s := serverOf(t, f); s.Severity >= health.Error {
			t.Fatalf("nobody has met the damage: %+v", s)
		}
		if status := ask(http.MethodGet, "buckets/b/collections/c/records", ""); status != http.StatusServiceUnavailable {
			t.Fatalf("the list was answered %d", status)
		}
		for deadline := time.Now().Add(2 * time.Minute); ; { // on a machine that is busy a status may be older than it would like
			asked++
			if s := serverOf(t, f); s.Severity == health.Error && s.Cause == "database-damaged" && s.Repair != nil && s.Repair.State == report.RepairOffered {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("a request met it, and the status still says %+v", s)
			}
		}
		f.end()
		for _, left := range []string{"-open", "-wal", "-shm"} { // the next one is told by nothing that this one left
			if err := os.Remove(path + left); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	t.Logf("SHOW a request meets a damaged page, %d times: red after asking %d times in all how things are", times, asked)
}

// serverOf is what the status says of the server.
func serverOf(t *testing.T, f *tried) health.Result {
	t.Helper()
	s, err := f.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Checks {
		if r.Code == "server" {
			return r
		}
	}
	t.Fatalf("there is no such check: %+v", s.Checks)
	return health.Result{}
}
