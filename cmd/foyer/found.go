package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/neighbourhood"
	"github.com/foyer-server/foyer/supervisor/router"
)

// room is something that runs beside the server, and what it tells of itself.
type room struct {
	run   func(context.Context)
	check health.Check
}

// found are the rooms by which an installed Foyer is found, as the settings want it.
func (a *app) found(s *config.Settings, journal *supervisor.Journal) []room {
	log := a.logger(journal)
	var rooms []room
	if s.MDNS == "on" {
		n := neighbourhood.New(neighbourhood.Config{Name: s.Name, Port: s.HTTPSPort, Log: log})
		rooms = append(rooms, room{n.Run, n.Check()})
	}
	if s.Router != "off" {
		secret, err := routerSecret(s.Data)
		if err != nil { // a full disk keeps nobody from being found
			log.Warn("what the router knows this server by could not be kept; good until the next start", "err", err)
		}
		cfg := router.Config{
			Ports:  []router.Port{{Outside: 443, Inside: uint16(s.HTTPSPort)}, {Outside: 80, Inside: uint16(s.HTTPPort)}},
			Secret: secret, Log: log,
		}
		if s.Router != "map" {
			cfg.Ways = []router.Way{router.Way(s.Router)}
		}
		r := router.New(cfg)
		rooms = append(rooms, room{r.Run, r.Check()})
	}
	return rooms
}

// routerSecret is what the router knows this Foyer by; it is made once. With an
// error comes one that could not be kept.
func routerSecret(data string) ([]byte, error) {
	path := filepath.Join(data, "router.secret")
	secret, err := os.ReadFile(path)
	if err == nil && len(secret) == 32 {
		return secret, nil
	}
	secret = make([]byte, 32)
	rand.Read(secret) //nolint:errcheck // it does not fail
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return secret, fmt.Errorf("cannot read what the router knows this server by: %w", err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return secret, fmt.Errorf("cannot make the data folder: %w", err)
	}
	return secret, atomicfile.Write(path, secret, 0o600)
}
