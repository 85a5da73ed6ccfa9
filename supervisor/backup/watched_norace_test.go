//go:build !race

package backup

// watched says that the race detector is on.
const watched = false

// dose is how much of something is done: all of it, or, watched, a part.
func dose(all, _ int) int { return all }
