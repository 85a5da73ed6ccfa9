//go:build !race

package server_test

// watched says that the race detector is on: bcrypt takes ten times as long.
const watched = false
