package reach

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/router"
)

// cause is one thing that may stand in the way.
type cause struct {
	Code  string // docs/codes.md
	Holds func(*Facts) bool
	Says  func(*Facts) health.Finding // a Warning, unless it is Calm or says otherwise
	Calm  bool                        // no trouble at all, but worth a sentence
}

// Diagnose names the one cause: the first of causes that holds.
func Diagnose(f Facts) Diagnosis {
	for _, c := range causes() {
		if !c.Holds(&f) {
			continue
		}
		d := Diagnosis{c.Says(&f), f}
		d.Cause = c.Code
		if d.Severity == health.OK && !c.Calm {
			d.Severity = health.Warning
		}
		return d
	}
	return Diagnosis{health.Finding{What: getsIn(&f)}, f}
}

// causes is the order of the decision: from this machine outwards, and then back in
// by the name. What is nearer comes first, since it makes everything behind it look
// wrong; what comes later was found with all that comes earlier in order.
func causes() []cause {
	return slices.Concat(machine(), line(), names(), home())
}

// machine: while these hold, nothing that is seen of the world means anything, or no
// visitor would meet Foyer however the world is.
func machine() []cause {
	return []cause{
		{ // First: with a wrong clock no certificate holds, so the peer and the authority look dead.
			Code: "clock-wrong", Holds: func(f *Facts) bool { return !f.clockRight() },
			Says: func(f *Facts) health.Finding {
				what := hint.T("This machine thinks it is %s: no secure address can work.", "Cette machine se croit le %s : aucune adresse sûre ne peut fonctionner.", f.Now.Format(time.DateOnly))
				if !f.Elsewhere.IsZero() {
					what = hint.T("This machine thinks it is %s, others say %s: no secure address can work.", "Cette machine se croit le %s, d'autres disent %s : aucune adresse sûre ne peut fonctionner.", f.Now.Format(time.DateOnly), f.Elsewhere.Format(time.DateOnly))
				}
				return health.Finding{
					What: what, Did: hint.T("Foyer serves what it has, and orders no certificate meanwhile.", "Foyer sert ce qu'il a, et ne demande aucun certificat en attendant."),
					Do: hint.T("Set the clock: `sudo timedatectl set-ntp true`.", "Réglez l'horloge : `sudo timedatectl set-ntp true`."),
				}
			},
		},
		{
			Code: "other-program", Holds: func(f *Facts) bool { return f.otherProgram() != nil },
			Says: func(f *Facts) health.Finding {
				d := f.otherProgram()
				who := hint.T("Another program", "Un autre programme")
				if d.Owner != "" {
					who = hint.Verbatim(d.Owner)
				}
				return health.Finding{
					What: hint.T("%s answers on port %d of this machine, where Foyer should.", "%s répond sur le port %d de cette machine, où devrait répondre Foyer.", who, d.Port),
					Did:  hint.T("Foyer leaves it alone; it can stand behind it.", "Foyer le laisse tranquille ; il peut se placer derrière."),
					Do:   hint.T("Let it pass visitors on: `foyer proxy` prints what it needs; or stop it.", "Faites-lui passer les visiteurs : `foyer proxy` affiche ce qu'il lui faut ; ou arrêtez-le."),
				}
			},
		},
	}
}

