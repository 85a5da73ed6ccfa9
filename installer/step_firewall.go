package installer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/internal/step"
)

// firewallStep lets visitors in where ufw or firewalld keeps them out, and no more where
// a port that it opened is none of ours any longer. Rules that were there before stay. Rules no front end looks after (nftables) are only
// noted in the plan.
type firewallStep struct{ m *machine }

func (firewallStep) ID() string { return "firewall" }

// Title implements step.Step.
func (firewallStep) Title() hint.Text {
	return hint.T("The machine's firewall", "Le pare-feu de la machine")
}

// rule is a port as both front ends write it.
func rule(port int) string { return strconv.Itoa(port) + "/tcp" }

func (s firewallStep) Check(ctx context.Context) ([]step.Change, error) {
	if s.m.cfg.Answers.Firewall == FirewallLeave {
		return nil, nil
	}
	front := host.Firewall(ctx, s.m.cfg.Runner)
	if front != host.UFW && front != host.Firewalld {
		return nil, nil
	}
	var out []step.Change
	for _, port := range site.Of(s.m.settings).PublicPorts() {
		open, err := s.open(ctx, front, port)
		if err != nil {
			return nil, err
		}
		if !open {
			out = append(out, step.Change{Op: step.Made, Kind: step.KindFirewall, What: front + " " + rule(port), Why: hint.T(
				"lets visitors in on port %d", "laisse entrer les visiteurs par le port %d", port)})
		}
	}
	if front == host.Firewalld && len(out) > 0 {
		zone, err := s.zone(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(zone); errors.Is(err, fs.ErrNotExist) {
			out = append(out, step.Change{Op: step.Made, Kind: step.KindFile, What: zone, Why: hint.T("where firewalld keeps that", "où firewalld retient cela")})
		}
	}
	return out, nil
}

// Unwanted implements step.Pruner: the rules made for ports that are not ours any more, and
// after the last one the file that was made for them.
func (s firewallStep) Unwanted(context.Context) ([]step.Change, error) {
	if s.m.cfg.Answers.Firewall == FirewallLeave {
		return nil, nil
	}
	var rules, files, out []step.Change
	for _, c := range s.m.history.MadeBy(s.ID()) {
		if c.Kind != step.KindFirewall {
			files = append(files, c)
			continue
		}
		rules = append(rules, c)
		_, r, _ := strings.Cut(c.What, " ")
		port, err := strconv.Atoi(strings.TrimSuffix(r, "/tcp"))
		if err != nil || slices.Contains(openPorts(s.m.settings), port) {
			continue
		}
		c.Why = hint.T("lets nobody in any more on port %d", "ne laisse plus entrer personne par le port %d", port)
		out = append(out, c)
	}
	if len(out) > 0 && len(out) == len(rules) {
		out = append(out, files...)
	}
	return out, nil
}

// zone is the file in which firewalld keeps what was changed of its default zone.
func (s firewallStep) zone(ctx context.Context) (string, error) {
	name, err := s.m.cfg.Runner.Run(ctx, "firewall-cmd", "--get-default-zone")
	if err != nil {
		return "", fmt.Errorf("cannot ask firewalld: %w", err)
	}
	return s.m.path("/etc/firewalld/zones/" + strings.TrimSpace(name) + ".xml"), nil
}

// forgetZone removes the file firewalld made for our rules, and the copy it keeps,
// once it says no more than the zone as firewalld brings it.
func (s firewallStep) forgetZone(path string) error {
	now, err1 := os.ReadFile(path)
	brought, err2 := os.ReadFile(s.m.path("/usr/lib/firewalld/zones/" + filepath.Base(path)))
	if err1 != nil || err2 != nil || plainXML(now) != plainXML(brought) {
		return nil //nolint:nilerr // gone, or there is more in it: it stays
	}
	if err := atomicfile.Remove(path + ".old"); err != nil {
		return err
	}
	return atomicfile.Remove(path)
}

// plainXML is a file of firewalld without the white space between its elements.
func plainXML(text []byte) string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, ""), " />", "/>")
}

