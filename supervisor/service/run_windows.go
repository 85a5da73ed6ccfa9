package service

import (
	"os"

	"github.com/kardianos/service"

	"github.com/foyer-server/foyer/internal/hint"
)

// foreground reports whether the library would not notice the end of the
// program: in the foreground it waits for Ctrl-C alone.
func foreground() bool { return service.Interactive() }

// ended is called when the program ended by itself. The Service Control Manager
// starts a service anew only when its process ends.
func ended(err error) { os.Exit(hint.ExitCode(err)) }
