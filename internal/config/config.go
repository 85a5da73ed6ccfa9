// Package config holds the settings of a Foyer: what they are, what they mean,
// where they come from, and how they are read and checked.
//
// Four sources, later ones win: defaults, the settings file (TOML), the
// environment, flags. The file is strict: an unknown key or a value of the wrong
// kind is an error that names file, line and key and says what is allowed; all that is
// wrong is told at once. What a setting is can be written as it stands in the file
// (Settings.Line), and be changed there, with all else left as it is (EditFile).
//
// The table [kinto] takes the reference server's own setting names, values as the
// reference reads them (native), and is also read from KINTO_<NAME> (dots and dashes
// become underscores), so that a host who moves finds what they know. A kinto.ini of
// the reference is a settings file, too. What such a host has and Foyer has nothing to
// turn for is passed over and told of (Notices); what would make another server of it is
// refused.
//
// Used by cmd, server, supervisor and installer. A Settings value is read-only
// once loaded and safe for concurrent use.
package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/internal/netname"
)

// Where an installed Foyer keeps things (docs/layout.md).
const (
	SystemFile = "/etc/foyer/foyer.toml" // settings
	SystemData = "/var/lib/foyer"        // the person's data, owned by user foyer
	SystemRun  = "/run/foyer"            // sockets, gone at reboot
	SystemOpt  = "/opt/foyer"            // versions/<v>/foyer, current -> versions/<v>; root only
	SystemUser = "foyer"                 // user and group
)

// Settings are the settings of one Foyer. Every field is documented in Keys.
type Settings struct {
	Name         string       `toml:"name"`
	Language     string       `toml:"language"`
	Data         string       `toml:"data"`
	Database     string       `toml:"database"`
	HTTPPort     int          `toml:"http_port"`
	HTTPSPort    int          `toml:"https_port"`
	Addresses    []string     `toml:"addresses"`
	MDNS         string       `toml:"mdns"`
	Router       string       `toml:"router"`
	DynDNS       string       `toml:"dyndns"`
	DNS          DNS          `toml:"dns"`
	Proxy        Proxy        `toml:"proxy"`
	Reach        Reach        `toml:"reach"`
	Certificates Certificates `toml:"certificates"`
	Backup       Backup       `toml:"backup"`
	OSUpdates    string       `toml:"os_updates"`
	Limits       Limits       `toml:"limits"`
	Kinto        Kinto        `toml:"-"`

	sources map[string]string // key → file:line, environment variable or flag; absent = default
	passed  []Notice          // what was read and has no effect
}

// DNS names the service that answers for the names in Addresses.
type DNS struct {
	Provider    string   `toml:"provider"`    // as internal/dnsprovider knows it; "" = none
	Credentials []string `toml:"credentials"` // words like key=value
	Zone        string   `toml:"zone"`        // "" = found out
	Resolvers   []string `toml:"resolvers"`   // HOST:PORT; none = the system's
}

// Proxy is a reverse proxy of the owner's own, in front of this server.
type Proxy struct {
	Listen   string   `toml:"listen"`   // ADDRESS:PORT for plain HTTP where the proxy ends TLS; "" = it does not
	Trusted  []string `toml:"trusted"`  // addresses and networks of proxies that are believed
	Protocol string   `toml:"protocol"` // on: they begin with the PROXY protocol
}

// Reach is how it is found out whether visitors from outside get in.
type Reach struct {
	Peer   string `toml:"peer"`   // URL of a Foyer elsewhere that is asked to try; "" = none
	Answer string `toml:"answer"` // on, home: try for others who ask; off
}

// Peer is the Foyer elsewhere that is asked whether visitors get in: that of
// reach.peer, or the one that already tells dyndns the address; "" = none.
func (s *Settings) Peer() string {
	if s.Reach.Peer != "" {
		return s.Reach.Peer
	}
	if base, ok := strings.CutSuffix(s.DynDNS, knock.Dial); ok {
		return base
	}
	return ""
}

