package certs

import (
	"crypto/tls"
	"os"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// own is the certificate an owner brought: two files, read again when they
// change. What does not work does not replace what does.
type own struct {
	certFile, keyFile string
	names             []string // of the settings: it should cover one of them at least

	read    bool // once at least
	stamp   [2]fileStamp
	cert    *tls.Certificate // nil: none could be read yet
	unread  *Failure         // why the files cannot be read now
	failure *Failure         // nil: all is well
}

type fileStamp struct {
	at   time.Time
	size int64
}

// refresh reads the files if they changed. One runs at a time.
func (o *own) refresh() {
	var seen [2]fileStamp
	for i, path := range []string{o.certFile, o.keyFile} {
		if info, err := os.Stat(path); err == nil {
			seen[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	if o.read && seen == o.stamp {
		if o.unread == nil {
			o.failure = o.judge(o.cert)
		}
		return
	}
	o.stamp, o.read = seen, true
	cert, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
	if err != nil {
		o.unread = o.unfit(err)
		o.failure = o.unread
		return
	}
	o.unread = nil
	if o.failure = o.judge(&cert); o.failure == nil || o.cert == nil || o.judge(o.cert) != nil {
		o.cert = &cert
	}
}

// judge says what is wrong with a certificate that can be read; nil: nothing.
func (o *own) judge(cert *tls.Certificate) *Failure {
	switch {
	case now().After(cert.Leaf.NotAfter):
		return &Failure{
			Kind: "own-over", At: time.Now(),
			What: hint.T("Your own certificate in %s ended on %s.", "Votre propre certificat dans %s a pris fin le %s.", o.certFile, cert.Leaf.NotAfter.Format(time.DateOnly)),
			Do:   hint.T("Put a new one there; it is taken up by itself.", "Mettez-en un nouveau à sa place ; il est repris tout seul."),
		}
	case !covers(cert, o.names):
		return &Failure{
			Kind: "own-foreign", At: time.Now(),
			What: hint.T("Your own certificate in %s is for none of this server's names; it is for %v.", "Votre propre certificat dans %s n'est pour aucun des noms de ce serveur ; il est pour %v.", o.certFile, cert.Leaf.DNSNames),
			Do:   hint.T("Add its name to the setting `addresses`.", "Ajoutez son nom au réglage `addresses`."),
		}
	}
	return nil
}

func covers(cert *tls.Certificate, names []string) bool {
	for _, name := range names {
		if cert.Leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}

// unfit says why the files cannot be used.
func (o *own) unfit(err error) *Failure {
	f := &Failure{Kind: "own-unreadable", At: time.Now(), Reason: err.Error()}
	f.What = hint.T("Your own certificate in %s and its key in %s cannot be used.", "Votre propre certificat dans %s et sa clé dans %s sont inutilisables.", o.certFile, o.keyFile)
	f.Do = hint.T("Check that both are PEM files which the user Foyer runs as may read.", "Vérifiez que ce sont deux fichiers PEM que l'utilisateur de Foyer peut lire.")
	if mismatched(err) {
		f.Kind = "own-mismatch"
		f.What = hint.T("The key in %s is not that of the certificate in %s.", "La clé dans %s n'est pas celle du certificat dans %s.", o.keyFile, o.certFile)
		f.Do = hint.T("Put the two files there that were issued together.", "Mettez-y les deux fichiers émis ensemble.")
	}
	return f
}

// mismatched reports whether key and certificate can be read and do not belong
// together; crypto/tls has only words for it.
func mismatched(err error) bool {
	return err.Error() == "tls: private key does not match public key" || err.Error() == "tls: private key type does not match public key type"
}
