package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// scrubber takes out of a text what is nobody else's to know: passwords, codes, keys, cookies
// and tokens, who people are, what they store, and from where they visit. What stands in the
// place of an address is the same for the same address.
//
// Threat model: logs, events and errors quote others, and a later line of code may log what
// it should not; so what looks like a secret is one. That a harmless word goes with it costs
// a question.
type scrubber struct {
	addresses map[netip.Addr]int
	domains   []*regexp.Regexp // below which names are people's
}

// removed stands in the place of a secret.
const removed = "[removed]"

var (
	pemRE     = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)`)
	headerRE  = regexp.MustCompile(`(?i)\b(authorization|proxy-authorization|cookie|set-cookie)\b\W*[:=][^\n]*`)
	schemeRE  = regexp.MustCompile(`(?i)\b(basic|bearer|digest)\s+[A-Za-z0-9+/=._~-]{6,}`)
	secretRE  = regexp.MustCompile(`(?i)([\w.-]*(?:passw|passphrase|secret|token|credential|api[_-]?key|private[_-]?key|hmac|session|nonce|otp)[\w.-]*\\*"?\s*[:=]\s*)((?:\\*"[^"\n]*"?|'[^'\n]*'?)?[^\s,;&})\]]*)`)
	personRE  = regexp.MustCompile(`(?i)\b((?:user|user_?name|who|login|account|person|people|owner|member|label|e-?mail|visitor|client|remote(?:_addr)?)\\*"?\s*[:=]\s*)((?:\\*"[^"\n]*"?|'[^'\n]*'?)?[^\s,;&})\]]*)`)
	principal = regexp.MustCompile(`\b(account|basicauth|ldap|openid|google|github|gitlab|auth0|keycloak):[^\s"',;)}\]]+`)
	mailRE    = regexp.MustCompile(`[\pL\pN._%+-]+@[\pL\pN-]+(?:\.[\pL\pN-]+)+`)
	loginRE   = regexp.MustCompile(`\b([a-z][a-z0-9+.-]*://)[^/\s"'@]+@`)
	queryRE   = regexp.MustCompile(`(\b[a-z][a-z0-9+.-]*://[^\s"'?#]*)[?#][^\s"']*`)
	objectRE  = regexp.MustCompile(`(/(?:buckets|accounts|attachments|people|join|reset|claim|invitations?)/)[^\s"'?#,;:)]+`)
	homeRE    = regexp.MustCompile(`(/(?:home|Users)/)[^/\s"']+`)
	codeRE    = regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{4}-[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{4}\b`)
	plainRE   = regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{8}\b`)
	tokenRE   = regexp.MustCompile(`[A-Za-z0-9_+-]{16,}=*`)
	hashRE    = regexp.MustCompile(`\$2[aby]?\$[^\s"']+`)
	macRE     = regexp.MustCompile(`\b(?:[0-9A-Fa-f]{2}:){5,}[0-9A-Fa-f]{2}\b`)
	addressRE = regexp.MustCompile(`[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*|\b\d{1,3}(?:\.\d{1,3}){3}\b`)
)

func newScrubber(domains []string) *scrubber {
	s := &scrubber{addresses: map[netip.Addr]int{}}
	for _, d := range domains {
		if d = strings.Trim(d, "."); d != "" {
			s.domains = append(s.domains, regexp.MustCompile(`(?i)[\pL\pN-]+(?:\.[\pL\pN-]+)*(\.`+regexp.QuoteMeta(d)+`)\b`))
		}
	}
	return s
}

// file scrubs what a file holds: strings of JSON one by one, so that it stays JSON, and
// other text as it is.
func (s *scrubber) file(name string, content []byte) []byte {
	if strings.HasSuffix(name, ".json") {
		var v any
		from := json.NewDecoder(bytes.NewReader(content))
		from.UseNumber()
		if from.Decode(&v) == nil {
			if out, err := json.MarshalIndent(s.value("", v), "", "  "); err == nil {
				return append(out, '\n')
			}
		}
	}
	return []byte(s.text(string(content)))
}

