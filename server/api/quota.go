package api

import "github.com/foyer-server/foyer/internal/config"

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
