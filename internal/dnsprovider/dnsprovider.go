// Package dnsprovider changes records at the service that answers for a domain.
//
// It hides which service that is: Open takes its name and what it gave its
// customer to sign in with, and returns one kind of value for all. Twelve come
// from the libdns project; Hetzner's is ours (hetzner.go), since the client
// Hetzner offers is as big as a fifth of Foyer.
//
// Nothing is asked of a service before a record is. Two know less than the
// others: acmedns keeps nothing but the TXT records of certificates, and duckdns
// one single TXT value for each domain. Errors are the service's own; they may
// name the domain, and what is secret in the credentials is taken out of them
// (discreet.go): DuckDNS, for one, wants its token in the address of a request.
//
// Used by server/certs, to prove to a certificate authority that a domain is
// ours, and by who keeps a domain pointing at a connection whose address changes.
package dnsprovider

import (
	"maps"
	"slices"
	"strings"

	"github.com/libdns/acmedns"
	"github.com/libdns/cloudflare"
	"github.com/libdns/desec"
	"github.com/libdns/duckdns"
	"github.com/libdns/dynv6"
	"github.com/libdns/gandi"
	"github.com/libdns/infomaniak"
	"github.com/libdns/ionos"
	"github.com/libdns/libdns"
	"github.com/libdns/netcup"
	"github.com/libdns/ovh"
	"github.com/libdns/porkbun"
	"github.com/libdns/rfc2136"

	"github.com/foyer-server/foyer/internal/hint"
)

// Provider changes the records of a zone. It is safe for concurrent use.
type Provider interface {
	libdns.RecordGetter
	libdns.RecordAppender
	libdns.RecordSetter
	libdns.RecordDeleter
}

// service is one that can be opened.
type service struct {
	needs []string          // keys of its credentials, all required …
	usual map[string]string // … but these, which may be left out
	open  func(c map[string]string) Provider
}

var services = map[string]service{
	"acmedns": {[]string{"username", "password", "subdomain", "server_url"}, map[string]string{"server_url": "https://auth.acme-dns.io"}, func(c map[string]string) Provider {
		return &acmedns.Provider{Username: c["username"], Password: c["password"], Subdomain: c["subdomain"], ServerURL: c["server_url"]}
	}},
	"cloudflare": {[]string{"api_token", "zone_token"}, map[string]string{"zone_token": ""}, func(c map[string]string) Provider {
		return &cloudflare.Provider{APIToken: c["api_token"], ZoneToken: c["zone_token"]}
	}},
	"desec": {[]string{"token"}, nil, func(c map[string]string) Provider { return &desec.Provider{Token: c["token"]} }},
	"duckdns": {[]string{"api_token"}, nil, func(c map[string]string) Provider {
		return &duckdns.Provider{APIToken: c["api_token"]}
	}},
	"dynv6": {[]string{"token"}, nil, func(c map[string]string) Provider { return &dynv6.Provider{Token: c["token"]} }},
	"gandi": {[]string{"bearer_token"}, nil, func(c map[string]string) Provider {
		return &gandi.Provider{BearerToken: c["bearer_token"]}
	}},
	"hetzner": {[]string{"api_token"}, nil, func(c map[string]string) Provider {
		return &hetzner{token: c["api_token"], url: hetznerURL}
	}},
	"infomaniak": {[]string{"api_token"}, nil, func(c map[string]string) Provider {
		return &infomaniak.Provider{APIToken: c["api_token"]}
	}},
	"ionos": {[]string{"auth_api_token"}, nil, func(c map[string]string) Provider {
		return &ionos.Provider{AuthAPIToken: c["auth_api_token"]}
	}},
	"netcup": {[]string{"customer_number", "api_key", "api_password"}, nil, func(c map[string]string) Provider {
		return &netcup.Provider{CustomerNumber: c["customer_number"], APIKey: c["api_key"], APIPassword: c["api_password"]}
	}},
	"ovh": {[]string{"application_key", "application_secret", "consumer_key", "endpoint"}, map[string]string{"endpoint": "ovh-eu"}, func(c map[string]string) Provider {
		return &ovh.Provider{Endpoint: c["endpoint"], ApplicationKey: c["application_key"], ApplicationSecret: c["application_secret"], ConsumerKey: c["consumer_key"]}
	}},
	"porkbun": {[]string{"api_key", "api_secret_key"}, nil, func(c map[string]string) Provider {
		return &porkbun.Provider{APIKey: c["api_key"], APISecretKey: c["api_secret_key"]}
	}},
	"rfc2136": {[]string{"server", "key_name", "key", "key_alg"}, map[string]string{"key_alg": "hmac-sha256"}, func(c map[string]string) Provider {
		return &rfc2136.Provider{Server: c["server"], KeyName: c["key_name"], Key: c["key"], KeyAlg: c["key_alg"]}
	}},
}

// Names are the names Open knows, in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(services)) }

// Needs are the keys of the credentials of a service, those it cannot do without
// first; nil for a name Open does not know.
func Needs(name string) (required, optional []string) {
	s := services[name]
	for _, k := range s.needs {
		if _, ok := s.usual[k]; ok {
			optional = append(optional, k)
		} else {
			required = append(required, k)
		}
	}
	return required, optional
}

// Open returns the service with that name. Errors are *hint.Error with code
// dns-provider: they name the key that is missing or not known, never its value.
func Open(name string, credentials map[string]string) (Provider, error) {
	s, ok := services[name]
	if !ok {
		return nil, wrong(hint.T("%q is not a DNS provider Foyer knows.", "%q n'est pas un fournisseur DNS que Foyer connaît.", name),
			hint.T("It knows %s.", "Il connaît %s.", strings.Join(Names(), ", ")))
	}
	for key := range credentials {
		if !slices.Contains(s.needs, key) {
			return nil, wrong(hint.T("The DNS provider %s has no use for %q.", "Le fournisseur DNS %s n'a pas l'usage de %q.", name, key),
				hint.T("It takes %s.", "Il prend %s.", strings.Join(s.needs, ", ")))
		}
	}
	c := maps.Clone(s.usual)
	if c == nil {
		c = map[string]string{}
	}
	maps.Copy(c, credentials)
	required, _ := Needs(name)
	for _, key := range required {
		if c[key] == "" {
			return nil, wrong(hint.T("The DNS provider %s needs %s.", "Le fournisseur DNS %s a besoin de %s.", name, key),
				hint.T("Add %s=… to the setting `dns.credentials`.", "Ajoutez %s=… au réglage `dns.credentials`.", key))
		}
	}
	return discreet{s.open(c), newDiscretion(c)}, nil
}

// Credentials reads words like key=value, as the settings hold them.
func Credentials(words []string) (map[string]string, error) {
	out := map[string]string{}
	for i, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok || key == "" {
			return nil, wrong(hint.T("Word %d of the setting `dns.credentials` is not like key=value.", "Le mot %d du réglage `dns.credentials` n'est pas de la forme clé=valeur.", i+1),
				hint.T("Write what the provider gave you as key=value.", "Écrivez ce que le fournisseur vous a donné sous la forme clé=valeur."))
		}
		out[key] = value
	}
	return out, nil
}

func wrong(what, do hint.Text) error {
	return hint.New("dns-provider", what, hint.Text{}, do).Exits(hint.ExitUsage)
}
