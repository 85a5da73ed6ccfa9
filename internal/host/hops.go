package host

import (
	"context"
	"net/netip"
)

// nobodys is an IPv4 address that nobody has (RFC 5737): what is sent there follows
// the way to everywhere.
func nobodys() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 1}) }

// Hops returns who passes packets on, on the first n steps of the IPv4 way to
// everywhere, as far as they say so before ctx ends; a step that says nothing is the
// zero Addr. Nothing goes further than n steps. It returns nil where the system does
// not tell.
func Hops(ctx context.Context, n int) []netip.Addr { return hops(ctx, nobodys(), n) }