// value scrubs what JSON holds under a key.
func (s *scrubber) value(key string, v any) any {
	switch v := v.(type) {
	case string:
		if v == "" || isOurs(v) {
			return v
		}
		if probe := key + "=x"; secretRE.MatchString(probe) || personRE.MatchString(probe) || headerRE.MatchString(probe) {
			return removed
		}
		return s.text(v)
	case []any:
		for i := range v {
			v[i] = s.value(key, v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[s.text(k)] = s.value(k, e)
		}
		return out
	}
	return v
}

// isOurs: these users are on every machine.
func isOurs(name string) bool { return name == "root" || name == "foyer" || name == "Foyer" }

// text scrubs a text.
func (s *scrubber) text(t string) string {
	if strings.Contains(t, "-----BEGIN") {
		t = pemRE.ReplaceAllString(t, removed)
	}
	var b strings.Builder
	for line := range strings.Lines(t) {
		b.WriteString(s.line(line))
	}
	return b.String()
}

// rule takes something out of a line. Where none of its marks is in the line, in small
// letters, there is nothing to take out: expressions are slow, and logs are long.
type rule struct {
	marks []string
	found *regexp.Regexp
	put   string
}

// rules are tried in this order.
var rules = []rule{
	{[]string{"authorization", "cookie"}, headerRE, "$1: " + removed},
	{[]string{"basic", "bearer", "digest"}, schemeRE, "$1 " + removed},
	{[]string{"://"}, loginRE, "${1}" + removed + "@"},
	{[]string{"://"}, queryRE, "${1}?" + removed},
	{[]string{"pass", "secret", "token", "credential", "key", "hmac", "session", "nonce", "otp"}, secretRE, "${1}" + removed},
	{[]string{"user", "who", "login", "account", "person", "people", "owner", "member", "label", "mail", "visitor", "client", "remote"}, personRE, "${1}" + removed},
	{[]string{":"}, principal, "${1}:" + removed},
	{[]string{"@"}, mailRE, "[e-mail]"},
	{[]string{"/"}, objectRE, "${1}" + removed},
	{[]string{"/home/", "/users/"}, homeRE, "${1}[user]"},
	{[]string{"$2"}, hashRE, removed},
}

// line scrubs a line.
func (s *scrubber) line(t string) string {
	small := strings.ToLower(t)
	has := func(mark string) bool { return strings.Contains(small, mark) }
	for _, r := range rules {
		if slices.ContainsFunc(r.marks, has) {
			t = r.found.ReplaceAllString(t, r.put)
		}
	}
	for _, d := range s.domains {
		t = d.ReplaceAllString(t, "[name]$1")
	}
	if strings.ContainsRune(t, '-') {
		t = codeRE.ReplaceAllStringFunc(t, func(m string) string {
			if strings.ContainsFunc(m, unicode.IsDigit) || m == strings.ToUpper(m) {
				return removed
			}
			return m // two words
		})
	}
	if strings.ContainsAny(t, "0123456789") {
		t = plainRE.ReplaceAllStringFunc(t, func(m string) string {
			if strings.ContainsFunc(m, unicode.IsDigit) && strings.ContainsFunc(m, unicode.IsLetter) {
				return removed
			}
			return m
		})
	}
	if strings.ContainsAny(t, ":.") {
		t = addressRE.ReplaceAllStringFunc(macRE.ReplaceAllString(t, "[device]"), s.address)
	}
	return tokenRE.ReplaceAllStringFunc(t, func(m string) string {
		if isRandom(m) {
			return removed
		}
		return m
	})
}

// isRandom reports whether a long word is one that nobody would write: digits among letters,
// or capitals among small ones, more than names have.
func isRandom(word string) bool {
	turns, last := 0, 0
	for _, r := range word {
		kind := 0
		switch {
		case unicode.IsDigit(r):
			kind = 1
		case unicode.IsUpper(r):
			kind = 2
		case unicode.IsLower(r):
			kind = 3
		}
		if kind != 0 && kind != last {
			turns++
			last = kind
		}
	}
	return turns > 3 && !stampRE.MatchString(word)
}

// stampRE are moments and numbers of jobs, which hold no secret.
var stampRE = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T?\d*$|^\d{8}-\d{6,9}(?:-[a-z2-7]{4})?$`)

// address is what stands in the place of an address.
func (s *scrubber) address(text string) string {
	trimmed := strings.TrimRight(text, ".:")
	if strings.HasSuffix(text, "::") {
		trimmed = text
	}
	a, err := netip.ParseAddr(trimmed)
	if err != nil {
		return text
	}
	if a = a.Unmap(); a.IsLoopback() || a.IsUnspecified() {
		return text
	}
	n, known := s.addresses[a]
	if !known {
		n = len(s.addresses) + 1
		s.addresses[a] = n
	}
	return fmt.Sprintf("[address %d]", n) + text[len(trimmed):]
}
