package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/service"
)

// onMachine has the data that this machine serves become those of a backup
// (docs/backups.md#on-an-installed-machine). Root reads the target and stops and starts the service;
// whatever is done in the folder of the data is done by a process of the user that Foyer runs as.
func (a *restoring) onMachine(ctx context.Context) error {
	s, err := a.toReplace(ctx)
	if err != nil {
		return err
	}
	user, ok, err := host.LookupUser(ctx, host.Exec{}, "/", config.SystemUser)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("cannot find the user %s", config.SystemUser))
	}
	if err := a.folderIsThere(ctx, s.Data); err != nil {
		return err
	}
	foyer := service.New(service.Config{})
	var stopped time.Time
	g := &gate{stop: func(ctx context.Context) error {
		stopped = time.Now()
		if err := foyer.Pause(ctx); err != nil {
			return hint.New("restore-running",
				hint.T("Foyer could not be stopped.", "Foyer n'a pas pu être arrêté."), hint.T("Nothing was restored.", "Rien n'a été restauré."),
				hint.T("`systemctl status foyer` shows why.", "`systemctl status foyer` montre pourquoi.")).Because(err)
		}
		return nil
	}}
	g.at, g.why = target.ReadFolder(ctx, a.from)
	failed := a.runInside(ctx, user, g)
	if stopped.IsZero() {
		return failed
	}
	// The service is started whatever happened meanwhile: what is under way goes on by that.
	ctx = context.WithoutCancel(ctx)
	brought := g.result()
	if brought != nil && brought.Settings != "" {
		a.bringSettings(ctx, brought.Settings)
	}
	if err := foyer.Start(ctx); err != nil {
		return errors.Join(failed, fmt.Errorf("cannot start Foyer again: %w", err))
	}
	if brought == nil {
		return failed
	}
	if err := awaitHealthy(ctx, a.app); err != nil {
		return err
	}
	a.sayServed(brought, time.Since(stopped))
	return failed
}

// toReplace are the settings of the Foyer whose data are to be replaced, and where the backup is.
func (a *restoring) toReplace(ctx context.Context) (*config.Settings, error) {
	if os.Geteuid() != 0 {
		return nil, needRoot()
	}
	s, err := a.loadSettings(ctx, nil)
	if err != nil {
		return nil, err
	}
	if s.Database != "" {
		return nil, hint.New("restore-database",
			hint.T("The data of this server are in a PostgreSQL database, which has backups of its own.", "Les données de ce serveur sont dans une base PostgreSQL, qui a ses propres sauvegardes."), hint.T("Nothing was restored.", "Rien n'a été restauré."),
			hint.T("Name a folder to restore it into: --into", "Indiquez un dossier où la restaurer : --into")).Exits(hint.ExitUsage)
	}
	if a.from == "" {
		a.from = s.Backup.To
	}
	if a.from == "" {
		return nil, wrongUse(hint.T("--from is missing: the folder with the backups; no setting names one", "il manque --from : le dossier des sauvegardes ; aucun réglage n'en indique"))
	}
	a.from, err = filepath.Abs(a.from)
	return s, err
}

// folderIsThere has the folder of the data made where it is gone.
func (a *restoring) folderIsThere(ctx context.Context, data string) error {
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) || a.verdict {
		return nil
	}
	in, err := theInstaller()
	if err != nil {
		return err
	}
	_, err = in.RepairOwners(ctx, nil)
	return err
}

// runInside runs the process of the user that Foyer runs as, which has the terminal.
func (a *restoring) runInside(ctx context.Context, user host.User, g *gate) error {
	exe, err := host.Program()
	if err != nil {
		return err
	}
	args := []string{"restore", "--inside", "--from", a.from, "--lang", string(a.lang), "--settings", a.settings, "--run", a.runDir}
	for flag, text := range map[string]string{"--to": a.to, "--chain": a.chain} {
		if text != "" {
			args = append(args, flag, text)
		}
	}
	for flag, is := range map[string]bool{"--verdict": a.verdict, "--yes": a.yes, "--app-passwords": a.apps, "--keep-settings": a.keep, "--json": a.json, "--plain": a.plain} {
		if is {
			args = append(args, flag)
		}
	}
	cmd := exec.Command(exe, args...)
	cmd.Args[0], cmd.Dir, cmd.Env = "foyer", "/", a.environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
	host.RunAs(cmd, user)
	started, end, err := g.open(cmd)
	if err != nil {
		return err
	}
	defer end()
	err = cmd.Start()
	started()
	if err != nil {
		return fmt.Errorf("cannot run as the user %s: %w", config.SystemUser, err)
	}
	// Of a signal at the terminal that process hears itself; of any other by the end of the gate.
	defer context.AfterFunc(ctx, end)()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return (&hint.Error{}).Because(errSaid).Exits(exit.ExitCode())
	}
	return err
}

