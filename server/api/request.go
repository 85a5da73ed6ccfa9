package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/foyer-server/foyer/server/kinto"
)

// accepts reports whether an Accept header admits JSON; none does.
func accepts(header []string) bool {
	return strings.Trim(strings.Join(header, ","), ", \t") == "" || quality(header, "application/json") > 0
}

// quality is how much an Accept header wants a type, from 0 to 1: as the range that names
// it most narrowly says (RFC 9110 §12.5.1).
func quality(header []string, kind string) float64 {
	family, _, _ := strings.Cut(kind, "/")
	best, found := 0.0, 0
	for _, h := range header {
		for media := range strings.SplitSeq(h, ",") {
			media, params, _ := strings.Cut(media, ";")
			narrow := map[string]int{"*/*": 1, family + "/*": 2, kind: 3}[strings.ToLower(strings.TrimSpace(media))]
			if q := weight(params); narrow > found || narrow == found && found > 0 && q > best {
				best, found = q, narrow
			}
		}
	}
	return best
}

// weight is the quality among the parameters of a media range; 1 when none is said.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				return q
			}
		}
	}
	return 1
}

// mediaType is a Content-Type without parameters, in lower case; JSON when there is
// none, or an empty one.
func mediaType(header []string) string {
	if len(header) == 0 || header[0] == "application/json" {
		return "application/json"
	}
	media, _, _ := strings.Cut(header[0], ";")
	if media = strings.ToLower(strings.TrimSpace(media)); media == "" {
		return "application/json"
	}
	return media
}

// encoded reports whether a request has a body that is compressed, or else encoded.
func encoded(r *http.Request) bool {
	for _, v := range r.Header["Content-Encoding"] {
		if v = strings.TrimSpace(v); v != "" && !strings.EqualFold(v, "identity") {
			return r.ContentLength != 0
		}
	}
	return false
}

// bodyParser reads bodies of a Content-Type; nil when op takes none such.
func bodyParser(op kinto.Op, header []string) func(kinto.Kind, []byte) (kinto.Body, error) {
	media := mediaType(header)
	switch {
	case media == "application/json":
		return kinto.ParseBody
	case op == kinto.Patch && media == "application/merge-patch+json":
		return kinto.ParseMergePatch
	case op == kinto.Patch && media == "application/json-patch+json":
		return kinto.ParseJSONPatch
	}
	return nil
}

// behavior reads Response-Behavior (§7).
func behavior(header []string) (kinto.Behavior, error) {
	if len(header) == 0 {
		return kinto.Full, nil
	}
	switch strings.ToLower(header[0]) {
	case "full":
		return kinto.Full, nil
	case "light":
		return kinto.Light, nil
	case "diff":
		return kinto.Diff, nil
	}
	return kinto.Full, kinto.Invalid("header", "Response-Behavior", fmt.Sprintf("%q is not one of full, light, diff", header[0]))
}

// conditions reads the preconditions (§7).
func conditions(h http.Header) (c kinto.Cond, err error) {
	c.Match, err = tag("If-Match", h["If-Match"])
	none, err2 := tag("If-None-Match", h["If-None-Match"])
	c.NoneMatch = none
	return c, kinto.Problems(err, err2)
}

// tag reads `"<digits>"` or `*`; anything else is an error.
func tag(name string, header []string) (kinto.Tag, error) {
	if len(header) == 0 {
		return kinto.Tag{}, nil
	}
	text := strings.TrimSpace(header[0])
	if text == "*" && len(header) == 1 {
		return kinto.Tag{Set: true, Any: true}, nil
	}
	if n, ok := quoted(text); ok && len(header) == 1 {
		return kinto.Tag{Set: true, Timestamp: n}, nil
	}
	return kinto.Tag{}, kinto.Invalid("header", name, "The value should be integer between double quotes.")
}

// quoted reads digits between double quotes.
func quoted(text string) (int64, bool) {
	if len(text) < 3 || text[0] != '"' || text[len(text)-1] != '"' {
		return 0, false
	}
	return digits(text[1 : len(text)-1])
}

// digits reads a whole number that is not negative.
func digits(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// validQuery reports whether a query string is UTF-8 once it is decoded.
func validQuery(raw string) bool {
	if raw == "" {
		return true
	}
	if strings.IndexByte(raw, '%') < 0 {
		return utf8.ValidString(raw)
	}
	return utf8.ValidString(unescape(raw))
}

// queryOf reads a query string. Anything is one: a semicolon is part of a value,
// and so is a percent sign that escapes nothing.
func queryOf(raw string) url.Values {
	out := url.Values{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		out.Add(unescape(name), unescape(value))
	}
	return out
}

// unescape undoes percent-encoding, where it is one.
func unescape(text string) string {
	if text = strings.ReplaceAll(text, "+", " "); strings.IndexByte(text, '%') < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

// objectParameters reads those of a request on one object: the timestamp a
// deletion asks for (§6).
func objectParameters(values url.Values, req *kinto.Request) error {
	if req.Op == kinto.Get {
		req.Fields = kinto.ParseFields(strings.Join(values["_fields"], ","))
	}
	if req.Op != kinto.Delete || !values.Has("last_modified") {
		return nil
	}
	text := values.Get("last_modified")
	n, ok := digits(text)
	if !ok {
		n, ok = quoted(text)
	}
	if !ok || len(values["last_modified"]) > 1 {
		return kinto.Invalid("querystring", "last_modified", "Invalid value for last_modified")
	}
	req.Modified = n
	return nil
}

// bound reads the value of _since and _before: an integer, quoted or not, a
// fraction rounded down.
func bound(text string) (int64, bool) {
	n, ok := digits(text)
	if !ok {
		n, ok = quoted(text)
	}
	if !ok {
		var f float64
		if err := json.Unmarshal([]byte(text), &f); err != nil || f < 0 || f >= 1<<53 || text == "null" {
			return 0, false
		}
		n = int64(math.Floor(f))
	}
	return n, n < math.MaxInt64
}

// limit reads _limit: 0 and nothing mean no limit.
func limit(all []string) (int, error) {
	text := all[0]
	if len(all) > 1 {
		return 0, kinto.Invalid("querystring", "_limit", `"['`+printable(strings.Join(all, "', '"))+`']" is not a number`)
	}
	if text == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(f) || math.IsInf(f, 0):
		return 0, kinto.Invalid("querystring", "_limit", fmt.Sprintf("%q is not a number", text))
	case f < 0:
		return 0, kinto.Invalid("querystring", "_limit", text+" is less than minimum value 0")
	}
	return int(min(f, math.MaxInt32)), nil
}
