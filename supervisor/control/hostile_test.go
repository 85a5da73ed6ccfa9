package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// hostile is what a terminal obeys or shows wrongly, with the forgery of a line, and
// too long.
var hostile = "nas\x1b]0;owned\x07\x1b[2J\u009b31m\x9b5n\x7f\u202egnp\u2066\U000e0041\u200b\u2028\n[forged] All is well." + strings.Repeat("!", 1<<16)

// harmless tells what is wrong with a text that is to be one line on a terminal.
func harmless(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("no UTF-8: %.100q", text)
	}
	if len(text) > 20_000 {
		return fmt.Errorf("%d bytes", len(text))
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x200b || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x206f || r >= 0xe0000 && r < 0xe0080 {
			return fmt.Errorf("%U in %.100q", r, text)
		}
	}
	return nil
}

// texts calls f with every text in v.
func texts(v reflect.Value, f func(string)) {
	switch v.Kind() {
	case reflect.String:
		f(v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				texts(v.Field(i), f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			texts(v.Index(i), f)
		}
	case reflect.Map:
		for k, e := range v.Seq2() {
			texts(k, f)
			texts(e, f)
		}
	}
}

func hostileStatus() report.Status {
	said := hint.Text{EN: hostile, FR: hostile}
	return report.Status{
		Version: hostile, Light: report.Light(hostile), Sentence: said, Addresses: []string{hostile, hostile},
		Server:      report.Server{State: hostile, LastEnd: hostile, LastLines: []string{hostile}},
		Certificate: report.Certificate{Fingerprint: hostile, Words: map[hint.Lang][]string{"en": {hostile}, "fr": {hostile}}},
		Data:        report.Data{Path: hostile},
		Checks:      []health.Result{{Code: hostile, Title: said, Finding: health.Finding{Severity: health.Error, What: said, Did: said, Do: said, Cause: hostile}}},
		Jobs: []job.Record{{
			ID: hostile, Kind: hostile, Title: said, Args: map[string]string{hostile: hostile}, By: hostile, State: job.State(hostile), Unit: said,
			Said: []hint.Text{said}, Error: &report.Problem{Code: hostile, What: said, Did: said, Do: said},
		}},
		Lately: []event.Event{{At: at, Code: hostile, Subject: hostile, What: said, Did: said, Do: said}},
	}
}

// impostor answers everything on a control socket with status and body, as a
// supervisor would that somebody has taken over.
func impostor(t *testing.T, status int, body any) *Client {
	t.Helper()
	dir, l := socket(t)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if text, ok := body.(string); ok {
			io.WriteString(w, text)
			return
		}
		json.NewEncoder(w).Encode(body)
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return Dial(dir)
}

// Root asks, and who answers is the user foyer: what the client returns shows something
// and does nothing, whoever is behind the socket.
func TestWhatAnImpostorSaysIsHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	check := func(what string, v any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		n := 0
		texts(reflect.ValueOf(v), func(s string) {
			n++
			if err := harmless(s); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
		if n == 0 {
			t.Errorf("%s says nothing", what)
		}
	}
	s, err := impostor(t, 200, hostileStatus()).Status(t.Context())
	check("the status", s, err)
	if s.Checks[0].Severity != health.Error || !s.Lately[0].At.Equal(at) || !strings.HasPrefix(s.Version, "nas") {
		t.Errorf("it is another status: %+v", s)
	}
	lines, err := impostor(t, 200, []string{"one", hostile}).Log(t.Context(), 2)
	check("the log", lines, err)
	c := impostor(t, 200, Claim{hostile, at})
	claim, err := c.NewClaim(t.Context())
	check("a claim code", claim, err)
	reset, err := c.NewReset(t.Context())
	check("a reset code", reset, err)

	said := hint.Text{EN: hostile, FR: hostile}
	for what, c := range map[string]*Client{
		"a problem": impostor(t, 409, report.Problem{Code: hostile, What: said, Did: said, Do: said}), "no JSON": impostor(t, 500, hostile), "no JSON, well": impostor(t, 200, hostile),
		"a wrong type": impostor(t, 200, map[string]any{"version": []string{hostile}}), "a wrong severity": impostor(t, 200, map[string]any{"checks": []any{map[string]any{"severity": hostile}}}),
	} {
		_, err := c.Status(t.Context())
		if err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		for _, l := range hint.Langs {
			for line := range strings.SplitSeq(hint.Describe(err, l), "\n") {
				if err := harmless(line); err != nil || strings.HasPrefix(line, "[forged]") {
					t.Errorf("%s: %v, %.100q", what, err, line)
				}
			}
		}
		if e := hint.Find(err); e != nil && harmless(e.Code) != nil {
			t.Errorf("%s: %v", what, harmless(e.Code))
		}
	}
}

// hostileAppliance is taken over itself.
type hostileAppliance struct{ appliance }

func (hostileAppliance) Status(context.Context) report.Status { return hostileStatus() }
func (hostileAppliance) Log(int) []string                     { return []string{hostile} }
func (hostileAppliance) NewClaim(context.Context) (string, time.Time, error) {
	said := hint.Text{EN: hostile, FR: hostile}
	return "", time.Time{}, hint.New(hostile, said, said, said)
}

func (hostileAppliance) NewReset(context.Context) (string, time.Time, error) {
	return "", time.Time{}, fmt.Errorf("open %s: no such file", hostile)
}

// What goes out of the socket is clean, too: others than this client read it.
func TestTheSocketSaysNothingHostile(t *testing.T) {
	t.Attr("shows", "mend")
	dir := serve(t, hostileAppliance{})
	for _, ask := range []string{"GET /status", "GET /log", "POST /claim", "POST /claim/reset"} {
		method, path, _ := strings.Cut(ask, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, "http://control"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Dial(dir).http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var said any
		if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		var walk func(any)
		walk = func(v any) {
			switch v := v.(type) {
			case string:
				if err := harmless(v); err != nil {
					t.Errorf("%s: %v", ask, err)
				}
			case []any:
				for _, e := range v {
					walk(e)
				}
			case map[string]any:
				for _, e := range v {
					walk(e)
				}
			}
		}
		walk(said)
	}
}
