package installer

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
)

// Question is one thing to ask a person before an install. It is data: screens,
// lines and the answers file are three ways of asking the same list.
type Question struct {
	Key   string // of the answer, as in the answers file
	Title hint.Text
	Name  hint.Text // what the answer is called beside others; zero: as the title
	Help  hint.Text
	// Options are what there is to choose from; none: text is typed.
	Options []Option
	Secret  bool // what is typed is not shown
	Empty   hint.Text
	// When tells whether it is asked on the way; nil: only under "Change something".
	When func(Values) bool
	// Fits tells whether it belongs to what was answered so far at all; nil: always.
	Fits func(Values) bool
	// Needed tells whether an empty answer is none; nil: empty will do.
	Needed func(Values) bool
}

// called is what the answer is called beside others.
func (q Question) called() hint.Text {
	if q.Name.IsZero() {
		return q.Title
	}
	return q.Name
}

// Option is one answer to choose.
type Option struct {
	Value string
	Title hint.Text
	Help  hint.Text // may be zero
}

// Values are answers as text, by key; what has no entry is not answered.
type Values map[string]string

// Get is the answer to a question, or what holds without one.
func (v Values) Get(key string) string {
	if text, ok := v[key]; ok {
		return text
	}
	switch key {
	case "where":
		return WhereHome
	case "firewall":
		return FirewallAuto
	case "router":
		if v.where(WhereReachable) {
			return "map"
		}
	}
	for _, k := range config.Keys {
		if k.Name == key {
			return k.Default
		}
	}
	return ""
}

func (v Values) where(places ...string) bool { return slices.Contains(places, v.Get("where")) }

// Shown is the answer as a person reads it.
func (q Question) Shown(v Values) hint.Text {
	text := v.Get(q.Key)
	for _, o := range q.Options {
		if o.Value == text {
			return o.Title
		}
	}
	switch {
	case text == "" && !q.Empty.IsZero():
		return q.Empty
	case text != "" && q.Secret:
		return hint.Verbatim("********")
	}
	return hint.Verbatim(text)
}

// Check tells what is wrong with an answer; zero: nothing. It is what the answers
// file is checked by, too.
func (q Question) Check(v Values, text string) hint.Text {
	text = strings.TrimSpace(text)
	if wrong := q.unfit(v, text); !wrong.IsZero() {
		return wrong
	}
	with := maps.Clone(map[string]string(v))
	with[q.Key] = text
	if text == "" {
		delete(with, q.Key)
	}
	return whatFits(settle(Values(with).Complete(q.Key)))
}

// unfit tells what is wrong with an answer that any setting would take.
func (q Question) unfit(v Values, text string) hint.Text {
	switch {
	case text == "" && q.Needed != nil && q.Needed(v):
		return hint.T("An answer is needed here.", "Il faut une réponse ici.")
	case q.Key == "addresses" && text != "":
		return unfindable(text, v.where(WhereReachable) && ownTLS(v))
	}
	return hint.Text{}
}

// whatFits is what an error of the settings says to who is asked for one of them.
func whatFits(err error) hint.Text {
	if err == nil {
		return hint.Text{}
	}
	if fits, ok := errors.AsType[config.Allowed](err); ok {
		return hint.T("What fits here: %s.", "Ce qui convient ici : %s.", hint.Text(fits))
	}
	if e := hint.Find(err); e != nil {
		return e.What
	}
	return hint.Verbatim(err.Error())
}

func settle(v Values) error {
	_, err := LoadAnswers("", nil, nil, v)
	return err
}

// unfindable tells what is wrong with names and addresses by which people are to find this
// server, those everywhere where it is to be found from outside.
func unfindable(text string, outside bool) hint.Text {
	hosts := strings.Fields(strings.ReplaceAll(text, ",", " "))
	for _, name := range hosts {
		a, err := netip.ParseAddr(name)
		switch {
		case err == nil && (netname.Of(a) == netname.Example || netname.Of(a) == netname.Nobody):
			return hint.T("No machine can be found at the address %s: it is set aside.", "Aucune machine ne se trouve à l'adresse %s : elle est réservée.", name)
		case err == nil:
		case strings.Contains(name, "://") || strings.Contains(name, "/"):
			return hint.T("Only the name, without https:// and without /: cloud.example.org.", "Seulement le nom, sans https:// ni / : cloud.exemple.org.")
		case strings.Contains(name, "@"):
			return hint.T("This is an e-mail address; a name like cloud.example.org is needed.", "C'est une adresse électronique ; il faut un nom comme cloud.exemple.org.")
		case !strings.Contains(strings.Trim(name, "."), "."):
			return hint.T("A dot is missing: a name like cloud.example.org is needed.", "Il manque un point : il faut un nom comme cloud.exemple.org.")
		case netname.ReservedName(name):
			return hint.T("Nobody can have the name %s: it is set aside, for examples or tests. A name that is yours is needed.", "Personne ne peut avoir le nom %s : il est réservé, aux exemples ou aux essais. Il faut un nom à vous.", name)
		}
	}
	if outside && len(hosts) > 0 && !slices.ContainsFunc(hosts, netname.Public) {
		return hint.T("Nobody outside finds this server by %s: a name is needed that leads here from everywhere.", "Personne à l'extérieur ne trouve ce serveur par %s : il faut un nom qui mène ici de partout.", hosts[0])
	}
	return hint.Text{}
}

