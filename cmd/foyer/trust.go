package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/certs"
)

type trustFlags struct{ undo, print bool }

// trustCmd makes the programs of this machine trust the home CA. Other devices are
// taught by the page /trust.
func (a *app) trustCmd() *cobra.Command {
	var f trustFlags
	cmd := &cobra.Command{
		Use: "trust", Args: apart(usage(a, cobra.NoArgs), "undo print"),
		Short: hint.T("Let the programs of this machine trust this server", "Faire que les programmes de cette machine fassent confiance à ce serveur").In(a.lang),
		RunE:  func(cmd *cobra.Command, _ []string) error { return trust(a, cmd, f) },
	}
	cmd.Flags().BoolVar(&f.undo, "undo", false, hint.T("let them trust it no longer", "qu'ils ne le fassent plus").In(a.lang))
	cmd.Flags().BoolVar(&f.print, "print", false, hint.T("only print the certificate, as PEM", "seulement donner le certificat, en PEM").In(a.lang))
	return cmd
}

func trust(a *app, cmd *cobra.Command, f trustFlags) error {
	store := installer.TrustStore{Runner: host.Exec{}}
	if !f.print && os.Geteuid() > 0 {
		return needRoot()
	}
	if f.undo {
		files, err := store.Remove(cmd.Context())
		if err != nil {
			return err
		}
		if a.json {
			a.printJSON(map[string]any{"removed": append([]string{}, files...)})
			return nil
		}
		if len(files) == 0 {
			a.say(hint.T("Nothing was to be undone.", "Il n'y avait rien à défaire."))
			return nil
		}
		a.say(hint.T("The programs of this machine no longer trust the server by %s.", "Les programmes de cette machine ne font plus confiance au serveur par %s.", strings.Join(files, ", ")))
		return nil
	}
	s, err := a.loadSettings(cmd.Context(), a.environ)
	if err != nil {
		return err
	}
	root, err := installer.LoadHomeRoot(s, time.Now())
	if errors.Is(err, fs.ErrPermission) {
		return needRoot()
	}
	if err != nil {
		return err
	}
	if f.print {
		fmt.Fprint(a.out, string(root.PEM()))
		return nil
	}
	files, err := store.Install(cmd.Context(), root)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(root.DER())
	words, fingerprint := certs.Words(root.DER(), a.lang), strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
	if a.json {
		a.printJSON(map[string]any{"words": words, "fingerprint": fingerprint, "wrote": append([]string{}, files...)})
		return nil
	}
	a.say(hint.T("The programs of this machine trust the server with the fingerprint", "Les programmes de cette machine font confiance au serveur dont l'empreinte est"))
	a.printf("  %s\n  %s\n", strings.Join(words, " "), fingerprint)
	if len(files) == 0 {
		a.say(hint.T("They did already.", "C'était déjà le cas."))
	}
	a.say(hint.T("Firefox notices at its next start. `sudo foyer trust --undo` takes it back.", "Firefox s'en aperçoit à son prochain démarrage. `sudo foyer trust --undo` revient en arrière."))
	return nil
}
