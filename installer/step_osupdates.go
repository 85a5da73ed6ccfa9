package installer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/osupdate"
)

// StepOSUpdates is the ID of the step that has the system install its security updates.
const StepOSUpdates = "os-updates"

// osUpdatesStep has Debian and Raspberry Pi OS install their security updates by themselves:
// by the system's own unattended-upgrades and needrestart, with files of settings of our own
// beside theirs. Nothing is done where somebody else sees to updates, where the person has
// switched them off, or where the packages are missing and cannot be fetched: the plan says
// so, and an install does not fail for that.
type osUpdatesStep struct {
	m      *machine
	failed error // why the packages could not be installed in this run
}

func (osUpdatesStep) ID() string { return StepOSUpdates }

// Title implements step.Step.
func (osUpdatesStep) Title() hint.Text {
	return hint.T("Security updates of the system", "Mises à jour de sécurité du système")
}

// Files of our own.
const (
	aptFile         = "/etc/apt/apt.conf.d/52foyer"
	needrestartFile = "/etc/needrestart/conf.d/52foyer.conf"
	timerFile       = "/etc/systemd/system/apt-daily-upgrade.timer.d/52-foyer.conf"
)

// aptText is read after 20auto-upgrades and 50unattended-upgrades, and before what a person
// puts into a 99mine. The machine is restarted by Foyer, who knows whether it is busy and
// backed up. Lists are added to, not replaced.
const aptText = `// Written by Foyer: the system installs its security updates by itself.
// Change it in a file that is read later, e.g. 99local, or set os_updates = "off" in
// /etc/foyer/foyer.toml and remove this file.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
Unattended-Upgrade::MinimalSteps "true";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Origins-Pattern:: "origin=Raspberry Pi Foundation,codename=${distro_codename}";
`

// needrestartText: services are restarted without asking; Foyer, which is one program without
// libraries, gains nothing by that.
const needrestartText = `# Written by Foyer: services that use what was updated are restarted without asking.
$nrconf{restart} = 'a';
$nrconf{override_rc}{qr(^foyer)} = 0;
`

// timerText: updates come before the hours in which the machine may be restarted for them.
const timerText = `# Written by Foyer: updates are installed between one and two o'clock at night.
[Timer]
OnCalendar=
OnCalendar=*-*-* 01:00
RandomizedDelaySec=60m
`

// wish is a file that is wanted.
type wish struct {
	path, text string
	why        hint.Text
}

// wanted are the files for a system that is set up so.
func (s *osUpdatesStep) wanted(is osupdate.Setup, restarter bool) []wish {
	out := []wish{{s.m.path(aptFile), aptText, hint.T("the system installs its security updates by itself, each day", "le système installe lui-même ses mises à jour de sécurité, chaque jour")}}
	if restarter {
		out = append(out, wish{s.m.path(needrestartFile), needrestartText, hint.T("what was updated is used at once", "ce qui a été mis à jour sert aussitôt")})
	}
	if is.Systemd && s.m.service.Manager() == host.Systemd {
		out = append(out, wish{s.m.path(timerFile), timerText, hint.T("at night, before Foyer restarts the machine if that is wanted", "la nuit, avant que Foyer ne redémarre la machine s'il le faut")})
	}
	return out
}

// setup is what is set up, and why nothing is to be done about it; zero: something may be.
func (s *osUpdatesStep) setup() (is osupdate.Setup, why hint.Text, may bool) {
	is = osupdate.SetupOf(s.m.cfg.Root, filepath.Base(aptFile))
	switch {
	case s.m.settings.OSUpdates != "on" || !is.Ours:
		return is, hint.Text{}, false
	case is.Elsewhere != "":
		return is, hint.T("%s sees to the updates of this machine: Foyer leaves them alone.", "%s s'occupe des mises à jour de cette machine : Foyer n'y touche pas.", is.Elsewhere), false
	case is.Off:
		return is, hint.T("Security updates of the system were switched off in /etc/apt/apt.conf.d, and stay so.", "Les mises à jour de sécurité du système ont été désactivées dans /etc/apt/apt.conf.d, et le restent."), false
	}
	return is, hint.Text{}, true
}

