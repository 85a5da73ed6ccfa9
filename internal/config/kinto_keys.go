package config

import (
	"regexp"

	"github.com/foyer-server/foyer/internal/hint"
)

// KintoKeys documents every [kinto] setting that has an effect.
var KintoKeys = []KintoKey{
	{"includes", KintoList, "kinto.plugins.default_bucket kinto.plugins.accounts kinto_attachment", hint.T("Which plugins are on: default_bucket, accounts, attachment, history, flush, openid, admin, counters, each as kinto.plugins.NAME or kinto_attachment.", "Quels modules sont actifs : default_bucket, accounts, attachment, history, flush, openid, admin, counters, chacun écrit kinto.plugins.NOM ou kinto_attachment.")},
	{"flush_endpoint_enabled", KintoBool, "false", hint.T("Old name: true turns the plugin flush on.", "Ancien nom : true active le module flush.")},
	{"multiauth.policies", KintoList, "account", hint.T("How callers may say who they are, first match wins.", "Comment les appelants s'identifient, le premier qui convient l'emporte.")},
	{"multiauth.policy.*.use", KintoString, "", hint.T("multiauth.policy.NAME.use: Kind of the policy, by Kinto's class: AccountsPolicy, BasicAuthAuthenticationPolicy or OpenIDConnectPolicy. Empty: the other settings tell.", "multiauth.policy.NOM.use : Genre de la méthode, par la classe de Kinto : AccountsPolicy, BasicAuthAuthenticationPolicy ou OpenIDConnectPolicy. Vide : les autres réglages le disent.")},
	{"multiauth.policy.*.issuer", KintoString, "", hint.T("multiauth.policy.NAME.issuer: Address of an OpenID Connect provider; its endpoints are discovered.", "multiauth.policy.NOM.issuer : Adresse d'un fournisseur OpenID Connect ; ses points d'accès sont découverts.")},
	{"multiauth.policy.*.client_id", KintoString, "", hint.T("multiauth.policy.NAME.client_id: Id of this server at the provider.", "multiauth.policy.NOM.client_id : Identifiant de ce serveur chez le fournisseur.")},
	{"multiauth.policy.*.client_secret", KintoString, "", hint.T("multiauth.policy.NAME.client_secret: Secret of this server at the provider.", "multiauth.policy.NOM.client_secret : Secret de ce serveur chez le fournisseur.")},
	{"multiauth.policy.*.audience", KintoString, "", hint.T("multiauth.policy.NAME.audience: Accept only tokens that are JWTs for this audience. Empty: those for client_id, and those this server got itself. *: any the provider knows, also those made for other apps.", "multiauth.policy.NOM.audience : N'accepter que les jetons JWT pour ce public. Vide : ceux pour client_id, et ceux que ce serveur a obtenus lui-même. * : tous ceux que le fournisseur connaît, aussi ceux d'autres applications.")},
	{"multiauth.policy.*.header_type", KintoString, "", hint.T("multiauth.policy.NAME.header_type: Word in front of the token in Authorization. Empty: Bearer.", "multiauth.policy.NOM.header_type : Mot devant le jeton dans Authorization. Vide : Bearer.")},
	{"multiauth.policy.*.userid_field", KintoString, "", hint.T("multiauth.policy.NAME.userid_field: Field of what the provider says that is the caller's id. Empty: sub.", "multiauth.policy.NOM.userid_field : Champ de la réponse du fournisseur qui identifie l'appelant. Vide : sub.")},
	{"multiauth.policy.*.authorization_endpoint", KintoString, "", hint.T("multiauth.policy.NAME.authorization_endpoint: Where to sign in, at a provider of plain OAuth 2 such as GitHub.", "multiauth.policy.NOM.authorization_endpoint : Où se connecter, chez un fournisseur OAuth 2 simple comme GitHub.")},
	{"multiauth.policy.*.token_endpoint", KintoString, "", hint.T("multiauth.policy.NAME.token_endpoint: Where such a provider gives tokens.", "multiauth.policy.NOM.token_endpoint : Où un tel fournisseur donne les jetons.")},
	{"multiauth.policy.*.userinfo_endpoint", KintoString, "", hint.T("multiauth.policy.NAME.userinfo_endpoint: Where such a provider says whose a token is.", "multiauth.policy.NOM.userinfo_endpoint : Où un tel fournisseur dit à qui est un jeton.")},
	{"multiauth.policy.*.verification_ttl_seconds", KintoInt, "", hint.T("multiauth.policy.NAME.verification_ttl_seconds: Seconds for which what a provider said of a token holds. Empty: 86400.", "multiauth.policy.NOM.verification_ttl_seconds : Secondes pendant lesquelles la réponse d'un fournisseur sur un jeton est gardée. Vide : 86400.")},
	{"multiauth.policy.*.state_ttl_seconds", KintoInt, "", hint.T("multiauth.policy.NAME.state_ttl_seconds: Seconds that signing in may take. Empty: 3600.", "multiauth.policy.NOM.state_ttl_seconds : Secondes accordées pour se connecter. Vide : 3600.")},
	{"openid.callbacks", KintoList, "", hint.T("Web sites that people may be led back to with a token, as https://app.example, beside those in cors_origins; there * names nobody.", "Sites vers lesquels on peut être ramené avec un jeton, écrits https://app.example, outre ceux de cors_origins ; * n'y désigne personne.")},
	{"userid_hmac_secret", KintoString, "", hint.T("Secret that turns the credentials of the policy basicauth into user ids. Not set, or empty: one is made once and kept with the data.", "Secret qui change les identifiants de la méthode basicauth en identités. Absent ou vide : un secret est créé une fois et gardé avec les données.")},
	{"default_bucket_hmac_secret", KintoString, "", hint.T("Secret that names each caller's own bucket, /buckets/default. Empty: an empty one, as in Kinto.", "Secret qui nomme le bucket personnel de chacun, /buckets/default. Vide : un secret vide, comme dans Kinto.")},
	{"explicit_permissions", KintoBool, "true", hint.T("Whoever writes an object is added to its writers.", "Qui écrit un objet est ajouté à ses rédacteurs.")},
	{"storage_url", KintoString, "", hint.T("Address of the database, when it is postgres://, postgresql:// or postgresql+DRIVER:// and the setting database is empty; another is passed over.", "Adresse de la base, si elle commence par postgres://, postgresql:// ou postgresql+PILOTE:// et que le réglage database est vide ; une autre est ignorée.")},
	{"storage_backend", KintoString, "", hint.T("Only compared with the address of the database: where this names PostgreSQL there has to be one.", "Seulement comparé à l'adresse de la base : s'il nomme PostgreSQL, il en faut une.")},
	{"project_name", KintoString, "foyer", hint.T("What this server tells clients it is.", "Ce que ce serveur dit être aux clients.")},
	{"project_docs", KintoString, "https://kinto.readthedocs.io/", hint.T("Where clients are told the documentation is.", "Où les clients apprennent que se trouve la documentation.")},
	{"readonly", KintoBool, "false", hint.T("Refuse every write.", "Refuser toute écriture.")},
	{"retry_after_seconds", KintoInt, "3", hint.T("Seconds a client should wait after an error that passes.", "Secondes d'attente conseillées après une erreur passagère.")},
	{"backoff", KintoInt, "", hint.T("Seconds clients are asked to leave between requests. Empty: none.", "Secondes que les clients sont priés de laisser entre deux requêtes. Vide : aucune.")},
	{"backoff_percentage", KintoInt, "100", hint.T("Share of answers, in percent, that ask for the backoff.", "Part des réponses, en pour cent, qui demandent ce délai.")},
	{"cors_origins", KintoList, "*", hint.T("Web sites whose pages may use this server; * in a name stands for anything.", "Sites dont les pages peuvent utiliser ce serveur ; * dans un nom remplace n'importe quoi.")},
	{"cors_max_age_seconds", KintoInt, "3600", hint.T("Seconds a browser may remember what a page is allowed.", "Secondes pendant lesquelles un navigateur retient ce qui est permis à une page.")},
	{"http_scheme", KintoString, "", hint.T("http or https in the addresses this server gives of itself. Empty: as it was called.", "http ou https dans les adresses que ce serveur donne de lui-même. Vide : comme il a été appelé.")},
	{"http_host", KintoString, "", hint.T("Host in the addresses this server gives of itself. Empty: as it was called.", "Hôte dans les adresses que ce serveur donne de lui-même. Vide : comme il a été appelé.")},
	{"version_prefix_redirect_enabled", KintoBool, "true", hint.T("Lead addresses without a version to /v1.", "Mener les adresses sans version vers /v1.")},
	{"version_prefix_redirect_ttl_seconds", KintoInt, "-1", hint.T("Seconds a client may remember that. -1: not said.", "Secondes pendant lesquelles un client peut le retenir. -1 : non dit.")},
	{"trailing_slash_redirect_enabled", KintoBool, "true", hint.T("Lead addresses that end in / to those that do not.", "Mener les adresses finissant par / vers celles sans.")},
	{"trailing_slash_redirect_ttl_seconds", KintoInt, "3600", hint.T("Seconds a client may remember that. -1: not said.", "Secondes pendant lesquelles un client peut le retenir. -1 : non dit.")},
	{"paginate_by", KintoInt, "", hint.T("How many objects a page of a list holds at most. Empty: as many as storage_max_fetch_size.", "Combien d'objets une page de liste contient au plus. Vide : autant que storage_max_fetch_size.")},
	{"storage_max_fetch_size", KintoInt, "10000", hint.T("How many objects are read for one answer at most.", "Combien d'objets sont lus au plus pour une réponse.")},
	{"batch_max_requests", KintoInt, "25", hint.T("How many requests a batch holds at most. 0 or empty: any number.", "Combien de requêtes un lot contient au plus. 0 ou vide : sans limite.")},
	{"quotas.owner_max_records", KintoInt, "", hint.T("How many records the buckets of one owner may hold together. Empty or 0: any number.", "Combien d'enregistrements les buckets d'un même propriétaire peuvent contenir ensemble. Vide ou 0 : sans limite.")},
	{"quotas.owner_max_bytes", KintoInt, "", hint.T("How many bytes the buckets of one owner may hold together: objects, their ids and permissions, their history, and what remains of deleted ones. Empty or 0: any number.", "Combien d'octets les buckets d'un même propriétaire peuvent contenir ensemble : les objets, leurs identifiants et permissions, leur historique, et ce qui reste de ceux qui ont été supprimés. Vide ou 0 : sans limite.")},
	{"quotas.owner_max_attachment_bytes", KintoInt, "", hint.T("How many bytes of attachments the buckets of one owner may hold together; they may be sent twice that at once, and half of it in each hour. Empty or 0: any number.", "Combien d'octets de pièces jointes les buckets d'un même propriétaire peuvent contenir ensemble ; ils peuvent en recevoir le double d'un coup, puis la moitié par heure. Vide ou 0 : sans limite.")},
	{"attachment.base_url", KintoString, "", hint.T("Where the addresses of attachments begin. Empty: this server, /v1/attachments/.", "Début de l'adresse des pièces jointes. Vide : ce serveur, /v1/attachments/.")},
	{"attachment.base_path", KintoString, "", hint.T("Folder that holds the contents of attachments; several nodes share one. Empty: attachments, in the data folder.", "Dossier qui contient les pièces jointes ; plusieurs nœuds partagent le même. Vide : attachments, dans le dossier des données.")},
	{"attachment.folder", KintoString, "", hint.T("Beginning of the addresses of attachments below that; {bucket_id} and {collection_id} stand for what they say.", "Début de l'adresse des pièces jointes ; {bucket_id} et {collection_id} y sont remplacés.")},
	{"attachment.extensions", KintoString, "default", hint.T("Which files may be attached, by extension, separated by +: single ones, the groups text, documents, images, data, audio, video, archives, default for the first four, or any.", "Quels fichiers peuvent être joints, par extension, séparées par + : une à une, les groupes text, documents, images, data, audio, video, archives, default pour les quatre premiers, ou any.")},
	{"attachment.max_size_bytes", KintoInt, "1073741824", hint.T("Largest attachment, in bytes.", "Plus grande pièce jointe, en octets.")},
	{"attachment.mimetypes", KintoString, "", hint.T("Types of further extensions, as .EXT:TYPE, separated by ;.", "Types d'autres extensions, écrits .EXT:TYPE, séparés par ;.")},
	{"attachment.resources.*.folder", KintoString, "", hint.T("attachment.resources.BUCKET[.COLLECTION].folder: attachment.folder for a bucket or a collection alone.", "attachment.resources.BUCKET[.COLLECTION].folder : attachment.folder pour un seul bucket ou une seule collection.")},
	{"attachment.resources.*.extensions", KintoString, "", hint.T("attachment.resources.BUCKET[.COLLECTION].extensions: attachment.extensions for a bucket or a collection alone.", "attachment.resources.BUCKET[.COLLECTION].extensions : attachment.extensions pour un seul bucket ou une seule collection.")},
	{"attachment.resources.*.max_size_bytes", KintoInt, "", hint.T("attachment.resources.BUCKET[.COLLECTION].max_size_bytes: attachment.max_size_bytes for a bucket or a collection alone.", "attachment.resources.BUCKET[.COLLECTION].max_size_bytes : attachment.max_size_bytes pour un seul bucket ou une seule collection.")},
	{"attachment.resources.*.mimetypes", KintoString, "", hint.T("attachment.resources.BUCKET[.COLLECTION].mimetypes: attachment.mimetypes for a bucket or a collection alone.", "attachment.resources.BUCKET[.COLLECTION].mimetypes : attachment.mimetypes pour un seul bucket ou une seule collection.")},
	{"experimental_collection_schema_validation", KintoBool, "false", hint.T("Check records, collections and groups against the JSON schemas of what they are in.", "Vérifier enregistrements, collections et groupes selon les schémas JSON de ce qui les contient.")},
	{"*_cache_expires_seconds", KintoInt, "", hint.T("RESOURCE_cache_expires_seconds: seconds for which anonymous readers may keep what they read; for records also BUCKET.record_… and BUCKET.COLLECTION.record_….", "RESSOURCE_cache_expires_seconds : secondes pendant lesquelles les lecteurs anonymes peuvent garder ce qu'ils lisent ; pour les enregistrements aussi BUCKET.record_… et BUCKET.COLLECTION.record_….")},
	{"history.exclude_resources", KintoList, "", hint.T("Addresses of buckets, collections, groups and records, below and at which no history is kept.", "Adresses de buckets, collections, groupes et enregistrements dont aucun historique n'est gardé, ni de ce qu'ils contiennent.")},
	{"history.exclude_user_ids", KintoList, "", hint.T("Users of whose changes no history is kept.", "Utilisateurs dont les modifications ne sont pas gardées dans l'historique.")},
	{"history.auto_trim_max_count", KintoInt, "-1", hint.T("How many entries the history of a collection, or of the objects of a bucket, keeps. -1: all.", "Combien d'entrées garde l'historique d'une collection, ou des objets d'un bucket. -1 : toutes.")},
	{"history.auto_trim_user_ids", KintoList, "", hint.T("Users whose changes alone count for that. Empty: everybody.", "Utilisateurs dont seules les modifications comptent pour cela. Vide : tout le monde.")},
	{"history.auto_trim_threshold", KintoInt, "100", hint.T("How many entries more than that make the oldest go.", "Combien d'entrées de plus font partir les plus anciennes.")},
	{"experimental_permissions_endpoint", KintoBool, "false", hint.T("Tell callers at /permissions what they may do with which object.", "Dire aux appelants, à /permissions, ce qu'ils peuvent faire de quel objet.")},
	{"account_cache_ttl_seconds", KintoInt, "30", hint.T("Seconds for which a password that was right need not be checked again.", "Secondes pendant lesquelles un mot de passe juste n'est pas revérifié.")},
	{"account_password_min_length", KintoInt, "", hint.T("Characters a password of an account has at least, by every door. Empty: 8, or 4 where account_create_principals lets anybody make accounts.", "Nombre minimal de caractères du mot de passe d'un compte, quel que soit le moyen. Vide : 8, ou 4 si account_create_principals laisse n'importe qui créer un compte.")},
	{"plural_*_*_enabled", KintoBool, "true", hint.T("plural_RESOURCE_METHOD_enabled: whether lists of a resource take a method.", "plural_RESSOURCE_METHODE_enabled : si les listes d'une ressource acceptent une méthode.")},
	{"object_*_*_enabled", KintoBool, "true", hint.T("object_RESOURCE_METHOD_enabled: whether objects of a resource take a method.", "object_RESSOURCE_METHODE_enabled : si les objets d'une ressource acceptent une méthode.")},
	{"eos", KintoString, "", hint.T("Day, as YYYY-MM-DD, on which this service ends: clients are told before, and turned away after.", "Jour, sous la forme AAAA-MM-JJ, où ce service prend fin : les clients sont prévenus avant, et refusés après.")},
	{"eos_message", KintoString, "", hint.T("What clients are told of the end.", "Ce qui est dit de la fin aux clients.")},
	{"eos_url", KintoString, "", hint.T("Address where clients learn more of the end.", "Adresse où les clients en apprennent plus sur la fin.")},
	{"bucket_create_principals", KintoList, "system.Authenticated", hint.T("Who may create buckets.", "Qui peut créer des buckets.")},
	{"permissions_read_principals", KintoList, "system.Everyone", hint.T("Who is told at /permissions what they may do.", "À qui /permissions dit ce qu'il peut faire.")},
	{"user-data_delete_principals", KintoList, "", hint.T("Who may delete all that is a user's alone, at /__user_data__/PRINCIPAL.", "Qui peut supprimer tout ce qui n'est qu'à un utilisateur, à /__user_data__/PRINCIPAL.")},
	{"*_*_principals", KintoList, "", hint.T("RESOURCE_PERMISSION_principals: who holds a permission on every bucket, collection, group, record or account.", "RESSOURCE_PERMISSION_principals : qui détient une permission sur chaque bucket, collection, groupe, enregistrement ou compte.")},
}