// Prefixes are the networks of Trusted; what is not written right, which Validate
// has refused, is left out.
func (p Proxy) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, t := range p.Trusted {
		if n, ok := network(t); ok {
			out = append(out, n)
		}
	}
	return out
}

// network reads an address or a network.
func network(text string) (netip.Prefix, bool) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), true
	}
	n, err := netip.ParsePrefix(text)
	return n.Masked(), err == nil && n.Bits() > 0
}

// Backup says where backups go. `foyer backup to` sets it, since there is more to it than
// a name: a folder of this user's, words on paper, and a service that may write there.
type Backup struct {
	To       string `toml:"to"`       // folder; "" = nothing is backed up
	Interval int    `toml:"interval"` // seconds
}

// Limits bound what one request may cost.
type Limits struct {
	Body          int `toml:"body"`           // bytes
	Header        int `toml:"header"`         // bytes
	HeaderSeconds int `toml:"header_seconds"` // seconds
	IdleSeconds   int `toml:"idle_seconds"`   // seconds
	BodySeconds   int `toml:"body_seconds"`   // seconds
	Connections   int `toml:"connections"`
}

// Certificates say where the certificates of public names come from.
type Certificates struct {
	CA       string `toml:"ca"`
	CARoots  string `toml:"ca_roots"`
	Email    string `toml:"email"`
	Rehearse string `toml:"rehearse"`
	Members  string `toml:"members"`
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
}

// Key documents one setting.
type Key struct {
	Name    string // as in the file, dotted: "limits.body"
	Default string // as it would be written in the file
	Means   hint.Text
	check   func(*Settings) error
}

// Default returns the settings of a Foyer nobody has configured.
func Default() *Settings {
	return &Settings{
		Name: "foyer", Data: SystemData, HTTPPort: 80, HTTPSPort: 443, MDNS: "on", Router: "off", DynDNS: "off", Proxy: Proxy{Protocol: "off"}, Reach: Reach{Answer: "off"}, Backup: Backup{Interval: 5}, OSUpdates: "on",
		Limits:  Limits{Body: 8 << 20, Header: 64 << 10, HeaderSeconds: 10, BodySeconds: 60, IdleSeconds: 120, Connections: 4096},
		Kinto:   newKinto(),
		sources: map[string]string{},
	}
}

// EnvName is the environment variable of a setting: "limits.body" → FOYER_LIMITS_BODY.
func EnvName(key string) string {
	return "FOYER_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// Set sets one key from text; source says where the text came from ("--name", "FOYER_NAME").
func (s *Settings) Set(key, text, source string) error {
	if name, ok := strings.CutPrefix(key, "kinto."); ok {
		if err := s.setKinto(name, text, source, key); err != nil {
			return Malformed(source, 0, key, Reason(err))
		}
		return nil
	}
	p := s.field(key)
	switch p := p.(type) {
	case *string:
		*p = text
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return Malformed(source, 0, key, aNumber())
		}
		*p = n
	case *[]string:
		*p = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	default:
		return Malformed(source, 0, key, NoSuchKey(key, keyNames()))
	}
	s.sources[key] = source
	return nil
}

// Get returns a setting as text and where it came from ("" = default).
func (s *Settings) Get(key string) (text, source string) {
	if name, ok := strings.CutPrefix(key, "kinto."); ok {
		return s.Kinto.String(name), s.Kinto.source(name)
	}
	switch p := s.field(key).(type) {
	case *string:
		text = *p
	case *int:
		text = strconv.Itoa(*p)
	case *[]string:
		text = strings.Join(*p, " ")
	}
	return text, s.sources[key]
}

