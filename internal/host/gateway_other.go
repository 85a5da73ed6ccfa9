//go:build !linux

package host

import "net/netip"

func defaultGateway() (netip.Addr, error) { return netip.Addr{}, ErrNoGateway }
