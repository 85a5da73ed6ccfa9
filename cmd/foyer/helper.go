package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/helper"
)

// helperCmd is root's end of what the service asks for, as systemd starts it.
func (a *app) helperCmd() *cobra.Command {
	return &cobra.Command{
		Use: "helper", Hidden: true, Args: usage(a, cobra.NoArgs),
		Short: hint.T("Do what takes root, at the service's request; started by systemd", "Faire ce qui demande root, quand le service le demande ; lancé par systemd").In(a.lang),
		RunE:  func(cmd *cobra.Command, _ []string) error { return serveHelper(cmd.Context(), a) },
	}
}

func serveHelper(ctx context.Context, a *app) error {
	if os.Geteuid() != 0 {
		return needRoot()
	}
	state := a.getenv("STATE_DIRECTORY")
	if filepath.Base(state) != helper.Name {
		return wrongUse(hint.T("systemd starts it, by foyer-helper.service", "systemd le lance, par foyer-helper.service"))
	}
	if err := host.NoCoreFiles(); err != nil {
		return err
	}
	gid, ok, err := host.LookupGroup(ctx, host.Exec{}, "/", config.SystemUser)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("cannot find the group %s", config.SystemUser))
	}
	return helper.Serve(ctx, helper.Config{
		Run: filepath.Dir(config.SystemRun), State: state, GID: gid, Boot: bootOf(ctx), Log: a.logger(a.err),
		Do: map[string]func(context.Context, *helper.Task) error{
			helper.VerbReadMachine: func(ctx context.Context, t *helper.Task) error {
				r := host.ReadMachine(ctx, outside{})
				for _, what := range saidOf(&r) {
					t.Say(what)
				}
				return t.Result(r)
			},
			helper.VerbRepairOwners:  doSteps((*installer.Installer).RepairOwners),
			helper.VerbApplySettings: doSteps((*installer.Installer).ApplySettings),
			helper.VerbReboot:        restartMachine,

			helper.VerbRepairPackages: repairPackages,

			helper.VerbChangeSettings: changeSettings,
			helper.VerbDrill:          startDrill,
		},
		Check: map[string]func(context.Context, map[string]string) error{helper.VerbChangeSettings: checkAnswers},
		Back:  map[string]func(context.Context, *helper.Task) error{helper.VerbChangeSettings: restoreSettings},
	})
}

// bootOf names the time since this machine was started: by the kernel, and, in a container,
// whose kernel goes on, by when its systemd began.
func bootOf(ctx context.Context) string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without, the other one will do
	began, err := host.Exec{}.Run(ctx, "systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value")
	if err != nil {
		began = ""
	}
	return strings.TrimSpace(string(id)) + " " + strings.TrimSpace(began)
}

// onTrial says what is on trial on this machine, as an error; nil: nothing.
func onTrial(context.Context) error {
	return helper.OnTrial(filepath.Join("/var/lib", helper.Name))
}

// mostTold is how many changes a result tells of.
const mostTold = 50

// theInstaller is the installer of what is installed on this machine.
func theInstaller() (*installer.Installer, error) {
	answers, err := installer.LoadAnswers("", nil, nil, nil)
	if err != nil {
		return nil, err
	}
	exe, err := host.Program()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program's file: %w", err)
	}
	return installer.New(installer.Config{
		Answers: answers, Root: "/", Executable: exe, Version: version, Runner: outside{}, Lost: lostNow, OnTrial: onTrial, Log: slog.New(slog.DiscardHandler),
	}), nil
}

// tells is how a task tells of steps.
func tells(t *helper.Task) func(step.Event) {
	return func(e step.Event) {
		done := e.N - 1
		if e.Kind == step.Done {
			done = e.N
		}
		t.Progress(int64(done), int64(e.Of), hint.T("steps", "étapes"))
		switch n := len(e.Changes); {
		case e.Kind != step.Done || n == 0:
		case n == 1:
			t.Say(hint.T("%s: one change", "%s : un changement", e.Title))
		default:
			t.Say(hint.T("%s: %d changes", "%s : %d changements", e.Title, n))
		}
	}
}

