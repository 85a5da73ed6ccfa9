package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/fair"
)

// Clients that read slowly cannot have all the files that the server may open: who comes
// with one too many is told so, and when to come again.
func TestAttachmentsLeaveFilesForOthers(t *testing.T) {
	s := filled(t, map[string]string{"attachment.extensions": "any"})
	s.Handler.(*api).open = fair.NewQueue(8, 0, 4) // as with few open files
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	got := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "film.bin", "application/octet-stream", strings.Repeat("x", 32<<20)}})
	location, _ := got.body["location"].(string)
	if location == "" {
		t.Fatalf("%d %s", got.status, got.text)
	}
	at := web.URL + location[strings.Index(location, "/v1/"):]
	open := func() (*http.Response, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); resp.Body.Close() })
		return resp, cancel
	}
	var ends []context.CancelFunc
	for range 4 { // all of one address; none reads on
		resp, end := open()
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		ends = append(ends, end)
	}
	resp, _ := open()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "attachments to send and to receive") {
		t.Errorf("%s %s", resp.Status, text)
	}
	for _, end := range ends {
		end()
	}
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(5 * time.Millisecond) {
		resp, end := open()
		end()
		if resp.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("what was closed is not given back")
		}
	}
}
