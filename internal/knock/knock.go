// Package knock is how two Foyers find out whether visitors get in at one of them:
// one asks the other to dial it back and to look for a nonce (docs/reach.md).
//
// It holds the words both sides have to write alike: the paths, what is asked and
// answered, and what proves that it was the asker's own server which answered: the
// hash of the nonce, so that a server which merely repeats what it is sent proves
// nothing. A nonce is 128 random bits and is good for one knock.
//
// Used by server/dial, which answers, and by supervisor/reach, which asks.
package knock

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
)

// Where things are asked.
const (
	// Dial is the path at the peer: GET tells the asker's address as plain text, POST
	// takes a Request and answers a Reply.
	Dial = "/.well-known/foyer/dial"
	// Proof, and a nonce after it, is the path at the asker.
	Proof = "/.well-known/foyer/nonce/"
	// Local is the path on the server's private socket by which the supervisor lets it
	// know a nonce.
	Local = "/nonce"
)

// Request asks to be dialled back.
type Request struct {
	Nonce string `json:"nonce"`
	Name  string `json:"name,omitempty"` // by which to call at the address; "" = by the address alone
}

// Reply is what the peer found.
type Reply struct {
	Seen  netip.Addr      `json:"seen"`  // the address the question came from, which is the one that was dialled
	Ports map[int]Outcome `json:"ports"` // 80 and 443
}

// Outcome is how it went on one port.
type Outcome string

// What an outcome may be.
const (
	OK          Outcome = "ok"          // the asker's server answered
	Refused     Outcome = "refused"     // a machine is there and says that nobody listens
	Timeout     Outcome = "timeout"     // nobody says anything
	Unreachable Outcome = "unreachable" // the network says that there is no way
	Other       Outcome = "other"       // somebody answers who is not the asker's server
)

// Known reports whether o is one of them.
func (o Outcome) Known() bool {
	switch o {
	case OK, Refused, Timeout, Unreachable, Other:
		return true
	}
	return false
}

// Ports are those that are dialled, and no others.
func Ports() []int { return []int{80, 443} }

// NewNonce returns a fresh one.
func NewNonce() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // it does not fail
	return hex.EncodeToString(b[:])
}

// Nonce reports whether text is written as one.
func Nonce(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == 16 && hex.EncodeToString(b) == text
}

// Answer is the body by which a server proves that it knows the nonce.
func Answer(nonce string) string {
	sum := sha256.Sum256([]byte("foyer knock\n" + nonce))
	return hex.EncodeToString(sum[:])
}
