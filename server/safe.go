package server

import (
	"context"
	"fmt"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// safeMode is why nothing is stored in safe mode.
func safeMode() *hint.Error {
	return hint.New("safe-mode",
		hint.T("The server kept stopping, and runs in safe mode: what is stored can be read, and nothing new is stored.", "Le serveur s'arrêtait sans cesse et tourne en mode sans échec : ce qui est enregistré se lit, et rien de nouveau n'est enregistré."),
		hint.T("Foyer tries again by itself, after a minute first, then less and less often.", "Foyer réessaie tout seul, d'abord après une minute, puis de moins en moins souvent."),
		hint.T("`sudo foyer logs` shows why it stopped; `sudo foyer support` makes a file for whoever helps.", "`sudo foyer logs` montre pourquoi il s'arrêtait ; `sudo foyer support` crée un fichier pour qui vous aide."))
}

// readOnly is a store of which nothing is written.
type readOnly struct{ kinto.Store }

// Write implements kinto.Store: nothing is written.
func (readOnly) Write(context.Context, []kinto.List, func(kinto.Tx) error) error {
	return fmt.Errorf("%w: %w", kinto.ErrUnavailable, safeMode())
}