// Keys documents every setting outside [kinto], in the order of the file.
// KintoKeys documents those inside.
var Keys = []Key{
	{"name", "foyer", hint.T("Name of this server: it answers to NAME.local at home.", "Nom de ce serveur : il répond à NOM.local à la maison."), func(s *Settings) error {
		if !nameRE.MatchString(s.Name) {
			return Allowed(hint.T("letters, digits and dashes, 1 to 63 of them, beginning and ending with a letter or digit", "des lettres, chiffres et tirets, de 1 à 63, commençant et finissant par une lettre ou un chiffre"))
		}
		return nil
	}},
	{"language", "", hint.T("Language of messages: en or fr. Empty: chosen for each person.", "Langue des messages : en ou fr. Vide : choisie pour chaque personne."), func(s *Settings) error {
		if _, ok := hint.ParseLang(s.Language); s.Language != "" && !ok {
			return Allowed(hint.T("en, fr, or empty", "en, fr, ou vide"))
		}
		return nil
	}},
	{"data", SystemData, hint.T("Folder that holds the data.", "Dossier où vivent les données."), func(s *Settings) error {
		if !filepath.IsAbs(s.Data) || filepath.Clean(s.Data) == "/" {
			return Allowed(hint.T("a folder as an absolute path, e.g. /var/lib/foyer", "un dossier par son chemin absolu, p. ex. /var/lib/foyer"))
		}
		return nil
	}},
	{"database", "", hint.T("PostgreSQL database that several servers can share: postgres://USER:PASSWORD@HOST/NAME, or host=HOST dbname=NAME. Empty: SQLite in the data folder.", "Base PostgreSQL que plusieurs serveurs peuvent partager : postgres://UTILISATEUR:MOTDEPASSE@HÔTE/NOM, ou host=HÔTE dbname=NOM. Vide : SQLite dans le dossier des données."), func(s *Settings) error {
		if s.Database != "" && !isPostgres(s.Database) && !wordsRE.MatchString(s.Database) {
			return Allowed(hint.T("postgres://…, words like host=… dbname=…, or empty", "postgres://…, des mots comme host=… dbname=…, ou vide"))
		}
		return nil
	}},
	{"http_port", "80", hint.T("Port for plain HTTP: it only redirects to HTTPS and teaches how to trust this server.", "Port HTTP : il redirige vers HTTPS et explique comment faire confiance à ce serveur."), port(func(s *Settings) int { return s.HTTPPort })},
	{"https_port", "443", hint.T("Port for HTTPS.", "Port HTTPS."), port(func(s *Settings) int { return s.HTTPSPort })},
	{"addresses", "", hint.T("Further names and addresses this server may be called by; public ones get a certificate that everybody trusts.", "Autres noms et adresses sous lesquels on peut appeler ce serveur ; les publics reçoivent un certificat reconnu de tous."), func(s *Settings) error {
		for _, a := range s.Addresses {
			if !isAddress(a) && !netname.Valid(strings.TrimPrefix(a, "*.")) {
				return Allowed(hint.T("names and addresses like cloud.example or 192.168.1.20, not %q", "des noms et adresses comme cloud.example ou 192.168.1.20, pas %q", a))
			}
		}
		return nil
	}},
	{"mdns", "on", hint.T("on: announce NAME.local in the home network; off: leave it.", "on : annoncer NOM.local dans le réseau de la maison ; off : s'en abstenir."), func(s *Settings) error {
		if s.MDNS != "on" && s.MDNS != "off" {
			return Allowed(hint.T("on or off", "on ou off"))
		}
		return nil
	}},
	{"os_updates", "on", hint.T("on: on Debian and Raspberry Pi OS `foyer install` has the system install its security updates by itself, if nobody else sees to them, and Foyer restarts the machine at night when they want that; off: leave that to you.", "on : sur Debian et Raspberry Pi OS, `foyer install` fait installer d'elles-mêmes les mises à jour de sécurité du système, si personne d'autre ne s'en occupe, et Foyer redémarre la machine la nuit quand elles le demandent ; off : vous laisser ce soin."), func(s *Settings) error {
		if s.OSUpdates != "on" && s.OSUpdates != "off" {
			return Allowed(hint.T("on or off", "on ou off"))
		}
		return nil
	}},
	{"router", "off", hint.T("off: leave the router alone; map: ask it to let visitors from outside in on ports 80 and 443, in the way it understands; pcp, nat-pmp or upnp: in this way alone.", "off : laisser la box tranquille ; map : la prier de laisser entrer les visiteurs de l'extérieur par les ports 80 et 443, de la façon qu'elle comprend ; pcp, nat-pmp ou upnp : de cette façon seulement."), func(s *Settings) error {
		if !slices.Contains([]string{"off", "map", "pcp", "nat-pmp", "upnp"}, s.Router) {
			return Allowed(hint.T("off, map, pcp, nat-pmp or upnp", "off, map, pcp, nat-pmp ou upnp"))
		}
		return nil
	}},
	{"dyndns", "off", hint.T("off: leave DNS alone; router: keep the public names in `addresses` at the address the router has outside; https://…: at the address this peer answers with.", "off : laisser le DNS tranquille ; router : garder les noms publics de `addresses` à l'adresse extérieure de la box ; https://… : à l'adresse que répond ce pair."), func(s *Settings) error {
		switch {
		case s.DynDNS == "off":
		case s.DynDNS != "router" && !isHTTPS(s.DynDNS):
			return Allowed(hint.T("off, router, or https://…", "off, router, ou https://…"))
		case s.DynDNS == "router" && s.Router == "off":
			return Allowed(hint.T("off or https://…, while the setting router is off", "off ou https://…, tant que le réglage router est à off"))
		case s.DNS.Provider == "":
			return Allowed(hint.T("off, while the setting dns.provider is empty", "off, tant que le réglage dns.provider est vide"))
		}
		return nil
	}},
	{"dns.provider", "", hint.T("Service that answers for the public names in `addresses`, e.g. duckdns, desec, cloudflare, ovh, gandi, hetzner, rfc2136. Empty: none.", "Service qui répond pour les noms publics de `addresses`, p. ex. duckdns, desec, cloudflare, ovh, gandi, hetzner, rfc2136. Vide : aucun."), anything},
	{"dns.credentials", "", hint.T("What that service gave you to sign in with, as words like key=value.", "Ce que ce service vous a donné pour vous identifier, en mots comme clé=valeur."), func(s *Settings) error {
		for i, w := range s.DNS.Credentials {
			if key, _, ok := strings.Cut(w, "="); !ok || key == "" {
				return Allowed(hint.T("words like key=value; word %d is not", "des mots comme clé=valeur ; le mot %d ne l'est pas", i+1))
			}
		}
		return nil
	}},
	{"dns.zone", "", hint.T("Zone at that service where the public names, or the proofs that they are yours, are written. Empty: found out.", "Zone, chez ce service, où sont écrits les noms publics, ou les preuves qu'ils sont à vous. Vide : trouvée d'elle-même."), func(s *Settings) error {
		if s.DNS.Zone != "" && !netname.Valid(strings.TrimSuffix(s.DNS.Zone, ".")) {
			return Allowed(hint.T("a name like example.org, or empty", "un nom comme exemple.org, ou vide"))
		}
		return nil
	}},
	{"dns.resolvers", "", hint.T("DNS servers asked whether a record is there yet, as HOST:PORT. Empty: the system's.", "Serveurs DNS interrogés pour savoir si un enregistrement est là, sous la forme HÔTE:PORT. Vide : ceux du système."), func(s *Settings) error {
		for _, r := range s.DNS.Resolvers {
			host, port, err := net.SplitHostPort(r)
			if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 || !isAddress(host) && !netname.Valid(host) {
				return Allowed(hint.T("addresses like 9.9.9.9:53, not %q", "des adresses comme 9.9.9.9:53, pas %q", r))
			}
		}
		return nil
	}},
	{"certificates.ca", "", hint.T("Directory URL of the certificate authority for public names. Empty: Let's Encrypt; off: none.", "URL du répertoire de l'autorité de certification pour les noms publics. Vide : Let's Encrypt ; off : aucune."), func(s *Settings) error {
		if ca := s.Certificates.CA; ca != "" && ca != "off" && !isHTTPS(ca) {
			return Allowed(hint.T("https://…, off, or empty", "https://…, off, ou vide"))
		}
		return nil
	}},
	{"certificates.ca_roots", "", hint.T("PEM file of the roots of an authority that is not publicly trusted.", "Fichier PEM des racines d'une autorité qui n'est pas reconnue publiquement."), absolute(func(s *Settings) string { return s.Certificates.CARoots })},
	{"certificates.email", "", hint.T("Where the certificate authority may write to. Empty: nowhere.", "Où l'autorité de certification peut écrire. Vide : nulle part."), func(s *Settings) error {
		if m := s.Certificates.Email; m != "" && !strings.Contains(m, "@") {
			return Allowed(hint.T("an e-mail address, or empty", "une adresse électronique, ou vide"))
		}
		return nil
	}},
	{"certificates.rehearse", "", hint.T("Directory URL of an authority at which renewals are rehearsed each week. Empty: the one Let's Encrypt has for that, for its certificates; off: nowhere.", "URL du répertoire d'une autorité auprès de laquelle les renouvellements sont répétés chaque semaine. Vide : celle que Let's Encrypt a pour cela, pour ses certificats ; off : nulle part."), func(s *Settings) error {
		if ca := s.Certificates.Rehearse; ca != "" && ca != "off" && !isHTTPS(ca) {
			return Allowed(hint.T("https://…, off, or empty", "https://…, off, ou vide"))
		}
		return nil
	}},
	{"certificates.members", "", hint.T("Domain below which each member has a name, e.g. members.example: jeannine.members.example; neither this server's own name nor below it. A certificate is ordered when first asked for. Empty: none.", "Domaine sous lequel chaque membre a un nom, p. ex. membres.example : jeannine.membres.example ; ni le nom du serveur, ni en dessous. Un certificat est demandé au premier besoin. Vide : aucun."), func(s *Settings) error {
		d := strings.ToLower(s.Certificates.Members)
		if d != "" && (!netname.Valid(d) || !strings.Contains(d, ".")) {
			return Allowed(hint.T("a domain like members.example, or empty", "un domaine comme membres.example, ou vide"))
		}
		for _, own := range s.Addresses {
			if d != "" && Below(d, own) {
				// A page of a member could ask a browser for the passkeys of the server.
				return Allowed(hint.T("a domain that is not, nor is below, this server's own name %s: a member's page there could ask for the passkeys of everybody", "un domaine qui n'est pas le nom %s du serveur, ni en dessous : la page d'un membre pourrait y demander les clés d'accès de tous", own))
			}
		}
		return nil
	}},
	{"certificates.cert_file", "", hint.T("PEM file of a certificate of your own, with its chain; it is read again when it changes.", "Fichier PEM d'un certificat à vous, avec sa chaîne ; il est relu quand il change."), func(s *Settings) error {
		if (s.Certificates.CertFile == "") != (s.Certificates.KeyFile == "") {
			return Allowed(hint.T("certificates.cert_file and certificates.key_file together, or neither", "certificates.cert_file et certificates.key_file ensemble, ou aucun des deux"))
		}
		return absolute(func(s *Settings) string { return s.Certificates.CertFile })(s)
	}},
	{"certificates.key_file", "", hint.T("PEM file of its key.", "Fichier PEM de sa clé."), absolute(func(s *Settings) string { return s.Certificates.KeyFile })},
	{"proxy.listen", "", hint.T("Address and port, e.g. 127.0.0.1:8888, for plain HTTP from a reverse proxy of yours that has the certificate; then this server takes neither http_port nor https_port. Empty: it does its own HTTPS.", "Adresse et port, p. ex. 127.0.0.1:8888, pour le HTTP simple d'un mandataire inverse à vous qui a le certificat ; ce serveur ne prend alors ni http_port ni https_port. Vide : il fait son propre HTTPS."), func(s *Settings) error {
		if s.Proxy.Listen == "" {
			return nil
		}
		at, err := netip.ParseAddrPort(s.Proxy.Listen)
		switch {
		case err != nil || at.Port() == 0:
			return Allowed(hint.T("an address and a port like 127.0.0.1:8888, or empty", "une adresse et un port comme 127.0.0.1:8888, ou vide"))
		case !at.Addr().Unmap().IsLoopback() && len(s.Proxy.Trusted) == 0:
			return Allowed(hint.T("an address of this machine alone, like 127.0.0.1:8888, while proxy.trusted is empty", "une adresse de cette machine seule, comme 127.0.0.1:8888, tant que proxy.trusted est vide"))
		}
		return nil
	}},
	{"proxy.trusted", "", hint.T("Addresses and networks of reverse proxies whose word is taken for who a visitor is. Empty: nobody's.", "Adresses et réseaux des mandataires inverses que l'on croit sur l'identité d'un visiteur. Vide : aucun."), func(s *Settings) error {
		for _, t := range s.Proxy.Trusted {
			if _, ok := network(t); !ok {
				return Allowed(hint.T("addresses and networks like 127.0.0.1 or 192.168.1.0/24, not %q", "des adresses et réseaux comme 127.0.0.1 ou 192.168.1.0/24, pas %q", t))
			}
		}
		return nil
	}},
	{"proxy.protocol", "off", hint.T("on: the trusted proxies begin every connection with the PROXY protocol, version 1 or 2; off: they do not.", "on : les mandataires de confiance commencent chaque connexion par le protocole PROXY, version 1 ou 2 ; off : non."), func(s *Settings) error {
		switch {
		case s.Proxy.Protocol != "on" && s.Proxy.Protocol != "off":
			return Allowed(hint.T("on or off", "on ou off"))
		case s.Proxy.Protocol == "on" && len(s.Proxy.Trusted) == 0:
			return Allowed(hint.T("off, while proxy.trusted is empty", "off, tant que proxy.trusted est vide"))
		}
		return nil
	}},
	{"reach.peer", "", hint.T("Address of a Foyer elsewhere, e.g. https://community.example, that is asked to try whether visitors from outside get in here. Empty: nobody tries.", "Adresse d'un Foyer ailleurs, p. ex. https://communaute.exemple, prié d'essayer si les visiteurs de l'extérieur entrent ici. Vide : personne n'essaie."), func(s *Settings) error {
		u, err := url.Parse(s.Reach.Peer)
		if s.Reach.Peer != "" && (err != nil || !isHTTPS(s.Reach.Peer) || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
			return Allowed(hint.T("https://NAME, or empty", "https://NOM, ou vide"))
		}
		return nil
	}},
	{"reach.answer", "off", hint.T("on: try for other Foyers that ask whether visitors get in at their place, by dialling back the public address they ask from; home: for those in private networks, too; off: do not.", "on : essayer, pour d'autres Foyers qui le demandent, si les visiteurs entrent chez eux, en rappelant l'adresse publique d'où ils demandent ; home : aussi pour ceux des réseaux privés ; off : s'en abstenir."), func(s *Settings) error {
		if !slices.Contains([]string{"off", "on", "home"}, s.Reach.Answer) {
			return Allowed(hint.T("off, on or home", "off, on ou home"))
		}
		return nil
	}},
	{"backup.to", "", hint.T("Folder on another disk that backups go to; `foyer backup to` sets it up. Empty: nothing is backed up.", "Dossier, sur un autre disque, où vont les sauvegardes ; `foyer backup to` le prépare. Vide : rien n'est sauvegardé."), func(s *Settings) error {
		if p := s.Backup.To; p != "" && (!filepath.IsAbs(p) || filepath.Clean(p) != p || filepath.Dir(p) == p) {
			return Allowed(hint.T("a folder as an absolute path, or empty", "un dossier par son chemin absolu, ou vide"))
		}
		return nil
	}},
	{"backup.interval", "5", hint.T("Seconds between two looks for what is new for the backup; what is written in between is lost if the machine is.", "Secondes entre deux relevés de ce qui est nouveau pour la sauvegarde ; ce qui est écrit entre-temps est perdu si la machine l'est."), between("backup.interval", 1, 3600, func(s *Settings) int { return s.Backup.Interval })},
	{"limits.body", "8388608", hint.T("Largest request body, in bytes.", "Plus grand corps de requête, en octets."), between("limits.body", 1<<10, 1<<30, func(s *Settings) int { return s.Limits.Body })},
	{"limits.header", "65536", hint.T("Largest request head, in bytes.", "Plus grand en-tête de requête, en octets."), between("limits.header", 4<<10, 1<<20, func(s *Settings) int { return s.Limits.Header })},
	{"limits.header_seconds", "10", hint.T("Seconds a client may take to send the request head.", "Secondes accordées pour envoyer l'en-tête."), between("limits.header_seconds", 1, 3600, func(s *Settings) int { return s.Limits.HeaderSeconds })},
	{"limits.body_seconds", "60", hint.T("Seconds a client may take to send a request body.", "Secondes accordées pour envoyer le corps."), between("limits.body_seconds", 1, 3600, func(s *Settings) int { return s.Limits.BodySeconds })},
	{"limits.idle_seconds", "120", hint.T("Seconds an idle connection is kept.", "Secondes de maintien d'une connexion inactive."), between("limits.idle_seconds", 1, 3600, func(s *Settings) int { return s.Limits.IdleSeconds })},
	{"limits.connections", "4096", hint.T("Connections held at once, as far as the system lets this server have files open; one address has a quarter of them. When there are more, those that have been idle for longest are closed.", "Connexions tenues à la fois, pour autant que le système laisse ce serveur ouvrir des fichiers ; une adresse en a le quart. Au-delà, celles qui sont inactives depuis le plus longtemps sont fermées."), between("limits.connections", 8, 1<<20, func(s *Settings) int { return s.Limits.Connections })},
}

