// Package front tests Foyer behind the reverse proxies people have: real nginx,
// Apache, Caddy and HAProxy, each with the snippet that `foyer proxy` prints,
// unchanged, before a real `foyer try --proxy`. Nothing in it is a stand-in.
//
// The tests are behind the build tag e2e and need no root; everything listens on
// loopback. FOYER_E2E_BINARY is the program.
//
// What this cannot prove: Traefik, which Debian does not have, and proxies on
// another machine.
package front