// dynamic are the domains of services that keep a name at a changing address, and
// what their token is called.
var dynamic = []struct{ domain, provider, credential string }{
	{"duckdns.org", "duckdns", "token"},
	{"dedyn.io", "desec", "token"},
	{"dynv6.net", "dynv6", "token"},
}

// ProviderOf is the service that is known to answer for a name, and the word its
// credential is given by; "" when it cannot be told from the name.
func ProviderOf(name string) (provider, credential string) {
	for _, d := range dynamic {
		if strings.HasSuffix(strings.ToLower(name), "."+d.domain) {
			return d.provider, d.credential
		}
	}
	return "", ""
}

// Complete is v with what follows from an answer just given to key.
func (v Values) Complete(key string) Values {
	out := maps.Clone(v)
	switch key {
	case "where":
		if v.where(WhereHome) && v.Get("proxy.listen") == "" {
			for _, k := range []string{"addresses", "dns.provider", "dns.credentials"} {
				delete(out, k)
			}
		}
	case "addresses":
		name, _, _ := strings.Cut(strings.TrimSpace(v.Get("addresses")), " ")
		if provider, _ := ProviderOf(name); provider != "" && v.where(WhereReachable) {
			out["dns.provider"] = provider
		}
	case "dns.provider":
		if v.Get("dns.provider") == "" {
			delete(out, "dns.credentials")
		}
	case "dns.credentials": // the token alone will do where there is but one word
		text := strings.TrimSpace(v.Get(key))
		for _, d := range dynamic {
			if d.provider == v.Get("dns.provider") && text != "" && !strings.Contains(text, "=") {
				out[key] = d.credential + "=" + text
			}
		}
	}
	return out
}

// hasName tells whether the server is to have a name in public.
func hasName(v Values) bool {
	return v.where(WhereReachable, WhereServer) || v.Get("proxy.listen") != ""
}

