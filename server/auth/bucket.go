package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/foyer-server/foyer/server/kinto"
)

// DefaultBucket is what the bucket that is a caller's own may be called: ids made of the
// caller's by a key. The key is the setting default_bucket_hmac_secret. Where that is
// empty the reference's key is empty, too (protocol §8, default_bucket), and anybody can
// work out the id who knows the caller's; so there is a second one, by the secret of
// user ids, for whoever cannot have the first (kinto.Service.OwnBucket).
func (a *Auth) DefaultBucket(ctx context.Context, who kinto.Caller) (kinto.OwnNames, error) {
	if len(a.bucketSecret) > 0 {
		return kinto.OwnNames{Secret: bucketID(a.bucketSecret, who)}, nil
	}
	secret, err := a.people.HMACSecret(ctx)
	if err != nil {
		return kinto.OwnNames{}, err
	}
	return kinto.OwnNames{Known: bucketID(nil, who), Secret: bucketID(secret, who)}, nil
}

// bucketID is written as a UUID is: the first 128 bits of the MAC of the caller's id.
func bucketID(key []byte, who kinto.Caller) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(who.Principal()))
	h := hex.EncodeToString(mac.Sum(nil))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}
