package api

import (
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// quotaNames are the settings of quotas, by what hello calls them.
var quotaNames = map[string]string{
	"max_records": "quotas.owner_max_records", "max_bytes": "quotas.owner_max_bytes", "max_attachment_bytes": "quotas.owner_max_attachment_bytes",
}

func hasQuotas(a *api) bool { return len(quotasTold(a.Settings.Kinto)) > 0 }

// quotasTold are the quotas there are.
func quotasTold(k config.Kinto) capability {
	out := capability{}
	for name, setting := range quotaNames {
		if n := k.Int64(setting, 0); n > 0 {
			out[name] = n
		}
	}
	return out
}

// quotaReached is told to a person: few clients know the status 507.
func quotaReached(e *kinto.QuotaError) hint.Text {
	switch e.What {
	case "records":
		return hint.T("The owner of this bucket may keep %d records and has %d: nothing was written. Delete some, or ask whoever runs this server for more.",
			"Le propriétaire de ce bucket peut garder %d enregistrements et en a %d : rien n'a été écrit. Supprimez-en, ou demandez-en plus à qui gère ce serveur.", e.Limit, e.Used)
	case "attachment_bytes":
		return hint.T("The owner of this bucket may keep %d bytes of attachments and has %d: nothing was written. Delete some, or ask whoever runs this server for more.",
			"Le propriétaire de ce bucket peut garder %d octets de pièces jointes et en a %d : rien n'a été écrit. Supprimez-en, ou demandez-en plus à qui gère ce serveur.", e.Limit, e.Used)
	}
	if e.What == "uploaded_bytes" {
		minutes := int64((e.Wait + time.Minute - 1) / time.Minute)
		return hint.T("The owner of this bucket was sent many attachments of late, and what was deleted of them is not cleared away yet: nothing was written. Try again in %d minutes.",
			"Le propriétaire de ce bucket a reçu beaucoup de pièces jointes récemment, et ce qui en a été supprimé n'est pas encore effacé : rien n'a été écrit. Réessayez dans %d minutes.", minutes)
	}
	return hint.T("The owner of this bucket may keep %d bytes and has %d: nothing was written. Delete something, or ask whoever runs this server for more.",
		"Le propriétaire de ce bucket peut garder %d octets et en a %d : rien n'a été écrit. Supprimez quelque chose, ou demandez-en plus à qui gère ce serveur.", e.Limit, e.Used)
}
