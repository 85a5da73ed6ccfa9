// Package attack tests that one visitor cannot stop the others. A real `foyer try`
// (supervisor and server) answers over HTTPS, on SQLite and on PostgreSQL; from one
// address somebody does what docs/hardening.md tells of ("One request, one caller, one
// address"), as hard as two cores can; from another address a member writes, reads back
// and lists what is theirs, all the while.
//
// What is judged: the member is answered, each time; the server is never replaced; its
// memory and its log stay within bounds; what was refused leaves nothing. How long the
// member waits is printed beside how long they waited before and after.
//
// The tests are behind the build tag e2e and need no root; everything listens on
// loopback, where each of 127.0.0.0/8 is another visitor. FOYER_E2E_BINARY is the program;
// with FOYER_E2E_WHOLE each attack lasts half a minute instead of seconds.
//
// What this cannot prove: what a network of many machines does that share the attack, and
// a line at home that is full before anything arrives.
package attack
