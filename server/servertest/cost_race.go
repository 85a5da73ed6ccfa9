//go:build race

package servertest

import "golang.org/x/crypto/bcrypt"

// hashCost is the least there is: with the race detector one hash takes a second and more,
// and what costs count for is shown without it, in the matrix of rules.
const hashCost = bcrypt.MinCost
