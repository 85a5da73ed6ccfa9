package certs

import (
	"errors"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Failure is why a name has not got the certificate it should have, in words.
type Failure = report.Failure

// explain turns why no certificate came for name into words.
func explain(name, ca string, err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	f := &Failure{At: time.Now()}
	if u, ok := errors.AsType[*unwritten](err); ok {
		f.Kind, f.Reason = "dns-provider", u.err.Error()
		f.What = hint.T("The DNS provider did not take the record that proves %s is yours.", "Le fournisseur DNS n'a pas pris l'enregistrement qui prouve que %s est à vous.", name)
		f.Do = hint.T("Check the settings `dns.credentials` and `dns.zone`.", "Vérifiez les réglages `dns.credentials` et `dns.zone`.")
		return f
	}
	problem, ok := errors.AsType[acme.Problem](err)
	if !ok {
		f.Kind, f.Reason = "unreachable", err.Error()
		f.What = hint.T("The certificate authority %s could not be reached for %s.", "L'autorité de certification %s n'a pas pu être jointe pour %s.", ca, name)
		f.Do = hint.T("Check that this machine reaches the internet; Foyer keeps trying.", "Vérifiez que cette machine accède à internet ; Foyer continue d'essayer.")
		return f
	}
	f.Reason = problem.Detail
	for _, sub := range problem.Subproblems { // the one that counts may stand below
		if problem.Type == acme.ProblemTypeCompound || problem.Detail == "" {
			problem.Type, f.Reason = sub.Type, sub.Detail
		}
	}
	switch problem.Type {
	case acme.ProblemTypeConnection, acme.ProblemTypeTLS:
		f.Kind = "connection"
		f.What = hint.T("The certificate authority could not reach this server at %s.", "L'autorité de certification n'a pas pu joindre ce serveur sur %s.", name)
		f.Do = hint.T("Forward the ports 80 and 443 of your router to this machine, or set `dns.provider`.", "Redirigez les ports 80 et 443 de votre box vers cette machine, ou réglez `dns.provider`.")
	case acme.ProblemTypeDNS:
		f.Kind = "dns"
		f.What = hint.T("The name %s cannot be found, or its DNS does not answer.", "Le nom %s est introuvable, ou son DNS ne répond pas.", name)
		f.Do = hint.T("Let %s point to this server's public address at your DNS provider.", "Faites pointer %s vers l'adresse publique de ce serveur chez votre fournisseur DNS.", name)
	case acme.ProblemTypeCAA:
		f.Kind = "caa"
		f.What = hint.T("A CAA record forbids the certificate authority to issue for %s.", "Un enregistrement CAA interdit à l'autorité de certification d'émettre pour %s.", name)
		f.Do = hint.T("Allow it at your DNS provider, e.g. `0 issue \"letsencrypt.org\"`, or remove the CAA records.", "Autorisez-la chez votre fournisseur DNS, p. ex. `0 issue \"letsencrypt.org\"`, ou retirez les enregistrements CAA.")
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse:
		f.Kind = "unauthorized"
		f.What = hint.T("The certificate authority reached another server than this one at %s.", "L'autorité de certification a joint un autre serveur que celui-ci sur %s.", name)
		f.Do = hint.T("Let %s point to this server alone (its AAAA record, too), and forward port 80 to it.", "Faites pointer %s vers ce seul serveur (aussi son enregistrement AAAA), et redirigez-y le port 80.", name)
	case acme.ProblemTypeRateLimited:
		f.Kind = "rate-limited"
		f.What = hint.T("The certificate authority has issued or refused too often for %s and wants a pause.", "L'autorité de certification a trop souvent émis ou refusé pour %s et demande une pause.", name)
		f.Do = hint.T("Wait; Foyer tries again by itself.", "Patientez ; Foyer réessaie tout seul.")
	default:
		f.Kind = "refused"
		f.What = hint.T("The certificate authority refuses a certificate for %s.", "L'autorité de certification refuse un certificat pour %s.", name)
		f.Do = hint.T("Read its reason: %s", "Lisez sa raison : %s", f.Reason)
	}
	return f
}

func heldBackUntil(name string, until time.Time) *Failure {
	at := until.Local().Format("15:04")
	return &Failure{
		Kind: "held-back", At: time.Now(),
		What: hint.T("A certificate for %s was ordered too often; the next order waits until %s.", "Un certificat pour %s a été demandé trop souvent ; la prochaine demande attend jusqu'à %s.", name, at),
		Do:   hint.T("Mend what was told before; Foyer tries again by itself.", "Réparez ce qui a été dit avant ; Foyer réessaie tout seul."),
	}
}

func wrongClock(machine, real time.Time) *Failure {
	f := &Failure{
		Kind: "clock", At: time.Now(),
		What: hint.T("This machine thinks it is %s: no certificate is ordered until its clock is right.", "Cette machine se croit le %s : aucun certificat n'est demandé tant que son horloge n'est pas juste.", machine.Format(time.DateOnly)),
		Do:   hint.T("Connect the machine to the network, or set its clock.", "Reliez la machine au réseau, ou réglez son horloge."),
	}
	if !real.IsZero() {
		f.Reason = fmt.Sprintf("the certificate authority says it is %s", real.UTC().Format(time.DateOnly))
	}
	return f
}

func needsDNS(name string) *Failure {
	return &Failure{
		Kind: "dns-missing", At: time.Now(),
		What: hint.T("A certificate for %s needs a DNS provider.", "Un certificat pour %s demande un fournisseur DNS.", name),
		Do:   hint.T("Set `dns.provider` and `dns.credentials`.", "Réglez `dns.provider` et `dns.credentials`."),
	}
}

// misset is a setting with which nothing can be ordered.
func misset(e *hint.Error) *Failure {
	return &Failure{Kind: "settings", At: time.Now(), What: e.What, Do: e.Do}
}

func rootsUnfit(file string, err error) *Failure {
	f := &Failure{
		Kind: "settings", At: time.Now(),
		What: hint.T("The roots of the certificate authority in %s cannot be used.", "Les racines de l'autorité de certification dans %s sont inutilisables.", file),
		Do:   hint.T("Check that it is a PEM file which the user Foyer runs as may read, then restart Foyer.", "Vérifiez que c'est un fichier PEM que l'utilisateur de Foyer peut lire, puis redémarrez Foyer."),
	}
	if err != nil {
		f.Reason = err.Error()
	}
	return f
}
