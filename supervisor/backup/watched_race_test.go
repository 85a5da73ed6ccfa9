//go:build race

package backup

// watched says that the race detector is on: everything takes ten times as long, and what
// runs long is shown without it.
const watched = true

// dose is how much of something is done: all of it, or, watched, a part.
func dose(_, part int) int { return part }
