package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/host"
)

// helpers are the units of the helper: foyer.service wants them, so that they are neither
// enabled nor started by name.
var helpers = []string{HelperName + ".path", HelperName + ".service"}

// links are what `systemctl enable` makes of the units' WantedBy=.
var links = []string{"multi-user.target.wants/" + Name + ".service", "sockets.target.wants/" + Name + ".socket"}

// installSystemd writes the other units, then has kardianos/service write and enable
// the service. That library opens the unit for writing before it knows the text,
// without a sync, and refuses when there is one: whatever is there and not kept
// is taken away before, and made durable afterwards.
func (s *Service) installSystemd(ctx context.Context, kept []string) error {
	var written []File
	rewatch := false
	for _, f := range s.Units() {
		if slices.Contains(kept, f.Path) {
			continue
		}
		if now, err := os.ReadFile(f.Path); err == nil && bytes.Equal(now, []byte(f.Text)) {
			written = append(written, f)
			continue
		}
		if filepath.Base(f.Path) != Name+".service" {
			rewatch = rewatch || filepath.Ext(f.Path) == ".path"
			if err := atomicfile.Write(f.Path, []byte(f.Text), fs.FileMode(f.Mode)); err != nil {
				return err
			}
			continue
		}
		if err := atomicfile.Remove(f.Path); err != nil {
			return fmt.Errorf("cannot renew %s: %w", f.Path, err)
		}
		if err := s.cfg.Register.Install(); err != nil {
			return fmt.Errorf("cannot register the service: %w", err)
		}
		written = append(written, f)
	}
	if err := syncFiles(written); err != nil {
		return fmt.Errorf("cannot make the service's files durable: %w", err)
	}
	// The unit may have been there and not enabled, or the manager not have read it.
	if err := s.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if err := s.systemctl(ctx, "enable", "--quiet", Name+".socket", Name+".service"); err != nil {
		return err
	}
	for _, l := range links {
		if err := atomicfile.SyncDir(filepath.Dir(s.path(systemdDir + "/" + l))); err != nil {
			return err
		}
	}
	if rewatch { // one that runs goes by what it was started with
		if err := s.systemctl(ctx, "try-restart", HelperName+".path"); err != nil {
			return err
		}
	}
	return atomicfile.SyncDir(s.path(systemdDir))
}

// uninstallSystemd takes the units away. A unit left half written cannot be
// disabled by its name, so that links are looked after by hand, too.
func (s *Service) uninstallSystemd(ctx context.Context) error {
	if err := s.stopSystemd(ctx); err != nil {
		return err
	}
	for _, unit := range append([]string{DrillName + ".service"}, helpers...) {
		st, err := s.stateSystemd(ctx, unit)
		if err != nil {
			return err
		}
		if st.Active != "" && st.Active != "inactive" {
			if err := s.systemctl(ctx, "stop", unit); err != nil {
				return err
			}
		}
	}
	if err := s.removeState(); err != nil {
		return err
	}
	units := s.Units()
	var there []File
	for _, f := range units {
		if _, err := os.Lstat(f.Path); err == nil {
			there = append(there, f)
		}
	}
	dangling := false
	for _, l := range links {
		if _, err := os.Lstat(s.path(systemdDir + "/" + l)); err == nil {
			dangling = true
		}
	}
	if len(there) == 0 && !dangling {
		return nil
	}
	if len(there) == len(units) {
		if err := s.cfg.Register.Uninstall(); err != nil {
			s.systemctl(ctx, "disable", "--quiet", Name+".socket", Name+".service") //nolint:errcheck // what it leaves is removed below
		}
	}
	for _, l := range links {
		path := s.path(systemdDir + "/" + l)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := atomicfile.Remove(path); err != nil {
			return fmt.Errorf("cannot disable the service: %w", err)
		}
		os.Remove(filepath.Dir(path)) //nolint:errcheck // as systemctl disable does with an empty folder
	}
	for _, f := range slices.Backward(units) {
		if err := atomicfile.Remove(f.Path); err != nil {
			return fmt.Errorf("cannot take the service away: %w", err)
		}
	}
	if err := s.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	s.systemctl(ctx, append([]string{"reset-failed", Name + ".socket", Name + ".service"}, helpers...)...) //nolint:errcheck // there is nothing to forget, most often
	return nil
}