// note is what a person should know of the updates and Foyer does not change.
func (s *osUpdatesStep) note(ctx context.Context) hint.Text {
	is, why, may := s.setup()
	if may && !is.Installer && !s.m.canFetch(ctx) {
		return hint.T("The system does not install its security updates by itself, and what it needs for that cannot be fetched now. When this machine has network, `sudo foyer install` does that.",
			"Le système n'installe pas lui-même ses mises à jour de sécurité, et ce qu'il faut pour cela ne peut pas être téléchargé maintenant. Quand cette machine aura le réseau, `sudo foyer install` s'en chargera.")
	}
	return why
}

func (s *osUpdatesStep) Check(ctx context.Context) (out []step.Change, err error) {
	is, _, may := s.setup()
	if !may || !is.Installer && (s.failed != nil || !s.m.canFetch(ctx)) {
		return nil, nil
	}
	pkg := func(name string, why hint.Text) {
		out = append(out, step.Change{Op: step.Made, Kind: step.KindPackage, What: name, Why: why})
	}
	restarter := is.Restarter
	if !is.Installer { // who has chosen to have the one without the other keeps it so
		pkg(osupdate.InstallerPackage, hint.T("installs the system's security updates", "installe les mises à jour de sécurité du système"))
		if !is.Restarter {
			pkg(osupdate.RestarterPackage, hint.T("has services use what was updated", "fait utiliser aux services ce qui a été mis à jour"))
			restarter = true
		}
	}
	for _, w := range s.wanted(is, restarter) {
		state, err := s.m.look(s.ID(), w.path, w.text)
		if err != nil {
			return nil, err
		}
		c := step.Change{Op: step.Changed, Kind: step.KindFile, What: w.path, Why: w.why, SHA256: hexSum([]byte(w.text))}
		switch state {
		case fileSame:
			continue
		case fileMissing:
			for _, p := range parents(w.path) {
				if !slices.ContainsFunc(out, func(c step.Change) bool { return c.What == p }) && !strings.HasPrefix(p, s.m.path("/etc/needrestart")) {
					out = append(out, step.Change{Op: step.Made, Kind: step.KindFolder, What: p, Why: hint.T("on the way to the next", "pour arriver au suivant")})
				}
			}
			c.Op = step.Made
		case fileEdited:
			c.Op, c.SHA256, c.Why = step.Edited, "", hint.T("was changed by hand and stays so", "a été modifié à la main et reste ainsi")
		}
		out = append(out, c)
	}
	return out, nil
}

func (s *osUpdatesStep) Apply(ctx context.Context) error {
	changes, err := s.Check(ctx)
	if err != nil {
		return err
	}
	var packages []string
	for _, c := range changes {
		if c.Kind == step.KindPackage {
			packages = append(packages, c.What)
		}
	}
	if s.failed = s.install(ctx, packages); s.failed != nil {
		if ctx.Err() != nil {
			return s.failed
		}
		s.m.cfg.Log.Warn("what installs the system's updates could not be installed", "err", s.failed)
		return nil
	}
	is, _, _ := s.setup()
	reload := false
	for _, w := range s.wanted(is, is.Restarter) {
		if state, err := s.m.look(s.ID(), w.path, w.text); err != nil || state == fileSame || state == fileEdited {
			if err != nil {
				return err
			}
			continue
		}
		for _, p := range parents(w.path) {
			if err := makeFolder(p, 0o755, s.m.rootUser.UID, s.m.rootUser.GID); err != nil {
				return err
			}
		}
		if err := atomicfile.WriteAs(w.path, []byte(w.text), 0o644, s.m.rootUser.UID, s.m.rootUser.GID); err != nil {
			return err
		}
		reload = reload || w.path == s.m.path(timerFile)
	}
	if reload {
		return s.reload(ctx)
	}
	return nil
}

// Unwanted implements step.Pruner: our files, once os_updates is off. Packages stay.
func (s *osUpdatesStep) Unwanted(context.Context) (out []step.Change, err error) {
	if s.m.settings.OSUpdates == "on" {
		return nil, nil
	}
	for _, c := range s.m.history.MadeBy(s.ID()) {
		if c.Kind == step.KindFile || c.Kind == step.KindFolder {
			c.Why = hint.T("os_updates is off", "os_updates est à off")
			out = append(out, c)
		}
	}
	return out, nil
}

