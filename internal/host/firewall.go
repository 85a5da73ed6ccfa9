package host

import (
	"context"
	"regexp"
	"strconv"
	"strings"
)

// Firewalls as Firewall names them.
const (
	UFW       = "ufw"
	Firewalld = "firewalld"
	Nftables  = "nftables" // rules that no front end looks after
)

// nftDrops finds an input chain that drops what no rule lets in, in the words of
// `nft list ruleset`.
var nftDrops = regexp.MustCompile(`hook input priority [^;]+; policy drop;`)

// Firewall names the firewall that is active on this machine: "" when there is
// none. Asking nft takes root; without it Nftables is not seen.
func Firewall(ctx context.Context, r Runner) string {
	if out, err := r.Run(ctx, "ufw", "status"); err == nil && strings.Contains(out, "Status: active") {
		return UFW
	}
	if out, err := r.Run(ctx, "firewall-cmd", "--state"); err == nil && strings.TrimSpace(out) == "running" {
		return Firewalld
	}
	if out, err := r.Run(ctx, "nft", "list", "ruleset"); err == nil && nftDrops.MatchString(out) {
		return Nftables
	}
	return ""
}

// nftPorts are the TCP ports that rules of nft let in.
var nftPorts = regexp.MustCompile(`tcp dport (\d+|\{[^}]*\})[^\n]* accept`)

// Admits reports whether a firewall that Firewall named lets visitors in on a TCP
// port, as far as its own words tell; true when they cannot be had.
func Admits(ctx context.Context, r Runner, firewall string, port int) bool {
	digits := regexp.MustCompile(`\b` + strconv.Itoa(port) + `\b`)
	switch firewall {
	case UFW:
		out, err := r.Run(ctx, "ufw", "status")
		if err != nil {
			return true
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, "ALLOW") && (digits.MatchString(line) || strings.Contains(line, "WWW Full")) {
				return true
			}
		}
		return false
	case Firewalld:
		out, err := r.Run(ctx, "firewall-cmd", "--list-all")
		service := map[int]string{80: "http", 443: "https"}[port]
		return err != nil || digits.MatchString(out) || service != "" && regexp.MustCompile(`\b`+service+`\b`).MatchString(out)
	case Nftables:
		out, err := r.Run(ctx, "nft", "list", "ruleset")
		if err != nil {
			return true
		}
		for _, rule := range nftPorts.FindAllStringSubmatch(out, -1) {
			if digits.MatchString(rule[1]) {
				return true
			}
		}
		return false
	}
	return true
}
