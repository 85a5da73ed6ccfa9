// Package trust tests what other people's programs think of Foyer's certificates:
// testssl.sh of how it speaks TLS, and OpenSSL and Chromium of its home CA, also of
// one whose key was stolen. The server is a real `foyer try`, and the thief has
// what lies in its data folder.
//
// The tests are behind the build tag e2e and need no root; everything listens on
// loopback. FOYER_E2E_BINARY is the program.
//
// What this cannot prove: what Firefox, Windows, Apple's and Android's programs think.
package trust