// install has apt install packages, of which nobody is asked anything.
func (s *osUpdatesStep) install(ctx context.Context, packages []string) error {
	if len(packages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	apt := []string{"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120"}
	if _, err := s.m.cfg.Runner.Run(ctx, "env", append(slices.Clone(apt), "update")...); err != nil {
		s.m.cfg.Log.Warn("apt's lists could not be fetched", "err", err) // those that are there may do
	}
	_, err := s.m.cfg.Runner.Run(ctx, "env", slices.Concat(apt, []string{"--no-remove", "--no-upgrade", "--no-install-recommends", "install"}, packages)...)
	return err
}

// reload has systemd use the timer as it is now.
func (s *osUpdatesStep) reload(ctx context.Context) error {
	for _, args := range [][]string{{"daemon-reload"}, {"try-restart", "apt-daily-upgrade.timer"}} {
		if _, err := s.m.cfg.Runner.Run(ctx, "systemctl", args...); err != nil {
			return fmt.Errorf("cannot have systemd use the timer of updates: %w", err)
		}
	}
	return nil
}

// Undo removes the files that we made, as far as nobody has changed them. Packages that were
// installed are left, and named: others may need them by now.
func (s *osUpdatesStep) Undo(ctx context.Context, made []step.Change, _ bool) error {
	is := osupdate.SetupOf(s.m.cfg.Root, filepath.Base(aptFile))
	there := map[string]bool{osupdate.InstallerPackage: is.Installer, osupdate.RestarterPackage: is.Restarter}
	reload := false
	for _, c := range slices.Backward(made) {
		switch c.Kind {
		case step.KindPackage:
			if there[c.What] {
				s.m.left = append(s.m.left, step.Change{Op: step.Edited, Kind: c.Kind, What: c.What, Why: hint.T("is left: the system needs it for its security updates; `sudo apt-get purge %s` removes it", "reste : le système en a besoin pour ses mises à jour de sécurité ; `sudo apt-get purge %s` le retire", c.What)})
			}
		case step.KindFolder:
			if err := removeEmpty(c.What); err != nil {
				return err
			}
		case step.KindFile:
			now, err := os.ReadFile(c.What)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue
			case err != nil:
				return err
			case !slices.Contains(append(s.m.history.Wrote(c.What), c.SHA256), hexSum(now)) && strings.Trim(string(now), "\x00") != "":
				s.m.left = append(s.m.left, step.Change{Op: step.Edited, Kind: c.Kind, What: c.What, Why: hint.T("is left: it was changed by hand", "reste : il a été modifié à la main")})
				continue
			}
			if err := atomicfile.Remove(c.What); err != nil {
				return err
			}
			reload = reload || c.What == s.m.path(timerFile)
		}
	}
	if reload && s.m.service.Manager() == host.Systemd {
		return s.reload(ctx)
	}
	return nil
}

// canFetch reports whether packages can be fetched, and looks once.
func (m *machine) canFetch(ctx context.Context) bool {
	if m.fetches == nil {
		can := m.cfg.Facts.Fetches(ctx)
		m.fetches = &can
	}
	return *m.fetches
}

// fetchTime is how long each place that packages come from may take to answer.
const fetchTime = 3 * time.Second

// fetches reports whether the first place that apt gets its packages from answers.
func fetches(ctx context.Context, r host.Runner) bool {
	out, err := r.Run(ctx, "apt-get", "indextargets", "--format", "$(SITE)")
	if err != nil {
		return false
	}
	for line := range strings.Lines(out) {
		u, err := url.Parse(strings.TrimSpace(line))
		if err != nil {
			continue
		}
		switch u.Scheme {
		case "file", "copy", "cdrom":
			return true
		case "http", "https":
			conn, err := (&net.Dialer{Timeout: fetchTime}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), u.Scheme)))
			if err == nil {
				conn.Close() //nolint:errcheck // it was only tried
			}
			return err == nil
		}
	}
	return false
}