var nameRE = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

// isAddress reports whether text is an IP address that something can be called by.
func isAddress(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast()
}

// isHTTPS reports whether text is the address of something that is asked over HTTPS.
func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && (isAddress(u.Hostname()) || !netname.EndsInNumber(u.Hostname()))
}

func anything(*Settings) error { return nil }

// absolute allows a file by its absolute path, or none.
func absolute(get func(*Settings) string) func(*Settings) error {
	return func(s *Settings) error {
		if p := get(s); p != "" && !filepath.IsAbs(p) {
			return Allowed(hint.T("a file as an absolute path, or empty", "un fichier par son chemin absolu, ou vide"))
		}
		return nil
	}
}

func port(get func(*Settings) int) func(*Settings) error {
	return func(s *Settings) error {
		if n := get(s); n < 1 || n > 65535 {
			return Allowed(hint.T("a port from 1 to 65535", "un port de 1 à 65535"))
		}
		return nil
	}
}

func between(name string, low, high int, get func(*Settings) int) func(*Settings) error {
	return func(s *Settings) error {
		if n := get(s); n < low || n > high {
			return Allowed(hint.T("a whole number from %d to %d", "un nombre entier de %d à %d", low, high))
		}
		return nil
	}
}

// Validate checks every setting; the error names each that is wrong, where it was set,
// and what is allowed.
func (s *Settings) Validate() error { return All(s.problems()) }

func (s *Settings) problems() (wrong []*hint.Error) {
	for _, k := range Keys {
		if err := k.check(s); err != nil {
			wrong = append(wrong, Malformed(s.sources[k.Name], 0, k.Name, Reason(err)))
		}
	}
	if len(wrong) == 0 && s.HTTPPort == s.HTTPSPort {
		wrong = append(wrong, Malformed(cmp.Or(s.sources["https_port"], s.sources["http_port"]), 0, "https_port", hint.T("another port than http_port", "un autre port que http_port")))
	}
	ofKinto, _ := s.checkKinto()
	return append(wrong, ofKinto...)
}

// Below reports whether a domain is another, or below it: whether its pages are of one
// site with those of the other (WebAuthn's RP ID, and cookies).
func Below(domain, other string) bool {
	domain, other = strings.ToLower(strings.TrimSuffix(domain, ".")), strings.ToLower(strings.TrimSuffix(other, "."))
	return domain == other || strings.HasSuffix(domain, "."+other)
}
