package api

import (
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
)

// offers are the methods that lists and objects of each kind take (§1), those that
// settings turn off left out: {plural|object}_{resource}_{method}_enabled (§9).
type offers map[kinto.Kind]struct{ list, object []string }

func newOffers(k config.Kinto) offers {
	out := offers{}
	for _, kind := range []kinto.Kind{kinto.Bucket, kinto.Collection, kinto.Group, kinto.Record, kinto.Account, kinto.History, kinto.Permission} {
		on := func(place string, methods []string) []string {
			return slices.DeleteFunc(slices.Clone(methods), func(m string) bool {
				if m == "HEAD" && place == "object" {
					m = "GET" // they are one there
				}
				return m != "OPTIONS" && !k.Bool(place+"_"+string(kind)+"_"+strings.ToLower(m)+"_enabled")
			})
		}
		offer := out[kind]
		switch kind {
		case kinto.History:
			offer.list = on("plural", []string{"HEAD", "GET", "DELETE", "OPTIONS"})
		case kinto.Permission:
			offer.list = on("plural", []string{"HEAD", "GET", "OPTIONS"})
		default:
			offer.list, offer.object = on("plural", listMethods), on("object", objectMethods)
		}
		out[kind] = offer
	}
	return out
}

// methods are those that a list, or with an id an object of it, takes.
func (o offers) methods(l kinto.List, id string) []string {
	if id != "" {
		return o[l.Kind].object
	}
	return o[l.Kind].list
}
