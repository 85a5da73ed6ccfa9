package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
)

// Notice tells of something in the settings that has no effect, and why; nothing is wrong
// with it, and Foyer goes on.
type Notice struct {
	Source string // file:line, or the environment variable
	Key    string // as it stands there; "[uwsgi]" is a section of an ini file
	Why    hint.Text
}

// Text is the notice as one line.
func (n Notice) Text() hint.Text {
	if n.Source == n.Key {
		return hint.T("%s is passed over: %s.", "%s est ignoré : %s.", n.Key, n.Why)
	}
	return hint.T("%s: %s is passed over: %s.", "%s : %s est ignoré : %s.", n.Source, n.Key, n.Why)
}

// Notices tells of each setting that was passed over: those that have no effect wherever
// they stand, in the order in which they were read, and those that have none beside others.
func (s *Settings) Notices() []Notice {
	_, beside := s.checkKinto()
	return slices.Concat(s.passed, beside, s.nameless())
}

// nameless tells of settings for public names, where there are none.
func (s *Settings) nameless() (out []Notice) {
	tell := func(key string, why hint.Text) {
		if source := s.sources[key]; source != "" { // what nobody wrote is nobody's mistake
			out = append(out, Notice{source, key, why})
		}
	}
	if s.DynDNS != "off" && !slices.ContainsFunc(s.Addresses, netname.PublicName) {
		tell("dyndns", hint.T("`addresses` has no name that can be in the DNS of the Internet", "`addresses` n'a aucun nom qui puisse être dans le DNS d'Internet"))
	}
	switch below, ca := s.Certificates.Members, s.Certificates.CA; {
	case below == "" || netname.PublicName(below) && ca != "off":
	case ca == "off":
		tell("certificates.members", hint.T("certificates.ca is off, and members' names take certificates", "certificates.ca est à off, et il faut des certificats aux noms des membres"))
	case ca == "" || netname.HomeName(below): // an authority of one's own may know what nobody else does
		tell("certificates.members", hint.T("%s is no domain of the Internet: no authority issues certificates below it", "%s n'est pas un domaine d'Internet : aucune autorité ne délivre de certificat en dessous", below))
	}
	return out
}

func (s *Settings) notice(source, key string, why hint.Text) {
	s.passed = append(s.passed, Notice{source, key, why})
}

// passedOver are the settings of the reference, and of what it is built of, that an
// ordinary kinto.ini has and that have nothing to turn here, each with the reason. A "*"
// stands for one or more characters.
var passedOver = []struct {
	names string // separated by white space
	why   hint.Text
}{
	{
		"storage_pool_size storage_max_overflow storage_pool_recycle storage_pool_timeout storage_max_backlog storage_poolclass",
		hint.T("Foyer sees to its connections to the database itself", "Foyer gère lui-même ses connexions à la base"),
	},
	{
		"cache_backend cache_url cache_prefix cache_hosts cache_max_size_bytes cache_pool_size cache_max_overflow cache_pool_recycle cache_pool_timeout cache_max_backlog cache_poolclass",
		hint.T("Foyer needs no cache beside its database", "Foyer n'a besoin d'aucun cache à côté de sa base"),
	},
	{
		"permission_backend permission_url permission_pool_size permission_max_overflow permission_pool_recycle permission_pool_timeout permission_max_backlog permission_poolclass",
		hint.T("permissions are kept with the data", "les permissions sont gardées avec les données"),
	},
	{
		"event_listeners event_listeners.*",
		hint.T("Foyer calls no listeners; clients follow changes by the change feed", "Foyer n'appelle aucun programme ; les clients suivent les modifications par le flux de changements"),
	},
	{
		"statsd_* prometheus_* newrelic_* sentry_* profiler_*",
		hint.T("Foyer sends nothing to monitoring services; `foyer status` and `foyer doctor` tell how it is", "Foyer n'envoie rien aux services de surveillance ; `foyer status` et `foyer doctor` disent comment il va"),
	},
	{
		"logging_renderer",
		hint.T("Foyer writes its log in one form", "Foyer écrit son journal sous une seule forme"),
	},
	{
		"id_generator bucket_id_generator collection_id_generator group_id_generator record_id_generator",
		hint.T("Foyer makes ids in its own way", "Foyer fabrique les identifiants à sa façon"),
	},
	{
		"use initialization_sequence transaction_per_request pyramid.* debugtoolbar.* tm.* retry.* multiauth.authorization_policy multiauth.groupfinder filter-with paste.*",
		hint.T("it turns a part of Kinto's own program", "il règle une partie du programme de Kinto"),
	},
	{
		"project_version version_json_path http_api_* error_info_link heartbeat_timeout_seconds pagination_token_validity_seconds root_cache_expires_seconds",
		hint.T("Foyer has this fixed", "Foyer a une valeur fixe pour cela"),
	},
	{
		"account_validation account_validation.* mail.*",
		hint.T("accounts are not confirmed by mail here", "les comptes ne sont pas confirmés par courriel ici"),
	},
	{
		"attachment.aws.* attachment.gcloud.* attachment.keep_old_files attachment.randomize attachment.gzipped attachment.use_content_encoding attachment.resources.*.keep_old_files attachment.resources.*.randomize attachment.resources.*.gzipped attachment.resources.*.use_content_encoding",
		hint.T("attachments lie in a folder as they were sent, and go with their record", "les pièces jointes sont dans un dossier telles qu'envoyées, et partent avec leur enregistrement"),
	},
	{
		"multiauth.policy.*.state_length",
		hint.T("Foyer makes the state of a sign-in in its own way", "Foyer fabrique l'état d'une connexion à sa façon"),
	},
	{
		"quotas.bucket_* quotas.collection_*",
		hint.T("the settings quotas.owner_max_records, quotas.owner_max_bytes and quotas.owner_max_attachment_bytes bound what buckets hold here", "ici les réglages quotas.owner_max_records, quotas.owner_max_bytes et quotas.owner_max_attachment_bytes bornent le contenu des buckets"),
	},
}

