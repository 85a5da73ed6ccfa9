package host

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// defaultGateway reads the kernel's table of routes (proc_pid_net(5)): of those to
// everywhere, the one with the lowest metric.
func defaultGateway() (netip.Addr, error) {
	table, err := os.ReadFile("/proc/self/net/route") // not /proc/net, which the unit's ProcSubset=pid hides
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: %w", ErrNoGateway, err)
	}
	return gatewayIn(string(table))
}

func gatewayIn(table string) (netip.Addr, error) {
	const destination, gateway, metric, mask = 1, 2, 6, 7
	var best netip.Addr
	lowest := 0
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) <= mask || f[destination] != "00000000" || f[mask] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(f[gateway])
		cost, err2 := strconv.Atoi(f[metric])
		if err != nil || err2 != nil || len(raw) != 4 {
			continue
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], binary.BigEndian.Uint32(raw)) // printed as one number of this machine
		addr := netip.AddrFrom4(b)
		if !addr.IsUnspecified() && (!best.IsValid() || cost < lowest) {
			best, lowest = addr, cost
		}
	}
	if !best.IsValid() {
		return netip.Addr{}, ErrNoGateway
	}
	return best, nil
}
