//go:build race

package server

// watched says that the race detector is on: everything takes ten times as long.
const watched = true