// whyPassedOver says why a setting of the reference has no effect here; false: it is none
// that is known to have none. same compares a name or pattern with it.
func whyPassedOver(same func(pattern string) bool) (hint.Text, bool) {
	for _, group := range passedOver {
		for name := range strings.FieldsSeq(group.names) {
			if same(name) {
				return group.why, true
			}
		}
	}
	return hint.Text{}, false
}

// setKinto sets a key of [kinto], or passes it over where the reference knows it and it
// has no effect here; written is the key as it stands in source.
func (s *Settings) setKinto(name, text, source, written string) error {
	if kintoKey(name) == nil {
		if why, ok := whyPassedOver(func(p string) bool { return matches(p, name) }); ok {
			s.notice(source, written, why)
			return nil
		}
	}
	return s.Kinto.set(name, text, source)
}

// setKintoEnv sets what a variable of the environment means. rest is its name after
// KINTO_. One that nothing is known of is none of ours.
func (s *Settings) setKintoEnv(rest, text, variable string) error {
	if name, ok := s.Kinto.envName(rest); ok {
		return s.Kinto.set(name, text, variable)
	}
	if why, ok := whyPassedOver(func(p string) bool { return matches(envForm(p), rest) }); ok {
		s.notice(variable, variable, why)
		return nil
	}
	switch {
	case strings.HasPrefix(rest, "ATTACHMENT_RESOURCES_"):
		s.notice(variable, variable, hint.T("the environment cannot tell which bucket or collection is meant; a settings file can", "l'environnement ne peut pas dire quel bucket ou quelle collection est désigné ; un fichier de réglages le peut"))
		return nil
	case strings.HasPrefix(rest, "MULTIAUTH_"):
		s.notice(variable, variable, hint.T("policies have no such setting", "les méthodes n'ont pas de tel réglage"))
		return nil
	}
	best, near := "", 3
	for _, k := range KintoKeys {
		if d := distance(rest, envForm(k.Name)); d < near {
			best, near = "KINTO_"+envForm(k.Name), d
		}
	}
	if best != "" {
		s.notice(variable, variable, hint.T("there is no such setting; %s is one", "ce réglage n'existe pas ; %s existe", best))
	}
	return nil
}

// unknown passes over a key of a kinto.ini that nobody knows.
func (s *Settings) unknown(source, name, written string) {
	s.notice(source, written, hint.T("%s", "%s", NoSuchKey(name, kintoNames())))
}

// at is a place in a file.
func at(path string, line int) string { return fmt.Sprintf("%s:%d", path, line) }
