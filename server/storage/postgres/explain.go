package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/foyer-server/foyer/internal/hint"
)

// refusal is why the database cannot be used, for whoever looks after the server. A
// client is told only that it is not available: Open and Trouble alone show the sentence.
type refusal struct {
	why    *hint.Error
	passes bool  // it may be over by itself soon
	cause  error // for the log
}

func (r *refusal) Error() string { return r.cause.Error() }
func (r *refusal) Unwrap() error { return r.cause }

// shown is err as whoever looks after the server may read it.
func shown(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok && hint.Find(err) == nil {
		return r.why.Because(err)
	}
	return err
}

var unserved = hint.T("Until then Foyer serves no data; nothing was changed.", "D'ici là, Foyer ne sert aucune donnée ; rien n'a été changé.")

func unsuitable(cause error, what, do hint.Text) error {
	return &refusal{why: hint.New("database-unsuitable", what, unserved, do), cause: cause}
}

func denied(cause error, what, do hint.Text) error {
	return &refusal{why: hint.New("database-denied", what, unserved, do), cause: cause}
}

func busy(cause error, what, do hint.Text) error {
	return &refusal{why: hint.New("database-busy", what, unserved, do), passes: true, cause: cause}
}

func readOnly(cause error, what, do hint.Text) error {
	return &refusal{why: hint.New("database-readonly", what, unserved, do), passes: true, cause: cause}
}

var useNewer = hint.T("Give the setting `database` the address of a PostgreSQL 13 or newer.", "Donnez au réglage `database` l'adresse d'un PostgreSQL 13 ou plus récent.")

// foreign: a server of this name (empty: not known), or one in front of it, only speaks
// PostgreSQL's protocol.
func foreign(name, said string) error {
	cause := errors.New("it says of itself: " + hint.Short(said, 200))
	if name == "" {
		return unsuitable(cause,
			hint.T("The database server is not PostgreSQL: locks (pg_advisory_xact_lock) do not hold there, and without them writes would overwrite each other.",
				"Le serveur de base de données n'est pas PostgreSQL : les verrous (pg_advisory_xact_lock) n'y tiennent pas, et sans eux des écritures s'écraseraient les unes les autres."), useNewer)
	}
	return unsuitable(cause,
		hint.T("The database server is %s, not PostgreSQL: the locks (pg_advisory_xact_lock) and notices (LISTEN) that Foyer needs do nothing there, or something else, and writes would overwrite each other.",
			"Le serveur de base de données est %s, pas PostgreSQL : les verrous (pg_advisory_xact_lock) et les avis (LISTEN) dont Foyer a besoin n'y font rien, ou autre chose, et des écritures s'écraseraient les unes les autres.", name), useNewer)
}

func tooOld(version string) error {
	return unsuitable(errors.New("the server is "+hint.Short(version, 200)),
		hint.T("The database server is too old: %s. Foyer needs PostgreSQL 13 or newer.", "Le serveur de base de données est trop ancien : %s. Foyer a besoin de PostgreSQL 13 ou plus récent.", hint.Short(version, 80)), useNewer)
}

func encoded(encoding string) error {
	return unsuitable(errors.New("the database is encoded in "+encoding),
		hint.T("The database is encoded in %s; Foyer needs UTF8.", "La base de données est encodée en %s ; Foyer a besoin d'UTF8.", encoding),
		hint.T("Make one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`, and name it in the setting `database`.",
			"Créez-en une avec `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`, et nommez-la dans le réglage `database`."))
}

// misset: an option in the address is none, as the server says.
func misset(said string) error {
	return unsuitable(errors.New("an option in the address: "+said),
		hint.T("The database server refuses an option in the setting `database`: %s.", "Le serveur de base de données refuse une option du réglage `database` : %s.", said),
		hint.T("Take that option out of the address, or correct it.", "Retirez cette option de l'adresse, ou corrigez-la."))
}

func console() error {
	return unsuitable(errors.New("the console of PgBouncer answers"),
		hint.T("The setting `database` leads to the console of PgBouncer, not to a database.", "Le réglage `database` mène à la console de PgBouncer, pas à une base de données."),
		hint.T("Name the database that PgBouncer is to lead to.", "Nommez la base de données à laquelle PgBouncer doit mener."))
}

func standby(cause error) error {
	return readOnly(cause,
		hint.T("The database server is a standby: it takes no writes, and what it shows may be of yesterday.", "Le serveur de base de données est un serveur de secours (standby) : il n'accepte pas d'écritures, et ce qu'il montre peut dater d'hier."),
		hint.T("Give the setting `database` the address of the primary, or of all of them: host=one,two. Foyer finds the one that takes writes.",
			"Donnez au réglage `database` l'adresse du serveur primaire, ou celles de tous : host=un,deux. Foyer trouve celui qui accepte les écritures."))
}

