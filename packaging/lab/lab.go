// Package lab tests how Foyer is found, in networks made for it: namespaces of the
// kernel, joined by cables of its own, with the daemons that are met at people's
// homes in them: Avahi on a D-Bus of its own, miniupnpd with nftables as a router, BIND.
// Nothing in it is a stand-in but the device that lies (liar_test.go), which speaks as
// no honest program does.
//
// The tests want root and are behind the build tag e2e; `make test` runs them all,
// `make show-certificates` prints their lines of figures. FOYER_E2E_BINARY is the
// program.
//
// Names and addresses outside are such as the Internet has, because Foyer treats no others
// as public. They lead to nobody: no namespace has a way out.
//
// What this cannot prove: what routers people have answer, and what their WLANs do
// to multicast.
package lab
