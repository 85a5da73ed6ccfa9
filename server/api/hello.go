package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// capability is what hello tells of one thing a server can do beyond the protocol.
type capability map[string]any

// capable is one row of the table of capabilities.
type capable struct {
	name, description, url string
	on                     func(a *api) bool
	more                   func(c *call) capability // nil: nothing to add
}

// compatibility is where what is beyond the protocol is explained.
const compatibility = "https://github.com/foyer-server/foyer/blob/main/docs/compatibility.md"

const referenceDocs = "https://kinto.readthedocs.io/en/latest/"

// capabilities are told by hello, those that are on.
var capabilities = []capable{
	{name: "basicauth", description: "Very basic authentication sessions. Not for production use.", url: "https://kinto.readthedocs.io/en/stable/api/1.x/authentication.html", on: policy("basicauth")},
	{name: "accounts", description: "Manage user accounts.", url: referenceDocs + "api/1.x/accounts.html", on: (*api).hasAccounts, more: func(*call) capability {
		return capability{"validation_enabled": false}
	}},
	{name: "attachments", description: "Add file attachments to records", url: "https://github.com/Kinto/kinto-attachment/", on: plugin("attachment"), more: func(c *call) capability {
		return capability{"version": "8.0.0", "base_url": c.filesURL()}
	}},
	{name: "openid", description: "OpenID connect support.", url: referenceDocs + "api/1.x/authentication.html", on: func(a *api) bool { return len(a.Auth.Providers()) > 0 }, more: openidTold},
	{name: "owner_quotas", description: "What the buckets of one owner may hold together is bounded; 507 says which bound was met.", url: compatibility + "#quotas", on: hasQuotas, more: func(c *call) capability {
		return quotasTold(c.Settings.Kinto)
	}},
	{name: "change_feed", description: "A list asked for as text/event-stream tells of each change at once.", url: compatibility + "#change-feed", on: always, more: func(*call) capability {
		return capability{"media_type": feedType}
	}},
	{name: "idempotency_key", description: "A write with the header Idempotency-Key is done once, however often it is sent.", url: compatibility + "#retries", on: always},
	{name: "history", description: "Track changes on data.", url: referenceDocs + "api/1.x/history.html", on: plugin("history"), more: func(c *call) capability {
		return c.kinto.HistoryTold()
	}},
	{name: "permissions_endpoint", description: "The permissions endpoint can be used to list all user objects permissions.", url: referenceDocs + "configuration/settings.html#activating-the-permissions-endpoint", on: permissionsOn},
	{name: "flush_endpoint", description: "The __flush__ endpoint can be used to remove all data from all backends.", url: referenceDocs + "configuration/settings.html#activating-the-flush-endpoint", on: plugin("flush")},
	{name: "counters_endpoint", description: "The __counters__ endpoint tells how many objects there are.", url: referenceDocs, on: plugin("counters")},
	{name: "schema", description: "Validates collection records with JSON schemas.", url: referenceDocs + "api/1.x/collections.html#collection-json-schema", on: func(a *api) bool {
		return a.Settings.Kinto.Bool("experimental_collection_schema_validation")
	}},
	{name: "default_bucket", description: "The default bucket is an alias for a personal bucket where collections are created implicitly.", url: referenceDocs + "api/1.x/buckets.html#personal-bucket-default", on: plugin("default_bucket")},
}

// plugin is on when the setting includes names it.
func plugin(name string) func(*api) bool {
	return func(a *api) bool { return a.Settings.Kinto.Includes(name) }
}

// policy is on when callers may say who they are by it.
func policy(name string) func(*api) bool {
	return func(a *api) bool {
		return slices.Contains(a.Auth.Policies(), name)
	}
}

func always(*api) bool { return true }

func (a *api) hasAccounts() bool { return plugin("accounts")(a) && policy("account")(a) }

// readonlyCache is how long the hello of a server that takes no writes is good.
const readonlyCache = 24 * time.Hour

// hello is what a client asks first (§8).
func hello(c *call) {
	who, err := c.who()
	if err != nil {
		c.fail(err)
		return
	}
	k := c.Settings.Kinto
	body := map[string]any{
		"project_name": k.String("project_name"), "project_version": c.Version, "http_api_version": "1.23",
		"project_docs": k.String("project_docs"), "url": c.url("/v1/"), "config": nil,
		"settings": map[string]any{
			"readonly": c.readonly, "explicit_permissions": k.Bool("explicit_permissions"), "batch_max_requests": k.Int("batch_max_requests", 0),
		},
	}
	if day := k.String("eos"); day != "" && !c.eos.at.IsZero() {
		body["eos"] = day
	}
	if who.ID != "" {
		user, err := userOf(c, who)
		if err != nil {
			c.fail(err)
			return
		}
		body["user"] = user
	}
	told := map[string]capability{}
	for _, row := range capabilities {
		if !row.on(c.api) {
			continue
		}
		one := capability{}
		if row.more != nil {
			one = row.more(c)
		}
		one["description"], one["url"] = row.description, row.url
		told[row.name] = one
	}
	body["capabilities"] = told
	if c.readonly && who.ID == "" {
		keep(c.w.Header(), int(readonlyCache.Seconds()))
	}
	document(c, http.StatusOK, body)
}

// userOf is what hello tells a caller of themselves.
func userOf(c *call, who kinto.Caller) (map[string]any, error) {
	user := map[string]any{"id": who.ID, "principals": who.Plain()}
	profile, err := c.Auth.Profile(c.r.Context(), c.r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	if profile != nil {
		user["profile"] = profile
	}
	if plugin("default_bucket")(c.api) {
		names, err := c.Auth.DefaultBucket(c.r.Context(), who)
		if err != nil {
			return nil, err
		}
		if user["bucket"], err = c.kinto.OwnBucket(c.r.Context(), who, names); err != nil {
			return nil, err
		}
	}
	return user, nil
}