// doSteps does a part of an install, and tells how far it is and what it changed.
func doSteps(part func(*installer.Installer, context.Context, func(step.Event)) (installer.Result, error)) func(context.Context, *helper.Task) error {
	return func(ctx context.Context, t *helper.Task) error {
		in, err := theInstaller()
		if err != nil {
			return err
		}
		res, err := part(in, ctx, tells(t))
		if err != nil {
			return err
		}
		if !res.Changed {
			t.Say(hint.T("There was nothing to change.", "Il n'y avait rien à changer."))
		}
		return t.Result(map[string]any{"changed": res.Changed, "changes": append([]step.Change{}, res.Changes[:min(len(res.Changes), mostTold)]...), "addresses": append([]string{}, res.Addresses...)})
	}
}

// checkAnswers says what is wrong with other answers than those of the install.
func checkAnswers(_ context.Context, values map[string]string) error {
	text, err := os.ReadFile(config.SystemFile)
	if err != nil {
		return fmt.Errorf("cannot read the settings: %w", err)
	}
	today, err := config.Read(config.SystemFile, text)
	if err != nil {
		return err
	}
	_, _, err = installer.PlanChange(today, values)
	return err
}

// What a change of the settings keeps in the folder of what is on trial: the file as it was,
// and before that as it is going to be.
const (
	settingsBefore = "settings.toml"
	settingsAfter  = "changed.toml"
)

// changeSettings gives other answers than those of the install.
func changeSettings(ctx context.Context, t *helper.Task) error {
	in, err := theInstaller()
	if err != nil {
		return err
	}
	save := func(old, changed []byte) error {
		if err := atomicfile.Write(filepath.Join(t.Folder(), settingsAfter), changed, 0o600); err != nil {
			return err
		}
		return atomicfile.Write(filepath.Join(t.Folder(), settingsBefore), old, 0o600)
	}
	plan, _, err := in.ChangeSettings(ctx, t.Values(), save, tells(t))
	if err != nil {
		return err
	}
	return t.Result(report.Change{Plan: plan})
}

// restoreSettings takes changeSettings back.
func restoreSettings(ctx context.Context, t *helper.Task) error {
	old, err := os.ReadFile(filepath.Join(t.Folder(), settingsBefore))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was changed yet
	}
	if err != nil {
		return fmt.Errorf("cannot read the settings as they were: %w", err)
	}
	changed, err := os.ReadFile(filepath.Join(t.Folder(), settingsAfter))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without, all that is not as it was counts as edited
		return fmt.Errorf("cannot read the settings as they were changed: %w", err)
	}
	in, err := theInstaller()
	if err != nil {
		return err
	}
	res, err := in.RestoreSettings(ctx, old, changed, tells(t))
	for _, c := range res.Changes {
		if c.Op == step.Edited {
			t.Say(hint.T("! %s: %s", "! %s : %s", c.What, c.Why))
		}
	}
	return err
}

// restartMachine asks systemd for it, which goes on by itself.
func restartMachine(ctx context.Context, t *helper.Task) error {
	if _, err := (host.Exec{}).Run(ctx, "systemctl", "reboot"); err != nil {
		return fmt.Errorf("cannot restart the machine: %w", err)
	}
	t.Say(hint.T("The machine restarts now.", "La machine redémarre maintenant."))
	return nil
}

// outside is the Runner of the helper. What takes the machine's network or its disks, which
// the helper does not have, systemd runs as a unit of its own; anything else runs as usual.
type outside struct{ host.Exec }

// outsiders are those programs, with what their units are given beside the usual.
var outsiders = map[string][]string{
	"ufw":                  nil,
	"firewall-cmd":         nil,
	"firewall-offline-cmd": nil,
	"nft":                  {"ProtectSystem=strict", "ProtectHome=yes"},
	"smartctl":             {"ProtectSystem=strict", "ProtectHome=yes", "PrivateNetwork=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=CAP_SYS_RAWIO CAP_SYS_ADMIN CAP_DAC_OVERRIDE"},
}

// Run implements host.Runner.
func (o outside) Run(ctx context.Context, name string, args ...string) (string, error) {
	properties, ok := outsiders[name]
	if !ok {
		return o.Exec.Run(ctx, name, args...)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("cannot run %s: %w", name, err)
	}
	run := []string{"--quiet", "--wait", "--pipe", "--collect", "--setenv=LC_ALL=C", "--property=RuntimeMaxSec=60"}
	for _, p := range properties {
		run = append(run, "--property="+p)
	}
	out, err := o.Exec.Run(ctx, "systemd-run", slices.Concat(run, []string{"--", path}, args)...)
	if failed, is := errors.AsType[*host.RunError](err); is {
		failed.Command = strings.Join(append([]string{name}, args...), " ")
	}
	return out, err
}
