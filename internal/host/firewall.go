package host

import (
	"context"
	"regexp"
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