// kept are settings of this machine that those of another do not take the place of.
func keptHere(key string) bool {
	return slices.Contains([]string{"data", "database", "backup.to", "http_port", "https_port"}, key) || strings.HasPrefix(key, "proxy.")
}

// bringSettings gives this machine the settings of the one before, and says which. What cannot be is
// said, too; the data are there all the same.
func (a *restoring) bringSettings(ctx context.Context, text string) {
	changed, err := a.settingsOf(ctx, text)
	if err != nil {
		e := hint.Find(err)
		if e == nil {
			e = hint.New("failed", hint.Verbatim(err.Error()), hint.Text{}, hint.Text{})
		}
		what := hint.T("! The settings of the machine before could not all be brought back: %s %s", "! Les réglages de la machine d'avant n'ont pas tous pu être repris : %s %s", e.What, e.Do)
		if a.json {
			a.printJSON(map[string]any{"warning": what})
		} else {
			a.say(what)
		}
	}
	if a.json {
		a.printJSON(map[string]any{"settings": changed})
		return
	}
	for _, c := range changed {
		if c.Was == c.Is {
			a.say(hint.T("%s is that of the machine before; it is a secret, and not shown.", "%s est celui de la machine d'avant ; c'est un secret, et il n'est pas affiché.", c.Key))
		} else {
			a.say(hint.T("%s is %q, as on the machine before; it was %q.", "%s vaut %q, comme sur la machine d'avant ; c'était %q.", c.Key, c.Is, c.Was))
		}
	}
}

// settingsOf edits and applies them.
func (a *restoring) settingsOf(ctx context.Context, text string) (changed []changedSetting, err error) {
	changed = []changedSetting{}
	then, err := config.Read(a.settings, []byte(text))
	if err != nil {
		return changed, err
	}
	now, err := a.loadSettings(ctx, nil)
	if err != nil {
		return changed, err
	}
	var edits []config.Edit
	for _, key := range config.Differ(now, then) {
		if keptHere(key) {
			continue
		}
		was, _ := now.Get(key)
		is, source := then.Get(key)
		edits = append(edits, config.Edit{Key: key, Value: is, Unset: source == ""})
		changed = append(changed, changedSetting{key, config.Shown(key, was), config.Shown(key, is)})
	}
	if len(edits) == 0 {
		return changed, nil
	}
	if _, _, err := installer.EditSettings(a.settings, edits, func() error { return onTrial(ctx) }); err != nil {
		return []changedSetting{}, err
	}
	in, err := theInstaller()
	if err == nil {
		_, err = in.ApplySettings(ctx, nil)
	}
	return changed, err
}

// awaitHealthy waits until the server is well.
func awaitHealthy(ctx context.Context, a *app) (err error) {
	c := control.Dial(a.runDir)
	for end := time.Now().Add(startsAgain); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s, e := c.Status(ctx)
		if err = e; err == nil && s.Server.State == "healthy" {
			return nil
		}
	}
	return hint.New("not-healthy", hint.T("The backup was restored, and the server does not answer yet.", "La sauvegarde a été restaurée, et le serveur ne répond pas encore."), hint.Text{},
		hint.T("`sudo foyer logs` shows why.", "`sudo foyer logs` montre pourquoi.")).Because(err)
}

// sayServed says that it is served.
func (a *restoring) sayServed(b *broughtBack, waited time.Duration) {
	if a.json {
		a.printJSON(map[string]any{"served": map[string]any{"former": b.Former, "resumed": b.Resumed, "seconds": waited.Seconds()}})
		return
	}
	if b.Resumed {
		a.say(hint.T("A restore that had been cut off is complete. Visitors waited for %.1f s.", "Une restauration interrompue est terminée. Les visiteurs ont patienté %.1f s.", waited.Seconds()))
		return
	}
	a.say(hint.T("The server answers with it. Visitors waited for %.1f s.", "Le serveur répond avec. Les visiteurs ont patienté %.1f s.", waited.Seconds()))
	a.say(hint.T("What was served before is in %s. When you no longer need it: `sudo rm -r %s`", "Ce qui était servi avant est dans %s. Quand vous n'en avez plus besoin : `sudo rm -r %s`", b.Former, b.Former))
}