// open reports whether the front end lets everybody in on port.
func (s firewallStep) open(ctx context.Context, front string, port int) (bool, error) {
	if front == host.UFW {
		out, err := s.m.cfg.Runner.Run(ctx, "ufw", "status")
		if err != nil {
			return false, fmt.Errorf("cannot ask ufw: %w", err)
		}
		for line := range strings.Lines(out) { // "443/tcp    ALLOW    Anywhere    # Foyer"
			f := strings.Fields(line)
			if len(f) >= 3 && (f[0] == rule(port) || f[0] == strconv.Itoa(port)) && f[1] == "ALLOW" && f[2] == "Anywhere" {
				return true, nil
			}
		}
		return false, nil
	}
	for _, args := range [][]string{{"--permanent", "--query-port=" + rule(port)}, {"--query-port=" + rule(port)}} {
		if _, err := s.m.cfg.Runner.Run(ctx, "firewall-cmd", args...); err != nil {
			if e, ok := errors.AsType[*host.RunError](err); ok && e.Code == 1 { // no
				return false, nil
			}
			return false, fmt.Errorf("cannot ask firewalld: %w", err)
		}
	}
	return true, nil
}

func (s firewallStep) Apply(ctx context.Context) error {
	changes, err := s.Check(ctx)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Kind != step.KindFirewall {
			continue
		}
		front, r, _ := strings.Cut(c.What, " ")
		commands := [][]string{{"ufw", "allow", r, "comment", "Foyer"}}
		if front == host.Firewalld {
			commands = [][]string{{"firewall-cmd", "--permanent", "--add-port=" + r}, {"firewall-cmd", "--add-port=" + r}}
		}
		if err := s.run(ctx, commands); err != nil {
			return fmt.Errorf("cannot open the firewall for %s: %w", r, err)
		}
	}
	return nil
}

var kindOrder = map[string]int{step.KindFirewall: 1, step.KindFile: 2}

// Undo closes the ports that we opened. A firewall that was taken away since, or
// a rule that somebody removed, is no error.
func (s firewallStep) Undo(ctx context.Context, made []step.Change, _ bool) error {
	made = slices.Clone(made)
	slices.SortStableFunc(made, func(a, b step.Change) int { // the rules before the file they are in
		return cmp.Compare(kindOrder[a.Kind], kindOrder[b.Kind])
	})
	for _, c := range made {
		if c.Kind == step.KindFile {
			if err := s.forgetZone(c.What); err != nil {
				return err
			}
			continue
		}
		front, r, _ := strings.Cut(c.What, " ")
		commands := [][]string{{"ufw", "delete", "allow", r}}
		if front == host.Firewalld {
			if host.Firewall(ctx, s.m.cfg.Runner) != host.Firewalld { // switched off: its files are still to be mended
				commands = [][]string{{"firewall-offline-cmd", "--remove-port=" + r}}
			} else {
				commands = [][]string{{"firewall-cmd", "--permanent", "--remove-port=" + r}, {"firewall-cmd", "--remove-port=" + r}}
			}
		}
		if err := s.run(ctx, commands); err != nil && !errors.Is(err, exec.ErrNotFound) {
			if _, refused := errors.AsType[*host.RunError](err); refused {
				s.m.cfg.Log.Warn("a firewall rule could not be removed", "rule", c.What, "err", err)
				continue
			}
			return fmt.Errorf("cannot close the firewall for %s: %w", r, err)
		}
	}
	return nil
}

func (s firewallStep) run(ctx context.Context, commands [][]string) error {
	for _, c := range commands {
		if _, err := s.m.cfg.Runner.Run(ctx, c[0], c[1:]...); err != nil {
			return err
		}
	}
	return nil
}
