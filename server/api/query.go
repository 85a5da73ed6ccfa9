package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/foyer-server/foyer/server/kinto"
)

// readParameters reads the query string into req; what it cannot honour is an error,
// never left out: a filter that is ignored would delete too much.
func readParameters(h http.Header, raw string, req *kinto.Request) error {
	req.Query, req.Ahead = kinto.Everything(), nil
	if req.List.Kind == kinto.Permission {
		req.Query.Sort = kinto.PermissionSort(nil)
	}
	if raw == "" {
		return nil
	}
	values := queryOf(raw)
	if req.ID != "" {
		return objectParameters(values, req)
	}
	if req.Op == kinto.Create {
		return nil
	}
	q := &req.Query
	q.Sort = kinto.ParseSort(strings.Join(values["_sort"], ","))
	if req.List.Kind == kinto.Permission {
		q.Sort = kinto.PermissionSort(q.Sort)
	}
	var bad []error
	if len(q.Sort) > kinto.MaxSortKeys {
		return kinto.Invalid("querystring", "_sort", fmt.Sprintf("A list is sorted by at most %d fields", kinto.MaxSortKeys))
	}
	if len(values) > 2*kinto.MaxFilters {
		return kinto.Invalid("querystring", "", fmt.Sprintf("A list is filtered by at most %d fields", kinto.MaxFilters))
	}
	for _, k := range q.Sort {
		if !req.List.Kind.Knows(k.Field) {
			bad = append(bad, unknownField("_sort", "sort", k.Field))
		}
	}
	for name, all := range values {
		switch {
		case name == "_since" || name == "_before" || name == "_to":
			n, ok := bound(all[0])
			switch {
			case len(all) == 1 && all[0] == "null" && req.List.Kind == kinto.Permission: // entries have no timestamp
			case len(all) == 1 && all[0] == "null":
				q.IDs = []string{} // nothing is later, or earlier, than nobody knows when
			case !ok || len(all) > 1:
				bad = append(bad, kinto.Invalid("querystring", name, "Invalid value for "+name))
				continue
			case name == "_since":
				narrow(q, kinto.Greater, n)
			default:
				narrow(q, kinto.Less, n)
			}
			if n > latest() {
				req.Ahead = append(req.Ahead, kinto.Asked{Parameter: name, Timestamp: n})
			}
			if name == "_to" {
				h["Alert"] = []string{`{"code":"soft-eol","message":"_to is now deprecated, you should use _before instead","url":"https://kinto.readthedocs.io/en/stable/api/1.x/filtering.html"}`}
			}
		case name == "_limit":
			n, err := limit(all)
			if err != nil {
				bad = append(bad, err)
			}
			q.Limit = n
		case name == "_fields":
			req.Fields = kinto.ParseFields(strings.Join(all, ","))
			var unknown []string
			for name := range req.Fields {
				if !req.List.Kind.Knows(kinto.Field{name}) {
					unknown = append(unknown, name)
				}
			}
			if slices.Sort(unknown); unknown != nil {
				bad = append(bad, kinto.Invalid("querystring", "_fields", "Fields "+strings.Join(unknown, ",")+" do not exist"))
			}
		case strings.HasPrefix(name, "_"):
		default:
			if _, field := kinto.CutOp(name); !req.List.Kind.Knows(kinto.ParseField(field)) {
				bad = append(bad, unknownField(name, "filter", kinto.ParseField(field)))
			} else if err := filter(req, name, all); err != nil {
				bad = append(bad, err)
			}
		}
	}
	if len(q.Filters) > kinto.MaxFilters {
		return kinto.Invalid("querystring", "", fmt.Sprintf("A list is filtered by at most %d fields", kinto.MaxFilters))
	}
	if text := strings.Join(values["_token"], ","); text != "" {
		to := *req
		if err := readToken(text, &to); err != nil {
			bad = append(bad, err)
		} else if req.Op != kinto.Count { // pages count for nothing there
			*req = to
		}
	}
	return kinto.Problems(bad...)
}

// unknownField refuses a field that a restricted kind does not have (§7).
func unknownField(parameter, use string, f kinto.Field) error {
	return kinto.Invalid("querystring", parameter, "Unknown "+use+" field '"+strings.Join(f, ".")+"'")
}

// narrow moves the bounds of a query by a filter on timestamps, which makes it
// find tombstones too.
func narrow(q *kinto.Query, op kinto.FilterOp, n int64) {
	q.Tombstones = true
	if op == kinto.Greater || op == kinto.Equal || op == kinto.AtLeast {
		if op != kinto.Greater {
			n--
		}
		q.Since = max(q.Since, n)
		n++
	}
	if op == kinto.Less || op == kinto.Equal || op == kinto.AtMost {
		if op != kinto.Less {
			n++
		}
		if q.Before < 0 || n < q.Before {
			q.Before = n
		}
	}
}

