package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// plugins are the reference's own, by their short names, and what is said of those that
// are taken but have nothing to do here.
var plugins = map[string]hint.Text{
	"default_bucket": {}, "accounts": {}, "attachment": {}, "history": {}, "flush": {}, "openid": {}, "counters": {},
	"admin":      hint.T("Foyer has pages of its own; of this plugin only the list at /permissions is on", "Foyer a ses propres pages ; de ce module, seule la liste de /permissions est active"),
	"prometheus": hint.T("Foyer has no endpoint for metrics", "Foyer n'a pas de point d'accès pour les mesures"),
	"statsd":     hint.T("Foyer sends no metrics", "Foyer n'envoie pas de mesures"),
}

// pluginName is the short name of a plugin; empty for one that there is none of here.
func pluginName(module string) string {
	name := strings.TrimPrefix(module, "kinto.plugins.")
	if module == "kinto_attachment" || module == "kinto-attachment" {
		name = "attachment"
	}
	if _, ok := plugins[name]; !ok {
		return ""
	}
	return name
}

// The kinds of policies, by the last part of the reference's names for them.
var policyClasses = map[string]string{
	"AccountsPolicy": "account", "AccountsAuthenticationPolicy": "account", "BasicAuthAuthenticationPolicy": "basicauth", "OpenIDConnectPolicy": "openid",
}

// checkKinto finds what settings of [kinto] say that cannot be, by themselves and
// together, and tells of those that have no effect.
func (s *Settings) checkKinto() (wrong []*hint.Error, notices []Notice) {
	c := &kintoCheck{Settings: s, k: s.Kinto}
	c.includes()
	c.policies()
	c.accounts()
	c.storage()
	c.addresses()
	c.endOfService()
	return c.wrong, c.notices
}

// kintoCheck is one look at all of them.
type kintoCheck struct {
	*Settings
	k       Kinto
	wrong   []*hint.Error
	notices []Notice
}

func (c *kintoCheck) notice(source, key string, why hint.Text) {
	c.notices = append(c.notices, Notice{source, key, why})
}

func (c *kintoCheck) refuse(name string, why hint.Text) {
	key := "kinto." + name
	source := c.k.source(name)
	if strings.HasPrefix(source, "KINTO_") || strings.HasPrefix(source, "MULTIAUTH_") {
		key = source
	}
	c.wrong = append(c.wrong, Malformed(source, 0, key, why))
}

func (c *kintoCheck) includes() {
	for _, module := range c.k.List("includes") {
		name := pluginName(module)
		switch {
		case strings.TrimPrefix(module, "kinto.plugins.") == "quotas":
			c.refuse("includes", hint.T("the plugin quotas is no more; quotas.owner_max_records, quotas.owner_max_bytes and quotas.owner_max_attachment_bytes bound what somebody's buckets hold", "le module quotas n'existe plus ; quotas.owner_max_records, quotas.owner_max_bytes et quotas.owner_max_attachment_bytes bornent ce que contiennent les buckets de quelqu'un"))
		case name == "":
			c.refuse("includes", hint.T("there is no plugin %q here; there are kinto.plugins.NAME with default_bucket, accounts, history, flush, openid, admin, counters, and kinto_attachment", "il n'y a pas de module %q ici ; il y a kinto.plugins.NOM avec default_bucket, accounts, history, flush, openid, admin, counters, et kinto_attachment", module))
		case !plugins[name].IsZero() && c.k.IsSet("includes"):
			c.notice(c.k.source("includes"), module, plugins[name])
		}
	}
}

// policies looks at each way to authenticate, and at those that are set up and not used.
func (c *kintoCheck) policies() {
	const list = "multiauth.policies"
	on := c.k.List(list)
	for _, policy := range on {
		of := func(field string) string { return "multiauth.policy." + policy + "." + field }
		class, known := "", true
		if use := c.k.String(of("use")); use != "" {
			class, known = policyClasses[use[strings.LastIndexByte(use, '.')+1:]]
			known = known && (!strings.Contains(use, ".") || strings.HasPrefix(use, "kinto."))
		}
		own := policy == "account" || policy == "basicauth"
		switch {
		case !known:
			c.refuse(of("use"), hint.T("there is no such policy here; there are kinto.plugins.accounts.AccountsPolicy, kinto.plugins.openid.OpenIDConnectPolicy and kinto.core.authentication.BasicAuthAuthenticationPolicy", "cette méthode n'existe pas ici ; il y a kinto.plugins.accounts.AccountsPolicy, kinto.plugins.openid.OpenIDConnectPolicy et kinto.core.authentication.BasicAuthAuthenticationPolicy"))
		case own && class != "" && class != policy:
			c.refuse(of("use"), hint.T("the policy named %q is Kinto's own, and no other", "la méthode nommée %q est celle de Kinto, et aucune autre", policy))
		case !own && (class == "account" || class == "basicauth"):
			c.refuse(of("use"), hint.T("this policy is named %q here, since it begins its users' ids; name it so in multiauth.policies", "cette méthode se nomme %q ici, car les identifiants de ses utilisateurs commencent ainsi ; nommez-la ainsi dans multiauth.policies", class))
		case own:
		case c.k.String(of("issuer")) == "" && c.k.String(of("userinfo_endpoint")) == "":
			c.refuse(list, hint.T("there is no policy %q here; there are account, basicauth, and identity providers, which need the setting %s", "il n'y a pas de méthode %q ici ; il y a account, basicauth et les fournisseurs d'identité, qui demandent le réglage %s", policy, of("issuer")))
		default:
			for _, field := range []string{"issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint"} {
				if text := c.k.String(of(field)); text != "" && !isWeb(text) {
					c.refuse(of(field), hint.T("an address like https://id.example", "une adresse comme https://id.example"))
				}
			}
		}
	}
	told := map[string]bool{}
	for _, name := range c.k.Names() {
		rest, ok := strings.CutPrefix(name, "multiauth.policy.")
		if dot := strings.LastIndexByte(rest, '.'); ok && dot > 0 && !slices.Contains(on, rest[:dot]) && !told[rest[:dot]] {
			told[rest[:dot]] = true
			c.notice(c.k.source(name), "multiauth.policy."+rest[:dot]+".*", hint.T("multiauth.policies does not name this policy", "multiauth.policies ne nomme pas cette méthode"))
		}
	}
	if account, basic := slices.Index(on, "account"), slices.Index(on, "basicauth"); basic >= 0 && basic < account {
		c.refuse(list, hint.T("account has to stand before basicauth, which takes any name and password", "account doit venir avant basicauth, qui accepte tout nom et mot de passe"))
	}
}

