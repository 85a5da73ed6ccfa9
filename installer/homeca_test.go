package installer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// madeRoot makes a root certificate as server/certs/homeca.go does, but for what change
// does to it.
func madeRoot(t *testing.T, change func(*x509.Certificate)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Foyer foyer 0000CAFE", Organization: []string{"Foyer"}},
		NotBefore: time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: 1,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"foyer.local", "foyer.home.arpa", "localhost"},
		PermittedEmailAddresses: []string{"invalid"}, PermittedURIDomains: []string{"invalid"},
	}
	for _, p := range netname.WithinNets() {
		c.PermittedIPRanges = append(c.PermittedIPRanges, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if c.Issuer.CommonName != "" { // somebody else's
		parent = &x509.Certificate{Subject: c.Issuer}
		if signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A machine trusts a home CA of this server, and nothing else that is put in its place.
func TestOnlyAHomeCAIsTrusted(t *testing.T) {
	t.Attr("shows", "mend")
	fine := madeRoot(t, nil)
	block, _ := pem.Decode(fine)
	key := []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	for name, c := range map[string]struct {
		text []byte
		why  string // "": it is trusted
	}{
		"as Foyer makes it": {fine, ""},
		"a public name of the settings": {madeRoot(t, func(c *x509.Certificate) {
			c.PermittedDNSDomains = append(c.PermittedDNSDomains, "cloud.example.org")
		}), ""},
		"another name at home":   {madeRoot(t, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"before.local"} }), ""},
		"nothing":                {nil, "other than one certificate"},
		"a key before it":        {append(bytes.Clone(key), fine...), "other than one certificate"},
		"a key after it":         {append(bytes.Clone(fine), key...), "other than one certificate"},
		"two":                    {append(bytes.Clone(fine), fine...), "other than one certificate"},
		"text before it":         {append([]byte("hello\n"), fine...), "other than one certificate"},
		"headers":                {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"a": "b"}, Bytes: block.Bytes}), "other than one certificate"},
		"another type":           {pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: block.Bytes}), "other than one certificate"},
		"bytes after it":         {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(bytes.Clone(block.Bytes), 0)}), "cannot be read"},
		"a server's":             {madeRoot(t, func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.KeyUsage = false, 0, x509.KeyUsageDigitalSignature }), "no certificate authority's"},
		"one that signs more":    {madeRoot(t, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature }), "no certificate authority's"},
		"one that signs nothing": {madeRoot(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), "no certificate authority's"},
		"signed by somebody":     {madeRoot(t, func(c *x509.Certificate) { c.Issuer.CommonName = "Somebody" }), "somebody else"},
		"without constraints": {madeRoot(t, func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedIPRanges, c.PermittedEmailAddresses, c.PermittedURIDomains = nil, nil, nil, nil
		}), "any site"},
		"constraints one may pass over": {madeRoot(t, func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false }), "any site"},
		"any name":                      {madeRoot(t, func(c *x509.Certificate) { c.PermittedDNSDomains = nil }), "any site"},
		"any address":                   {madeRoot(t, func(c *x509.Certificate) { c.PermittedIPRanges = nil }), "any site"},
		"any e-mail":                    {madeRoot(t, func(c *x509.Certificate) { c.PermittedEmailAddresses = nil }), "any site"},
		"a domain of the world":         {madeRoot(t, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"com"} }), `"com", which is no name`},
		"a bank": {madeRoot(t, func(c *x509.Certificate) {
			c.PermittedDNSDomains = append(c.PermittedDNSDomains, "bank.example")
		}), `"bank.example", which is no name`},
		"a router's name, which is somebody's outside": {madeRoot(t, func(c *x509.Certificate) {
			c.PermittedDNSDomains = append(c.PermittedDNSDomains, "nas.fritz.box")
		}), `"nas.fritz.box", which is no name`},
		"all of local": {madeRoot(t, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"local"} }), `"local", which is no name`},
		"all addresses": {madeRoot(t, func(c *x509.Certificate) {
			c.PermittedIPRanges = append(c.PermittedIPRanges, &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)})
		}), "not private"},
		"half of all addresses": {madeRoot(t, func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(7, 32)}}
		}), "not private"},
		"over":         {madeRoot(t, func(c *x509.Certificate) { c.NotAfter = time.Date(2026, time.October, 1, 0, 0, 0, 0, time.UTC) }), "its time is over"},
		"not yet":      {madeRoot(t, func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(1, 0, 0) }), "its time is over"},
		"for ever":     {madeRoot(t, func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(20, 0, 0) }), "its time is over"},
		"much too big": {append(bytes.Repeat([]byte("\n"), visit.MostRoot+1), fine...), "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			s := config.Default()
			s.Data, s.Addresses = t.TempDir(), []string{"Cloud.example.org", "192.168.1.2"}
			path := visit.RootCertificate(s.Data)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, c.text, 0o644)); err != nil {
				t.Fatal(err)
			}
			root, err := LoadHomeRoot(s, time.Now())
			if c.why == "" {
				if err != nil || !bytes.Equal(root.PEM(), c.text) {
					t.Errorf("%v", err)
				}
				return
			}
			e := hint.Find(err)
			if e == nil || e.Code != "home-ca-unsafe" || !strings.Contains(e.What.EN, c.why) || root.cert != nil {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := LoadHomeRoot(&config.Settings{Data: t.TempDir()}, time.Now()); hint.Find(err) == nil || hint.Find(err).Code != "home-ca-missing" {
		t.Errorf("without one: %v", err)
	}
	if _, err := parseHomeRoot(fine, config.Default(), time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Errorf("by a clock that was never set: %v", err)
	}
}
