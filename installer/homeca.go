package installer

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// HomeRoot is the root certificate of a home CA that a machine may trust: it was
// parsed, and can vouch for this server's names and private addresses only. LoadHomeRoot
// is the one way to get one, TrustStore.Install takes nothing else.
type HomeRoot struct{ cert *x509.Certificate }

// DER are the certificate's bytes.
func (r HomeRoot) DER() []byte { return bytes.Clone(r.cert.Raw) }

// PEM is the certificate, encoded anew: nothing of the file it was in.
func (r HomeRoot) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw})
}

// LoadHomeRoot reads the root certificate of the Foyer with settings s. That file is
// user foyer's, who must not be able to have anything else read or trusted: its folder
// is gone into without links, and the certificate has to be such as the home CA makes
// them. The error is home-ca-missing where there is none, home-ca-unsafe where it is not
// such a one, or matches fs.ErrPermission.
func LoadHomeRoot(s *config.Settings, now time.Time) (HomeRoot, error) {
	path := visit.RootCertificate(s.Data)
	text, err := safepath.ReadFile(path, visit.MostRoot)
	if errors.Is(err, fs.ErrPermission) {
		return HomeRoot{}, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return HomeRoot{}, hint.New("home-ca-missing",
			hint.T("There is no certificate of this server in %s yet.", "Il n'y a pas encore de certificat de ce serveur dans %s.", s.Data), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Start Foyer once; where a reverse proxy has the certificate, there is nothing to trust.", "Démarrez Foyer une fois ; là où un mandataire inverse a le certificat, il n'y a rien à faire.")).Because(err)
	}
	var root HomeRoot
	if err == nil {
		root, err = parseHomeRoot(text, s, now)
	}
	if err != nil {
		why, do := hint.T("it cannot be read", "il ne peut être lu"),
			hint.T("If you did not put it there, somebody else did: look at `sudo foyer logs`. Once the folder %s is moved away, a restart makes a new home CA.", "Si vous ne l'y avez pas mis, quelqu'un d'autre l'a fait : voyez `sudo foyer logs`. Une fois le dossier %s déplacé, un redémarrage crée une nouvelle autorité.", filepath.Dir(path))
		if e, ok := errors.AsType[*safepath.Error](err); ok {
			why = hint.T("%s %s", "%s : %s", e.Path, reason(e.Why))
		} else if e, ok := errors.AsType[unsafeRoot](err); ok {
			why = e.why
			if e.name {
				do = hint.T("If this server had that name once, put it back into `addresses`, or move the folder %s away: a restart makes a new home CA.", "Si ce serveur a eu ce nom, remettez-le dans `addresses`, ou déplacez le dossier %s : un redémarrage crée une nouvelle autorité.", filepath.Dir(path))
			}
		}
		return HomeRoot{}, hint.New("home-ca-unsafe",
			hint.T("The certificate in %s is not one of a home CA of this server: %s. With it, others could pretend to be any site.", "Le certificat dans %s n'est pas celui d'une autorité domestique de ce serveur : %s. Avec lui, d'autres pourraient se faire passer pour n'importe quel site.", path, why),
			hint.T("This machine does not trust it; nothing was changed.", "Cette machine ne lui fait pas confiance ; rien n'a été changé."),
			do).Because(err)
	}
	return root, nil
}

// unsafeRoot says why a certificate is not to be trusted.
type unsafeRoot struct {
	why  hint.Text
	name bool // for a name it may vouch for
}

func (u unsafeRoot) Error() string { return u.why.EN }

// The longest time a root certificate may go on from now, and a day no clock is before
// (server/certs/homeca.go makes them for ten years from the later of both).
const longestRoot = 11

var rootEpoch = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// parseHomeRoot takes the text of root.crt: one certificate, and nothing else.
func parseHomeRoot(text []byte, s *config.Settings, now time.Time) (HomeRoot, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN CERTIFICATE-----")) {
		return HomeRoot{}, unsafeRoot{why: hint.T("the file holds something other than one certificate", "le fichier contient autre chose qu'un seul certificat")}
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return HomeRoot{}, fmt.Errorf("cannot parse the certificate: %w", err)
	}
	if now.Before(rootEpoch) {
		now = rootEpoch
	}
	switch {
	case !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 || c.KeyUsage&^(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return HomeRoot{}, unsafeRoot{why: hint.T("it is no certificate authority's", "ce n'est pas celui d'une autorité")}
	case !bytes.Equal(c.RawIssuer, c.RawSubject) || c.CheckSignatureFrom(c) != nil:
		return HomeRoot{}, unsafeRoot{why: hint.T("it was signed by somebody else", "il a été signé par quelqu'un d'autre")}
	case !c.PermittedDNSDomainsCritical || len(c.UnhandledCriticalExtensions) > 0 || len(c.PermittedDNSDomains) == 0 || len(c.PermittedIPRanges) == 0 ||
		!slices.Equal(c.PermittedEmailAddresses, []string{"invalid"}) || !slices.Equal(c.PermittedURIDomains, []string{"invalid"}):
		return HomeRoot{}, unsafeRoot{why: hint.T("it may vouch for any site", "il peut se porter garant de n'importe quel site")}
	case !now.Before(c.NotAfter) || now.Before(c.NotBefore) || c.NotAfter.After(now.AddDate(longestRoot, 0, 0)):
		return HomeRoot{}, unsafeRoot{why: hint.T("its time is over, or has no end in sight", "sa durée est échue, ou sans fin prévisible")}
	}
	for _, name := range c.PermittedDNSDomains {
		if !ownName(name, s) {
			return HomeRoot{}, unsafeRoot{why: hint.T("it may vouch for %q, which is no name of this server", "il peut se porter garant de %q, qui n'est pas un nom de ce serveur", name), name: true}
		}
	}
	for _, ip := range c.PermittedIPRanges {
		if !privateRange(ip) {
			return HomeRoot{}, unsafeRoot{why: hint.T("it may vouch for the addresses %s, which are not private", "il peut se porter garant des adresses %s, qui ne sont pas privées", ip)}
		}
	}
	return HomeRoot{c}, nil
}

// ownName reports whether nobody else in the world can have this name, or it is one that
// the settings give this server. That a router calls machines by a name is not enough:
// outside it may be somebody's.
func ownName(name string, s *config.Settings) bool {
	return netname.NobodyElses(name) || name != "" && slices.ContainsFunc(s.Addresses, func(a string) bool { return strings.EqualFold(a, name) })
}

func privateRange(n *net.IPNet) bool {
	ip, ok := netip.AddrFromSlice(n.IP)
	bits, all := n.Mask.Size()
	if !ok || all != ip.BitLen() {
		return false
	}
	return slices.ContainsFunc(netname.WithinNets(), func(p netip.Prefix) bool { return p.Contains(ip) && bits >= p.Bits() })
}
