//go:build !race

package routine

const watched = false
