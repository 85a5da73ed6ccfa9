package config

import (
	"net/url"
	"regexp"
	"strings"
)

var (
	wordsRE    = regexp.MustCompile(`^\s*[a-z_]+\s*=`)
	passwordRE = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'?|\S+)`)
)

func isPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") || driverRE.MatchString(address)
}

// driverRE is how the reference may name a database and what speaks to it.
var driverRE = regexp.MustCompile(`^postgresql\+[a-z0-9_]+://`)

// PostgreSQL is the address of the database to use instead of SQLite, with its
// password; empty: none. The reference's setting storage_url counts where
// `database` says nothing, when it is such an address.
func (s *Settings) PostgreSQL() string {
	if s.Database != "" {
		return driverRE.ReplaceAllString(s.Database, "postgresql://")
	}
	if url := s.Kinto.String("storage_url"); isPostgres(url) {
		return driverRE.ReplaceAllString(url, "postgresql://")
	}
	return ""
}

// hidden stands for a secret.
const hidden = "********"

// Shown is the value of a setting as it may be shown: without secrets.
func Shown(key, value string) string {
	switch {
	case value == "":
		return ""
	case strings.Contains(key, "secret"), strings.Contains(key, "credentials"):
		return hidden
	case key != "database" && !strings.HasSuffix(key, "_url"):
		return value
	case !strings.Contains(value, "://"):
		return passwordRE.ReplaceAllString(value, "${1}"+hidden)
	}
	u, err := url.Parse(value)
	if err != nil {
		return hidden
	}
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), "PASSWORD")
	}
	query := strings.Split(u.RawQuery, "&")
	for i, q := range query {
		if name, _, ok := strings.Cut(q, "="); ok && strings.Contains(strings.ToLower(name), "password") {
			query[i] = name + "=PASSWORD"
		}
	}
	u.RawQuery = strings.Join(query, "&")
	return strings.ReplaceAll(u.String(), "PASSWORD", hidden)
}