// shapes say which names of a pattern mean something; another one would be taken and have
// no effect.
var shapes = map[string]*regexp.Regexp{
	"*_*_principals":          regexp.MustCompile(`^(bucket|collection|group|record|account|history)_(create|read|write|read_attributes|collection_create|group_create|record_create)_principals$`),
	"plural_*_*_enabled":      regexp.MustCompile(`^plural_(bucket|collection|group|record|account|history|permission)_(get|head|post|delete)_enabled$`),
	"object_*_*_enabled":      regexp.MustCompile(`^object_(bucket|collection|group|record|account)_(get|put|patch|delete)_enabled$`),
	"*_cache_expires_seconds": regexp.MustCompile(`^((bucket|collection|group|record|account|history|permission)|.+[._]record)_cache_expires_seconds$`),
}

// bounds are the least and the largest of numbers, where that is not 0 and any.
var bounds = map[string][2]int64{
	"version_prefix_redirect_ttl_seconds":         {-1, most},
	"trailing_slash_redirect_ttl_seconds":         {-1, most},
	"history.auto_trim_max_count":                 {-1, most},
	"backoff_percentage":                          {0, 100},
	"storage_max_fetch_size":                      {1, most},
	"account_password_min_length":                 {1, 72}, // bcrypt takes no more
	"multiauth.policy.*.verification_ttl_seconds": {1, most},
	"multiauth.policy.*.state_ttl_seconds":        {1, most},
}

const most = 1<<53 - 1 // what JSON's readers count to
