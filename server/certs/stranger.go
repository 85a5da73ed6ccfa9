package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"

	"github.com/foyer-server/foyer/internal/netname"
)

// mute makes a certificate that tells nothing: no name, no address, and nobody who
// signed it, since the home CA's own certificate lists this server's names. It is
// shown to who comes from outside and does not know whom they want. They can go on
// after their browser's warning, which they would have got in any case: that is how
// the owner of a rented machine comes to it the first time.
func mute() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make the certificate for strangers: %w", err)
	}
	number, err := serial()
	if err != nil {
		return nil, err
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{Organization: []string{"Foyer"}},
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}, &x509.Certificate{Subject: pkix.Name{Organization: []string{"Foyer"}}}, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make the certificate for strangers: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// fromOutside reports whether a client's address is none of a home's.
func fromOutside(conn net.Conn) bool {
	if conn == nil {
		return false
	}
	from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	return err == nil && !netname.Within(from.Addr())
}