// line: the way from this machine to the world. A peer that got in by IPv4 has proved
// the line, so what is inferred from addresses holds only without that proof; and
// where IPv6 gets in, the lack of IPv4 is told at the end, as what it is.
func line() []cause {
	return []cause{
		{
			Code: "offline", Holds: func(f *Facts) bool { return len(f.Own) == 0 },
			Says: func(*Facts) health.Finding {
				return health.Finding{What: hint.T("This machine has no address: it is in no network.", "Cette machine n'a pas d'adresse : elle n'est dans aucun réseau."), Do: hint.T("Connect it to your network.", "Reliez-la à votre réseau.")}
			},
		},
		{ // Before DNS and the addresses: a portal lies about both. A peer that was really met shows that there is none.
			Code: "captive-portal", Holds: func(f *Facts) bool { return f.Portal != "" && !f.V4.Seen.IsValid() && !f.V6.Seen.IsValid() },
			Says: func(*Facts) health.Finding {
				return health.Finding{
					What: hint.T("This network keeps everybody on a page of its own until they sign in there.", "Ce réseau retient tout le monde sur une page à lui tant qu'on ne s'y identifie pas."),
					Do:   hint.T("Sign in on that page with a browser, or use another network.", "Identifiez-vous sur cette page avec un navigateur, ou changez de réseau."),
				}
			},
		},
		{
			Code: "dns-silent", Holds: func(f *Facts) bool { return f.DNSSilent },
			Says: func(*Facts) health.Finding {
				return health.Finding{
					What: hint.T("No DNS server answers this machine: it can find nobody by name.", "Aucun serveur DNS ne répond à cette machine : elle ne trouve personne par son nom."),
					Do:   hint.T("Check that the router works and which DNS server this machine uses.", "Vérifiez que la box fonctionne et quel serveur DNS cette machine utilise."),
				}
			},
		},
		{ // Before two routers: behind a provider's sharing, opening any router is in vain.
			Code: "cgnat", Holds: func(f *Facts) bool { return f.noWayIn() && f.behindCarrier() },
			Says: func(f *Facts) health.Finding {
				return health.Finding{
					What: hint.T("Your provider shares one Internet address among many customers: nobody gets in from outside, whatever the router says.", "Votre fournisseur partage une adresse internet entre de nombreux clients : personne n'entre de l'extérieur, quoi que dise la box."),
					Did:  hint.T("At home everything works.", "À la maison tout fonctionne."),
					Do:   hint.T("Ask the provider for a public IPv4 address of your own, or for IPv6.", "Demandez au fournisseur une adresse IPv4 publique à vous, ou l'IPv6."),
				}
			},
		},
		{
			Code: "double-nat", Holds: func(f *Facts) bool { return f.noWayIn() && f.behindRouter() },
			Says: func(f *Facts) health.Finding {
				return health.Finding{
					What: hint.T("Your router stands behind another one%s: visitors get as far as that one.", "Votre box est derrière une autre%s : les visiteurs arrivent jusqu'à celle-là.", f.outerRouter()),
					Did:  hint.T("At home everything works.", "À la maison tout fonctionne."),
					Do:   hint.T("Let the outer router pass the ports 80 and 443 on to the inner one, or make it a bridge.", "Faites passer les ports 80 et 443 par la box extérieure vers l'intérieure, ou mettez-la en mode pont."),
				}
			},
		},
		{ // Before the router's: the router may be open, and this machine closed behind it.
			Code: "local-firewall", Holds: func(f *Facts) bool {
				return slices.ContainsFunc(f.Shut, func(port int) bool { return !f.tried() || f.shutOutside(port) })
			},
			Says: func(f *Facts) health.Finding {
				return health.Finding{
					What: hint.T("The firewall of this machine (%s) keeps visitors out.", "Le pare-feu de cette machine (%s) retient les visiteurs.", f.Firewall),
					Do:   hint.T("Let the ports 80 and 443 in; `sudo foyer install` does it for ufw and firewalld.", "Laissez entrer par les ports 80 et 443 ; `sudo foyer install` le fait pour ufw et firewalld."),
				}
			},
		},
		{
			Code: "other-machine", Holds: func(f *Facts) bool { o := f.first(); return o.how(80) == knock.Other || o.how(443) == knock.Other },
			Says: func(f *Facts) health.Finding {
				return health.Finding{
					What: hint.T("At %s visitors meet another machine than this one.", "À l'adresse %s, les visiteurs rencontrent une autre machine que celle-ci.", f.first().Seen.String()),
					Do:   hint.T("Let the router pass the ports 80 and 443 on to this machine.", "Faites passer les ports 80 et 443 par la box vers cette machine."),
				}
			},
		},
		{
			Code: "ports-closed", Holds: func(f *Facts) bool { o := f.first(); return o.shut(80) && o.shut(443) },
			Says: func(f *Facts) health.Finding { return closed(f, hint.T("the ports 80 and 443", "les ports 80 et 443")) },
		},
		{
			Code: "port-443-closed", Holds: func(f *Facts) bool { return f.first().shut(443) },
			Says: func(f *Facts) health.Finding { return closed(f, hint.T("port 443", "le port 443")) },
		},
		{
			Code: "port-80-closed", Holds: func(f *Facts) bool { return f.first().shut(80) },
			Says: func(f *Facts) health.Finding {
				out := closed(f, hint.T("port 80", "le port 80"))
				out.Did = hint.T("Port 443 is open, so certificates are ordered through that one; who types the name without https:// finds nobody.", "Le port 443 est ouvert, les certificats se demandent donc par là ; qui tape le nom sans https:// ne trouve personne.")
				return out
			},
		},
	}
}

