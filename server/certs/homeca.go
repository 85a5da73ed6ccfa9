package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/netname"
)

// homeCA is a certificate authority for this server alone: a certmagic.Issuer.
//
// On disk it is one file, intermediate.pem (key, intermediate, root), because one
// file is written whole or not at all; root.crt beside it is a copy of the root
// for people and is made again whenever it is missing or different. The root's
// key exists while the intermediate is signed and is never written.
type homeCA struct {
	tuning
	root, intermediate *x509.Certificate
	key                *ecdsa.PrivateKey
	also               []netip.Addr // put into every certificate besides its name
}

var _ certmagic.Issuer = (*homeCA)(nil)

const issuerPrefix = "home-"

// sharedCA is the key of the CA where servers share it.
const sharedCA = "home-ca/intermediate.pem"

// epoch is when this was written: no clock that shows an earlier time is right.
// A machine without a battery clock starts somewhere in the past; certificates
// made then must hold for visitors whose clocks are right.
var epoch = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

func now() time.Time {
	if t := time.Now(); t.After(epoch) {
		return t
	}
	return epoch
}

// openHomeCA loads the CA in dir, or where servers share it, or makes one for the DNS names. A CA that
// permits more than the names stays: names taken out of the settings ask nobody
// to trust again; nor does a public name that is added, for which there is another
// authority: only what it must be able to sign asks for a new one. A CA is never replaced for what the clock says: a machine with
// a wrong date must not lose everybody's trust.
func openHomeCA(ctx context.Context, dir string, shared certmagic.Storage, name string, names, must []string, log *slog.Logger) (_ *homeCA, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the home CA: %w", err)
	}
	if err := atomicfile.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "intermediate.pem")
	read := func() ([]byte, error) { return os.ReadFile(path) }
	keep := func(data []byte) error { return atomicfile.Write(path, data, 0o600) }
	if shared != nil {
		// Servers that start together make one, and the others find it.
		if err := shared.Lock(ctx, sharedCA); err != nil {
			return nil, fmt.Errorf("cannot wait for another server to make the home CA: %w", err)
		}
		defer func() { err = errors.Join(err, shared.Unlock(context.WithoutCancel(ctx), sharedCA)) }()
		read = func() ([]byte, error) { return shared.Load(ctx, sharedCA) }
		keep = func(data []byte) error { return shared.Store(ctx, sharedCA, data) }
	}
	data, err := read()
	first := errors.Is(err, fs.ErrNotExist)
	if err != nil && !first {
		return nil, fmt.Errorf("cannot read the home CA: %w", err)
	}
	ca, why := &homeCA{}, error(nil)
	if !first {
		if ca, why = parseHomeCA(data); why == nil {
			why = ca.covers(must)
		}
	}
	if first || why != nil {
		if ca, data, err = makeHomeCA(name, names); err != nil {
			return nil, fmt.Errorf("cannot make the home CA: %w", err)
		}
		if err := keep(data); err != nil {
			return nil, err
		}
	}
	if err := publish(filepath.Join(dir, "root.crt"), ca.root); err != nil {
		return nil, err
	}
	switch {
	case first:
		log.Info("home CA made", "names", names, "fingerprint", fingerprint(ca.root.Raw))
	case why != nil:
		log.Error("A NEW HOME CA WAS MADE: every device that trusted this server has to trust it again, at /trust",
			"why", why, "names", names, "fingerprint", fingerprint(ca.root.Raw))
	}
	return ca, nil
}

// publish writes the root for everybody to read, unless it is there.
func publish(path string, root *x509.Certificate) error {
	want := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return atomicfile.Write(path, want, 0o644)
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// makeHomeCA makes root and intermediate and returns them with the file that
// holds them. The root's key is gone when it returns.
func makeHomeCA(name string, names []string) (*homeCA, []byte, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	tag, err := serial()
	if err != nil {
		return nil, nil, err
	}
	// A name of its own for each CA, so that no verifier confuses an old one with a new one.
	called := fmt.Sprintf("Foyer %s %08X", name, tag.Bits()[0]&0xffffffff)
	rootTemplate, err := caTemplate(called, names)
	if err != nil {
		return nil, nil, err
	}
	rootTemplate.MaxPathLen = 1
	root, err := sign(rootTemplate, rootTemplate, &rootKey.PublicKey, rootKey)
	if err != nil {
		return nil, nil, err
	}
	template, err := caTemplate(called+" intermediate", names)
	if err != nil {
		return nil, nil, err
	}
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} // nothing but web servers below it
	template.NotAfter = root.NotAfter
	intermediate, err := sign(template, root, &key.PublicKey, rootKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	var file bytes.Buffer
	for _, b := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: keyDER}, {Type: "CERTIFICATE", Bytes: intermediate.Raw}, {Type: "CERTIFICATE", Bytes: root.Raw}} {
		if err := pem.Encode(&file, b); err != nil {
			return nil, nil, err
		}
	}
	return &homeCA{root: root, intermediate: intermediate, key: key}, file.Bytes(), nil
}

