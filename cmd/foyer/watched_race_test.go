//go:build race

package main

// watched says that the race detector is on: passwords take ten times as long.
const watched = true