// names: visitors get in by the address; now they have to find it.
func names() []cause {
	return []cause{
		{
			Code: "name-missing", Holds: func(f *Facts) bool { return f.name(Name.missing) != nil },
			Says: func(f *Facts) health.Finding {
				n := f.name(Name.missing)
				if f.hearsay() {
					return health.Finding{
						What: hint.T("%s has no address in DNS: nobody can find it.", "%s n'a pas d'adresse dans le DNS : personne ne peut le trouver.", n.Name),
						Do:   hint.T("Look on the router's own pages for its Internet address, and let the name point to it at your DNS provider. (Asked over the network it says %s, which nothing confirms.)", "Cherchez son adresse internet dans les pages de la box, et faites pointer le nom vers elle chez votre fournisseur DNS. (Interrogée par le réseau, elle dit %s, ce que rien ne confirme.)", f.here()),
					}
				}
				return health.Finding{
					What: hint.T("%s has no address in DNS: nobody can find it.", "%s n'a pas d'adresse dans le DNS : personne ne peut le trouver.", n.Name),
					Do:   hint.T("Let it point to %s at your DNS provider, or let Foyer do so (settings `dns.provider` and `dyndns`).", "Faites-le pointer vers %s chez votre fournisseur DNS, ou laissez faire Foyer (réglages `dns.provider` et `dyndns`).", f.here()),
				}
			},
		},
		{
			Code: "name-elsewhere", Holds: func(f *Facts) bool { return f.name(f.elsewhere) != nil },
			Says: func(f *Facts) health.Finding {
				n := f.name(f.elsewhere)
				if f.hearsay() {
					return health.Finding{
						What: hint.T("%s points to %s, and the router says that its Internet address is %s; nothing confirms that.", "%s pointe vers %s, et la box dit que son adresse internet est %s ; rien ne le confirme.", n.Name, list(n.A), f.here()),
						Do:   hint.T("Look on the router's own pages for its Internet address; only if it is not in the A record, change that at your DNS provider.", "Cherchez son adresse internet dans les pages de la box ; seulement si elle n'est pas dans l'enregistrement A, changez celui-ci chez votre fournisseur DNS."),
					}
				}
				return health.Finding{
					What: hint.T("%s points to %s, and this server is at %s.", "%s pointe vers %s, et ce serveur est à %s.", n.Name, list(n.A), f.here()),
					Do:   hint.T("Change its A record at your DNS provider, or let Foyer do so (settings `dns.provider` and `dyndns`).", "Changez son enregistrement A chez votre fournisseur DNS, ou laissez faire Foyer (réglages `dns.provider` et `dyndns`)."),
				}
			},
		},
		{ // Browsers hide it by trying IPv4 after a while; certificate authorities do not.
			Code: "aaaa-stale", Holds: func(f *Facts) bool { return f.name(f.stale) != nil },
			Says: func(f *Facts) health.Finding {
				n := f.name(f.stale)
				return health.Finding{
					What: hint.T("The IPv6 address of %s in DNS (%s) does not lead here.", "L'adresse IPv6 de %s dans le DNS (%s) ne mène pas ici.", n.Name, list(n.AAAA)),
					Do:   hint.T("Correct its AAAA record at your DNS provider, or remove it.", "Corrigez son enregistrement AAAA chez votre fournisseur DNS, ou retirez-le."),
				}
			},
		},
		{
			Code: "ipv6-closed", Holds: func(f *Facts) bool {
				return f.V6.Ports != nil && !f.V6.opensAny() && f.name(func(n Name) bool { return len(n.AAAA) > 0 }) != nil
			},
			Says: func(f *Facts) health.Finding {
				n := f.name(func(n Name) bool { return len(n.AAAA) > 0 })
				return health.Finding{
					What: hint.T("%s leads here by IPv6, too (%s), but by IPv6 nobody gets in.", "%s mène ici aussi par IPv6 (%s), mais par IPv6 personne n'entre.", n.Name, list(n.AAAA)),
					Do:   hint.T("Open the ports 80 and 443 to this machine in the router's IPv6 firewall, or remove the AAAA record.", "Ouvrez les ports 80 et 443 vers cette machine dans le pare-feu IPv6 de la box, ou retirez l'enregistrement AAAA."),
				}
			},
		},
		{
			Code: "caa-foreign", Holds: func(f *Facts) bool { return f.name(f.forbidden) != nil },
			Says: func(f *Facts) health.Finding {
				n := f.name(f.forbidden)
				return health.Finding{
					What: hint.T("A CAA record forbids the certificate authority (%s) to issue for %s.", "Un enregistrement CAA interdit à l'autorité de certification (%s) d'émettre pour %s.", strings.Join(f.Issuers, ", "), n.Name),
					Do:   hint.T("Allow it at your DNS provider: `0 issue \"%s\"`, or remove the CAA records.", "Autorisez-la chez votre fournisseur DNS : `0 issue \"%s\"`, ou retirez les enregistrements CAA.", f.Issuers[0]),
				}
			},
		},
		{
			Code: "caa-other-account", Holds: func(f *Facts) bool { return f.name(f.otherAccount) != nil },
			Says: func(f *Facts) health.Finding {
				n := f.name(f.otherAccount)
				return health.Finding{
					What: hint.T("A CAA record lets another account than this server's order certificates for %s: the next renewal fails.", "Un enregistrement CAA laisse un autre compte que celui de ce serveur demander des certificats pour %s : le prochain renouvellement échouera.", n.Name),
					Do:   hint.T("Change it at your DNS provider: `0 issue \"%s; accounturi=%s\"`.", "Changez-le chez votre fournisseur DNS : `0 issue \"%s; accounturi=%s\"`.", f.Issuers[0], f.Account),
				}
			},
		},
	}
}

