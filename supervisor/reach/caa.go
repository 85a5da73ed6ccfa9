package reach

import (
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

// orders are what the CAA records of a name say of our authority: whether our account
// may order there, and whether nobody else's may.
func (f *Facts) orders(n Name) (ours, only bool) {
	if n.CAA == nil {
		return true, false
	}
	only = true
	for i, issuer := range n.CAA {
		account := ""
		if i < len(n.Accounts) {
			account = n.Accounts[i]
		}
		if account == "" || account != f.Account {
			only = only && issuer == "" // nobody at all
		}
		if slices.Contains(f.Issuers, issuer) && (account == "" || account == f.Account) {
			ours = true
		}
	}
	return ours, only && ours
}

// otherAccount: its CAA records allow our authority for accounts of others only.
func (f *Facts) otherAccount(n Name) bool {
	ours, _ := f.orders(n)
	return f.Account != "" && len(f.Issuers) > 0 && !f.forbidden(n) && !ours
}

// BindsIssuing tells whether DNS says that only this server's account may order
// certificates for its names (RFC 8657), and proposes the records where it does not. It
// wants nothing of anybody: without them all works, and whoever gets hold of a name's
// address or of the way to it gets certificates for it. False where the account is not
// known.
func (d Diagnosis) BindsIssuing() (health.Finding, bool) {
	f := &d.Facts
	if f.Account == "" || len(f.Issuers) == 0 || len(f.Names) == 0 {
		return health.Finding{}, false
	}
	var free, records []string
	for _, n := range f.Names {
		if ours, only := f.orders(n); n.Failed || only || !ours {
			continue
		}
		free = append(free, n.Name)
		records = append(records, n.Name+`. CAA 0 issue "`+f.Issuers[0]+"; accounturi="+f.Account+`"`)
	}
	if len(free) == 0 {
		return health.Finding{What: hint.T("DNS lets only this server's own account order certificates for its names.", "Le DNS ne laisse que le compte de ce serveur demander des certificats pour ses noms.")}, true
	}
	return health.Finding{
		Severity: health.Info,
		What:     hint.T("Whoever gets hold of where %s points to gets certificates for it; DNS can allow them to this server's account alone.", "Qui s'empare de l'endroit où pointe %s obtient des certificats pour ce nom ; le DNS peut les réserver au compte de ce serveur.", strings.Join(free, ", ")),
		Do:       hint.T("If you like, add at your DNS provider: %s (after a new installation without the old data, change it).", "Si vous voulez, ajoutez chez votre fournisseur DNS : %s (après une nouvelle installation sans les anciennes données, changez-le).", strings.Join(records, " · ")),
	}, true
}
