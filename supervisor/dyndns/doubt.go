package dyndns

import (
	"errors"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/router"
)

// doubt is one way in which an address can be without confirmation.
type doubt struct {
	Code     string // docs/codes.md
	What, Do hint.Text
}

// doubtful is what there is to say when addresses were not written since they are not
// confirmed.
func doubtful(err error, names, addrs string) health.Finding {
	d := &router.Doubt{}
	errors.As(err, &d)
	said := doubtOf(d, addrs)
	return health.Finding{
		Severity: health.Warning, Cause: said.Code, What: said.What, Do: said.Do,
		Did: hint.T("Foyer left %s as it is in DNS, and keeps asking.", "Foyer a laissé %s tel quel dans le DNS, et continue de demander.", names),
	}
}

func doubtOf(d *router.Doubt, addrs string) doubt {
	switch {
	case d.Other.IsValid() && d.Witness != "":
		return doubt{
			Code: "address-contradicted",
			What: hint.T("The router says that its Internet address is %s, but %s sees this connection at %s.", "La box dit que son adresse internet est %s, mais %s voit cette connexion à l'adresse %s.", addrs, d.Witness, d.Other.String()),
			Do:   hint.T("Compare with the Internet address on the router's own pages: if it is not %s, a device in your network pretends to be the router; disconnect your devices one by one to find it.", "Comparez avec l'adresse internet dans les pages de la box : si ce n'est pas %s, un appareil de votre réseau se fait passer pour la box ; débranchez vos appareils un à un pour le trouver.", addrs),
		}
	case d.Other.IsValid():
		return doubt{
			Code: "address-contradicted",
			What: hint.T("The router contradicts itself: its Internet address is %s, and asked in another way it is %s.", "La box se contredit : son adresse internet est %s et, demandée autrement, %s.", addrs, d.Other.String()),
			Do:   hint.T("Compare with the Internet address on the router's own pages: if it is not %s, a device in your network pretends to be the router; disconnect your devices one by one to find it.", "Comparez avec l'adresse internet dans les pages de la box : si ce n'est pas %s, un appareil de votre réseau se fait passer pour la box ; débranchez vos appareils un à un pour le trouver.", addrs),
		}
	case d.Witness != "":
		return doubt{
			Code: "witness-silent",
			What: hint.T("The router says that its Internet address is %s; %s, which has to confirm it, does not answer.", "La box dit que son adresse internet est %s ; %s, qui doit le confirmer, ne répond pas.", addrs, d.Witness),
			Do:   hint.T("Make sure that this Foyer runs and answers others (its setting `reach.answer`), or name another one in `reach.peer`.", "Vérifiez que ce Foyer fonctionne et répond aux autres (son réglage `reach.answer`), ou nommez-en un autre dans `reach.peer`."),
		}
	}
	return doubt{
		Code: "address-unconfirmed",
		What: hint.T("The router says that its Internet address is %s; nothing else confirms it, and any device in your network could have said so.", "La box dit que son adresse internet est %s ; rien d'autre ne le confirme, et n'importe quel appareil de votre réseau aurait pu le dire.", addrs),
		Do:   hint.T("Name in the setting `reach.peer` another Foyer that can confirm it (a friend's, for example).", "Nommez dans le réglage `reach.peer` un autre Foyer qui puisse le confirmer (celui d'un ami, par exemple)."),
	}
}