// Questions are all there is to ask, in the order of asking: at home one of them
// comes up, with a domain two.
func Questions() []Question {
	return []Question{
		{
			Key: "where", When: always,
			Title: hint.T("Where does this server live?", "Où vit ce serveur ?"),
			Name:  hint.T("Where it lives", "Son lieu"),
			Options: []Option{
				{WhereHome, hint.T("At home, just for us", "À la maison, juste pour nous"), hint.T("It answers in the house; nothing is opened to the outside.", "Il répond dans la maison ; rien n'est ouvert vers l'extérieur.")},
				{WhereReachable, hint.T("At home, reachable from anywhere", "À la maison, joignable de partout"), hint.T("The router is asked to let visitors in; a name in public is needed.", "La box est priée de laisser entrer les visiteurs ; il faut un nom public.")},
				{WhereServer, hint.T("On a rented server, or for a community", "Sur un serveur loué, ou pour une communauté"), hint.T("Everybody can reach this machine already.", "Tout le monde peut déjà joindre cette machine.")},
			},
		},
		{
			Key: "addresses", When: hasName, Fits: hasName,
			Title:  hint.T("Which web address?", "Quelle adresse web ?"),
			Name:   hint.T("Web address", "Adresse web"),
			Help:   hint.T("The name people will type, for example cloud.example.org. On a rented server it may stay empty: the machine's own address is used.", "Le nom que l'on tapera, par exemple cloud.exemple.org. Sur un serveur loué il peut rester vide : l'adresse de la machine sert alors."),
			Empty:  hint.T("none", "aucune"),
			Needed: func(v Values) bool { return v.where(WhereReachable) || v.Get("proxy.listen") != "" },
		},
		{
			Key: "dns.credentials", Secret: true,
			When:  func(v Values) bool { return v.Get("dns.provider") != "" && hasName(v) },
			Fits:  func(v Values) bool { return v.Get("dns.provider") != "" },
			Title: hint.T("What does that name's service know you by?", "Comment le service de ce nom vous reconnaît-il ?"),
			Name:  hint.T("What the name's service knows you by", "Ce qui vous identifie auprès du service du nom"),
			Help:  hint.T("The token shown on its site once you are signed in; where several words are needed, key=value key=value. It stays on this machine.", "Le jeton affiché sur son site une fois connecté ; s'il faut plusieurs mots : clé=valeur clé=valeur. Il reste sur cette machine."),
			Empty: hint.T("none", "rien"), Needed: always,
		},
		{
			Key: "language", Title: hint.T("Language", "Langue"),
			Options: []Option{{"en", hint.Text{EN: "English", FR: "English"}, hint.Text{}}, {"fr", hint.Text{EN: "Français", FR: "Français"}, hint.Text{}}},
		},
		{
			Key: "name", Title: hint.T("Name of this server", "Nom de ce serveur"), Needed: always,
			Help: hint.T("At home it answers to NAME.local.", "À la maison, il répond à NOM.local."),
		},
		{
			Key: "data", Title: hint.T("Folder of the data", "Dossier des données"), Needed: always,
			Help: hint.T("A folder on a disk of yours may be given; a USB disk lasts longer than a memory card.", "Ce peut être un dossier sur un disque à vous ; un disque USB dure plus longtemps qu'une carte mémoire."),
		},
		{
			Key: "dns.provider", Fits: hasName, Title: hint.T("Service of the name", "Service du nom"), Empty: hint.T("none", "aucun"),
			Help: hint.T("If Foyer may change the name's records: duckdns, desec, dynv6, cloudflare, ovh, gandi, hetzner… It then keeps the name at the right address and needs no open port for certificates.", "Si Foyer peut modifier les enregistrements du nom : duckdns, desec, dynv6, cloudflare, ovh, gandi, hetzner… Il garde alors le nom à la bonne adresse, et les certificats se passent de port ouvert."),
		},
		{
			Key: "router", Fits: func(v Values) bool { return v.where(WhereReachable) && v.Get("proxy.listen") == "" }, Title: hint.T("The router", "La box"),
			Options: []Option{
				{"map", hint.T("Ask it to let visitors in", "La prier de laisser entrer les visiteurs"), hint.Text{}},
				{"off", hint.T("Leave it alone", "La laisser tranquille"), hint.T("Ports 80 and 443 must then be forwarded to this machine by hand.", "Les ports 80 et 443 doivent alors être redirigés vers cette machine à la main.")},
			},
		},
		{
			Key: "certificates.email", Fits: hasName, Title: hint.T("E-mail for the certificate authority", "Courriel pour l'autorité de certification"), Empty: hint.T("none", "aucun"),
			Help: hint.T("It is not needed.", "Il n'est pas nécessaire."),
		},
		{
			Key: "http_port", Fits: ownTLS, Title: hint.T("Port for HTTP", "Port HTTP"), Needed: always,
			Help: hint.T("80, unless another program needs it.", "80, sauf si un autre programme en a besoin."),
		},
		{
			Key: "https_port", Fits: ownTLS, Title: hint.T("Port for HTTPS", "Port HTTPS"), Needed: always,
			Help: hint.T("443, unless another program needs it.", "443, sauf si un autre programme en a besoin."),
		},
		{
			Key: "proxy.listen", Title: hint.T("Behind a web server of yours", "Derrière un serveur web à vous"), Empty: hint.T("no", "non"),
			Help: hint.T("Where nginx, Apache, Caddy, HAProxy or Traefik answers the web already: the address at which it finds Foyer, e.g. 127.0.0.1:8888. `foyer proxy` prints what to add to it.", "Si nginx, Apache, Caddy, HAProxy ou Traefik répond déjà au web : l'adresse où il trouvera Foyer, p. ex. 127.0.0.1:8888. `foyer proxy` écrit ce qu'il faut lui ajouter."),
		},
		{
			Key: "firewall", Fits: ownTLS, Title: hint.T("The machine's own firewall", "Le pare-feu de la machine"),
			Options: []Option{
				{FirewallAuto, hint.T("Open our ports where one is active", "Ouvrir nos ports s'il est actif"), hint.Text{}},
				{FirewallLeave, hint.T("Touch nothing", "Ne rien toucher"), hint.Text{}},
			},
		},
	}
}

func always(Values) bool { return true }

func ownTLS(v Values) bool { return v.Get("proxy.listen") == "" }

// Way are the questions asked on the way, given the answers so far.
func Way(qs []Question, v Values) []Question {
	return slices.DeleteFunc(slices.Clone(qs), func(q Question) bool { return q.When == nil || !q.When(v) })
}

// Choices are the questions that may be answered under "Change something".
func Choices(qs []Question, v Values) []Question {
	return slices.DeleteFunc(slices.Clone(qs), func(q Question) bool { return q.Fits != nil && !q.Fits(v) })
}