// filter adds the filter name=values to the query of a request.
func filter(req *kinto.Request, name string, values []string) error {
	op, field := kinto.CutOp(name)
	if field == "last_modified" && req.List.Kind == kinto.Permission {
		return nil // entries have none
	}
	if field == "last_modified" {
		return stampFilter(req, op, name, values)
	}
	q := &req.Query
	f, err := req.List.Kind.ParseFilter(name, values)
	if err != nil {
		return err
	}
	if ids := f.IDs(); ids != nil && q.IDs == nil {
		q.IDs = ids
		return nil
	}
	q.Filters = append(q.Filters, f)
	return nil
}

// stampFilter adds a filter on last_modified.
func stampFilter(req *kinto.Request, op kinto.FilterOp, name string, values []string) error {
	q := &req.Query
	invalid := kinto.Invalid("querystring", name, "Invalid value for "+name)
	switch op {
	case kinto.Contains, kinto.ContainsAny:
		return kinto.Invalid("querystring", name, "Field 'last_modified' is not an array")
	case kinto.In, kinto.Exclude, kinto.Like:
		return invalid
	case kinto.Has:
		q.Tombstones = true
	default:
		n, ok := digits(values[0])
		if !ok {
			n, ok = quoted(values[0])
		}
		if !ok || len(values) > 1 || n == math.MaxInt64 {
			return invalid
		}
		if n > latest() {
			req.Ahead = append(req.Ahead, kinto.Asked{Parameter: name, Timestamp: n})
		}
		if op != kinto.Not {
			narrow(q, op, n)
			return nil
		}
		q.Tombstones = true
		values = []string{strconv.FormatInt(n, 10)}
	}
	f, err := kinto.ParseFilter(name, values)
	if err != nil {
		return err
	}
	q.Filters = append(q.Filters, f)
	return nil
}

// latest is the latest timestamp that may be asked for, a day ahead, unless the list
// itself gave a later one: package kinto sees to that.
func latest() int64 { return time.Now().Add(24 * time.Hour).UnixMilli() }

// token is what _token holds, in base64.
type token struct {
	Last   json.RawMessage `json:"last_object"`
	Offset int             `json:"offset"`
	Nonce  string          `json:"nonce"`
	// Began is the timestamp of the list at the first page, which the pages after it
	// have as their ETag. Clients keep that of the last page for what they have seen of
	// the list (kinto-http.js does): with one of its own they would never ask for what
	// was written while they went through the pages.
	Began int64 `json:"began,omitempty"`
}

// readToken makes req continue where the token says. That of a deletion is good
// once (§7, pagination), which package kinto sees to.
func readToken(text string, req *kinto.Request) error {
	var t token
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &t) != nil || !req.Query.Continue(bytes.TrimSpace(t.Last)) || t.Offset < 0 || t.Began < 0 || t.Began > kinto.LatestDate {
		return &kinto.InvalidError{Problems: []kinto.Problem{{Location: "querystring", NoName: true, Description: "_token has invalid content"}}}
	}
	if req.Op != kinto.Delete {
		req.Began = t.Began
		return nil
	}
	if req.Token = t.Nonce; t.Nonce == "" || len(t.Nonce) > 100 {
		return kinto.UsedToken()
	}
	return nil
}

// seen is the timestamp up to which whoever has gone through the pages up to this one has
// seen a list.
func seen(req *kinto.Request, ans *kinto.Answer) int64 {
	if req.Began > 0 {
		return req.Began
	}
	return ans.Timestamp
}

// nextPage is the URL of the page after an answer.
func (c *call) nextPage(req *kinto.Request, ans *kinto.Answer) string {
	values := queryOf(c.r.URL.RawQuery)
	t := token{Last: ans.Next, Nonce: ans.Token}
	if req.Op != kinto.Delete {
		t.Began = seen(req, ans)
	}
	if t.Nonce == "" {
		t.Nonce = "pagination-token-" + uuid.NewString()
	}
	if raw, err := base64.StdEncoding.DecodeString(values.Get("_token")); err == nil {
		var before token
		if json.Unmarshal(raw, &before) == nil {
			t.Offset = before.Offset
		}
	}
	t.Offset += len(ans.Objects)
	text, err := json.Marshal(t)
	if err != nil {
		panic("api: a token cannot be encoded: " + err.Error())
	}
	values.Set("_limit", strconv.Itoa(ans.Limit))
	values.Set("_token", base64.StdEncoding.EncodeToString(text))
	return c.url(c.r.URL.EscapedPath()) + "?" + values.Encode()
}
