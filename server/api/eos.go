package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/internal/config"
)

// eos is the end of this service, when one is set (§2, deprecation): clients are
// told of it by the header Alert, and turned away once it has come.
type eos struct {
	at           time.Time // zero: no end is known
	message, url string
}

// newEOS reads the settings; false is for a day that is none.
func newEOS(k config.Kinto) (e eos, ok bool) {
	day := k.String("eos")
	if day == "" {
		return eos{}, true
	}
	e = eos{message: k.String("eos_message"), url: k.String("eos_url")}
	for _, form := range []string{time.DateOnly, "2006-01-02T15:04:05", time.RFC3339} {
		var err error
		if e.at, err = time.Parse(form, day); err == nil {
			return e, true
		}
	}
	return eos{}, false
}

// told sets the Alert, and reports whether the end has come.
func (e *eos) told(h http.Header) (over bool) {
	if e.at.IsZero() {
		return false
	}
	over = !time.Now().Before(e.at)
	alert := struct {
		Code    string `json:"code"`
		Message string `json:"message,omitempty"`
		URL     string `json:"url,omitempty"`
	}{"soft-eol", e.message, e.url}
	if over {
		alert.Code = "hard-eol"
	}
	text, err := json.Marshal(alert) // escapes what is not ASCII, and line ends
	if err != nil {
		panic("api: an alert cannot be encoded: " + err.Error())
	}
	h["Alert"] = []string{string(ascii(text))}
	return over
}

// ascii writes what a header cannot carry in JSON's own escapes.
func ascii(text []byte) []byte {
	var out []byte
	for _, c := range string(text) {
		switch {
		case c < 0x80:
			out = append(out, byte(c))
		case c < 0x10000:
			out = append(out, escape(c)...)
		default:
			c -= 0x10000
			out = append(append(out, escape(0xd800+c>>10)...), escape(0xdc00+c&0x3ff)...)
		}
	}
	return out
}

func escape(c rune) []byte {
	const hex = "0123456789abcdef"
	return []byte{'\\', 'u', hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15]}
}