// accounts refuses what the reference refuses of its accounts plugin.
func (c *kintoCheck) accounts() {
	if !c.k.Includes("accounts") {
		return
	}
	asked := c.k.IsSet("includes") && c.k.String("includes") != kintoKey("includes").Default
	if asked && !slices.Contains(c.k.List("multiauth.policies"), "account") {
		c.refuse("multiauth.policies", hint.T("the plugin accounts is on, so account has to be among the policies", "le module accounts est actif : account doit être parmi les méthodes"))
	}
	admins := c.k.List("account_write_principals")
	var others []string
	for _, creator := range c.k.List("account_create_principals") {
		if creator != "system.Everyone" && !slices.Contains(admins, creator) {
			others = append(others, creator)
		}
	}
	if len(others) > 0 {
		c.refuse("account_create_principals", hint.T("system.Everyone, or whoever account_write_principals names, too; not named there: %s", "system.Everyone, ou ceux que nomme aussi account_write_principals ; n'y figurent pas : %s", strings.Join(others, " ")))
	}
}

// storage says where the data are when that is not where the settings say.
func (c *kintoCheck) storage() {
	address, backend := c.k.String("storage_url"), c.k.String("storage_backend")
	switch {
	case address == "":
	case c.Database != "":
		if c.Database != address {
			c.notice(c.k.source("storage_url"), "storage_url", hint.T("the setting database says where the data are", "le réglage database dit où sont les données"))
		}
	case !isPostgres(address):
		c.notice(c.k.source("storage_url"), "storage_url", hint.T("this is no address of PostgreSQL; the data are in the data folder", "ce n'est pas une adresse PostgreSQL ; les données sont dans le dossier des données"))
	}
	switch postgres := strings.HasSuffix(backend, "postgresql"); {
	case backend == "":
	case postgres && c.PostgreSQL() == "":
		c.refuse("storage_backend", hint.T("the data are to be in PostgreSQL, so storage_url has to be its address: postgresql://USER:PASSWORD@HOST/NAME", "les données doivent être dans PostgreSQL : storage_url doit être son adresse : postgresql://UTILISATEUR:MOTDEPASSE@HÔTE/NOM"))
	case !postgres && c.PostgreSQL() != "":
		c.notice(c.k.source("storage_backend"), "storage_backend", hint.T("there is the address of a PostgreSQL database; the data are there", "il y a l'adresse d'une base PostgreSQL ; les données y sont"))
	case !postgres:
		c.notice(c.k.source("storage_backend"), "storage_backend", hint.T("the data are kept with SQLite, in the data folder", "les données sont gardées par SQLite, dans le dossier des données"))
	}
}

// addresses looks at those that this server gives of itself.
func (c *kintoCheck) addresses() {
	if scheme := c.k.String("http_scheme"); scheme != "" && scheme != "http" && scheme != "https" {
		c.refuse("http_scheme", hint.T("http, https, or empty", "http, https, ou vide"))
	}
	if host := c.k.String("http_host"); host != "" {
		u, err := url.Parse("http://" + host)
		if err != nil || u.Host != host || u.Hostname() == "" {
			c.refuse("http_host", hint.T("a name with or without a port, like cloud.example:8443, or empty", "un nom avec ou sans port, comme cloud.example:8443, ou vide"))
		}
	}
}

func (c *kintoCheck) endOfService() {
	day := c.k.String("eos")
	isDay := slices.ContainsFunc([]string{time.DateOnly, "2006-01-02T15:04:05", time.RFC3339}, func(form string) bool {
		_, err := time.Parse(form, day)
		return err == nil
	})
	if day != "" && !isDay {
		c.refuse("eos", hint.T("a day, as YYYY-MM-DD, or empty", "un jour, sous la forme AAAA-MM-JJ, ou vide"))
	}
}

// isWeb reports whether text is the address of something on the web.
func isWeb(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != ""
}
