package front

import (
	"net/http"
	"regexp"
	"strings"
)

// statement is what is known of a visitor.
type statement struct {
	client string // as in Request.RemoteAddr
	scheme string // empty: not said
	host   string // empty: not said
}

// hostRE is what a host in an address may look like: a name or an address, and a port.
var hostRE = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$`)

// read takes what a trusted proxy's headers say into s.
func (f Front) read(h http.Header, s *statement) {
	if len(h["X-Forwarded-For"]) == 0 && len(h["Forwarded"]) > 0 {
		f.forwarded(strings.Join(h["Forwarded"], ","), s)
		return
	}
	hops := strings.Split(strings.Join(h["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		if !f.hop(strings.TrimSpace(hops[i]), s) {
			break
		}
	}
	s.setScheme(last(h["X-Forwarded-Proto"]))
	s.setHost(last(h["X-Forwarded-Host"]))
}

// last is the last element of a list that may be spread over several headers: what
// the nearest proxy wrote.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

// hop takes one element of the way, and reports whether to go on to the left.
func (f Front) hop(text string, s *statement) (further bool) {
	ip, ok := address(text)
	if !ok {
		return false
	}
	s.client = text
	if strings.IndexByte(text, ':') < 0 || ip.String() == strings.Trim(text, "[]") {
		s.client = ip.String() // without a port
	}
	return f.Trusts(ip)
}

func (s *statement) setScheme(v string) {
	if v = strings.ToLower(v); v == "http" || v == "https" {
		s.scheme = v
	}
}

func (s *statement) setHost(v string) {
	if hostRE.MatchString(v) {
		s.host = v
	}
}

// forwarded reads the header of RFC 7239 from the right. Scheme and host are the
// nearest proxy's; one that says neither has not seen them.
func (f Front) forwarded(text string, s *statement) {
	elements, ok := elements(text)
	if !ok {
		return
	}
	for i := len(elements) - 1; i >= 0; i-- {
		e := elements[i]
		if i == len(elements)-1 {
			s.setScheme(e["proto"])
			s.setHost(e["host"])
		}
		if !f.hop(e["for"], s) {
			return
		}
	}
}

// elements are those of a Forwarded header, each by its lower-case names; false
// when it is not written as RFC 7239 §4 has it.
func elements(text string) ([]map[string]string, bool) {
	var out []map[string]string
	now := map[string]string{}
	for {
		text = strings.TrimLeft(text, " \t")
		name, rest, ok := strings.Cut(text, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" || strings.ContainsAny(name, " \t,;\"") {
			return nil, false
		}
		value, rest, ok := value(rest)
		if _, twice := now[name]; !ok || twice {
			return nil, false
		}
		now[name] = value
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return append(out, now), true
		}
		switch rest[0] {
		case ',':
			out, now = append(out, now), map[string]string{}
		case ';':
		default:
			return nil, false
		}
		text = rest[1:]
	}
}

// value reads a token or a quoted string from the beginning of text.
func value(text string) (v, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ",; \t\"")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}
