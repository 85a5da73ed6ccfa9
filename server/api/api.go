// Package api is the door for Kinto clients: everything under /v1.
package api

import (
	"log/slog"
	"net/http"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/kinto"
)

// Config is what the door needs. Every field is required.
type Config struct {
	Kinto    *kinto.Service
	Auth     *auth.Auth
	Settings *config.Settings
	Version  string
	Log      *slog.Logger
}

// New returns the handler.
func New(c Config) http.Handler { return http.NotFoundHandler() }
