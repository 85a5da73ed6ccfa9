package health

import (
	"context"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Clock checks that the machine does not believe to live before this version of
// Foyer was built.
func Clock(built time.Time) Check {
	return Check{
		Code: "clock", Title: hint.T("Clock", "Horloge"), Every: time.Minute,
		Run: func(context.Context) Finding {
			if now := time.Now(); now.Before(built) {
				return Finding{
					Severity: Warning, What: hint.T("This machine thinks it is %s; secure addresses cannot work yet.", "Cette machine se croit en %s ; les adresses sûres ne peuvent pas encore fonctionner.", now.Format("2006")),
					Did: hint.T("Foyer serves what it has and waits for the right time.", "Foyer sert ce qu'il a et attend l'heure juste."),
					Do:  hint.T("Connect the machine to the network, or set its clock.", "Reliez la machine au réseau, ou réglez son horloge."),
				}
			}
			return Finding{}
		},
	}
}

// finding is what there is to say of one name; zero: all is well.
func servedFinding(s report.Served) Finding {
	left := time.Until(s.Ends)
	switch {
	case s.Failure != nil:
		f := Finding{Severity: Warning, What: s.Failure.What, Do: s.Failure.Do}
		if s.Failure.Reason != "" {
			f.What = hint.T("%s The reason: %s", "%s La raison : %s", s.Failure.What, s.Failure.Reason)
		}
		switch {
		case s.Issuer == "":
			f.Severity = Error
		case s.Home || left < 0:
			f.Severity, f.Did = Error, hint.T("%s is served with this server's own certificate meanwhile; Foyer keeps trying.", "%s est servi entre-temps avec le certificat propre à ce serveur ; Foyer continue d'essayer.", s.Name)
		default:
			f.Did = hint.T("The certificate of %s, by %s, holds for %d more days; Foyer keeps trying.", "Le certificat de %s, par %s, tient encore %d jours ; Foyer continue d'essayer.", s.Name, s.Issuer, int(left.Hours()/24))
		}
		return f
	case s.Home || s.Issuer == "":
		return Finding{Severity: Info, What: hint.T("A certificate for %s is being ordered.", "Un certificat pour %s est en cours de demande.", s.Name)}
	}
	return Finding{}
}

// Certificate checks when the certificate of NAME.local ends, zero for none, and
// what is served by the other names.
func Certificate(said func() (expires time.Time, others []report.Served)) Check {
	return Check{
		Code: "certificate", Title: hint.T("Certificate", "Certificat"), DependsOn: []string{"server"},
		Run: func(context.Context) Finding {
			end, others := said()
			left := time.Until(end)
			var worst Finding
			for _, s := range others {
				if f := servedFinding(s); f.Severity > worst.Severity {
					worst = f
				}
			}
			switch {
			case end.IsZero():
				return Finding{}
			case left < 0:
				return Finding{
					Severity: Error, What: hint.T("The certificate has expired: apps refuse to connect.", "Le certificat a expiré : les applications refusent de se connecter."),
					Do: hint.T("Restart Foyer: sudo systemctl restart foyer.", "Redémarrez Foyer : sudo systemctl restart foyer."),
				}
			case worst.Severity > OK:
				return worst
			case left < 7*24*time.Hour:
				return Finding{
					Severity: Warning, What: hint.T("The certificate ends in %d days and was not renewed.", "Le certificat expire dans %d jours et n'a pas été renouvelé.", int(left.Hours()/24)),
					Did: hint.T("Foyer keeps trying.", "Foyer continue d'essayer."),
				}
			}
			return Finding{What: hint.T("Good for %d days; renewed by itself.", "Valable %d jours ; renouvelé tout seul.", int(left.Hours()/24))}
		},
	}
}

// Claimed tells that the server waits for its first owner.
func Claimed(claimed func() bool) Check {
	return Check{
		Code: "unclaimed", Title: hint.T("Owner", "Propriétaire"), DependsOn: []string{"server"},
		Run: func(context.Context) Finding {
			if claimed() {
				return Finding{}
			}
			return Finding{
				Severity: Info, What: hint.T("This server waits for its first owner.", "Ce serveur attend son premier propriétaire."),
				Did: hint.T("Until then it serves nothing.", "D'ici là, il ne sert rien."),
				Do:  hint.T("Open its address and type the claim code; `sudo foyer claim` makes a new one.", "Ouvrez son adresse et tapez le code ; `sudo foyer claim` en donne un nouveau."),
			}
		},
	}
}
