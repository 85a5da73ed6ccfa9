//go:build !race

package backup

// watched says that the race detector is on.
const watched = false
