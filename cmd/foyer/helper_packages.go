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

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/osupdate"
)

// repairPackages has dpkg finish what it was left half-way with, and says what came of it.
func repairPackages(ctx context.Context, t *helper.Task) error {
	done, err := osupdate.Repair(ctx, osupdate.RepairConfig{Runner: packager{log: filepath.Join("/var/lib", helper.Name, "packages.log")}, Say: t.Say})
	return errors.Join(t.Result(done), err)
}

// packager is the Runner for dpkg and apt-get. Scripts of packages start services, write
// anywhere and use the network, which the helper cannot: systemd runs them as a unit of its
// own. That does not end with the helper, and what it says goes to a file, not to a pipe
// that would break with it: a dpkg that is killed is what is to be repaired.
type packager struct {
	host.Exec
	log string // where what they say is kept
}

// saidBytes is how much of what they said last is looked at.
const saidBytes = 4000

// Run implements host.Runner.
func (p packager) Run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("cannot run %s: %w", name, err)
	}
	if err := os.Remove(p.log); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	run := []string{
		"--quiet", "--wait", "--collect", "--setenv=LC_ALL=C", "--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"--property=StandardOutput=append:" + p.log, "--property=StandardError=append:" + p.log, "--property=UMask=0022",
		"--property=RuntimeMaxSec=30min", "--property=TimeoutStopSec=5min", "--property=Nice=10", "--",
	}
	_, err = p.Exec.Run(ctx, "systemd-run", slices.Concat(run, []string{path}, args)...)
	text, _ := os.ReadFile(p.log) // without, it is not known what it said
	if failed, is := errors.AsType[*host.RunError](err); is {
		failed.Command = strings.Join(append([]string{name}, args...), " ")
		if said := strings.TrimSpace(string(text)); said != "" {
			failed.Output = said[max(0, len(said)-saidBytes):]
		}
	}
	return string(text), err
}
