package api

import (
	"net/http"
	"strings"
)

// openAPI describes this door as a Swagger 2.0 document (§8, utilities): the paths
// there are, made from the tables the router goes by.
func openAPI(c *call) {
	paths := map[string]any{
		"/":                operations(map[string]string{"get": "server_info"}, "Utilities"),
		"/__heartbeat__":   operations(map[string]string{"get": "__heartbeat__"}, "Utilities"),
		"/__lbheartbeat__": operations(map[string]string{"get": "__lbheartbeat__"}, "Utilities"),
		"/__version__":     operations(map[string]string{"get": "__version__"}, "Utilities"),
		"/__api__":         operations(map[string]string{"get": "get_openapi_spec"}, "Utilities"),
		"/contribute.json": operations(map[string]string{"get": "contribute"}, "Utilities"),
		"/batch":           operations(map[string]string{"post": "batch"}, "Batch"),
	}
	for _, res := range []struct{ path, object, tag string }{
		{"/buckets", "bucket", "Buckets"},
		{"/buckets/{bucket_id}/collections", "collection", "Collections"},
		{"/buckets/{bucket_id}/groups", "group", "Groups"},
		{"/buckets/{bucket_id}/collections/{collection_id}/records", "record", "Records"},
		{"/accounts", "account", "Accounts"},
	} {
		if res.object == "account" && !c.hasAccounts() {
			continue
		}
		paths[res.path] = operations(map[string]string{
			"get": "get_" + res.object + "s", "head": "head_" + res.object + "s", "post": "create_" + res.object, "delete": "delete_" + res.object + "s",
		}, res.tag, parameters(res.path)...)
		one := res.path + "/{" + res.object + "_id}"
		paths[one] = operations(map[string]string{
			"get": "get_" + res.object, "put": "update_" + res.object, "patch": "patch_" + res.object, "delete": "delete_" + res.object,
		}, res.tag, parameters(one)...)
	}
	if plugin("attachment")(c.api) {
		const path = "/buckets/{bucket_id}/collections/{collection_id}/records/{record_id}/attachment"
		paths[path] = operations(map[string]string{"post": "create_attachment", "delete": "delete_attachment"}, "Attachments", parameters(path)...)
	}
	if plugin("history")(c.api) {
		const path = "/buckets/{bucket_id}/history"
		paths[path] = operations(map[string]string{"get": "get_historys", "head": "head_historys", "delete": "delete_historys"}, "History", parameters(path)...)
	}
	base := c.url("")
	scheme, host, _ := strings.Cut(base, "://")
	security := map[string]any{}
	for _, name := range c.Auth.Policies() {
		switch p := c.Auth.Provider(name); {
		case p == nil:
			security[name] = map[string]string{"type": "basic", "description": "HTTP Basic Authentication."}
		default:
			security[name] = map[string]any{
				"type": "oauth2", "flow": "implicit", "authorizationUrl": openidAddress(c, p),
				"scopes": map[string]string{"openid": "OpenID Connect.", "email": "The e-mail address."},
			}
		}
	}
	document(c, http.StatusOK, map[string]any{
		"swagger": "2.0", "host": host, "schemes": []string{scheme}, "basePath": "/v1",
		"info": map[string]any{
			"title": c.Settings.Kinto.String("project_name"), "version": "1.23",
			"description": "A personal storage server that speaks the Kinto HTTP API.",
			"license":     map[string]string{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"consumes": []string{"application/json"}, "produces": []string{"application/json"},
		"paths": paths, "securityDefinitions": security, "definitions": definitions,
	})
}

// operations describes the methods of one path.
func operations(methods map[string]string, tag string, parameters ...any) map[string]any {
	out := map[string]any{}
	if parameters != nil {
		out["parameters"] = parameters
	}
	for method, id := range methods {
		op := map[string]any{"operationId": id, "tags": []string{tag}, "responses": responses(method)}
		if method == "put" || method == "post" || method == "patch" {
			op["parameters"] = []any{map[string]any{"name": "body", "in": "body", "schema": reference("Object")}}
		}
		out[method] = op
	}
	return out
}

func responses(method string) map[string]any {
	out := map[string]any{
		"200":     map[string]any{"description": "It was done.", "schema": reference("Object")},
		"default": map[string]any{"description": "It was refused.", "schema": reference("Error")},
	}
	switch method {
	case "get", "head":
		out["304"] = map[string]any{"description": "It has not changed since."}
	case "put", "post":
		out["201"] = map[string]any{"description": "It was created.", "schema": reference("Object")}
	}
	return out
}

func reference(name string) map[string]string {
	return map[string]string{"$ref": "#/definitions/" + name}
}

// parameters are the ids in a path.
func parameters(path string) []any {
	out := []any{}
	for _, part := range strings.Split(path, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		out = append(out, map[string]any{"name": name, "in": "path", "type": "string", "required": true})
	}
	return out
}

// definitions are the shapes of bodies.
var definitions = map[string]any{
	"Object": map[string]any{
		"type": "object",
		"properties": map[string]any{
			"data":        map[string]any{"type": "object"},
			"permissions": map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "array", "items": map[string]string{"type": "string"}}},
		},
	},
	"Error": map[string]any{
		"type": "object", "required": []string{"code", "errno", "error"},
		"properties": map[string]any{
			"code": map[string]string{"type": "integer"}, "errno": map[string]string{"type": "integer"}, "error": map[string]string{"type": "string"},
			"message": map[string]string{"type": "string"}, "info": map[string]string{"type": "string"}, "details": map[string]any{},
		},
	},
}
