package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/backup/routine"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/service"
	"github.com/foyer-server/foyer/supervisor/update"
)

// startDrill has systemd start `foyer drill` as user foyer, in a unit of its own in which there
// is no network, and nothing of what that user owns but the folder for backups, its keys and an
// empty folder. It does not wait for the end, which the service sees.
//
// Landlock would do as well, and without root, but the kernels of Raspberry Pi OS are built
// without it.
func startDrill(ctx context.Context, t *helper.Task) error {
	text, err := os.ReadFile(config.SystemFile)
	if err != nil {
		return fmt.Errorf("cannot read the settings: %w", err)
	}
	s, err := config.Read(config.SystemFile, text)
	if err != nil {
		return err
	}
	if s.Backup.To == "" {
		return hint.New("backup-off", hint.T("Nothing is backed up here.", "Rien n'est sauvegardé ici."), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.Text{})
	}
	run := []string{"--quiet", "--collect", "--unit=" + service.DrillName}
	for _, p := range drillProperties(s) {
		run = append(run, "--property="+p)
	}
	run = append(run, "--", config.SystemOpt+"/current/"+update.Program, "drill", routine.DrillDir(supervisorDir))
	_, err = host.Exec{}.Run(ctx, "systemd-run", run...)
	if err == nil {
		return nil
	}
	if state, e := (host.Exec{}).Run(ctx, "systemctl", "is-active", service.DrillName+".service"); e == nil && strings.TrimSpace(state) == "active" {
		t.Say(hint.T("One is under way already.", "Une restauration d'essai est déjà en cours."))
		return nil
	}
	return fmt.Errorf("cannot start the restore: %w", err)
}

// supervisorDir is the supervisor's own folder on a machine with systemd.
const supervisorDir = "/var/lib/" + service.StateName

// drillProperties are what the unit is like. What lies below /var/lib is not there at all, but
// for what is bound into it. Those paths are user foyer's: links in their place show that user
// what it could see anyway.
func drillProperties(s *config.Settings) []string {
	hidden := []string{s.Data, "/etc/foyer", config.SystemRun, config.SystemRun + "-helper"}
	for i, path := range hidden {
		hidden[i] = service.Quote("-" + path)
	}
	properties := []string{
		"User=" + config.SystemUser, "Group=" + config.SystemUser, "UMask=0077", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "PrivateUsers=yes",
		"ProtectSystem=strict", "ProtectHome=yes", "TemporaryFileSystem=/var/lib:ro",
		"BindPaths=" + routine.DrillDir(supervisorDir), "BindReadOnlyPaths=" + routine.KeysDir(supervisorDir),
		"InaccessiblePaths=" + strings.Join(hidden, " "),
		"PrivateNetwork=yes", "PrivateTmp=yes", "PrivateDevices=yes", "PrivateIPC=yes", "ProtectProc=invisible", "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHostname=yes",
		"ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes", "RestrictAddressFamilies=AF_UNIX", "RestrictNamespaces=yes", "RestrictRealtime=yes",
		"RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "SystemCallArchitectures=native", "SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM",
		"MemoryMax=50%", "TasksMax=512", "LimitCORE=0", "Environment=GOTRACEBACK=single", "CPUWeight=20", "IOWeight=20", "Nice=10", "RuntimeMaxSec=6h",
	}
	if strings.HasPrefix(s.Backup.To, "/var/lib/") {
		properties = append(properties, "BindReadOnlyPaths="+service.Quote("-"+s.Backup.To))
	}
	return properties
}
