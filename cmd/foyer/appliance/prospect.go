package appliance

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/supervisor/health"
)

// Look looks at the machine before the first question: what it sees answers some of them,
// which a person may change, and is worth knowing in parts, each a sentence. built is as in
// Preflight.
func Look(ctx context.Context, built time.Time) (values installer.Values, notes []hint.Text) {
	values = installer.Values{}
	for _, r := range Preflight(ctx, config.SystemData, built) {
		if r.Severity >= health.Warning {
			notes = append(notes, r.What, r.Do)
		}
	}
	if host.StorageOf(config.SystemData).Card {
		notes = append(notes, hint.T("Memory cards wear out: a USB disk for the data lasts longer; `Change something` is where it is chosen.", "Les cartes mémoire s'usent : un disque USB pour les données dure plus longtemps ; il se choisit dans « Changer quelque chose »."))
	}
	if ip := publicAddress(); ip.IsValid() {
		values["where"] = installer.WhereServer
	}
	for _, port := range []int{80, 443} {
		o, taken, err := host.PortOwner(port)
		if err != nil || !taken || !slices.Contains(proxies, o.Name) {
			continue
		}
		values["proxy.listen"], values["proxy.trusted"] = "127.0.0.1:8888", "127.0.0.1 ::1"
		notes = append(notes, hint.T("%s already answers the web on this machine: Foyer stands behind it, and nothing of it is changed.", "%s répond déjà au web sur cette machine : Foyer se place derrière, sans rien y changer.", o.Name))
		break
	}
	return values, notes
}

// proxies are the programs, as the system names them, that Foyer can stand behind.
var proxies = []string{"nginx", "apache2", "httpd", "caddy", "haproxy", "traefik"}

// publicAddress is an IPv4 address of this machine that everybody can reach; the
// zero value when it has none, as at home.
func publicAddress() netip.Addr {
	ips, _ := host.Addresses() // without any: none
	for _, ip := range ips {
		if ip.Is4() && netname.Everywhere(ip) {
			return ip
		}
	}
	return netip.Addr{}
}

// Settle gives the answers of an install what follows from this machine and nobody said: a
// server that is reached by an address of the Internet has it among its own.
func Settle(v installer.Values) { settle(v, publicAddress) }

// settle is Settle, for a machine with the address public.
func settle(v installer.Values, public func() netip.Addr) {
	if v.Get("where") == installer.WhereServer && v.Get("addresses") == "" && v.Get("proxy.listen") == "" {
		if ip := public(); ip.IsValid() {
			v["addresses"] = ip.String()
		}
	}
}

// Summary is what a person gets with settings s, each a sentence; addresses are those of
// the server, the best first.
func Summary(s *config.Settings, addresses []string) []hint.Text {
	place := site.Of(s)
	var out []hint.Text
	if len(addresses) > 0 {
		out = append(out, hint.T("Your server answers at %s", "Votre serveur répond à %s", addresses[0]))
	}
	switch {
	case place.BehindProxy():
		out = append(out, hint.T("Your web server sends it visitors at %s; `foyer proxy` prints what to add there.", "Votre serveur web lui envoie les visiteurs à %s ; `foyer proxy` écrit ce qu'il faut y ajouter.", s.Proxy.Listen))
	case place.EverybodyTrusts():
		out = append(out, hint.T("It gets a certificate that every phone and computer trusts, and renews it.", "Il obtient un certificat reconnu de tous les téléphones et ordinateurs, et le renouvelle."))
	case s.Certificates.CertFile != "":
		out = append(out, hint.T("It shows the certificate you have, %s, and reads it again when it changes.", "Il présente le certificat que vous avez, %s, et le relit quand il change.", s.Certificates.CertFile))
	default:
		out = append(out, hint.T("Its connections are encrypted; each phone learns once to trust it.", "Ses connexions sont chiffrées ; chaque téléphone apprend une fois à lui faire confiance."))
	}
	if len(place.RouterWays()) > 0 {
		out = append(out, hint.T("The router is asked to let visitors in on ports 443 and 80, and `foyer` tells whether it does.", "La box est priée de laisser entrer les visiteurs par les ports 443 et 80, et `foyer` dit si elle le fait."))
	}
	if place.KeepsNames() {
		out = append(out, hint.T("The name follows when the address of your connection changes.", "Le nom suit quand l'adresse de votre connexion change."))
	}
	return append(out,
		hint.T("Data in %s; it starts by itself, watches and repairs itself.", "Données dans %s ; il démarre tout seul, se surveille et se répare.", s.Data),
		hint.T("Only whoever holds the code shown at the end can become its owner.", "Seul qui tient le code affiché à la fin peut en devenir propriétaire."))
}
