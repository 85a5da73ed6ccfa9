// Package e2e tests Foyer as it is on a real machine: a Debian with systemd as
// process 1, booted by systemd-nspawn from a tree made of Debian's packages, with
// a file system and a network namespace of its own. Power cuts are kills of its
// process 1. Nothing in it is a stand-in.
//
// The tests want root and are behind the build tag e2e; `make test` runs them all,
// `make show-foundation` those that show what the foundation promises, one line
// of figures each. FOYER_E2E_TREE is the Debian tree, FOYER_E2E_BINARY the program.
//
// What this cannot prove: what reaches a disk at a power cut (the page cache of
// the host survives), SD cards, real routers.
package e2e
