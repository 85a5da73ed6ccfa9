package main

import (
	"context"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/neighbourhood"
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
	return rooms
}