// home: what only those in the same network notice, and what is no trouble.
func home() []cause {
	return []cause{
		{
			Code: "no-hairpin", Holds: func(f *Facts) bool { return f.V4.opens() && f.Inside != "" && f.Inside != knock.OK },
			Says: func(f *Facts) health.Finding {
				did := hint.T("At home the addresses in digits work.", "À la maison, les adresses en chiffres fonctionnent.")
				if f.Local != "" {
					did = hint.T("At home %s works.", "À la maison, %s fonctionne.", f.Local)
				}
				return health.Finding{
					What: hint.T("Visitors from outside get in, but the router does not let those at home reach this server by its public address.", "Les visiteurs de l'extérieur entrent, mais la box ne laisse pas ceux de la maison joindre ce serveur par son adresse publique."),
					Did:  did,
					Do:   hint.T("Switch on NAT loopback (hairpin) in the router, or let its DNS answer the public name with this machine's own address.", "Activez le NAT loopback (hairpin) dans la box, ou faites répondre par son DNS l'adresse locale de cette machine pour le nom public."),
				}
			},
		},
		{
			Code: "name-taken", Holds: func(f *Facts) bool { return f.Taken },
			Says: func(f *Facts) health.Finding {
				return health.Finding{
					What: hint.T("Another machine in your network (%s) answers to %s.", "Une autre machine de votre réseau (%s) répond au nom %s.", f.Taker.String(), f.Local),
					Did:  hint.T("Foyer leaves it the name; the other addresses work.", "Foyer lui laisse le nom ; les autres adresses fonctionnent."),
					Do:   hint.T("Choose another `name` in the settings, then restart Foyer.", "Choisissez un autre `name` dans les réglages, puis redémarrez Foyer."),
				}
			},
		},
		{
			Code: "ipv6-only", Holds: func(f *Facts) bool { return f.V6.opens() && !f.V4.opensAny() },
			Says: func(f *Facts) health.Finding {
				return health.Finding{
					Severity: health.Info,
					What:     hint.T("Visitors get in by IPv6 alone (%s): this connection has no public IPv4 address.", "Les visiteurs entrent par IPv6 seulement (%s) : cette connexion n'a pas d'adresse IPv4 publique.", f.V6.Seen.String()),
					Did:      hint.T("That is fine for most phones and homes; networks without IPv6 do not reach this server.", "Cela convient à la plupart des téléphones et des foyers ; les réseaux sans IPv6 n'atteignent pas ce serveur."),
				}
			},
		},
		{
			Code: "untried", Holds: func(f *Facts) bool { return !f.tried() }, Calm: true,
			Says: func(f *Facts) health.Finding {
				if f.Peer != "" {
					return health.Finding{
						Severity: health.Info, What: hint.T("The peer %s could not be asked to try from outside; nothing else stands in the way.", "Le pair %s n'a pas pu être prié d'essayer de l'extérieur ; rien d'autre ne s'y oppose.", f.Peer),
						Did: hint.T("Foyer asks it again.", "Foyer le redemandera."),
					}
				}
				return health.Finding{What: hint.T("Nothing stands in the way that can be seen from here; nobody has tried it from outside (setting `reach.peer`).", "Rien ne s'y oppose qui se voie d'ici ; personne ne l'a essayé de l'extérieur (réglage `reach.peer`).")}
			},
		},
	}
}