func forbidden() error {
	return readOnly(errors.New("its transactions are read-only: default_transaction_read_only"),
		hint.T("The database takes no writes: transactions are read-only there.", "La base de données n'accepte pas d'écritures : les transactions y sont en lecture seule."),
		hint.T("Take `default_transaction_read_only` back, for the server, the database and Foyer's user.", "Retirez `default_transaction_read_only`, pour le serveur, la base et l'utilisateur de Foyer."))
}

// mute: somebody let us in, and then gave no answer.
func mute(cause error) error {
	return busy(cause,
		hint.T("The database server, or a connection pooler in front of it, lets Foyer in and then gives it no server connection.", "Le serveur de base de données, ou un gestionnaire de connexions devant lui, laisse entrer Foyer mais ne lui donne pas de connexion."),
		hint.T("Check that the server behind the pooler runs; if it does, allow more connections (in PgBouncer `default_pool_size`).",
			"Vérifiez que le serveur derrière le gestionnaire tourne ; si c'est le cas, autorisez plus de connexions (dans PgBouncer, `default_pool_size`)."))
}

// explained makes plain, which is what pg says, a refusal where a person can do something
// about it. A pooler says everything under one code, and in English.
func explained(pg *pgconn.PgError, plain error) error {
	code, message := pg.Code, pg.Message
	says := func(words ...string) bool {
		for _, w := range words {
			if code == "08P01" && strings.Contains(message, w) {
				return true
			}
		}
		return false
	}
	switch {
	case says("transaction blocks not allowed"):
		return unsuitable(plain,
			hint.T("The connection pooler in front of the database refuses transactions: it is in statement mode.", "Le gestionnaire de connexions devant la base de données refuse les transactions : il est en mode « statement »."),
			hint.T("Set `pool_mode = transaction` for this database in the pooler.", "Réglez `pool_mode = transaction` pour cette base dans le gestionnaire."))
	case says("unsupported startup parameter"):
		return unsuitable(plain,
			hint.T("The connection pooler in front of the database refuses an option in the setting `database`: %s.", "Le gestionnaire de connexions devant la base de données refuse une option du réglage `database` : %s.", message),
			hint.T("Set it for the user in the database (`ALTER ROLE … SET …`) instead.", "Réglez-la plutôt pour l'utilisateur dans la base (`ALTER ROLE … SET …`)."))
	case code == "28P01", code == "28000", says("password authentication failed", "no such user", "SASL", "login rejected", "auth failed", "auth_query", "no pg_hba.conf entry", "role \""):
		return denied(plain,
			hint.T("The database server does not let Foyer in: %s.", "Le serveur de base de données ne laisse pas entrer Foyer : %s.", message),
			hint.T("Check the user and the password in the setting `database`, and who may come in there (pg_hba.conf, the users of a pooler).",
				"Vérifiez l'utilisateur et le mot de passe dans le réglage `database`, et qui peut y entrer (pg_hba.conf, les utilisateurs d'un gestionnaire de connexions)."))
	case code == "3D000", says("no such database", "database \""):
		return denied(plain,
			hint.T("The database that the setting `database` names is not there: %s.", "La base que nomme le réglage `database` n'existe pas : %s.", message),
			hint.T("Create it (`CREATE DATABASE …`; a pooler has a list of its own), or correct the name.", "Créez-la (`CREATE DATABASE …` ; un gestionnaire de connexions a sa propre liste), ou corrigez le nom."))
	case code == "42501":
		return denied(plain,
			hint.T("Foyer's user may not do in the database what it needs to: %s.", "L'utilisateur de Foyer ne peut pas faire dans la base ce qu'il lui faut : %s.", message),
			hint.T("Make that user the owner of the database, or grant it all on its schema and tables.", "Faites de cet utilisateur le propriétaire de la base, ou donnez-lui tous les droits sur son schéma et ses tables."))
	case code == "25006", code == "0A000": // read_only_sql_transaction, feature_not_supported
		return standby(plain)
	case says("query_wait_timeout"):
		return mute(plain)
	case code == "53300", says("no more connections", "too many"):
		return busy(plain,
			hint.T("The database server has no connection left for Foyer now: %s.", "Le serveur de base de données n'a plus de connexion pour Foyer en ce moment : %s.", message),
			hint.T("Allow more connections (`max_connections` in PostgreSQL, `max_client_conn` in PgBouncer), or run fewer programs on it.",
				"Autorisez plus de connexions (`max_connections` dans PostgreSQL, `max_client_conn` dans PgBouncer), ou faites-y tourner moins de programmes."))
	}
	return plain
}

// unencrypted: the address wants TLS, and who answers there has none.
func unencrypted(err error) error {
	return denied(err,
		hint.T("The setting `database` asks for an encrypted connection (sslmode), and the server there offers none.", "Le réglage `database` demande une connexion chiffrée (sslmode), et le serveur n'en propose pas."),
		hint.T("Switch TLS on there (in PgBouncer `client_tls_sslmode`), or, in a network that is yours alone, set sslmode=disable.",
			"Activez-y TLS (dans PgBouncer, `client_tls_sslmode`), ou, dans un réseau qui n'est qu'à vous, réglez sslmode=disable."))
}
