//go:build !race

package servertest

// hashCost is that of a real server.
const hashCost = 0