// stopSystemd stops the socket too, in the same breath: else the next visitor
// would start the service again.
func (s *Service) stopSystemd(ctx context.Context) error {
	for _, unit := range []string{Name + ".socket", Name + ".service"} {
		st, err := s.stateSystemd(ctx, unit)
		if err != nil {
			return err
		}
		if st.Active != "" && st.Active != "inactive" {
			return s.systemctl(ctx, "stop", Name+".socket", Name+".service")
		}
	}
	return nil
}

// stateSystemd reads the properties of a unit (systemctl(1), show).
func (s *Service) stateSystemd(ctx context.Context, unit string) (State, error) {
	props, err := s.show(ctx, unit, "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "MainPID", "UnitFileState", "NeedDaemonReload",
		"ExecMainStartTimestamp", "ActiveEnterTimestamp")
	if err != nil {
		return State{}, err
	}
	st := State{
		Installed: props["LoadState"] != "not-found" && props["LoadState"] != "", Enabled: props["UnitFileState"] == "enabled",
		Active: props["ActiveState"], Sub: props["SubState"], Result: props["Result"], NeedsReload: props["NeedDaemonReload"] == "yes",
		Masked: props["LoadState"] == "masked",
	}
	st.Restarts, _ = strconv.Atoi(props["NRestarts"]) // a socket has none
	st.PID, _ = strconv.Atoi(props["MainPID"])
	since := props["ExecMainStartTimestamp"]
	if since == "" { // a socket has no process
		since = props["ActiveEnterTimestamp"]
	}
	if sec, err := strconv.ParseInt(strings.TrimPrefix(since, "@"), 10, 64); err == nil && sec > 0 {
		st.Since = time.Unix(sec, 0)
	}
	return st, nil
}

// beganSystemd is when a unit was last started, to the microsecond; zero where that is not
// known. Times of the wall clock are told in whole seconds, by which nobody knows whether a
// file written in the same second was there.
func (s *Service) beganSystemd(ctx context.Context, unit string) (time.Time, error) {
	props, err := s.show(ctx, unit, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
	if err != nil {
		return time.Time{}, err
	}
	since := props["ExecMainStartTimestampMonotonic"]
	if since == "" { // a socket has no process
		since = props["ActiveEnterTimestampMonotonic"]
	}
	us, err := strconv.ParseInt(since, 10, 64)
	now, ok := sinceBoot()
	if err != nil || us <= 0 || !ok {
		return time.Time{}, nil //nolint:nilerr // not known
	}
	return time.Now().Add(time.Duration(us)*time.Microsecond - now), nil
}

// listensSystemd asks for the addresses of the socket unit, while it is active:
// "[::]:80 (Stream)", one a line.
func (s *Service) listensSystemd(ctx context.Context, port int) bool {
	props, err := s.show(ctx, Name+".socket", "ActiveState", "Listen")
	if err != nil || props["ActiveState"] != "active" {
		return false
	}
	for line := range strings.Lines(props["Listen"]) {
		if address, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasSuffix(address, ":"+strconv.Itoa(port)) {
			return true
		}
	}
	return false
}

// show returns properties of a unit; the values of one that is printed several
// times are joined by line ends.
func (s *Service) show(ctx context.Context, unit string, names ...string) (map[string]string, error) {
	args := []string{"--property=" + strings.Join(names, ","), unit}
	out, err := s.cfg.Runner.Run(ctx, "systemctl", append([]string{"show", "--timestamp=unix"}, args...)...)
	if _, refused := errors.AsType[*host.RunError](err); refused { // systemd before 247: times stay unknown
		out, err = s.cfg.Runner.Run(ctx, "systemctl", append([]string{"show"}, args...)...)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask systemd about %s: %w", unit, err)
	}
	props := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if !ok {
			continue
		}
		if before, again := props[name]; again {
			value = before + "\n" + value
		}
		props[name] = value
	}
	return props, nil
}

func (s *Service) systemctl(ctx context.Context, args ...string) error {
	if _, err := s.cfg.Runner.Run(ctx, "systemctl", args...); err != nil {
		return fmt.Errorf("cannot %s the service: %w", args[0], err)
	}
	return nil
}

// Log returns the newest lines of the service's log, oldest first; none where it
// is not kept by systemd.
func (s *Service) Log(ctx context.Context, lines int) []string {
	if s.cfg.Manager != host.Systemd {
		return nil
	}
	out, err := s.cfg.Runner.Run(ctx, "journalctl", "-u", Name, "-n", strconv.Itoa(lines), "--no-pager", "-o", "cat")
	if err != nil || strings.TrimSpace(out) == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(out, "\n"), "\n")
}
