//go:build race

package routine

// watched says that the race detector is on: everything takes ten times as long, and what runs long
// is shown without it.
const watched = true