func closed(f *Facts, which hint.Text) health.Finding {
	do := hint.T("Let the router pass the ports 80 and 443 on to this machine, on its own pages or by the setting `router` = map.", "Faites passer les ports 80 et 443 par la box vers cette machine, dans ses pages ou par le réglage `router` = map.")
	if slices.Contains(f.Own, f.first().Seen) {
		do = hint.T("Open the ports 80 and 443 in the firewall of the provider or of the router.", "Ouvrez les ports 80 et 443 dans le pare-feu de l'hébergeur ou de la box.")
	}
	return health.Finding{What: hint.T("From outside, %s of %s cannot be reached.", "De l'extérieur, on n'atteint pas %s de %s.", which, f.first().Seen.String()), Do: do}
}

func getsIn(f *Facts) hint.Text {
	switch {
	case f.V4.opens() && f.V6.opens():
		return hint.T("Visitors from outside get in by IPv4 and by IPv6; it was tried.", "Les visiteurs de l'extérieur entrent par IPv4 et par IPv6 ; cela a été essayé.")
	case f.V4.opens():
		return hint.T("Visitors from outside get in; it was tried.", "Les visiteurs de l'extérieur entrent ; cela a été essayé.")
	}
	return hint.T("Nothing stands in the way.", "Rien ne s'y oppose.")
}

// clockRight compares the clock with what others say; where nobody says anything,
// with when this version was made: not before, and not a working life later.
func (f *Facts) clockRight() bool {
	if !f.Elsewhere.IsZero() {
		return f.Now.Sub(f.Elsewhere).Abs() <= 24*time.Hour
	}
	return !f.Now.Before(f.Built) && (f.Built.IsZero() || f.Now.Before(f.Built.AddDate(20, 0, 0)))
}

// otherProgram is a port of ours that another program has.
func (f *Facts) otherProgram() *Door {
	i := slices.IndexFunc(f.Doors, func(d Door) bool { return d.Outcome == knock.Other || d.Owner != "" && d.Outcome != knock.OK })
	if i < 0 {
		return nil
	}
	return &f.Doors[i]
}

// tried reports whether somebody outside tried to get in.
func (f *Facts) tried() bool { return f.V4.Ports != nil || f.V6.Ports != nil }

// noWayIn reports whether nobody gets in by either family, as far as was tried.
func (f *Facts) noWayIn() bool { return !f.V4.opensAny() && !f.V6.opensAny() }

// first is the family by which visitors are expected: IPv4 where it was tried, unless
// it can only fail and IPv6 gets in.
func (f *Facts) first() Outside {
	if f.V4.Ports == nil || f.V6.opens() && !f.V4.opensAny() && (f.behindCarrier() || f.behindRouter()) {
		return f.V6
	}
	return f.V4
}

func (f *Facts) shutOutside(port int) bool { return f.first().shut(port) }

// outerRouter names the outer one, if it is known.
func (f *Facts) outerRouter() hint.Text {
	if len(f.Hops) > 1 && f.Hops[1].IsValid() {
		return hint.T(" (%s)", " (%s)", f.Hops[1].String())
	}
	return hint.Text{}
}

// name is the first of which a thing is so.
func (f *Facts) name(is func(Name) bool) *Name {
	if i := slices.IndexFunc(f.Names, is); i >= 0 {
		return &f.Names[i]
	}
	return nil
}

func (n Name) missing() bool { return !n.Failed && len(n.A) == 0 && len(n.AAAA) == 0 }

// elsewhere: none of its IPv4 addresses is the one at which we are found.
func (f *Facts) elsewhere(n Name) bool {
	at := f.public4()
	return len(n.A) > 0 && at.IsValid() && !slices.Contains(n.A, at)
}

// stale: it has an IPv6 address that is not ours.
func (f *Facts) stale(n Name) bool {
	return slices.ContainsFunc(n.AAAA, func(a netip.Addr) bool { return !f.ours(a) })
}

// forbidden: its CAA records name other authorities than ours.
func (f *Facts) forbidden(n Name) bool {
	return n.CAA != nil && len(f.Issuers) > 0 && !slices.ContainsFunc(n.CAA, func(i string) bool { return slices.Contains(f.Issuers, i) })
}

// here is where this server is found.
func (f *Facts) here() string {
	if a := f.public4(); a.IsValid() {
		return a.String()
	}
	if f.V6.Seen.IsValid() {
		return f.V6.Seen.String()
	}
	for _, a := range f.Own {
		if a.Is6() && router.Public(a) {
			return a.String()
		}
	}
	return "?"
}

func list(addrs []netip.Addr) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}