// caTemplate is what root and intermediate have in common: for ten years, from a
// day long past for whoever's clock is slow, and the name constraints.
//
// RFC 5280 §4.2.1.10: a kind of name is restricted when a subtree of it is
// permitted; then names of that kind outside are refused. A DNS subtree permits
// the name and everything below it. For e-mail and URIs the permitted subtree is
// .invalid, in which nothing can exist (RFC 2606 §2): there is no spelling of
// "exclude all" that every verifier understands.
func caTemplate(called string, names []string) (*x509.Certificate, error) {
	number, err := serial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          number,
		Subject:               pkix.Name{CommonName: called, Organization: []string{"Foyer"}},
		NotBefore:             time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              now().AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         names,
		PermittedEmailAddresses:     []string{"invalid"},
		PermittedURIDomains:         []string{"invalid"},
	}
	for _, p := range netname.WithinNets() { // the only addresses the home CA signs
		t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return t, nil
}

func serial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280 §4.1.2.2: at most 20 bytes, positive
}

func sign(template, parent *x509.Certificate, pub *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// parseHomeCA reads intermediate.pem and checks that its parts belong together.
func parseHomeCA(data []byte) (*homeCA, error) {
	ca := &homeCA{}
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		switch block.Type {
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("its key cannot be read: %w", err)
			}
			ca.key, _ = key.(*ecdsa.PrivateKey)
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("a certificate of it cannot be read: %w", err)
			}
			certs = append(certs, cert)
		}
	}
	if ca.key == nil || len(certs) != 2 {
		return nil, errors.New("the file of the old one was not whole")
	}
	ca.intermediate, ca.root = certs[0], certs[1]
	if !ca.key.PublicKey.Equal(ca.intermediate.PublicKey) {
		return nil, errors.New("key and certificate of the old one do not belong together")
	}
	if err := ca.intermediate.CheckSignatureFrom(ca.root); err != nil {
		return nil, fmt.Errorf("its root did not sign it: %w", err)
	}
	return ca, nil
}

// covers says which of the names the CA may not sign.
func (ca *homeCA) covers(names []string) error {
	for _, name := range names {
		for _, cert := range []*x509.Certificate{ca.root, ca.intermediate} {
			if !slices.ContainsFunc(cert.PermittedDNSDomains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) }) {
				return fmt.Errorf("the old one may not sign the name %s", name)
			}
		}
	}
	return nil
}

// IssuerKey implements certmagic.Issuer. It names the CA: what another one issued
// is not found under it.
func (ca *homeCA) IssuerKey() string { return issuerPrefix + fingerprint(ca.root.Raw)[:16] }

// Issue implements certmagic.Issuer: a certificate for the names in csr, the
// chain below it, for at most 90 days. Names the CA may not sign are an error
// here, too, not only with those who verify.
func (ca *homeCA) Issue(_ context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("cannot issue: %w", err)
	}
	if err := ca.covers(csr.DNSNames); err != nil {
		return nil, fmt.Errorf("cannot issue: %w", err)
	}
	for _, ip := range csr.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); !ok || !netname.Within(a) {
			return nil, fmt.Errorf("cannot issue: %s is not a private address", ip)
		}
	}
	if len(csr.DNSNames)+len(csr.IPAddresses) == 0 {
		return nil, errors.New("cannot issue: no name is asked for")
	}
	number, err := serial()
	if err != nil {
		return nil, err
	}
	begin := now().Add(-ca.backdate)
	end := begin.Add(ca.lifetime)
	if end.After(ca.intermediate.NotAfter) {
		end = ca.intermediate.NotAfter
	}
	if !end.After(now()) {
		return nil, fmt.Errorf("cannot issue: the home CA ended on %s, by this machine's clock", ca.intermediate.NotAfter.Format(time.DateOnly))
	}
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{Organization: []string{"Foyer"}},
		NotBefore: begin, NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              csr.DNSNames, IPAddresses: slices.Clone(csr.IPAddresses),
	}
	for _, a := range ca.also {
		if ip := net.IP(a.AsSlice()); !slices.ContainsFunc(template.IPAddresses, ip.Equal) {
			template.IPAddresses = append(template.IPAddresses, ip)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.intermediate, csr.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("cannot issue: %w", err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.intermediate.Raw})...)
	return &certmagic.IssuedCertificate{Certificate: chain}, nil
}
