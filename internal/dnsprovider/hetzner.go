package dnsprovider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/libdns/libdns"
)

// hetznerURL is the Hetzner Cloud API, of which DNS is a part.
const hetznerURL = "https://api.hetzner.cloud/v1"

// hetzner speaks to Hetzner's DNS, which knows sets of records: all values of one
// name and kind. A change is an action that goes on after the answer; we wait for
// its end, so that who looks next sees the change.
type hetzner struct{ token, url string }

type hetznerSet struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	TTL     int             `json:"ttl,omitempty"` // seconds; absent: the zone's
	Records []hetznerRecord `json:"records"`
}

type hetznerRecord struct {
	Value string `json:"value"`
}

type hetznerAction struct {
	ID     int64  `json:"id"`
	Status string `json:"status"` // running, success, error
	Error  struct {
		Message string `json:"message"`
	} `json:"error"`
}

// hetznerPoll is the pause between two looks at an action.
const hetznerPoll = 250 * time.Millisecond

// GetRecords implements libdns.RecordGetter.
func (h *hetzner) GetRecords(ctx context.Context, zone string) ([]libdns.Record, error) {
	var out []libdns.Record
	for page := 1; page != 0; {
		var answer struct {
			Sets []hetznerSet `json:"rrsets"`
			Meta struct {
				Pagination struct {
					Next int `json:"next_page"` // null on the last page
				} `json:"pagination"`
			} `json:"meta"`
		}
		if _, err := h.call(ctx, http.MethodGet, fmt.Sprintf("%s?page=%d&per_page=50", sets(zone), page), nil, &answer); err != nil {
			return nil, err
		}
		for _, s := range answer.Sets {
			for _, r := range s.Records {
				rr := libdns.RR{Name: s.Name, Type: s.Type, TTL: time.Duration(s.TTL) * time.Second, Data: unquote(s.Type, r.Value)}
				rec, err := rr.Parse()
				if err != nil { // a kind libdns does not know
					rec = rr
				}
				out = append(out, rec)
			}
		}
		page = answer.Meta.Pagination.Next
	}
	return out, nil
}

// AppendRecords implements libdns.RecordAppender.
func (h *hetzner) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return h.each(ctx, zone, recs, "add_records")
}

// DeleteRecords implements libdns.RecordDeleter. A record that is not there is
// deleted already.
func (h *hetzner) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return h.each(ctx, zone, recs, "remove_records")
}

// SetRecords implements libdns.RecordSetter. Each set changes whole, one after
// the other.
func (h *hetzner) SetRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	for _, s := range gather(recs) {
		path := sets(zone) + "/" + url.PathEscape(s.Name) + "/" + url.PathEscape(s.Type)
		status, err := h.act(ctx, path+"/actions/set_records", map[string]any{"records": s.Records})
		if status == http.StatusNotFound { // no such set yet
			_, err = h.act(ctx, sets(zone), s)
		} else if err == nil && s.TTL > 0 {
			_, err = h.act(ctx, path+"/actions/change_ttl", map[string]any{"ttl": s.TTL})
		}
		if err != nil {
			return nil, err
		}
	}
	return recs, nil
}

func (h *hetzner) each(ctx context.Context, zone string, recs []libdns.Record, action string) ([]libdns.Record, error) {
	for _, s := range gather(recs) {
		body := map[string]any{"records": s.Records}
		if action == "add_records" && s.TTL > 0 {
			body["ttl"] = s.TTL
		}
		path := sets(zone) + "/" + url.PathEscape(s.Name) + "/" + url.PathEscape(s.Type) + "/actions/" + action
		if status, err := h.act(ctx, path, body); err != nil && (action != "remove_records" || status != http.StatusNotFound) {
			return nil, err
		}
	}
	return recs, nil
}

// gather puts records of one name and kind together.
func gather(recs []libdns.Record) []*hetznerSet {
	var out []*hetznerSet
	by := map[[2]string]*hetznerSet{}
	for _, rec := range recs {
		rr := rec.RR()
		if rr.Name == "" {
			rr.Name = "@"
		}
		s := by[[2]string{rr.Name, rr.Type}]
		if s == nil {
			s = &hetznerSet{Name: rr.Name, Type: rr.Type, TTL: int(rr.TTL.Seconds())}
			by[[2]string{rr.Name, rr.Type}] = s
			out = append(out, s)
		}
		s.Records = append(s.Records, hetznerRecord{quote(rr.Type, rr.Data)})
	}
	return out
}

// Hetzner wants the text of a TXT record as a zone file has it: in quotes, in
// pieces of at most 255 bytes (RFC 1035 §3.3.14).
func quote(kind, data string) string {
	if kind != "TXT" {
		return data
	}
	var pieces []string
	for len(data) > 255 {
		pieces, data = append(pieces, data[:255]), data[255:]
	}
	pieces = append(pieces, data)
	for i, p := range pieces {
		pieces[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p) + `"`
	}
	return strings.Join(pieces, " ")
}

func unquote(kind, value string) string {
	if kind != "TXT" || !strings.HasPrefix(value, `"`) {
		return value
	}
	value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `" "`, "").Replace(value)
}

func sets(zone string) string {
	return "/zones/" + url.PathEscape(strings.TrimSuffix(zone, ".")) + "/rrsets"
}

// act asks for a change and waits until it is made.
func (h *hetzner) act(ctx context.Context, path string, body any) (status int, err error) {
	var answer struct {
		Action hetznerAction `json:"action"`
	}
	status, err = h.call(ctx, http.MethodPost, path, body, &answer)
	for err == nil && answer.Action.Status == "running" {
		select {
		case <-time.After(hetznerPoll):
			_, err = h.call(ctx, http.MethodGet, fmt.Sprintf("/actions/%d", answer.Action.ID), nil, &answer)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil && answer.Action.Status == "error" {
		err = errors.New("Hetzner did not make the change: " + answer.Action.Error.Message)
	}
	return status, err
}

func (h *hetzner) call(ctx context.Context, method, path string, body, into any) (status int, err error) {
	var data []byte
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("cannot reach Hetzner: %w", err)
	}
	defer resp.Body.Close()
	if data, err = io.ReadAll(io.LimitReader(resp.Body, 4<<20)); err != nil {
		return resp.StatusCode, fmt.Errorf("cannot read Hetzner's answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		var refusal struct {
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if json.Unmarshal(data, &refusal) != nil || refusal.Error.Message == "" {
			refusal.Error.Message = resp.Status
		}
		return resp.StatusCode, errors.New("Hetzner refuses: " + refusal.Error.Message)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return resp.StatusCode, fmt.Errorf("cannot read Hetzner's answer: %w", err)
	}
	return resp.StatusCode, nil
}
